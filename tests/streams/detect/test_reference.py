import numpy as np
import pytest

from streams.detect.reference import ShareReference, autocorrelation
from streams.detect.sample import Categories, Sample
from streams.detect.statistics import block_inflation


def test_knots_rise_and_so_do_their_scores() -> None:
    values = np.round(np.random.default_rng(1).exponential(3.0, 2_000))

    scale = Sample.of(values).scale

    assert (np.diff(scale.knots) > 0).all()
    assert (np.diff(scale.scores) > 0).all()
    assert len(scale.knots) <= 61


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


def test_categories_below_one_percent_are_watched_together() -> None:
    values = ["a"] * 1_000 + ["b"] * 900 + [f"rare {k % 10}" for k in range(100)]

    levels = Categories.of(values, rarest_rows=3)

    assert levels.watched == ("a", "b")
    assert levels.others == 10
    assert levels.is_closed


def test_a_category_seen_once_leaves_room_for_more() -> None:
    assert not Categories.of(["a"] * 999 + ["b"], rarest_rows=3).is_closed


def test_no_more_than_twelve_categories_are_watched() -> None:
    assert len(Categories.of([f"{k % 40}" for k in range(4_000)], rarest_rows=3).watched) == 12


def test_both_truths_are_known_before_they_come() -> None:
    assert set(Categories.of_truth([False] * 300).watched) == {False, True}
