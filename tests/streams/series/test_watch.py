import numpy as np
import orjson
import pytest

from streams.codec import DamagedSnapshotError, encode
from streams.series.numeric import NumericSeries
from streams.series.offline import profile, watch_of
from streams.series.watch import SeriesWatch
from streams.series.watch_spec import WatchSpec
from streams.values import Scalar

FEATURE = WatchSpec(role="feature")


def new_watch(spec: WatchSpec = FEATURE) -> SeriesWatch:
    watch = SeriesWatch(spec)
    watch.set_budget(0.01)
    return watch


def numbers(rows: int, seed: int = 1, mean: float = 0.0) -> list[Scalar]:
    values: list[Scalar] = np.random.default_rng(seed).normal(mean, 1.0, rows).tolist()
    return values


def words(rows: int, names: list[str], seed: int = 1) -> list[Scalar]:
    return [str(word) for word in np.random.default_rng(seed).choice(names, rows)]


def kind_of(watch: SeriesWatch) -> object:
    reference = watch.describe()["reference"]
    return reference["kind"] if isinstance(reference, dict) else None


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (numbers(2_000), "numeric"),
        ([row % 10 for row in range(2_000)], "categorical"),
        ([row % 11 for row in range(2_000)], "numeric"),
        ([row % 3 == 0 for row in range(2_000)], "categorical"),
        ([True] * 2_000, "categorical"),
        (words(2_000, ["a", "b"]), "categorical"),
        ([3.5] * 2_000, "constant"),
        ([f"id {row}" for row in range(2_000)], "names"),
    ],
)
def test_the_kind_of_a_series_follows_from_its_values(values: list[Scalar], kind: str) -> None:
    watch = new_watch()
    watch.update(values)

    assert kind_of(watch) == kind


def test_a_declared_kind_is_kept() -> None:
    few, many = [row % 5 for row in range(2_000)], [row % 50 for row in range(2_000)]
    numeric = new_watch(WatchSpec(role="feature", kind="numeric"))
    categorical = new_watch(WatchSpec(role="feature", kind="categorical"))
    numeric.update(few)
    categorical.update([*many[:1_990], *["x"] * 10])

    assert kind_of(numeric) == "numeric"
    assert kind_of(categorical) == "categorical"


def test_a_series_is_watched_from_its_200th_value_on() -> None:
    watch = new_watch()

    watch.update(numbers(199))
    assert watch.is_learning
    watch.update(numbers(101, seed=2))
    assert not watch.is_learning
    changes = watch.update(numbers(100, seed=3, mean=3.0))
    assert [change.aspect for change in changes] == ["level"]


def test_after_a_change_the_new_normal_is_learnt_and_the_first_is_kept() -> None:
    watch = new_watch()
    watch.update(numbers(3_000))

    assert len(watch.update(numbers(6_000, seed=2, mean=2.0))) == 1
    described = watch.describe()
    original, reference = described["original"], described["reference"]
    assert isinstance(original, dict)
    assert isinstance(reference, dict)
    assert original["mean"] == pytest.approx(0.0, abs=0.1)
    assert reference["mean"] == pytest.approx(2.0, abs=0.1)
    assert [change.figures.direction for change in watch.update(numbers(300, seed=3))] == ["down"]


def test_a_restless_series_is_given_a_longer_reference() -> None:
    rng = np.random.default_rng(1)
    wave = rng.normal(size=60_000) + np.sin(np.arange(60_000) * 2 * np.pi / 6_000)
    watch = new_watch()

    early = len(watch.update(wave[:30_000].tolist()))
    late = len(watch.update(wave[30_000:].tolist()))

    assert late < early


def test_a_constant_says_its_first_other_value() -> None:
    watch = new_watch()
    watch.update([5.0] * 2_500)

    [change] = watch.update([5.0, 5.0, 6.0, 5.0])

    assert (change.index, change.aspect, change.figures.value, change.figures.baseline) == (
        2,
        "constant",
        6.0,
        5.0,
    )


