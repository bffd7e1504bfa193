import numpy as np
import pytest

from streams.change import Figures
from streams.series.absence_measure import ABSENCE_ROWS, AbsenceMeasure
from streams.series.detection import Detection
from streams.values import Scalar

AT_MS = np.arange(10_000)


def measure_of(aspect: str, value: Scalar, rows: int = 1) -> AbsenceMeasure:
    words = "text instead of numbers" if aspect == "type" else None
    figures = Figures(rows=rows)
    change = Detection(index=0, aspect=aspect, detector="rule", figures=figures, category=words)
    return AbsenceMeasure.of(change, value, {"value": 5.0})


@pytest.mark.parametrize(
    ("aspect", "value", "away", "back"),
    [
        ("unseen", "x", ["a", "x"], ["a", "y"]),
        ("constant", 6.0, [5.0, 7.0], [5.0, None]),
        ("type", "x", [1.0, "y"], [1.0, True, None]),
        ("text", "1.5", ["2.5", None], [1.0, 2.5]),
    ],
)
def test_a_block_is_back_when_it_has_none_of_the_values_sought(
    aspect: str, value: Scalar, away: list[Scalar], back: list[Scalar]
) -> None:
    measure = measure_of(aspect, value)

    measure.read(away, AT_MS)
    assert not measure.close().is_back
    measure.read(back, AT_MS)
    assert measure.close().is_back


def test_the_share_of_the_values_sought_is_the_figure() -> None:
    measure = measure_of("unseen", "x")
    measure.read(["x", "a", "a", "a"], AT_MS)

    assert measure.close().figures.value == 0.25


def test_a_run_as_long_as_the_one_that_was_stuck_is_sought_across_blocks() -> None:
    measure = measure_of("stuck", 1.0, rows=4)

    measure.read([1.0, 2.0, 2.0], AT_MS)
    assert measure.close().is_back
    measure.read([2.0, 2.0], AT_MS)
    assert not measure.close().is_back


def test_a_further_unseen_category_is_sought_as_well() -> None:
    measure = measure_of("unseen", "x")
    measure.seek("y")
    measure.read(["y"], AT_MS)

    assert not measure.close().is_back


def test_a_block_is_twice_as_long_as_the_run_at_least() -> None:
    assert measure_of("stuck", 1.0, rows=20).block_rows == ABSENCE_ROWS
    assert measure_of("stuck", 1.0, rows=400).block_rows == 800
