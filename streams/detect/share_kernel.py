"""Bernoulli CUSUMs of category shares, compiled."""

import math

from streams.detect.compiled import ROWS, SUM, THRESHOLD, TOP, compiled
from streams.detect.score_kernel import CLIP
from streams.values import Floats

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
