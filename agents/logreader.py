"""Read one partition from its beginning to its end, outside any consumer group."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP

from agents.errors import BrokerUnreachableError

WAIT_MS = 200
FETCH_WAIT_MS = 50
ANSWER_S = 60.0
RECORDS_AT_ONCE = 500


class LogReader:
    """Reads partitions.

    Parameters
    ----------
    connection
        aiokafka's connection arguments: addresses, security.
    """

    def __init__(self, connection: Mapping[str, Any]) -> None:
        self._connection = dict(connection)

    async def beginning(self, tp: TP) -> int:
        """Return the offset of the oldest record that is kept.

        Raises
        ------
        BrokerUnreachableError
            When the broker cannot be asked.
        """
        async with self._consumer(tp) as consumer:
            partition = TopicPartition(*tp)
            beginnings: dict[TopicPartition, int] = await consumer.beginning_offsets([partition])
            return beginnings[partition]

    async def read(self, tp: TP) -> AsyncIterator[Sequence[ConsumerRecord]]:
        """Yield the records up to the end as the broker knows it when the reader gets there.

        Not as it was at the first fetch: what is appended meanwhile may replace what compaction
        then removes before it is read. The end is the fetch's high watermark: what the embedded
        broker answers when it is asked for the end offset is wrong.

        Raises
        ------
        BrokerUnreachableError
            When the broker cannot be asked, or does not answer for a minute.
        """
        partition = TopicPartition(*tp)
        async with self._consumer(tp) as consumer:
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            end: int | None = None
            answered_s = asyncio.get_running_loop().time()
            while end is None or await consumer.position(partition) < end:
                fetched = await consumer.getmany(
                    partition, timeout_ms=WAIT_MS, max_records=RECORDS_AT_ONCE
                )
                end = consumer.highwater(partition)
                now_s = asyncio.get_running_loop().time()
                if records := fetched.get(partition):
                    answered_s = now_s
                    yield records
                elif now_s - answered_s > ANSWER_S:
                    msg = f"{tp.topic}-{tp.partition} could not be read for {ANSWER_S:.0f} s"
                    raise BrokerUnreachableError(msg)

    @asynccontextmanager
    async def _consumer(self, tp: TP) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            **self._connection,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        try:
            await consumer.start()
            yield consumer
        except KafkaError as error:
            msg = f"{tp.topic}-{tp.partition} could not be read: {error}"
            raise BrokerUnreachableError(msg) from error
        finally:
            await consumer.stop()
