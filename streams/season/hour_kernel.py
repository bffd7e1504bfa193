"""Kernels of the hourly profile, compiled."""

import math
from typing import NamedTuple

import numpy as np

from streams.clock import WEEK_HOURS, Minutes
from streams.detect.compiled import Singles, compiled, slots
from streams.detect.score_kernel import (
    RAW_CLIP,
    SCALE,
    clipped,
    clipped_score,
    place_below,
    raw_score,
)
from streams.values import Floats


class ProfileSlots(NamedTuple):
    """The head of the table of a profile, behind that of its scale.

    Parameters
    ----------
    hours
        24 or 168; 0 in the table of a grid, which has no profile yet.
    centre
        Mean score of all rows.
    """

    hours: int
    centre: int


class HourSlots(NamedTuple):
    """The part of one hour, behind the knots and their scores.

    Parameters
    ----------
    middle
        Its part in the score, at the middle of the hour.
    before, after
        Slopes of that part in the two halves of the hour, in scores an hour.
    spread
        Factor of the standard deviation of the scores.
    """

    middle: int
    before: int
    after: int
    spread: int


PROFILE = slots(ProfileSlots, start=len(SCALE))
HOUR = slots(HourSlots)
TABLE_HEAD = len(SCALE) + len(PROFILE)
GRID_HOURS = 2 * WEEK_HOURS
"""Rows of a grid: for each hour the number of values, then the sums of their measures."""
LATE_ROWS = 3
"""So many instants in a row are believed: one from the future must not end a day."""


BEYOND = 0.01
"""Scores: the room beyond the bounds, for values to stay different. A hundredth of a deviation is
no change."""


@compiled
def _value_at(table: Floats, score: float) -> float:
    """Invert :func:`raw_score`."""
    knots = int(table[SCALE.knots])
    first, last = TABLE_HEAD + knots, TABLE_HEAD + 2 * knots - 1
    if score <= table[first]:
        return float(table[first - knots] + (score - table[first]) / table[SCALE.low_slope])
    if score >= table[last]:
        return float(table[last - knots] + (score - table[last]) / table[SCALE.high_slope])
    low = place_below(table, first, last, score)
    high = low + 1
    part = (score - table[low]) / (table[high] - table[low])
    return float(table[low - knots] * (1 - part) + table[high - knots] * part)


@compiled
def hour_part(table: Floats, first: int, minute: int) -> float:
    """Return the part of a minute in the score, from the line through the middles of hours."""
    at = first + (minute // 60) % int(table[PROFILE.hours]) * len(HOUR)
    way = (minute % 60 + 0.5) / 60 - 0.5
    slope = table[at + HOUR.before] if way < 0 else table[at + HOUR.after]
    return float(table[at + HOUR.middle] + way * slope)


@compiled
def _distinct_score(table: Floats, x: float) -> float:
    """Return the clipped score of a value, and less than `BEYOND` more for one beyond the bounds.

    Different values keep different scores: adjusted, they must not be one number that comes again
    and again.
    """
    raw = raw_score(table, TABLE_HEAD, x)
    score = clipped(raw, RAW_CLIP)
    beyond = raw - score
    return float(score + BEYOND * beyond / (1 + abs(beyond)) if math.isfinite(beyond) else score)


@compiled
def adjust(table: Floats, minutes: Minutes, values: Floats, adjusted: Floats) -> None:
    """Write each value as at an average hour; one without such a value stays as it is.

    Scores are clipped as those that the parts of the hours are means of.
    """
    first = TABLE_HEAD + 2 * int(table[SCALE.knots])
    for row in range(len(values)):
        x, minute = values[row], minutes[row]
        spread = table[first + (minute // 60) % int(table[PROFILE.hours]) * len(HOUR) + HOUR.spread]
        away = _distinct_score(table, x) - table[PROFILE.centre] - hour_part(table, first, minute)
        back = _value_at(table, away / spread + table[PROFILE.centre])
        adjusted[row] = back if math.isfinite(back) else x


@compiled
def count_scores(grid: Singles, first: int, minutes: Minutes, values: Floats, table: Floats) -> int:
    """Add the score of each value, and its square, to its hour; return how many were added.

    Hours are counted from ``first``. It stops before a value whose hour is beyond the grid. Without
    a ``table`` the values are scores.
    """
    for row in range(len(minutes)):
        hour = (minutes[row] // 60 - first) % GRID_HOURS
        if hour >= len(grid):
            return row
        score = values[row] if len(table) == 0 else clipped_score(table, TABLE_HEAD, values[row])
        grid[hour, 0] += np.float32(1.0)
        grid[hour, 1] += np.float32(score)
        grid[hour, 2] += np.float32(score * score)
    return len(minutes)


@compiled
def count_hits(grid: Singles, first: int, minutes: Minutes, columns: Floats) -> int:
    """Count each value in its hour and column, if it has one; return how many, as `count_scores`.

    ``columns`` are counted from 0; a value beyond the last counts in its hour only.
    """
    for row in range(len(minutes)):
        hour = (minutes[row] // 60 - first) % GRID_HOURS
        if hour >= len(grid):
            return row
        grid[hour, 0] += np.float32(1.0)
        column = 1 + int(columns[row])
        if column < grid.shape[1]:
            grid[hour, column] += np.float32(1.0)
    return len(minutes)


@compiled
def first_late(minutes: Minutes, due: int, already: int) -> tuple[int, int]:
    """Return the row that is the third in a row at ``due`` or later, or -1 (`LATE_ROWS`).

    ``already`` is their number before the first row; the second result is that after the last one.
    """
    run = already
    for row in range(len(minutes)):
        run = run + 1 if minutes[row] >= due else 0
        if run >= LATE_ROWS:
            return row, run
    return -1, run
