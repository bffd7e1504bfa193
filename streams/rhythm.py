"""What the hour adds to a series, and how it is taken off.

Rule 1. Hours are those of UTC, from the instants in the log: 24 of the day or 168 of the week.
Rule 2. A number becomes what it would be at an average hour, in its own unit; of a share, what the
        hour adds is expected.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams import kernel
from streams.sample import Floats, Value

Minutes = NDArray[np.int64]
"""Whole minutes since the epoch."""

DAY_HOURS = 24


class Moments:
    """When some rows came: made once for all the series that have values at them.

    Parameters
    ----------
    at_ms
        Their instants, in epoch milliseconds.

    Attributes
    ----------
    minutes, latest
        Their minutes, and the latest of them.
    """

    __slots__ = ("latest", "minutes")

    def __init__(self, at_ms: NDArray[np.int64]) -> None:
        self.minutes: Minutes = at_ms // 60_000
        self.latest = int(self.minutes.max(initial=0))

    def kept(self) -> bytes:
        """Return them as a series keeps them while it learns."""
        return self.minutes.astype(np.uint32).tobytes()


class Rhythm:
    """What each hour adds: taken off a number, or expected of a share.

    Parameters
    ----------
    hours
        24 or 168.
    table
        For a number, as :func:`streams.kernel.adjust` reads it.
    names, shares
        For categories: what each hour adds to the share of each.
    days
        Days of log time that it was learnt from.
    """

    def __init__(
        self,
        hours: int,
        *,
        table: Floats | None = None,
        names: Sequence[Value | None] = (),
        shares: Floats | None = None,
        days: int,
    ) -> None:
        self.hours = hours
        self.days = days
        self._table = table
        self._names = tuple(names)
        self._shares = shares

    @property
    def is_guess(self) -> bool:
        """Whether only one cycle has been seen."""
        return self.days * DAY_HOURS <= self.hours

    @property
    def doubt(self) -> float:
        """The long-run variance of what is left, in that of independent rows.

        An hour's part is off by the chance of so many days' rows of that hour, for all its rows.
        """
        return 1 + self.hours / (self.days * DAY_HOURS)

    @property
    def is_of_numbers(self) -> bool:
        """Whether values are adjusted; else shares are expected."""
        return self._table is not None

    def adjust(self, values: Sequence[Value] | Floats, minutes: Minutes) -> list[Value]:
        """Return what numbers would be at an average hour; shares are left as they are."""
        if self._table is None:
            return list(values)
        x = np.array(values, dtype=np.float64)
        adjusted = np.empty_like(x)
        kernel.adjust(self._table, minutes, x, adjusted)
        made: list[Value] = adjusted.tolist()
        return made

    @property
    def names(self) -> tuple[Value | None, ...]:
        """The categories whose shares it is about; None stands for the rest."""
        return self._names

    def expected(self, names: Sequence[Value | None], minutes: Minutes) -> Floats | None:
        """Return what the hour of each row adds to the share of each category."""
        if self._shares is None:
            return None
        known = {name: place for place, name in enumerate(self._names)}
        columns = np.zeros((self.hours, len(names)))
        for at, name in enumerate(names):
            if name in known:
                columns[:, at] = self._shares[:, known[name]]
        made: Floats = columns[minutes // 60 % self.hours]
        return made

    def snapshot(self) -> dict[str, Any]:
        """Return the state as a tree for :func:`streams.blob.pack`."""
        return {
            "hours": self.hours,
            "days": self.days,
            "table": self._table,
            "names": list(self._names),
            "shares": None if self._shares is None else self._shares.ravel(),
        }

    @classmethod
    def restore(cls, tree: dict[str, Any]) -> "Rhythm":
        """Return the rhythm as it was."""
        shares = tree["shares"]
        return cls(
            tree["hours"],
            table=tree["table"],
            names=tree["names"],
            shares=None if shares is None else shares.reshape(tree["hours"], -1),
            days=tree["days"],
        )
