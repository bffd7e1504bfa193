"""What the hour adds to a series, and how it is taken off.

Rule 1. Hours are those of UTC, from the instants in the log: 24 of the day or 168 of the week.
Rule 2. A number becomes what it would be at an average hour, in its own unit; of a share, what the
        hour adds is expected.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.clock import DAY_HOURS, Minutes
from streams.season import hour_kernel
from streams.values import Floats, Value


class Timestamps:
    """When some rows came: made once for all the series that have values at them.

    Parameters
    ----------
    minutes
        Their minutes.
    """

    __slots__ = ("_kept", "_latest", "minutes")

    def __init__(self, minutes: Minutes) -> None:
        self.minutes = minutes
        self._kept: bytes | None = None
        self._latest: int | None = None

    @classmethod
    def of(cls, at_ms: NDArray[np.int64]) -> "Timestamps":
        """Return the moments of instants in epoch milliseconds."""
        return cls(at_ms // 60_000)

    def at(self, rows: slice | Sequence[int]) -> "Timestamps":
        """Return those of some of the rows."""
        return Timestamps(self.minutes[rows])

    @property
    def latest(self) -> int:
        """The latest of them."""
        if self._latest is None:
            self._latest = int(self.minutes.max(initial=0))
        return self._latest

    @property
    def kept(self) -> bytes:
        """Them as a series keeps them while it learns."""
        if self._kept is None:
            self._kept = self.minutes.astype(np.uint32).tobytes()
        return self._kept


class HourProfile:
    """What each hour adds: taken off a number, or expected of a share.

    Parameters
    ----------
    hours
        24 or 168.
    table
        For a number, as :func:`streams.season.hour_kernel.adjust` reads it.
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
        self._expected: tuple[Sequence[Value | None], Floats] | None = None  # as asked for last

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

    def adjust(self, x: Floats, minutes: Minutes) -> Floats:
        """Return what numbers would be at an average hour."""
        adjusted = x.copy()
        if self._table is not None:
            hour_kernel.adjust(self._table, minutes, x, adjusted)
        return adjusted

    @property
    def names(self) -> tuple[Value | None, ...]:
        """The categories whose shares it is about; None stands for the rest."""
        return self._names

    def expected(self, names: Sequence[Value | None], minutes: Minutes) -> Floats | None:
        """Return what the hour of each row adds to the share of each category."""
        if self._shares is None:
            return None
        if self._expected is None or self._expected[0] is not names:
            known = {name: place for place, name in enumerate(self._names)}
            columns = np.zeros((self.hours, len(names)))
            for at, name in enumerate(names):
                if name in known:
                    columns[:, at] = self._shares[:, known[name]]
            self._expected = names, columns
        made: Floats = self._expected[1][minutes // 60 % self.hours]
        return made

    def snapshot(self) -> dict[str, Any]:
        """Return the state as a tree for :func:`streams.codec.pack`."""
        return {
            "hours": self.hours,
            "days": self.days,
            "table": self._table,
            "names": list(self._names),
            "shares": None if self._shares is None else self._shares.ravel(),
        }

    @classmethod
    def restore(cls, tree: dict[str, Any]) -> "HourProfile":
        """Return the rhythm as it was."""
        shares = tree["shares"]
        return cls(
            tree["hours"],
            table=tree["table"],
            names=tree["names"],
            shares=None if shares is None else shares.reshape(tree["hours"], -1),
            days=tree["days"],
        )
