"""Samples: the values that a reference is made from, and the figures that several steps need.

Rule 1. A figure is made when it is first read, and made once.
Rule 2. A sample never changes: later values are in another one.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import compress, repeat
from operator import is_
from statistics import NormalDist
from typing import Any, cast

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from streams.detect import compiled, run_kernel, score_kernel, statistics
from streams.detect.score_kernel import SCALE
from streams.values import Floats, Value

CLEARLY = 4.0
"""Standard deviations of a count by which the rarest category that is watched exceeds the rest,
where the same rows can choose it and measure it: 1 of 30,000 such counts is so by chance."""
MAX_CATEGORIES = 12
"""Categories watched one by one at most: the budget of a series is divided among them."""
MIN_CATEGORY_SHARE = 0.01
"""Share of a category that is watched by itself: 20 of 2,000 rows."""
MIN_ATOM_SHARE = 0.30
"""Share of the rows above which one value of a number is watched by its share, and left out of the
normal scores: such a heap has none. By judgement."""
_KNOT_SCORES: Floats = np.linspace(-3.0, 3.0, 61)
_KNOT_RANKS: Floats = np.array([NormalDist().cdf(float(score)) for score in _KNOT_SCORES])
"""61 knots, a tenth of a standard deviation apart: 2.7 of 2,000 rows lie below -3."""
_OUTER = (0, 10, -11, -1)
"""The knots between which the slopes beyond the ends are taken: one standard deviation apart."""


class Categories(Struct, frozen=True, kw_only=True):
    """The categories of a series, and whether new ones are expected.

    Parameters
    ----------
    rows
        Rows counted.
    watched
        The categories common enough to be watched by their shares, the commonest first, and a
        rarer one that has most of the remaining rows. Their codes are 0, 1, ..; all others
        together have the code ``len(watched)``.
    counts
        The rows of each of them.
    others
        The number of other categories.
    is_closed
        Whether the categories look complete, so that a new one is a finding.
    is_split
        Whether they were chosen by half of the rows, and counted in the other half
        (`counting_rows`): where several are about as common, those chosen by all rows are the
        ones that are more common there than later.
    """

    rows: int
    watched: tuple[Value, ...]
    counts: tuple[int, ...]
    others: int
    is_closed: bool
    is_split: bool = False

    def __post_init__(self) -> None:
        if self.rows < 0 or len(self.watched) != len(self.counts):
            raise ValueError(f"each of {len(self.watched)} categories has a count")

    @classmethod
    def of(cls, values: Sequence[Value], *, rarest_rows: int) -> "Categories":
        """Count categories; closed if each occurs in at least ``rarest_rows`` rows.

        The chance that the next row brings a new category is the share of rows whose category
        occurred once (Good 1953): without such rows a new category is a finding.
        """
        counts = Counter(values).most_common()
        least = MIN_CATEGORY_SHARE * len(values)
        common = sum(rows >= least for _, rows in counts[:MAX_CATEGORIES])
        kept, rest = counts[:common], counts[common:]
        is_closed = bool(counts) and counts[-1][1] >= rarest_rows
        if kept and rest:
            bar = max(least, rest[0][1])
            if kept[-1][1] < bar + CLEARLY * math.sqrt(bar):
                return cls._split(values, len(counts), is_closed=is_closed)
        if kept and rest and 2 * rest[0][1] > sum(rows for _, rows in rest):
            kept.append(rest[0])  # a fall of the commonest would be another name for its rise
        return cls(
            rows=len(values),
            watched=tuple(value for value, _ in kept),
            counts=tuple(rows for _, rows in kept),
            others=len(counts) - len(kept),
            is_closed=is_closed,
        )

    @classmethod
    def _split(cls, values: Sequence[Value], different: int, *, is_closed: bool) -> "Categories":
        """Choose categories by half of the rows, and count them in the other half."""
        counting = counting_rows(len(values)).tolist()
        counted = Counter(compress(values, counting))
        choosing = [not each for each in counting]
        chosen = Counter(compress(values, choosing)).most_common(MAX_CATEGORIES)
        least = MIN_CATEGORY_SHARE * sum(choosing)
        watched = tuple(value for value, rows in chosen if rows >= least)
        return cls(
            rows=sum(counting),
            watched=watched,
            counts=tuple(counted[value] for value in watched),
            others=different - len(watched),
            is_closed=is_closed,
            is_split=True,
        )

    @classmethod
    def of_truth(cls, values: Sequence[Value]) -> "Categories":
        """Count the two truth values, also where one has not come yet."""
        hits = sum(map(is_, values, repeat(True)))  # a loop in C
        misses = len(values) - hits
        is_rare = hits <= misses
        return cls(
            rows=len(values),
            watched=(False, True) if is_rare else (True, False),
            counts=(misses, hits) if is_rare else (hits, misses),
            others=0,
            is_closed=True,
        )

    @property
    def codes(self) -> dict[Value, float]:
        """The code of each watched category; that of the others is the next one."""
        return {value: float(code) for code, value in enumerate(self.watched)}


@lru_cache(maxsize=16)
def counting_rows(rows: int) -> NDArray[np.bool_]:
    """Return the half of so many rows that counts categories, by a hash of their numbers.

    Every other row would not do: values often come in turn. The hash is SplitMix64 (Steele and
    others 2014).
    """
    bits = np.arange(1, rows + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    made: NDArray[np.bool_] = (bits >> np.uint64(63)).astype(np.bool_)
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A map from values to the standard normal quantiles of their ranks.

    Parameters
    ----------
    knots, scores
        Rising values, and their normal quantiles: between two knots a score is interpolated.
    low_slope, high_slope
        Scores per unit of value below the first knot and above the last one.
    """

    knots: Floats
    scores: Floats
    low_slope: float
    high_slope: float

    @classmethod
    def of(cls, ordered: Floats) -> "Scale":
        """Return the scale of values that are in rising order."""
        knots, scores = np.empty(len(_KNOT_RANKS)), _KNOT_SCORES
        if not statistics.quantiles(ordered, _KNOT_RANKS, knots):
            knots, scores = merged(knots, scores)
        rows = len(ordered)
        places = (min(max(round(float(_KNOT_RANKS[k]) * rows - 0.5), 0), rows - 1) for k in _OUTER)
        least, low, high, most = (float(ordered[place]) for place in places)
        return cls(
            knots=knots, scores=scores, low_slope=_slope(least, low), high_slope=_slope(high, most)
        )

    def table(self, head: Floats) -> Floats:
        """Return the scale as the kernels read it, behind a head that begins with its slots."""
        head[SCALE.knots] = len(self.knots)
        head[SCALE.low_slope] = self.low_slope
        head[SCALE.high_slope] = self.high_slope
        return np.concatenate((head, self.knots, self.scores))


