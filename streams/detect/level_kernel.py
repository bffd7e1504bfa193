"""Page-Hinkley statistics of the mean and the spread, compiled."""

from typing import NamedTuple

from streams.detect.compiled import compiled, slots
from streams.detect.score_kernel import CLIP, SCALE, clipped, clipped_score
from streams.values import Floats


class SeriesSlots(NamedTuple):
    """The head of a state, behind its scale.

    Parameters
    ----------
    learnt_rows
        Rows of the reference: an alarm is raised only beyond them.
    rows
        Rows read, the reference included.
    mean, mean_square
        Running means of the innovations and of their squares.
    previous
        The last standardised score.
    autocorrelation
        Correlation of a score with the one before it.
    innovation_scale
        1 over the standard deviation of an innovation.
    adwin_scale
        Factor that makes an innovation a score for ADWIN.
    score_mean, score_scale
        Mean, and 1 over the standard deviation, of the scores of the reference.
    """

    learnt_rows: int
    rows: int
    mean: int
    mean_square: int
    previous: int
    autocorrelation: int
    innovation_scale: int
    adwin_scale: int
    score_mean: int
    score_scale: int


class StatisticSlots(NamedTuple):
    """One statistic. All but ``threshold``, ``delta`` and ``top`` are of its present run.

    Parameters
    ----------
    total
        The statistic: 0 between runs.
    threshold
        It alarms above this.
    delta
        Slack: only the excess of a row over the mean and this adds to the statistic.
    rows, values, scores, squares
        Rows since it was 0, and the sums of their values, innovations and squared innovations.
    top
        The highest total so far.
    """

    total: int
    threshold: int
    delta: int
    rows: int
    values: int
    scores: int
    squares: int
    top: int


# A state is a scale's head, the series, the statistics, the knots, the scores of the knots.
SERIES = slots(SeriesSlots, start=len(SCALE))
STATISTIC = slots(StatisticSlots)
STATISTICS = 6
"""Mean up and down for small changes, likewise for large ones; spread up and down."""
SPREAD_UP, SPREAD_DOWN = 4, 5
FIRST = len(SCALE) + len(SERIES)
"""Where the statistics begin."""
HEAD = FIRST + STATISTICS * len(STATISTIC)
"""Size of a state without the knots."""


@compiled
def _add(state: Floats, at: int, step: float, x: float, e: float) -> float:
    """Advance one statistic; return its part of its threshold."""
    total: float = state[at + STATISTIC.total] + step - state[at + STATISTIC.delta]
    if total <= 0.0:
        state[at + STATISTIC.total] = 0.0
        state[at + STATISTIC.rows] = 0.0
        state[at + STATISTIC.values] = 0.0
        state[at + STATISTIC.scores] = 0.0
        state[at + STATISTIC.squares] = 0.0
        return 0.0
    state[at + STATISTIC.total] = total
    state[at + STATISTIC.rows] += 1.0
    state[at + STATISTIC.values] += x
    state[at + STATISTIC.scores] += e
    state[at + STATISTIC.squares] += e * e
    state[at + STATISTIC.top] = max(state[at + STATISTIC.top], total)
    reach: float = total / state[at + STATISTIC.threshold]
    return reach


@compiled
def run_page_hinkley(state: Floats, values: Floats, innovations: Floats) -> int:
    """Read values until a statistic passes its threshold.

    Writes the innovation of each value read, scaled for ADWIN. Returns
    ``row * STATISTICS + statistic`` of the alarm, or -1 when all values were read without one.
    """
    for row in range(len(values)):
        innovations[row] = clipped_score(state, HEAD, values[row])
    return run_on_scores(state, values, innovations)


@compiled
def run_on_scores(state: Floats, values: Floats, scores: Floats) -> int:
    """Read values of which the clipped scores are known, as `run_page_hinkley` does.

    Overwrites each score with the innovation.
    """
    for row in range(len(values)):
        z = (scores[row] - state[SERIES.score_mean]) * state[SERIES.score_scale]
        scores[row] = clipped(z, CLIP)
    for row in range(len(values)):
        x, z = values[row], scores[row]
        e = z - state[SERIES.autocorrelation] * state[SERIES.previous]
        e = clipped(e * state[SERIES.innovation_scale], CLIP)
        state[SERIES.previous] = z
        scores[row] = e * state[SERIES.adwin_scale]
        state[SERIES.rows] += 1.0
        weight = 1.0 / state[SERIES.rows]
        state[SERIES.mean] += weight * (e - state[SERIES.mean])
        state[SERIES.mean_square] += weight * (e * e - state[SERIES.mean_square])
        step = e - state[SERIES.mean]
        square_step = e * e - state[SERIES.mean_square]
        worst, statistic, at = 1.0, -1, FIRST
        for k in range(STATISTICS):
            size = step if k < SPREAD_UP else square_step
            reach = _add(state, at, size if k % 2 == 0 else -size, x, e)
            if reach > worst:
                worst, statistic = reach, k
            at += len(STATISTIC)
        if statistic >= 0 and state[SERIES.rows] > state[SERIES.learnt_rows]:
            return row * STATISTICS + statistic
    return -1
