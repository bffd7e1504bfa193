from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer

from agents.demo.embedded_broker import EmbeddedBroker
from agents.errors import OperatorError
from agents.kafka.group import check_group
from agents.settings import Settings
from tests.broker import Broker, create_topic
from tests.kafka import RealKafka
from tests.patience import PATIENCE_S


def member(broker: Broker, settings: Settings, *topics: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        *topics,
        bootstrap_servers=broker.bootstrap,
        group_id=settings.group,
        session_timeout_ms=6_000,
    )


def settings_of(broker: Broker, prefix: str) -> Settings:
    for topic in ("events", "inputs"):
        create_topic(broker, f"{prefix}{topic}")
    return Settings(broker=broker.bootstrap, prefix=prefix)


async def is_known(settings: Settings, *topics: str) -> bool:
    async with asyncio.timeout(PATIENCE_S):
        while not await check_group(settings, topics):  # noqa: ASYNC110 - the state is Kafka's
            await asyncio.sleep(0.1)
    return True


async def test_a_group_without_members_is_free(broker: Broker, prefix: str) -> None:
    assert await check_group(settings_of(broker, prefix), [f"{prefix}inputs"])


@pytest.mark.parametrize("read", ["inputs", "events"])
async def test_a_member_with_all_of_our_inputs_or_none_is_of_this_deployment(
    kafka: RealKafka, prefix: str, read: str
) -> None:
    settings = settings_of(kafka, prefix)

    async with member(kafka, settings, f"{prefix}{read}"):
        assert await is_known(settings, f"{prefix}inputs", f"{prefix}events")


async def test_a_member_without_one_of_our_inputs_is_refused(kafka: RealKafka, prefix: str) -> None:
    settings = settings_of(kafka, prefix)

    async with member(kafka, settings, f"{prefix}inputs"):
        with pytest.raises(OperatorError, match=f"that does not read {prefix}more;"):
            await is_known(settings, f"{prefix}inputs", f"{prefix}more", f"{prefix}events")


async def test_a_member_with_another_topic_is_refused_and_both_are_named(
    kafka: RealKafka, prefix: str
) -> None:
    settings = settings_of(kafka, prefix)

    async with member(kafka, settings, f"{prefix}inputs"):
        with pytest.raises(OperatorError) as caught:
            await is_known(settings, f"{prefix}events", f"{prefix}others")

    assert f"group {settings.group!r} has a member at " in str(caught.value)
    assert f"reads {prefix}inputs; this worker, of prefix {prefix!r}, reads" in str(caught.value)
    assert "TIDEGAUGE_GROUP" in str(caught.value)


async def test_the_embedded_broker_hides_the_topics_of_a_member(
    embedded: EmbeddedBroker, prefix: str
) -> None:
    settings = settings_of(embedded, prefix)

    async with member(embedded, settings, f"{prefix}events"):
        assert await check_group(settings, [f"{prefix}inputs"])
