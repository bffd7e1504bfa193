"""A backlog of many hours, and the alerts that a backtest of it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import orjson

from schemas.event import EventKind
from tests.broker import Broker, create_topic, read_to_end
from tests.broker.deployment import Deployment, RdProducer, command
from tests.broker.services import Sent, fleet
from tests.doubles.inputs import START_MS

HOURS = 48
KINDS: tuple[EventKind, ...] = ("prediction", "outcome")
KEYS: dict[str, Callable[[Sent], str | None]] = {
    "prediction": lambda sent: sent.prediction_id,
    "model": lambda sent: sent.prediction_id.rpartition("-")[0],
    "none": lambda _: None,
}
"""How records are keyed, and so how they lie over the partitions."""


def history(
    models: int, rows: int, *, start_ms: int = START_MS, hours: float = HOURS
) -> list[Sent]:
    """Return some hours of some models, each of which is changed from two thirds on.

    They end with the last predictions: outcomes after these would tell of a silence, which a
    backtest does not report at the end of its files.
    """
    row_ms = int(hours * 3_600_000 / rows)
    changed_from = 2 * rows // 3
    events = fleet(models, rows=rows, changed_from=changed_from, row_ms=row_ms, start_ms=start_ms)
    return [sent for sent in events if sent.at_ms <= start_ms + (rows - 1) * row_ms]


def pairs_of(events: Sequence[Sent]) -> int:
    """Return how many outcomes there are, each of which has its prediction."""
    return sum(sent.kind == "outcome" for sent in events)


def backtest(events: Sequence[Sent], folder: Path) -> dict[str, str]:
    """Return the alerts that a backtest of these events gives, as sentences by id."""
    told = []
    for kind in KINDS:
        path = folder / f"{kind}s.jsonl"
        path.write_bytes(b"\n".join(sent.payload for sent in events if sent.kind == kind))
        told.append(f"--{kind}s={path}")
    run = command("backtest", *told, "--out", "-")
    if run.returncode:
        raise AssertionError(run.stderr)
    return _told(line.encode() for line in run.stdout.splitlines())


def create_inputs(broker: Broker, deployment: Deployment, partitions: int = 4) -> None:
    """Create the topics of predictions and outcomes, for records of any age."""
    for kind in KINDS:
        config = {"retention.ms": "-1"}
        create_topic(broker, deployment.topic(kind), partitions=partitions, config=config)


def publish(
    deployment: Deployment, events: Iterable[Sent], key: str, *, is_dated: bool = True
) -> None:
    """Publish events; ``is_dated``: their records carry the instants of the events.

    Those that are keyed by model lie in the partitions that Kafka's own partitioner gives them.
    """
    partitioner = "murmur2_random" if key == "model" else "consistent_random"
    timestamp_of = (lambda sent: sent.at_ms) if is_dated else None
    producer = RdProducer(deployment, partitioner)
    producer.publish(events, key_of=KEYS[key], timestamp_of=timestamp_of)


def alerts_of(broker: Broker, deployment: Deployment) -> dict[str, str]:
    """Return all alerts that were published, as sentences by id."""
    records = read_to_end(broker, deployment.settings.topics.name("alerts"))
    return _told(record.value or b"" for record in records)


def _told(alerts: Iterable[bytes]) -> dict[str, str]:
    return {alert["alert_id"]: alert["summary"] for alert in map(orjson.loads, alerts)}
