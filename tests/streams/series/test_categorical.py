import pytest

from streams.aspects import SeriesRole
from streams.codec import decode, encode
from streams.detect.sample import Sample
from streams.series.categorical import CategorySeries, categories_of, watched_names
from streams.values import Value
from tests.doubles.series import words


def learnt(values: list[Value], role: SeriesRole = "feature") -> CategorySeries:
    categories = categories_of(values, role, "auto")
    assert categories is not None
    return CategorySeries.learn(Sample(values, categories), categories, role, 0.01)


COLOURS: list[Value] = [word for word in words(2_000, ["red", "blue", "green"]) if word is not None]


def test_of_two_categories_the_rarer_is_watched() -> None:
    series = learnt([*["no"] * 900, *["yes"] * 1_100])

    assert series.watched == ("no",)
    assert series.category(0) == "no"


@pytest.mark.parametrize("kind", ["auto", "categorical"])
@pytest.mark.parametrize("errors", [0, 4, 100, 1_900, 2_000])
def test_of_an_error_the_wrong_predictions_are_watched(errors: int, kind: str) -> None:
    truths: list[Value] = [row < errors for row in range(2_000)]
    categories = categories_of(truths, "error", kind)
    assert categories is not None

    assert watched_names(categories, "error") == (True,)


@pytest.mark.parametrize("rows", [3, 12])
def test_of_two_categories_a_rare_one_is_watched_by_its_name(rows: int) -> None:
    assert learnt([*["no"] * (2_000 - rows), *["yes"] * rows]).watched == ("yes",)


def test_where_a_third_category_would_be_no_finding_the_rest_is_watched_as_well() -> None:
    assert learnt([*["no"] * 1_999, "yes"]).watched == ("yes", None)


def test_of_one_category_the_rest_is_watched() -> None:
    assert learnt(["no"] * 2_000).watched == (None,)


def test_rare_categories_are_watched_together() -> None:
    series = learnt([*COLOURS, "teal", "plum", "rust"])

    assert series.watched[-1] is None
    assert series.category(len(series.watched) - 1) == "(other)"


@pytest.mark.parametrize(
    ("values", "is_categorical"),
    [
        ([float(row % 10) for row in range(200)], True),
        ([float(row % 11) for row in range(200)], False),
        ([1.0] * 200, False),
        (["a"] * 200, True),
    ],
)
def test_up_to_ten_different_numbers_are_categories(
    values: list[Value], is_categorical: bool
) -> None:
    assert (categories_of(values, "feature", "auto") is not None) == is_categorical


@pytest.mark.parametrize("cut", [0, 1, 333, 999])
def test_a_restored_series_finds_the_same_change(cut: int) -> None:
    later = ["red"] * 1_000
    whole, first = learnt(COLOURS), learnt(COLOURS)
    expected = whole.run(later, None, None)
    assert expected is not None

    early = first.run(later[: min(cut, expected.row)], None, None)
    second = decode(encode(first), CategorySeries)
    late = second.run(later[min(cut, expected.row) :], None, None)

    assert early is None
    assert late is not None
    assert min(cut, expected.row) + late.row == expected.row
    assert late.figures == expected.figures
    assert encode(second) == encode(whole)
    assert second.describe() == whole.describe()
