"""The inner loops: CUSUM statistics over float64 arrays, compiled.

Rule 1. A kernel's whole state is one float64 array: a snapshot is its bytes.
Rule 2. A kernel reads one value after the other and stops at the first alarm, so where a batch ends
        changes nothing, not even the last bit (no fast-math, no reordering).
Rule 3. A kernel never refuses a value: what cannot be used was left out by the caller.

River's PageHinkley with ``alpha=1`` is the same statistic as :func:`run_levels`; it costs ten times
as much a value because each of its objects is called from Python. The contract tests hold the two
against each other, row for row.
"""

import math
from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from streams.clock import WEEK_HOURS, Minutes
from streams.values import Floats

Singles = NDArray[np.float32]
Runs = NDArray[np.int64]
Places = NDArray[np.intp]
_Kernel = TypeVar("_Kernel", bound=Callable[..., object])


def compiled(function: _Kernel) -> _Kernel:
    """Compile a function, once a machine: what is compiled is kept on disk."""
    return cast("_Kernel", numba.njit(cache=True, error_model="numpy")(function))


# State of run_levels: a head, six statistics, the knots, the scores of the knots.
LEARNT_ROWS = 0  # alarms are raised only beyond these
COUNT = 1
MEAN = 2  # running mean of e
MEAN_SQUARE = 3  # running mean of e squared
PREVIOUS = 4  # the last standardised score
PHI = 5
INNOVATION_SCALE = 6
SCORE_MEAN = 7
SCORE_SCALE = 8
KNOTS = 9
LOW_SLOPE = 10
HIGH_SLOPE = 11
HEAD = 12

STATISTICS = 6  # level slow up, slow down, fast up, fast down; spread up, spread down
SPREAD_UP, SPREAD_DOWN = 4, 5
SUM, THRESHOLD, DELTA, ROWS, VALUES, SCORES, SQUARES, TOP, STATISTIC_SIZE = (
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
)
LEVELS_SIZE = HEAD + STATISTICS * STATISTIC_SIZE

CLIP = 3.5
"""Scores are held within this many standard deviations: one wild value must not page anyone."""
_RAW_CLIP = 2 * CLIP


@compiled
def place_below(knots: Floats, first: int, last: int, x: float) -> int:
    """Return the place, before ``last``, of the last knot from ``first`` on that is not above x."""
    low, high = first, last
    while high - low > 1:
        middle = (low + high) // 2
        if knots[middle] <= x:
            low = middle
        else:
            high = middle
    return low


@compiled
def _on_line(x: float, low: float, high: float, low_score: float, high_score: float) -> float:
    # Halved: the whole difference of two doubles may be beyond a double.
    part = (x / 2 - low / 2) / (high / 2 - low / 2)
    return low_score + part * (high_score - low_score)


@compiled
def _raw(table: Floats, knots_at: int, first: int, x: float) -> float:
    """Return the score of a value: interpolated between knots, extended beyond them.

    At ``knots_at`` the table says how many knots there are, then the slopes below and above them.
    They stand from ``first`` on, and after them their scores.
    """
    knots = int(table[knots_at])
    last = first + knots - 1
    if x <= table[first]:
        return float(table[first + knots] + (x - table[first]) * table[knots_at + 1])
    if x >= table[last]:
        return float(table[last + knots] + (x - table[last]) * table[knots_at + 2])
    low = place_below(table, first, last, x)
    high = low + 1
    return float(_on_line(x, table[low], table[high], table[low + knots], table[high + knots]))


@compiled
def _hold(raw: float) -> float:
    return max(-_RAW_CLIP, min(_RAW_CLIP, raw))


@compiled
def score(state: Floats, x: float) -> float:
    """Return the normal score of a value."""
    raw = _raw(state, KNOTS, LEVELS_SIZE, x)
    return _standard(_hold(raw), state[SCORE_MEAN], state[SCORE_SCALE])


