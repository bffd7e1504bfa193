import numpy as np
import pytest

from streams.series.watch import SeriesWatch
from streams.series.watch_spec import WatchSpec
from tests.doubles.series import new_watch, numbers, words


def test_an_unseen_category_is_raised_at_its_first_row() -> None:
    watch = new_watch()
    watch.update(words(2_500, ["a", "b", "c"]))

    changes = watch.update(["a", "d", "b"])

    assert [(change.index, change.aspect, change.category) for change in changes] == [
        (1, "unseen", "d")
    ]


def test_a_stuck_column_is_named_stuck_and_not_learnt() -> None:
    watch = new_watch()
    values = numbers(3_000)
    watch.update(values)

    changes = watch.update([values[-1]] * 3_000)

    assert [change.aspect for change in changes] == ["stuck"]
    assert not watch.is_learning
    assert watch.update(numbers(2_000, seed=2)) == []


def test_a_column_that_jumps_and_sticks_is_stuck_before_its_jump_is_told() -> None:
    watch = new_watch()
    watch.update(numbers(3_000))

    changes = watch.update([3.25] * 60)

    assert [(change.aspect, change.index) for change in changes] == [("stuck", 19)]


def test_errors_may_be_all_wrong_or_all_right_for_long() -> None:
    watch = new_watch(WatchSpec(role="error"))
    rng = np.random.default_rng(1)
    watch.update((rng.random(3_000) < 0.02).tolist())

    assert all(change.aspect != "stuck" for change in watch.update([False] * 2_000))


def test_a_perfect_model_that_begins_to_err_is_found() -> None:
    watch = new_watch(WatchSpec(role="error"))
    rng = np.random.default_rng(1)
    watch.update([False] * 3_000)

    changes = watch.update((rng.random(600) < 0.05).tolist())

    assert [(change.aspect, change.figures.direction) for change in changes[:1]] == [
        ("share", "up")
    ]
    assert changes[0].category == "true"


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("share", [0.0, 0.0005, 0.002, 0.01])
def test_a_rise_of_rare_errors_is_a_rise_of_the_wrong_predictions(share: float, seed: int) -> None:
    watch = SeriesWatch(WatchSpec(role="error", kind="categorical"))
    watch.set_budget(0.1)
    rng = np.random.default_rng(seed)
    watch.update((rng.random(2_500) < share).tolist())

    change = watch.update((rng.random(1_500) < 0.05).tolist())[0]

    assert (change.category, change.figures.direction) == ("true", "up")
    assert change.figures.baseline == pytest.approx(share, abs=0.008)


@pytest.mark.parametrize("share", [0.0, 0.002, 0.006])
def test_a_rare_category_that_becomes_common_is_named(share: float) -> None:
    watch = SeriesWatch(WatchSpec(role="prediction", kind="categorical"))
    watch.set_budget(0.05)
    rng = np.random.default_rng(3)
    watch.update(np.where(rng.random(2_500) < share, "fraud", "fair").tolist())

    changes = watch.update(np.where(rng.random(400) < 0.4, "fraud", "fair").tolist())

    [change] = [each for each in changes if each.aspect == "share"]
    assert (change.category, change.figures.direction) == ("fraud", "up")
    assert change.moved[0][0] == "fraud"


@pytest.mark.parametrize("false_alarms", [0.0, -1.0, float("inf"), float("nan")])
def test_a_budget_is_a_positive_number(false_alarms: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        new_watch().set_budget(false_alarms)


def test_the_first_mistake_of_a_faultless_model_is_no_unseen_category() -> None:
    watch = SeriesWatch(WatchSpec(role="error", kind="categorical"))
    watch.set_budget(0.1)

    changes = watch.update([False] * 3_000 + [True] + [False] * 3_000)

    assert changes == []


@pytest.mark.parametrize("seed", range(6))
def test_values_that_come_several_times_in_a_row_are_no_alarm(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fours = np.repeat(rng.normal(size=5_000), 4)
    runs = np.repeat(rng.normal(size=2_000), rng.geometric(0.05, 2_000))[:20_000]
    clumps = np.repeat(rng.integers(0, 5, 2_000), rng.geometric(0.05, 2_000))[:20_000]

    for values in (fours, runs, clumps):
        watch = new_watch()
        assert watch.update(values.tolist()) == []
        assert not watch.is_learning


def test_a_sensor_that_sticks_again_and_again_is_raised_less_and_less() -> None:
    values = numbers(30_000)
    for start in range(3_000, 30_000, 500):
        values[start : start + 60] = [0.125] * 60
    watch = new_watch()

    changes = watch.update(values)

    assert {change.aspect for change in changes} == {"stuck"}
    assert len(changes) == 4


def test_a_value_that_is_missing_once_in_thousands_is_not_raised() -> None:
    values = numbers(60_000)
    for row in range(2_500, 60_000, 2_500):
        values[row] = None
    watch = new_watch()

    assert watch.update(values) == []
