"""The example worker retrains a model whose world has turned round, and the alert resolves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from rich.console import Console

from agents.commands.profile import ProfileOptions, make_profile
from examples.retrain.retrain import profile, rows_of, train
from schemas.model_spec import ModelSpec, RetrainRules
from tests.doubles.core import Played, log_of, play, taken_in
from tests.doubles.inputs import START_MS, outcome, prediction

TURNED, ROWS = 1_500, 4_000
Model = Callable[[dict[str, Any]], float]
SPEC = ModelSpec(alert_budget=1.0, retrain=RetrainRules(min_labelled=300))


def first(features: dict[str, Any]) -> float:
    """The first version: right until the world turns round."""
    return float(features["x"] > 0)


def service(rows: int, second: Model | None = None, second_from: int = ROWS) -> Iterator[bytes]:
    rng = np.random.default_rng(8)
    for row in range(rows):
        at_ms = START_MS + 2_000 * row
        x, noise = (round(float(each), 6) for each in rng.normal(size=2))
        truth = bool(x + 0.2 * noise > 0) != (row >= TURNED)
        is_second = second is not None and row >= second_from
        score = (second if is_second and second is not None else first)({"x": x})
        yield prediction(
            f"r{row}",
            "loan",
            predicted_at=at_ms,
            prediction=score > 0.5,
            model_version="2" if is_second else "1",
            features={"x": x},
            status="fallback" if row % 50 == 0 else "ok",
        )
        yield outcome(f"r{row}", "loan", observed_at=at_ms + 1_000, outcome=truth)


def played(values: Iterator[bytes]) -> Played:
    return play(log_of(taken_in(values)), lambda _model_id: SPEC)


def test_it_learns_from_exactly_the_rows_named_and_the_alert_resolves(tmp_path: Path) -> None:
    before = played(service(2_500))
    (command,) = before.of("feedback")
    copies = [row for row in before.of("labelled") for _ in range(2)]

    rows = rows_of(command, iter(copies))
    second = train(rows)

    asked = command["labelled"]
    fallbacks = sum(1 for row in rows if row["prediction"].get("status") == "fallback")
    numbers = [row["row"] for row in rows]
    assert fallbacks == 0
    assert len(set(numbers)) == len(numbers) == asked["rows"] - asked["rows"] // 50
    assert min(numbers) >= asked["first_row"]
    assert max(numbers) <= asked["last_row"]

    after = played(service(ROWS, second, 2_600))
    error = [each for each in after.of("alerts") if each["series"] == "error"]
    (result,) = [each for each in after.of("feedback") if each["command"] == "retrained"]
    assert [each["status"] for each in error][-1] == "resolved"
    assert result["retrained"]["high"] < 0
    assert result["retrained"]["after"]["version"] == "2"


def test_it_writes_the_files_that_a_profile_is_made_of(tmp_path: Path) -> None:
    (command,) = played(service(2_500)).of("feedback")
    rows = rows_of(command, iter(played(service(2_500)).of("labelled")))

    made = profile(rows, tmp_path, "true")  # a program that does nothing

    options = ProfileOptions(
        predictions=str(tmp_path / "predictions.jsonl"),
        outcomes=str(tmp_path / "outcomes.jsonl"),
        out=made,
        spec=None,
    )

    assert make_profile(options, Console(quiet=True)) == 0
    assert "prediction" in orjson.loads(made.read_bytes())["series"]
