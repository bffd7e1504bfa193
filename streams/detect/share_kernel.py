"""Bernoulli CUSUMs of category shares, compiled."""

import math
from typing import NamedTuple

from streams.detect.compiled import Singles, compiled, slots
from streams.detect.score_kernel import CLIP, clipped
from streams.detect.trail_kernel import HEAD, ROOM, make_room
from streams.values import Floats


class SharesSlots(NamedTuple):
    """The head of a state: the number of categories, and the rows of the open block."""

    categories: int
    block_rows: int


class CategorySlots(NamedTuple):
    """The head of the part of one category.

    Parameters
    ----------
    code
        The code that is a hit.
    rows
        Rows read, the reference included.
    share
        Running mean of the hits, less the parts of the hours.
    burst_hit, burst_miss
        Log-likelihood ratio of a burst for a hit and for a miss, in nats.
    block_hits
        Hits of the open block, less the parts of the hours.
    block_mean, block_scale
        Mean, and 1 over the standard deviation, of the hits of a block of the reference.
    """

    code: int
    rows: int
    share: int
    burst_hit: int
    burst_miss: int
    block_hits: int
    block_mean: int
    block_scale: int


class RunSlots(NamedTuple):
    """One CUSUM of a category. All but ``threshold``, ``kappa`` and ``top`` are of its present run.

    Parameters
    ----------
    total
        The CUSUM, in hits: 0 between runs.
    threshold
        It alarms above this.
    kappa
        Slack: only the excess of the share over its running mean and this adds to the CUSUM.
    rows, hits
        Rows since it was 0, and the hits among them.
    ending
        A CUSUM for the return to the usual share, in nats.
    peak
        The highest total of the run.
    top
        The highest total so far.
    """

    total: int
    threshold: int
    kappa: int
    rows: int
    hits: int
    ending: int
    peak: int
    top: int


SHARES = slots(SharesSlots)
CATEGORY = slots(CategorySlots)
RUN = slots(RunSlots)
STATISTICS = 3
"""A rise of the odds, a large rise, a fall."""
DOWN = 2
BURST = 3
"""The run behind them: a burst. It never alarms."""
CATEGORY_SIZE = len(CATEGORY) + (STATISTICS + 1) * len(RUN)
BLOCK_ROWS = 16
"""Rows that make one score for ADWIN: a burst of 50 rows is three clipped scores (decision 11)."""
BURST_ROWS = 64
"""A burst's longest duration, in rows.

With `_BURST_PEAK`, `_STRONG_ODDS`, `_ENDING` and `_ENDED` set by simulation: of runs with a burst
of 50 rows, .1 to .5, at most a fifth may alarm (case 8 of `benchmarks.detection`).
"""
_BURST_PEAK = 8.0
"""Nats that a burst's CUSUM must have seen before it holds an alarm back."""
_STRONG_ODDS = 6.0
"""Times the usual odds that a young run must exceed to be taken for a burst."""
_ENDING = 0.4
"""Nats for a return to the usual share that hold an alarm back."""
_ENDED = 8.0
"""Nats for a return to the usual share that end a run: a likelihood ratio of 3,000."""
_LEAST_SHARE = 1e-6
"""The hours can take a share to 0 or below, where no logarithm is."""


@compiled
def _clear(state: Floats, at: int) -> None:
    state[at + RUN.total] = 0.0
    state[at + RUN.rows] = 0.0
    state[at + RUN.hits] = 0.0
    state[at + RUN.ending] = 0.0
    state[at + RUN.peak] = 0.0


@compiled
def _advance(state: Floats, at: int, step: float, hit: float) -> None:
    total = state[at + RUN.total] + step
    if total <= 0.0:
        _clear(state, at)
        return
    state[at + RUN.total] = total
    state[at + RUN.rows] += 1.0
    state[at + RUN.hits] += hit
    state[at + RUN.peak] = max(state[at + RUN.peak], total)
    state[at + RUN.top] = max(state[at + RUN.top], total)


@compiled
def _weigh_ending(state: Floats, at: int, share: float, hit: float, start: float) -> None:
    """Advance the CUSUM for the end of a run; it starts once the run has reached ``start``."""
    if state[at + RUN.peak] < start:
        state[at + RUN.ending] = 0.0
        return
    # The share of the run, held off the usual one and off 1: their ratio must have a logarithm.
    low = 1.5 * share if 1.5 * share <= 0.9 else (1.0 + share) / 2
    odd = max(low, min(0.999, state[at + RUN.hits] / state[at + RUN.rows]))
    step = math.log(share / odd) if hit > 0 else math.log((1.0 - share) / (1.0 - odd))
    state[at + RUN.ending] = max(0.0, state[at + RUN.ending] + step)


