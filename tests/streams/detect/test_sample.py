import numpy as np
import pytest

from streams.detect.sample import Categories, Sample


def test_knots_rise_and_so_do_their_scores() -> None:
    values = np.round(np.random.default_rng(1).exponential(3.0, 2_000))

    scale = Sample.of(values).scale

    assert (np.diff(scale.knots) > 0).all()
    assert (np.diff(scale.scores) > 0).all()
    assert len(scale.knots) <= 61


def test_categories_below_one_percent_are_watched_together() -> None:
    values = ["a"] * 1_000 + ["b"] * 900 + [f"rare {k % 10}" for k in range(100)]

    levels = Categories.of(values, rarest_rows=3)

    assert levels.watched == ("a", "b")
    assert levels.others == 10
    assert levels.is_closed


def test_a_rare_category_with_most_of_the_remaining_rows_is_watched_by_its_name() -> None:
    values = ["a"] * 1_900 + ["rare"] * 9 + ["b"] * 80 + [f"{k % 3}" for k in range(8)]

    levels = Categories.of(values, rarest_rows=3)

    assert levels.watched == ("a", "b", "rare")
    assert levels.counts == (1_900, 80, 9)
    assert levels.others == 3


def test_a_category_seen_once_leaves_room_for_more() -> None:
    assert not Categories.of(["a"] * 999 + ["b"], rarest_rows=3).is_closed


def test_no_more_than_twelve_categories_are_watched() -> None:
    assert len(Categories.of([f"{k % 40}" for k in range(4_000)], rarest_rows=3).watched) == 12


def test_both_truths_are_known_before_they_come() -> None:
    assert set(Categories.of_truth([False] * 300).watched) == {False, True}


def test_equal_values_share_their_rank() -> None:
    sample = Sample([5.0, 1.0, 5.0, -0.0, 0.0])

    assert sample.doubled_ranks.ravel().tolist() == [8.0, 5.0, 8.0, 2.0, 2.0]


def test_moments_are_finite_at_the_edge_of_a_double() -> None:
    assert Sample([1e308, -1e308]).moments == (0.0, 1e308)


def test_categories_as_common_as_the_rest_are_not_counted_by_the_rows_that_chose_them() -> None:
    rng = np.random.default_rng(3)
    drawn = [f"c{k}" for k in rng.integers(0, 120, 2_000)]

    made = Categories.of(drawn, rarest_rows=3)

    assert made.is_split
    assert made.rows == pytest.approx(1_000, abs=100)
    mean = np.mean([rows / made.rows for rows in made.counts])
    assert mean == pytest.approx(1 / 120, rel=0.25)  # 1/80 by the rows that chose them


def test_categories_that_stand_out_are_counted_by_all_rows() -> None:
    made = Categories.of(["a"] * 900 + ["b"] * 95 + ["c", "d", "e", "f", "g"], rarest_rows=3)

    assert not made.is_split
    assert made.counts == (900, 95)
