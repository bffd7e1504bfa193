"""Answers by their score: exactly while few scores are distinct, by cells beyond."""

import math
from typing import NamedTuple

from streams.detect.cohort_kernel import CELLS, OCTAVES, STEPS


class ScoredCount(NamedTuple):
    """A number of answers of one score.

    Parameters
    ----------
    score
        Their score, or the middle of its cell; None without one.
    prediction, outcome
        Their labels; an outcome of None is not known yet.
    n
        Their number.
    """

    score: float | None
    prediction: int
    outcome: int | None
    n: int


class LogSums(NamedTuple):
    """Sums over the scores of labelled answers, in log order.

    Parameters
    ----------
    n, score, square
        Their number, the sum of the scores and of their squares.
    log, log_rest
        The sums of ln s and of ln(1 - s), the score held off 0 and 1 by ``1e-15``.
    """

    n: float
    score: float
    square: float
    log: float
    log_rest: float


def middle_of(cell: int) -> float:
    """Return the score in the middle of a cell of `streams.detect.cohort_kernel.cell_of`.

    Examples
    --------
    >>> from streams.detect.cohort_kernel import cell_of
    >>> [cell_of(s) for s in (0.0, 0.25, 0.49, 0.5, 0.75, 1.0)]
    [0, 240, 255, 256, 271, 511]
    >>> all(cell_of(middle_of(cell)) == cell for cell in range(CELLS))
    True
    """
    if cell >= CELLS // 2:
        return 1 - middle_of(CELLS - 1 - cell)
    below, step = divmod(cell, STEPS)
    return math.ldexp(0.5 + (step + 0.5) / (2 * STEPS), below - OCTAVES)


MIDDLES = tuple(middle_of(cell) for cell in range(CELLS))
"""The score in the middle of each cell."""
