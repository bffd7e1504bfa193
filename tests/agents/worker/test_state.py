from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import orjson
import pytest
from faust.types import TP
from structlog.testing import capture_logs

from agents.errors import PublishError
from agents.worker.publish import Outgoing
from agents.worker.state import SLICE_S, Held, StateKeeper, StateUnusableError
from schemas.event import encode_tick
from schemas.model_spec import ModelSpec
from schemas.topics import Topics
from streams.codec import STATE_VERSION
from streams.emission import Emission
from streams.monitor import Monitor
from streams.state.records import manifest_records
from streams.state.stored import StoredState
from tests.doubles.core import log_of, play, taken_in
from tests.doubles.inputs import START_MS, prediction
from tests.doubles.sender import ListPartitions, ListReader, ListSender
from tests.doubles.story import story
from tests.simulation.simulation import silence

T = TypeVar("T")

TOPICS = Topics()
EVENTS = TP(TOPICS.name("events"), 0)
STATE = TP(TOPICS.name("state"), 0)
MANY = 300
LOG = log_of(taken_in(prediction(f"p{row}") for row in range(MANY)), events_per_record=100)


DAMAGED = b"TDGS"
"""Begins as a manifest of ours does."""


class Desk:
    """A keeper, with what it talks to."""

    def __init__(
        self,
        begins_at: int = 0,
        fails_at: int | None = None,
        log: list[bytes] = LOG,
        slice_s: float = SLICE_S,
    ) -> None:
        self.log = log
        self.journal: list[str] = []
        self.sender = ListSender(fails_at, self.journal)
        self.partitions = ListPartitions(self.journal)
        self.reader = ListReader(begins_at)
        self.reader.keep([Outgoing(*EVENTS, b"", value, None) for value in log])
        self.keeper = StateKeeper(
            TOPICS,
            self.sender,
            self.reader,
            lambda _model_id: ModelSpec(),
            clock=lambda: 0.0,
            slice_s=slice_s,
        )
        self.held = Held(Monitor(0, TOPICS), StoredState())

    def play(self, until: int = len(LOG)) -> None:
        for offset in range(self.held.monitor.next_offset or 0, until):
            self.held.monitor.apply(offset, self.log[offset])

    async def publish(self, emissions: Sequence[Emission], partition: int) -> None:
        self.journal.append(f"{len(emissions)} outputs of {partition}")

    def save(self) -> None:
        self._keep(self.keeper.save({EVENTS: self.held}, self.publish, self.partitions.commit_fact))

    def save_some(self) -> bool:
        commit = self.partitions.commit_fact
        return self._keep(self.keeper.save_some({EVENTS: self.held}, self.publish, commit))

    def _keep(self, work: Coroutine[Any, Any, T]) -> T:
        sent = len(self.sender.sent)
        result = asyncio.run(work)
        self.reader.keep(self.sender.sent[sent:])
        return result

    def restore(self, commit: int) -> Held:
        with silence():
            return asyncio.run(self.keeper.restore(EVENTS, commit))

    def change(self, part: bytes, value: bytes | None) -> None:
        """Overwrite the records whose key contains this."""
        log = self.reader.logs[STATE]
        self.reader.keep(
            [Outgoing(*STATE, record.key, value, None) for record in log if part in record.key]
        )


def saved(begins_at: int = 0) -> Desk:
    desk = Desk(begins_at)
    desk.play()
    desk.save()
    return desk


def kinds(sent: list[Outgoing]) -> list[str]:
    return [
        "deletion" if each.value is None else str(orjson.loads(each.key or b"")[0]) for each in sent
    ]


# Rule 1


def test_chunks_then_manifests_then_the_commit_then_deletions() -> None:
    desk = Desk()
    desk.play(1)
    desk.save()
    desk.play()
    desk.save()

    assert kinds(desk.sender.sent) == ["manifest", "chunk", "chunk", "manifest", "deletion"]
    assert desk.journal == [
        *(STATE.topic, "commit"),
        *(STATE.topic, STATE.topic, "commit", STATE.topic),
    ]
    assert desk.partitions.commits == [{EVENTS: 1}, {EVENTS: 3}]


@pytest.mark.parametrize("fails_at", [1, 2])
def test_what_is_not_durable_is_not_committed(fails_at: int) -> None:
    desk = Desk(fails_at=fails_at)
    desk.play(1)
    desk.save()
    desk.play()

    with pytest.raises(PublishError):
        desk.save()

    assert desk.partitions.commits == [{EVENTS: 1}]
    assert "deletion" not in kinds(desk.sender.sent)


