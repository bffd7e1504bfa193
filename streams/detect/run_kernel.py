"""Runs of equal values, compiled."""

import math

import numpy as np

from streams.detect.compiled import Runs, compiled
from streams.values import Floats


@compiled
def run_equal(values: Floats, last: float, before: int, runs: Runs) -> tuple[int, int]:
    """Return the length of the longest run of equal values, and of the one at the end.

    Parameters
    ----------
    last, before
        The value before the first, and the length of its run up to there.
    runs
        Room for the length of the run up to each value; it may be empty.
    """
    longest, run = 0, before
    for row in range(len(values)):
        run = run + 1 if values[row] == last else 1
        last = values[row]
        longest = max(longest, run)
        if len(runs) > 0:
            runs[row] = run
    return longest, run


@compiled
def longest_equal(values: Floats) -> int:
    """Return the length of the longest run of equal values."""
    return run_equal(values, math.nan, 0, np.empty(0, np.int64))[0]
