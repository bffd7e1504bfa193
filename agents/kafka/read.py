"""Read partitions outside any consumer group: to their ends, or on and on.

Only records of committed transactions are read, as by ingest, and the end of a partition is its
last stable offset.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from agents.kafka.admin import RETRY_S, explained, partition_counts
from agents.settings import Settings

WAIT_S = 0.2
"""Seconds that `Cursor.fetch` waits for records: Ctrl-C and a deadline are seen in that time."""
FETCH_WAIT_MS = 50
"""Milliseconds that the broker may hold an answer without records; a restart reads many empty
partitions, and each costs one such answer."""
ANSWER_S = 60.0
"""Seconds without an answer after which reading fails. A broker that restarts, or a network that is
cut for a moment, is no reason to end a worker."""
RECORDS_AT_ONCE = 500
"""Records handed over at once: a worker that restores state answers heartbeats in between."""


class Cursor:
    """Stands at an offset in each of some partitions.

    Parameters
    ----------
    consumer
        Started, and assigned to the partitions.
    partitions
        The partitions.
    answer_s
        Seconds without an answer after which reading fails.
    """

    def __init__(
        self, consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition], answer_s: float
    ) -> None:
        self._consumer = consumer
        self._partitions = partitions
        self._answer_s = answer_s

    async def fetch(self, wait_s: float = WAIT_S) -> list[ConsumerRecord]:
        """Return the next records, those of a partition in order; empty when none come in time."""
        fetched = await self._consumer.getmany(
            timeout_ms=int(wait_s * 1_000), max_records=RECORDS_AT_ONCE
        )
        return [record for records in fetched.values() for record in records]

    async def beginnings(self) -> dict[TopicPartition, int]:
        """Return the offset of the oldest record of each partition."""
        offsets: dict[TopicPartition, int] = await self._consumer.beginning_offsets(
            self._partitions
        )
        return offsets

    async def ends(self) -> dict[TopicPartition, int]:
        """Return the offset after the last record of each partition, as the broker claims it."""
        offsets: dict[TopicPartition, int] = await self._consumer.end_offsets(self._partitions)
        return offsets

    async def seek_to_ends(self) -> dict[TopicPartition, int]:
        """Move to the ends; return the last stable offset of each partition.

        An end is that of an answer to a fetch. The embedded broker answers ListOffsets(latest)
        with an offset inside the last batch, so one fetch is made there.
        """
        beginnings = await self.beginnings()
        for partition, claimed in (await self._consumer.end_offsets(self._partitions)).items():
            self._consumer.seek(partition, max(beginnings[partition], claimed - 1))
        until_s = _now_s() + self._answer_s
        while any(self._end(partition) is None for partition in self._partitions):
            if _now_s() > until_s:
                raise KafkaTimeoutError
            await self.fetch()
        ends = {each: self._consumer.last_stable_offset(each) for each in self._partitions}
        self.seek(ends)
        return ends

    async def seek_to_beginnings(self) -> None:
        """Move to the oldest records."""
        await self._consumer.seek_to_beginning(*self._partitions)

    async def seek_to_latest(self, count: int) -> None:
        """Move to ``count`` records before the end of each partition."""
        ends, beginnings = await self.seek_to_ends(), await self.beginnings()
        self.seek({each: max(beginnings[each], end - count) for each, end in ends.items()})

    def seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Move to these offsets."""
        for partition, offset in offsets.items():
            self._consumer.seek(partition, offset)

    async def read_to_ends(
        self, ends: Mapping[TopicPartition, int] | None = None
    ) -> AsyncIterator[Sequence[ConsumerRecord]]:
        """Yield the records up to the ends, some at a time; each batch of one partition in order.

        Parameters
        ----------
        ends
            Where to stop. None: at the end as the broker knows it when the cursor gets there, not
            as it was before. A record that is appended meanwhile may replace another one, which
            compaction then removes before it is read.

        Raises
        ------
        KafkaTimeoutError
            When nothing is read for ``answer_s``.
        """
        answered_s = _now_s()
        while not await self._is_at(ends):
            if records := await self.fetch():
                answered_s = _now_s()
                yield records
            elif _now_s() - answered_s > self._answer_s:
                msg = f"no answer for {self._answer_s:g} s"
                raise KafkaConnectionError(msg)

    async def _is_at(self, ends: Mapping[TopicPartition, int] | None) -> bool:
        for partition in self._partitions:
            end = self._end(partition) if ends is None else ends[partition]
            if end is None or await self._consumer.position(partition) < end:
                return False
        return True

    def _end(self, partition: TopicPartition) -> int | None:
        """Return the last stable offset as of the broker's last answer, if there was one.

        What follows it belongs to a transaction that is open.
        """
        end: int | None = self._consumer.last_stable_offset(partition)
        return end


