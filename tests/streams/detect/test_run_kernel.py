import math

import numpy as np

from streams.detect import run_kernel

NO_RUNS = np.empty(0, dtype=np.int64)


def test_a_run_continues_across_reads() -> None:
    values = np.array([2.0, 2.0, 2.0, 1.0, 5.0, 5.0])

    whole = run_kernel.run_equal(values, math.nan, 0, NO_RUNS)
    _, run = run_kernel.run_equal(values[:2], math.nan, 0, NO_RUNS)

    assert whole == (3, 2)
    assert run_kernel.run_equal(values[2:], 2.0, run, NO_RUNS) == whole


def test_the_run_up_to_each_value_is_written_where_there_is_room() -> None:
    runs = np.empty(4, dtype=np.int64)

    run_kernel.run_equal(np.array([1.0, 1.0, 0.0, -0.0]), 1.0, 5, runs)

    assert runs.tolist() == [6, 7, 1, 2]
