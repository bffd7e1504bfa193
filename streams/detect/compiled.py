"""The inner loops: CUSUM statistics over float64 arrays, compiled.

Rule 1. A kernel's whole state is one float64 array: a snapshot is its bytes.
Rule 2. A kernel reads one value after the other and stops at the first alarm, so where a batch ends
        changes nothing, not even the last bit (no fast-math, no reordering).
Rule 3. A kernel never refuses a value: what cannot be used was left out by the caller.

River's PageHinkley with ``alpha=1`` is the same statistic as :func:`run_levels`; it costs ten times
as much a value because each of its objects is called from Python. The contract tests hold the two
against each other, row for row.
"""

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]
Runs = NDArray[np.int64]
Places = NDArray[np.intp]
_Kernel = TypeVar("_Kernel", bound=Callable[..., object])


def compiled(function: _Kernel) -> _Kernel:
    """Compile a function, once a machine: what is compiled is kept on disk."""
    return cast("_Kernel", numba.njit(cache=True, error_model="numpy")(function))


SUM, THRESHOLD, DELTA, ROWS, VALUES, SCORES, SQUARES, TOP, STATISTIC_SIZE = (
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
)
