from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.structs import RecordMetadata
from hypothesis import given
from hypothesis import strategies as st

from agents.demo.embedded_broker import EmbeddedBroker, free_port
from agents.errors import BrokerUnreachableError, OperatorError, PublishError
from agents.worker.publish import Outgoing, Publisher
from schemas.cloudevents import Headers
from schemas.topics import MAX_RECORD_BYTES, key_partition
from tests.broker import Broker, create_topic, read_to_end
from tests.kafka import RealKafka
from tests.patience import PATIENCE_S, promptly, slowness


def publisher_of(broker: Broker, acknowledged_within_s: float = 60.0) -> Publisher:
    return Publisher(
        {"bootstrap_servers": broker.bootstrap}, acknowledged_within_s=acknowledged_within_s
    )


def numbered(topic: str, count: int, partition: int | None = 0) -> list[Outgoing]:
    return [Outgoing(topic, partition, b"k", b"%d" % n, 1_000 + n) for n in range(count)]


@contextmanager
def frozen(kafka: RealKafka) -> Iterator[None]:
    """The broker is there and does not answer."""
    os.kill(kafka.process.pid, signal.SIGSTOP)
    time.sleep(0.3)  # until the last of its threads has stopped
    try:
        yield
    finally:
        os.kill(kafka.process.pid, signal.SIGCONT)


@given(st.binary(), st.integers(1, 1024))
def test_a_key_always_has_the_same_partition_in_range(key: bytes, partitions: int) -> None:
    partition = key_partition(key, partitions)

    assert partition == key_partition(key, partitions)
    assert 0 <= partition < partitions


def test_the_key_partition_a_key_is_the_one_that_librdkafka_chooses() -> None:
    # crc32("123456789") is the check value of the CRC-32 everyone publishes.
    assert key_partition(b"123456789", 1_000_000) == 0xCBF43926 % 1_000_000


def test_what_was_sent_is_there_in_order_when_the_call_returns(broker: Broker, prefix: str) -> None:
    topic = f"{prefix}out"
    create_topic(broker, topic, partitions=2)

    async def scenario() -> None:
        publisher = publisher_of(broker)
        await publisher.start()
        await publisher.send(numbered(topic, 3_000, 0) + numbered(topic, 3_000, 1))
        await publisher.stop()

    asyncio.run(scenario())

    records = read_to_end(broker, topic)
    for partition in range(2):
        values = [record.value for record in records if record.partition == partition]
        assert values == [b"%d" % n for n in range(3_000)]
    assert {record.timestamp_ms - int(record.value or b"") for record in records} == {1_000}


def test_a_keyed_record_goes_to_its_partition_and_none_deletes(broker: Broker, prefix: str) -> None:
    topic = f"{prefix}out"
    create_topic(broker, topic, partitions=3)
    keys = [b"a", b"bc", b"def", b"ghij"]

    async def scenario() -> None:
        publisher = publisher_of(broker)
        await publisher.start()
        await publisher.send([Outgoing(topic, None, key, None, None) for key in keys])
        await publisher.stop()

    asyncio.run(scenario())

    records = read_to_end(broker, topic)
    assert {record.key: record.partition for record in records} == {
        key: key_partition(key, 3) for key in keys
    }
    assert {record.value for record in records} == {None}


def test_the_instant_at_which_kafka_appended_a_batch_is_told(kafka: RealKafka, prefix: str) -> None:
    told: list[tuple[int, float]] = []
    config = {"message.timestamp.type": "LogAppendTime"}
    create_topic(kafka, f"{prefix}log", config=config)
    create_topic(kafka, f"{prefix}own")

    async def scenario() -> None:
        publisher = Publisher(
            {"bootstrap_servers": kafka.bootstrap},
            on_append=lambda appended_ms, took_s: told.append((appended_ms, took_s)),
        )
        await publisher.start()
        await publisher.send(numbered(f"{prefix}own", 1))
        await publisher.send(numbered(f"{prefix}log", 1))
        await publisher.stop()

    asyncio.run(scenario())

    ((appended_ms, took_s),) = told
    assert appended_ms == read_to_end(kafka, f"{prefix}log")[0].timestamp_ms
    assert 0.0 <= took_s < PATIENCE_S


