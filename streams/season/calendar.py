"""A series by the hour, gathered until it is known whether it has a rhythm.

Rule 1. One instant from the future ends no day: it takes three values in a row.
Rule 2. After two weeks the question is settled.
Rule 3. What is held grows with the days that have been seen; a fortnight's hours are stored.
"""

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from streams.clock import DAY_HOURS, Minutes
from streams.detect import score_kernel
from streams.detect.compiled import Singles
from streams.detect.sample import MIN_ATOM_SHARE, Sample, coded
from streams.season import hour_kernel
from streams.season.hour_profile import HourProfile
from streams.season.recurrence import SURE, SURE_AFTER_ALARMS, by_day, hours_of, two_way_anova
from streams.values import Floats, Value

CYCLE_DAYS = 1
LAST_DAYS = 14
TEST_DAYS = (1, 2, 3, 4, 5, 6, 7, 14)
MIN_SPREAD_ROWS = 8
GUESS_SURE = 0.5
SHARP = 2.0
LEAST_SPREAD = 0.2
AT_ONCE = 32
"""So many values are counted at once: counting a few is as dear, and nobody asks before a test."""
_NO_KNOTS: Floats = np.empty(0)


class HourlyGrid:
    """Gathers a series by the hour until it is known whether it has a rhythm.

    Parameters
    ----------
    began
        The minute at which its first day begins.
    knots
        For numbers: the table of a score, without hours.
    names
        For categories: those that are counted; None stands for all others.

    Attributes
    ----------
    due
        The minute from which on the next test may be made.
    alarms
        Those of its series since it began.
    """

    def __init__(
        self, began: int, *, knots: Floats | None = None, names: Sequence[Value | None] = ()
    ) -> None:
        self._began = began
        self._knots = knots
        self._names = tuple(names)
        self._places = {name: place for place, name in enumerate(self._names)}
        columns = 2 if knots is not None else len(self._names)
        self._days = np.zeros((0, 1 + columns), dtype=np.float32)  # from the hour that it began on
        self._values: list[Value] | array[float] = [] if knots is None else array("d")
        self._minutes = array("q")
        self._learnt_minutes = 0
        self._late = 0
        self.alarms = 0
        self._pass(0)

    @classmethod
    def of(
        cls, sample: Sample, names: Sequence[Value | None], minutes: Minutes
    ) -> "HourlyGrid | None":
        """Begin with the values of a reference; without names they are numbers.

        None where numbers have no rhythm that could be taken off: too few differ.
        """
        if not names and sample.commonest_rows > MIN_ATOM_SHARE * len(sample):
            return None
        ordered = np.sort(minutes)
        began, latest = (
            int(ordered[hour_kernel.LATE_ROWS - 1]),
            int(ordered[-hour_kernel.LATE_ROWS]),
        )
        if names:
            calendar = cls(began, names=names)
            calendar._reach(0)
            calendar._add(calendar._columns_of_sample(sample), minutes, None)
        else:
            calendar = cls(began, knots=sample.scale.table)
            calendar._reach(0)
            calendar._add(sample.held, minutes, _NO_KNOTS)
        calendar._learnt_minutes = max(latest - began, 0)
        days = calendar._learnt_minutes // (60 * DAY_HOURS)
        calendar._pass(max((d for d in TEST_DAYS if d <= days), default=0))
        return calendar

    @property
    def is_of_numbers(self) -> bool:
        """Whether it gathers scores of numbers; else shares of categories."""
        return self._knots is not None

    @property
    def rows(self) -> int:
        """Values gathered so far."""
        return int(self._grid[:, 0].sum(dtype=np.float64))

    def minutes_until(self, minute: int) -> int:
        """Return how long it has been gathering."""
        return minute - self._began

    @property
    def has_seen_hours(self) -> bool:
        """Whether what it began with took long enough for an hour of the day to show in it."""
        return self._learnt_minutes >= 60

    @property
    def is_young(self) -> bool:
        """Whether a first cycle is still to be seen."""
        return self._tested_days < CYCLE_DAYS

    @property
    def is_over(self) -> bool:
        """Whether the question is settled (Rule 2)."""
        return self._tested_days >= LAST_DAYS

    def rows_until_test(self, minutes: Minutes) -> int | None:
        """Return how many rows may still be read before the next test; None for all of them."""
        row, _ = hour_kernel.first_late(minutes, self.due, self._late)
        return None if row < 0 else row

    def pass_over(self, minutes: Minutes | None) -> None:
        """Let the time of rows pass that have been read; none of them is beyond the next test.

        None: all of them are before ``due``.
        """
        self._late = (
            0 if minutes is None else hour_kernel.first_late(minutes, self.due, self._late)[1]
        )

    def _pass(self, days: int) -> None:
        """Take the tests of so many days as passed; set the minute at which the next is due."""
        self._tested_days = days
        self._next_test = next((more for more in TEST_DAYS if more > days), LAST_DAYS)
        self.due = self._began + 60 * DAY_HOURS * self._next_test

    def read(self, values: Sequence[Value], x: Floats | None, minutes: Minutes) -> None:
        """Count values to their hours; ``x`` are the same as doubles, where they are numbers."""
        if len(values) < AT_ONCE:
            self._values.extend(values)  # type: ignore[arg-type] # an array where all are numbers
            self._minutes.frombytes(minutes.tobytes())
            if len(self._values) >= AT_ONCE:
                self._count()
            return
        self._count()
        x = self._columns_of(values) if self._knots is None or x is None else x
        self._add(x, minutes, self._knots)

    def _count(self) -> None:
        """Count the values that still wait for it."""
        values, minutes = self._values, np.frombuffer(self._minutes, dtype=np.int64)
        self._values, self._minutes = values[:0], array("q")
        x = np.frombuffer(values) if isinstance(values, array) else self._columns_of(values)
        self._add(x, minutes, self._knots)

    def _add(self, x: Floats, minutes: Minutes, knots: Floats | None) -> None:
        """Add values to their hours; ``knots`` are those of numbers, none where x are scores."""
        first = self._began // 60
        while (row := self._gather(first, minutes, x, knots)) < len(minutes):
            minutes, x = minutes[row:], x[row:]
            self._reach((int(minutes[0]) // 60 - first) % hour_kernel.GRID_HOURS)

    def _gather(self, first: int, minutes: Minutes, x: Floats, knots: Floats | None) -> int:
        if knots is None:
            return hour_kernel.gather_hits(self._days, first, minutes, x)
        return hour_kernel.gather_scores(self._days, first, minutes, x, knots)

    def _reach(self, hour: int) -> None:
        """Make room for an hour, counted from the first, and for the rest of its day."""
        days = np.zeros(
            (hour // DAY_HOURS * DAY_HOURS + DAY_HOURS, self._days.shape[1]), np.float32
        )
        days[: len(self._days)] = self._days
        self._days = days

    @property
    def _grid(self) -> Singles:
        """The hours of a whole fortnight, each at its place in it."""
        self._count()
        grid = np.zeros((hour_kernel.GRID_HOURS, self._days.shape[1]), dtype=np.float32)
        grid[self._places_of(len(self._days))] = self._days
        return grid

    def _places_of(self, hours: int) -> Minutes:
        """Return where the first hours lie in a fortnight."""
        places: Minutes = (self._began // 60 + np.arange(hours)) % hour_kernel.GRID_HOURS
        return places

    def _columns_of_sample(self, sample: Sample) -> Floats:
        levels = () if sample.levels is None else sample.levels.watched
        return self._columns_of([*levels, None])[sample.codes.astype(np.intp)]

    def _columns_of(self, values: Sequence[Value | None]) -> Floats:
        """Return the column of each category; of those that are not counted one that is not."""
        other = len(self._names) - 1 if self._names[-1] is None else len(self._names)
        return coded(values, self._places, other)

    def test(self, *, may_guess: bool) -> HourProfile | None:
        """Pass the next test; return the rhythm that is known by now.

        Parameters
        ----------
        may_guess
            Whether a single cycle is believed, where nothing better is known.
        """
        self._pass(self._next_test)
        self._late = 0
        if self._tested_days == CYCLE_DAYS and may_guess:
            return self._guess()
        return self.find()

    def _cells(self, column: int) -> Floats:
        """Return the mean of a measure in each hour of two weeks."""
        grid = self._grid
        rows = grid[:, 0].astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            cells: Floats = np.where(rows > 0, grid[:, 1 + column] / rows, np.nan)
        return cells

    def _log_spreads(self) -> Floats:
        rows, means = self._grid[:, 0], self._cells(0)
        variances = np.maximum(self._cells(1) - means * means, 1e-6)
        cells: Floats = np.where(rows >= MIN_SPREAD_ROWS, np.log(variances) / 2, np.nan)
        return cells

    def find(self) -> HourProfile | None:
        """Return the rhythm that has come back, if any."""
        if self._tested_days <= CYCLE_DAYS:
            return None
        if self._knots is None:
            columns = [self._cells(k) for k in range(len(self._names))]
        else:
            columns = [self._cells(0), self._log_spreads()]
        has_alarmed = self.alarms > 1
        weeks = 2 if self.is_over else self._tested_days // 7 * has_alarmed
        sure = SURE_AFTER_ALARMS if has_alarmed else SURE
        found = [hours_of(cells, weeks, sure) for cells in columns]
        if all(parts is None for parts in found):
            return None
        hours = max(len(parts) for parts in found if parts is not None)
        return self._rhythm([_spread_out(parts, hours) for parts in found])

    def _guess(self) -> HourProfile | None:
        """Believe a single cycle, where the hours differ by more than chance explains."""
        rows = self._grid[:, 0].astype(np.float64)
        if self._knots is None:
            columns = [self._cells(k) for k in range(len(self._names))]
            means = [float(np.nanmean(cells)) for cells in columns]
            noise = [mean * (1 - mean) for mean in means]
        else:
            columns = [self._cells(0), self._log_spreads()]
            noise = [float(np.nanmean(self._cells(1) - columns[0] ** 2)), 0.5]
        found: list[Floats | None] = []
        for cells, power in zip(columns, noise, strict=True):
            pattern = two_way_anova(by_day(cells))
            size = float(np.nanmean(pattern.parts**2))
            chance = float(power / np.mean(rows[rows > 0]))
            is_seen = size > 0 and 1 - chance / size > GUESS_SURE
            found.append(pattern.parts if is_seen else None)
        if all(parts is None for parts in found):
            return None
        return self._rhythm([_spread_out(parts, DAY_HOURS) for parts in found])

    def _rhythm(self, columns: list[Floats]) -> HourProfile:
        hours, days = len(columns[0]), self._tested_days
        if self._knots is None:
            return HourProfile(hours, names=self._names, shares=np.column_stack(columns), days=days)
        level, spread = columns
        head = self._knots.copy()
        head[score_kernel.HOURS] = hours
        grid = self._grid
        head[score_kernel.CENTRE] = float(grid[:, 1].sum()) / float(grid[:, 0].sum())
        before, after = _slopes(level)
        parts = np.empty((hours, hour_kernel.HOUR_PARTS))
        parts[:, hour_kernel.MIDDLE] = level
        parts[:, hour_kernel.BEFORE] = before
        parts[:, hour_kernel.AFTER] = after
        parts[:, hour_kernel.SPREAD] = np.maximum(np.exp(spread), LEAST_SPREAD)
        return HourProfile(hours, table=np.concatenate((head, parts.ravel())), days=days)

    def snapshot(self) -> dict[str, Any]:
        """Return the state as a tree for :func:`streams.codec.pack`."""
        return {
            "began": self._began,
            "knots": self._knots,
            "names": list(self._names),
            "grid": self._grid.tobytes(),
            "tested_days": self._tested_days,
            "late": self._late,
            "learnt_minutes": self._learnt_minutes,
            "alarms": self.alarms,
        }

    @classmethod
    def restore(cls, tree: dict[str, Any]) -> "HourlyGrid":
        """Return the calendar as it was."""
        calendar = cls(tree["began"], knots=tree["knots"], names=tree["names"])
        grid = np.frombuffer(tree["grid"], dtype=np.float32).reshape(hour_kernel.GRID_HOURS, -1)
        days = grid[calendar._places_of(hour_kernel.GRID_HOURS)]
        calendar._reach(int(np.flatnonzero(days[:, 0]).max(initial=0)))
        calendar._days[:] = days[: len(calendar._days)]
        calendar._pass(tree["tested_days"])
        calendar._late = tree["late"]
        calendar._learnt_minutes = tree["learnt_minutes"]
        calendar.alarms = tree["alarms"]
        return calendar


def _spread_out(parts: Floats | None, hours: int) -> Floats:
    if parts is None:
        return np.zeros(hours)
    return np.tile(parts, hours // len(parts))


def _slopes(level: Floats) -> tuple[Floats, Floats]:
    """Return the slope before and after the middle of each hour.

    Between two middles a rhythm goes straight, but for a step at the hour: a difference that
    dwarfs those on both sides of it.
    """
    rise = np.roll(level, -1) - level  # from the middle of each hour to that of the next
    around = np.maximum(np.abs(np.roll(rise, 1)), np.abs(np.roll(rise, -1)))
    after = np.where(np.abs(rise) > SHARP * around + 0.1, 0.0, rise)
    return np.roll(after, 1), after