def refuse_knots(table: Floats, head: int, tail: int) -> None:
    """Refuse a table whose size is not that of its head, its knots with their scores, and its tail.

    Raises
    ------
    ValueError
        Naming both sizes.
    """
    knots = float(table[SCALE.knots]) if len(table) > head else 0.0
    if not (knots >= 1 and len(table) == head + 2 * knots + tail):
        raise ValueError(f"a table of {len(table)} numbers does not fit {knots!r} knots")


def merged(knots: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Return the different knots in rising order, each with the mean of its scores."""
    distinct, where = np.unique(knots, return_inverse=True)
    sums = np.bincount(where, weights=scores)
    return distinct, sums / np.bincount(where)


def _slope(low: float, high: float) -> float:
    """Return scores per unit of value between two values a unit of score apart."""
    half_width = high / 2 - low / 2  # the whole may be beyond a double
    return 0.5 / half_width if half_width > 1e-300 else 1e9  # equal values: any other is far


class Sample:
    """Values that a series is learnt from, in the order in which they came.

    Parameters
    ----------
    values
        At least one.
    categories
        Their categories; without them they are numbers.

    Examples
    --------
    >>> sample = Sample([3.0, 1.0, 2.0])
    >>> sample.ordered.tolist(), sample.is_constant
    ([1.0, 2.0, 3.0], False)
    """

    def __init__(self, values: Sequence[Value], categories: Categories | None = None) -> None:
        self.values = values
        self.categories = categories

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def is_constant(self) -> bool:
        """Whether all are equal."""
        first = self.values[0]
        return all(value == first for value in self.values)

    @cached_property
    def x(self) -> Floats:
        """The values as numbers."""
        return np.array(self.values, dtype=np.float64)

    @classmethod
    def of(cls, x: Floats) -> "Sample":
        """Return a sample of numbers that are an array."""
        sample = cls(cast("Sequence[Value]", x))
        sample.x = x
        return sample

    @cached_property
    def ordered(self) -> Floats:
        """The numbers, in rising order."""
        return np.sort(self.x)

    @cached_property
    def order(self) -> compiled.Places:
        """The places of the numbers, from the least to the greatest."""
        return np.argsort(self.x)

    @cached_property
    def commonest_rows(self) -> int:
        """How often the commonest number comes."""
        return run_kernel.longest_equal(self.ordered)

    @cached_property
    def scale(self) -> Scale:
        """The normal scores of the numbers."""
        return Scale.of(self.ordered)

    @cached_property
    def clipped_scores(self) -> Floats:
        """The raw normal scores of the numbers, held within bounds."""
        scores, head = np.empty(len(self.x)), np.zeros(len(SCALE))
        table = self.scale.table(head)
        score_kernel.clipped_scores(table, len(head), self.x, self.order, scores)
        return scores

    @cached_property
    def moments(self) -> tuple[float, float]:
        """Mean and standard deviation of the numbers, finite even at the edge of a double."""
        return statistics.mean_and_sd(self.x, np.empty(len(self.x)))

    @cached_property
    def doubled_ranks(self) -> Floats:
        """Twice the rank of each number, as a column; equal ones share theirs."""
        ranks = np.empty((len(self.x), 1))
        statistics.rank(self.ordered, self.order, ranks)
        return ranks

    @cached_property
    def codes(self) -> Floats:
        """The code of each value's category."""
        if self.categories is None:
            return self.x
        return coded(self.values, self.categories.codes, len(self.categories.watched))

    def hits(self, codes: Sequence[int]) -> Floats:
        """Return, in a column for each of these codes, 1 where a value has it."""
        made: Floats = (self.codes[:, None] == np.array(codes)).astype(np.float64)
        return made


def coded(values: Sequence[Any], codes: Mapping[Any, float], other: float) -> Floats:
    """Return the code of each category, that of all others where it has none."""
    made = map(codes.get, values, repeat(other))  # a loop in C
    return np.fromiter(made, dtype=np.float64, count=len(values))
