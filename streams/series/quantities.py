"""Tell whether whole numbers are quantities, or classes that are called by numbers."""

import sys
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from streams.series.categorical import MAX_NUMERIC_CATEGORIES
from streams.values import Answer

QUANTITY_PAIRS = 200
"""Pairs of whole numbers by which a model is judged: the first stage of a reference."""


LEAST_WRONG = 0.2
"""Part of the pairs that differ, of quantities: whole ones seldom agree. By judgement."""


LEAST_CORRELATION = 0.5
"""Correlation of wrong answers with their truth, of quantities. Of classes in any order it is 0
within .16 for 160 pairs."""


def is_whole(value: Answer | None) -> TypeGuard[float]:
    """Tell whether a value is a whole number that a double holds."""
    if type(value) is float:
        return value.is_integer()
    return type(value) is int and -sys.float_info.max < value < sys.float_info.max


def are_quantities(pairs: NDArray[np.float64]) -> bool:
    """Tell whether pairs of an answer and its truth are quantities."""
    wrong = pairs[pairs[:, 0] != pairs[:, 1]]
    if len(np.unique(pairs)) <= MAX_NUMERIC_CATEGORIES or len(wrong) < LEAST_WRONG * len(pairs):
        return False
    answers, truths = wrong.T
    if answers.min() == answers.max() or truths.min() == truths.max():
        return False
    return float(np.corrcoef(answers, truths)[0, 1]) > LEAST_CORRELATION
