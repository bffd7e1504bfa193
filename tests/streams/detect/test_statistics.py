import math
from functools import partial

import numpy as np
import pytest

from streams.detect import statistics
from streams.detect.sample import Sample
from streams.detect.statistics import INFLATION_BLOCK_ROWS

approx = partial(pytest.approx, rel=1e-11, abs=1e-11)
SIZES = (2, 7, 8, 9, 100, 127, 128, 129, 199, 200, 256, 257, 999, 1_000, 1_999, 2_000, 4_001, 8_000)


def samples(rows: int) -> list[np.ndarray]:
    rng = np.random.default_rng(rows)
    return [rng.normal(50, 3, rows), rng.lognormal(0, 3, rows), np.round(rng.normal(0, 2, rows))]


@pytest.mark.parametrize("rows", SIZES)
def test_mean_and_deviation_are_numpys(rows: int) -> None:
    for x in samples(rows):
        assert statistics.mean_and_sd(x, np.empty(rows)) == approx((x.mean(), x.std()))


@pytest.mark.parametrize("rows", SIZES[4:])
def test_the_inflation_of_blocks_is_numpys(rows: int) -> None:
    for x in samples(rows):
        walk = np.cumsum(x - x.mean())
        blocks = rows // INFLATION_BLOCK_ROWS
        means = (
            walk[: blocks * INFLATION_BLOCK_ROWS].reshape(blocks, INFLATION_BLOCK_ROWS).mean(axis=1)
        )
        expected = INFLATION_BLOCK_ROWS * means.var(ddof=1) / walk.var()

        inflation = statistics.block_inflation(walk)

        assert inflation == approx(expected if expected > 1 + 3 * math.sqrt(2 / blocks) else 1.0)


@pytest.mark.parametrize("rows", SIZES)
def test_quantiles_are_numpys_to_the_last_bit(rows: int) -> None:
    ranks, knots = np.linspace(0.001, 0.999, 61), np.empty(61)
    for x in samples(rows):
        ordered = np.sort(x)

        rises = statistics.quantiles(ordered, ranks, knots)

        assert knots.tolist() == np.interp(ranks * rows - 0.5, np.arange(rows), ordered).tolist()
        assert rises == bool((np.diff(knots) > 0).all())


@pytest.mark.parametrize("rows", SIZES[4:])
def test_scores_and_innovations_are_standardised(rows: int) -> None:
    for x in samples(rows):
        raw, z = Sample.of(x).clipped_scores, np.empty(rows)
        e, power = np.empty(rows - 1), np.empty(rows - 1)

        mean, sd = statistics.standardise(raw, z)
        news_sd, *_, half = statistics.innovate(z, 0.3, e, power)

        assert (mean, sd) == approx((raw.mean(), raw.std()))
        assert z == approx(np.clip((raw - mean) / sd, -3.5, 3.5))
        news = z[1:] - 0.3 * z[:-1]
        assert news_sd == approx(news.std())
        assert e == approx(np.clip(news / news_sd, -3.5, 3.5))
        assert half == approx((e * e / np.mean(e * e)).var() / 2)


def test_coarse_scores_are_numpys() -> None:
    x = np.random.default_rng(1).normal(0, 3, 2_000)
    knots, heights = np.array([x.min(), 0.5, x.max()]), np.array([-1.0, 0.0, 1.0])
    expected, scores = np.interp(x, knots, heights), np.empty(2_000)

    mean, sd, _ = statistics.coarse(x, np.argsort(x), knots, heights, scores)

    assert scores == approx(expected)
    assert (mean, sd) == approx((expected.mean(), expected.std()))


def test_a_value_between_knots_further_apart_than_a_double_can_say_has_a_score() -> None:
    knots, heights, scores = np.array([-1.7e308, 1.7e308]), np.array([-1.0, 1.0]), np.empty(1)

    statistics.coarse(np.array([1.6e308]), np.array([0]), knots, heights, scores)

    assert math.isfinite(scores[0])


def test_a_share_between_stretches_is_the_part_of_the_variance() -> None:
    columns = np.random.default_rng(1).normal(size=(1_999, 3)).cumsum(axis=0)
    rows = columns[: 1_999 // 16 * 16]
    between = rows.reshape(16, -1, 3).mean(axis=1).var(axis=0).sum()

    assert statistics.stretch_share(columns) == pytest.approx(between / rows.var(axis=0).sum())
    assert statistics.stretch_share(np.ones((320, 1))) == 0.0
