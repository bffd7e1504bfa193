from __future__ import annotations

from pathlib import Path

from tests.broker.deployment import command
from tests.doubles.inputs import outcome, prediction


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
    assert "6 predictions that too many others pushed out" in " ".join(run.stderr.split())
