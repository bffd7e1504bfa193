"""Every poison that is known: what becomes of the record, and that others lose nothing by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import orjson
import pytest
from msgspec.structs import replace

from schemas.event import Source, encode_tick
from schemas.model_spec import ModelSpec
from schemas.topics import TopicRole, Topics
from streams.ingest.accept import accept
from streams.ingest.batches import pack
from streams.ingest.records import Accepted, Raw, Refused
from streams.model.model import Restored
from streams.monitor import Monitor
from streams.series.profile_check import check_profile
from streams.state.audit import Audit
from streams.state.records import StateRecord, manifest_records
from streams.state.view import StateView
from tests.doubles.core import Played, log_of, taken_in
from tests.doubles.inputs import (
    CONTROLS,
    OUTCOMES,
    PREDICTIONS,
    SPECS,
    START_MS,
    accepted,
    control,
    outcome,
    prediction,
    spec,
)
from tests.doubles.poison import HEARD, READ, STORED, poisoned
from tests.doubles.profiles import spec_with, tree_of

Reaction = Literal[
    "refused",  # a dead letter, with the reason
    "unusable",  # counted, an alert of its model says so, what was in force stays
    "quarantine",  # its model stands still, an alert says so
    "counted",  # taken in, without an effect
    "skipped",  # passed over, and told with its offset
]
PAIRS = 40
SECOND_MS = 1_000


class Poison(NamedTuple):
    """A record, where it is written, and what becomes of it."""

    name: str
    role: TopicRole
    value: bytes | None
    reaction: Reaction
    key: bytes = b"m"


def fields(**changed: object) -> bytes:
    return orjson.dumps(orjson.loads(prediction("poison")) | changed)


def text(*parts: str) -> bytes:
    """Return a prediction with JSON that orjson would not write."""
    return b'{"prediction_id":"p","model_id":"m","predicted_at":%d,%b}' % (
        START_MS,
        ",".join(parts).encode(),
    )


def profiled(change: Callable[[dict[str, object]], object]) -> bytes:
    tree = tree_of("numbers")
    change(tree)
    given = spec_with(tree).model_dump(mode="json", exclude_unset=True)
    return orjson.dumps({"model_id": "m", **given})


def header(**changed: object) -> bytes:
    whole = {
        "type": "tidegauge.events.v1",
        "sources": [["prediction", "predictions", 0, ""]],
        "source_index": [0],
        "source_offset": [9],
        "logged_at": [START_MS],
    }
    return orjson.dumps(whole | changed) + b"\n" + prediction("forged")


def logged(kind: Literal["spec", "control", "prediction"], payload: bytes) -> bytes:
    """Return a record of events that holds a payload which ingest does not let pass."""
    source = {"spec": SPECS, "control": CONTROLS, "prediction": PREDICTIONS}[kind]
    event = replace(accepted(prediction()), source=source, offset=900, payload=payload)
    ((_, _, record, _),) = pack([event], 1)
    return record


DEEP = "[" * 1_000 + "]" * 1_000
FIGURES = '{"reference":{"a":' + DEEP + '},"state":""}'
POISONS = [
    Poison("no value", "predictions", None, "refused"),
    Poison("empty value", "predictions", b"", "refused"),
    Poison("not JSON", "predictions", b"{", "refused"),
    Poison("not UTF-8", "predictions", b"\xff\xfe", "refused"),
    Poison("JSON that is no object", "predictions", b"[1]", "refused"),
    Poison("JSON 1,000 levels deep", "predictions", DEEP.encode(), "refused"),
    Poison("300 KiB", "predictions", fields(note="x" * 300 * 1024), "refused"),
    Poison("no answer", "predictions", b'{"prediction_id":"p","model_id":"m"}', "refused"),
    Poison("an id of 300 characters", "predictions", fields(prediction_id="p" * 300), "refused"),
    Poison("an empty model_id", "predictions", fields(model_id=""), "refused"),
    Poison("NaN as an answer", "predictions", text('"prediction":NaN'), "refused"),
    Poison("1e400 as an answer", "predictions", text('"prediction":1e400'), "refused"),
    Poison(
        "an integer of 400 digits", "predictions", text('"prediction":1' + "0" * 400), "refused"
    ),
    Poison("the year 1970", "predictions", fields(predicted_at=0), "refused"),
    Poison("the year 9999", "predictions", fields(predicted_at="9999-01-01T00:00:00Z"), "refused"),
    Poison("text for an instant", "predictions", fields(predicted_at="now"), "refused"),
    Poison("an outcome that is an object", "outcomes", b'{"outcome":{}}', "refused"),
    Poison("a wait of 1.8e305 s", "models", spec(outcome={"wait_s": 1.8e305}), "refused"),
    Poison("a wait of 0 s", "models", spec(outcome={"wait_s": 0}), "refused"),
    Poison("a budget of 1e-15", "models", spec(alert_budget=1e-15), "refused"),
    Poison("2^63 that may wait", "models", spec(outcome={"max_waiting": 2**63}), "refused"),
    Poison("a renotify_s of 1e300", "models", spec(alerts={"renotify_s": 1e300}), "refused"),
    Poison("an unknown field", "models", spec(owned="risk"), "refused"),
    Poison("a spec that is no object", "models", b"7", "refused"),
    Poison("a spec of another model", "models", spec("other"), "refused"),
    Poison("a key that is not UTF-8", "models", spec(), "refused", b"\xff"),
    Poison(
        "a profile 1,000 levels deep",
        "models",
        b'{"model_id":"m","reference":{"profile":{"error":%b}}}' % FIGURES.encode(),
        "refused",
    ),
    Poison(
        "a profile that is not ours",
        "models",
        spec(reference={"profile": {"feature/a": {"reference": {}, "state": "VERHUw=="}}}),
        "refused",
    ),
    Poison("a profile cut short", "models", profiled(lambda tree: tree.popitem()), "refused"),
    Poison(
        "a profile with a field more",
        "models",
        profiled(lambda tree: tree.update(more=1)),
        "refused",
    ),
    Poison(
        "an episode of 309 digits",
        "controls",
        control("mark", "f", verdict="true")[:-1] + b',"episode":1' + b"0" * 308 + b"}",
        "refused",
    ),
    Poison("a mute of 1e300 s", "controls", control("mute", "f", for_s=1e300), "refused"),
    Poison("a mute of -1 s", "controls", control("mute", "f", for_s=-1.0), "refused"),
    Poison("an unknown verb", "controls", control("delete", "f"), "refused"),
    Poison("a verdict of no kind", "controls", control("mark", "f", verdict="maybe"), "refused"),
    Poison("a control of an unknown alert", "controls", control("accept", "f"), "counted"),
    Poison("a release of a healthy model", "controls", control("release", "f"), "counted"),
    Poison("a control of an unknown model", "controls", control("ack", "f", "ghost"), "counted"),
    Poison("a spec of an unknown model", "models", spec("ghost", owner="x"), "counted", b"ghost"),
    Poison(
        "a spec that ingest let pass",
        "events",
        logged("spec", b'{"model_id":"m","spec":{"outcome":{"wait_s":1e305}}}'),
        "unusable",
    ),
    Poison(
        "a spec that is no spec", "events", logged("spec", b'{"model_id":"m","spec":7}'), "unusable"
    ),
    Poison(
        "an event at which a model fails", "predictions", fields(features={HEARD: 1}), "quarantine"
    ),
    Poison(
        "a value at which a model fails", "predictions", fields(features={READ: 1}), "quarantine"
    ),
    Poison(
        "an event after which the state of its model cannot be stored",
        "predictions",
        fields(features={STORED: 1}),
        "quarantine",
    ),
    Poison(
        "an event without its fields",
        "events",
        logged("prediction", b'{"model_id":"m"}'),
        "quarantine",
    ),
    Poison("text in events", "events", b"hello", "skipped"),
    Poison("a tombstone in events", "events", None, "skipped"),
    Poison("another type in events", "events", b'{"type":"else"}', "skipped"),
    Poison("payloads that are no JSON", "events", header() + b"}", "skipped"),
    Poison("a column too short", "events", header(logged_at=[]), "skipped"),
    Poison("a source without a name", "events", header(sources=[["prediction"]]), "skipped"),
    Poison("a tick in the year 9999", "events", encode_tick(253_370_764_800_000), "skipped"),
    Poison("an instant in the year 9999", "events", header(logged_at=[1 << 53]), "skipped"),
    Poison("text in state", "state", b"hello", "skipped", b"hello"),
    Poison("an old checkpoint", "state", b"x", "skipped", b'["cover","",99999]'),
    Poison("a checkpoint of text", "state", b"x", "skipped", b'["checkpoint","",99999]'),
    Poison("a checkpoint ahead of the log", "state", b"7", "skipped", b'["checkpoint","",99999]'),
    Poison("a snapshot of text", "state", b"x", "skipped", b'["manifest","other",99999,0,1]'),
    Poison(
        "a snapshot ahead of the log",
        "state",
        b"TDGS",
        "skipped",
        b'["manifest","other",99999,0,1]',
    ),
    Poison("text in alerts", "alerts", b"hello", "skipped"),
    Poison("JSON without an id in labelled", "labelled", b"{}", "skipped"),
    Poison("a tombstone in feedback", "feedback", None, "skipped"),
]
INPUTS = {
    role: Source(source.kind, source.topic, 9)
    for role, source in (
        ("predictions", PREDICTIONS),
        ("outcomes", OUTCOMES),
        ("models", SPECS),
        ("controls", CONTROLS),
    )
}
"""Partitions of their own: their offsets are not those of the other events."""


@pytest.fixture(autouse=True)
def bug() -> Iterator[None]:
    with poisoned():
        yield


def neighbours() -> list[Accepted]:
    values = [
        value
        for row in range(PAIRS)
        for model_id in ("m", "other")
        for value in (prediction(f"p{row}", model_id), outcome(f"p{row}", model_id))
    ]
    return taken_in(values)


def play_around(record: bytes | None) -> Played:
    """Play the log of two models with a record in its middle."""
    log: list[bytes | None] = [*log_of(neighbours(), 16)]
    log.insert(len(log) // 2, record)
    monitor = Monitor(0, Topics(), is_guarded=True)
    emissions = [e for n, value in enumerate(log) for e in monitor.apply(n, value)]
    return Played(monitor, emissions + monitor.settle())


def reaction_to_input(poison: Poison) -> tuple[Reaction, Played]:
    raw = Raw(INPUTS[poison.role], 900, START_MS + SECOND_MS, poison.value, poison.key)
    event = accept(raw, check_profile=check_profile)
    if isinstance(event, Refused):
        assert event.letter.reason
        assert event.letter.detail
        told = [] if event.event is None else log_of([event.event])
        return "refused", play_around(told[0] if told else encode_tick(START_MS))
    played = play_around(log_of([event])[0])
    return reaction_in(played), played


def reaction_in(played: Played) -> Reaction:
    aspects = {each["aspect"] for each in played.firings() if each["model_id"] == "m"}
    if played.monitor.foreign:
        return "skipped"
    if "quarantine" in aspects:
        return "quarantine"
    return "unusable" if "unusable" in aspects else "counted"


def reaction_of_state(poison: Poison) -> tuple[Reaction, Played]:
    """Restore two models from a topic with a stranger's record; nothing else may be different."""
    played = play_around(encode_tick(START_MS))
    offset = (played.monitor.next_offset or 0) - 1
    view = StateView()
    for model_id, model in played.monitor.models.items():
        for record in manifest_records(model_id, offset, model.snapshot()):
            view.take(record)
    view.take(StateRecord(poison.key, poison.value))
    found = view.restore(offset + 1, lambda _model_id: ModelSpec(), "labelled", offset + 1)
    assert found.losses == ()
    assert all(isinstance(each, Restored) for each in found.models.values())
    for model_id, model in played.monitor.models.items():
        assert found.models[model_id].model.snapshot() == model.snapshot()
    return "skipped", played


