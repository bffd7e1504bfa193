from __future__ import annotations

from pathlib import Path

from rich.console import Console

from agents.commands.status import as_table
from schemas.status import Status

GOLDEN = Path(__file__).parents[2] / "golden" / "status.json"


def test_people_get_a_table_with_what_matters() -> None:
    status = Status.model_validate_json(GOLDEN.read_bytes())
    muted = status.model_copy(update={"muted_until": "2018-08-27T09:41:52.480Z"})
    console = Console(width=200, record=True)

    console.print(as_table([status, muted]))

    shown = console.export_text()
    for word in ("critical", "2018-08-26 09:41", "car_loan", "the error rose", status.fingerprint):
        assert word in shown
    assert "muted until 2018-08-27 09:41" in shown
