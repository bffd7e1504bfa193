"""The topics of other systems that a worker reads, each through its sources.

Rule 1. A schema of the registry is fetched before the records that need it are decoded, off the
        event loop; it never changes, so it is fetched once.
Rule 2. Skipped records are counted, and logged now and then: a condition that never holds would
        otherwise pass unnoticed.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from aiokafka import ConsumerRecord

from agents.telemetry import RateLimit, get_logger
from schemas.event import EventKind, Source
from streams.ingest.sources.decode import Schema, schema_id
from streams.ingest.sources.mapping import Item, MappedTopic

_LOG_EVERY_S = 60.0
"""Seconds between two log lines about records of one topic that no source takes."""
_log = get_logger(__name__)


class Registry(Protocol):
    """Gives schemas by their ids."""

    def fetch(self, number: int) -> None:
        """Fetch a schema, if it is not known yet."""

    def schema(self, number: int) -> Schema:
        """Return a schema that was fetched."""


class Intake:
    """The mapped topics of one worker.

    Parameters
    ----------
    topics
        The sources of each topic.
    registry
        The schema registry, where a source needs one.
    clock
        Seconds since the epoch, for the log.
    """

    def __init__(
        self,
        topics: Mapping[str, MappedTopic] | None = None,
        registry: Registry | None = None,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._topics = dict(topics or {})
        self._registry = registry
        self._clock = clock
        self._skipped = RateLimit(_LOG_EVERY_S)

    def kinds(self) -> dict[str, EventKind]:
        """Return, for each mapped topic, the kind by which its partitions are ranked."""
        return {name: topic.sources.kind for name, topic in self._topics.items()}

    async def prepare(self, topic: str, records: Sequence[ConsumerRecord]) -> None:
        """Fetch the schemas that records need (Rule 1).

        Raises
        ------
        WorkerError
            When the registry does not answer.
        """
        mapped = self._topics.get(topic)
        if mapped is None or self._registry is None or mapped.sources.decode != "confluent":
            return
        numbers = {schema_id(record.value) for record in records}
        for number in sorted(each for each in numbers if each is not None):
            await asyncio.to_thread(self._registry.fetch, number)

    def accept_all(
        self, source: Source, records: Sequence[ConsumerRecord], now_ms: int
    ) -> list[Item] | None:
        """Read records of a partition; None where its topic has no sources."""
        mapped = self._topics.get(source.topic)
        if mapped is None:
            return None
        before = mapped.skipped
        items = mapped.accept_all(source, records, now_ms)
        if skipped := mapped.skipped - before:
            self._log_skipped(source.topic, mapped.skipped, skipped)
        return items

    def _log_skipped(self, topic: str, total: int, skipped: int) -> None:
        if self._skipped.admit(topic, self._clock()) is not None:
            _log.info(
                f"Skipped {skipped:,} records of {topic} that no source takes, {total:,} so far"
            )