@compiled
def _standard(raw: float, mean: float, scale: float) -> float:
    return max(-CLIP, min(CLIP, (raw - mean) * scale))


@compiled
def _add(state: Floats, at: int, step: float, x: float, e: float) -> float:
    """Advance one CUSUM and what is remembered of its run; return how far it is to its alarm."""
    total: float = state[at] + step - state[at + DELTA]
    if total <= 0.0:
        state[at] = 0.0
        state[at + ROWS] = 0.0
        state[at + VALUES] = 0.0
        state[at + SCORES] = 0.0
        state[at + SQUARES] = 0.0
        return 0.0
    state[at] = total
    state[at + ROWS] += 1.0
    state[at + VALUES] += x
    state[at + SCORES] += e
    state[at + SQUARES] += e * e
    state[at + TOP] = max(state[at + TOP], total)
    reach: float = total / state[at + THRESHOLD]
    return reach


@compiled
def run_levels(state: Floats, values: Floats, scores: Floats, scale: float) -> int:
    """Read values until a statistic passes its threshold.

    Writes the whitened score of each value read, times ``scale``, to ``scores``. Returns
    ``row * STATISTICS + statistic`` of the alarm, or -1 when all values were read without one.
    """
    for row in range(len(values)):
        scores[row] = score(state, values[row])
    return _run_scores(state, values, scores, scale)


@compiled
def run_held(state: Floats, values: Floats, held: Floats, scores: Floats, scale: float) -> int:
    """Do what `run_levels` does with values whose raw scores are known."""
    for row in range(len(values)):
        scores[row] = _standard(held[row], state[SCORE_MEAN], state[SCORE_SCALE])
    return _run_scores(state, values, scores, scale)


@compiled
def _run_scores(state: Floats, values: Floats, scores: Floats, scale: float) -> int:
    for row in range(len(values)):
        x, z = values[row], scores[row]
        e = (z - state[PHI] * state[PREVIOUS]) * state[INNOVATION_SCALE]
        e = max(-CLIP, min(CLIP, e))
        state[PREVIOUS] = z
        scores[row] = e * scale
        state[COUNT] += 1.0
        weight = 1.0 / state[COUNT]
        state[MEAN] += weight * (e - state[MEAN])
        state[MEAN_SQUARE] += weight * (e * e - state[MEAN_SQUARE])
        step = e - state[MEAN]
        square_step = e * e - state[MEAN_SQUARE]
        worst, statistic, at = 1.0, -1, HEAD
        for k in range(STATISTICS):
            size = step if k < SPREAD_UP else square_step
            reach = _add(state, at, size if k % 2 == 0 else -size, x, e)
            if reach > worst:
                worst, statistic = reach, k
            at += STATISTIC_SIZE
        if statistic >= 0 and state[COUNT] > state[LEARNT_ROWS]:
            return row * STATISTICS + statistic
    return -1


# State of run_shares: the number of levels, the rows of the open block, then a part for each level.
LEVELS, BLOCK_FILL, SHARES_HEAD = 0, 1, 2

CODE = 0
SEEN = 1
SHARE = 2  # running mean of the indicator
BURST_HIT, BURST_MISS = 3, 4  # log-likelihood ratio of a burst, for a hit and for a miss
BLOCK_HITS, BLOCK_MEAN, BLOCK_SCALE = 5, 6, 7
SHARE_HEAD = 8

SHARE_BLOCK_ROWS = 16
SHARE_STATISTICS = 3  # up, far up, down
DOWN = 2
BURST = 3
KAPPA, HITS, RETURN, RUN_TOP, RUN_SIZE = 2, 4, 5, 6, 8  # TOP is 7, as above
SHARE_SIZE = SHARE_HEAD + (SHARE_STATISTICS + 1) * RUN_SIZE

BURST_ROWS = 64
_BURST_SEEN = 8.0
_RETURNED = 8.0
_RETURNING = 0.4
_LEAST_SHARE = 1e-6


