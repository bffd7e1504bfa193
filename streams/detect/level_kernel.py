"""Page-Hinkley statistics of the mean and the spread, compiled."""

from typing import NamedTuple

from streams.detect.compiled import Singles, compiled, slots
from streams.detect.score_kernel import CLIP, SCALE, clipped, clipped_score
from streams.detect.trail_kernel import place_of_next
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
    value_mean, value_scale
        The same of its values.
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
    value_mean: int
    value_scale: int


class StatisticSlots(NamedTuple):
    """One statistic. ``total`` is of its present run.

    Parameters
    ----------
    total
        The statistic: 0 between runs.
    threshold
        It alarms above this.
    delta
        Slack: only the excess of a row over the mean and this adds to the statistic.
    top
        The highest total so far.
    """

    total: int
    threshold: int
    delta: int
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


TRAIL = 4
"""Sums of a bucket of the trail: of values in standard deviations of the reference and of their
squares, of innovations and of their squares."""
_WILDEST = 1e15
"""Standard deviations: a value beyond them has a square that a trail cannot hold."""


@compiled
def _add(state: Floats, at: int, step: float) -> float:
    """Advance one statistic; return its part of its threshold."""
    total: float = state[at + STATISTIC.total] + step - state[at + STATISTIC.delta]
    if total <= 0.0:
        state[at + STATISTIC.total] = 0.0
        return 0.0
    state[at + STATISTIC.total] = total
    state[at + STATISTIC.top] = max(state[at + STATISTIC.top], total)
    reach: float = total / state[at + STATISTIC.threshold]
    return reach


@compiled
def run_page_hinkley(state: Floats, trail: Singles, values: Floats, innovations: Floats) -> int:
    """Read values until a statistic passes its threshold.

    Writes the innovation of each value read, scaled for ADWIN. Returns
    ``row * STATISTICS + statistic`` of the alarm, or -1 when all values were read without one.
    """
    for row in range(len(values)):
        innovations[row] = clipped_score(state, HEAD, values[row])
    return run_on_scores(state, trail, values, innovations)


@compiled
def _note(state: Floats, trail: Singles, x: float, e: float) -> None:
    at = place_of_next(trail, TRAIL)
    w = clipped((x - state[SERIES.value_mean]) * state[SERIES.value_scale], _WILDEST)
    trail[at] = w
    trail[at + 1] = w * w
    trail[at + 2] = e
    trail[at + 3] = e * e


@compiled
def run_on_scores(state: Floats, trail: Singles, values: Floats, scores: Floats) -> int:
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
        _note(state, trail, x, e)
        state[SERIES.rows] += 1.0
        weight = 1.0 / state[SERIES.rows]
        state[SERIES.mean] += weight * (e - state[SERIES.mean])
        state[SERIES.mean_square] += weight * (e * e - state[SERIES.mean_square])
        step = e - state[SERIES.mean]
        square_step = e * e - state[SERIES.mean_square]
        worst, statistic, at = 1.0, -1, FIRST
        for k in range(STATISTICS):
            size = step if k < SPREAD_UP else square_step
            reach = _add(state, at, size if k % 2 == 0 else -size)
            if reach > worst:
                worst, statistic = reach, k
            at += len(STATISTIC)
        if statistic >= 0 and state[SERIES.rows] > state[SERIES.learnt_rows]:
            return row * STATISTICS + statistic
    return -1
