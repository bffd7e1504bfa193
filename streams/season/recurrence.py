"""Whether the hours of a series differ, and whether they differ alike each time.

Rule 1. A pattern is believed when it comes back: hours must differ by more than the same hour
        differs from one day (one week) to the next. Changes, drifts and clumps do not come back.
"""

import math
from dataclasses import dataclass

import numpy as np

from streams.clock import DAY_HOURS, WEEK_HOURS
from streams.values import Floats

SURE = 4.5
"""Deviations of a normal beyond which a rhythm is believed: three times in a million by chance."""
SURE_AFTER_ALARMS = 3.0
"""The same where the series has alarmed twice while it was gathered, as one with a rhythm does."""
MIN_DOUBT = 8.0  # fewer independent comparisons than this decide nothing
WEEK_SURE = 20.0


@dataclass(frozen=True, slots=True)
class Recurrence:
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


def two_way_anova(cells: Floats, lost: int = 0) -> Recurrence:
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
    >>> two_way_anova(noise).sureness < 3
    True
    >>> two_way_anova(noise + 3 * np.sin(np.arange(24) * math.pi / 12)).sureness > SURE
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
        return Recurrence(parts, 0.0, 0.0)
    power = float((rest * rest).sum())
    ratio = float((of_hour * parts * parts).sum()) / between / (power / doubt + 1e-12)
    memory = float((rest[:, 1:] * rest[:, :-1]).sum()) / (power + 1e-12)
    free = (1 - memory) / (1 + memory) if memory > 0 else 1.0
    return Recurrence(parts, ratio, _sureness(ratio, between * free, doubt * free))


def _sureness(ratio: float, between: float, doubt: float) -> float:
    if doubt < MIN_DOUBT or ratio <= 0:
        return 0.0
    a, b, root = 2 / (9 * max(between, 1.0)), 2 / (9 * doubt), ratio ** (1 / 3)
    return float(((1 - b) * root - (1 - a)) / math.sqrt(b * root * root + a))


def by_day(cells: Floats) -> Floats:
    """Return hours in a row as a row for each day."""
    return cells.reshape(-1, DAY_HOURS)


def hours_of(cells: Floats, weeks: int, sure: float = SURE) -> Floats | None:
    """Return what the hours add, of the day or (where so many weeks tell) of the week.

    Parameters
    ----------
    sure
        Deviations beyond which a day is believed.
    """
    day = two_way_anova(by_day(cells))
    of_day = day.shrunk if day.sureness > sure else None
    if weeks == 0:
        return of_day
    if weeks == 1:
        return None if of_day is None else _with_weekdays(cells, of_day)
    rest = cells.reshape(2, WEEK_HOURS) - np.tile(day.parts, 7)
    week = two_way_anova(rest, lost=DAY_HOURS - 1)
    if week.sureness <= SURE:
        return of_day
    whole: Floats = np.tile(day.parts, 7) + week.shrunk
    return whole


def _with_weekdays(cells: Floats, daily: Floats) -> Floats:
    """Add to the hours of the day what whole days add, where that is more than hours differ by."""
    week = cells.reshape(2, WEEK_HOURS)
    rows = ~np.isnan(week)
    rest = np.where(rows, week - np.tile(daily, 7), 0.0).sum(axis=0) / np.maximum(rows.sum(0), 1)
    by_weekday = by_day(rest)
    of_day = by_weekday.mean(axis=1)
    chance = float(by_weekday.var(axis=1).mean()) / DAY_HOURS
    if float(of_day.var()) < WEEK_SURE * chance:
        return daily
    whole: Floats = np.tile(daily, 7) + np.repeat(of_day - of_day.mean(), DAY_HOURS)
    return whole