@pytest.mark.parametrize("poison", POISONS, ids=lambda poison: poison.name)
def test_a_poison_has_its_reaction_and_others_lose_nothing(poison: Poison) -> None:
    if poison.role in INPUTS:
        reaction, played = reaction_to_input(poison)
    elif poison.role == "events":
        played = play_around(poison.value)
        reaction = reaction_in(played)
    elif poison.role == "state":
        reaction, played = reaction_of_state(poison)
    else:
        audit = Audit(f"{poison.role}_id")
        assert not audit.on_published("m", poison.value)
        reaction, played = "skipped", play_around(encode_tick(START_MS))

    assert reaction == poison.reaction
    rows = [each["labelled_id"] for each in played.of("labelled")]
    assert [each for each in rows if each.startswith("other/")] == [
        f"other/{number}" for number in range(1, PAIRS + 1)
    ]
    if reaction != "quarantine":
        assert len([each for each in rows if each.startswith("m/")]) == PAIRS


def test_the_table_of_the_documentation_has_every_poison() -> None:
    page = (Path(__file__).parents[2] / "docs" / "poisons.md").read_text().splitlines()

    assert [line for line in page if line.endswith("| all |")] == [
        f"| {each.role} | {each.name} | {each.reaction} | all |" for each in POISONS
    ]


def test_poisons_are_of_forty_kinds_at_least() -> None:
    assert len({each.name for each in POISONS}) >= 40
