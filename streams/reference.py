"""What a series looked like when it was well: the summary that every later value is held against.

Rule 1. A reference is made once, from the first values of a series, and never changes.
Rule 2. What is kept is small and bounded: quantiles and shares, no values.
Rule 3. Everything a detector assumes (independence above all) is measured here, not hoped for.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Value = float | int | str | bool

CLIP = 3.5
"""Scores are held within this many standard deviations: one wild value must not page anyone."""

BLOCK_ROWS = 50
STRETCHES = 16
MAX_LEVELS = 12
MIN_LEVEL_SHARE = 0.01
MAX_AUTOCORRELATION = 0.98
SHARE_FLOOR = 1e-4

_FAST, _SPREAD_UP, _SPREAD_DOWN = 0.50, 0.46, 0.35
_UP_EXPONENT, _DOWN_EXPONENT = 0.2835, 0.6212
_COARSEST = 3.0
_KNOT_SCORES: Floats = np.linspace(-3.0, 3.0, 61)
_KNOT_RANKS: Floats = np.array([NormalDist().cdf(float(score)) for score in _KNOT_SCORES])


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericReference:
    """The shape, the memory and the unit of a numeric series.

    ``knots`` are values and ``scores`` the standard normal quantiles of their ranks: between two
    knots a score is interpolated, beyond the ends it goes on at ``low_slope`` and ``high_slope``.
    ``level_tail`` and ``spread_tail`` say how many times longer than a normal's thresholds must be
    for innovations that mostly stand still, and then jump.
    """

    rows: int
    mean: float
    sd: float
    knots: Floats
    scores: Floats
    low_slope: float
    high_slope: float
    score_mean: float
    score_sd: float
    autocorrelation: float
    innovation_sd: float
    level_inflation: float
    spread_inflation: float
    level_tail: float = 1.0
    spread_tail: float = 1.0

    @classmethod
    def of(cls, values: Floats) -> "NumericReference":
        """Summarise at least two different values, in the order in which they came."""
        ordered = np.sort(values)
        rows = len(ordered)
        at = _KNOT_RANKS * rows - 0.5
        knots, scores = _merge(np.interp(at, np.arange(rows), ordered), _KNOT_SCORES)
        outer = ordered[np.clip(np.rint(at[[0, 10, -11, -1]]).astype(int), 0, rows - 1)]
        low_slope, high_slope = _slope(outer[0], outer[1]), _slope(outer[2], outer[3])
        raw = _score(values, knots, scores, low_slope, high_slope)
        score_mean, score_sd = float(raw.mean()), float(raw.std()) or 1.0
        z = np.clip((raw - score_mean) / score_sd, -CLIP, CLIP)
        phi = autocorrelation(z)
        innovations = z[1:] - phi * z[:-1]
        innovation_sd = float(innovations.std()) or 1.0
        e = np.clip(innovations / innovation_sd, -CLIP, CLIP)
        mean, sd = moments(values)
        level_tail, spread_tail = _tails(e)
        return cls(
            rows=rows,
            mean=mean,
            sd=sd,
            knots=knots,
            scores=scores,
            low_slope=low_slope,
            high_slope=high_slope,
            score_mean=score_mean,
            score_sd=score_sd,
            autocorrelation=phi,
            innovation_sd=innovation_sd,
            level_inflation=block_inflation(e),
            spread_inflation=block_inflation(e * e),
            level_tail=level_tail,
            spread_tail=spread_tail,
        )


def _merge(knots: Floats, scores: Floats) -> tuple[Floats, Floats]:
    distinct, where = np.unique(knots, return_inverse=True)
    sums = np.bincount(where, weights=scores)
    return distinct, sums / np.bincount(where)


def moments(values: Floats) -> tuple[float, float]:
    """Return mean and standard deviation, finite even at the edge of a double.

    Examples
    --------
    >>> moments(np.array([1e308, -1e308]))
    (0.0, 1e+308)
    """
    scale = float(np.abs(values).max()) or 1.0
    parts = values / scale
    return float(parts.mean()) * scale, float(parts.std()) * scale


def coarse_knots(quantiles: Mapping[str, float]) -> tuple[Floats, Floats]:
    """Return values and their normal scores, from the few quantiles of a reference for display.

    Examples
    --------
    >>> knots, scores = coarse_knots({"0": 1.0, "0.5": 4.0, "1": 9.0})
    >>> knots.tolist(), scores.tolist()
    ([1.0, 4.0, 9.0], [-3.0, 0.0, 3.0])
    """
    scores = [
        _COARSEST if p == 1 else NormalDist().inv_cdf(p) if p > 0 else -_COARSEST
        for p in map(float, quantiles)
    ]
    return _merge(np.array(list(quantiles.values())), np.array(scores))


def _slope(low: float, high: float) -> float:
    """Return the scores per unit of value over the outer unit of score; steep where it is flat."""
    half_width = high / 2 - low / 2  # the whole may be beyond a double
    return 0.5 / half_width if half_width > 1e-300 else 1e9


def _score(values: Floats, knots: Floats, scores: Floats, low: float, high: float) -> Floats:
    with np.errstate(over="ignore", invalid="ignore"):
        inside = np.nan_to_num(np.interp(values, knots, scores))
        below = np.minimum(values - knots[0], 0.0) * low
        above = np.maximum(values - knots[-1], 0.0) * high
    # Bounded before it is averaged: a single 1e300 would otherwise be the whole mean.
    clipped: Floats = np.clip(inside + below + above, -2 * CLIP, 2 * CLIP)
    return clipped


def autocorrelation(x: Floats) -> float:
    """Return the lag-1 autocorrelation where it is beyond doubt, else 0."""
    centred = x - x.mean()
    power = float(centred @ centred)
    if power <= 0:
        return 0.0
    rho = float(centred[1:] @ centred[:-1]) / power
    return min(rho, MAX_AUTOCORRELATION) if rho > 3 / math.sqrt(len(x)) else 0.0


def block_inflation(x: Floats) -> float:
    """Return how much more the means of 50-row blocks vary than independent rows would let them.

    1 unless it is beyond three standard errors of a variance estimated from so many blocks.
    """
    blocks = len(x) // BLOCK_ROWS
    power = float(x.var())
    if blocks < 2 or power <= 0:
        return 1.0
    means = x[: blocks * BLOCK_ROWS].reshape(blocks, BLOCK_ROWS).mean(axis=1)
    inflation = BLOCK_ROWS * float(means.var(ddof=1)) / power
    return inflation if inflation > 1 + 3 * math.sqrt(2 / blocks) else 1.0


def _tails(e: Floats) -> tuple[float, float]:
    """Return by how much thresholds must grow where innovations are no normal's.

    A CUSUM's false alarms fall with ``exp(-a h)``, and ``a`` solves ``E exp(a step) = 1`` (Wald):
    a longer tail makes it smaller, and the threshold longer. Nothing is done within the doubt
    about a kurtosis that was estimated from so many rows.
    """
    power = e * e / float(np.mean(e * e) or 1.0)
    if float(power.var()) / 2 < 1 + 3 * math.sqrt(14 / len(e)):
        return 1.0, 1.0
    level = min(_exponent(e - _FAST), _exponent(-e - _FAST))
    up, down = _exponent(power - 1 - _SPREAD_UP), _exponent(1 - power - _SPREAD_DOWN)
    return max(2 * _FAST / level, 1.0), max(_UP_EXPONENT / up, _DOWN_EXPONENT / down, 1.0)


def _exponent(steps: Floats) -> float:
    """Return the positive root of ``E exp(a step) = 1``, at most 2."""
    low, high = 0.0, 2.0
    for _ in range(30):
        middle = (low + high) / 2
        if float(np.exp(middle * steps).mean()) < 1:
            low = middle
        else:
            high = middle
    return max(low, 1e-3)


def stretch_share(columns: Floats) -> float:
    """Return the part of the variance of columns that lies between stretches of the reference.

    A sixteenth of it each: hundredths for rows that are independent or have a short memory, nearly
    all of it where the rows are in some order, as a counter, a date or a random walk is.

    Examples
    --------
    >>> rows = np.arange(1_600.0)[:, None]
    >>> round(stretch_share(rows), 3), round(stretch_share(rows * 7 % 16), 3)
    (0.996, 0.0)
    """
    rows = len(columns) // STRETCHES * STRETCHES
    stretches = columns[:rows].reshape(STRETCHES, -1, columns.shape[1])
    whole = float(columns[:rows].var(axis=0).sum())
    between = float(stretches.mean(axis=1).var(axis=0).sum())
    return between / whole if whole > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareReference:
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
        for level, code in enumerate(codes):
            hits = (values == code).astype(np.float64)
            if expected is not None:
                hits -= expected[:, level]
            shares.append(max((float(hits.sum()) + 0.5) / (len(hits) + 1), SHARE_FLOOR))
            rho = autocorrelation(hits)
            inflations.append(max((1 + rho) / (1 - rho), block_inflation(hits)))
        return cls(
            rows=len(values),
            codes=tuple(codes),
            shares=tuple(shares),
            inflations=tuple(inflations),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """The categories of a series: those common enough to watch, and how new ones are expected.

    ``watched`` have codes 0, 1, ..; every other category is ``other``, of code ``len(watched)``.
    """

    rows: int
    watched: tuple[Value, ...]
    counts: tuple[int, ...]
    others: int
    is_closed: bool
    """Whether the categories look complete, so that a new one is news."""

    @classmethod
    def of(cls, values: Sequence[Value], *, rarest_rows: int) -> "Levels":
        """Count categories; closed if each occurs in at least ``rarest_rows`` rows.

        By Good and Turing, the chance that the next row brings a new category is the share of
        rows whose category occurred once: with none of these, a new category is news.
        """
        counts = Counter(values).most_common()
        watched = [(value, rows) for value, rows in counts if rows >= MIN_LEVEL_SHARE * len(values)]
        kept = watched[:MAX_LEVELS]
        return cls(
            rows=len(values),
            watched=tuple(value for value, _ in kept),
            counts=tuple(rows for _, rows in kept),
            others=len(counts) - len(kept),
            is_closed=bool(counts) and counts[-1][1] >= rarest_rows,
        )

    @classmethod
    def of_truth(cls, values: Sequence[Value]) -> "Levels":
        """Count the two truth values, also where one has not come yet."""
        hits = sum(value is True for value in values)
        return cls(
            rows=len(values),
            watched=(False, True) if hits <= len(values) - hits else (True, False),
            counts=(len(values) - hits, hits)
            if hits <= len(values) - hits
            else (hits, len(values) - hits),
            others=0,
            is_closed=True,
        )

    def snapshot(self) -> dict[str, Any]:
        """Return the levels as a tree for :func:`streams.blob.pack`."""
        return {
            "rows": self.rows,
            "watched": list(self.watched),
            "counts": list(self.counts),
            "others": self.others,
            "is_closed": self.is_closed,
        }

    @classmethod
    def restore(cls, tree: dict[str, Any]) -> "Levels":
        """Return the levels as they were."""
        return cls(
            rows=tree["rows"],
            watched=tuple(tree["watched"]),
            counts=tuple(tree["counts"]),
            others=tree["others"],
            is_closed=tree["is_closed"],
        )
