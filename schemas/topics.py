"""The one table of topics: names, keys, partitions, clean-up, retention.

Nothing else in the project spells a topic's name, or lists topics of some sort. ``topics create``
applies this table, and the table in docs/wire.md is generated from it.
"""

import zlib
from dataclasses import dataclass
from typing import Any, Literal

from schemas.event import EventKind

DAY_MS = 24 * 60 * 60 * 1000
"""Milliseconds."""
MIB = 1024 * 1024
"""Bytes. It is also Kafka's default of ``max.message.bytes``, but for 12 bytes."""
MAX_RECORD_BYTES = 4 * MIB
"""The largest record of a topic that Tidegauge owns. A payload of 256 KiB grows at most 4.5 times
when its numbers are written out in full, so a record with any valid payload fits."""

TopicRole = Literal[
    "predictions",
    "outcomes",
    "models",
    "controls",
    "reports",
    "events",
    "alerts",
    "status",
    "feedback",
    "commands",
    "reviews",
    "labelled",
    "metrics",
    "incidents",
    "dead_letters",
    "state",
]
Part = Literal["worker", "incidents", "page", "notify", "producer", "reader", "operator"]
"""A part of a deployment that has a user, and so rights, of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """One topic: its settings at the broker, and its part in the flow of records.

    Parameters
    ----------
    role
        Its purpose as an identifier; stable, whatever the name.
    name
        Its name at the broker.
    key
        Meaning of the record key, in words.
    partitions
        Partitions it is created with.
    cleanup
        Kafka's ``cleanup.policy``.
    retention_ms
        Kafka's ``retention.ms``; -1 keeps records for ever.
    max_record_bytes
        Kafka's ``max.message.bytes``.
    is_kept_from_append
        Whether retention counts from the instant a record is appended. A log that is filled from
        records of years ago would otherwise be deleted before it is read.
    purpose
        A noun phrase for the docs.
    deletions_kept_ms
        Kafka's ``delete.retention.ms``, where a reader that was down must still see deletions.
    carries
        Kind of the events that ingest reads from it; None where ingest does not read it.
    is_output
        Whether the monitor publishes to it. `verify` then compares it with a replay of ``events``:
        by ``id_field``, or by the latest record of each key where the topic is compacted.
    is_routed
        Whether partition n holds the records of the models of partition n of ``events``.
    id_field
        Field of its records that names a record: two with the same id are copies of each other.
    event
        Name of the events that it holds for others to read; None where they are only ours.
    more_events
        Names of further ones. ``type`` and the id tell them apart, and their keys never meet.
    has_edge
        Whether its records end with the fields that their publisher fills in: `schemas.edge`.
    is_logged
        Whether the worker writes a log line for each record that it publishes to it.
    is_text
        Whether its records are JSON, which `tail` can show.
    """

    role: TopicRole
    name: str
    key: str
    partitions: int
    cleanup: Literal["delete", "compact", "compact,delete"]
    retention_ms: int
    max_record_bytes: int
    is_kept_from_append: bool
    purpose: str
    deletions_kept_ms: int | None = None
    carries: EventKind | None = None
    is_output: bool = False
    is_routed: bool = False
    id_field: str | None = None
    event: str | None = None
    more_events: tuple[str, ...] = ()
    has_edge: bool = False
    is_logged: bool = False
    is_text: bool = True

    @property
    def events(self) -> tuple[str, ...]:
        """Names of all events that it holds for others to read."""
        return () if self.event is None else (self.event, *self.more_events)

    @property
    def is_input(self) -> bool:
        """Whether ingest reads it."""
        return self.carries is not None

    def config(self) -> dict[str, str]:
        """Return the topic's settings as Kafka spells them."""
        settings = {
            "cleanup.policy": self.cleanup,
            "retention.ms": str(self.retention_ms),
            "max.message.bytes": str(self.max_record_bytes),
        }
        if self.is_kept_from_append:
            settings["message.timestamp.type"] = "LogAppendTime"
        if self.deletions_kept_ms is not None:
            settings["delete.retention.ms"] = str(self.deletions_kept_ms)
        return settings


