from collections.abc import Sequence

import numpy as np
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.model_spec import ModelSpec, RetrainRules
from schemas.topics import Topics
from streams.emission import Emission
from streams.join.waiting_room import CHUNK_SLOTS, WaitingRoom
from streams.model.model import ModelMonitor
from streams.monitor import Monitor
from streams.state.records import (
    PART_BYTES,
    StateRecord,
    chunk_record,
    deletions,
    manifest_records,
    origin_record,
)
from streams.state.stored import StoredState
from streams.state.view import StateView
from tests.doubles.core import log_of, taken_in
from tests.doubles.inputs import outcome, prediction, spec
from tests.simulation.traffic import spec_of, traffic

LABELLED = Topics().name("labelled")


def predictions(first: int, count: int, model_id: str = "m") -> list[bytes]:
    return [prediction(f"p{row}", model_id) for row in range(first, first + count)]


def outcomes(first: int, count: int) -> list[bytes]:
    return [outcome(f"p{row}") for row in range(first, first + count)]


def default_spec(_model_id: str) -> ModelSpec:
    return ModelSpec(retrain=RetrainRules(min_labelled=5))


class Shelf:
    """One partition of the ``state`` topic, and a monitor that saves there."""

    def __init__(self, values: Sequence[bytes], events_per_record: int = 10) -> None:
        self.log = log_of(taken_in(values), events_per_record)
        self.records: list[StateRecord] = []
        self.monitor = Monitor(0, Topics())
        self.stored = StoredState()
        self.emissions: list[Emission] = []

    def play(self, until: int | None = None) -> None:
        """Apply the log up to an offset."""
        start = self.monitor.next_offset or 0
        end = len(self.log) if until is None else until
        for offset in range(start, end):
            self.emissions += self.monitor.apply(offset, self.log[offset])

    def save(self, *, deletes: bool = True) -> int:
        """Save what has changed; return the offset it covers."""
        covered = (self.monitor.next_offset or 0) - 1
        for model_id, model in self.monitor.touched.items():
            chunks = model.join.unstored()
            self.records += [chunk_record(model_id, *chunk) for chunk in chunks.items()]
            model.join.on_stored(chunks)
            manifest = manifest_records(model_id, covered, model.snapshot())
            self.stored.supersede(model_id, manifest, model.join.chunk_names(), chunks)
            self.records += manifest
        self.monitor.touched = {}
        garbage = self.stored.garbage()
        if deletes:
            self.records += deletions(garbage)
        return covered

    def view(self) -> StateView:
        view = StateView()
        for record in self.records:
            view.take(record)
        return view

    def restart(self, commit: int) -> None:
        """Go on with what was saved."""
        found = self.view().restore(commit, default_spec, LABELLED)
        assert not found.losses
        self.stored = found.stored
        self.monitor = Monitor(0, Topics())
        self.monitor.resume(found.models, commit)

    def losses(self) -> tuple[str, ...]:
        """Return what of the state cannot be used."""
        return self.view().restore(len(self.log), default_spec, LABELLED).losses

    def keys(self) -> list[bytes]:
        """Return the keys that are left."""
        left = {record.key: record.value for record in self.records}
        return [key for key, value in left.items() if value is not None]

    def drop(self, part: bytes) -> None:
        """Lose the records whose key contains this."""
        self.records = [record for record in self.records if part not in record.key]


# Rule 1


def test_of_two_manifests_the_one_that_covers_more_wins() -> None:
    shelf = Shelf(predictions(0, 40))
    shelf.play(2)
    shelf.save(deletes=False)
    shelf.play(4)
    shelf.save(deletes=False)

    restored = shelf.view().restore(4, default_spec, LABELLED).models

    assert restored["m"].offset == 3
    assert restored["m"].model.counts.predictions == 40


def test_a_manifest_that_is_written_late_does_not_win() -> None:
    shelf = Shelf(predictions(0, 40))
    shelf.play(2)
    shelf.save(deletes=False)
    late = list(shelf.records)
    shelf.play(4)
    shelf.save(deletes=False)
    shelf.records += late

    restored = shelf.view().restore(4, default_spec, LABELLED).models

    assert restored["m"].offset == 3


# Rule 2


