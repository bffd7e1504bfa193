"""The whole core in one call: what services publish goes in, what Tidegauge publishes comes out."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson
from msgspec.structs import replace

from schemas.model_spec import ModelSpec
from schemas.topics import TopicRole, Topics
from streams.emission import Emission
from streams.ingest.batches import pack
from streams.ingest.records import Accepted
from streams.join.events import ChunkName
from streams.model.known import SpecOf
from streams.model.model import ModelMonitor, Restored
from streams.monitor import Monitor
from tests.doubles.inputs import START_MS, Removal, accepted

Json = dict[str, Any]


def taken_in(values: Iterable[bytes | Removal]) -> list[Accepted]:
    """Accept payloads in the order given, a second apart, each topic with one partition."""
    offsets: Counter[str] = Counter()
    events = []
    for place, value in enumerate(values):
        event = accepted(value, logged_at=START_MS + 1_000 * place)
        events.append(replace(event, offset=offsets[event.source.kind]))
        offsets[event.source.kind] += 1
    return events


def log_of(events: Sequence[Accepted], events_per_record: int = 500) -> list[bytes]:
    """Write events to a log of one partition."""
    parts = range(0, len(events), events_per_record)
    return [
        value
        for start in parts
        for _, _, value, _ in pack(events[start : start + events_per_record], partitions=1)
    ]


@dataclass(frozen=True)
class Played:
    """What came of a log."""

    monitor: Monitor
    emissions: list[Emission]

    def bytes_of(self, role: TopicRole) -> list[bytes]:
        """Return the records published to a topic."""
        return [emission.value for emission in self.emissions if emission.role == role]

    def of(self, role: TopicRole) -> list[Json]:
        """Return the events published to a topic."""
        return [orjson.loads(value) for value in self.bytes_of(role)]

    @cached_property
    def cohorts(self) -> list[Json]:
        """Return the figures of cohorts in `metrics`, where records about series lie as well."""
        return [each for each in self.of("metrics") if each["type"] == "tidegauge.metric.v1"]

    def firings(self) -> list[Json]:
        """Return the alerts as they fired."""
        return [alert for alert in self.of("alerts") if alert["status"] == "firing"]

    def changes(self) -> list[tuple[str, str]]:
        """Return the series and the aspect of every alert."""
        return [(alert["series"], alert["aspect"]) for alert in self.firings()]


def play(
    log: Iterable[bytes],
    spec_of: Callable[[str], ModelSpec] = lambda _model_id: ModelSpec(),
    *,
    partition: int = 0,
    first_offset: int = 0,
) -> Played:
    """Apply a log from its beginning."""
    monitor = Monitor(partition, Topics(), spec_of)
    emissions = [
        emission
        for offset, value in enumerate(log, first_offset)
        for emission in monitor.apply(offset, value)
    ]
    return Played(monitor, emissions)


def play_gathering(
    log: Sequence[bytes],
    read_every: int,
    spec_of: SpecOf = lambda _model_id: ModelSpec(),
) -> Played:
    """Apply a log from its beginning, and have values read every so many records."""
    monitor = Monitor(0, Topics(), spec_of)
    emissions: list[Emission] = []
    for first in range(0, len(log), read_every):
        for record in enumerate(log[first : first + read_every], first):
            emissions += monitor.ingest([record])
        emissions += monitor.evaluate_all()
    return Played(monitor, emissions)


def snapshots(monitor: Monitor) -> dict[str, bytes]:
    """Return the state of every model."""
    return {model_id: model.snapshot() for model_id, model in monitor.models.items()}


Store = dict[tuple[str, ChunkName], bytes]


def restarted(
    monitor: Monitor, stored: Store, spec_of: SpecOf = lambda _model_id: ModelSpec()
) -> Monitor:
    """Store every model as a worker does; return a monitor restored from what is stored."""
    covered = (monitor.next_offset or 0) - 1
    resumed = Monitor(monitor.partition, Topics(), spec_of)
    restored = {
        model_id: Restored(_restored(model, stored, spec_of(model_id)), covered)
        for model_id, model in monitor.models.items()
    }
    resumed.resume(restored, covered + 1)
    return resumed


def play_restarting(
    log: Iterable[bytes], spec_of: SpecOf = lambda _model_id: ModelSpec()
) -> Played:
    """Apply a log from its beginning, and restart after every record."""
    monitor, stored = Monitor(0, Topics(), spec_of), Store()
    emissions: list[Emission] = []
    for offset, value in enumerate(log):
        emissions += monitor.apply(offset, value)
        monitor = restarted(monitor, stored, spec_of)
    return Played(monitor, emissions)


def _restored(model: ModelMonitor, stored: Store, spec: ModelSpec) -> ModelMonitor:
    def lines_of(name: ChunkName) -> bytes:
        return stored[model.model_id, name]

    fresh = model.join.unstored()
    for name, lines in fresh.items():
        if stored.setdefault((model.model_id, name), lines) != lines:
            msg = f"chunk {name} of model {model.model_id} has been stored with other bytes"
            raise ValueError(msg)
    model.join.on_stored(list(fresh))
    topic = Topics().name("labelled")
    return ModelMonitor.restore(
        model.model_id,
        spec,
        topic,
        model.partition,
        snapshot=model.snapshot(),
        chunks=lines_of,
    )


def watch(values: Iterable[bytes | Removal], **spec: Any) -> Played:
    """Publish payloads, in order; return what came of them."""
    return play(log_of(taken_in(values)), lambda _model_id: ModelSpec(**spec))
