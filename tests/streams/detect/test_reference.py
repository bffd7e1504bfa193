import numpy as np
import pytest

from streams.detect.reference import ShareReference, autocorrelation
from streams.detect.statistics import block_inflation, clump_inflation


def test_independent_rows_have_no_memory() -> None:
    for seed in range(20):
        x = np.random.default_rng(seed).normal(size=2_000)

        assert autocorrelation(x) < 0.1
        assert block_inflation(x) < 2.0


def test_the_memory_of_neighbours_is_measured() -> None:
    rng = np.random.default_rng(1)
    x = np.zeros(20_000)
    for row in range(1, len(x)):
        x[row] = 0.7 * x[row - 1] + rng.normal()

    assert autocorrelation(x) == pytest.approx(0.7, abs=0.03)
    assert block_inflation(x) == pytest.approx((1 + 0.7) / (1 - 0.7), rel=0.35)


def test_a_series_without_variation_has_no_memory() -> None:
    assert autocorrelation(np.ones(500)) == 0.0
    assert block_inflation(np.ones(500)) == 1.0


def test_a_share_is_never_nothing() -> None:
    reference = ShareReference.of(np.zeros(100_000), [1])

    assert reference.shares[0] == 1e-4


def test_a_share_is_less_than_all_whatever_the_hours_take_off() -> None:
    reference = ShareReference.of(np.ones(1_000), [1], np.full((1_000, 1), -0.5))

    assert reference.shares[0] < 1


def test_clumps_longer_than_a_block_show_in_longer_ones_and_a_step_is_none() -> None:
    rng = np.random.default_rng(2)
    lengths = rng.geometric(1 / 100, 400), rng.geometric(1 / 900, 400)
    is_bad = np.repeat(np.arange(800) % 2 == 0, np.stack(lengths, axis=1).ravel())[:64_000]
    clumps = (rng.random(len(is_bad)) < np.where(is_bad, 0.5, 0.06)).astype(np.float64)
    long_run = 1 + 180 * 0.09 * 0.44**2 / clumps.var()  # 180: rows of memory, both ways
    step = rng.normal(size=4_000) + (np.arange(4_000) >= 2_000)

    assert block_inflation(clumps) < long_run / 2
    assert clump_inflation(clumps) == pytest.approx(long_run, rel=0.4)
    assert clump_inflation(step) < block_inflation(step) / 2
    assert clump_inflation(rng.normal(size=4_000)) == 1.0
