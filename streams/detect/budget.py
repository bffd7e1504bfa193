"""Turn one number, the alert budget of a model, into the thresholds of all its detectors.

The budget is the number of false alarms that a model may raise per 10,000 predictions. Half of it
belongs to the error, the purpose of the model; nine tenths of the other half are divided equally
among all other series. The detectors of a series divide its part again.

Rule 1. Every threshold follows from a part of the budget, by one formula of this module.
Rule 2. A series never gets more than its half, however few other series there are.
Rule 3. A short reference costs false alarms: its part of the budget is divided by that cost.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from streams.aspects import SeriesRole

BUDGET_ROWS = 10_000
"""False alarms are counted per this many inputs."""
CUSUM_SHARE = 0.8
"""Part of a series' budget for its CUSUM statistics; ADWIN has the rest. By judgement."""
CALIBRATION_SHARE = 0.15
"""Part of the error's half for what scores mean, where that is watched. By judgement."""
OVERSHOOT = 1.166
"""Mean overshoot of both barriers of a Gaussian CUSUM, 2 x 0.583 (Siegmund 1985, section 10.2)."""
HEADROOM = 0.9
"""Part of the others' half that is spent. Of the rest, half is for the arrival of events, half for
false alarms beyond the formulas (docs/detection.md)."""
SEGMENTS_SHARE = 0.25
"""Part of the error's half for the segments, where a spec asks for them: with three quarters left
the error is found within some 2 % more rows. By judgement."""
_SHORT_COST = ((200, 2.0), (500, 1.3), (1_000, 1.1), (2_000, 1.0))
_SHORT_SPREAD_COST = ((200, 300.0), (300, 40.0), (500, 8.0), (1_000, 2.0), (2_000, 1.0))
"""Rows of a reference, and the factor by which false alarms exceed those of 2,000 rows: simulated
on normal scores and on indicators."""


def calibration_budget(model_budget: float) -> float:
    """Return the part of a model's budget that belongs to what its scores mean.

    Examples
    --------
    >>> calibration_budget(0.2)
    0.015
    """
    return round(CALIBRATION_SHARE * model_budget / 2, 15)


def shares(
    model_budget: float, roles: Sequence[SeriesRole], error_part: float = 1.0
) -> list[float]:
    """Divide the budget of a model among its series.

    Parameters
    ----------
    model_budget
        False alarms per 10,000 predictions, for the whole model.
    roles
        The role of each series; a feature, the score, the prediction and the outcome count alike,
        all attributions together as one of them.
    error_part
        The part of the error's half that the series of the error has.

    Returns
    -------
    list of float
        False alarms per 10,000 inputs that each series may cost, in the order of ``roles``.

    Examples
    --------
    >>> shares(0.2, ["feature", "feature", "score", "error"])
    [0.03, 0.03, 0.03, 0.1]
    """
    if not (model_budget > 0 and math.isfinite(model_budget)):
        raise ValueError(f"model_budget must be a positive number, got {model_budget!r}")
    errors = roles.count("error")
    half = model_budget / 2
    of_error = round(error_part * half / max(errors, 1), 15)
    attributions = roles.count("attribution")
    others = len(roles) - errors - max(attributions - 1, 0)
    of_other = round(HEADROOM * half / max(others, 1), 15)
    of_role = {"error": of_error, "attribution": round(of_other / max(attributions, 1), 15)}
    return [of_role.get(role, of_other) for role in roles]


@lru_cache(maxsize=256)
def short_reference_cost(reference_rows: int, *, is_spread: bool = False) -> float:
    """Return how many times its budget a statistic would spend on so short a reference.

    Interpolated on logarithmic scales. A running mean corrects a level or a share that few rows
    have misjudged; a misjudged spread takes far longer to correct.

    Examples
    --------
    >>> short_reference_cost(200), short_reference_cost(2_000)
    (2.0, 1.0)
    >>> round(short_reference_cost(500, is_spread=True), 9)
    8.0
    """
    points = _SHORT_SPREAD_COST if is_spread else _SHORT_COST
    rows, costs = zip(*points, strict=True)
    return float(np.exp(np.interp(math.log(reference_rows), np.log(rows), np.log(costs))))


