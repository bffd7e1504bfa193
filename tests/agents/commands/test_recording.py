"""Recorded files as events, and the instants that the log gives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.commands.backtest import Backtest
from agents.commands.recording import ENOUGH, NEXT_LINES, Recording, Refusals
from schemas.model_spec import ModelSpec, parse_spec
from streams.ingest.records import Accepted
from tests.doubles.inputs import START_MS, outcome, prediction

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS


def read(
    folder: Path, predictions: list[bytes], outcomes: list[bytes]
) -> tuple[list[Accepted], Refusals]:
    (folder / "p.jsonl").write_bytes(b"\n".join(predictions))
    (folder / "o.jsonl").write_bytes(b"\n".join(outcomes))
    recording = Recording(predictions=str(folder / "p.jsonl"), outcomes=str(folder / "o.jsonl"))
    refusals = Refusals()
    batches = list(recording.batches(refusals, lambda _bytes: None))
    return [event for events, _ in batches for event in events], refusals


def dated(minutes: list[float]) -> list[bytes]:
    return [
        prediction(f"p{row}", predicted_at=START_MS + round(minute * MINUTE_MS))
        for row, minute in enumerate(minutes)
    ]


def logged(folder: Path, minutes: list[float]) -> tuple[list[float], dict[str, tuple[int, int]]]:
    """Return the minutes that the log gives predictions of these minutes, and those held."""
    events, refusals = read(folder, dated(minutes), [])
    return [(each.logged_at - START_MS) / MINUTE_MS for each in events], refusals.ahead


DAY = DAY_MS / MINUTE_MS


@pytest.mark.parametrize("place", [0, 1, 30, 57, 58, 59])
def test_one_wrong_date_moves_no_other(tmp_path: Path, place: int) -> None:
    minutes = [float(row) for row in range(60)]
    minutes[place] = 60 * DAY

    found, ahead = logged(tmp_path, minutes)

    right = [float(row) for row in range(60)]
    right[place] = 1.0 if place == 0 else place - 1.0
    assert found == right
    assert ahead == {"predictions": (1, place + 1)}


def test_several_wrong_dates_are_counted(tmp_path: Path) -> None:
    minutes = [float(row) for row in range(600)]
    for row in (100, 101, 102, 300):
        minutes[row] += 9 * DAY

    found, ahead = logged(tmp_path, minutes)

    assert found[103:300] == [float(row) for row in range(103, 300)]
    assert ahead == {"predictions": (4, 101)}


@pytest.mark.parametrize("batch", [ENOUGH, NEXT_LINES, 500])
def test_a_pause_is_a_pause(tmp_path: Path, batch: int) -> None:
    """A batch a night, and three nights without one."""
    nights = [0, 1, 2, 6, 7]
    minutes = [night * 2 * DAY + row / 60 for night in nights for row in range(batch)]

    found, ahead = logged(tmp_path, minutes)

    assert found == pytest.approx(minutes, abs=1e-4)
    assert ahead == {}


def test_a_model_with_a_prediction_a_week_has_no_wrong_dates(tmp_path: Path) -> None:
    minutes = [7 * DAY * row for row in range(40)]

    assert logged(tmp_path, minutes) == (minutes, {})


def test_a_file_of_two_models_one_after_the_other_has_no_wrong_dates(tmp_path: Path) -> None:
    minutes = [*(60.0 * row for row in range(300)), *(60.0 * row for row in range(300))]

    assert logged(tmp_path, minutes) == (minutes, {})


def test_the_model_is_told_what_is_refused_where_it_stands(tmp_path: Path) -> None:
    lines = dated([float(row) for row in range(20)])
    lines[10] = lines[10].replace(b'"yes"', b'["yes"]')
    lines[15] = lines[15].replace(b'"yes"', b"NaN")
    lines[17] = b"{}"

    events, refusals = read(tmp_path, lines, [])

    kinds = [each.source.kind for each in events]
    assert [row for row, kind in enumerate(kinds) if kind == "refused"] == [10, 15]
    assert len(events) == 19
    assert refusals.by_reason.total() == 3
    assert refusals.ahead == {}


# Remarks


def remarks(spec: ModelSpec, folder: Path, predictions: list[bytes], outcomes: list[bytes]) -> str:
    events, _ = read(folder, predictions, outcomes)
    run = Backtest(spec)
    run.apply(events, is_predicted=False)
    return "\n".join(run.results().remarks)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            {"model_id": "loan"},
            "The spec names model loan, and no line does: it was applied to none of m.",
        ),
        (
            {"features": {"ignore": ["incom"]}},
            "features.ignore names no feature of the input: incom. Did you mean income?",
        ),
        (
            {"features": {"categorical": ["zip", "q"]}},
            "features.categorical names no feature of the input: q.",
        ),
        ({"model_id": "m", "features": {"ignore": ["zip"], "categorical": ["income"]}}, ""),
    ],
)
def test_a_spec_that_names_nothing_is_said(
    tmp_path: Path, spec: dict[str, object], said: str
) -> None:
    rows = [prediction(f"p{row}", features={"income": row, "zip": row}) for row in range(30)]

    assert remarks(parse_spec(spec), tmp_path, rows, []) == said


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ([outcome(f"p{row}") for row in range(30)], ""),
        (
            [outcome(f"{row}") for row in range(10, 40)],
            "Model m: 0 of 30 outcomes found their prediction: ids of predictions are like a9, of "
            "outcomes like 99. Check both.",
        ),
        (
            [outcome(f"p{row}") for row in range(50, 80)],
            "Model m: 0 of 30 outcomes found their prediction: no prediction that waits has their "
            "ids. Check that both use the same id.",
        ),
        (
            [outcome(f"p{row}", "M") for row in range(30)],
            "Model M: 0 of 30 outcomes found their prediction: no prediction names this model. "
            "Check model_id on both sides.",
        ),
    ],
)
def test_outcomes_that_find_nothing_are_explained_beside_their_number(
    tmp_path: Path, outcomes: list[bytes], said: str
) -> None:
    rows = [prediction(f"p{row}") for row in range(10, 50)]
    rows += [prediction(f"p{row}") for row in range(10)]

    assert remarks(ModelSpec(), tmp_path, rows, outcomes) == said
