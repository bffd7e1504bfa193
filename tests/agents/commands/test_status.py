from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from agents.commands.status import STALE_S, as_table, instant_of, staleness
from schemas.event import EventBatch, encode_events, encode_tick
from schemas.status import Status
from schemas.wire import to_epoch_ms

GOLDEN = Path(__file__).parents[2] / "golden" / "status.json"


def test_people_get_a_table_with_what_matters() -> None:
    status = Status.model_validate_json(GOLDEN.read_bytes())
    muted = status.model_copy(update={"muted_until": "2018-08-27T09:41:52.480Z"})
    console = Console(width=200, record=True)

    console.print(as_table([status, muted], to_epoch_ms(status.alert.started_at) + 93_600_000))

    shown = console.export_text()
    for word in ("critical", "2018-08-26 09:41", "car_loan", "the error rose", status.fingerprint):
        assert word in shown
    assert "muted until 2018-08-27 09:41" in shown
    assert "1 d 2 h" in shown, "how long it lasts by now"
    assert " ago" not in shown, "what was true when it was published"


@pytest.mark.parametrize(
    ("age_s", "said"),
    [(STALE_S - 1, None), (STALE_S, "the last tick is 1 min old"), (7_300, "is 2 h 1 min old")],
)
def test_a_list_that_nobody_updates_says_so(age_s: float, said: str | None) -> None:
    sentence = staleness(1_000_000, 1_000_000 + round(1_000 * age_s))

    assert (sentence is None) == (said is None)
    assert said is None or said in (sentence or "")


def test_a_log_without_a_tick_has_no_worker() -> None:
    assert staleness(None, 0) == "No worker has appended a tick yet: start one."


def test_a_batch_counts_as_a_tick_of_its_append_and_a_strangers_record_as_none() -> None:
    batch = EventBatch((), [], [], [], [], appended_at=1_700_000_000_000)

    assert instant_of(encode_tick(1_700_000_000_001)) == 1_700_000_000_001
    assert instant_of(encode_events(batch)) == 1_700_000_000_000
    assert instant_of(b"hello") is None
