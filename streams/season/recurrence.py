"""Whether the hours of a series differ, and whether they differ alike each day or week.

Rule 1. A profile is believed when it recurs: hours must differ by more than the same hour differs
        from one day (or week) to the next. Changes, drifts and clumps do not recur.
Rule 2. What drifts is not seasonal: a steady trend rises within each day, and that recurs. A
        profile must recur with the drift from day to day taken off as well.
"""

import math
from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from streams.clock import DAY_HOURS, WEEK_HOURS
from streams.season.day_kinds import WEEKEND
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
FEWEST_DAYS = 3
"""Days that show a trend: two always lie on a line."""
MOSTLY = 0.8
"""Part of the variance of days that a line explains, where they follow a trend; and the part of the
sureness that is left without the drift, where it matters. By judgement."""
ABOUT_AS_WELL = 1.1
"""Residual variance in that of the test without a drift, up to which a drift explains about as
well. A steady drift leaves the same: there it counts as a part of the hours. By judgement."""
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
    noise
        The variance of the residuals.
    drifts
        Whether the rows follow a trend: then it explains the alarms of the series.
    """

    effects: Floats
    ratio: float
    sureness: float
    noise: float = 0.0
    drifts: bool = False

    @property
    def shrunk(self) -> Floats:
        """The effects, less the part of their size that is chance."""
        return self.effects * max(0.0, 1 - 1 / max(self.ratio, 1.0))


def two_way_anova(cells: Floats, spent_df: int = 0) -> Recurrence:
    """Test whether the columns of a table differ alike in all of its rows, beside a drift (Rule 2).

    It is as sure as the less sure of two tests: of the table, and of the table without its drift.
    The drift of a row is a straight line through its middle, as steep as the means of the rows
    around it. Its effects are taken unless its residuals are clearly greater.

    Parameters
    ----------
    cells, spent_df
        As for `plain_anova`.
    """
    plain = plain_anova(cells, spent_df)
    if plain.sureness <= 0:
        return plain
    is_seen = ~np.isnan(cells)
    rows = np.flatnonzero(2 * is_seen.sum(axis=1) >= cells.shape[1])  # the mean of few tells none
    if len(rows) < 2:
        return plain
    rest = np.where(is_seen, cells - plain.effects, 0.0)
    means = rest[rows].sum(axis=1) / is_seen[rows].sum(axis=1)
    slopes = np.interp(np.arange(len(cells)), rows, np.gradient(means, rows))
    columns = cells.shape[1]
    along = (np.arange(columns) + 0.5) / columns - 0.5
    drifted = plain_anova(cells - slopes[:, None] * along, spent_df)
    better = drifted if drifted.noise <= ABOUT_AS_WELL * plain.noise else plain
    return Recurrence(
        better.effects,
        better.ratio,
        min(plain.sureness, drifted.sureness),
        better.noise,
        drifted.sureness < MOSTLY * plain.sureness and _drifts(means, better.noise / columns),
    )


def plain_anova(cells: Floats, spent_df: int = 0) -> Recurrence:
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
    >>> plain_anova(noise).sureness < 3
    True
    >>> plain_anova(noise + 3 * np.sin(np.arange(24) * math.pi / 12)).sureness > SURE
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
    return Recurrence(effects, ratio, sureness, noise)


def _sureness(ratio: float, hour_df: float, residual_df: float) -> float:
    if residual_df < MIN_RESIDUAL_DF or ratio <= 0:
        return 0.0
    a, b, root = 2 / (9 * max(hour_df, 1.0)), 2 / (9 * residual_df), ratio ** (1 / 3)
    return float(((1 - b) * root - (1 - a)) / math.sqrt(b * root * root + a))


def by_day(cells: Floats) -> Floats:
    """Return hours in a row as a row for each day."""
    return cells.reshape(-1, DAY_HOURS)


def hourly_effects(
    cells: Floats, weeks: int, sure: float = SURE, first_day: int = 0
) -> Floats | None:
    """Return the effects of the hours of the day or of the week, or None where none recur.

    Parameters
    ----------
    cells
        The hours of a fortnight.
    weeks
        Whole weeks seen: with 0 the week is not tested, with 1 whole weekdays are believed where
        weekends differ from the other days, and little else does.
    sure
        Normal deviate beyond which a daily profile is believed.
    first_day
        The day of the fortnight that came first: a trend goes on from there.
    """
    weekend = [(each - first_day) % 7 for each in WEEKEND]
    in_order = np.roll(cells, -DAY_HOURS * first_day)
    effects = _effects_in_order(in_order, weeks, sure, weekend)
    if effects is None or len(effects) == DAY_HOURS:
        return effects
    return np.roll(effects, DAY_HOURS * first_day)


def _effects_in_order(
    cells: Floats, weeks: int, sure: float, weekend: Sequence[int]
) -> Floats | None:
    day = two_way_anova(by_day(cells))
    daily = day.shrunk if day.sureness > (SURE if day.drifts else sure) else None
    if weeks == 0:
        return daily
    if weeks == 1:
        return _with_weekdays(cells, daily, weekend)
    rest = cells.reshape(2, WEEK_HOURS) - np.tile(day.effects, 7)
    week = two_way_anova(rest, spent_df=DAY_HOURS - 1)
    if week.sureness <= SURE:
        return daily
    weekly: Floats = np.tile(day.effects, 7) + week.shrunk
    return weekly


def _with_weekdays(cells: Floats, daily: Floats | None, weekend: Sequence[int]) -> Floats | None:
    """Add the effects of whole weekdays, where weekends differ by more than their hours explain."""
    hours = np.zeros(DAY_HOURS) if daily is None else daily
    week = cells.reshape(2, WEEK_HOURS)
    is_seen = ~np.isnan(week)
    rest = np.where(is_seen, week - np.tile(hours, 7), 0.0).sum(axis=0)
    by_weekday = by_day(rest / np.maximum(is_seen.sum(0), 1))
    weekdays = by_weekday.mean(axis=1)
    chance = float(by_weekday.var(axis=1).mean()) / DAY_HOURS
    if min(float(weekdays.var()), around_a_line(weekdays)) < WEEKDAY_RATIO * chance:
        return daily
    if not _are_two_kinds(weekdays, weekend):
        return daily
    weekly: Floats = np.tile(hours, 7) + np.repeat(weekdays - weekdays.mean(), DAY_HOURS)
    return weekly


def _are_two_kinds(weekdays: Floats, weekend: Sequence[int]) -> bool:
    """Tell whether weekends explain most of the differences of weekdays."""
    kinds = np.zeros(len(weekdays))
    kinds[list(weekend)] = 1.0
    around = [weekdays[kinds == kind] - weekdays[kinds == kind].mean() for kind in (0.0, 1.0)]
    left = float((np.concatenate(around) ** 2).mean())
    return left < (1 - MOSTLY) * float(weekdays.var())


def _drifts(means: Floats, variance: float) -> bool:
    """Tell whether means in a row follow a line, by more than their variance explains."""
    total = float(means.var())
    explained = total - around_a_line(means)
    if len(means) < FEWEST_DAYS:
        return False
    is_sure = len(means) * explained > SURE * SURE * variance
    return is_sure and explained > MOSTLY * total


def around_a_line(means: Floats) -> float:
    """Return the variance of means in a row around their trend (Rule 2)."""
    at = np.arange(len(means))
    slope, level = np.polyfit(at, means, 1)
    return float((means - slope * at - level).var())
