"""Read one partition from its beginning to its end, outside any consumer group."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError
from faust.types import TP
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from agents.errors import BrokerUnreachableError

WAIT_MS = 200
FETCH_WAIT_MS = 50
ANSWER_S = 60.0
RETRY_S = 0.5
RECORDS_AT_ONCE = 500


class LogReader:
    """Reads partitions.

    Parameters
    ----------
    connection
        aiokafka's connection arguments: addresses, security.
    answer_s
        Seconds for which a broker may not answer.
    """

    def __init__(self, connection: Mapping[str, Any], answer_s: float = ANSWER_S) -> None:
        self._connection = dict(connection)
        self._answer_s = answer_s
        self._patience = AsyncRetrying(
            retry=retry_if_exception_type(KafkaConnectionError),
            stop=stop_after_delay(answer_s),
            wait=wait_fixed(RETRY_S),
            reraise=True,
        )

    async def beginning(self, tp: TP) -> int:
        """Return the offset of the oldest record that is kept.

        Raises
        ------
        BrokerUnreachableError
            When the broker does not answer for a minute.
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
            When the broker does not answer for a minute.
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
                elif now_s - answered_s > self._answer_s:
                    msg = f"{tp.topic}-{tp.partition} could not be read for {self._answer_s:.0f} s"
                    raise BrokerUnreachableError(msg)

    @asynccontextmanager
    async def _consumer(self, tp: TP) -> AsyncIterator[AIOKafkaConsumer]:
        try:
            # A broker that restarts, or a network that is cut for a moment, is no reason to end.
            consumer: AIOKafkaConsumer = await self._patience.copy()(self._connected)
            try:
                yield consumer
            finally:
                await consumer.stop()
        except KafkaError as error:
            msg = f"{tp.topic}-{tp.partition} could not be read: {error}"
            raise BrokerUnreachableError(msg) from error

    async def _connected(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            **self._connection,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        return consumer
