from __future__ import annotations

from pathlib import Path

import pytest

from agents.commands.status import STALE_S, as_lines, instant_of, staleness
from schemas.alert import Acknowledgement
from schemas.event import EventBatch, encode_events, encode_tick
from schemas.status import Status
from schemas.wire import to_epoch_ms

GOLDEN = Path(__file__).parents[2] / "golden" / "status.json"


STATUS = Status.model_validate_json(GOLDEN.read_bytes())
LONG = "a-model-with-a-long-name" * 9
NOW_MS = to_epoch_ms(STATUS.alert.started_at) + 93_600_000


@pytest.mark.parametrize("width", [20, 80, 160])
def test_people_get_one_line_an_alert(width: int) -> None:
    alert = STATUS.alert.model_copy(
        update={"model_id": LONG, "summary": f"Model {LONG}: the error rose."}
    )
    acknowledged = Acknowledgement(by="ana", at=STATUS.since, because=None)
    update = {"muted_until": "2018-08-27T09:41:52.480Z", "acknowledged": acknowledged}
    muted = STATUS.model_copy(update=update | {"alert": alert})

    plain, noted = (line.plain for line in as_lines([STATUS, muted], NOW_MS, width))

    assert plain.startswith(f"critical    1 d {STATUS.fingerprint[:8]} car_loan ")
    assert max(len(plain), len(noted)) <= max(width, 80)
    assert width < 160 or "[by ana, muted until 08-27 09:41] the error rose" in noted
    assert width < 160 or "the error rose" in plain
    assert " ago" not in plain, "what was true when it was published"


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
