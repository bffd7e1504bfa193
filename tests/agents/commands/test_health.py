from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer

from agents.commands.health import UnhealthyError, check_group
from agents.settings import Settings
from tests.broker import create_topic, publish
from tests.kafka import RealKafka


async def test_a_group_is_healthy_while_it_has_a_worker(kafka: RealKafka, prefix: str) -> None:
    create_topic(kafka, f"{prefix}work")
    publish(kafka, f"{prefix}work", [b"x"])
    settings = Settings(broker=kafka.bootstrap, group=f"{prefix}group")

    async with AIOKafkaConsumer(
        f"{prefix}work",
        bootstrap_servers=kafka.bootstrap,
        group_id=settings.group,
        session_timeout_ms=6_000,
        auto_offset_reset="earliest",
    ) as consumer:
        await asyncio.wait_for(consumer.getone(), timeout=10.0)

        told = await check_group(settings)

    assert told == f"Group '{settings.group}' is at work."


async def test_a_group_without_a_worker_is_not(kafka: RealKafka, prefix: str) -> None:
    create_topic(kafka, f"{prefix}work")
    settings = Settings(broker=kafka.bootstrap, group=f"{prefix}nobody")
    async with AIOKafkaConsumer(
        f"{prefix}work",
        bootstrap_servers=kafka.bootstrap,
        group_id=f"{prefix}other",
        session_timeout_ms=6_000,
    ):
        with pytest.raises(UnhealthyError, match="its state is Missing"):
            await check_group(settings)
