"""All kernels, compiled before the first record.

numba compiles a kernel at its first call for the types of its arguments: half a minute for all of
them on a cold machine, in which a worker answers nobody.

Rule 1. Every kernel that Python calls is in `_SIGNATURES`, with the types of its arguments; the
        kernels that it calls itself are compiled with it.
Rule 2. No call of the core has other types: it would be compiled at that call.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numba
from numba import boolean, float32, float64, int32, int64, intp, types, uint8

from schemas import scan, wide_events
from streams.detect import (
    adwin_kernel,
    block_kernel,
    cohort_kernel,
    day_kernel,
    group_kernel,
    joint_kernel,
    level_kernel,
    odd_kernel,
    run_kernel,
    score_kernel,
    segment_kernel,
    share_kernel,
    shift_kernel,
    statistics,
    tree_kernel,
)
from streams.season import hour_kernel

_types: Any = numba.types
_COUNTS, _SINGLE_ROW = int32[::1], float32[::1]
_FLOATS, _RUNS, _MINUTES, _PLACES = float64[::1], int64[::1], int64[::1], intp[::1]
_TABLE, _SINGLES, _TRAIL = float64[:, ::1], float32[:, ::1], float32[::1]
_TEXT = types.Array(uint8, 1, "C", readonly=True)
_FORM: Any = types.NamedTuple((_TEXT, _RUNS, _RUNS), scan.Form)  # type: ignore[no-untyped-call]
_FOUND: Any = types.NamedTuple(  # type: ignore[no-untyped-call]
    (uint8[::1], _FLOATS, int64[:, ::1]), wide_events.Found
)
_TREES = int64[:, ::1]
_WHOLE, _NUMBERS = _types.UniTuple(int64, 5), _types.UniTuple(float64, 4)
_COHORT = _types.Tuple((_FLOATS, _FLOATS, _COUNTS))
_SIGNATURES: tuple[tuple[Callable[..., object], tuple[Any, ...]], ...] = (
    (score_kernel.clipped_scores, (_FLOATS, intp, _FLOATS, _PLACES, _FLOATS)),
    (level_kernel.run_page_hinkley, (_FLOATS, _TRAIL, _FLOATS, _FLOATS)),
    (level_kernel.run_on_scores, (_FLOATS, _TRAIL, _FLOATS, _FLOATS)),
    (adwin_kernel.read_scores, (_FLOATS, _FLOATS, float64, int64)),
    (group_kernel.read_group, (_TABLE, _PLACES, _TABLE, _SINGLES)),
    (odd_kernel.next_odd, (_FLOATS, _FLOATS)),
    (odd_kernel.equal_rows, (_FLOATS,)),
    (block_kernel.read_block, (_FLOATS, _TABLE, _TABLE)),
    (block_kernel.read_shares, (_FLOATS, _FLOATS, float64, float64, float64)),
    (run_kernel.run_equal, (_FLOATS, float64, int64, _RUNS)),
    (run_kernel.longest_equal, (_FLOATS,)),
    (share_kernel.run_bernoulli_cusums, (_FLOATS, _TRAIL, _FLOATS, _TABLE, _TABLE)),
    (shift_kernel.follow_shift, (_SINGLES, _FLOATS, _TABLE, _TABLE)),
    (joint_kernel.squared_distances, (_TREES, float64, _FLOATS, _TABLE, _FLOATS)),
    (tree_kernel.sum_of_leaves, (_RUNS, _TREES, _TREES, _TREES)),
    (segment_kernel.read_segment, (_FLOATS, int64, float64, float64, float64)),
    (
        segment_kernel.read_row,
        (
            _FLOATS,
            _FLOATS,
            _types.Tuple((_PLACES, uint8[::1], uint8[::1])),
            _types.UniTuple(float64, 4),
        ),
    ),
    (cohort_kernel.cell_of, (float64,)),
    (cohort_kernel.duration_cell, (float64,)),
    (cohort_kernel.fill, (_COUNTS, _COUNTS, _COUNTS)),
    (cohort_kernel.count_answer, (_COHORT, float64, int64, int64, float64)),
    (
        cohort_kernel.count_outcome,
        (_COHORT, _WHOLE, _NUMBERS),
    ),
    (day_kernel.group_of, (float64, boolean)),
    (day_kernel.delay_cell, (float64,)),
    (day_kernel.add_answer, (_SINGLE_ROW, float64, boolean)),
    (
        day_kernel.add_outcome,
        (_SINGLE_ROW, _SINGLE_ROW, _types.UniTuple(float64, 3), _types.UniTuple(int64, 3)),
    ),
    (statistics.mean_and_sd, (_FLOATS, _FLOATS)),
    (statistics.block_inflation, (_FLOATS,)),
    (statistics.clump_inflation, (_FLOATS,)),
    (statistics.quantiles, (_FLOATS, _FLOATS, _FLOATS)),
    (statistics.standardise, (_FLOATS, _FLOATS)),
    (statistics.innovate, (_FLOATS, float64, _FLOATS, _FLOATS)),
    (statistics.coarse, (_FLOATS, _PLACES, _FLOATS, _FLOATS, _FLOATS)),
    (statistics.rank, (_FLOATS, _PLACES, _TABLE)),
    (statistics.stretch_share, (_TABLE,)),
    (hour_kernel.adjust, (_FLOATS, _MINUTES, _FLOATS, _FLOATS)),
    (hour_kernel.count_scores, (_SINGLES, int64, _MINUTES, _FLOATS, _FLOATS)),
    (hour_kernel.count_hits, (_SINGLES, int64, _MINUTES, _FLOATS)),
    (hour_kernel.first_late, (_MINUTES, int64, int64)),
    (scan.scan_events, (_TEXT, _RUNS, _FORM, int64[:, ::1])),
    (wide_events.take_features, (_TEXT, _RUNS, _FORM, _FOUND)),
)


def compile_all() -> Iterator[bool]:
    """Compile one kernel after the other; yield for each whether the cache had it.

    The first one is small: whoever announces a wait can do so after it.
    """
    for kernel, arguments in _SIGNATURES:
        dispatcher: Any = kernel
        dispatcher.compile(arguments)
        yield not dispatcher.stats.cache_misses