class LogReader:
    """Opens cursors.

    Parameters
    ----------
    settings
        Which cluster.
    answer_s
        Seconds for which a broker may not answer.
    """

    def __init__(self, settings: Settings, answer_s: float = ANSWER_S) -> None:
        self._settings = settings
        self._connection = settings.connection()
        self._answer_s = answer_s

    async def beginning(self, partition: tuple[str, int]) -> int:
        """Return the offset of the oldest record of a partition.

        Raises
        ------
        BrokerUnreachableError
            When the broker does not answer for ``answer_s``.
        """
        async with self.open([partition]) as cursor:
            return (await cursor.beginnings())[TopicPartition(*partition)]

    async def end(self, partition: tuple[str, int]) -> int:
        """Return the offset after the last record of a partition.

        Raises
        ------
        BrokerUnreachableError
            When the broker does not answer for ``answer_s``.
        """
        async with self.open([partition]) as cursor:
            return (await cursor.seek_to_ends())[TopicPartition(*partition)]

    async def read(
        self, partition: tuple[str, int], start: int | None = None, end: int | None = None
    ) -> AsyncIterator[Sequence[ConsumerRecord]]:
        """Yield the records of a partition, some at a time; see `Cursor.read_to_ends`.

        Parameters
        ----------
        partition
            Topic and partition.
        start, end
            The first offset, and the one after the last; None: the beginning, and the end.

        Raises
        ------
        BrokerUnreachableError
            When the broker does not answer for ``answer_s``.
        """
        key = TopicPartition(*partition)
        async with self.open([partition]) as cursor:
            if start is not None:
                cursor.seek({key: start})
            async for records in cursor.read_to_ends(None if end is None else {key: end}):
                yield records if end is None else [each for each in records if each.offset < end]

    @asynccontextmanager
    async def open(self, partitions: Iterable[tuple[str, int]]) -> AsyncIterator[Cursor]:
        """Return a cursor at the beginning of partitions of topics that exist.

        Raises
        ------
        BrokerUnreachableError
            When the broker does not answer for ``answer_s``, now or later in the block.
        """
        wanted = [TopicPartition(*each) for each in partitions]
        names = ", ".join(f"{topic}-{number}" for topic, number in wanted)
        connecting = AsyncRetrying(
            retry=retry_if_exception_type(KafkaConnectionError),
            stop=stop_after_delay(self._answer_s),
            wait=wait_fixed(RETRY_S),
            reraise=True,
        )
        with explained(self._settings, f"{names} could not be read"):
            consumer: AIOKafkaConsumer = await connecting(self._connected)
            try:
                consumer.assign(wanted)
                await consumer.seek_to_beginning(*wanted)
                yield Cursor(consumer, wanted, self._answer_s)
            finally:
                await consumer.stop()

    async def _connected(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            **self._connection,
            client_id="tidegauge-reader",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        return consumer


def _now_s() -> float:
    return asyncio.get_running_loop().time()


async def partitions_of(settings: Settings, *topics: str) -> list[TopicPartition]:
    """Return all partitions of topics.

    Raises
    ------
    OperatorError, BrokerUnreachableError
        When a topic or the broker is not there.
    """
    counts = await partition_counts(settings, topics)
    return [TopicPartition(topic, n) for topic in topics for n in range(counts[topic])]


async def read_whole(
    settings: Settings, topic: str, partition: int | None = None, *, latest: int | None = None
) -> AsyncIterator[ConsumerRecord]:
    """Yield the records of a topic, or of one partition of it, up to the end.

    Parameters
    ----------
    settings
        Which cluster.
    topic, partition
        Where to read.
    latest
        The most records of each partition, the newest ones; None for all.

    Raises
    ------
    OperatorError, BrokerUnreachableError
        When the topic or the broker is not there.
    """
    partitions = await partitions_of(settings, topic)
    if partition is not None:
        partitions = [TopicPartition(topic, partition)]
    async with LogReader(settings).open(partitions) as cursor:
        if latest is not None:
            await cursor.seek_to_latest(latest)
        async for records in cursor.read_to_ends():
            for record in records:
                yield record


async def last_values(settings: Settings, topic: str) -> dict[str, bytes]:
    """Return the last value of each key of a topic, without the keys that were deleted.

    Parameters
    ----------
    settings
        Which cluster.
    topic
        One of our own, in which a key has one partition.

    Raises
    ------
    OperatorError, BrokerUnreachableError
        When the topic or the broker is not there.
    """
    last = {record.key: record.value async for record in read_whole(settings, topic)}
    return {
        (key or b"").decode(errors="replace"): value
        for key, value in last.items()
        if value is not None
    }


def read_json(value: bytes | None, field: str) -> dict[str, Any] | None:
    """Return a record that is an object with a field; None for any other: it is not ours."""
    try:
        found = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) and found.get(field) is not None else None
