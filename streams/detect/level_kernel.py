"""Page-Hinkley statistics of the mean and the spread, compiled."""

from typing import NamedTuple

from streams.detect.compiled import Singles, compiled, slots
from streams.detect.score_kernel import CLIP, SCALE, clipped, clipped_score
from streams.detect.trail_kernel import HEAD as TRAIL_HEAD
from streams.detect.trail_kernel import ROOM, make_room
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
def _add(state: Floats, at: int, step: float) -> bool:
    """Advance one statistic; tell whether it is above its threshold."""
    total = state[at + STATISTIC.total] + step - state[at + STATISTIC.delta]
    total = total if total > 0.0 else 0.0
    state[at + STATISTIC.total] = total
    state[at + STATISTIC.top] = max(state[at + STATISTIC.top], total)
    is_above: bool = total > state[at + STATISTIC.threshold]
    return is_above


@compiled
def _furthest(state: Floats) -> int:
    """Return the statistic that is furthest above its threshold."""
    worst, statistic = 1.0, -1
    for k in range(STATISTICS):
        at = FIRST + k * len(STATISTIC)
        reach = state[at + STATISTIC.total] / state[at + STATISTIC.threshold]
        if reach > worst:
            worst, statistic = reach, k
    return statistic


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
def _note(state: Floats, trail: Singles, bucket: int, x: float, e: float) -> None:
    """Write the sums of a row to one of the smallest buckets of the trail."""
    at = TRAIL_HEAD + bucket * TRAIL
    w = clipped((x - state[SERIES.value_mean]) * state[SERIES.value_scale], _WILDEST)
    trail[at] = w
    trail[at + 1] = w * w
    trail[at + 2] = e
    trail[at + 3] = e * e


@compiled
def run_on_scores(state: Floats, trail: Singles, values: Floats, scores: Floats) -> int:
    """Read values of which the clipped scores are known, as `run_page_hinkley` does.

    Overwrites each score with the innovation. What changes with each row is held in variables: the
    loop took three times as long through the state.
    """
    for row in range(len(values)):
        z = (scores[row] - state[SERIES.score_mean]) * state[SERIES.score_scale]
        scores[row] = clipped(z, CLIP)
    rows, previous = state[SERIES.rows], state[SERIES.previous]
    mean, mean_square = state[SERIES.mean], state[SERIES.mean_square]
    buckets, found = int(trail[0]), -1
    for row in range(len(values)):
        z = scores[row]
        e = z - state[SERIES.autocorrelation] * previous
        e = clipped(e * state[SERIES.innovation_scale], CLIP)
        previous = z
        scores[row] = e * state[SERIES.adwin_scale]
        if buckets == ROOM:
            buckets = make_room(trail, TRAIL)
        _note(state, trail, buckets, values[row], e)
        buckets += 1
        rows += 1.0
        weight = 1.0 / rows
        mean += weight * (e - mean)
        mean_square += weight * (e * e - mean_square)
        is_above, at = False, FIRST
        for k in range(STATISTICS):
            step = e - mean if k < SPREAD_UP else e * e - mean_square
            is_above |= _add(state, at, step if k % 2 == 0 else -step)
            at += len(STATISTIC)
        if is_above and rows > state[SERIES.learnt_rows]:
            found = row * STATISTICS + _furthest(state)
            break
    trail[0] = buckets
    state[SERIES.rows], state[SERIES.previous] = rows, previous
    state[SERIES.mean], state[SERIES.mean_square] = mean, mean_square
    return found