def test_a_manifest_of_several_parts_is_put_together() -> None:
    # What a series learns from is in the manifest: forty rows of fifty long texts.
    rows = [{f"f{n}": f"{row}{'x' * 1_000}" for n in range(50)} for row in range(40)]
    shelf = Shelf([prediction(f"p{row}", features=texts) for row, texts in enumerate(rows)])
    shelf.play()
    shelf.save()
    before = shelf.monitor.models["m"].snapshot()

    shelf.restart(2)

    stored = shelf.keys()
    manifests = [key for key in stored if key.startswith(b'["manifest"')]
    assert len(manifests) == len(before) // PART_BYTES + 1 > 2
    assert shelf.monitor.models["m"].snapshot() == before


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_manifest_without_one_of_its_parts_does_not_count(part: int) -> None:
    shelf = Shelf(predictions(0, 40))
    shelf.play(2)
    shelf.save(deletes=False)
    manifest = manifest_records("m", 3, b"x" * (2 * PART_BYTES + 1))
    assert len(manifest) == 3
    shelf.records += [record for record in manifest if record is not manifest[part]]

    restored = shelf.view().restore(2, default_spec, LABELLED).models

    assert restored["m"].offset == 1


# Rule 3


def test_a_missing_chunk_makes_the_state_unusable() -> None:
    shelf = Shelf(predictions(0, CHUNK_SLOTS + 10))
    shelf.play()
    shelf.save()
    shelf.drop(b'["chunk"')

    assert shelf.losses() == ("chunk ('predictions', 1) of model m is missing",)


def test_a_damaged_chunk_makes_the_state_unusable() -> None:
    shelf = Shelf(predictions(0, CHUNK_SLOTS + 10))
    shelf.play()
    shelf.save()
    shelf.records = [
        StateRecord(key, value[:-1] + b"x" if value and b'["chunk"' in key else value)
        for key, value in shelf.records
    ]

    assert shelf.losses() == ("chunk ('predictions', 1) of model m is damaged",)


def test_a_damaged_manifest_makes_the_state_unusable() -> None:
    shelf = Shelf(predictions(0, 10))
    shelf.play()
    shelf.save()
    shelf.records = [StateRecord(key, (value or b"")[:-1] + b"x") for key, value in shelf.records]

    [loss] = shelf.losses()
    assert loss.startswith("the manifest of model m at offset 0 is damaged")


def test_other_models_keep_what_they_have() -> None:
    shelf = Shelf(predictions(0, 5) + predictions(0, 5, model_id="other"))
    shelf.play()
    shelf.save()
    shelf.records = [
        StateRecord(key, b"TDGS x" if b'"m"' in key else value) for key, value in shelf.records
    ]

    found = shelf.view().restore(1, default_spec, LABELLED)

    assert found.models.keys() == {"other"}
    assert len(found.losses) == 1


# Rule 4


def test_what_is_superseded_is_deleted() -> None:
    shelf = Shelf(predictions(0, 2 * CHUNK_SLOTS) + outcomes(0, 2 * CHUNK_SLOTS))
    for until in range(5, len(shelf.log), 5):
        shelf.play(until)
        shelf.save()
    shelf.play()
    offset = shelf.save()

    model = shelf.monitor.models["m"]
    expected = {record.key for record in manifest_records("m", offset, b"x")}
    expected |= {chunk_record("m", name, b"").key for name in model.join.chunk_names()}
    assert set(shelf.keys()) == expected


def test_what_an_unfinished_save_left_behind_is_deleted_after_a_restart() -> None:
    shelf = Shelf(predictions(0, 2 * CHUNK_SLOTS) + outcomes(0, 2 * CHUNK_SLOTS))
    commit = 0
    for until in range(3, len(shelf.log), 3):
        shelf.play(until)
        commit = shelf.save(deletes=False) + 1
    shelf.restart(commit)
    shelf.play()
    offset = shelf.save()

    model = shelf.monitor.models["m"]
    expected = {record.key for record in manifest_records("m", offset, b"x")}
    expected |= {chunk_record("m", name, b"").key for name in model.join.chunk_names()}
    assert set(shelf.keys()) == expected


def test_a_chunk_of_a_newer_snapshot_is_left_alone() -> None:
    shelf = Shelf(predictions(0, CHUNK_SLOTS + 40))
    shelf.play(2)
    shelf.save()
    newer = Shelf(predictions(0, CHUNK_SLOTS + 40))
    newer.play()
    newer.save()
    shelf.records += [record for record in newer.records if b'["chunk"' in record.key]

    shelf.restart(2)
    garbage = shelf.stored.garbage()

    assert garbage == []


