"""How large the errors of a regression are, by features and prediction: its error without labels.

Direct loss estimation, as NannyML's: a model made offline tells the absolute error to be expected
of each answer, and a cohort the mean of its answers. It is blind to a change of what is right for
the same features: its audit is the realised error, later.

Rule 1. The model is plain data: columns with edges or categories, and trees of a fixed depth whose
        leaves are whole numbers of a unit. A sum over a cohort is exact, in any order.
Rule 2. A value is coded as the model's maker has seen it: 0 is missing, of another type or unknown.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from schemas.error_model import ErrorColumn, ErrorModel
from streams.detect.tree_kernel import sum_of_leaves
from streams.values import Answer, text_of


class ErrorEstimator:
    """An error model, ready for rows.

    Parameters
    ----------
    model
        The model, whose trees fit its columns.
    """

    def __init__(self, model: ErrorModel) -> None:
        self.unit = model.unit
        self._base = model.base
        self._names = [column.feature for column in model.columns]
        self._coders = [coder_of(column) for column in model.columns]
        shape = model.trees, -1
        self._columns = np.array(model.splits, np.int64).reshape(shape)
        self._limits = np.array(model.limits, np.int64).reshape(shape)
        self._leaves = np.array(model.leaves, np.int64).reshape(shape)

    def expected(self, features: Mapping[str, Any] | None, prediction: Answer) -> int | None:
        """Return the absolute error to be expected of an answer, in units; None without features.

        Examples
        --------
        >>> column = ErrorColumn(feature="age", edges=[10.0], categories=[])
        >>> parts = {"splits": [0], "limits": [1], "leaves": [2, 7], "trees": 1, "rows": 2_000}
        >>> model = ErrorModel(unit=0.5, base=1, columns=[column], **parts)
        >>> told = ErrorEstimator(model)
        >>> [told.expected({"age": age}, 3.0) for age in (5, 10, None)], told.expected({}, 3.0)
        ([3, 8, 3], None)
        """
        if not features:
            return None
        codes = np.empty(len(self._names), np.int64)
        for place, (name, code) in enumerate(zip(self._names, self._coders, strict=True)):
            codes[place] = code(prediction if name is None else features.get(name))
        found = sum_of_leaves(codes, self._columns, self._limits, self._leaves)
        return max(self._base + int(found), 0)


def coder_of(column: ErrorColumn) -> Callable[[Any], int]:
    """Return the function that codes the values of a column (Rule 2)."""
    if column.categories:
        code_of = {name: code for code, name in enumerate(column.categories, 1)}
        return lambda value: 0 if value is None else code_of.get(text_of(value), 0)
    edges = column.edges

    def code(value: Any) -> int:
        is_number = type(value) in (int, float) and not math.isnan(value)
        return 1 + bisect_right(edges, value) if is_number else 0

    return code
