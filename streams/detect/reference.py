"""References: the summaries of a series that its later values are compared with.

Rule 1. A reference is made once, from the first values of a series, and never changes.
Rule 2. A reference is small and bounded: moments and shares, no values.
Rule 3. Every assumption of a detector (independence above all) is measured here.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from msgspec import Struct

from streams.detect import statistics
from streams.detect.budget import FAST, SPREAD
from streams.detect.sample import Sample, merged
from streams.detect.statistics import block_inflation, clump_inflation
from streams.values import Floats

MAX_AUTOCORRELATION = 0.98
"""Nearer 1, a change of the mean would be invisible in the innovations: they show 1 less this."""
SURE = 3.0
"""Standard errors beyond which an autocorrelation or a kurtosis is not taken for chance."""
SHARE_FLOOR = 1e-4
"""Smallest share of a code: the odds of none at all have no ratio."""
_COARSEST = 3.0
"""Normal score of the least and the greatest value of a coarse scale, that of 1 in 741."""


class NumericReference(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The memory and the unit of a numeric series.

    Parameters
    ----------
    rows
        Values that it was made from.
    mean, sd
        Mean and standard deviation, in the unit of the series.
    score_mean, score_sd
        Mean and standard deviation of the normal scores.
    autocorrelation
        Correlation of a score with the one before it; 0 where it is within chance.
    innovation_sd
        Standard deviation of the part of a score that the one before it does not explain.
    level_inflation, spread_inflation
        The variance of block means of these innovations, and of their squares, in that of
        independent rows.
    level_tail, spread_tail
        The factor by which thresholds exceed a normal's, for innovations that mostly stand still,
        and then jump.
    """

    rows: int
    mean: float
    sd: float
    score_mean: float
    score_sd: float
    autocorrelation: float
    innovation_sd: float
    level_inflation: float
    spread_inflation: float
    level_tail: float = 1.0
    spread_tail: float = 1.0

    def __post_init__(self) -> None:
        if self.rows < 1 or not self.autocorrelation < 1:
            msg = f"no reference has {self.rows} rows and autocorrelation {self.autocorrelation}"
            raise ValueError(msg)

    @classmethod
    def of(cls, sample: Sample) -> "NumericReference":
        """Summarise at least two different numbers."""
        z = np.empty(len(sample))
        score_mean, score_sd = statistics.standardise(sample.clipped_scores, z)
        phi = autocorrelation(z)
        e, power = np.empty(len(z) - 1), np.empty(len(z) - 1)
        innovation_sd, level, spread, half_variance = statistics.innovate(z, phi, e, power)
        level_tail, spread_tail = _tails(e, power, half_variance)
        mean, sd = sample.moments
        return cls(
            rows=len(sample),
            mean=mean,
            sd=sd,
            score_mean=score_mean,
            score_sd=score_sd,
            autocorrelation=phi,
            innovation_sd=innovation_sd,
            level_inflation=level,
            spread_inflation=spread,
            level_tail=level_tail,
            spread_tail=spread_tail,
        )


@lru_cache(maxsize=64)
def _coarse_score(rank: float) -> float:
    if rank == 1:
        return _COARSEST
    return NormalDist().inv_cdf(rank) if rank > 0 else -_COARSEST


def coarse_knots(quantiles: Mapping[str, float]) -> tuple[Floats, Floats]:
    """Return values and their normal scores, from the quantiles of a reference for display.

    ``quantiles`` are values by their ranks, from 0 to 1 in rising order.

    Examples
    --------
    >>> knots, scores = coarse_knots({"0": 1.0, "0.5": 4.0, "1": 9.0})
    >>> knots.tolist(), scores.tolist()
    ([1.0, 4.0, 9.0], [-3.0, 0.0, 3.0])
    """
    knots = np.array(list(quantiles.values()))
    scores = np.array([_coarse_score(float(p)) for p in quantiles])
    if (knots[1:] > knots[:-1]).all():
        return knots, scores
    return merged(knots, scores)