def test_a_part_of_a_newer_manifest_is_left_alone() -> None:
    shelf = Shelf(predictions(0, 40))
    shelf.play(2)
    shelf.save()
    shelf.records += manifest_records("m", 3, b"x" * (PART_BYTES + 1))[:1]

    shelf.restart(2)

    assert shelf.stored.garbage() == []


def test_garbage_is_named_once() -> None:
    shelf = Shelf(predictions(0, 40))
    shelf.play(2)
    shelf.save(deletes=False)
    shelf.play(4)
    shelf.save(deletes=False)

    stored = shelf.view().restore(4, default_spec, LABELLED).stored

    assert stored.garbage() == [record.key for record in manifest_records("m", 1, b"x")]
    assert stored.garbage() == []


def test_a_snapshot_that_is_taken_twice_at_one_offset_stays() -> None:
    shelf = Shelf(predictions(0, 40))
    shelf.play()
    shelf.save()
    shelf.monitor.touched = dict(shelf.monitor.models)
    shelf.save()

    shelf.restart(len(shelf.log))

    assert shelf.monitor.models["m"].counts.predictions == 40


# Rule 5


@pytest.mark.parametrize(("commit", "is_lost"), [(0, False), (4, False), (5, True)])
def test_state_that_does_not_reach_the_commit_is_lost(commit: int, is_lost: bool) -> None:
    shelf = Shelf(predictions(0, 40))
    shelf.play()
    shelf.save()

    found = shelf.view().restore(commit, default_spec, LABELLED)

    assert found.losses == (
        (f"the commit is {commit}, the state covers the log up to offset 3 only",)
        if is_lost
        else ()
    )
    assert found.models.keys() == {"m"}


def test_a_deleted_topic_is_noticed() -> None:
    [loss] = StateView().restore(7, default_spec, LABELLED).losses

    assert loss.startswith("the commit is 7")


# Rule 8


def moved(values: Sequence[bytes], at: int) -> tuple[Shelf, Shelf]:
    """Return a log that was left at a place, and the log that continues its model."""
    old, new = Shelf(values[:at]), rest_of(values, at)
    old.play()
    commit = old.save() + 1
    view = old.view()
    found = view.restore(commit, default_spec, LABELLED)
    records = view.moved("m", found.models["m"].model)
    new.records = [*map(origin_record, records), *records]
    new.restart(0)
    return old, new


def rest_of(values: Sequence[bytes], at: int) -> Shelf:
    """Return a log of the values from a place on, at the positions that they have in all."""
    shelf = Shelf(())
    shelf.log = log_of(taken_in(values)[at:], 10)
    return shelf


def labelled_ids(*shelves: Shelf) -> list[bytes]:
    told = [each for shelf in shelves for each in shelf.emissions if each.role == "labelled"]
    return [orjson.loads(each.value)["labelled_id"] for each in told]


def test_a_model_goes_on_in_another_log_without_loss_or_repetition() -> None:
    values = [*predictions(0, 3 * CHUNK_SLOTS), *outcomes(0, 3 * CHUNK_SLOTS)]
    whole = Shelf(values)
    whole.play()

    old, new = moved(values, at=4 * CHUNK_SLOTS)
    new.play()

    assert labelled_ids(old, new) == labelled_ids(whole)
    assert old.emissions


def test_what_is_lost_after_a_move_is_rebuilt_from_the_origin() -> None:
    values = [*predictions(0, 3 * CHUNK_SLOTS), *outcomes(0, 3 * CHUNK_SLOTS)]
    _, new = moved(values, at=4 * CHUNK_SLOTS)
    new.play()
    commit = new.save() + 1
    lost = [each for each in new.records if not each.key.startswith(b'["manifest"')]
    view = StateView()
    for record in lost:
        view.take(record)

    found = view.restore(commit, default_spec, LABELLED)

    assert found.losses
    again = rest_of(values, 4 * CHUNK_SLOTS)
    again.monitor.resume(found.models, 0)
    again.play()
    assert again.monitor.models["m"].snapshot() == new.monitor.models["m"].snapshot()
    assert labelled_ids(again) == labelled_ids(new)


def test_before_the_first_commit_nothing_is_missing() -> None:
    found = StateView().restore(0, default_spec, LABELLED)

    assert (found.models, found.losses) == ({}, ())
    assert found.stored.garbage() == []


