"""The one table of topics: names, keys, partitions, clean-up, retention.

Nothing else in the project spells a topic's name. ``topics create`` applies this table, and the
tables in docs/wire.md are made from it.
"""

import zlib
from dataclasses import dataclass
from typing import Literal

from schemas.event import EventKind

DAY_MS = 24 * 60 * 60 * 1000
MIB = 1024 * 1024
MAX_RECORD_BYTES = 4 * MIB
"""The largest record any topic of ours takes. A payload of 256 KiB grows at most 4.5 times when its
numbers are written out in full, so a valid payload always fits."""

TopicRole = Literal[
    "predictions",
    "outcomes",
    "models",
    "controls",
    "events",
    "alerts",
    "status",
    "feedback",
    "labelled",
    "dead_letters",
    "state",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """One topic as the broker is asked to keep it.

    Parameters
    ----------
    role
        What the topic is for; stable, whatever its name.
    name
        Its name at the broker.
    key
        What the record key holds, in words.
    partitions
        How many partitions it is created with.
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
        One sentence for the docs.
    deletions_kept_ms
        Kafka's ``delete.retention.ms``, where compaction must not forget too soon what was deleted.
    """

    role: TopicRole
    name: str
    key: str
    partitions: int
    cleanup: Literal["delete", "compact"]
    retention_ms: int
    max_record_bytes: int
    is_kept_from_append: bool
    purpose: str
    deletions_kept_ms: int | None = None

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
        Put before every name that Tidegauge owns.
    predictions, outcomes, models
        Names of the input topics, which the deployment's services and people own.
    partitions
        Partitions of ``events`` and of every topic made from it. Fixed for the life of ``events``:
        a model's records stay in one partition.
    """

    prefix: str = "tidegauge."
    predictions: str = "predictions"
    outcomes: str = "outcomes"
    models: str = "models"
    partitions: int = 4

    def table(self) -> tuple[Topic, ...]:
        """Return every topic, inputs first."""
        return (
            self._input("predictions", self.predictions, "what models answered"),
            self._input("outcomes", self.outcomes, "what turned out to be true"),
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
                deletions_kept_ms=30 * DAY_MS,  # a worker that was away must still see a removal
            ),
            self._owned("controls", 365, "what people say about alerts"),
            self._owned("events", 30, "the one log: validated inputs with their source positions"),
            self._owned("alerts", 90, "what changed, and how it went on"),
            self._compacted("status", "fingerprint", "what is firing now"),
            self._owned("feedback", 90, "what to do about it"),
            self._owned("labelled", 30, "predictions with their outcomes, once both are known"),
            self._owned("dead_letters", 30, "inputs that were refused, and why"),
            self._compacted(
                "state",
                "what a snapshot is of, and up to where",
                "snapshots, so that a restart goes on where the last worker stopped",
            ),
        )

    def sources(self) -> dict[EventKind, str]:
        """Return the names of the topics that ingest reads, by what they carry."""
        return {
            "prediction": self.predictions,
            "outcome": self.outcomes,
            "spec": self.models,
            "control": self.name("controls"),
        }

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

    def _input(self, role: TopicRole, name: str, purpose: str) -> Topic:
        return Topic(
            role=role,
            name=name,
            key="anything",
            partitions=self.partitions,
            cleanup="delete",
            retention_ms=7 * DAY_MS,
            max_record_bytes=MIB,
            is_kept_from_append=False,  # ingest puts a backlog in order by the services' own clocks
            purpose=purpose,
        )

    def _owned(self, role: TopicRole, days: int, purpose: str) -> Topic:
        return Topic(
            role=role,
            name=self.name(role),
            key="source topic" if role == "dead_letters" else "model_id",
            partitions=self.partitions,
            cleanup="delete",
            retention_ms=days * DAY_MS,
            max_record_bytes=MAX_RECORD_BYTES,
            is_kept_from_append=True,
            purpose=purpose,
        )

    def _compacted(self, role: TopicRole, key: str, purpose: str) -> Topic:
        return Topic(
            role=role,
            name=self.name(role),
            key=key,
            partitions=self.partitions,
            cleanup="compact",
            retention_ms=-1,
            max_record_bytes=MAX_RECORD_BYTES,
            is_kept_from_append=True,
            purpose=purpose,
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
