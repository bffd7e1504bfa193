from __future__ import annotations

import asyncio

import pytest
from faust.types import TP

from agents.demo.embedded_broker import EmbeddedBroker, free_port
from agents.errors import BrokerUnreachableError
from agents.kafka.log_reader import LogReader
from agents.kafka.topics import create_topics
from agents.settings import load_settings

STATE = TP("tidegauge.state", 0)


async def read_all(reader: LogReader) -> int:
    return sum([len(records) async for records in reader.read(STATE)])


def test_a_broker_that_is_gone_ends_the_reading_in_a_sentence() -> None:
    reader = LogReader({"bootstrap_servers": [f"127.0.0.1:{free_port()}"]}, answer_s=0.1)

    with pytest.raises(BrokerUnreachableError, match="state-0 could not be read: "):
        asyncio.run(read_all(reader))
    with pytest.raises(BrokerUnreachableError, match="state-0 could not be read: "):
        asyncio.run(reader.beginning(STATE))


async def test_a_broker_that_is_back_in_time_is_read() -> None:
    broker = EmbeddedBroker(free_port())
    reading = asyncio.create_task(read_all(LogReader({"bootstrap_servers": [broker.bootstrap]})))
    await asyncio.sleep(1.0)
    is_waiting = not reading.done()

    with broker:
        settings = load_settings(broker=broker.bootstrap)
        await asyncio.to_thread(create_topics, settings)
        records = await asyncio.wait_for(reading, 60.0)

    assert is_waiting
    assert records == 0
