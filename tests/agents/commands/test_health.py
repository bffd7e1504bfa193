from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaConsumer

from agents.commands.health import UnhealthyError, check_group
from agents.errors import OperatorError
from agents.kafka.topics import create_topics
from agents.settings import Settings, load_settings
from tests.broker import create_topic
from tests.kafka import RealKafka
from tests.patience import PATIENCE_S


def settings_of(kafka: RealKafka, prefix: str, **fields: str) -> Settings:
    inputs = {name: f"{prefix}{name}" for name in ("predictions", "outcomes", "models")}
    group = {"group": f"{prefix}group", **fields}
    return load_settings(broker=kafka.bootstrap, prefix=prefix, partitions=2, **inputs, **group)


def member(settings: Settings, *topics: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        *topics,
        bootstrap_servers=settings.broker,
        group_id=settings.group,
        session_timeout_ms=6_000,
        auto_offset_reset="earliest",
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - an assignment, as the consumer sees it
            await asyncio.sleep(0.05)


async def test_a_group_is_at_work_while_each_partition_that_workers_read_has_a_worker(
    kafka: RealKafka, prefix: str
) -> None:
    settings = settings_of(kafka, prefix)
    await create_topics(settings)
    inputs = sorted(settings.topics.sources().values())

    async with member(settings, *inputs) as ingest:
        await until(lambda: len(ingest.assignment()) == 2 * len(inputs))
        with pytest.raises(UnhealthyError, match=f"no worker reads {prefix}events-0"):
            await check_group(settings)
    async with member(settings, *inputs, f"{prefix}events") as worker:
        await until(lambda: len(worker.assignment()) == 2 * len(inputs) + 2)

        told = await check_group(settings)

    assert told == f"Group '{settings.group}' is at work."


async def test_a_group_without_a_worker_is_not(kafka: RealKafka, prefix: str) -> None:
    settings = settings_of(kafka, prefix, group=f"{prefix}nobody")
    await create_topics(settings)
    other = settings_of(kafka, prefix, group=f"{prefix}other")
    create_topic(kafka, f"{prefix}work")

    async with member(other, f"{prefix}work"):
        with pytest.raises(UnhealthyError, match="its state is Missing"):
            await check_group(settings)


async def test_a_deployment_without_its_topics_is_not(kafka: RealKafka, prefix: str) -> None:
    with pytest.raises(OperatorError, match=f"{prefix}events.*: no such topic"):
        await check_group(settings_of(kafka, prefix))