def test_nothing_is_written_where_nothing_has_changed() -> None:
    desk = saved()
    written = len(desk.sender.sent)

    desk.save()

    assert len(desk.sender.sent) == written
    assert len(desk.partitions.commits) == 1


def test_a_chunk_is_written_once() -> None:
    desk = Desk()
    for until in (2, 3):
        desk.play(until)
        desk.save()

    chunks = [each.key for each in desk.sender.sent if b'["chunk"' in (each.key or b"")]
    assert len(chunks) == len(set(chunks)) == 2


# Restore


def test_state_stands_at_the_commit() -> None:
    desk = saved()

    held = desk.restore(3)

    assert held.monitor.next_offset == 3
    assert held.monitor.models["m"].snapshot() == desk.held.monitor.models["m"].snapshot()


def test_without_a_commit_there_is_nothing_to_restore() -> None:
    held = Desk().restore(0)

    assert held.monitor.next_offset == 0
    assert held.monitor.models == {}


def test_state_beyond_the_commit_takes_no_record_twice() -> None:
    desk = saved()

    held = desk.restore(1)
    emissions = [held.monitor.apply(offset, LOG[offset]) for offset in (1, 2)]

    assert emissions == [[], []]
    assert held.monitor.touched == {}
    assert held.monitor.models["m"].snapshot() == desk.held.monitor.models["m"].snapshot()


# Ticks touch nobody


TICKED = [*LOG, *(encode_tick(START_MS + 10_000_000 + each) for each in range(3))]


def ticked(log: list[bytes] = TICKED, until: int = len(TICKED)) -> Desk:
    desk = Desk(log=log)
    desk.play(len(LOG))
    desk.save()
    desk.play(until)
    desk.save()
    return desk


def test_where_nobody_is_touched_a_checkpoint_is_stored_before_the_commit_and_no_model() -> None:
    desk = ticked()

    assert kinds(desk.sender.sent)[-2:] == ["manifest", "checkpoint"]
    assert desk.journal[-2:] == [STATE.topic, "commit"]
    assert desk.partitions.commits == [{EVENTS: len(LOG)}, {EVENTS: len(TICKED)}]
    held = desk.restore(len(TICKED))
    assert held.set_back_to is None
    assert held.monitor.next_offset == len(TICKED)
    assert held.monitor.models["m"].counts.predictions == MANY


def test_a_checkpoint_is_deleted_when_more_is_covered() -> None:
    desk = ticked(until=len(LOG) + 1)
    desk.play(len(LOG) + 2)
    desk.save()
    assert kinds(desk.sender.sent)[-2:] == ["checkpoint", "deletion"]

    desk.held = desk.restore(len(LOG) + 2)
    desk.log = [*TICKED[: len(LOG) + 2], *log_of(taken_in([prediction("q", "n")]))]
    desk.play(len(LOG) + 3)
    desk.save()

    assert kinds(desk.sender.sent)[-2:] == ["manifest", "deletion"]
    assert not [r for r in latest(desk) if r.startswith(b'["checkpoint"')]


def latest(desk: Desk) -> list[bytes]:
    """Return the keys that the topic holds, once it is compacted."""
    values = {record.key: record.value for record in desk.reader.logs[STATE]}
    return [key for key, value in values.items() if value is not None]


def test_a_partition_of_ticks_alone_is_covered_too() -> None:
    desk = Desk(log=TICKED[len(LOG) :])
    desk.play(3)
    desk.save()
    desk.save()

    assert kinds(desk.sender.sent) == ["checkpoint"]
    assert desk.restore(3).set_back_to is None


def test_a_checkpoint_whose_sending_was_cut_short_is_sent_again_and_not_taken_for_stored() -> None:
    desk = Desk(log=TICKED[len(LOG) :], fails_at=0)
    desk.play(3)

    for _ in range(2):
        with pytest.raises(PublishError):
            desk.save()

    assert desk.partitions.commits == []


def test_a_checkpoint_does_not_hide_that_a_model_is_missing() -> None:
    desk = ticked()

    desk.change(b'["manifest"', None)

    assert desk.restore(len(TICKED)).set_back_to == 0


def test_a_round_during_which_somebody_is_touched_is_no_checkpoint() -> None:
    desk = ticked(until=len(LOG))
    desk.play(len(LOG) + 1)
    desk.keeper.begin(desk.held)
    desk.log = [*TICKED[: len(LOG) + 1], *log_of(taken_in([prediction("q", "n")]))]
    desk.play(len(LOG) + 2)

    assert desk.save_some()

    assert "checkpoint" not in kinds(desk.sender.sent)
    assert desk.partitions.commits == [{EVENTS: len(LOG)}]
    desk.save()
    assert desk.partitions.commits[-1] == {EVENTS: len(LOG) + 2}


