import numpy as np
import pytest

from streams.series.watch_spec import WatchSpec
from streams.values import Scalar
from tests.doubles.series import kind_of, new_watch, numbers, words


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
    categorical.update([*many[:1_990], *["x"] * 10, *many[:10]])

    assert kind_of(numeric) == "numeric"
    assert kind_of(categorical) == "categorical"


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


def test_a_short_memory_is_not_wandering() -> None:
    noise = np.random.default_rng(1).normal(size=4_000)
    values, last = [], 0.0
    for step in noise.tolist():
        last = 0.7 * last + step
        values.append(last)
    watch = new_watch()
    watch.update(values)

    assert kind_of(watch) == "numeric"