# A restart changes nothing


class Restarted:
    """A monitor that is saved and restored after some records, with everything it emits."""

    def __init__(self, log: Sequence[bytes], cuts: frozenset[int], saves: frozenset[int]) -> None:
        view = StateView()
        monitor = Monitor(0, Topics(), spec_of)
        self.emissions: list[Emission] = []
        self.snapshots: dict[tuple[str, int], bytes] = {}
        for offset, value in enumerate(log):
            self.emissions += monitor.apply(offset, value)
            if offset in cuts | saves:
                for record in self._save(offset, monitor):
                    view.take(record)
            if offset in cuts:
                found = view.restore(offset + 1, spec_of, LABELLED)
                monitor = Monitor(0, Topics(), spec_of)
                monitor.resume(found.models, offset + 1)
        self.models = monitor.models

    def _save(self, offset: int, monitor: Monitor) -> list[StateRecord]:
        records = []
        for model_id, model in monitor.touched.items():
            chunks = model.join.unstored()
            records += [chunk_record(model_id, *chunk) for chunk in chunks.items()]
            model.join.on_stored(chunks)
            self.snapshots[model_id, offset] = model.snapshot()
            records += manifest_records(model_id, offset, model.snapshot())
        monitor.touched = {}
        return records

    def state(self) -> dict[str, bytes]:
        return {model_id: model.snapshot() for model_id, model in self.models.items()}


def eventful_log(variant: int) -> list[bytes]:
    """Return a traffic in which the records that name no prediction are specs of a model."""
    values = [each.value for each in traffic(variant) if is_event(each.value)]
    given = spec("risk", alert_budget=20.0, retrain={"min_labelled": 5})
    return log_of(taken_in([x if b'"prediction_id"' in x else given for x in values]), 25)


def is_event(value: bytes) -> bool:
    return b'"model_id"' in value


def numeric_log() -> list[bytes]:
    """Return a log in which ADWIN and PageHinkley watch numbers that drift."""
    rng = np.random.default_rng(3)
    drift = np.linspace(0, 2, 1_150)
    features = [
        {"age": float(value), "atom": max(float(value), 0.0), "job": "abcd"[int(abs(value)) % 4]}
        for value in rng.normal(0, 1, 1_150) + drift
    ]
    return log_of(
        taken_in(
            prediction(f"n{row}", "numbers", features=each) for row, each in enumerate(features)
        ),
        25,
    )


LOGS = [eventful_log(0), eventful_log(1), numeric_log()]
UNCUT = [Restarted(log, frozenset(), frozenset(range(len(log)))) for log in LOGS]


@settings(max_examples=15)
@given(st.sampled_from([0, 1, 2]), st.frozensets(st.integers(0, 45), max_size=12))
def test_a_restart_changes_no_emission_and_no_later_snapshot(
    which: int, cuts: frozenset[int]
) -> None:
    log, uncut = LOGS[which], UNCUT[which]

    restarted = Restarted(log, cuts, frozenset(range(len(log))))

    assert restarted.emissions == uncut.emissions
    assert restarted.snapshots == uncut.snapshots
    assert restarted.state() == uncut.state()


@settings(max_examples=10)
@given(st.frozensets(st.integers(0, 45), min_size=1, max_size=6))
@example(frozenset([20]))
def test_when_it_is_saved_changes_no_snapshot(saves: frozenset[int]) -> None:
    saved = Restarted(LOGS[0], frozenset(), saves)

    assert saved.emissions == UNCUT[0].emissions
    uncut = UNCUT[0].snapshots
    for (model_id, offset), snapshot in saved.snapshots.items():
        # The log without a cut is saved at every record, of the models that had events in it.
        latest = max(at for each, at in uncut if each == model_id and at <= offset)
        assert snapshot == uncut[model_id, latest]


def test_the_logs_hold_what_a_restart_could_break() -> None:
    assert {emission.role for emission in UNCUT[2].emissions} == {"alerts", "status"}
    for uncut in UNCUT[:2]:
        roles = {emission.role for emission in uncut.emissions}
        assert roles == {"alerts", "status", "feedback", "commands", "labelled", "reviews"}
        risk: ModelMonitor = uncut.models["risk"]
        assert risk.join.last_numbers()["predictions"] >= 3
        assert risk.join.last_numbers()["joined"] >= 2
        assert uncut.models["churn"].join.counts.expired_predictions
        assert uncut.models["spam"].join.counts.pushed_out_predictions