def gaussian_run_length(threshold: float, delta: float) -> float:
    """Return the mean rows between false alarms of a one-sided CUSUM on N(0, 1).

    Siegmund's approximation (Sequential Analysis, 1985, equation 2.56 with the overshoot of
    section 10.2) for ``S := max(0, S + x - delta)`` and an alarm at ``S > threshold``.

    Examples
    --------
    The textbook's chart with delta 1/2 and threshold 5 alarms once in 931 rows when simulated:

    >>> round(gaussian_run_length(5.0, 0.5))
    938
    """
    barrier = 2 * delta * (threshold + OVERSHOOT)
    return (math.exp(barrier) - 1 - barrier) / (2 * delta * delta)


@lru_cache(maxsize=1_024)  # the features of a model have one budget: a sixth of all learning
def gaussian_threshold(false_alarms: float, delta: float) -> float:
    """Invert :func:`gaussian_run_length`: the threshold that costs so many per 10,000 rows.

    Examples
    --------
    >>> round(gaussian_threshold(10_000 / gaussian_run_length(5.0, 0.5), 0.5), 9)
    5.0
    """
    rows = BUDGET_ROWS / false_alarms
    low, high = 0.0, 1.0
    while gaussian_run_length(high, delta) < rows:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        if gaussian_run_length(middle, delta) < rows:
            low = middle
        else:
            high = middle
    return (low + high) / 2


class PageHinkley(NamedTuple):
    """A Page-Hinkley statistic ``S := max(0, S + step - delta)`` of normal scores (Page 1954).

    A step is the difference of an innovation from its running mean, or for the spread that of its
    square; downwards with the other sign. The exponent ``a`` solves ``E exp(a (step - delta)) = 1``
    (Wald 1947): the frequency of false alarms falls with ``exp(-a threshold)``.

    Parameters
    ----------
    is_spread
        Whether it is of squares.
    sign
        1 upwards, -1 downwards.
    delta
        Slack, in standard deviations of an innovation, or for the spread in its variance. A mean's
        is half the change that it finds soonest.
    exponent
        ``a`` for independent normal scores, clipped at 3.5.
    frequency
        False alarms per 10,000 rows at a threshold of 0, by the fitted exponential; None for a
        mean: its formula is Siegmund's.
    """

    is_spread: bool
    sign: int
    delta: float
    exponent: float
    frequency: float | None = None

    def threshold(self, false_alarms: float) -> float:
        """Return the threshold that costs so many false alarms per 10,000 rows.

        Examples
        --------
        >>> [round(statistic.threshold(0.001), 2) for statistic in PAGE_HINKLEY]
        [36.01, 36.01, 14.26, 14.26, 48.36, 22.89]
        """
        if self.frequency is None:
            return gaussian_threshold(false_alarms, self.delta)
        return math.log(self.frequency / false_alarms) / self.exponent


LEAST_SLACK, _FAST = 0.18, 0.50
"""Slack for changes of the mean by about a third of a standard deviation, and by one."""
PAGE_HINKLEY = (
    PageHinkley(False, +1, LEAST_SLACK, 2 * LEAST_SLACK),
    PageHinkley(False, -1, LEAST_SLACK, 2 * LEAST_SLACK),
    PageHinkley(False, +1, _FAST, 2 * _FAST),
    PageHinkley(False, -1, _FAST, 2 * _FAST),
    PageHinkley(True, +1, 0.46, 0.2835, 900.0),
    PageHinkley(True, -1, 0.35, 0.6212, 1_500.0),
)
"""The statistics of a numeric series, in the order of the kernel.

The exponent of a normal mean is twice its delta. Those of the spread were fitted by simulation with
their frequencies: .2835 lies between the roots for a normal score, .2779, and for one clipped at
3.5, .2936; .6212 is the root of both. Deltas were chosen by simulated delays (cases 1 of
`benchmarks.detection`): deviations that double, grow by half or halve.
"""
SLACKS = (LEAST_SLACK, _FAST)
"""Slack of the statistics of a mean, the small changes first."""
FAST = tuple(statistic for statistic in PAGE_HINKLEY if statistic.delta == _FAST)
SPREAD = tuple(statistic for statistic in PAGE_HINKLEY if statistic.is_spread)