def test_an_unseen_category_is_said_at_its_first_row() -> None:
    watch = new_watch()
    watch.update(words(2_500, ["a", "b", "c"]))

    changes = watch.update(["a", "d", "b"])

    assert [(change.index, change.aspect, change.category) for change in changes] == [
        (1, "unseen", "d")
    ]


def test_a_column_of_ids_is_not_an_alarm_a_row() -> None:
    watch = new_watch()

    assert watch.update([f"id {row}" for row in range(20_000)]) == []
    assert len(encode(watch)) < 2_000


def test_a_value_of_another_type_is_said_once_and_left_out() -> None:
    watch = new_watch()
    watch.update(numbers(2_500))

    changes = watch.update([*numbers(5, seed=2), "oops", *numbers(5, seed=3), True, "again"])

    assert [(change.index, change.aspect) for change in changes] == [(5, "type")]


def test_a_column_that_becomes_another_type_is_learnt_anew() -> None:
    watch = new_watch()
    watch.update(numbers(2_500))

    changes = watch.update(words(3_000, ["a", "b", "c"]))

    assert [change.aspect for change in changes] == ["type"]
    assert kind_of(watch) == "categorical"


def test_a_stuck_column_is_named_stuck_and_not_learnt() -> None:
    watch = new_watch()
    values = numbers(3_000)
    watch.update(values)

    changes = watch.update([values[-1]] * 3_000)

    assert [change.aspect for change in changes] == ["stuck"]
    assert not watch.is_learning
    assert watch.update(numbers(2_000, seed=2)) == []


def test_a_column_that_jumps_and_sticks_says_both() -> None:
    watch = new_watch()
    watch.update(numbers(3_000))

    changes = watch.update([3.25] * 60)

    assert [(change.aspect, change.index) for change in changes[1:]] == [("stuck", 19)]
    assert changes[0].aspect == "level"


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


def test_a_profile_replaces_the_learning() -> None:
    made = profile(FEATURE, numbers(3_000))
    carried = orjson.loads(orjson.dumps(made))
    watch = watch_of(FEATURE, carried)

    assert not watch.is_learning
    assert watch.update(numbers(3_000, seed=2)) == []
    [change] = watch.update(numbers(100, seed=3, mean=1.5))
    assert change.aspect == "level"
    assert isinstance(made["reference"], dict)
    assert made["reference"]["rows"] == 3_000


def test_a_profile_that_was_edited_is_refused() -> None:
    made = profile(FEATURE, numbers(1_000))
    state = str(made["state"])

    for damaged in ({}, {"state": "?"}, {"state": state[:-8]}, {"state": "AAAA" + state[4:]}):
        with pytest.raises(DamagedSnapshotError):
            watch_of(FEATURE, damaged)


def test_a_profile_takes_two_hundred_values() -> None:
    with pytest.raises(ValueError, match="200"):
        profile(FEATURE, [*numbers(150), *[None] * 100])


