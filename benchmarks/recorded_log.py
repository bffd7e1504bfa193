"""Make records of ``events`` from the lines of a stream, as a live deployment would have them.

The log has ticks where the monitor of this checkout finds a silence, and between them records of
up to ``MAX_BATCH_EVENTS`` events. A stream can be operated: its log then also has specs, controls
of alerts, and a removal of the model, after which it begins again.
"""

from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from itertools import cycle
from typing import NamedTuple

import orjson
from msgspec.structs import replace

from benchmarks.apply_log import spec_of
from benchmarks.mixed_streams import Stream
from schemas.event import EventKind, Source, decode_events
from schemas.topics import Topics
from streams.emission import Emission
from streams.ingest.accept import accept
from streams.ingest.batches import pack, pack_with_ticks
from streams.ingest.records import Accepted, Raw
from streams.monitor import Monitor
from streams.traffic.silence import SHORTEST_MS

AFTER_FIRING = 20
"""Events between a firing and the first control of its alert: most alerts are then still open."""
UNMUTED_AFTER = 300
"""Events between a mute and the unmute: several blocks of values, so the alert may be renewed."""
CONTROLS: tuple[tuple[tuple[int, dict[str, object]], ...], ...] = (
    ((0, {"verb": "ack", "because": "known"}),),
    ((0, {"verb": "mute"}), (UNMUTED_AFTER, {"verb": "unmute"})),
    ((0, {"verb": "accept"}),),
    ((0, {"verb": "mute", "for_s": 3_600.0}), (10, {"verb": "ack"})),
    ((0, {"verb": "mark", "verdict": "true"}),),
)
"""Controls of one alert after another, each with the events before it."""
RESPEC, RETASK, REMOVE, RETURN = 0.3, 0.45, 0.6, 0.62
"""Shares of the events before each change of the spec."""
MODEL = "mixed"
"""The model with the spec in every mixed stream."""


class Firing(NamedTuple):
    """A firing, and the number of events up to its own; at a tick, up to the next one."""

    position: int
    model_id: str
    fingerprint: str


class Recorded(NamedTuple):
    """The values of the records of a log, and the firings up to the last prediction."""

    records: list[bytes]
    firings: list[Firing]


def events_of(stream: Stream) -> list[Accepted]:
    """Return the events of a stream in log order, those of refused lines included."""
    files: tuple[tuple[EventKind, Sequence[bytes]], ...] = (
        ("prediction", stream.predictions),
        ("outcome", stream.outcomes),
    )
    in_order = [list(_accepted(Source(kind, f"{kind}s", 0), lines)) for kind, lines in files]
    return list(merge(*in_order, key=lambda event: event.logged_at))


def _accepted(source: Source, lines: Sequence[bytes]) -> Iterator[Accepted]:
    """Yield the events of one file; a refused one has the instant of the line before it."""
    at_ms = 0
    for offset, line in enumerate(lines):
        read = accept(Raw(source, offset, None, line))
        if isinstance(read, Accepted):
            at_ms = read.logged_at
            yield read
        elif read.event is not None:
            yield replace(read.event, logged_at=at_ms, at_ms=at_ms)


def record_log(events: Sequence[Accepted], spec: Mapping[str, object]) -> Recorded:
    """Return the log of these events.

    After the last prediction there are no ticks: the end of a file is no silence.
    """
    monitor = Monitor(0, Topics(), spec_of(orjson.dumps(spec)))
    kinds = [event.source.kind for event in events]
    last = len(kinds) - kinds[::-1].index("prediction")
    emissions: list[Emission] = []
    records: list[bytes] = []
    firsts: list[int] = []
    packed = taken = 0
    timed = pack_with_ticks(events[:last], 0, monitor.tick_due_ms, SHORTEST_MS)
    for offset, value in enumerate(timed):
        emissions += monitor.ingest([(offset, value)])
        firsts.append(taken)
        batch = decode_events(value)
        taken += len(batch.payloads)
        if batch.tick_ms is not None:
            records += [*_packed(events[packed:taken]), value]
            packed = taken
    emissions += monitor.evaluate_all()
    records += _packed(events[packed:])
    return Recorded(records, list(_firings(emissions, firsts)))


def _packed(events: Sequence[Accepted]) -> list[bytes]:
    return [value for _, _, value, _ in pack(events, 1)]


def _firings(emissions: Sequence[Emission], firsts: Sequence[int]) -> Iterator[Firing]:
    for emission in emissions:
        if emission.role == "alerts":
            alert = orjson.loads(emission.value)
            if alert["status"] == "firing":
                offset, place = emission.place
                position = firsts[offset] + place + 1
                yield Firing(position, emission.model_id, alert["fingerprint"])


def operated(
    events: Sequence[Accepted], firings: Sequence[Firing], spec: Mapping[str, object]
) -> list[Accepted]:
    """Return the events with specs, controls of these firings, and a removal among them."""
    added = [*_controls(firings), *_specs(len(events), spec)]
    numbers: dict[Source, int] = {}
    placed: dict[int, list[Accepted]] = {}
    for position, source, model_id, value in sorted(added, key=lambda each: each[0]):
        if position > len(events):
            continue
        numbers[source] = offset = numbers.get(source, -1) + 1
        at_ms = events[position - 1].logged_at
        written = None if value is None else orjson.dumps(dict(value) | _stamp(source, at_ms))
        read = accept(Raw(source, offset, at_ms, written, model_id.encode()))
        if not isinstance(read, Accepted):
            msg = f"an operator's record is refused: {read.letter.detail}"
            raise TypeError(msg)
        placed.setdefault(position, []).append(read)
    return [
        each
        for number, event in enumerate(events, start=1)
        for each in (event, *placed.get(number, ()))
    ]


_Added = tuple[int, Source, str, Mapping[str, object] | None]
"""Position, source, model and value of a record of an operator."""


def _controls(firings: Sequence[Firing]) -> Iterator[_Added]:
    source = Source("control", "tidegauge.controls", 0)
    for number, (firing, controls) in enumerate(zip(firings, cycle(CONTROLS), strict=False)):
        head = {"control_id": f"c{number}", "model_id": firing.model_id, "by": "ann"}
        for later, control in controls:
            position = firing.position + AFTER_FIRING + later
            value = head | {"fingerprint": firing.fingerprint} | control
            yield position, source, firing.model_id, value


def _specs(events: int, spec: Mapping[str, object]) -> Iterator[_Added]:
    source = Source("spec", "models", 0)
    given = dict(spec) | {"model_id": MODEL}
    task = {"task": None} if "task" in given else {"task": "multiclass"}
    other = {"features": {"ignore": ["count"], "categorical": ["bit"]}, "alerts": {"hold": 1}}
    for share, value in (
        (RESPEC, given | {"alert_budget": 2.0} | other),
        (RETASK, given | task),
        (REMOVE, None),
        (RETURN, given),
    ):
        yield max(1, round(share * events)), source, MODEL, value


def _stamp(source: Source, at_ms: int) -> dict[str, object]:
    return {"at": at_ms} if source.kind == "control" else {}
