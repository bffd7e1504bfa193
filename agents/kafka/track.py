"""Track a record that a command has written: its place in the log, and the state that covers it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiokafka import ConsumerRecord, TopicPartition

from agents.kafka.admin import partition_counts
from agents.kafka.read import Cursor, LogReader
from agents.settings import Settings
from schemas.event import EventRecordError, decode_events
from schemas.topics import model_partition
from streams.state.records import StateRecord
from streams.state.view import StateView

SourcePosition = tuple[int, int]
"""A partition, and an offset in it."""


@asynccontextmanager
async def tracking(
    settings: Settings, source: str, model_ids: Iterable[str]
) -> AsyncIterator[RecordTracker]:
    """Track the records about these models that are written to a topic in the block.

    Raises
    ------
    OperatorError, BrokerUnreachableError
        When a topic or the broker is not there.
    """
    topics = [settings.topics.name("events"), settings.topics.name("state")]
    await partition_counts(settings, (source, *topics))
    numbers = sorted({model_partition(model_id, settings.partitions) for model_id in model_ids})
    partitions = [TopicPartition(topic, number) for topic in topics for number in numbers]
    async with LogReader(settings).open(partitions) as cursor:
        await cursor.seek_to_ends()
        yield RecordTracker(settings, source, cursor)


class RecordTracker:
    """Knows the place in the log of records, and the snapshots that cover them.

    Parameters
    ----------
    settings
        Which cluster.
    source
        The topic that they are written to.
    cursor
        Stands where the log and the state ended before they were written.
    """

    def __init__(self, settings: Settings, source: str, cursor: Cursor) -> None:
        self._source = source
        self._events = settings.topics.name("events")
        self._cursor = cursor
        self._view = StateView()
        self._places: dict[SourcePosition, SourcePosition] = {}

    async def poll(self) -> None:
        """Read the records that have arrived, or wait for some for a moment."""
        for record in await self._cursor.fetch():
            if record.topic == self._events:
                self._on_events(record)
            else:
                self._view.take(StateRecord(record.key, record.value))

    def place(self, position: SourcePosition) -> str | None:
        """Return the place in the log of a record, in words; None while it has none."""
        if position not in self._places:
            return None
        partition, offset = self._places[position]
        return f"{self._events}-{partition} offset {offset:,}"

    def snapshot(self, model_id: str, position: SourcePosition) -> bytes | None:
        """Return a snapshot of a model that covers a record; None while there is none."""
        place, newest = self._places.get(position), self._view.newest(model_id)
        return newest[1] if place and newest and newest[0] >= place[1] else None

    def _on_events(self, record: ConsumerRecord) -> None:
        try:
            batch = decode_events(record.value)
        except EventRecordError:  # a stranger's record, which the monitor passes over
            return
        for index, offset in zip(batch.source_index, batch.source_offset, strict=True):
            source = batch.sources[index]
            if source.topic == self._source:
                # A worker that repeats work appends it again: the first place counts.
                position = (source.partition, offset)
                self._places.setdefault(position, (record.partition, record.offset))