def autocorrelation(x: Floats) -> float:
    """Return the lag-1 autocorrelation; 0 where it is within the chance of independent rows.

    The standard error of independent rows is one over the square root of their number (Bartlett
    1946).
    """
    centred = x - _mean(x)
    power = float(centred @ centred)
    if power <= 0:
        return 0.0
    rho = float(centred[1:] @ centred[:-1]) / power
    return min(rho, MAX_AUTOCORRELATION) if rho > SURE / math.sqrt(len(x)) else 0.0


def _mean(x: Floats) -> float:
    """Return the mean as `numpy.mean` does, in a third of its time for a few hundred values."""
    return float(np.add.reduce(x)) / len(x)


def _tails(e: Floats, power: Floats, half_variance: float) -> tuple[float, float]:
    """Return the factors by which thresholds grow where innovations are no normal's.

    The frequency of false alarms of a statistic falls with ``exp(-a threshold)``. A longer tail has
    a smaller exponent ``a``, and needs a threshold that is longer in proportion. Both factors are 1
    within three standard errors of a normal's kurtosis: half the variance of the squares of n
    normal rows has the variance 14 / n.
    """
    if half_variance < 1 + SURE * math.sqrt(14 / len(e)):
        return 1.0, 1.0
    level = (each.exponent / _exponent(each.sign * e - each.delta) for each in FAST)
    spread = (each.exponent / _exponent(each.sign * (power - 1) - each.delta) for each in SPREAD)
    return max(*level, 1.0), max(*spread, 1.0)


def _exponent(steps: Floats) -> float:
    """Return the positive root of ``E exp(a step) = 1``, at most 2."""
    low, high, made = 0.0, 2.0, np.empty(len(steps))
    for _ in range(30):
        middle = (low + high) / 2
        np.exp(np.multiply(middle, steps, out=made), out=made)
        if _mean(made) < 1:
            low = middle
        else:
            high = middle
    return max(low, 1e-3)


class ShareReference(Struct, frozen=True, kw_only=True):
    """The shares of a few codes among the rows, and their long-run variances.

    Parameters
    ----------
    rows
        Rows that it was made from.
    codes, shares
        The codes watched, and the share of each.
    inflations
        The long-run variance of each share in that of independent rows, 1 or more.
    """

    rows: int
    codes: tuple[int, ...]
    shares: tuple[float, ...]
    inflations: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.rows >= 1 or not len(self.codes) == len(self.shares) == len(self.inflations):
            raise ValueError(f"each of {len(self.codes)} codes has a share and an inflation")
        if not all(0 < share < 1 for share in self.shares):
            msg = "a share lies between 0 and 1"
            raise ValueError(msg)

    def seen(self, index: int) -> float:
        """Return the share of a code as it was seen, for display."""
        return max(self.shares[index] * (self.rows + 1) - 0.5, 0.0) / self.rows

    @classmethod
    def of(
        cls, values: Floats, codes: Sequence[int], expected: Floats | None = None
    ) -> "ShareReference":
        """Summarise how often each of ``codes`` occurs among ``values``.

        ``expected`` is the part of the hour of each row in the share of each code. A share is
        estimated with half a hit and half a miss more than were seen (Jeffreys 1946).
        """
        shares, inflations = [], []
        for index, code in enumerate(codes):
            hits = (values == code).astype(np.float64)
            if expected is not None:
                hits -= expected[:, index]
            share = (float(np.add.reduce(hits)) + 0.5) / (len(hits) + 1)
            most = (len(hits) + 0.5) / (len(hits) + 1)  # the part of an hour may be negative
            shares.append(min(max(share, SHARE_FLOOR), most))
            rho = autocorrelation(hits)
            inflations.append(
                max((1 + rho) / (1 - rho), block_inflation(hits), clump_inflation(hits))
            )
        return cls(
            rows=len(values),
            codes=tuple(codes),
            shares=tuple(shares),
            inflations=tuple(inflations),
        )
