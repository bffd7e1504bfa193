from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
    PolicyViolationError,
    TopicAuthorizationFailedError,
)

from agents.demo.embedded_broker import EmbeddedBroker, free_port
from agents.errors import BrokerUnreachableError, OperatorError
from agents.kafka.admin import Admin, ask, explained, input_incarnations, partition_counts
from agents.kafka.topics import create_topics
from agents.settings import Settings
from tests.broker import Broker, create_topic, publish
from tests.kafka import RealKafka
from tests.patience import PATIENCE_S

NOWHERE = Settings(broker="127.0.0.1:1")


async def test_partitions_are_counted_and_a_missing_topic_is_named_and_not_made(
    broker: Broker, prefix: str
) -> None:
    settings = Settings(broker=broker.bootstrap)
    create_topic(broker, f"{prefix}there", partitions=3)

    assert await partition_counts(settings, [f"{prefix}there"]) == {f"{prefix}there": 3}
    for _ in range(2):
        with pytest.raises(OperatorError, match=rf"^{prefix}gone: no such topic .*topics create"):
            await partition_counts(settings, [f"{prefix}there", f"{prefix}gone"])


async def test_a_topic_that_is_deleted_and_created_again_is_another(
    kafka: RealKafka, prefix: str
) -> None:
    settings = Settings(
        broker=kafka.bootstrap,
        prefix=prefix,
        predictions=f"{prefix}predictions",
        outcomes=f"{prefix}outcomes",
        models=f"{prefix}models",
    )
    await create_topics(settings)
    first = await input_incarnations(settings)

    await ask(settings, lambda admin: admin.delete_topics([settings.predictions]))
    while settings.predictions in await input_incarnations(settings):
        pass
    await create_topics(settings)
    second = await input_incarnations(settings)

    assert {name for name in first if first[name] != second[name]} == {settings.predictions}
    assert set(second) == set(settings.topics.sources().values())


async def test_the_commits_of_a_group_are_those_it_has_made(broker: Broker, prefix: str) -> None:
    settings, topic = Settings(broker=broker.bootstrap), f"{prefix}in"
    create_topic(broker, topic, partitions=2)
    publish(broker, topic, [b"a", b"b"], partition=1)
    done, untouched = TopicPartition(topic, 1), TopicPartition(topic, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, group_id=f"{prefix}g")
    await consumer.start()
    try:
        consumer.assign([done])
        await consumer.commit({done: 2})
    finally:
        await consumer.stop()

    found = await ask(settings, lambda admin: admin.committed(f"{prefix}g", [done, untouched]))

    assert found == {done: 2}


async def test_a_broker_that_comes_back_in_time_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agents.kafka.admin.ASK_S", PATIENCE_S)
    broker = EmbeddedBroker(free_port())
    settings = Settings(broker=broker.bootstrap)
    asking = asyncio.create_task(ask(settings, Admin.group_states))
    await asyncio.sleep(1.0)
    is_waiting = not asking.done()

    with broker:
        assert await asyncio.wait_for(asking, PATIENCE_S) == {}

    assert is_waiting


@pytest.mark.parametrize(
    "error", [KafkaConnectionError("cut"), KafkaTimeoutError(), NodeNotReadyError(), TimeoutError()]
)
def test_a_broker_that_does_not_answer_is_reported_with_the_remedy(error: Exception) -> None:
    with (
        pytest.raises(BrokerUnreachableError, match=r"127\.0\.0\.1:1 does not answer.*start it"),
        explained(NOWHERE),
    ):
        raise error


def test_a_refusal_is_not_taken_for_an_absent_broker() -> None:
    with (
        pytest.raises(OperatorError, match=r"refuses this: x-0 could not be read: .*user None"),
        explained(NOWHERE, "x-0 could not be read"),
    ):
        raise PolicyViolationError


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TopicAuthorizationFailedError("x"), "this user lacks a right on topic x at Kafka"),
        (TopicAuthorizationFailedError({"y", "x"}), "this user lacks a right on topic x, y at"),
        (GroupAuthorizationFailedError("g"), "this user lacks READ on group g at Kafka"),
        (GroupAuthorizationFailedError(), "this user lacks READ on a group at Kafka"),
        (ClusterAuthorizationFailedError(), "this user lacks a right on the cluster at Kafka"),
    ],
)
def test_a_right_that_is_missing_is_named_with_the_remedy(error: KafkaError, said: str) -> None:
    with (
        pytest.raises(OperatorError, match=rf"x-0 could not be read: {said}.*tidegauge acls"),
        explained(NOWHERE, "x-0 could not be read"),
    ):
        raise error


def test_errors_that_are_not_the_clients_pass() -> None:
    with pytest.raises(BrokenPipeError), explained(NOWHERE):
        raise BrokenPipeError
