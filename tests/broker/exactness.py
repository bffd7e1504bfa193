"""The promise of exactness, held against what the topics say.

The oracle is a replay of ``events`` by the pure core: no broker, no restart, no clock.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from schemas.edge import with_edge
from schemas.event import decode_events
from schemas.topics import TopicRole, Topics
from streams.monitor import Monitor
from tests.broker import Broker, Record, read_to_end
from tests.broker.deployment import ID_OF, Deployment

EMITTED = tuple(topic.role for topic in Topics().outputs() if topic.id_field is not None)
EDGED = frozenset(topic.role for topic in Topics().outputs() if topic.has_edge)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the topics hold beside the truth.

    Parameters
    ----------
    emitted
        Different events of each output topic.
    repeats
        Records of the output topics that say again what another one said.
    repeated_events
        Events that lie in the log more than once.
    """

    emitted: Mapping[TopicRole, int]
    repeats: int
    repeated_events: int


def check_exactness(broker: Broker, deployment: Deployment) -> Verdict:
    """Compare the output topics with a replay of the log, and the log with the input topics."""
    log = read_to_end(broker, deployment.settings.topics.name("events"))
    repeated_events = check_nothing_lost(broker, deployment, log)
    truth = replay(deployment, log)
    emitted: dict[TopicRole, int] = {}
    repeats = 0
    for role in EMITTED:
        records = read_to_end(broker, deployment.settings.topics.name(role))
        published: defaultdict[str, set[bytes]] = defaultdict(set)
        for record in records:
            value = record.value or b""
            published[orjson.loads(value)[ID_OF[role]]].add(
                with_edge(value) if role in EDGED else value
            )
        assert published.keys() == truth[role].keys(), role
        differing = {each for each, values in published.items() if values != {truth[role][each]}}
        assert not differing, f"{role}: other bytes than the replay's for {sorted(differing)[:3]}"
        emitted[role] = len(published)
        repeats += len(records) - len(published)
    return Verdict(emitted, repeats, repeated_events)


def check_nothing_lost(broker: Broker, deployment: Deployment, log: list[Record]) -> int:
    """Find every input record in the log; return how many lie there more than once."""
    found: Counter[tuple[str, int, int]] = Counter()
    for record in log:
        batch = decode_events(record.value or b"")
        for index, offset in zip(batch.source_index, batch.source_offset, strict=True):
            source = batch.sources[index]
            if source.kind not in {"topic", "clock"}:  # facts of the log itself
                found[source.topic, source.partition, offset] += 1
    sent = {
        (topic, record.partition, record.offset)
        for topic in (deployment.topic("prediction"), deployment.topic("outcome"))
        for record in read_to_end(broker, topic)
    }
    assert found.keys() == sent
    return found.total() - len(found)


def replay(deployment: Deployment, log: list[Record]) -> dict[TopicRole, dict[str, bytes]]:
    """Return what the log calls for, by topic and id."""
    truth: dict[TopicRole, dict[str, bytes]] = {role: {} for role in EMITTED}
    monitors: dict[int, Monitor] = {}
    for record in log:
        monitor = monitors.setdefault(
            record.partition, Monitor(record.partition, deployment.settings.topics)
        )
        for emission in monitor.apply(record.offset, record.value or b""):
            if emission.role not in EMITTED:
                continue
            event_id = orjson.loads(emission.value)[ID_OF[emission.role]]
            assert event_id not in truth[emission.role], f"two of {emission.role} share an id"
            truth[emission.role][event_id] = emission.value
    return truth
