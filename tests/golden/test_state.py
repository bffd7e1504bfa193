"""A worker reads what earlier ones have stored."""

import pytest

from schemas.model_spec import ModelSpec
from schemas.topics import Topics
from streams.codec import StateVersionError
from streams.model import STATE_VERSION, ModelMonitor
from streams.state import StateRecord, StateView, StoredState, manifest_records
from streams.tree_codec import pack, unpack
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
    assert STATE_VERSION in state.versions(), "run: python -m tests.golden.state"


@pytest.mark.parametrize("version", state.versions())
def test_the_state_of_every_version_is_read(version: int) -> None:
    models, stored = restored(state.read(version))

    loan, price = models["loan"], models["price"]
    assert (loan.predictions_seen, loan.labelled_seen) == (700, 234)
    assert loan.join.waiting_predictions == 466
    assert loan.join.last_numbers()["predictions"] >= 3
    assert (price.predictions_seen, price.join.waiting_outcomes) == (100, 100)
    assert stored.garbage() == []


def test_what_is_read_is_written_again_to_the_byte() -> None:
    records = state.read(STATE_VERSION)
    models, _ = restored(records)

    for model_id, model in models.items():
        offset = max(int(r.key.split(b",")[2]) for r in records if r.key.startswith(b'["manifest"'))
        for record in manifest_records(model_id, offset, model.snapshot()):
            assert record in records


def test_an_older_worker_refuses_the_state_of_a_newer_one() -> None:
    models, _ = restored(state.read(STATE_VERSION))
    newer = pack(unpack(models["loan"].snapshot()) | {"version": STATE_VERSION + 1})

    with pytest.raises(StateVersionError, match=f"has version {STATE_VERSION + 1}, this worker"):
        restored([*state.read(STATE_VERSION), *manifest_records("loan", 10**9, newer)])
