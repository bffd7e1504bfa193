"""Follow what becomes of a record that a command has written: its place in the log, the state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from agents.kafka.read import POLL_MS, connected_consumer, ends_of, refuse_missing
from agents.settings import Settings
from schemas.event import decode_events
from schemas.topics import model_partition
from streams.state import StateRecord, StateView

SourcePosition = tuple[int, int]
"""A partition, and an offset there."""


@contextmanager
def following(settings: Settings, source: str, model_ids: Iterable[str]) -> Iterator[RecordTracker]:
    """Follow what becomes of records of a topic that are about these models, from now on."""
    topics = [settings.topics.name("events"), settings.topics.name("state")]
    refuse_missing(settings, (source, *topics))
    numbers = sorted({model_partition(model_id, settings.partitions) for model_id in model_ids})
    with connected_consumer(settings) as consumer:
        partitions = [TopicPartition(topic, number) for topic in topics for number in numbers]
        consumer.assign(partitions)
        for partition, end in ends_of(consumer, partitions).items():
            consumer.seek(partition, end)
        yield RecordTracker(settings, source, consumer)


class RecordTracker:
    """Knows what has become of records.

    Parameters
    ----------
    settings
        Which cluster.
    source
        The topic that they were written to.
    consumer
        Stands where the log and the state ended before they were written.
    """

    def __init__(self, settings: Settings, source: str, consumer: KafkaConsumer) -> None:
        self._source = source
        self._events = settings.topics.name("events")
        self._consumer = consumer
        self._view = StateView()
        self._places: dict[SourcePosition, SourcePosition] = {}

    def poll(self) -> None:
        """Take note of what has happened, or wait for it a moment."""
        for partition, records in self._consumer.poll(POLL_MS).items():
            for record in records:
                if partition.topic == self._events:
                    self._take(record)
                else:
                    self._view.take(StateRecord(record.key, record.value))

    def place(self, position: SourcePosition) -> str | None:
        """Return where in the log a record stands, in words; None while it does not."""
        if position not in self._places:
            return None
        partition, offset = self._places[position]
        return f"{self._events}-{partition} offset {offset:,}"

    def snapshot(self, model_id: str, position: SourcePosition) -> bytes | None:
        """Return a snapshot of a model that covers a record; None while there is none."""
        place, newest = self._places.get(position), self._view.newest(model_id)
        return newest[1] if place and newest and newest[0] >= place[1] else None

    def _take(self, record: Any) -> None:
        batch = decode_events(record.value)
        for index, offset in zip(batch.source_index, batch.source_offset, strict=True):
            source = batch.sources[index]
            if source.topic == self._source:
                # A worker that repeats work appends it again: the first place counts.
                position = (source.partition, offset)
                self._places.setdefault(position, (record.partition, record.offset))
