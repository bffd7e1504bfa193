"""A worker reads the state that was stored by its version."""

import pytest

from schemas.model_spec import ModelSpec
from schemas.topics import Topics
from streams.codec import STATE_VERSION, StateVersionError
from streams.model.model import ModelMonitor
from streams.state.records import StateRecord, manifest_records
from streams.state.stored import StoredState
from streams.state.view import StateView
from tests.golden import state


def restored(records: list[StateRecord]) -> tuple[dict[str, ModelMonitor], StoredState]:
    view = StateView()
    for record in records:
        view.take(record)
    found = view.restore(
        0, lambda _model_id: ModelSpec(alert_budget=20.0), Topics().name("labelled")
    )
    assert not found.losses
    return {model_id: each.model for model_id, each in found.models.items()}, found.stored


def test_the_state_of_this_version_is_kept() -> None:
    assert state.versions() == [STATE_VERSION], "run: python -m tests.golden.state"


def test_the_state_of_this_version_is_read() -> None:
    models, stored = restored(state.read(STATE_VERSION))

    loan, price = models["loan"], models["price"]
    assert (loan.counts.predictions, loan.counts.labelled) == (700, 234)
    assert loan.join.waiting_predictions == 466
    assert loan.join.last_numbers()["predictions"] >= 3
    assert price.counts.predictions == 100
    assert stored.garbage() == []


def test_a_state_that_was_read_is_written_again_to_the_byte() -> None:
    records = state.read(STATE_VERSION)
    models, _ = restored(records)

    for model_id, model in models.items():
        offset = max(int(r.key.split(b",")[2]) for r in records if r.key.startswith(b'["manifest"'))
        for record in manifest_records(model_id, offset, model.snapshot()):
            assert record in records


def test_the_golden_holds_an_open_alert_and_its_check() -> None:
    models, _ = restored(state.read(STATE_VERSION))

    assert [record for _, record in models["loan"]._publication.writer.statuses() if record]


def test_an_older_worker_refuses_the_state_of_a_newer_one() -> None:
    models, _ = restored(state.read(STATE_VERSION))
    snapshot = models["loan"].snapshot()
    newer = snapshot[:4] + (STATE_VERSION + 1).to_bytes(2, "little") + snapshot[6:]

    with pytest.raises(StateVersionError, match=f"has version {STATE_VERSION + 1}, this worker"):
        restored([*state.read(STATE_VERSION), *manifest_records("loan", 10**9, newer)])