@pytest.mark.parametrize(
    ("field", "value"), [("role", "other"), ("kind", "text"), ("reference_rows", 10)]
)
def test_a_spec_names_what_is_wrong_with_it(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        WatchSpec(**{"role": "feature", field: value})  # type: ignore[arg-type] # on purpose


@pytest.mark.parametrize("false_alarms", [0.0, -1.0, float("inf"), float("nan")])
def test_a_budget_is_a_positive_number(false_alarms: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        new_watch().set_budget(false_alarms)


def test_a_numeric_series_fits_in_six_kilobytes() -> None:
    watch = new_watch()
    watch.update(numbers(50_000))

    assert len(encode(watch)) < 6_000


def test_the_first_mistake_of_a_faultless_model_is_no_news() -> None:
    watch = SeriesWatch(WatchSpec(role="error", kind="categorical"))
    watch.set_budget(0.1)

    changes = watch.update([False] * 3_000 + [True] + [False] * 3_000)

    assert changes == []


ORDERED: dict[str, list[Scalar]] = {
    "a counter": list(range(20_000)),
    "an epoch": [1.6e9 + 30.0 * row for row in range(20_000)],
    "a day's number": [row // 1_500 for row in range(20_000)],
    "the day of the week": [f"day {row // 1_900 % 7}" for row in range(20_000)],
}


@pytest.mark.parametrize("values", ORDERED.values(), ids=ORDERED)
def test_what_wanders_is_given_no_reference(values: list[Scalar]) -> None:
    watch = new_watch()
    changes = watch.update(values)

    assert [change for change in changes if change.detector != "rule"] == []
    assert watch.is_learning


def test_what_has_come_to_rest_is_watched_again() -> None:
    watch = new_watch()
    watch.update([float(row) for row in range(8_000)])

    assert watch.is_learning
    assert watch.update(numbers(2_000)) == []
    assert not watch.is_learning
    [change] = watch.update(numbers(300, seed=2, mean=1.0))
    assert change.aspect == "level"


def test_a_short_memory_is_not_wandering() -> None:
    noise = np.random.default_rng(1).normal(size=4_000)
    values, last = [], 0.0
    for step in noise.tolist():
        last = 0.7 * last + step
        values.append(last)
    watch = new_watch()
    watch.update(values)

    assert kind_of(watch) == "numeric"


def test_a_profile_may_be_made_of_a_sorted_table() -> None:
    made = profile(FEATURE, sorted(np.random.default_rng(1).normal(size=2_000).tolist()))

    assert not watch_of(FEATURE, made).is_learning


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


def test_a_sensor_that_sticks_again_and_again_says_so_less_and_less() -> None:
    values = numbers(30_000)
    for start in range(3_000, 30_000, 500):
        values[start : start + 60] = [0.125] * 60
    watch = new_watch()

    changes = watch.update(values)

    assert {change.aspect for change in changes} == {"stuck"}
    assert len(changes) == 4


def test_a_value_that_is_missing_once_in_thousands_is_news_less_and_less() -> None:
    values = numbers(60_000)
    for row in range(2_500, 60_000, 2_500):
        values[row] = None
    watch = new_watch()

    assert [change.index for change in watch.update(values)] == [2_500]


def codes(rows: int, seed: int, gone: int | None = None) -> list[Scalar]:
    """Return integers that stand for forty regions; from one of them nothing comes any more."""
    shares = np.array([(7 * region % 13 + 1.0) ** 2 for region in range(40)])
    if gone is not None:
        shares[gone] = 0.0
    rng = np.random.default_rng(seed)
    return [int(code) for code in 100 + rng.choice(40, rows, p=shares / shares.sum())]


def test_a_common_code_that_comes_no_more_is_named() -> None:
    watch = new_watch()

    assert watch.update(codes(6_000, seed=1)) == []
    [change, *_] = watch.update(codes(1_000, seed=2, gone=11))
    assert (change.aspect, change.category, change.figures.direction) == ("share", "111", "down")


def test_counts_that_rise_and_fall_smoothly_have_no_codes() -> None:
    counts: list[Scalar] = np.random.default_rng(1).poisson(9.0, 3_000).tolist()
    watch = new_watch()
    watch.update(counts)
    series = watch._reference.series

    assert isinstance(series, NumericSeries)
    assert series._heaps == ()
    assert series._shares is None


def test_a_beginning_unlike_the_rest_is_left_out_of_the_reference() -> None:
    watch = new_watch(WatchSpec(role="error", kind="categorical"))
    rng = np.random.default_rng(1)
    watch.update([*[True] * 150, *[False] * 2_850])

    assert not watch.is_learning
    [change] = watch.update((rng.random(500) < 0.2).tolist())
    assert (change.aspect, change.figures.direction, change.figures.baseline) == (
        "share",
        "up",
        1 / 4_002,
    )


def test_missing_values_do_not_have_a_reference_made_once_more() -> None:
    start: list[Scalar] = [*[True] * 150, *[False] * 1_850]
    whole, cut = (new_watch(WatchSpec(role="error", kind="categorical")) for _ in range(2))

    whole.update([*start, None, None, *[False] * 300])
    for values in (start, [None, None], [False] * 300):
        cut.update(values)

    assert encode(cut) == encode(whole)
