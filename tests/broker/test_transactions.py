"""Transactions at the end of partitions, of inputs and of the log itself."""

from __future__ import annotations

import asyncio
import os

from aiokafka import AIOKafkaProducer

from tests.broker import read_to_end
from tests.broker.conftest import Deploy
from tests.broker.deployment import Deployment, RdProducer, command, until
from tests.broker.services import Service
from tests.kafka import RealKafka

SERVICE = Service(model_id="pricing", rows=300, changed_from=300)


async def abort(deployment: Deployment, name: str, *topics: str) -> None:
    """Leave an aborted transaction at the end of every partition."""
    producer = AIOKafkaProducer(bootstrap_servers=deployment.settings.broker, transactional_id=name)
    async with producer:
        await producer.begin_transaction()
        for topic in topics:
            for partition in range(deployment.settings.partitions):
                await producer.send_and_wait(topic, b"no event", partition=partition)
        await producer.abort_transaction()


def ticks(kafka: RealKafka, deployment: Deployment) -> int:
    """Return how many ticks there are in the log."""
    records = read_to_end(kafka, f"{deployment.settings.prefix}events")
    return sum(b'"tick_ms"' in (record.value or b"") for record in records)


def test_markers_and_aborted_records_stop_neither_the_log_nor_its_ticks(
    kafka: RealKafka, prefix: str, deploy: Deploy
) -> None:
    deployment = deploy(kafka)
    worker = deployment.start_worker(stall_s="15")
    outputs = deployment.outputs("labelled")
    sent = list(SERVICE.sent())
    RdProducer(deployment).publish(sent[: len(sent) // 2])
    until(lambda: ticks(kafka, deployment) > 0, worker.log)

    topics = (deployment.settings.predictions, f"{deployment.settings.prefix}events")
    asyncio.run(abort(deployment, f"{prefix}t", *topics))
    before = ticks(kafka, deployment)
    until(
        lambda: ticks(kafka, deployment) >= before + 2 * deployment.settings.partitions, worker.log
    )
    worker.check()
    RdProducer(deployment).publish(sent[len(sent) // 2 :])
    deployment.wait_for(outputs, "labelled", SERVICE.rows, worker)

    assert worker.terminate() == os.EX_OK
    assert command("verify", env=deployment.env).returncode == os.EX_OK
