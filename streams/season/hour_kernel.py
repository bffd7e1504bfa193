"""Kernels of the hourly profile, compiled."""

import math

import numpy as np

from streams.clock import WEEK_HOURS, Minutes
from streams.detect.compiled import Singles, compiled
from streams.detect.score_kernel import (
    CENTRE,
    GRID_HIGH_SLOPE,
    GRID_KNOTS,
    GRID_LOW_SLOPE,
    HOURS,
    TABLE_HEAD,
    held_score,
    place_below,
    raw_score,
)
from streams.values import Floats

# Hours. A grid has a row for each hour of two weeks: how many values, then the sums of their
# measures. A rhythm's table is a head, the knots of a score, then what each hour adds to it.
GRID_HOURS = 2 * WEEK_HOURS
MIDDLE, BEFORE, AFTER, SPREAD, HOUR_PARTS = 0, 1, 2, 3, 4
LATE_ROWS = 3


@compiled
def _value_at(table: Floats, score: float) -> float:
    """Invert :func:`raw_score`."""
    knots = int(table[GRID_KNOTS])
    first, last = TABLE_HEAD + knots, TABLE_HEAD + 2 * knots - 1
    if score <= table[first]:
        return float(table[first - knots] + (score - table[first]) / table[GRID_LOW_SLOPE])
    if score >= table[last]:
        return float(table[last - knots] + (score - table[last]) / table[GRID_HIGH_SLOPE])
    low = place_below(table, first, last, score)
    high = low + 1
    part = (score - table[low]) / (table[high] - table[low])
    return float(table[low - knots] * (1 - part) + table[high - knots] * part)


@compiled
def hour_part(table: Floats, first: int, minute: int) -> float:
    """Return what a minute adds, between the middles of the hours around it."""
    at = first + (minute // 60) % int(table[HOURS]) * HOUR_PARTS
    way = (minute % 60 + 0.5) / 60 - 0.5
    slope = table[at + BEFORE] if way < 0 else table[at + AFTER]
    return float(table[at + MIDDLE] + way * slope)


@compiled
def adjust(table: Floats, minutes: Minutes, values: Floats, adjusted: Floats) -> None:
    """Write what each value would be at an hour like the average."""
    first = TABLE_HEAD + 2 * int(table[GRID_KNOTS])
    for row in range(len(values)):
        x, minute = values[row], minutes[row]
        spread = table[first + (minute // 60) % int(table[HOURS]) * HOUR_PARTS + SPREAD]
        away = raw_score(table, x) - table[CENTRE] - hour_part(table, first, minute)
        back = _value_at(table, away / spread + table[CENTRE])
        adjusted[row] = back if math.isfinite(back) else x


@compiled
def gather_scores(
    grid: Singles, first: int, minutes: Minutes, values: Floats, table: Floats
) -> int:
    """Add the score of each value, and its square, to its hour; return how many were added.

    Hours are counted from ``first``. It ends before a value whose hour the grid does not reach.
    Without a ``table`` the values are scores.
    """
    for row in range(len(minutes)):
        hour = (minutes[row] // 60 - first) % GRID_HOURS
        if hour >= len(grid):
            return row
        held = values[row] if len(table) == 0 else held_score(table, values[row])
        grid[hour, 0] += np.float32(1.0)
        grid[hour, 1] += np.float32(held)
        grid[hour, 2] += np.float32(held * held)
    return len(minutes)


@compiled
def gather_hits(grid: Singles, first: int, minutes: Minutes, columns: Floats) -> int:
    """Count each value to its hour, and there to its column, if there is one; return how many.

    As :func:`gather_scores`.
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
    """Return the row at which ``LATE_ROWS`` in a row have come at ``due`` or later, or -1.

    ``already`` is how many had come in a row before; the second result is how many have by now.
    One instant from the future must not end a day.
    """
    run = already
    for row in range(len(minutes)):
        run = run + 1 if minutes[row] >= due else 0
        if run >= LATE_ROWS:
            return row, run
    return -1, run
