"""What the topics say when a schedule is over, held against a pure replay of the log.

The audit is that of ``./tidegauge verify``. Beyond it, what a cluster does not show: that no
event of a source stands behind a later one, where the monitor would pass it over; that every input
is counted once; that everything is committed; that the stored state is, to the byte, that of a
replay; and that a backlog stands in the log as a backtest would put it in order.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import AsyncIterator
from typing import cast

import orjson
import yaml
from faust.types import TP

from agents.kafka.home import home_of
from agents.sources import mapped_topics
from agents.worker.state import StateKeeper
from schemas.cloudevents import EventHeaders
from schemas.dead_letter import DeadLetter
from schemas.event import EventBatch, EventKind, Source, decode_events, position
from schemas.topics import Topics, model_partition
from schemas.wire import MAX_PAYLOAD_BYTES
from streams.ingest.accept import accept
from streams.ingest.batches import pack
from streams.ingest.home import refuse_strangers
from streams.ingest.merge import TimeMerge
from streams.ingest.records import Accepted, Raw, Record, Refused
from streams.ingest.sources.mapping import MappedTopic
from streams.ingest.sources.source_map import parse_sources
from streams.model.known import SpecOf
from streams.model.model import UNCOUNTED
from streams.monitor import Monitor
from streams.state.audit import InputAudit, output_audits
from tests.doubles.cluster import Cluster, Stored
from tests.simulation.traffic import CALLS, CALLS_SOURCES, PEOPLE, REPORTS

Heard = tuple[str, int]
"""Name of a source, and an offset."""


def mapped_calls(topics: Topics) -> dict[str, MappedTopic]:
    """Return the topics of another system, ready to read records."""
    if CALLS not in topics.mapped:
        return {}
    return mapped_topics(parse_sources(yaml.safe_load(CALLS_SOURCES)), MAX_PAYLOAD_BYTES)


class Evidence:
    """What is wrong, if anything is.

    Parameters
    ----------
    cluster
        The topics.
    topics
        Their names.
    spec_of
        Gives a model's spec.
    partitions
        Of each input topic, where inputs are partitioned by model; else 0.
    """

    def __init__(
        self, cluster: Cluster, topics: Topics, spec_of: SpecOf, partitions: int = 0
    ) -> None:
        self._cluster = cluster
        self._partitions = partitions
        self._topics = topics
        self._spec_of = spec_of
        self._events = topics.name("events")
        self._headers = {each.role: EventHeaders.of_topic(each) for each in topics.outputs()}
        self._audits = output_audits(topics)
        self._inputs = InputAudit()
        self._oracle: dict[int, Monitor] = {}
        self._sent: dict[str, list[int]] = {}
        self.emitted: Counter[str] = Counter()
        self.repeated = 0
        self.quarantined = 0
        self.joined_halves = 0
        self._mapped = mapped_calls(topics)
        self._sent_events: Counter[str] = Counter()
        self._sent_by_people = 0
        self.wrong: list[str] = []
        self._take_outputs()
        self._replay()
        self._close()
        self._check_commits()
        self._check_counts()
        self._check_halves()
        self._check_people()

    @property
    def log(self) -> tuple[bytes, ...]:
        """The records of ``events``."""
        return tuple(record.value or b"" for record in self._cluster.of(self._events))

    def _take_outputs(self) -> None:
        for role, audit in self._audits.items():
            for record in self._cluster.of(self._topics.name(role)):
                audit.on_published((record.key or b"").decode(), record.value, record.headers)
        for record in self._cluster.of(self._topics.name("dead_letters")):
            letter = DeadLetter.model_validate_json(record.value or b"")
            place = position(letter.offset, letter.item)
            self._inputs.on_taken(f"{letter.topic}/{letter.partition}", place)

    def _replay(self) -> None:
        for tp in self._cluster.partitions(self._events):
            monitor = Monitor(tp.partition, self._topics, self._spec_of, is_guarded=True)
            self._oracle[tp.partition] = monitor
            runs = _Runs()
            for record in self._cluster.read(tp):
                value = record.value or b""
                batch = decode_events(value)
                self._take_inputs(batch)
                self.wrong += runs.check(batch)
                for emission in monitor.apply(record.offset, value):
                    key = emission.key or emission.model_id
                    role, model = emission.role, emission.model_id.encode()
                    headers = self._headers[role].of(emission.value, model, emission.now_ms)
                    self._audits[role].on_called_for(key, emission.value, headers, is_due=True)

    def _take_inputs(self, batch: EventBatch) -> None:
        for source, place in zip(batch.source_index, batch.positions(), strict=True):
            if batch.sources[source].kind not in UNCOUNTED:
                self._inputs.on_taken(batch.sources[source].name, place)

    def _close(self) -> None:
        kinds: dict[str, EventKind] = {
            self._topics.predictions: "prediction",
            self._topics.outcomes: "outcome",
            REPORTS: "report",
        }
        for topic, kind in kinds.items():
            for record in self._cluster.of(topic):
                place = position(record.offset, 0)
                self._inputs.on_input(f"{topic}/{record.partition}", place)
                self._count(Source(kind, topic, record.partition), record)
        self._take_calls()
        if self._inputs.lost:
            self.wrong.append(f"{self._inputs.lost} inputs are lost")
        for role, audit in self._audits.items():
            found = audit.close()
            self.emitted[role] += found.expected
            self.repeated += found.repeated
            if not found.is_equal:
                self.wrong.append(
                    f"{role}: {found.missing} missing, {found.unexpected} unexpected, "
                    f"{found.differing} differing"
                )

    def _take_calls(self) -> None:
        """Take the events that records of another system's topic become."""
        for topic, mapped in self._mapped.items():
            for record in self._cluster.of(topic):
                source = Source("prediction", topic, record.partition)
                for item in mapped.accept(source, cast(Record, record), None):
                    place = position(record.offset, item.item)
                    self._inputs.on_input(source.name, place)
                    if isinstance(item, Accepted):
                        self._sent_events[item.model_id] += 1

    def _check_halves(self) -> None:
        """Every half and all inputs are taken in once, however often the log repeats them."""
        for model_id, events in self._sent_events.items():
            monitor = self._oracle[model_partition(model_id, self._topics.partitions)]
            model, [_, outcomes] = monitor.models[model_id], self._sent[model_id]
            self.joined_halves += model.join.halves.counts.joined
            if model.taken != events + outcomes:
                self.wrong.append(f"{model_id} took {model.taken} of {events + outcomes}")

    def _count(self, source: Source, record: Stored) -> None:
        event = self._accept(source, record)
        if not isinstance(event, Accepted):
            return
        if event.model_id == PEOPLE:
            self._sent_by_people += 1
        else:
            self._sent.setdefault(event.model_id, [0, 0])[source.kind == "outcome"] += 1

    def _accept(self, source: Source, record: Stored) -> Accepted | Refused:
        item = accept(Raw(source, record.offset, record.timestamp, record.value))
        if not self._partitions:
            return item
        records = [cast(Record, record)]
        [item] = refuse_strangers([item], records, self._partitions, home_of)
        return item

    def _check_counts(self) -> None:
        """Every valid input is counted once by its model, however often the log repeats it."""
        for model_id, [predictions, outcomes] in self._sent.items():
            if model_id in self._sent_events:
                continue
            monitor = self._oracle[model_partition(model_id, self._topics.partitions)]
            model = monitor.models[model_id]
            if model.is_quarantined:  # what it holds is counted by the log's own audit
                self.quarantined += 1
                continue
            counts = model.join.counts
            counted = (counts.predictions + counts.duplicate_predictions, counts.outcomes)
            if counted != (predictions, outcomes):
                self.wrong.append(f"{model_id} counts {counted} of {predictions, outcomes}")

    def _check_people(self) -> None:
        """Every answer, verdict and report is taken in once, however often the log repeats them."""
        monitor = self._oracle[model_partition(PEOPLE, self._topics.partitions)]
        model = monitor.models.get(PEOPLE)
        if (taken := 0 if model is None else model.taken) != self._sent_by_people:
            self.wrong.append(f"{PEOPLE} took {taken} of {self._sent_by_people}")

    def _check_commits(self) -> None:
        for topic in (self._topics.predictions, self._topics.outcomes, self._events):
            for tp in self._cluster.partitions(topic):
                commit, end = self._cluster.commits.get(tp, 0), self._cluster.end(tp)
                if commit > end or (topic != self._events and commit < end):
                    self.wrong.append(f"{tp.topic}-{tp.partition}: the commit is {commit} of {end}")

    def check_order(self) -> None:
        """Compare the order of each model's events with that of a backtest, and the alerts."""
        expected = self._in_time_order()
        heard: dict[str, list[Heard]] = {}
        marks: dict[tuple[str, str], int] = {}
        for record in self._cluster.of(self._events):
            batch = decode_events(record.value or b"")
            columns = zip(batch.source_index, batch.source_offset, batch.payloads, strict=True)
            for index, offset, payload in columns:
                model_id, name = orjson.loads(payload)["model_id"], batch.sources[index].name
                if offset > marks.get((model_id, name), -1):
                    marks[model_id, name] = offset
                    heard.setdefault(model_id, []).append((name, offset))
        for model_id, events in expected.items():
            if heard.get(model_id) != [(each.source.name, each.offset) for each in events]:
                self.wrong.append(f"{model_id}: its events are not in the order of a backtest")
        told = {_id_of(record.value) for record in self._cluster.of(self._topics.name("alerts"))}
        if not self._alerts_of(expected) <= told:
            self.wrong.append("alerts of a backtest are missing")

    def _in_time_order(self) -> dict[str, list[Accepted]]:
        """Return the events of each model as a backtest puts them in order."""
        merge = TimeMerge(idle_s=1.0)
        kinds: tuple[EventKind, ...] = ("prediction", "outcome")
        sources = [
            Source(kind, tp.topic, tp.partition)
            for kind in kinds
            for tp in self._cluster.partitions(f"{kind}s")
        ]
        merge.assign(sources)
        for source in sources:
            records = self._cluster.read(TP(source.topic, source.partition))
            items = [self._accept(source, record) for record in records]
            merge.add(source, items, has_more=False)
            merge.end(source)
        events: dict[str, list[Accepted]] = {}
        for item in merge.release(0.0, sys.maxsize):
            event = item.event if isinstance(item, Refused) else item
            if isinstance(event, Accepted):
                events.setdefault(event.model_id, []).append(event)
        return events

    def _alerts_of(self, events: dict[str, list[Accepted]]) -> set[str]:
        """Return the ids of the alerts that these events raise, without ticks."""
        together = [event for of_model in events.values() for event in of_model]
        monitor = Monitor(0, self._topics, self._spec_of)
        return {
            _id_of(emission.value)
            for offset, (_, _, value, _) in enumerate(pack(together, 1))
            for emission in monitor.apply(offset, value)
            if emission.role == "alerts"
        }

    async def check_state(self, keeper: StateKeeper) -> AsyncIterator[str]:
        """Yield how the stored state differs from that of the replay."""
        for partition, monitor in self._oracle.items():
            tp = TP(self._events, partition)
            held = await keeper.restore(tp, self._cluster.commits.get(tp, 0))
            for model_id in sorted(monitor.models.keys() | held.monitor.models.keys()):
                stored, replayed = (each.models.get(model_id) for each in (held.monitor, monitor))
                if stored is None or replayed is None or stored.snapshot() != replayed.snapshot():
                    yield f"the state of {model_id} is not that of a replay"


def _id_of(alert: bytes | None) -> str:
    alert_id: str = orjson.loads(alert or b"")["alert_id"]
    return alert_id


class _Runs:
    """Sees to it that the first copies of a source's events stand in order."""

    def __init__(self) -> None:
        self._seen: dict[str, set[int]] = {}
        self._marks: dict[str, int] = {}

    def check(self, batch: EventBatch) -> list[str]:
        wrong = []
        for index, offset in zip(batch.source_index, batch.source_offset, strict=True):
            source = batch.sources[index].name
            seen, mark = self._seen.setdefault(source, set()), self._marks.get(source, -1)
            if offset < mark and offset not in seen:
                wrong.append(f"{source} offset {offset} came after {mark}")
            seen.add(offset)
            self._marks[source] = max(offset, mark)
        return wrong
