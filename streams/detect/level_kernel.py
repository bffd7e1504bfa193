"""Page-Hinkley statistics of the mean and the spread, compiled."""

from streams.detect.compiled import (
    DELTA,
    ROWS,
    SCORES,
    SQUARES,
    STATISTIC_SIZE,
    THRESHOLD,
    TOP,
    VALUES,
    compiled,
)
from streams.detect.score_kernel import CLIP, _hold, _raw, _standard
from streams.values import Floats

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
LEVELS_SIZE = HEAD + STATISTICS * STATISTIC_SIZE


@compiled
def score(state: Floats, x: float) -> float:
    """Return the normal score of a value."""
    raw = _raw(state, KNOTS, LEVELS_SIZE, x)
    return _standard(_hold(raw), state[SCORE_MEAN], state[SCORE_SCALE])


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