@dataclass(frozen=True, slots=True)
class Topics:
    """All topics of one deployment, by role.

    Parameters
    ----------
    prefix
        First part of every name that Tidegauge owns.
    predictions, outcomes, models
        Names of the input topics, which the deployment's services and people own.
    partitions
        Partitions of ``events`` and of every topic made from it. Fixed for the life of ``events``:
        a model's records stay in one partition.
    mapped
        Topics of other systems, from which ingest makes events by a map; ``predictions`` and
        ``outcomes`` may be among them.
    """

    prefix: str = "tidegauge."
    predictions: str = "predictions"
    outcomes: str = "outcomes"
    models: str = "models"
    partitions: int = 4
    mapped: tuple[str, ...] = ()

    def table(self) -> tuple[Topic, ...]:
        """Return every topic, inputs first.

        Whoever needs the topics of some sort selects rows by their columns, so a new topic is a new
        row, and nothing else has to know.
        """
        return (
            self._input("predictions", "prediction", "predictions, as services publish them"),
            self._input("outcomes", "outcome", "the true answers to predictions"),
            Topic(
                role="models",
                name=self.models,
                key="model_id",
                partitions=self.partitions,
                cleanup="compact",
                retention_ms=-1,
                max_record_bytes=MIB,
                is_kept_from_append=False,
                purpose="the spec of each model; a record without a value removes the model",
                deletions_kept_ms=30 * DAY_MS,  # a worker that was down must still see a removal
                carries="spec",
            ),
            self._owned(
                "controls",
                days=365,
                purpose="operators' commands about alerts: acknowledge, accept, mute, mark",
                carries="control",
            ),
            self._owned(
                "reports",
                days=90,
                key="anything",
                purpose="what people report about predictions",
                carries="report",
            ),
            self._owned(
                "events",
                days=30,
                purpose="the one log: validated inputs with their source positions",
                is_routed=True,
            ),
            self._owned(
                "alerts",
                days=90,
                purpose="transitions of alerts: firing, ongoing, resolved",
                is_output=True,
                is_routed=True,
                id_field="alert_id",
                has_edge=True,
                is_logged=True,
                event="alert",
            ),
            self._compacted(
                "status",
                key="fingerprint",
                purpose="the latest transition of each open alert",
                is_output=True,
                has_edge=True,
                event="status",
            ),
            self._owned(
                "feedback",
                days=90,
                purpose="commands for the programs that own a model",
                is_output=True,
                is_routed=True,
                id_field="feedback_id",
                is_logged=True,
                event="feedback",
            ),
            self._compacted(
                "commands",
                key="model and command",
                purpose="the open command of each key, as `feedback` said it last",
                is_output=True,
                event="command",
            ),
            self._compacted(
                "reviews",
                key="review_id",
                purpose="predictions that people are asked about, and their verdicts",
                is_output=True,
                kept_days=90,
                event="review",
            ),
            self._owned(
                "labelled",
                days=30,
                purpose="predictions with their outcomes, once both are known",
                is_output=True,
                is_routed=True,
                id_field="labelled_id",
                event="labelled",
            ),
            self._compacted(
                "metrics",
                key="model, kind and start of a cohort, and its version; of others their place",
                purpose="figures of a model by the hour and day of its predictions, restated; "
                "references and distributions of its series",
                is_output=True,
                kept_days=400,
                event="metric",
                more_events=("reference", "series", "reviewed", "challenge"),
            ),
            self._compacted(
                "incidents",
                key="incident_id",
                purpose="alerts of several models that seem to have one cause",
                event="incident",
                is_routed=False,
            ),
            self._owned(
                "dead_letters",
                days=30,
                purpose="refused inputs, each with the reason",
                key="source topic",
                id_field="dead_letter_id",
                event="dead_letter",
            ),
            self._compacted(
                "state",
                key="part of a snapshot, and the offset that it covers",
                purpose="snapshots of the models' state, from which a restarted worker continues",
                is_text=False,
            ),
        )

    def inputs(self) -> tuple[Topic, ...]:
        """Return the topics that ingest reads."""
        return tuple(topic for topic in self.table() if topic.is_input)

    def outputs(self) -> tuple[Topic, ...]:
        """Return the topics that the monitor publishes to."""
        return tuple(topic for topic in self.table() if topic.is_output)

    def sources(self) -> dict[EventKind, str]:
        """Return the names of the topics that ingest reads, by the kind of their events."""
        return {topic.carries: topic.name for topic in self.table() if topic.carries is not None}

    def read_by_ingest(self) -> tuple[str, ...]:
        """Return the names of all topics that ingest reads: its inputs, and those it maps."""
        return tuple(dict.fromkeys((*self.sources().values(), *self.mapped)))

    def name(self, role: TopicRole) -> str:
        """Return the name of the topic that plays ``role``."""
        match role:
            case "predictions":
                return self.predictions
            case "outcomes":
                return self.outcomes
            case "models":
                return self.models
            case _:
                return f"{self.prefix}{role}"

    def _input(self, role: TopicRole, carries: EventKind, purpose: str) -> Topic:
        return Topic(
            role=role,
            name=self.name(role),
            key="anything",
            partitions=self.partitions,
            cleanup="delete",
            retention_ms=7 * DAY_MS,
            max_record_bytes=MIB,
            is_kept_from_append=False,  # ingest puts a backlog in order by the services' own clocks
            purpose=purpose,
            carries=carries,
        )

    def _owned(
        self, role: TopicRole, *, days: int, purpose: str, key: str = "model_id", **columns: Any
    ) -> Topic:
        return Topic(
            role=role,
            name=self.name(role),
            key=key,
            partitions=self.partitions,
            cleanup="delete",
            retention_ms=days * DAY_MS,
            max_record_bytes=MAX_RECORD_BYTES,
            is_kept_from_append=True,
            purpose=purpose,
            **columns,
        )

    def _compacted(
        self,
        role: TopicRole,
        *,
        key: str,
        purpose: str,
        kept_days: int | None = None,
        is_routed: bool = True,
        **columns: Any,
    ) -> Topic:
        return Topic(
            role=role,
            name=self.name(role),
            key=key,
            partitions=self.partitions,
            cleanup="compact" if kept_days is None else "compact,delete",
            retention_ms=-1 if kept_days is None else kept_days * DAY_MS,
            max_record_bytes=MAX_RECORD_BYTES,
            is_kept_from_append=True,
            purpose=purpose,
            is_routed=is_routed,
            **columns,
        )


def key_partition(key: bytes, partitions: int) -> int:
    """Return the partition of a record key: CRC-32 of its bytes, modulo the number of partitions.

    Examples
    --------
    >>> key_partition(b"credit-risk", 4)
    3
    """
    return zlib.crc32(key) % partitions


def model_partition(model_id: str, partitions: int) -> int:
    """Return the partition of ``events``, and of every topic made from it, that holds a model.

    Examples
    --------
    >>> model_partition("car_loan", 4)
    3
    """
    return key_partition(model_id.encode(), partitions)