def encode(key: str, value: str) -> bytes:
    return f"{key}={value}".encode()


def decode(line: bytes) -> tuple[str, str]:
    key, _, value = line.decode().partition("=")
    return key, value


steps = st.lists(
    st.tuples(st.just("put"), st.integers(1, 200))
    | st.tuples(st.just("take"), st.integers(0, 2**32))
    | st.tuples(st.just("expire"), st.integers(0, 150))
    | st.tuples(st.just("restart"), st.just(0)),
    max_size=14,
)


@settings(max_examples=40)
@given(steps, st.sampled_from([100, 300, 10_000]))
def test_a_waiting_room_that_restarts_seals_the_same_chunks(
    moves: list[tuple[str, int]], capacity: int
) -> None:
    room, kept = (WaitingRoom[str](capacity, str.encode) for _ in range(2))
    stored: dict[int, bytes] = {}
    sealed: dict[int, bytes] = {}
    now_ms = 0
    for move, number in moves:
        for each in (room, kept):
            _move(each, move, number, now_ms)
        now_ms += number if move == "put" else 0
        sealed |= kept.unstored(encode)
        stored |= room.unstored(encode)
        if move == "restart":
            room = WaitingRoom.restore(
                capacity, room.snapshot(encode), stored.__getitem__, decode, str.encode
            )
        assert room.snapshot(encode) == kept.snapshot(encode)

    assert stored == sealed
    assert [(key, room.get(key)) for key in room.chunk_of] == [
        (key, kept.get(key)) for key in kept.chunk_of
    ]


def _move(room: WaitingRoom[str], move: str, number: int, now_ms: int) -> None:
    match move:
        case "put":
            for at_ms in range(now_ms, now_ms + number):
                room.put(f"k{at_ms}", at_ms, f"v{at_ms}")
        case "take":
            for key in [key for key in room.chunk_of if hash_of(key, number) % 4]:
                room.pop(key)
        case "expire":
            room.expire(now_ms - number)
        case _:
            pass


def hash_of(key: str, salt: int) -> int:
    return (int(key[1:]) * 2_654_435_761 + salt) >> 7


@pytest.mark.parametrize(
    "key", [b"", b"\xff", b"7", b'["chunk","m"]', b'["other","m",1,0,1]', b"{}"]
)
def test_a_key_that_is_not_ours_is_passed_over(key: bytes) -> None:
    view = StateView()

    view.take(StateRecord(key, b"x"))

    assert view.restore(0, default_spec, LABELLED).models == {}


# Rule 6: records of strangers

JUNK: list[tuple[bytes, bytes | None]] = [
    (b"", b"x"),
    (b"hello", b"x"),
    (b'["cover","",99999]', b"x"),
    (b'["checkpoint","",99999]', b"x"),
    (b'["checkpoint","",99999]', b"7"),
    (b'["checkpoint","",-1.5]', b"7"),
    (b'["manifest","m",99999,0,1]', b"x"),
    (b'["manifest","m",99999,0,1]', b"TDGS"),
    (b'["manifest","m",0,0,2]', b"x"),
    (b'["manifest","m",0,7,1]', b"x"),
    (b'["manifest","stranger",0,0,1]', b"x"),
    (b'["manifest","m","0",0,1]', b"x"),
    (b'["manifest",1,0,0,1]', b"x"),
    (b'["chunk","m","cellar",1]', b"x"),
    (b'["chunk","m","joined",99999]', b"x"),
    (b'{"manifest":1}', None),
    (b"null", b"x"),
    (b"\xff\xfe", b"x"),
]


@pytest.mark.parametrize(("key", "value"), JUNK)
def test_a_record_of_a_stranger_changes_nothing(key: bytes, value: bytes | None) -> None:
    shelf = Shelf(predictions(0, 5) + predictions(0, 5, model_id="other"))
    shelf.play()
    shelf.save()
    end = shelf.monitor.next_offset
    shelf.records += [StateRecord(key, value)]

    found = shelf.view().restore(1, default_spec, LABELLED, end)

    assert found.losses == ()
    assert found.models.keys() == {"m", "other"}
    assert found.models["m"].model.snapshot() == shelf.monitor.models["m"].snapshot()
    assert found.stored.covered == (end or 0) - 1
