import numpy as np
import pytest

from streams.change import Change, Figures
from streams.series.detection import Detection
from streams.series.recovery_measures import (
    MAX_BLOCK_ROWS,
    MIN_BLOCK_ROWS,
    NARROWEST,
    WIDEST,
    NumberMeasure,
    ShareMeasure,
    _bound_of,
)

AT_MS = np.arange(10_000)
REFERENCE = {"quantiles": {"0": -3.0, "0.5": 0.0, "1": 3.0}, "mean": 0.0, "sd": 1.0}


def level(effect: float) -> Detection:
    figures = Figures(effect, 0.0, effect=effect, unit="sd", direction="up")
    return Detection(index=0, aspect="level", detector="page_hinkley", figures=figures)


@pytest.mark.parametrize(
    ("size", "inflation", "bound", "rows"),
    [
        (5.0, 1.0, WIDEST, MIN_BLOCK_ROWS),
        (0.01, 1.0, NARROWEST, 1_276),
        (0.25, 4.0, 0.1, 2_500),
        (0.1, 100.0, 0.177, MAX_BLOCK_ROWS),
    ],
)
def test_a_small_change_and_a_long_memory_take_a_longer_block(
    size: float, inflation: float, bound: float, rows: int
) -> None:
    got, block_rows = _bound_of(size, inflation)

    assert got == pytest.approx(bound, abs=1e-3)
    assert block_rows == rows


def test_text_and_atoms_do_not_count_in_a_mean() -> None:
    measure = NumberMeasure.of(level(1.0), REFERENCE | {"atoms": [0.0]})

    assert measure.read([0.0, "x", None, True, 2.0, 4], AT_MS[:6]) == 2
    assert measure.close().figures.value == 3.0


def test_a_further_change_gives_a_bound_to_the_categories_that_are_away_then() -> None:
    shares = {"a": 0.5, "b": 0.3, "c": 0.2}
    figures = Figures(0.8, 0.5, effect=4.0, unit="odds_ratio", direction="up")
    change = Detection(
        index=0, aspect="share", detector="cusum", figures=figures, category="a",
        reference={"shares": shares},
    )  # fmt: skip
    measure = ShareMeasure.of(change, {"shares": shares})
    block = ["a"] * 100 + ["b"] * 10 + ["c"] * 90

    measure.read(block, AT_MS[:200])
    assert measure.close().is_back
    measure.add_change(change, "b")
    results = []
    for _ in range(2):
        measure.read(block, AT_MS[:200])
        results.append(measure.close())

    assert [result.is_back for result in results] == [True, False]
    assert results[1].category == "b"
    assert results[1].moved[0][0] == "b"


def test_a_result_keeps_the_aspect_and_the_unit_of_its_change() -> None:
    measure = NumberMeasure.of(level(1.0), REFERENCE)
    measure.read([1.0] * 200, AT_MS[:200])

    change = measure.close().onto(level(1.0).change, rows=230)

    assert isinstance(change, Change)
    assert (change.aspect, change.detector) == ("level", "page_hinkley")
    assert (change.figures.unit, change.figures.rows, change.figures.value) == ("sd", 230, 1.0)