@compiled
def _clear(state: Floats, at: int) -> None:
    for k in (SUM, ROWS, HITS, RETURN, RUN_TOP):
        state[at + k] = 0.0


@compiled
def _advance(state: Floats, at: int, step: float, hit: float) -> None:
    total = state[at] + step
    if total <= 0.0:
        _clear(state, at)
        return
    state[at] = total
    state[at + ROWS] += 1.0
    state[at + HITS] += hit
    state[at + RUN_TOP] = max(state[at + RUN_TOP], total)
    state[at + TOP] = max(state[at + TOP], total)


@compiled
def _weigh_return(state: Floats, at: int, share: float, hit: float, start: float) -> None:
    """Advance the CUSUM that asks whether a run of hits is over."""
    if state[at + RUN_TOP] < start:
        state[at + RETURN] = 0.0
        return
    low = 1.5 * share if 1.5 * share <= 0.9 else (1.0 + share) / 2
    odd = max(low, min(0.999, state[at + HITS] / state[at + ROWS]))
    step = math.log(share / odd) if hit > 0 else math.log((1.0 - share) / (1.0 - odd))
    state[at + RETURN] = max(0.0, state[at + RETURN] + step)


@compiled
def _is_burst(state: Floats, at: int, share: float) -> bool:
    """Whether what is seen may be a burst that passes: a strong run, still short or ending."""
    if state[at + RUN_TOP] <= _BURST_SEEN:
        return False
    odds = 6.0 * share / (1.0 - share)
    is_strong: bool = state[at + HITS] > state[at + ROWS] * odds / (1.0 + odds)
    is_young: bool = state[at + ROWS] < BURST_ROWS
    is_ending: bool = state[at + RETURN] >= _RETURNING
    return (is_young and is_strong) or is_ending


@compiled
def _read_share(state: Floats, block: int, hit: float, expected: float) -> int:
    """Advance one level by one row; return the statistic that alarms, or -1.

    ``expected`` is what the hour of the row adds to the usual share.
    """
    share = state[block + SHARE]
    surprise = hit - expected
    likely = max(_LEAST_SHARE, min(1.0 - _LEAST_SHARE, share + expected))
    first = block + SHARE_HEAD
    burst = first + BURST * RUN_SIZE
    reach = 0.0
    for k in range(SHARE_STATISTICS):
        at = first + k * RUN_SIZE
        step = surprise - share - state[at + KAPPA]
        _advance(state, at, step if k < DOWN else -step, hit)
        reach = max(reach, state[at] / state[at + THRESHOLD])
    _advance(state, burst, state[block + BURST_HIT] if hit > 0 else state[block + BURST_MISS], hit)
    _weigh_return(state, burst, likely, hit, _BURST_SEEN / 2)
    is_over = state[burst + RUN_TOP] > _BURST_SEEN and state[burst + RETURN] > _RETURNED
    if is_over:
        _clear(state, burst)
    state[block + SEEN] += 1.0
    state[block + SHARE] += (surprise - share) / state[block + SEEN]
    for k in range(DOWN):
        at = first + k * RUN_SIZE
        _weigh_return(state, at, likely, hit, state[at + THRESHOLD] / 2)
        if is_over or state[at + RETURN] > _RETURNED:
            _clear(state, at)
    if reach <= 1.0:
        return -1
    return _first_alarm(state, block, likely)


@compiled
def _first_alarm(state: Floats, block: int, share: float) -> int:
    first = block + SHARE_HEAD
    is_held = _is_burst(state, first + BURST * RUN_SIZE, share)
    for k in range(SHARE_STATISTICS):
        at = first + k * RUN_SIZE
        if state[at] <= state[at + THRESHOLD]:
            continue
        if k == DOWN or (not is_held and state[at + RETURN] < _RETURNING):
            return k
    return -1