def adwin_delta(false_alarms: float) -> float:
    """Return ADWIN's confidence on scores of single rows, for its part of a series' budget.

    Simulated: at confidence d, tested every 32 rows, it raises 3 d false alarms per 10,000 rows.

    Examples
    --------
    >>> round(adwin_delta(0.001), 9)
    5e-05
    """
    return (1 - CUSUM_SHARE) * false_alarms / 4


def block_adwin_delta(false_alarms: float) -> float:
    """Return ADWIN's confidence on scores of 16-row blocks, for its part of a series' budget.

    Simulated: at confidence d, tested every 8 blocks, it raises d / 3 per 10,000 rows. It is at
    most 1/2: a confidence is below 1.

    Examples
    --------
    >>> round(block_adwin_delta(0.1), 9)
    0.06
    """
    return min(3 * (1 - CUSUM_SHARE) * false_alarms, 0.5)


def longest_chance_run(most_common_share: float, false_alarms: float) -> int:
    """Return a run of equal values too long for chance, were the rows independent.

    A run of ``r`` values, the commonest of share ``p``, starts by chance with a probability below
    ``p ** r`` at each row.

    Examples
    --------
    >>> longest_chance_run(0.5, 0.01), longest_chance_run(0.0005, 0.01)
    (20, 2)
    """
    if not 0 < most_common_share < 1:
        raise ValueError(f"most_common_share must lie between 0 and 1, got {most_common_share!r}")
    rows = BUDGET_ROWS / false_alarms
    return math.ceil(math.log(rows) / -math.log(most_common_share))


_SHARE_STATISTICS = ((1.75, 8.5), (3.0, 8.4), (1 / 2.1, 10.0))
_MIDDLE_STATISTICS = ((1.5, 6.9), (2.5, 10.8), (1 / 1.9, 9.6))
"""Odds ratios, and thresholds in nats for .1 false alarms per 10,000 rows of all three together;
the second for shares from .2 to .8, whose odds seldom treble. Fitted by simulation over shares from
.02 to .6."""


def likelihood_threshold(false_alarms: float) -> float:
    """Return the threshold of a CUSUM of log-likelihood ratios, in nats.

    Its mean rows between false alarms are at least the exponential of it (Lorden 1971).

    Examples
    --------
    >>> round(likelihood_threshold(0.1), 2)
    11.51
    """
    return math.log(BUDGET_ROWS / false_alarms)


def share_statistics(false_alarms: float, share: float) -> tuple[tuple[float, float], ...]:
    """Return the odds ratio and the threshold, in nats, of the Bernoulli CUSUMs on a share.

    One for a rise, one for a large rise, one for a fall. Their tail is exponential with exponent
    one, because each statistic is a log-likelihood ratio (Lorden 1971).

    Examples
    --------
    >>> [round(threshold, 2) for _, threshold in share_statistics(0.1, 0.05)]
    [8.5, 8.4, 10.0]
    >>> [round(threshold, 2) for _, threshold in share_statistics(0.01, 0.05)]
    [10.8, 10.7, 12.3]
    """
    statistics = _MIDDLE_STATISTICS if 0.2 <= share <= 0.8 else _SHARE_STATISTICS
    scarcity = math.log(0.1 / false_alarms)
    return tuple((odds, base + scarcity) for odds, base in statistics)
