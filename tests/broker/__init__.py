"""What every test with a broker needs: topics to itself, records sent, records read to the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from tests.patience import PATIENCE_S


class Broker(Protocol):
    """Anything that a Kafka client can be pointed at."""

    @property
    def bootstrap(self) -> str:
        """Address for clients, ``127.0.0.1:PORT``."""
        ...


class Record(NamedTuple):
    """What a consumer sees of one record."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


def create_topic(
    broker: Broker, name: str, *, partitions: int = 1, config: Mapping[str, str] | None = None
) -> None:
    """Create one topic."""
    with KafkaAdminClient(bootstrap_servers=broker.bootstrap) as admin:
        admin.create_topics([NewTopic(name, partitions, 1, topic_configs=dict(config or {}))])
        admin.wait_for_topics([name])


def publish(
    broker: Broker,
    topic: str,
    values: Iterable[bytes | None],
    *,
    partition: int | None = None,
    key: bytes | None = None,
) -> None:
    """Send values to a topic and return once the broker has them all."""
    producer = KafkaProducer(
        bootstrap_servers=broker.bootstrap,
        acks="all",
        enable_idempotence=False,
        max_request_size=16 << 20,
    )
    try:
        sent = [producer.send(topic, value, key=key, partition=partition) for value in values]
        for receipt in sent:
            receipt.get(PATIENCE_S)
    finally:
        producer.close()


def read_to_end(broker: Broker, topic: str) -> list[Record]:
    """Return all records of a topic, partition after partition.

    The end is the high watermark that a fetch reports: the embedded broker's end offsets lag.
    """
    consumer = KafkaConsumer(
        bootstrap_servers=broker.bootstrap,
        enable_auto_commit=False,
        fetch_max_wait_ms=50,
        max_partition_fetch_bytes=16 << 20,
    )
    records: list[Record] = []
    try:
        partitions = [
            TopicPartition(topic, n) for n in sorted(consumer.partitions_for_topic(topic))
        ]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        while any(
            consumer.highwater(partition) is None
            or consumer.position(partition) < consumer.highwater(partition)
            for partition in partitions
        ):
            for fetched in consumer.poll(200).values():
                records.extend(
                    Record(each.partition, each.offset, each.timestamp, each.key, each.value)
                    for each in fetched
                )
    finally:
        consumer.close()
    return sorted(records)
