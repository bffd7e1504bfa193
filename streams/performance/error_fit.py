"""Make an error model offline: boosted trees of the absolute errors of labelled rows.

Gradient boosting by histograms, for the squared distance (Friedman 2001; the trees are grown level
by level, as in Chen and Guestrin 2016). Of the same rows it makes the same model: nothing is drawn.

Rule 1. A column has at most ``MOST_BINS`` codes: those of a number are about equal parts of its
        rows. Categories stand in the order of their mean error, so that a limit parts them well.
Rule 2. No node is split into parts of fewer than ``LEAST_ROWS`` rows.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.error_model import MOST_CODES, MOST_COLUMNS, ErrorColumn, ErrorModel
from schemas.wire import MAX_NAME
from streams.performance.error_model import coder_of
from streams.values import Floats, text_of

FEWEST_ROWS = 2_000
"""Labelled rows from which errors are learnt: with fewer an estimate misses by more than what it
tells (as of the estimate by scores, `streams.performance.calibration.JUDGED`)."""
MOST_ROWS = 100_000
"""Rows that are learnt from, the latest: more change the estimate by less than its own noise."""
MOST_BINS = 64
TREES, DEPTH, RATE = 80, 5, 0.12
"""Trees, their levels, and the part of a leaf that is taken. By judgement: 25 kB in a spec."""
LEAST_ROWS = 40
SHRINKAGE = 10.0
"""Rows without an error that are added to each leaf."""
FINENESS = 2.0**20
"""Units of the mean error: rounding moves the estimate by less than a millionth of it."""


class ErrorRow(NamedTuple):
    """A labelled row: its features, the prediction, and the absolute error."""

    features: Mapping[str, Any]
    prediction: float
    error: float


def fit_errors(rows: Sequence[ErrorRow]) -> ErrorModel | None:
    """Return a model of the errors of rows; None where they are too few, or never err.

    The rows are in the order in which they came.
    """
    rows = rows[-MOST_ROWS:]
    errors = np.array([row.error for row in rows], dtype=np.float64)
    if len(rows) < FEWEST_ROWS or not errors.any() or not np.isfinite(errors).all():
        return None
    columns = _columns(rows, errors)
    codes = np.array(
        [list(map(coder_of(column), _values(rows, column.feature))) for column in columns],
        dtype=np.int64,
    )
    mean = float(errors.mean())
    left = errors - mean
    unit = mean / FINENESS
    splits: list[int] = []
    limits: list[int] = []
    leaves: list[int] = []
    for _ in range(TREES):
        tree = _grow(codes, left)
        left -= tree.leaves[tree.leaf_of]
        splits += tree.splits
        limits += tree.limits
        leaves += [round(x / unit) for x in tree.leaves.tolist()]
    return ErrorModel(
        rows=len(rows),
        unit=unit,
        base=round(mean / unit),
        columns=columns,
        trees=TREES,
        splits=splits,
        limits=limits,
        leaves=leaves,
    )


def _values(rows: Sequence[ErrorRow], feature: str | None) -> Iterator[Any]:
    for row in rows:
        yield row.prediction if feature is None else row.features.get(feature)


def _columns(rows: Sequence[ErrorRow], errors: Floats) -> list[ErrorColumn]:
    """Return the prediction and the features that vary, the most frequent ones."""
    seen = Counter(name for row in rows for name in row.features)
    names = [None, *sorted(name for name, _ in seen.most_common(MOST_COLUMNS - 1))]
    columns = (_column(name, list(_values(rows, name)), errors) for name in names)
    return [column for column in columns if column is not None]


def _column(feature: str | None, values: list[Any], errors: Floats) -> ErrorColumn | None:
    known = [value for value in values if value is not None]
    if all(type(value) in (int, float) for value in known):
        ordered = np.sort(np.array(known, dtype=np.float64))
        ranks = np.arange(1, MOST_BINS) * len(ordered) // MOST_BINS
        edges = np.unique(ordered[ranks]) if len(ordered) else ordered
        edges = edges[edges > ordered[0]] if len(ordered) else edges
        is_plain = not len(edges) and len(known) == len(values)
        return (
            None if is_plain else ErrorColumn(feature=feature, edges=edges.tolist(), categories=[])
        )
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for value, error in zip(values, errors.tolist(), strict=True):
        if value is not None:
            each = sums[text_of(value)]
            each[0] += 1
            each[1] += error
    common = sorted(sums, key=lambda name: (-sums[name][0], name))[:MOST_CODES]
    common = [name for name in common if len(name) <= MAX_NAME and sums[name][0] >= LEAST_ROWS]
    common.sort(key=lambda name: (sums[name][1] / sums[name][0], name))
    return ErrorColumn(feature=feature, edges=[], categories=common) if common else None


class _Tree(NamedTuple):
    splits: list[int]
    limits: list[int]
    leaves: Floats
    leaf_of: NDArray[np.int64]


def _grow(codes: NDArray[np.int64], left: Floats) -> _Tree:
    """Return a tree of what the trees before have left of each error."""
    node_of = np.zeros(len(left), np.int64)  # within its level
    splits: list[int] = []
    limits: list[int] = []
    for level in range(DEPTH):
        best = _best_splits(codes, left, node_of, 2**level)
        splits += best.columns.tolist()
        limits += best.limits.tolist()
        code = codes[best.columns[node_of], np.arange(len(left))]
        node_of = 2 * node_of + (code > best.limits[node_of])
    size = 2**DEPTH
    n = np.bincount(node_of, minlength=size)
    sums = np.bincount(node_of, weights=left, minlength=size)
    return _Tree(splits, limits, RATE * sums / (n + SHRINKAGE), node_of)


class _Splits(NamedTuple):
    columns: NDArray[np.int64]
    limits: NDArray[np.int64]


def _best_splits(
    codes: NDArray[np.int64], left: Floats, node_of: NDArray[np.int64], nodes: int
) -> _Splits:
    """Return the best split of each node of a level; one that sends no row right where none is."""
    size = MOST_CODES + 1
    best = np.zeros(nodes)
    columns, limits = np.zeros(nodes, np.int64), np.full(nodes, MOST_CODES)
    for column, code in enumerate(codes):
        place = node_of * size + code
        n = np.bincount(place, minlength=nodes * size).reshape(nodes, size).cumsum(axis=1)
        sums = np.bincount(place, weights=left, minlength=nodes * size)
        sums = sums.reshape(nodes, size).cumsum(axis=1)
        rest, other = n[:, -1:] - n, sums[:, -1:] - sums
        gain = sums**2 / (n + SHRINKAGE) + other**2 / (rest + SHRINKAGE)
        gain -= sums[:, -1:] ** 2 / (n[:, -1:] + SHRINKAGE)
        gain[(n < LEAST_ROWS) | (rest < LEAST_ROWS)] = 0.0
        limit = gain.argmax(axis=1)
        most = gain[np.arange(nodes), limit]
        is_better = most > best
        best[is_better], columns[is_better], limits[is_better] = (
            most[is_better],
            column,
            limit[is_better],
        )
    return _Splits(columns, limits)