# Rule 2


THREE_MODELS = log_of(
    taken_in(prediction(f"p{row}", model_id=f"m{row % 3}") for row in range(12)),
    events_per_record=1,
)


def in_slices(until: int = 4) -> Desk:
    """Begin a round of one model a slice."""
    desk = Desk(log=THREE_MODELS, slice_s=0.0)
    desk.play(until)
    desk.keeper.begin(desk.held)
    return desk


def covered(desk: Desk) -> list[tuple[str, int]]:
    keys = [orjson.loads(each.key or b"") for each in desk.sender.sent if each.value is not None]
    return [(key[1], key[2]) for key in keys if key[0] == "manifest"]


def test_a_manifest_covers_what_was_applied_when_its_model_was_taken() -> None:
    desk = in_slices()

    for until in (7, 10, 12):
        desk.save_some()
        desk.play(until)

    assert covered(desk) == [("m0", 3), ("m1", 6), ("m2", 9)]


def test_a_round_commits_where_it_began_once_every_model_is_stored() -> None:
    desk = in_slices()

    overs = []
    for until in (7, 10, 12):
        assert desk.partitions.commits == []
        overs.append(desk.save_some())
        desk.play(until)

    assert overs == [False, False, True]
    assert desk.partitions.commits == [{EVENTS: 4}]


def test_where_nobody_has_changed_since_it_was_stored_all_is_committed() -> None:
    desk = in_slices()

    for until in (5, 6, 6):
        desk.save_some()
        desk.play(until)

    assert covered(desk) == [("m0", 3), ("m1", 4), ("m2", 5)]
    assert desk.partitions.commits == [{EVENTS: 6}]
    assert desk.held.monitor.touched == {}


def test_who_has_changed_since_it_was_stored_is_stored_by_the_next_round() -> None:
    desk = in_slices()
    desk.save_some()
    desk.play(7)
    while not desk.save_some():
        pass
    assert desk.held.monitor.touched.keys() == {"m0"}

    desk.keeper.begin(desk.held)
    desk.save_some()

    assert covered(desk)[-1] == ("m0", 6)
    assert desk.partitions.commits == [{EVENTS: 4}, {EVENTS: 7}]


@pytest.mark.parametrize("slices", range(4))
def test_wherever_a_round_is_cut_short_nothing_is_forgotten(slices: int) -> None:
    desk = Desk(log=THREE_MODELS, slice_s=0.0)
    desk.play(3)
    desk.save()
    desk.play(6)
    desk.keeper.begin(desk.held)
    for number in range(slices):
        desk.save_some()
        desk.play(7 + number)
    commit = desk.partitions.committed()[EVENTS]

    desk.held = desk.restore(commit)
    desk.play(len(THREE_MODELS))

    whole = Monitor(0, TOPICS)
    for offset, value in enumerate(THREE_MODELS):
        whole.apply(offset, value)
    states = [
        {model_id: model.snapshot() for model_id, model in each.models.items()}
        for each in (desk.held.monitor, whole)
    ]
    assert states[0] == states[1]


def test_all_is_saved_to_the_last_record_though_a_round_goes_on() -> None:
    desk = in_slices()
    desk.save_some()
    desk.play(8)

    desk.save()

    assert desk.partitions.commits == [{EVENTS: 8}]
    assert covered(desk) == [("m0", 3), ("m1", 7), ("m2", 7), ("m0", 7)]


def test_what_a_model_has_to_say_is_published_before_its_state() -> None:
    log = log_of(taken_in(story()), 100)
    alerts = [each for each in play(log).emissions if each.role == "alerts"]
    desk = Desk(log=log)
    desk.held.monitor.ingest(enumerate(log[: alerts[0].place[0] + 2]))

    desk.save()

    assert desk.journal[0].endswith(" outputs of 0")
    assert not desk.held.monitor.waiting


# Rule 3


@pytest.mark.parametrize(
    ("part", "value"),
    [
        (b'["chunk"', None),
        (b'["chunk"', b"damaged"),
        (b'["manifest"', None),
        (b'["manifest"', DAMAGED),
    ],
)
def test_state_that_cannot_be_used_is_rebuilt_from_the_log(
    part: bytes, value: bytes | None
) -> None:
    desk = saved()
    desk.change(part, value)

    held = desk.restore(3)

    assert held.monitor.next_offset == 0
    assert held.monitor.models == {}
    desk.held = held
    desk.play()
    desk.save()
    assert desk.restore(3).monitor.models["m"].counts.predictions == MANY


