from __future__ import annotations

import pytest

from agents.demo.embedded_broker import free_port
from agents.errors import BrokerUnreachableError
from agents.kafka.send import send_record
from agents.settings import Settings
from schemas.topics import key_partition
from tests.broker import Broker, create_topic, read_to_end


async def test_a_record_is_where_the_answer_says_by_its_key_or_as_told(
    broker: Broker, prefix: str
) -> None:
    settings, topic = Settings(broker=broker.bootstrap), f"{prefix}in"
    create_topic(broker, topic, partitions=4)

    by_key = await send_record(settings, topic, b"loan", b"1")
    deletion = await send_record(settings, topic, b"loan", None)
    chosen = await send_record(settings, topic, None, b"2", partition=3)

    found = {(each.partition, each.offset): each.value for each in read_to_end(broker, topic)}
    assert found == {by_key: b"1", deletion: None, chosen: b"2"}
    assert by_key[0] == key_partition(b"loan", 4)
    assert chosen[0] == 3


async def test_a_broker_that_is_gone_is_one_sentence() -> None:
    settings = Settings(broker=f"127.0.0.1:{free_port()}")

    with pytest.raises(BrokerUnreachableError, match="no record was written to controls"):
        await send_record(settings, "controls", b"loan", b"1")
