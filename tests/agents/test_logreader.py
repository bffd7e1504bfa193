from __future__ import annotations

import asyncio

import pytest
from faust.types import TP

from agents.embedded import free_port
from agents.errors import BrokerUnreachableError
from agents.logreader import LogReader

STATE = TP("tidegauge.state", 0)


async def read_all(reader: LogReader) -> int:
    return sum([len(records) async for records in reader.read(STATE)])


def test_a_broker_that_is_gone_ends_the_reading_in_a_sentence() -> None:
    reader = LogReader({"bootstrap_servers": [f"127.0.0.1:{free_port()}"]})

    with pytest.raises(BrokerUnreachableError, match="state-0 could not be read: "):
        asyncio.run(read_all(reader))
    with pytest.raises(BrokerUnreachableError, match="state-0 could not be read: "):
        asyncio.run(reader.beginning(STATE))