@compiled
def _is_burst(state: Floats, at: int, share: float) -> bool:
    """Whether a run may be a burst that passes: a strong run, still short or ending."""
    if state[at + RUN.peak] <= _BURST_PEAK:
        return False
    odds = _STRONG_ODDS * share / (1.0 - share)
    is_strong: bool = state[at + RUN.hits] > state[at + RUN.rows] * odds / (1.0 + odds)
    is_young: bool = state[at + RUN.rows] < BURST_ROWS
    is_ending: bool = state[at + RUN.ending] >= _ENDING
    return (is_young and is_strong) or is_ending


@compiled
def _read_hit(state: Floats, category: int, hit: float, expected: float) -> int:
    """Advance one category by one row; return the statistic that alarms, or -1.

    ``expected`` is the part of the row's hour in the share.
    """
    share = state[category + CATEGORY.share]
    surprise = hit - expected
    likely = max(_LEAST_SHARE, min(1.0 - _LEAST_SHARE, share + expected))
    first = category + len(CATEGORY)
    burst = first + BURST * len(RUN)
    reach = 0.0
    for k in range(STATISTICS):
        at = first + k * len(RUN)
        step = surprise - share - state[at + RUN.kappa]
        _advance(state, at, step if k < DOWN else -step, hit)
        reach = max(reach, state[at + RUN.total] / state[at + RUN.threshold])
    nats = CATEGORY.burst_hit if hit > 0 else CATEGORY.burst_miss
    _advance(state, burst, state[category + nats], hit)
    _weigh_ending(state, burst, likely, hit, _BURST_PEAK / 2)
    is_over = state[burst + RUN.peak] > _BURST_PEAK and state[burst + RUN.ending] > _ENDED
    if is_over:
        _clear(state, burst)
    state[category + CATEGORY.rows] += 1.0
    state[category + CATEGORY.share] += (surprise - share) / state[category + CATEGORY.rows]
    for k in range(DOWN):
        at = first + k * len(RUN)
        _weigh_ending(state, at, likely, hit, state[at + RUN.threshold] / 2)
        if is_over or state[at + RUN.ending] > _ENDED:
            _clear(state, at)
    if reach <= 1.0:
        return -1
    return _first_alarm(state, first, likely)


@compiled
def _first_alarm(state: Floats, first: int, share: float) -> int:
    is_held = _is_burst(state, first + BURST * len(RUN), share)
    for k in range(STATISTICS):
        at = first + k * len(RUN)
        if state[at + RUN.total] <= state[at + RUN.threshold]:
            continue
        if k == DOWN or (not is_held and state[at + RUN.ending] < _ENDING):
            return k
    return -1


@compiled
def run_bernoulli_cusums(
    state: Floats, trail: Singles, codes: Floats, scores: Floats, expected: Floats
) -> int:
    """Read codes until the share of a category has changed.

    ``expected`` is the part of each row's hour in the share of each category, or has no rows.
    A bucket of ``trail`` has the hits of each category, less these parts.
    Writes to each row of ``scores`` the standardised hits of a finished block, by category.
    Returns ``(row * categories + category) * STATISTICS + statistic``, or -1.
    """
    categories = int(state[SHARES.categories])
    finished, alarm, buckets = 0, -1, int(trail[0])
    for row in range(len(codes)):
        state[SHARES.block_rows] += 1.0
        if buckets == ROOM:
            buckets = make_room(trail, categories)
        noted = HEAD + buckets * categories
        buckets += 1
        for index in range(categories):
            category = len(SHARES) + index * CATEGORY_SIZE
            hit = 1.0 if codes[row] == state[category + CATEGORY.code] else 0.0
            hourly = expected[row, index] if len(expected) > 0 else 0.0
            state[category + CATEGORY.block_hits] += hit - hourly
            trail[noted + index] = hit - hourly
            statistic = _read_hit(state, category, hit, hourly)
            if statistic >= 0 and alarm < 0:
                alarm = (row * categories + index) * STATISTICS + statistic
        if alarm >= 0:
            break
        if state[SHARES.block_rows] == BLOCK_ROWS:
            _finish_block(state, scores[finished])
            finished += 1
    trail[0] = buckets
    return alarm


@compiled
def _finish_block(state: Floats, scores: Floats) -> None:
    state[SHARES.block_rows] = 0.0
    for index in range(len(scores)):
        category = len(SHARES) + index * CATEGORY_SIZE
        away = state[category + CATEGORY.block_hits] - state[category + CATEGORY.block_mean]
        scores[index] = clipped(away * state[category + CATEGORY.block_scale], CLIP)
        state[category + CATEGORY.block_hits] = 0.0
