"""What commands read and write without a consumer group: a whole topic, its end, one record."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from agents.errors import OperatorError
from agents.kafka.topics import connected_admin, unreachable
from agents.settings import Settings

POLL_MS = 200
_ENDS_WITHIN_S = 10.0
_SEND_WITHIN_S = 30.0


def refuse_missing(settings: Settings, topics: Iterable[str]) -> None:
    """Refuse to go on where a topic does not exist: the broker in memory makes what is named.

    Raises
    ------
    OperatorError
        With the remedy.
    """
    with connected_admin(settings) as admin:
        existing = admin.list_topics()
    for topic in topics:
        if topic not in existing:
            raise OperatorError(
                f"there is no topic {topic!r} at {settings.broker}: "
                "`./tidegauge topics create` makes it."
            )


@contextmanager
def connected_consumer(settings: Settings) -> Iterator[KafkaConsumer]:
    """Connect a consumer that belongs to no group.

    Raises
    ------
    BrokerUnreachableError
        When nobody answers, now or later in the block.
    """
    try:
        consumer = KafkaConsumer(
            **settings.connection(),
            client_id="tidegauge-reader",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=POLL_MS,
        )
        try:
            yield consumer
        finally:
            consumer.close()
    except KafkaError as error:
        raise unreachable(settings, error) from error


def partitions_of(consumer: KafkaConsumer, topic: str) -> list[TopicPartition]:
    """Return the partitions of a topic."""
    return [TopicPartition(topic, n) for n in sorted(consumer.partitions_for_topic(topic))]


def ends_of(
    consumer: KafkaConsumer, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, int]:
    """Return the offset after the last record of each assigned partition.

    The embedded broker's end offsets lag behind by up to a batch; the high watermark of a fetch is
    right on every broker, so one fetch at the claimed end is made.
    """
    begins = consumer.beginning_offsets(partitions)
    for partition, claimed in consumer.end_offsets(partitions).items():
        consumer.seek(partition, max(begins[partition], claimed - 1))
    deadline_s = time.monotonic() + _ENDS_WITHIN_S
    while any(consumer.highwater(partition) is None for partition in partitions):
        if time.monotonic() > deadline_s:
            msg = "no fetch was answered in time"
            raise KafkaError(msg)
        consumer.poll(POLL_MS)
    return {partition: consumer.highwater(partition) for partition in partitions}


def read_whole(
    settings: Settings, topic: str, partition: int | None = None, *, latest: int | None = None
) -> Iterator[Any]:
    """Yield the records of a topic, or of one partition of it, up to the end as it is now.

    Parameters
    ----------
    latest
        At most so many of each partition.

    Raises
    ------
    OperatorError, BrokerUnreachableError
        When the topic or the broker is not there.
    """
    refuse_missing(settings, (topic,))
    with connected_consumer(settings) as consumer:
        partitions = (
            partitions_of(consumer, topic)
            if partition is None
            else [TopicPartition(topic, partition)]
        )
        consumer.assign(partitions)
        ends = ends_of(consumer, partitions)
        consumer.seek_to_beginning(*partitions)
        if latest is not None:
            for each, begin in consumer.beginning_offsets(partitions).items():
                consumer.seek(each, max(begin, ends[each] - latest))
        while any(consumer.position(each) < end for each, end in ends.items()):
            for records in consumer.poll(POLL_MS).values():
                yield from records


def last_values(settings: Settings, topic: str) -> dict[str, bytes]:
    """Return the last value of each key of a topic, as it is now, without those deleted.

    For topics of ours, in which a key has one partition.

    Raises
    ------
    OperatorError, BrokerUnreachableError
        When the topic or the broker is not there.
    """
    last = {record.key.decode(): record.value for record in read_whole(settings, topic)}
    return {key: value for key, value in last.items() if value is not None}


def send_record(settings: Settings, topic: str, key: str, value: bytes | None) -> tuple[int, int]:
    """Append one record; return its partition and offset once it is durable.

    Raises
    ------
    BrokerUnreachableError
        When it is not acknowledged.
    """
    try:
        producer = KafkaProducer(
            **settings.connection(),
            client_id="tidegauge-writer",
            acks="all",
            enable_idempotence=False,  # the broker in memory has no idempotent producer
        )
        try:
            sent = producer.send(topic, value, key=key.encode()).get(_SEND_WITHIN_S)
        finally:
            producer.close()
    except KafkaError as error:
        raise unreachable(settings, error) from error
    return sent.partition, sent.offset
