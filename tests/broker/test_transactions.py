"""Transactions at the end of partitions, of inputs and of the log itself."""

from __future__ import annotations

import asyncio
import os

from aiokafka import AIOKafkaProducer

from schemas.event import decode_events
from tests.broker import read_to_end
from tests.broker.conftest import Deploy
from tests.broker.deployment import Deployment, RdProducer, command, until
from tests.broker.services import Service
from tests.kafka import RealKafka

SERVICE = Service(model_id="pricing", rows=300, changed_from=300)


async def transact(deployment: Deployment, name: str, *topics: str) -> None:
    """Leave an aborted and a committed transaction at the end of every partition."""
    producer = AIOKafkaProducer(bootstrap_servers=deployment.settings.broker, transactional_id=name)
    async with producer:
        for end in (producer.abort_transaction, producer.commit_transaction):
            await producer.begin_transaction()
            if end == producer.abort_transaction:
                for topic in topics:
                    for partition in range(4):
                        await producer.send_and_wait(topic, b"no event", partition=partition)
            await end()


def ticks(kafka: RealKafka, deployment: Deployment) -> int:
    records = read_to_end(kafka, f"{deployment.settings.prefix}events")
    return sum(decode_events(record.value).tick_ms is not None for record in records)


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
    asyncio.run(transact(deployment, f"{prefix}t", *topics))
    before = ticks(kafka, deployment)
    until(lambda: ticks(kafka, deployment) >= before + 2 * 4, worker.log)
    worker.check()
    RdProducer(deployment).publish(sent[len(sent) // 2 :])
    deployment.wait_for(outputs, "labelled", SERVICE.rows, worker)

    assert worker.terminate() == os.EX_OK
    assert command("verify", env=deployment.env).returncode == os.EX_OK
