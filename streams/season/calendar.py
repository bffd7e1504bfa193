"""The hours of a series, counted until it is known whether it has an hourly profile.

Rule 1. One instant from the future ends no day: three values in a row do.
Rule 2. After two weeks there is no further test.
Rule 3. The size of a grid grows with the days that have been seen.
Rule 4. How reads are cut changes nothing: values are counted in parts of `ROWS_AT_ONCE`.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import field

from streams.clock import DAY_HOURS, DAY_MINUTES, Minutes
from streams.codec import Machine
from streams.detect.compiled import Singles
from streams.detect.sample import MIN_ATOM_SHARE, Sample, coded, refuse_knots
from streams.season import hour_kernel
from streams.season.hour_kernel import HOUR, PROFILE
from streams.season.hour_profile import HourProfile
from streams.season.recurrence import (
    SURE,
    SURE_AFTER_ALARMS,
    around_a_line,
    by_day,
    hourly_effects,
    two_way_anova,
)
from streams.values import Floats, Value

CYCLE_DAYS = 1
"""Days of the shortest profile."""
TEST_DAYS = (1, 2, 3, 4, 5, 6, 7, 14)
"""Days after which the hours are tested: each day of the first week, then once for the week."""
LAST_DAYS = TEST_DAYS[-1]
MIN_SPREAD_ROWS = 8
"""Values of an hour whose spread is used: it is known to a quarter, as 1 / sqrt(2 x 7)."""
GUESS_SURE = 0.5
"""Part of the variance between the hours of a single day that must be beyond chance. By judgement:
no second day confirms it."""
SHARP = 2.0
"""A rise between two hours is a step if it is this many times those to the same side around it, and
`SHARP_MARGIN` more. By judgement."""
SHARP_MARGIN = 0.1
"""Standard deviations of a score: rises in a flat stretch of a profile are no steps."""
LEAST_SPREAD = 0.2
"""Smallest spread of an hour, in that of the average: the values of a nearly constant hour must not
be blown up without bounds."""
MIN_VARIANCE = 1e-6
"""Smallest variance of the scores of an hour, so that it has a logarithm."""
ROWS_AT_ONCE = 32
"""Values counted at once: a call for a few takes as long, and there is no test in between."""
_BYTES = 8
"""Size of a waiting minute, and of a waiting number."""
_SINGLE_BYTES = 4
"""Size of a single-precision number of an hour."""
_NO_KNOTS: Floats = np.empty(0)


class HourlyGrid(Machine):
    """Counts a series by the hour until it is known whether it has a daily or weekly profile.

    Attributes
    ----------
    due
        The minute at which the next test is due.
    alarms
        Alarms of the series since the grid began.
    """

    _began: int
    _columns: dict[Value | None, float] = field(default_factory=dict)
    """Of categories: the column in which each is counted; None stands for all others."""
    _knots: Floats | None = None
    """Of numbers: the table of a score, without hours."""
    _hours: bytearray = field(default_factory=bytearray)
    """Single-precision rows of the hours reached so far, from the one in which it began."""
    _minutes: bytearray = field(default_factory=bytearray)
    """The minutes of the values that are not counted yet."""
    _numbers: bytearray = field(default_factory=bytearray)
    _categories: list[Value] = field(default_factory=list)
    _learnt_minutes: int = 0
    _tested_days: int = 0
    _late: int = 0
    due: int = 0
    alarms: int = 0

    def __post_init__(self) -> None:
        # A kernel does not check its indices: stored hours of another size must not reach it.
        hours, rest = divmod(len(self._hours), _SINGLE_BYTES * (1 + self._measures))
        if rest or hours % DAY_HOURS or hours > hour_kernel.GRID_HOURS + DAY_HOURS:
            raise ValueError(f"{len(self._hours)} bytes of hours are no whole days of a fortnight")
        if self._knots is not None:
            refuse_knots(self._knots, hour_kernel.TABLE_HEAD, 0)
        waiting, rest = divmod(len(self._minutes), _BYTES)
        gathered = len(self._categories) if self._knots is None else len(self._numbers) / _BYTES
        if rest or waiting != gathered:
            raise ValueError(f"{waiting} minutes wait with {gathered} values")

    @classmethod
    def of(
        cls, sample: Sample, names: Sequence[Value | None], minutes: Minutes
    ) -> "HourlyGrid | None":
        """Return a grid that has counted the values of a reference.

        None where numbers have no profile that could be taken off: too few differ.

        Parameters
        ----------
        names
            The categories whose shares are counted, None for all others; none for numbers.
        minutes
            The minute of each value.
        """
        if not names and sample.commonest_rows > MIN_ATOM_SHARE * len(sample):
            return None
        ordered = np.sort(minutes)
        began = int(ordered[hour_kernel.LATE_ROWS - 1])
        latest = int(ordered[-hour_kernel.LATE_ROWS])
        knots = None if names else sample.scale.table(np.zeros(hour_kernel.TABLE_HEAD))
        columns = {name: float(column) for column, name in enumerate(names)}
        grid = cls(began, columns, knots, _learnt_minutes=max(latest - began, 0))
        grid._reach(0)
        if names:
            grid._add(grid._columns_of_sample(sample), minutes, None)
        else:
            grid._add(sample.clipped_scores, minutes, _NO_KNOTS)
        days = grid._learnt_minutes // DAY_MINUTES
        grid._pass(max((d for d in TEST_DAYS if d <= days), default=0))
        return grid

    @property
    def is_of_numbers(self) -> bool:
        """Whether it counts scores of numbers; else shares of categories."""
        return self._knots is not None

    @property
    def rows(self) -> int:
        """Values so far."""
        return int(self._grid[:, 0].sum(dtype=np.float64))

    def minutes_until(self, minute: int) -> int:
        """Return the minutes from its beginning to a minute."""
        return minute - self._began

    @property
    def has_seen_hours(self) -> bool:
        """Whether the reference it began with took an hour or more."""
        return self._learnt_minutes >= 60

    @property
    def is_young(self) -> bool:
        """Whether the first day is not over."""
        return self._tested_days < CYCLE_DAYS

    @property
    def is_over(self) -> bool:
        """Whether all tests have been made (Rule 2)."""
        return self._tested_days >= LAST_DAYS

    def rows_until_test(self, minutes: Minutes) -> int | None:
        """Return how many rows may still be read before the next test; None for all of them."""
        row, _ = hour_kernel.first_late(minutes, self.due, self._late)
        return None if row < 0 else row

    def pass_over(self, minutes: Minutes | None) -> None:
        """Advance by the minutes of rows that have been read, up to the next test at most.

        None if all of them are before ``due``.
        """
        self._late = (
            0 if minutes is None else hour_kernel.first_late(minutes, self.due, self._late)[1]
        )

    def _pass(self, days: int) -> None:
        """Take the tests of so many days as made; set the minute at which the next is due."""
        self._tested_days = days
        self.due = self._began + DAY_MINUTES * self._next_test

    @property
    def _next_test(self) -> int:
        return next((more for more in TEST_DAYS if more > self._tested_days), LAST_DAYS)

    def read(self, values: Sequence[Value], x: Floats | None, minutes: Minutes) -> None:
        """Take values into account; ``x`` are the same as doubles, where they are numbers."""
        self._minutes += minutes.tobytes()
        if self._knots is None:
            self._categories += values
        elif x is not None:
            self._numbers += x.tobytes()
        rows = len(self._minutes) // _BYTES
        if rows >= ROWS_AT_ONCE:  # as many as if they had come one by one
            self._count(rows // ROWS_AT_ONCE * ROWS_AT_ONCE)

    def _count(self, rows: int) -> None:
        """Add the first of the values that wait to their hours."""
        end = _BYTES * rows
        minutes = np.frombuffer(self._minutes, dtype=np.int64)[:rows]
        self._minutes = self._minutes[end:]
        if self._knots is None:
            x = self._columns_of(self._categories[:rows])
            del self._categories[:rows]
        else:
            x = np.frombuffer(self._numbers)[:rows]
            self._numbers = self._numbers[end:]
        self._add(x, minutes, self._knots)

    def _add(self, x: Floats, minutes: Minutes, knots: Floats | None) -> None:
        """Add values to their hours; ``knots`` are those of numbers, none where x are scores."""
        first = self._began // 60
        while (row := self._count_some(first, minutes, x, knots)) < len(minutes):
            minutes, x = minutes[row:], x[row:]
            self._reach((int(minutes[0]) // 60 - first) % hour_kernel.GRID_HOURS)

    def _count_some(self, first: int, minutes: Minutes, x: Floats, knots: Floats | None) -> int:
        if knots is None:
            return hour_kernel.count_hits(self._days, first, minutes, x)
        return hour_kernel.count_scores(self._days, first, minutes, x, knots)

    def _reach(self, hour: int) -> None:
        """Make room for an hour, counted from the first, and for the rest of its day."""
        hours = hour // DAY_HOURS * DAY_HOURS + DAY_HOURS
        rows = np.zeros((hours - len(self._days), self._days.shape[1]), dtype=np.float32)
        self._hours = self._hours + rows.tobytes()  # a view forbids to lengthen it in place

    @property
    def _days(self) -> Singles:
        """The hours reached so far, a row each: values, then the sums of their measures."""
        return np.frombuffer(self._hours, dtype=np.float32).reshape(-1, 1 + self._measures)

    @property
    def _measures(self) -> int:
        """The measures of an hour: of each category its share, of numbers level and square."""
        return len(self._columns) if self._knots is None else 2

    @property
    def _grid(self) -> Singles:
        """The hours of a whole fortnight, each at its place in it."""
        self._count(len(self._minutes) // _BYTES)
        days = self._days
        grid = np.zeros((hour_kernel.GRID_HOURS, days.shape[1]), dtype=np.float32)
        grid[self._places_of(len(days))] = days
        return grid

    def _places_of(self, hours: int) -> Minutes:
        """Return the places of the first hours in a fortnight."""
        places: Minutes = (self._began // 60 + np.arange(hours)) % hour_kernel.GRID_HOURS
        return places

    def _columns_of_sample(self, sample: Sample) -> Floats:
        watched = () if sample.categories is None else sample.categories.watched
        return self._columns_of([*watched, None])[sample.codes.astype(np.intp)]

    def _columns_of(self, values: Sequence[Value | None]) -> Floats:
        """Return the column of each category; those without a column get one beyond the last."""
        return coded(values, self._columns, self._columns.get(None, len(self._columns)))

    def test(self, *, may_guess: bool) -> HourProfile | None:
        """Make the test that is due; return the profile that is known by now.

        Parameters
        ----------
        may_guess
            Whether a profile of a single day is accepted.
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
        variances = np.maximum(self._cells(1) - means * means, MIN_VARIANCE)
        cells: Floats = np.where(rows >= MIN_SPREAD_ROWS, np.log(variances) / 2, np.nan)
        return cells

    def find(self) -> HourProfile | None:
        """Return the profile that has recurred, if any."""
        if self._tested_days <= CYCLE_DAYS:
            return None
        if self._knots is None:
            columns = [self._cells(k) for k in range(len(self._columns))]
        else:
            columns = [self._cells(0), self._log_spreads()]
        has_alarmed = self.alarms > 1
        weeks = 2 if self.is_over else self._tested_days // 7
        sure = SURE_AFTER_ALARMS if has_alarmed else SURE
        first_day = self._began // DAY_MINUTES % LAST_DAYS
        found = [hourly_effects(cells, weeks, sure, first_day) for cells in columns]
        if all(parts is None for parts in found):
            return None
        hours = max(len(parts) for parts in found if parts is not None)
        return self._profile([_spread_out(parts, hours) for parts in found])

    def _guess(self) -> HourProfile | None:
        """Return the profile of a single day, where its hours differ by more than chance."""
        rows = self._grid[:, 0].astype(np.float64)
        if self._knots is None:
            columns = [self._cells(k) for k in range(len(self._columns))]
            means = [float(np.nanmean(cells)) for cells in columns]
            noise = [mean * (1 - mean) for mean in means]
        else:
            columns = [self._cells(0), self._log_spreads()]
            noise = [float(np.nanmean(self._cells(1) - columns[0] ** 2)), 0.5]
        found: list[Floats | None] = []
        for cells, power in zip(columns, noise, strict=True):
            found_day = two_way_anova(by_day(cells))
            # In the order in which the hours came: a trend of the first day is no rhythm.
            in_order = np.roll(found_day.effects, -(self._began // 60 % DAY_HOURS))
            size = around_a_line(in_order)
            chance = float(power / np.mean(rows[rows > 0]))
            is_seen = size > 0 and 1 - chance / size > GUESS_SURE
            found.append(found_day.effects if is_seen else None)
        if all(parts is None for parts in found):
            return None
        return self._profile([_spread_out(parts, DAY_HOURS) for parts in found])

    def _profile(self, columns: list[Floats]) -> HourProfile:
        hours, days = len(columns[0]), self._tested_days
        if self._knots is None:
            shares = np.column_stack(columns).ravel()
            return HourProfile(hours=hours, days=days, names=tuple(self._columns), shares=shares)
        level, spread = columns
        head = self._knots.copy()
        head[PROFILE.hours] = hours
        grid = self._grid
        head[PROFILE.centre] = float(grid[:, 1].sum()) / float(grid[:, 0].sum())
        before, after = _slopes(level)
        parts = np.empty((hours, len(HOUR)))
        parts[:, HOUR.middle] = level
        parts[:, HOUR.before] = before
        parts[:, HOUR.after] = after
        parts[:, HOUR.spread] = np.maximum(np.exp(spread), LEAST_SPREAD)
        table = np.concatenate((head, parts.ravel()))
        return HourProfile(hours=hours, days=days, table=table)


def _spread_out(parts: Floats | None, hours: int) -> Floats:
    if parts is None:
        return np.zeros(hours)
    return np.tile(parts, hours // len(parts))


def _slopes(level: Floats) -> tuple[Floats, Floats]:
    """Return the slope before and after the middle of each hour.

    Between two middles a profile is a straight line, except at a step: a rise that is far greater
    than those before and after it. ``level`` is in scores.
    """
    rise = np.roll(level, -1) - level  # from the middle of each hour to that of the next
    # The fall after a job of one hour is as great as the rise before it: only rises to the same
    # side are of one slope.
    beside = [np.where(np.roll(rise, k) * rise > 0, np.roll(rise, k), 0.0) for k in (1, -1)]
    around = np.maximum(*np.abs(beside))
    after = np.where(np.abs(rise) > SHARP * around + SHARP_MARGIN, 0.0, rise)
    return np.roll(after, 1), after
