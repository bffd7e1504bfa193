"""The rhythm of a series: what the hour of the day or of the week adds to it.

Rule 1. A rhythm is believed when it comes back: the hours must differ by more than the same hour
        differs from one day (one week) to the next. Changes, drifts and clumps do not come back.
Rule 2. One instant from the future ends no day: it takes three values in a row.
Rule 3. After two weeks the question is settled, and what was gathered is dropped.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from streams import kernel
from streams.detect import Finding
from streams.reference import Floats, NumericReference, Value
from streams.rhythm import DAY_HOURS, Minutes, Rhythm

CYCLE_DAYS = 1
LAST_DAYS = 14
TEST_DAYS = (1, 2, 3, 4, 5, 6, 7, 14)
RELEARNT_DAYS = (1, 2, 7, 14)
SURE = 4.5
"""Deviations of a normal beyond which a rhythm is believed: three times in a million by chance."""

MIN_DOUBT = 8.0  # fewer independent comparisons than this decide nothing
MIN_SPREAD_ROWS = 8
GUESS_SURE = 0.5
WEEK_SURE = 20.0
SHARP = 2.0
MAX_SCORE = 7.0
LEAST_SPREAD = 0.2
MIN_ATOM_SHARE = 0.30
STATISTICAL = ("level", "spread", "share")


@dataclass(frozen=True, slots=True)
class Pattern:
    """What hours add, and how surely it comes back.

    Parameters
    ----------
    parts
        What each hour adds to the mean over all.
    ratio
        The variance between hours over that which an hour's own ups and downs explain.
    sureness
        How improbable that is by chance, in deviations of a normal.
    """

    parts: Floats
    ratio: float
    sureness: float

    @property
    def shrunk(self) -> Floats:
        """The parts, less what chance has added to their size."""
        return self.parts * max(0.0, 1 - 1 / max(self.ratio, 1.0))


def repeated(cells: Floats, lost: int = 0) -> Pattern:
    """Ask whether the columns of a table differ alike in all of its rows.

    A two-way analysis of variance without replication (Fisher 1925); rows that neighbours in time
    make alike count for less, and Paulson's approximation (1942) makes the ratio a normal.

    Parameters
    ----------
    cells
        A row for each day (or week), a column for each hour; NaN where there is nothing.
    lost
        Degrees of freedom that were spent before.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> noise = rng.normal(size=(7, 24))
    >>> repeated(noise).sureness < 3
    True
    >>> repeated(noise + 3 * np.sin(np.arange(24) * math.pi / 12)).sureness > SURE
    True
    """
    is_seen = ~np.isnan(cells)
    of_hour = is_seen.sum(axis=0)
    used = is_seen.any(axis=1)
    filled = np.where(is_seen, cells, 0.0)
    per_row, per_hour = is_seen.sum(axis=1), np.maximum(of_hour, 1)
    parts = np.zeros(cells.shape[1])
    for _ in range(10):  # days of which a part is missing have another mean
        means = ((filled - parts * is_seen).sum(axis=1) / np.maximum(per_row, 1))[:, None]
        parts = ((filled - means * is_seen).sum(axis=0)) / per_hour
    rest = np.where(is_seen, cells - means - parts, 0.0)
    hours = int((of_hour > 0).sum())
    doubt = int(is_seen.sum()) - int(used.sum()) - hours + 1 - lost
    between = hours - 1 - lost
    if doubt <= 0 or between <= 0:
        return Pattern(parts, 0.0, 0.0)
    power = float((rest * rest).sum())
    ratio = float((of_hour * parts * parts).sum()) / between / (power / doubt + 1e-12)
    memory = float((rest[:, 1:] * rest[:, :-1]).sum()) / (power + 1e-12)
    free = (1 - memory) / (1 + memory) if memory > 0 else 1.0
    return Pattern(parts, ratio, _sureness(ratio, between * free, doubt * free))


def _sureness(ratio: float, between: float, doubt: float) -> float:
    if doubt < MIN_DOUBT or ratio <= 0:
        return 0.0
    a, b, root = 2 / (9 * max(between, 1.0)), 2 / (9 * doubt), ratio ** (1 / 3)
    return float(((1 - b) * root - (1 - a)) / math.sqrt(b * root * root + a))


class Calendar:
    """Gathers a series by the hour until it is known whether it has a rhythm.

    Parameters
    ----------
    began
        The minute at which its first day begins.
    knots
        For numbers: the table of a score, without hours.
    names
        For categories: those that are counted; None stands for all others.
    """

    def __init__(
        self, began: int, *, knots: Floats | None = None, names: Sequence[Value | None] = ()
    ) -> None:
        self._began = began
        self._knots = knots
        self._names = tuple(names)
        self._places = {name: place for place, name in enumerate(self._names)}
        columns = 2 if knots is not None else len(self._names)
        self._grid = np.zeros((kernel.GRID_HOURS, 1 + columns), dtype=np.float32)
        self._learnt_minutes = 0
        self._tested_days = 0
        self._late = 0
        self.alarms = 0

    @classmethod
    def of(
        cls, values: Sequence[Value], names: Sequence[Value | None], minutes: Minutes
    ) -> "Calendar | None":
        """Begin with the values of a reference; without names they are numbers.

        None where numbers have no rhythm that could be taken off: too few differ.
        """
        ordered = np.sort(minutes)
        began, latest = int(ordered[kernel.LATE_ROWS - 1]), int(ordered[-kernel.LATE_ROWS])
        if names:
            calendar = cls(began, names=names)
        else:
            x = np.array(values, dtype=np.float64)
            most = np.unique(x, return_counts=True)[1].max()
            if most > MIN_ATOM_SHARE * len(x):
                return None
            calendar = cls(began, knots=_score_table(x))
        calendar.read(values, minutes)
        calendar._learnt_minutes = max(latest - began, 0)
        days = calendar._learnt_minutes // (60 * DAY_HOURS)
        calendar._tested_days = max((d for d in TEST_DAYS if d <= days), default=0)
        return calendar

    @property
    def is_of_numbers(self) -> bool:
        """Whether it gathers scores of numbers; else shares of categories."""
        return self._knots is not None

    @property
    def rows(self) -> int:
        """Values gathered so far."""
        return int(self._grid[:, 0].sum(dtype=np.float64))

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
        """Whether the question is settled (Rule 3)."""
        return self._tested_days >= LAST_DAYS

    def rows_until_test(self, minutes: Minutes) -> int | None:
        """Return how many rows may still be read before the next test; None for all of them."""
        due = self._began + 60 * DAY_HOURS * self._next_test
        row, _ = kernel.first_late(minutes, due, self._late)
        return None if row < 0 else row

    def pass_over(self, minutes: Minutes) -> None:
        """Let the time of rows pass that have been read; none of them is beyond the next test."""
        due = self._began + 60 * DAY_HOURS * self._next_test
        _, self._late = kernel.first_late(minutes, due, self._late)

    @property
    def _next_test(self) -> int:
        return next((days for days in TEST_DAYS if days > self._tested_days), LAST_DAYS)

    def read(self, values: Sequence[Value], minutes: Minutes) -> None:
        """Count values to their hours."""
        kernel.gather(self._grid, minutes, self._measures(values))

    def _measures(self, values: Sequence[Value]) -> Floats:
        if self._knots is None:
            other = len(self._names) - 1 if self._names[-1] is None else len(self._names)
            get = self._places.get
            codes = np.array([get(value, other) for value in values])
            hits: Floats = (codes[:, None] == np.arange(len(self._names))).astype(np.float64)
            return hits
        scores = np.empty(len(values))
        kernel.score_all(self._knots, np.array(values, dtype=np.float64), MAX_SCORE, scores)
        return np.column_stack((scores, scores * scores))

    def test(self, *, may_guess: bool) -> Rhythm | None:
        """Pass the next test; return the rhythm that is known by now.

        Parameters
        ----------
        may_guess
            Whether a single cycle is believed, where nothing better is known.
        """
        self._tested_days = self._next_test
        self._late = 0
        if self._tested_days == CYCLE_DAYS and may_guess:
            return self._guess()
        return self.find()

    def _cells(self, column: int) -> Floats:
        """Return the mean of a measure in each hour of two weeks."""
        rows = self._grid[:, 0].astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            cells: Floats = np.where(rows > 0, self._grid[:, 1 + column] / rows, np.nan)
        return cells

    def _log_spreads(self) -> Floats:
        rows, means = self._grid[:, 0], self._cells(0)
        variances = np.maximum(self._cells(1) - means * means, 1e-6)
        cells: Floats = np.where(rows >= MIN_SPREAD_ROWS, np.log(variances) / 2, np.nan)
        return cells

    def find(self) -> Rhythm | None:
        """Return the rhythm that has come back, if any."""
        if self._tested_days <= CYCLE_DAYS:
            return None
        if self._knots is None:
            columns = [self._cells(k) for k in range(len(self._names))]
        else:
            columns = [self._cells(0), self._log_spreads()]
        weeks = 2 if self.is_over else self._tested_days // 7 * (self.alarms > 1)
        found = [_pattern_of(cells, weeks) for cells in columns]
        if all(parts is None for parts in found):
            return None
        hours = max(len(parts) for parts in found if parts is not None)
        return self._rhythm([_spread_out(parts, hours) for parts in found])

    def _guess(self) -> Rhythm | None:
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
            pattern = repeated(_by_day(cells))
            size = float(np.nanmean(pattern.parts**2))
            chance = float(power / np.mean(rows[rows > 0]))
            is_seen = size > 0 and 1 - chance / size > GUESS_SURE
            found.append(pattern.parts if is_seen else None)
        if all(parts is None for parts in found):
            return None
        return self._rhythm([_spread_out(parts, DAY_HOURS) for parts in found])

    def _rhythm(self, columns: list[Floats]) -> Rhythm:
        hours, days = len(columns[0]), self._tested_days
        if self._knots is None:
            return Rhythm(hours, names=self._names, shares=np.column_stack(columns), days=days)
        level, spread = columns
        head = self._knots.copy()
        head[kernel.HOURS] = hours
        rows = float(self._grid[:, 0].sum())
        head[kernel.CENTRE] = float(self._grid[:, 1].sum()) / rows
        before, after = _slopes(level)
        parts = np.empty((hours, kernel.HOUR_PARTS))
        parts[:, kernel.MIDDLE] = level
        parts[:, kernel.BEFORE] = before
        parts[:, kernel.AFTER] = after
        parts[:, kernel.SPREAD] = np.maximum(np.exp(spread), LEAST_SPREAD)
        return Rhythm(hours, table=np.concatenate((head, parts.ravel())), days=days)

    def snapshot(self) -> dict[str, Any]:
        """Return the state as a tree for :func:`streams.blob.pack`."""
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
    def restore(cls, tree: dict[str, Any]) -> "Calendar":
        """Return the calendar as it was."""
        calendar = cls(tree["began"], knots=tree["knots"], names=tree["names"])
        grid = np.frombuffer(tree["grid"], dtype=np.float32)
        calendar._grid = grid.reshape(calendar._grid.shape).copy()
        calendar._tested_days = tree["tested_days"]
        calendar._late = tree["late"]
        calendar._learnt_minutes = tree["learnt_minutes"]
        calendar.alarms = tree["alarms"]
        return calendar


def _score_table(x: Floats) -> Floats:
    made = NumericReference.of(x)
    head = np.zeros(kernel.TABLE_HEAD)
    head[kernel.GRID_KNOTS] = len(made.knots)
    head[kernel.GRID_LOW_SLOPE] = made.low_slope
    head[kernel.GRID_HIGH_SLOPE] = made.high_slope
    return np.concatenate((head, made.knots, made.scores))


def _by_day(cells: Floats) -> Floats:
    return cells.reshape(-1, DAY_HOURS)


def _pattern_of(cells: Floats, weeks: int) -> Floats | None:
    """Return what the hours add, of the day or (where so many weeks tell) of the week."""
    day = repeated(_by_day(cells))
    by_day = day.shrunk if day.sureness > SURE else None
    if weeks == 0:
        return by_day
    if weeks == 1:
        return None if by_day is None else _first_week(cells, by_day)
    rest = cells.reshape(2, kernel.WEEK_HOURS) - np.tile(day.parts, 7)
    week = repeated(rest, lost=DAY_HOURS - 1)
    if week.sureness <= SURE:
        return by_day
    whole: Floats = np.tile(day.parts, 7) + week.shrunk
    return whole


def _first_week(cells: Floats, by_day: Floats) -> Floats:
    """Add to the hours of the day what whole days add, where that is more than hours differ by."""
    week = cells.reshape(2, kernel.WEEK_HOURS)
    rows = ~np.isnan(week)
    rest = np.where(rows, week - np.tile(by_day, 7), 0.0).sum(axis=0) / np.maximum(rows.sum(0), 1)
    by_weekday = _by_day(rest)
    of_day = by_weekday.mean(axis=1)
    chance = float(by_weekday.var(axis=1).mean()) / DAY_HOURS
    if float(of_day.var()) < WEEK_SURE * chance:
        return by_day
    whole: Floats = np.tile(by_day, 7) + np.repeat(of_day - of_day.mean(), DAY_HOURS)
    return whole


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


class Season:
    """What is known of the rhythm of one series, and whether it must wait to know more."""

    def __init__(self) -> None:
        self.rhythm: Rhythm | None = None
        self._calendar: Calendar | None = None
        self._is_waiting = False
        self._is_doubted = False

    def learn(
        self,
        values: Sequence[Value],
        is_of_numbers: bool,
        names: Sequence[Value | None],
        minutes: Minutes,
    ) -> Rhythm | None:
        """Look at the values of a reference; return the rhythm to take off them, if any."""
        known = self._calendar or self.rhythm
        if known is not None and known.is_of_numbers != is_of_numbers:
            self.rhythm = self._calendar = None
        if not self._is_doubted and self.rhythm is not None and self._calendar is None:
            return self.rhythm
        if self._calendar is not None and self._calendar.rows > len(values):
            return self.rhythm
        if is_of_numbers == bool(names) or all(value == values[0] for value in values):
            return self.rhythm
        self._calendar = Calendar.of(values, names, minutes)
        if self._calendar is not None:
            self._is_doubted = False
            self._take(self._calendar.find())
        return self.rhythm

    def rows_until_test(self, minutes: Minutes) -> int | None:
        """Return how many rows may be read before `test` is due; None for all of them."""
        return None if self._calendar is None else self._calendar.rows_until_test(minutes)

    def read(self, values: Sequence[Value], minutes: Minutes, passed: Minutes) -> None:
        """Gather values, and let the time of all rows pass."""
        if self._calendar is not None:
            self._calendar.read(values, minutes)
            self._calendar.pass_over(passed)

    def test(self) -> bool:
        """Make the test that is due; return whether the series must be learnt anew."""
        calendar, before, was_waiting = self._calendar, self.rhythm, self._is_waiting
        if calendar is None:
            return False
        found = calendar.test(may_guess=was_waiting or calendar.alarms > 1)
        self._take(found)
        self._is_waiting = False
        return was_waiting or _kind_of(before) != _kind_of(self.rhythm)

    def _take(self, found: Rhythm | None) -> None:
        """Take over what a test has found, unless more is known."""
        calendar, before = self._calendar, self.rhythm
        is_over = calendar is None or calendar.is_over
        if is_over or before is None or before.is_guess or (found and found.days >= before.days):
            self.rhythm = found
        if is_over:
            self._calendar, self._is_doubted = None, False

    def explains(self, finding: Finding, *, is_steady: bool) -> bool:
        """Tell whether a change may be the first day's rhythm; then it waits to know more.

        That is so where the series had moved that way before, or moved within its reference, and
        no day has been seen to its end.
        """
        calendar = self._calendar
        if calendar is None or not calendar.is_young or finding.aspect not in STATISTICAL:
            return False
        has_moved = finding.has_crept or (calendar.has_seen_hours and not is_steady)
        self._is_waiting = has_moved
        return has_moved

    def note(self, finding: Finding) -> None:
        """Take note of an alarm: what one day seemed to say is refuted by it."""
        if finding.aspect not in STATISTICAL:
            return
        self._is_doubted = True
        if self._calendar is not None:
            self._calendar.alarms += 1
        if self.rhythm is not None and self.rhythm.days == CYCLE_DAYS:
            self.rhythm = None

    def describe(self) -> dict[str, object]:
        """Return what is known of the rhythm, for display."""
        return {
            "hours": self.rhythm and self.rhythm.hours,
            "is_guess": self.rhythm is not None and self.rhythm.is_guess,
            "is_observed": self._calendar is not None,
            "is_waiting": self._is_waiting,
        }

    def snapshot(self) -> dict[str, Any]:
        """Return the state as a tree for :func:`streams.blob.pack`."""
        return {
            "rhythm": self.rhythm and self.rhythm.snapshot(),
            "calendar": self._calendar and self._calendar.snapshot(),
            "is_waiting": self._is_waiting,
            "is_doubted": self._is_doubted,
        }

    @classmethod
    def restore(cls, tree: dict[str, Any] | None) -> "Season":
        """Return the season as it was; without a tree, one that has seen nothing."""
        season = cls()
        if tree is not None:
            season.rhythm = tree["rhythm"] and Rhythm.restore(tree["rhythm"])
            season._calendar = tree["calendar"] and Calendar.restore(tree["calendar"])
            season._is_waiting = tree["is_waiting"]
            season._is_doubted = tree["is_doubted"]
        return season


def _kind_of(rhythm: Rhythm | None) -> tuple[int, int]:
    """Return what makes a reference another: the cycle, and roughly how well it is known."""
    if rhythm is None:
        return 0, 0
    return rhythm.hours, max(days for days in RELEARNT_DAYS if days <= rhythm.days)