@compiled
def run_shares(state: Floats, codes: Floats, scores: Floats, expected: Floats) -> int:
    """Read codes until the share of a level has changed.

    ``expected`` is what the hour of each row adds to the share of each level, or has no rows.
    Writes to each row of ``scores`` the standardised hits of a finished block, level by level.
    Returns ``(row * levels + level) * SHARE_STATISTICS + statistic``, or -1.
    """
    levels = int(state[LEVELS])
    finished = 0
    for row in range(len(codes)):
        state[BLOCK_FILL] += 1.0
        for level in range(levels):
            block = SHARES_HEAD + level * SHARE_SIZE
            hit = 1.0 if codes[row] == state[block + CODE] else 0.0
            rhythm = expected[row, level] if len(expected) > 0 else 0.0
            state[block + BLOCK_HITS] += hit - rhythm
            statistic = _read_share(state, block, hit, rhythm)
            if statistic >= 0:
                return (row * levels + level) * SHARE_STATISTICS + statistic
        if state[BLOCK_FILL] == SHARE_BLOCK_ROWS:
            _finish_block(state, scores[finished])
            finished += 1
    return -1


@compiled
def _finish_block(state: Floats, scores: Floats) -> None:
    state[BLOCK_FILL] = 0.0
    for level in range(len(scores)):
        block = SHARES_HEAD + level * SHARE_SIZE
        z = (state[block + BLOCK_HITS] - state[block + BLOCK_MEAN]) * state[block + BLOCK_SCALE]
        scores[level] = max(-CLIP, min(CLIP, z))
        state[block + BLOCK_HITS] = 0.0


@compiled
def run_equal(values: Floats, last: float, before: int, runs: Runs) -> tuple[int, int]:
    """Return the length of the longest run of equal values, and of the one at the end.

    ``last`` is the value before the first, and the ``before``-th of its run. Writes to ``runs`` how
    many equal values end with each, if there is room for it.
    """
    longest, run = 0, before
    for row in range(len(values)):
        run = run + 1 if values[row] == last else 1
        last = values[row]
        longest = max(longest, run)
        if len(runs) > 0:
            runs[row] = run
    return longest, run


@compiled
def longest_equal(values: Floats) -> int:
    """Return the length of the longest run of equal values."""
    return run_equal(values, math.nan, 0, np.empty(0, np.int64))[0]


# Hours. A grid has a row for each hour of two weeks: how many values, then the sums of their
# measures. A rhythm's table is a head, the knots of a score, then what each hour adds to it.
GRID_HOURS = 2 * WEEK_HOURS
HOURS, GRID_KNOTS, GRID_LOW_SLOPE, GRID_HIGH_SLOPE, CENTRE, TABLE_HEAD = 0, 1, 2, 3, 4, 5
MIDDLE, BEFORE, AFTER, SPREAD, HOUR_PARTS = 0, 1, 2, 3, 4
LATE_ROWS = 3


@compiled
def raw_score(table: Floats, x: float) -> float:
    """Return where a value lies between the knots of a table, going on beyond them."""
    return _raw(table, GRID_KNOTS, TABLE_HEAD, x)


@compiled
def held_score(table: Floats, x: float) -> float:
    """Return the raw score of a value, held within bounds."""
    return _hold(raw_score(table, x))


@compiled
def held_in_order(table: Floats, values: Floats, order: Places, held: Floats) -> None:
    """Write the `held_score` of each value, in an eighth of the time.

    ``order`` are the places of the values from the least to the greatest: no knot is looked for.
    """
    knots = int(table[GRID_KNOTS])
    low, last = TABLE_HEAD, TABLE_HEAD + knots - 1
    for row in order:
        x = values[row]
        if x <= table[TABLE_HEAD] or x >= table[last]:
            raw = raw_score(table, x)
        else:
            while table[low + 1] <= x:
                low += 1
            at, high = low + knots, low + 1
            raw = _on_line(x, table[low], table[high], table[at], table[at + 1])
        held[row] = _hold(raw)


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
