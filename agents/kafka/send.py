"""Append one record to a topic."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer

from agents.kafka.admin import explained
from agents.settings import Settings
from schemas.cloudevents import NO_HEADERS, Headers

SEND_S = 30.0
"""Seconds until a record must be acknowledged; Kafka replaces a dead broker after 9 s."""


async def send_record(
    settings: Settings,
    topic: str,
    key: bytes | None,
    value: bytes | None,
    *,
    partition: int | None = None,
    timestamp_ms: int | None = None,
    headers: Headers = NO_HEADERS,
) -> tuple[int, int]:
    """Append one record; return its partition and offset once every in-sync replica has it.

    Parameters
    ----------
    settings
        Which cluster.
    topic, key, value
        The record; a value of None deletes the key from a compacted topic.
    partition
        None: by the key, as Kafka's own clients do.
    timestamp_ms
        Its timestamp, epoch milliseconds; None: now.
    headers
        Its headers.

    Raises
    ------
    BrokerUnreachableError
        When it is not acknowledged.
    """
    with explained(settings, f"no record was written to {topic}"):
        async with asyncio.timeout(SEND_S):
            # The embedded broker has no idempotent producer. Without one a retry may store a record
            # twice, which is harmless: a control has an id, and a spec replaces an equal one.
            producer = AIOKafkaProducer(
                **settings.connection(),
                client_id="tidegauge-writer",
                acks="all",
                enable_idempotence=False,
            )
            try:
                await producer.start()
                sent = await producer.send_and_wait(
                    topic,
                    value,
                    key=key,
                    partition=partition,
                    timestamp_ms=timestamp_ms,
                    headers=headers or None,
                )
            finally:
                await producer.stop()
    return sent.partition, sent.offset
