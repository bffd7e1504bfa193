"""Compiled loops, and the names of the places in their state.

Rule 1. The whole state of a kernel is one float64 array: a stored kernel is its bytes. That of
        `streams.detect.cohort_kernel` is three, which its owner writes.
Rule 2. A kernel reads one value after the other and stops at the first alarm: where a batch ends
        changes nothing, not even the last bit (no fast-math, no reordering).
Rule 3. A kernel refuses no value: its caller has left out the unusable ones.
Rule 4. Each place in a state has a name, and `slots` numbers the names: no two share a place.

River's PageHinkley with ``alpha=1`` is the same statistic as
`streams.detect.level_kernel.run_page_hinkley`; it costs ten times as much a value, because each of
its objects is called from Python. The contract tests compare the two row for row.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]
Runs = NDArray[np.int64]
Counts = NDArray[np.int32]
Bytes = NDArray[np.uint8]
Places = NDArray[np.intp]
_Kernel = TypeVar("_Kernel", bound=Callable[..., object])
_Layout = TypeVar("_Layout", bound=NamedTuple)


def compiled(function: _Kernel) -> _Kernel:
    """Compile a function, once a machine: numba keeps the result beside its module.

    It compiles again when that module changes, and not when another does whose constants or
    functions it uses: after such a change delete the ``__pycache__`` folders of the kernels.
    """
    return cast("_Kernel", numba.njit(cache=True, error_model="numpy")(function))


def slots(layout: type[_Layout], start: int = 0) -> _Layout:
    """Return consecutive places in a state, one for each name of a layout.

    Examples
    --------
    >>> class Sums(NamedTuple):
    ...     values: int
    ...     squares: int
    >>> slots(Sums, start=3)
    Sums(values=3, squares=4)
    """
    return layout._make(range(start, start + len(layout._fields)))
