"""A profile that tells the error of a regression without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from agents.commands.profile import ProfileOptions, make_profile
from agents.commands.recording import read_spec
from agents.errors import OperatorError
from streams.clock import HOUR_MS
from streams.performance.error_fit import FEWEST_ROWS
from streams.performance.error_model import ErrorEstimator
from streams.series.profile_check import check_profile
from tests.doubles.inputs import START_MS, outcome, prediction


def options(folder: Path, rows: int) -> ProfileOptions:
    """Write the events of a model whose errors are larger for one kind of cases."""
    rng = np.random.default_rng(95)
    predictions, outcomes = folder / "p.jsonl", folder / "o.jsonl"
    made: list[tuple[bytes, bytes]] = []
    for row in range(rows):
        kind, at_ms = "hard" if row % 3 == 0 else "easy", START_MS + 60_000 * row
        answer = float(rng.normal(100, 10))
        error = float(rng.normal(0, 9 if kind == "hard" else 1))
        fields: dict[str, Any] = {
            "predicted_at": at_ms,
            "prediction": answer,
            "features": {"kind": kind},
        }
        known: dict[str, Any] = {"observed_at": at_ms + HOUR_MS, "outcome": answer - error}
        made.append((prediction(f"p{row}", **fields), outcome(f"p{row}", **known)))
    predictions.write_bytes(b"\n".join(value for value, _ in made))
    outcomes.write_bytes(b"\n".join(value for _, value in made))
    return ProfileOptions(
        predictions=str(predictions),
        outcomes=str(outcomes),
        out=folder / "profile.json",
        spec=None,
        estimate=True,
    )


def test_a_spec_that_names_the_profile_has_the_error_model(tmp_path: Path) -> None:
    console = Console(record=True, width=200, quiet=False, file=(tmp_path / "log").open("w"))

    code = make_profile(options(tmp_path, FEWEST_ROWS + 100), console)
    (tmp_path / "spec.yaml").write_text(
        "metrics: {every: day}\nreference: {profile: profile.json}\n"
    )
    spec = read_spec(str(tmp_path / "spec.yaml"))

    assert code == 0
    assert "It tells the error without labels, learnt from 2,100 rows." in console.export_text()
    check_profile(spec)
    assert spec.reference.error_model is not None
    told = ErrorEstimator(spec.reference.error_model)
    answers = np.random.default_rng(96).normal(100, 10, 400).tolist()
    half_normal = np.sqrt(2 / np.pi)
    for kind, size in (("easy", 1), ("hard", 9)):
        units = [told.expected({"kind": kind}, answer) or 0 for answer in answers]
        assert np.mean(units) * told.unit == pytest.approx(size * half_normal, rel=0.1)


def test_too_few_labelled_rows_are_said_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"needs 2,000 labelled rows .* hold 300\. Name more"):
        make_profile(options(tmp_path, 300), Console(quiet=True))
