"""Read a stretch of one partition, outside any consumer group."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

WAIT_MS = 1_000


class LogReader:
    """Reads partitions from their beginning.

    Parameters
    ----------
    connection
        aiokafka's connection arguments: addresses, security.
    """

    def __init__(self, connection: Mapping[str, Any]) -> None:
        self._connection = dict(connection)

    async def read(self, tp: TP, end: int) -> AsyncIterator[Sequence[tuple[int, bytes]]]:
        """Yield the (offset, value) pairs of the records before offset ``end``, a fetch at a time."""
        partition = TopicPartition(*tp)
        consumer = AIOKafkaConsumer(
            **self._connection, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            while await consumer.position(partition) < end:
                fetched = await consumer.getmany(partition, timeout_ms=WAIT_MS)
                records = fetched.get(partition, [])
                yield [(record.offset, record.value) for record in records if record.offset < end]
        finally:
            await consumer.stop()
