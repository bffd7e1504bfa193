from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from faust.types import TP

from agents.demo.embedded_broker import EmbeddedBroker, free_port
from agents.errors import BrokerUnreachableError, OperatorError
from agents.kafka.read import LogReader, last_values, partitions_of, read_whole
from agents.kafka.topics import create_topics
from agents.settings import Settings
from tests.broker import Broker, create_topic, publish
from tests.kafka import RealKafka
from tests.patience import PATIENCE_S

STATE = TP("tidegauge.state", 0)


async def read_all(reader: LogReader) -> int:
    return sum([len(records) async for records in reader.read(STATE)])


async def values_of(records: AsyncIterator[Any]) -> list[bytes]:
    return sorted([record.value async for record in records])


def numbered(count: int) -> list[bytes | None]:
    return [b"%02d" % number for number in range(count)]


async def test_a_broker_that_is_gone_ends_the_reading_in_a_sentence() -> None:
    reader = LogReader(Settings(broker=f"127.0.0.1:{free_port()}"), answer_s=0.1)

    with pytest.raises(
        BrokerUnreachableError, match=r"does not answer .*state-0 could not be read"
    ):
        await read_all(reader)
    with pytest.raises(
        BrokerUnreachableError, match=r"does not answer .*state-0 could not be read"
    ):
        await reader.beginning(STATE)


async def test_a_broker_that_is_back_in_time_is_read() -> None:
    broker = EmbeddedBroker(free_port())
    settings = Settings(broker=broker.bootstrap)
    reading = asyncio.create_task(read_all(LogReader(settings, PATIENCE_S)))
    await asyncio.sleep(1.0)
    is_waiting = not reading.done()

    with broker:
        await create_topics(settings)
        records = await asyncio.wait_for(reading, PATIENCE_S)

    assert is_waiting
    assert records == 0


async def test_a_whole_topic_is_read_or_one_partition_of_it(broker: Broker, prefix: str) -> None:
    settings, topic = Settings(broker=broker.bootstrap), f"{prefix}in"
    create_topic(broker, topic, partitions=3)
    publish(broker, topic, numbered(20), partition=0)
    publish(broker, topic, [b"20", b"21"], partition=2)

    assert await values_of(read_whole(settings, topic)) == [*numbered(20), b"20", b"21"]
    assert await values_of(read_whole(settings, topic, 2)) == [b"20", b"21"]


async def test_only_the_latest_records_are_read_where_so_many_are_asked_for(
    broker: Broker, prefix: str
) -> None:
    settings, topic = Settings(broker=broker.bootstrap), f"{prefix}in"
    create_topic(broker, topic)
    publish(broker, topic, numbered(20))

    assert await values_of(read_whole(settings, topic, latest=3)) == [b"17", b"18", b"19"]
    assert await values_of(read_whole(settings, topic, latest=50)) == numbered(20)


async def test_the_end_is_that_of_the_last_record_and_an_empty_partition_has_one(
    broker: Broker, prefix: str
) -> None:
    # The embedded broker claims an end inside the only batch.
    settings, topic = Settings(broker=broker.bootstrap), f"{prefix}in"
    create_topic(broker, topic, partitions=2)
    publish(broker, topic, numbered(20), partition=1)

    async with LogReader(settings).open(await partitions_of(settings, topic)) as cursor:
        ends = await cursor.seek_to_ends()
        after_the_ends = await cursor.fetch()

    assert ends == {TP(topic, 0): 0, TP(topic, 1): 20}
    assert not after_the_ends


async def test_a_transaction_that_is_open_ends_the_reading_and_an_aborted_one_is_left_out(
    kafka: RealKafka, prefix: str
) -> None:
    settings, topic = Settings(broker=kafka.bootstrap), f"{prefix}in"
    create_topic(kafka, topic)
    publish(kafka, topic, [b"0"])
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap, transactional_id=f"{prefix}t"
    ) as producer:
        for end in (producer.abort_transaction, producer.commit_transaction):
            await producer.begin_transaction()
            await producer.send_and_wait(topic, end.__name__.encode())
            await end()
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"open")

        found = await asyncio.wait_for(values_of(read_whole(settings, topic)), 20.0)

    assert found == [b"0", b"commit_transaction"]


async def test_the_last_value_of_each_key_counts_and_a_deletion_deletes(
    broker: Broker, prefix: str
) -> None:
    settings, topic = Settings(broker=broker.bootstrap), f"{prefix}in"
    create_topic(broker, topic)
    publish(broker, topic, [b"1", b"2"], key=b"a")
    publish(broker, topic, [b"3", None], key=b"b")

    assert await last_values(settings, topic) == {"a": b"2"}


async def test_a_missing_topic_is_named_with_the_remedy_and_not_made(
    broker: Broker, prefix: str
) -> None:
    settings = Settings(broker=broker.bootstrap)

    for _ in range(2):
        with pytest.raises(OperatorError, match=rf"{prefix}in: no such topic .*topics create"):
            await values_of(read_whole(settings, f"{prefix}in"))