def test_a_record_of_the_largest_size_is_taken(broker: Broker, prefix: str) -> None:
    topic = f"{prefix}out"
    create_topic(broker, topic, config={"max.message.bytes": str(MAX_RECORD_BYTES)})
    large = bytes(MAX_RECORD_BYTES - 1_024)

    async def scenario() -> None:
        publisher = publisher_of(broker)
        await publisher.start()
        await publisher.send(
            [Outgoing(topic, 0, b"k", value, None) for value in (b"first", large, b"last")]
        )
        await publisher.stop()

    asyncio.run(scenario())

    assert [len(record.value or b"") for record in read_to_end(broker, topic)] == [5, len(large), 4]


def test_after_a_failure_every_call_is_refused(kafka: RealKafka, prefix: str) -> None:
    topic = f"{prefix}out"
    create_topic(kafka, topic)

    async def scenario() -> None:
        publisher = publisher_of(kafka)
        await publisher.start()
        await publisher.send(numbered(topic, 1))
        with pytest.raises(PublishError, match="MessageSizeTooLarge"):
            await publisher.send([Outgoing(topic, 0, b"k", bytes(2 << 20), None)])
        with pytest.raises(PublishError, match="MessageSizeTooLarge"):
            await publisher.send(numbered(topic, 1))
        await publisher.stop()

    asyncio.run(scenario())

    assert len(read_to_end(kafka, topic)) == 1


class ListBatch:
    def __init__(self) -> None:
        self.values: list[bytes | None] = []

    def append(
        self, *, timestamp: int | None, key: bytes, value: bytes | None, headers: Headers
    ) -> bool:
        self.values.append(value)
        return True


class ListProducer:
    """Keeps what is sent to it, and may refuse the first of it; it is not idempotent."""

    def __init__(self) -> None:
        self.sent: list[bytes | None] = []
        self.refuses_first = True

    async def partitions_for(self, topic: str) -> set[int]:
        for _ in range(10 if topic == "metrics" else 1):
            await asyncio.sleep(0)
        return {0}

    def create_batch(self) -> ListBatch:
        return ListBatch()

    async def send_batch(
        self, batch: ListBatch, topic: str, *, partition: int
    ) -> asyncio.Future[RecordMetadata]:
        self.sent += batch.values
        answer: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        if self.refuses_first and len(self.sent) == 1:
            answer.set_exception(MessageSizeTooLargeError())
        else:
            answer.set_result(
                RecordMetadata(topic, partition, TopicPartition(topic, partition), 0, -1, 0, 0)
            )
        return answer


class ListPublisher(Publisher):
    """The real publisher, with a list for a producer."""

    def __init__(self) -> None:
        super().__init__({})
        self.producer = ListProducer()

    async def _connect(self, *, is_idempotent: bool) -> AIOKafkaProducer:
        return cast(AIOKafkaProducer, self.producer)


def test_what_waits_behind_a_failure_is_not_sent() -> None:
    publisher = ListPublisher()

    async def scenario() -> list[object]:
        await publisher.start()
        batches = [[Outgoing("out", 0, b"k", b"%d" % n, None)] for n in range(3)]
        found = await asyncio.gather(*map(publisher.send, batches), return_exceptions=True)
        return [type(each) for each in found]

    assert asyncio.run(scenario()) == [PublishError] * 3
    assert publisher.producer.sent == [b"0"]


def test_a_call_that_asks_for_its_topics_is_not_overtaken() -> None:
    publisher = ListPublisher()
    publisher.producer.refuses_first = False

    async def scenario() -> None:
        await publisher.start()
        firing = [Outgoing(topic, 0, b"k", b"firing", None) for topic in ("metrics", "alerts")]
        resolved = [Outgoing("alerts", 0, b"k", b"resolved", None)]
        await asyncio.gather(publisher.send(firing), publisher.send(resolved))

    asyncio.run(scenario())

    assert publisher.producer.sent == [b"firing", b"firing", b"resolved"]


