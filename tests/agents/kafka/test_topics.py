from __future__ import annotations

import pytest

from agents.demo.embedded_broker import free_port
from agents.errors import BrokerUnreachableError, OperatorError
from agents.kafka.topics import create_topics, find_topics
from agents.settings import Settings
from tests.broker import Broker, create_topic


def settings_for(broker: Broker, prefix: str, *, partitions: int = 2) -> Settings:
    return Settings(
        broker=broker.bootstrap,
        prefix=prefix,
        predictions=f"{prefix}in.predictions",
        outcomes=f"{prefix}in.outcomes",
        models=f"{prefix}in.models",
        partitions=partitions,
    )


async def test_what_is_missing_is_created_and_a_second_time_nothing(
    broker: Broker, prefix: str
) -> None:
    settings = settings_for(broker, prefix)

    first = await create_topics(settings)
    second = await create_topics(settings)

    assert not any(each.exists for each in first)
    assert {each.wanted.role: each.partitions for each in second} == {
        topic.role: topic.partitions for topic in settings.topics.table()
    }
    assert not any(each.differences for each in second)


async def test_a_topic_that_its_owner_made_is_left_alone(broker: Broker, prefix: str) -> None:
    settings = settings_for(broker, prefix)
    create_topic(broker, settings.predictions, partitions=7, config={"retention.ms": "60000"})

    await create_topics(settings)

    found = {each.wanted.role: each for each in await find_topics(settings)}
    assert found["predictions"].partitions == 7
    assert found["outcomes"].exists


async def test_events_with_other_partitions_are_refused_before_anything_is_made(
    broker: Broker, prefix: str
) -> None:
    settings = settings_for(broker, prefix, partitions=2)
    create_topic(broker, settings.topics.name("events"), partitions=3)

    with pytest.raises(OperatorError, match=r"has 3 partitions.*set TIDEGAUGE_PARTITIONS=3"):
        await create_topics(settings)

    assert [each.wanted.role for each in await find_topics(settings) if each.exists] == ["events"]


async def test_a_setting_that_differs_from_the_table_is_told(broker: Broker, prefix: str) -> None:
    settings = settings_for(broker, prefix)
    create_topic(
        broker,
        settings.topics.name("alerts"),
        partitions=2,
        config={"cleanup.policy": "delete", "max.message.bytes": "1000"},
    )

    found = {each.wanted.role: each for each in await create_topics(settings)}

    assert any("max.message.bytes is 1000" in each for each in found["alerts"].differences)


async def test_a_broker_that_is_not_there_is_named_with_a_remedy() -> None:
    settings = Settings(broker=f"127.0.0.1:{free_port()}")

    with pytest.raises(BrokerUnreachableError, match=rf"{settings.broker} does not answer.*start"):
        await find_topics(settings)
