"""Hourly profiles, and their removal from a series.

Rule 1. Hours are those of UTC, from the instants in the log: 24 of the day or 168 of the week.
Rule 2. A number becomes the number of an average hour, in its own unit. Of a share, the part of the
        hour is expected.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from msgspec import Struct

from streams.clock import DAY_HOURS, WEEK_HOURS, Instants, Minutes
from streams.codec import encode
from streams.detect.outline import scores_at, values_at
from streams.detect.sample import refuse_knots
from streams.detect.score_kernel import SCALE
from streams.season import hour_kernel
from streams.values import Floats, Value


class Timestamps:
    """The minutes of some rows, made once for all series that have values in them."""

    def __init__(self, minutes: Minutes) -> None:
        self.minutes = minutes

    @classmethod
    def of(cls, at_ms: Instants) -> "Timestamps":
        """Return the timestamps of instants."""
        return cls(at_ms // 60_000)

    def at(self, rows: slice | Sequence[int]) -> "Timestamps":
        """Return the timestamps of some of the rows."""
        return Timestamps(self.minutes[rows])

    @cached_property
    def latest(self) -> int:
        """The latest minute; 0 if there is none."""
        return int(self.minutes.max(initial=0))

    @cached_property
    def kept(self) -> bytes:
        """The minutes as a series stores them while it learns: 4 bytes each."""
        return self.minutes.astype(np.uint32).tobytes()


class HourProfile(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The part of each hour in a series: removed from a number, or expected of a share.

    Parameters
    ----------
    hours
        24 or 168.
    days
        Days of log time that it was estimated from.
    table
        For a number: the table that `streams.season.hour_kernel.adjust` reads.
    names
        For categories: the columns of ``shares``; None stands for all other categories.
    shares
        For categories: the part of each hour in the share of each, a row for each hour.
    """

    hours: int
    days: int
    table: Floats | None = None
    names: tuple[Value | None, ...] = ()
    shares: Floats | None = None

    def __post_init__(self) -> None:
        # A kernel does not check its indices: a stored table of another size must not reach it.
        if self.hours not in (DAY_HOURS, WEEK_HOURS) or self.days < 1:
            raise ValueError(f"a profile has 24 or 168 hours, got {self.hours}")
        if self.table is not None:
            refuse_knots(self.table, hour_kernel.TABLE_HEAD, self.hours * len(hour_kernel.HOUR))
            if self.table[hour_kernel.PROFILE.hours] != self.hours:
                raise ValueError(f"the table of {self.hours} hours names another number of them")
        if self.shares is not None and len(self.shares) != self.hours * len(self.names):
            raise ValueError(f"{len(self.names)} categories have {len(self.shares)} shares")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HourProfile) and encode(self) == encode(other)

    __hash__ = None  # type: ignore[assignment] # arrays have none

    @property
    def is_guess(self) -> bool:
        """Whether it was seen once only."""
        return self.days * DAY_HOURS <= self.hours

    @property
    def doubt(self) -> float:
        """The long-run variance of a series without its profile, in that of independent rows.

        Each hour's part is a mean over ``days``, or weeks: its error is common to all later rows of
        that hour.
        """
        return 1 + self.hours / (self.days * DAY_HOURS)

    @property
    def is_of_numbers(self) -> bool:
        """Whether values are adjusted; else shares are expected."""
        return self.table is not None

    def adjust(self, x: Floats, minutes: Minutes) -> Floats:
        """Return numbers as at an average hour."""
        adjusted = x.copy()
        if self.table is not None:
            hour_kernel.adjust(self.table, minutes, x, adjusted)
        return adjusted

    def at_all_hours(self, x: Floats) -> Floats:
        """Return numbers of an average hour as they are at each of the hours: so many for each."""
        table = self.table
        if table is None:
            return x
        knots = int(table[SCALE.knots])
        scale = table[hour_kernel.TABLE_HEAD : hour_kernel.TABLE_HEAD + 2 * knots].reshape(2, -1)
        slopes = float(table[SCALE.low_slope]), float(table[SCALE.high_slope])
        hours = table[hour_kernel.TABLE_HEAD + 2 * knots :].reshape(self.hours, -1)
        centre = float(table[hour_kernel.PROFILE.centre])
        away = scores_at(scale[0], scale[1], slopes, x) - centre
        spread, part = hours[:, [hour_kernel.HOUR.spread]], hours[:, [hour_kernel.HOUR.middle]]
        scores = (away * spread + part + centre).ravel()
        return values_at(scale[0], scale[1], slopes, scores)

    def expected(self, names: Sequence[Value | None], minutes: Minutes) -> Floats | None:
        """Return the part of the hour of each row in the share of each category.

        A row for each of ``minutes``, a column for each of ``names``.
        """
        if self.shares is None:
            return None
        shares: Floats = self.shares.reshape(self.hours, -1)[minutes // 60 % self.hours]
        if names == self.names:
            return shares
        expected = np.zeros((len(minutes), len(names)))
        for column, name in enumerate(names):
            if name in self.names:
                expected[:, column] = shares[:, self.names.index(name)]
        return expected