TWO_MODELS = log_of(
    taken_in([prediction("a", model_id="silent"), *(prediction(f"p{i}") for i in range(9))]),
    events_per_record=1,
)


def two_models(damaged: bytes) -> Desk:
    desk = Desk(log=TWO_MODELS)
    desk.play(3)
    desk.save()
    desk.change(damaged, DAMAGED)
    return desk


def test_only_the_damaged_model_is_rebuilt() -> None:
    desk = two_models(b'"silent"')
    kept = desk.held.monitor.models["m"].snapshot()

    desk.held = desk.restore(3)

    assert desk.held.monitor.next_offset == 0
    assert desk.held.monitor.models.keys() == {"m"}
    assert desk.held.monitor.models["m"].snapshot() == kept
    desk.play(3)
    assert desk.held.monitor.touched.keys() == {"silent"}
    assert desk.held.monitor.models["m"].snapshot() == kept
    desk.play(len(TWO_MODELS))
    assert desk.held.monitor.models["m"].counts.predictions == 9


def test_a_rebuild_that_is_cut_short_begins_anew() -> None:
    desk = two_models(b'"m"')
    desk.held = desk.restore(3)
    desk.play(2)
    desk.save()

    desk.held = desk.restore(2)
    begins_at = desk.held.monitor.next_offset
    desk.play(len(TWO_MODELS))
    desk.save()

    assert begins_at == 0
    held = desk.restore(len(TWO_MODELS))
    assert held.monitor.next_offset == len(TWO_MODELS)
    assert held.monitor.models["m"].counts.predictions == 9


def test_a_rebuild_is_said_once_with_what_is_wrong() -> None:
    desk = two_models(b'"manifest"')

    with capture_logs() as logs:
        asyncio.run(desk.keeper.restore(EVENTS, 3))

    [entry] = logs
    assert entry["log_level"] == "error"
    assert entry["event"].startswith(
        "State of tidegauge.events-0 cannot be used (the manifest of model "
    )
    assert entry["event"].endswith("0 other models keep their state")


def test_a_damaged_manifest_of_a_silent_model_is_outgrown() -> None:
    desk = two_models(b'"silent"')

    desk.held = desk.restore(3)
    for until in (1, 5):
        desk.play(until)
        desk.save()

    assert desk.restore(5).monitor.models.keys() == {"m", "silent"}


def test_the_commit_is_set_back_before_a_rebuilt_model_is_stored() -> None:
    desk = two_models(b'"m"')
    desk.held = desk.restore(3)
    desk.play(2)
    del desk.journal[:]

    desk.save()

    assert desk.journal[:2] == ["commit", STATE.topic]
    assert desk.partitions.commits[-2:] == [{EVENTS: 0}, {EVENTS: 2}]


def test_where_the_commit_cannot_be_set_back_nothing_is_stored() -> None:
    desk = two_models(b'"m"')
    desk.held = desk.restore(3)
    desk.play(2)
    written = len(desk.sender.sent)

    desk.partitions.accepts = False
    desk.save()
    refused = len(desk.sender.sent)
    desk.partitions.accepts = True
    desk.save()

    assert refused == written
    assert covered(desk)[-1] == ("m", 1)


def test_where_the_log_is_cut_off_the_worker_stops() -> None:
    desk = saved(begins_at=2)
    desk.change(b'["chunk"', None)

    with pytest.raises(StateUnusableError, match=r"cannot be used \(chunk .* is missing\)"):
        desk.restore(3)


def test_state_of_a_later_version_stops_the_worker_and_is_left_as_it_is() -> None:
    desk = saved()
    snapshot = desk.held.monitor.models["m"].snapshot()
    later = snapshot[:4] + (STATE_VERSION + 1).to_bytes(2, "little") + snapshot[6:]
    [record] = manifest_records("m", 2, later)
    desk.reader.keep([Outgoing(*STATE, record.key, record.value, None)])
    before = list(desk.reader.logs[STATE])

    with pytest.raises(StateUnusableError) as caught:
        desk.restore(3)

    assert str(caught.value) == (
        f"model m: the state has version {STATE_VERSION + 1}, this worker reads version "
        f"{STATE_VERSION}: start the worker version that wrote it, or a later one"
    )
    assert caught.value.exit_code == 65
    assert desk.reader.logs[STATE] == before
