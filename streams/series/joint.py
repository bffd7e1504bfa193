"""Features that change together while each keeps its own distribution: one derived series.

A row's values become normal scores by the references of their features, and the row the logarithm
of its squared Mahalanobis distance from the usual relation of these scores: a number as any other
(Hotelling 1947). A numeric series watches it.

Rule 1. The relation is learnt from the ``LEARNT`` rows after the references of features are known,
        and stays: the series itself learns anew after an alarm.
Rule 2. Scores are counted as integers, so how rows are cut into readings changes nothing.
Rule 3. A missing value has the middle score: that values are missing is told of the feature itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streams.codec import Machine
from streams.detect.joint_kernel import squared_distances
from streams.detect.outline import Outline, scores_of_ranks
from streams.values import Floats, Scalar, Value

JOINT: Final = "joint"
"""Name of the series, and its role."""
MOST_FEATURES = 32
"""Features whose relation is watched, the first ones: their products are a state of 8 kB."""
LEARNT = 2_000
"""Rows from which the relation is learnt: with fewer the distance of later rows is too long."""
SHRINKAGE = 0.02
"""Part of the unit matrix in the covariance: features that are sums of others have an inverse."""
FINENESS = 1_024
"""Parts of a normal score."""
TRIED_EVERY = 500
"""Predictions after which the references of features are asked for again."""
_KNOTS = 64
"""Values of a reference between which scores are interpolated."""
_FARTHEST = 3.5
"""Largest normal score: that of every series (`streams.detect.score_kernel`)."""
_DIGITS = 6
"""Decimals of a value, and of the inverse: their last bits depend on the machine."""
_NO_FLOATS: Floats = np.empty(0)
Scores = NDArray[np.int64]


class FeatureScale(Machine, dict=True):
    """The normal scores of one feature.

    Attributes
    ----------
    feature
        Its name.
    values, scores
        Of a number rising values; of a category its values. Their scores.
    rest
        The score of all other categories.
    is_number
        Whether it is a number.
    """

    feature: str
    values: tuple[Value, ...]
    scores: Floats
    rest: float
    is_number: bool

    def __post_init__(self) -> None:
        if len(self.values) != len(self.scores) or not self.values:
            raise ValueError(f"{len(self.values)} values have {len(self.scores)} scores")
        self._score_of = dict(zip(self.values, self.scores.tolist(), strict=True))
        self._knots = np.array(self.values if self.is_number else (), dtype=np.float64)

    @classmethod
    def of(cls, feature: str, outline: Outline) -> "FeatureScale | None":
        """Return the scale of a reference; None of one with a single value, or of names."""
        if outline.kind == "categorical":
            below = np.cumsum(outline.shares)
            scores = scores_of_ranks(below - np.array(outline.shares) / 2)
            rest = float(scores_of_ranks(np.array([(1 + below[-1]) / 2]))[0])
            return cls(feature, outline.common, scores, rest, is_number=False)
        if outline.kind != "numeric":
            return None
        weights = np.full(len(outline.numbers), max(1.0 - sum(outline.shares), 0.0))
        weights /= max(len(weights), 1)
        common = np.array([float(value) for value in outline.common], dtype=np.float64)
        points = np.concatenate((common, outline.numbers))
        weights = np.concatenate((np.array(outline.shares, dtype=np.float64), weights))
        values, place = np.unique(points, return_inverse=True)
        mass = np.bincount(place, weights=weights)
        ranks = (np.cumsum(mass) - mass / 2) / mass.sum()
        kept = np.unique(np.searchsorted(ranks, (np.arange(_KNOTS) + 0.5) / _KNOTS))
        kept = np.union1d(kept[kept < len(values)], np.searchsorted(values, common))
        if len(kept) < 2:
            return None
        return cls(
            feature, tuple(values[kept].tolist()), scores_of_ranks(ranks[kept]), 0.0, is_number=True
        )

    def parts_of(self, values: Sequence[Scalar]) -> Scores:
        """Return the scores of values, in ``FINENESS`` parts."""
        made = np.zeros(len(values))
        if self.is_number:
            held = [x if type(x) in (int, float) else None for x in values]
            known = [place for place, x in enumerate(held) if x is not None]
            x = np.array([held[place] for place in known], dtype=np.float64)
            made[known] = np.interp(x, self._knots, self.scores)
        else:
            score_of, rest = self._score_of, self.rest
            made[:] = [0.0 if x is None else score_of.get(x, rest) for x in values]
        return np.rint(np.clip(made, -_FARTHEST, _FARTHEST) * FINENESS).astype(np.int64)


def what_waits(joint: "Joint | None") -> list[str]:
    """Return a sentence for people while the relation of the features is not known."""
    if joint is None:
        return ["The features together wait until two of them have references."]
    if joint.left:
        return [f"The relation of features is learnt from {joint.rows:,} of {LEARNT:,} rows."]
    return []


class Joint(Machine):
    """The usual relation of the features.

    Attributes
    ----------
    scales
        The features.
    rows, sums, products
        Rows that were learnt from, the sums of their scores, and of the products of these.
    middle, inverse
        The mean of the scores, and the inverse of their covariance; empty before it is learnt.
    """

    scales: list[FeatureScale]
    rows: int = 0
    sums: list[int] = []
    products: list[int] = []
    middle: Floats = _NO_FLOATS
    inverse: Floats = _NO_FLOATS

    @classmethod
    def of(cls, outlines: Iterable[tuple[str, Outline]]) -> "Joint | None":
        """Return the relation of features, still to be learnt; None of fewer than two."""
        made = (FeatureScale.of(*each) for each in outlines)
        scales = [scale for scale in made if scale is not None][:MOST_FEATURES]
        n = len(scales)
        return cls(scales, 0, [0] * n, [0] * (n * n)) if n > 1 else None

    @property
    def left(self) -> int:
        """Rows that are still to be learnt from."""
        return LEARNT - self.rows

    def read(self, rows: Sequence[Mapping[str, Any]]) -> list[float | None]:
        """Return the value of each row; None of those that are learnt from."""
        scores = np.ascontiguousarray(
            np.column_stack(
                [
                    scale.parts_of([features.get(scale.feature) for features in rows])
                    for scale in self.scales
                ]
            )
        )
        learnt = min(max(self.left, 0), len(rows))
        if learnt:
            self._learn(scores[:learnt])
        return [*([None] * learnt), *self._distances(scores[learnt:])]

    def _learn(self, scores: Scores) -> None:
        self.rows += len(scores)
        products = (scores.T @ scores).ravel().tolist()
        self.sums = [a + b for a, b in zip(self.sums, scores.sum(axis=0).tolist(), strict=True)]
        self.products = [a + b for a, b in zip(self.products, products, strict=True)]
        if self.left:
            return
        n = len(self.scales)
        self.middle = np.array(self.sums) / (FINENESS * self.rows)
        moments = np.array(self.products, dtype=np.float64).reshape(n, n)
        covariance = moments / (FINENESS**2 * self.rows) - np.outer(self.middle, self.middle)
        covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.eye(n)
        self.inverse = np.round(np.linalg.inv(covariance), _DIGITS).ravel()
        self.sums, self.products = [], []

    def _distances(self, scores: Scores) -> list[float]:
        if not len(scores):
            return []
        n, out = len(self.scales), np.empty(len(scores))
        squared_distances(
            np.ascontiguousarray(scores),
            float(FINENESS),
            self.middle,
            self.inverse.reshape(n, n),
            out,
        )
        made: list[float] = np.round(np.log(np.maximum(out, 1e-9)), _DIGITS).tolist()
        return made
