"""What a reference is made from: values in order, and what more than one step of learning needs.

Rule 1. A figure is made when it is first asked for, and made once.
Rule 2. A sample is of one moment: what comes later is in the next one.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from statistics import NormalDist
from typing import Any, cast

import numpy as np
from msgspec import Struct

from streams.detect import compiled, run_kernel, score_kernel, statistics
from streams.detect.score_kernel import SCALE
from streams.values import Floats, Value

MAX_CATEGORIES = 12
MIN_CATEGORY_SHARE = 0.01
MIN_ATOM_SHARE = 0.30
_KNOT_SCORES: Floats = np.linspace(-3.0, 3.0, 61)
_KNOT_RANKS: Floats = np.array([NormalDist().cdf(float(score)) for score in _KNOT_SCORES])
_OUTER = (0, 10, -11, -1)
"""The knots between which the slopes beyond the ends are taken."""


class Categories(Struct, frozen=True, kw_only=True):
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
    def of(cls, values: Sequence[Value], *, rarest_rows: int) -> "Categories":
        """Count categories; closed if each occurs in at least ``rarest_rows`` rows.

        By Good and Turing, the chance that the next row brings a new category is the share of
        rows whose category occurred once: with none of these, a new category is news.
        """
        counts = Counter(values).most_common()
        watched = [
            (value, rows) for value, rows in counts if rows >= MIN_CATEGORY_SHARE * len(values)
        ]
        kept = watched[:MAX_CATEGORIES]
        return cls(
            rows=len(values),
            watched=tuple(value for value, _ in kept),
            counts=tuple(rows for _, rows in kept),
            others=len(counts) - len(kept),
            is_closed=bool(counts) and counts[-1][1] >= rarest_rows,
        )

    @classmethod
    def of_truth(cls, values: Sequence[Value]) -> "Categories":
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

    @property
    def codes(self) -> dict[Value, float]:
        """The code of each category that is watched; that of the others is the next one."""
        return {value: float(code) for code, value in enumerate(self.watched)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Values and the standard normal quantiles of their ranks.

    Between two ``knots`` a score is interpolated, beyond the ends it goes on at ``low_slope`` and
    ``high_slope``.
    """

    knots: Floats
    scores: Floats
    low_slope: float
    high_slope: float

    @classmethod
    def of(cls, ordered: Floats) -> "Scale":
        """Lay a scale through values in rising order."""
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


def merged(knots: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Return knots in rising order; equal ones are one, at the mean of their scores."""
    distinct, where = np.unique(knots, return_inverse=True)
    sums = np.bincount(where, weights=scores)
    return distinct, sums / np.bincount(where)


def _slope(low: float, high: float) -> float:
    """Return the scores per unit of value over the outer unit of score; steep where it is flat."""
    half_width = high / 2 - low / 2  # the whole may be beyond a double
    return 0.5 / half_width if half_width > 1e-300 else 1e9


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