def test_a_partition_that_does_not_exist_is_a_failure(kafka: RealKafka, prefix: str) -> None:
    topic = f"{prefix}out"
    create_topic(kafka, topic)

    async def scenario() -> None:
        publisher = publisher_of(kafka)
        await publisher.start()
        with pytest.raises(PublishError, match="has no partition 7"):
            await publisher.send(numbered(topic, 1, 0) + numbered(topic, 1, 7))
        with pytest.raises(PublishError, match="has no partition 7"):
            await publisher.send(numbered(topic, 1))
        await publisher.stop()

    asyncio.run(scenario())

    assert read_to_end(kafka, topic) == []


def test_a_topic_that_does_not_exist_is_the_operators_matter(kafka: RealKafka, prefix: str) -> None:
    async def scenario() -> None:
        publisher = publisher_of(kafka)
        await publisher.start()
        with pytest.raises(OperatorError, match="topics create"):
            await publisher.send(numbered(f"{prefix}nowhere", 1))
        await publisher.stop()

    asyncio.run(scenario())


def test_a_cancelled_call_goes_on_and_keeps_its_place(kafka: RealKafka, prefix: str) -> None:
    topic = f"{prefix}out"
    create_topic(kafka, topic)

    async def scenario() -> None:
        publisher = publisher_of(kafka)
        await publisher.start()
        await publisher.partitions(topic)
        cancelled = asyncio.create_task(publisher.send(numbered(topic, 500)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        cancelled.cancel()
        await publisher.send([Outgoing(topic, 0, b"k", b"after", None)])
        assert cancelled.cancelled()
        await publisher.stop()

    asyncio.run(scenario())

    values = [record.value for record in read_to_end(kafka, topic)]
    assert values == [*(b"%d" % n for n in range(500)), b"after"]


def test_nothing_is_sent_by_stopping(prefix: str, kafka: RealKafka) -> None:
    topic = f"{prefix}out"
    create_topic(kafka, topic)

    async def scenario() -> None:
        publisher = publisher_of(kafka)
        await publisher.start()
        await publisher.send(numbered(topic, 1))
        with frozen(kafka):
            waiting = [asyncio.create_task(publisher.send(numbered(topic, 2_000))) for _ in "ab"]
            await asyncio.sleep(0.5)
            started_s = time.monotonic()
            await publisher.stop()
            assert time.monotonic() - started_s < promptly(5.0)
            for outcome in await asyncio.gather(*waiting, return_exceptions=True):
                assert isinstance(outcome, PublishError)

    asyncio.run(scenario())

    # The request that was on the wire may have arrived; the one behind it cannot.
    assert len(read_to_end(kafka, topic)) in {1, 2_001}


def test_a_broker_that_stays_away_is_a_failure_within_the_bound(
    kafka: RealKafka, prefix: str
) -> None:
    topic = f"{prefix}out"
    create_topic(kafka, topic)

    async def scenario() -> None:
        publisher = publisher_of(kafka, acknowledged_within_s=slowness())
        await publisher.start()
        await publisher.send(numbered(topic, 1))
        with frozen(kafka):
            with pytest.raises(PublishError, match="did not acknowledge within"):
                await publisher.send(numbered(topic, 1))
            await publisher.stop()

    asyncio.run(scenario())


def test_kafka_has_an_idempotent_producer(kafka: RealKafka) -> None:
    async def scenario() -> bool:
        publisher = publisher_of(kafka)
        await publisher.start()
        await publisher.stop()
        return publisher.is_idempotent

    assert asyncio.run(scenario())


def test_the_embedded_broker_has_none_and_that_is_said_once(
    embedded: EmbeddedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> bool:
        publisher = publisher_of(embedded)
        await publisher.start()
        await publisher.stop()
        return publisher.is_idempotent

    with caplog.at_level(logging.WARNING):
        assert not asyncio.run(scenario())

    assert len(caplog.messages) == 1
    assert "durability is promised on Apache Kafka only" in caplog.messages[0]


def test_a_broker_that_is_not_there_is_said_so() -> None:
    publisher = Publisher({"bootstrap_servers": f"127.0.0.1:{free_port()}"})

    with pytest.raises(BrokerUnreachableError):
        asyncio.run(publisher.start())


def test_nothing_can_be_sent_before_the_start() -> None:
    publisher = Publisher({"bootstrap_servers": "127.0.0.1:1"})

    with pytest.raises(PublishError, match="has not been started"):
        asyncio.run(publisher.send([]))
