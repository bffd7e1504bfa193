"""What a series looked like when it was well: the summary that every later value is held against.

Rule 1. A reference is made once, from the first values of a series, and never changes.
Rule 2. What is kept is small and bounded: quantiles and shares, no values.
Rule 3. Everything a detector assumes (independence above all) is measured here, not hoped for.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from msgspec import Struct

from streams.detect import statistics
from streams.detect.sample import Sample, merged
from streams.detect.statistics import block_inflation
from streams.values import Floats

MAX_AUTOCORRELATION = 0.98
SHARE_FLOOR = 1e-4
_FAST, _SPREAD_UP, _SPREAD_DOWN = 0.50, 0.46, 0.35
_UP_EXPONENT, _DOWN_EXPONENT = 0.2835, 0.6212
_COARSEST = 3.0


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
    """Return values and their normal scores, from the few quantiles of a reference for display.

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
    """Return the lag-1 autocorrelation where it is beyond doubt, else 0."""
    centred = x - _mean(x)
    power = float(centred @ centred)
    if power <= 0:
        return 0.0
    rho = float(centred[1:] @ centred[:-1]) / power
    return min(rho, MAX_AUTOCORRELATION) if rho > 3 / math.sqrt(len(x)) else 0.0


def _mean(x: Floats) -> float:
    """Return what `numpy.mean` does: that takes three times as long for a few hundred values."""
    return float(np.add.reduce(x)) / len(x)


def _tails(e: Floats, power: Floats, half_variance: float) -> tuple[float, float]:
    """Return by how much thresholds must grow where innovations are no normal's.

    A CUSUM's false alarms fall with ``exp(-a h)``, and ``a`` solves ``E exp(a step) = 1`` (Wald):
    a longer tail makes it smaller, and the threshold longer. Nothing is done within the doubt
    about a kurtosis that was estimated from so many rows.
    """
    if half_variance < 1 + 3 * math.sqrt(14 / len(e)):
        return 1.0, 1.0
    level = min(_exponent(e - _FAST), _exponent(-e - _FAST))
    up, down = _exponent(power - 1 - _SPREAD_UP), _exponent(1 - power - _SPREAD_DOWN)
    return max(2 * _FAST / level, 1.0), max(_UP_EXPONENT / up, _DOWN_EXPONENT / down, 1.0)


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
    """The shares of a few codes among the rows, and how much they clump."""

    rows: int
    codes: tuple[int, ...]
    shares: tuple[float, ...]
    inflations: tuple[float, ...]

    @classmethod
    def of(
        cls, values: Floats, codes: Sequence[int], expected: Floats | None = None
    ) -> "ShareReference":
        """Summarise how often each of ``codes`` occurs among ``values``.

        ``expected`` is what the hour of each row adds to the share of each code.
        """
        shares, inflations = [], []
        for index, code in enumerate(codes):
            hits = (values == code).astype(np.float64)
            if expected is not None:
                hits -= expected[:, index]
            share = (float(np.add.reduce(hits)) + 0.5) / (len(hits) + 1)
            most = (len(hits) + 0.5) / (len(hits) + 1)  # what hours take off may be below nothing
            shares.append(min(max(share, SHARE_FLOOR), most))
            rho = autocorrelation(hits)
            inflations.append(max((1 + rho) / (1 - rho), block_inflation(hits)))
        return cls(
            rows=len(values),
            codes=tuple(codes),
            shares=tuple(shares),
            inflations=tuple(inflations),
        )
