from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import orjson

from agents.errors import OperatorError
from schemas.wire import to_epoch_ms
from tests.broker.deployment import command
from tests.doubles.inputs import START_MS, outcome, prediction


def test_what_is_pushed_out_of_a_full_room_is_said(tmp_path: Path) -> None:
    predictions, outcomes, spec = (tmp_path / name for name in ("p.jsonl", "o.jsonl", "s.yaml"))
    predictions.write_bytes(b"\n".join(prediction(f"p{row}") for row in range(10)))
    outcomes.write_bytes(outcome("p9", observed_at="2026-01-01T01:00:00Z"))
    spec.write_text("outcome: {max_waiting: 4}")

    run = command(
        *("backtest", "--predictions", str(predictions), "--outcomes", str(outcomes)),
        *("--spec", str(spec), "--out", str(tmp_path / "alerts.jsonl")),
    )

    assert run.returncode == 0, run.stderr
    assert "6 predictions dropped because too many waited" in " ".join(run.stderr.split())


def recorded(folder: Path, rows: int) -> list[str]:
    """Write two files as services publish them; return the options that name them."""
    made = command("demo", "--files", str(folder), "--rows", str(rows))
    assert made.returncode == 0, made.stderr
    predictions, outcomes = folder / "predictions.jsonl.gz", folder / "outcomes.jsonl.gz"
    return ["--predictions", str(predictions), "--outcomes", str(outcomes)]


def test_outputs_are_lines_and_budgets_are_compared(tmp_path: Path) -> None:
    files = recorded(tmp_path, 3_000)
    labelled, feedback = tmp_path / "labelled.jsonl", tmp_path / "feedback.jsonl"

    run = command(
        *("backtest", *files, "--out", "-", "--labelled", str(labelled)),
        *("--feedback", str(feedback), "--what-if", "budget=0.05,1"),
    )

    assert run.returncode == 0, run.stderr
    assert run.stdout == ""
    assert len(labelled.read_bytes().splitlines()) == 3_000
    assert feedback.read_bytes() == b""
    assert "What if" in run.stderr


def test_a_profile_leaves_nothing_to_learn(tmp_path: Path) -> None:
    files = recorded(tmp_path, 1_000)
    made = tmp_path / "profile.json"
    (tmp_path / "spec.yaml").write_text("reference: {profile: profile.json}")

    profiled = command("profile", files[1], "--outcomes", files[3], "--out", str(made))
    run = command(
        *("backtest", *files, "--out", str(tmp_path / "a.jsonl")),
        *("--spec", str(tmp_path / "spec.yaml")),
    )

    assert profiled.returncode == 0, profiled.stderr
    assert "11 series" in profiled.stderr
    assert run.returncode == 0, run.stderr


def test_a_damaged_profile_is_said_in_a_sentence(tmp_path: Path) -> None:
    files = recorded(tmp_path, 500)
    series = {"score": {"reference": {}, "state": "AAAA"}}
    (tmp_path / "profile.json").write_text(json.dumps({"series": series}))
    (tmp_path / "spec.yaml").write_text("reference: {profile: profile.json}")

    run = command(
        *("backtest", *files, "--out", str(tmp_path / "a.jsonl")),
        *("--spec", str(tmp_path / "spec.yaml")),
    )

    assert run.returncode == OperatorError.exit_code
    assert "a reference of its profile cannot be used" in run.stderr
    assert "Traceback" not in run.stderr


def test_swapped_files_are_suspected(tmp_path: Path) -> None:
    files = recorded(tmp_path, 300)

    run = command(
        *("backtest", "--predictions", files[3], "--outcomes", files[1]),
        *("--out", str(tmp_path / "a.jsonl")),
    )

    assert run.returncode == 1
    assert "swapped?" in run.stderr


# Time that passes in a recording


MINUTE_MS = 60_000


def minutely(model_id: str, minutes: range) -> Iterator[tuple[int, bytes]]:
    for minute in minutes:
        at_ms = START_MS + minute * MINUTE_MS
        yield at_ms, prediction(f"{model_id}-{minute}", model_id, predicted_at=at_ms)


def silences(folder: Path, *rows: tuple[int, bytes]) -> list[tuple[str, str, float]]:
    """Run a backtest; return whose predictions were silent, what became of it, at which minute."""
    predictions, alerts = folder / "p.jsonl", folder / "alerts.jsonl"
    predictions.write_bytes(b"\n".join(value for _, value in sorted(rows)))
    outcomes = folder / "o.jsonl"
    outcomes.write_bytes(b"")
    files = ["--predictions", str(predictions), "--outcomes", str(outcomes)]
    run = command("backtest", *files, "--out", str(alerts))
    assert run.returncode == 0, run.stderr
    found = [orjson.loads(line) for line in alerts.read_bytes().splitlines()]
    return [
        (alert["model_id"], alert["status"], _minute(alert["detected_at"]))
        for alert in found
        if alert["kind"] == "silence"
    ]


def _minute(instant: str) -> float:
    return round((to_epoch_ms(instant) - START_MS) / MINUTE_MS, 1)


def test_a_silence_between_two_rows_is_told_when_a_worker_would_have_told_it(
    tmp_path: Path,
) -> None:
    days = 2 * 1_440
    rows = [*minutely("m", range(days)), *minutely("m", range(days + 45, days + 60))]

    assert silences(tmp_path, *rows) == [
        ("m", "firing", days + 14.8),
        ("m", "resolved", days + 45.0),
    ]


def test_one_of_several_models_that_is_silent_is_told_and_the_end_of_the_files_is_no_silence(
    tmp_path: Path,
) -> None:
    days = 2 * 1_440
    rows = [*minutely("stopped", range(days)), *minutely("steady", range(days + 1_440))]

    assert silences(tmp_path, *rows) == [("stopped", "firing", days + 14.8)]


def test_a_silence_that_begins_and_ends_within_one_record_of_another_model_is_told(
    tmp_path: Path,
) -> None:
    days = 2 * 1_440
    silent = [*minutely("m", range(days)), *minutely("m", range(days + 45, days + 60))]

    assert silences(tmp_path, *silent, *minutely("steady", range(days + 60))) == [
        ("m", "firing", days + 14.8),
        ("m", "resolved", days + 45.0),
    ]
