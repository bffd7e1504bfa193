"""Whether the hours of a series differ, and whether they differ alike each day or week.

Rule 1. A profile is believed when it recurs: hours must differ by more than the same hour differs
        from one day (or week) to the next. Changes, drifts and clumps do not recur.
"""

import math

import numpy as np
from msgspec import Struct

from streams.clock import DAY_HOURS, WEEK_HOURS
from streams.values import Floats

SURE = 4.5
"""Normal deviate beyond which a profile is believed: three times in a million by chance."""
SURE_AFTER_ALARMS = 3.0
"""The same where the series has alarmed twice since its grid began, as one with a profile does: by
chance once in 740."""
MIN_RESIDUAL_DF = 8.0
"""Fewer residual degrees of freedom decide nothing: Paulson's approximation does not hold there."""
WEEKDAY_RATIO = 20.0
"""Variance of the means of weekdays, in that by chance, beyond which a single week is believed. By
judgement: no second week confirms it."""
_ROUNDS = 10
"""Rounds of the estimate of day means and hours; a whole table needs one, a day of which a part is
missing a few."""


class Recurrence(Struct, frozen=True):
    """The effects of the hours, and the evidence that they recur.

    Parameters
    ----------
    effects
        The difference of each hour from the mean over all.
    ratio
        The variance between hours in that which the residuals explain: Fisher's F.
    sureness
        The standard normal deviate that is as improbable as this ratio.
    """

    effects: Floats
    ratio: float
    sureness: float

    @property
    def shrunk(self) -> Floats:
        """The effects, less the part of their size that is chance."""
        return self.effects * max(0.0, 1 - 1 / max(self.ratio, 1.0))


def two_way_anova(cells: Floats, spent_df: int = 0) -> Recurrence:
    """Test whether the columns of a table differ alike in all of its rows.

    A two-way analysis of variance without replication (Fisher 1925). Residuals with memory count
    for fewer rows. Paulson's approximation (1942) turns the ratio into a normal deviate.

    Parameters
    ----------
    cells
        A row for each day or week, a column for each hour; NaN for an hour without values.
    spent_df
        Degrees of freedom between the columns that an earlier estimate has used.

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
    hour_rows = is_seen.sum(axis=0)
    filled = np.where(is_seen, cells, 0.0)
    per_row, per_hour = np.maximum(is_seen.sum(axis=1), 1), np.maximum(hour_rows, 1)
    effects = np.zeros(cells.shape[1])
    for _ in range(_ROUNDS):
        means = ((filled - effects * is_seen).sum(axis=1) / per_row)[:, None]
        effects = (filled - means * is_seen).sum(axis=0) / per_hour
    residuals = np.where(is_seen, cells - means - effects, 0.0)
    hours, days = int((hour_rows > 0).sum()), int(is_seen.any(axis=1).sum())
    residual_df = int(is_seen.sum()) - days - hours + 1 - spent_df
    hour_df = hours - 1 - spent_df
    if residual_df <= 0 or hour_df <= 0:
        return Recurrence(effects, 0.0, 0.0)
    power = float((residuals * residuals).sum())
    noise = power / residual_df + 1e-12  # 1e-12: a table without noise has a ratio as well
    ratio = float((hour_rows * effects * effects).sum()) / hour_df / noise
    memory = float((residuals[:, 1:] * residuals[:, :-1]).sum()) / (power + 1e-12)
    independent = (1 - memory) / (1 + memory) if memory > 0 else 1.0
    sureness = _sureness(ratio, hour_df * independent, residual_df * independent)
    return Recurrence(effects, ratio, sureness)


def _sureness(ratio: float, hour_df: float, residual_df: float) -> float:
    if residual_df < MIN_RESIDUAL_DF or ratio <= 0:
        return 0.0
    a, b, root = 2 / (9 * max(hour_df, 1.0)), 2 / (9 * residual_df), ratio ** (1 / 3)
    return float(((1 - b) * root - (1 - a)) / math.sqrt(b * root * root + a))


def by_day(cells: Floats) -> Floats:
    """Return hours in a row as a row for each day."""
    return cells.reshape(-1, DAY_HOURS)


def hourly_effects(cells: Floats, weeks: int, sure: float = SURE) -> Floats | None:
    """Return the effects of the hours of the day or of the week, or None where none recur.

    Parameters
    ----------
    cells
        The hours of a fortnight.
    weeks
        Whole weeks seen: with 0 the week is not tested, with 1 whole weekdays are.
    sure
        Normal deviate beyond which a daily profile is believed.
    """
    day = two_way_anova(by_day(cells))
    daily = day.shrunk if day.sureness > sure else None
    if weeks == 0:
        return daily
    if weeks == 1:
        return None if daily is None else _with_weekdays(cells, daily)
    rest = cells.reshape(2, WEEK_HOURS) - np.tile(day.effects, 7)
    week = two_way_anova(rest, spent_df=DAY_HOURS - 1)
    if week.sureness <= SURE:
        return daily
    weekly: Floats = np.tile(day.effects, 7) + week.shrunk
    return weekly


def _with_weekdays(cells: Floats, daily: Floats) -> Floats:
    """Add the effects of whole weekdays, where they differ by more than their hours explain."""
    week = cells.reshape(2, WEEK_HOURS)
    is_seen = ~np.isnan(week)
    rest = np.where(is_seen, week - np.tile(daily, 7), 0.0).sum(axis=0)
    by_weekday = by_day(rest / np.maximum(is_seen.sum(0), 1))
    weekdays = by_weekday.mean(axis=1)
    chance = float(by_weekday.var(axis=1).mean()) / DAY_HOURS
    if float(weekdays.var()) < WEEKDAY_RATIO * chance:
        return daily
    weekly: Floats = np.tile(daily, 7) + np.repeat(weekdays - weekdays.mean(), DAY_HOURS)
    return weekly
