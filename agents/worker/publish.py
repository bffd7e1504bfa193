"""Publish records to Kafka: a call is acknowledged in full, or no further record is ever sent.

Rule 1. `Publisher.send` returns when every record of the call is durable, and raises otherwise.
Rule 2. Records for one partition keep their order, within a call and between calls, also when they
        are retried. A call that must ask the broker for its topics holds up those behind it.
Rule 3. After the first failure every call is refused. A record may be missing then, and later ones
        would hide the gap; a new process starts again from the last commit.
Rule 4. Stopping does not send the waiting records. Their senders receive an error.

Each partition has one batch in flight, so a retry cannot overtake a later batch. A retried batch is
stored once only by an idempotent producer, which Apache Kafka offers and the embedded broker does
not.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    KafkaError,
    UnknownError,
    UnknownTopicOrPartitionError,
)
from aiokafka.producer.message_accumulator import BatchBuilder

from agents.errors import BrokerUnreachableError, OperatorError, PublishError
from agents.kafka.admin import denial, missing_topics
from schemas.cloudevents import NO_HEADERS, Headers
from schemas.topics import MAX_RECORD_BYTES, key_partition

_BATCH_BYTES = 512 * 1024
"""Bytes of a batch: half of Kafka's default max.message.bytes."""
_REQUEST_TIMEOUT_MS = 10_000
"""Milliseconds for one answer; aiokafka then retries. Kafka replaces a dead broker after 9 s
(broker.session.timeout.ms)."""
_IN_MEMORY_TIMEOUT_MS = 10 * _REQUEST_TIMEOUT_MS
"""The same for a producer that is not idempotent, which fails after the first such time. It talks
to the embedded broker, which no other one replaces, on a machine that may be slow or busy."""
_IDEMPOTENCE_TRIES = 3
"""Attempts to start an idempotent producer. The embedded broker always answers with an unknown
error; Kafka may do so while it starts, but not three times."""
_REQUEST_GRACE_S = 0.2
"""Seconds between two cancellations of aiokafka's sender; each one ends a further layer."""
_LOG_APPEND_TIME = 1
"""Kafka's type of a timestamp that the broker set."""
_Target = tuple[str, int]
_log = logging.getLogger(__name__)
_SENDER_LOG = logging.getLogger("aiokafka.producer.sender")


async def _disconnect(producer: AIOKafkaProducer) -> None:
    """Close a producer at once. Its own stop() first sends all waiting records."""
    producer._closed = True
    sender = producer._sender.sender_task
    while not sender.done():
        # The first cancel ends its loop; a further one ends the requests in flight.
        sender.cancel()
        await asyncio.wait([sender], timeout=_REQUEST_GRACE_S)
    await producer.client.close()


@contextlib.contextmanager
def _silenced(logger: logging.Logger) -> Iterator[None]:
    """Drop the records of ``logger``: our own sentence follows."""

    def refuse(_: logging.LogRecord) -> bool:
        return False

    logger.addFilter(refuse)
    try:
        yield
    finally:
        logger.removeFilter(refuse)


class Outgoing(NamedTuple):
    """One record to publish.

    Parameters
    ----------
    partition
        None: chosen by the key, see `key_partition`.
    value
        None deletes the key from a compacted topic.
    timestamp_ms
        None: the time of sending.
    headers
        Names and values.
    """

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    timestamp_ms: int | None
    headers: Headers = NO_HEADERS


class Publisher:
    """Publishes batches of records.

    Parameters
    ----------
    connection
        aiokafka's connection arguments: addresses, security.
    acknowledged_within_s
        Seconds without an acknowledgement after which `send` fails.
    on_append
        Called with the LogAppendTime of an acknowledged batch in ms, and the seconds that it took.
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        *,
        acknowledged_within_s: float = 600.0,
        on_append: Callable[[int, float], None] = lambda _appended_ms, _took_s: None,
    ) -> None:
        self._connection = dict(connection)
        self._acknowledged_within_s = acknowledged_within_s
        self._on_append = on_append
        self._producer: AIOKafkaProducer | None = None
        self._partitions: dict[str, int] = {}
        self._deliveries: set[asyncio.Task[None]] = set()
        self._packing = asyncio.Lock()
        self._turns: defaultdict[_Target, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._refusal: str | None = "the publisher has not been started"
        self.is_idempotent = True

    async def start(self) -> None:
        """Connect, and find out whether the broker has an idempotent producer.

        Raises
        ------
        BrokerUnreachableError
            When no broker answers.
        """
        for _ in range(_IDEMPOTENCE_TRIES):
            with (
                contextlib.suppress(IncompatibleBrokerVersion, UnknownError),
                _silenced(_SENDER_LOG),
            ):
                self._producer = await self._connect(is_idempotent=True)
                break
        else:
            self.is_idempotent = False
            self._producer = await self._connect(is_idempotent=False)
            _log.warning(
                "This broker has no idempotent producer, so a record may be stored twice; "
                "durability is promised on Apache Kafka only"
            )
        self._refusal = None

    async def _connect(self, *, is_idempotent: bool) -> AIOKafkaProducer:
        timeout_ms = _REQUEST_TIMEOUT_MS if is_idempotent else _IN_MEMORY_TIMEOUT_MS
        producer = AIOKafkaProducer(
            **self._connection,
            acks="all",
            enable_idempotence=is_idempotent,
            max_batch_size=_BATCH_BYTES,
            max_request_size=MAX_RECORD_BYTES,
            request_timeout_ms=timeout_ms,
        )
        try:
            await producer.start()
        except (IncompatibleBrokerVersion, UnknownError):
            await producer.stop()
            raise
        except KafkaError as error:
            await producer.stop()
            if denied := denial(error):
                raise OperatorError(
                    f"this worker's user {denied}: `./tidegauge acls` prints the rights that are "
                    "needed"
                ) from error
            raise BrokerUnreachableError(
                f"Kafka accepts no records from this worker: {error}"
            ) from error
        return producer

    async def partitions(self, topic: str) -> int:
        """Return the number of partitions of ``topic``; it is asked of the broker once.

        Raises
        ------
        OperatorError
            When the topic does not exist.
        """
        if topic not in self._partitions:
            try:
                self._partitions[topic] = len(await self._ready().partitions_for(topic))
            except UnknownTopicOrPartitionError as error:
                broker = ",".join(self._connection["bootstrap_servers"])
                raise missing_topics([topic], broker) from error
        return self._partitions[topic]

    async def send(self, batch: Iterable[Outgoing]) -> None:
        """Publish; return once every in-sync replica has acknowledged all of it.

        A cancelled caller does not cancel the delivery: it continues in its order, and a failure is
        raised by the next call.

        Raises
        ------
        PublishError
            When any record may be missing, and at every later call.
        """
        async with self._packing:
            packed = await self._pack(batch)
            delivery = asyncio.create_task(self._deliver_all(packed))
        self._deliveries.add(delivery)
        delivery.add_done_callback(self._forget)
        try:
            await asyncio.shield(delivery)
        except asyncio.CancelledError:
            if delivery.cancelled():  # by `stop`, not the caller
                raise PublishError(f"a record may be missing: {self._refusal}") from None
            raise

    def _forget(self, delivery: asyncio.Task[None]) -> None:
        self._deliveries.discard(delivery)
        if not delivery.cancelled():
            delivery.exception()  # marks it as retrieved; `_refuse` has kept the reason

    async def _pack(self, batch: Iterable[Outgoing]) -> dict[_Target, list[BatchBuilder]]:
        producer = self._ready()
        packed: dict[_Target, list[BatchBuilder]] = {}
        for topic, chosen, key, value, timestamp_ms, headers in batch:
            if topic not in self._partitions:
                await self.partitions(topic)
            partition = chosen
            if partition is None:
                partition = key_partition(key or b"", self._partitions[topic])
            builders = packed.get((topic, partition))
            if builders is None:
                if partition not in range(self._partitions[topic]):
                    raise self._refuse(f"topic {topic!r} has no partition {partition}")
                builders = packed[topic, partition] = [producer.create_batch()]
            add = builders[-1].append
            if add(timestamp=timestamp_ms, key=key, value=value, headers=headers) is None:
                builders.append(producer.create_batch())
                add = builders[-1].append
                add(timestamp=timestamp_ms, key=key, value=value, headers=headers)
        return packed

    async def _deliver_all(self, packed: Mapping[_Target, list[BatchBuilder]]) -> None:
        tasks = [asyncio.create_task(self._deliver(*parts)) for parts in packed.items()]
        if not tasks:
            return
        try:
            done, late = await asyncio.wait(
                tasks, timeout=self._acknowledged_within_s, return_when=asyncio.FIRST_EXCEPTION
            )
            for task in done:
                task.result()
            if late:
                raise self._refuse(
                    f"Kafka did not acknowledge within {self._acknowledged_within_s:.0f} s"
                )
        finally:
            if [task for task in tasks if not task.done() or task.cancelled() or task.exception()]:
                self._refuse("an earlier call did not finish")
            for task in tasks:
                task.cancel()

    async def _deliver(self, target: _Target, builders: Iterable[BatchBuilder]) -> None:
        topic, partition = target
        async with self._turns[target]:
            try:
                for builder in builders:
                    sent_s = asyncio.get_running_loop().time()
                    acknowledgement = await self._ready().send_batch(
                        builder, topic, partition=partition
                    )
                    found = await acknowledgement
                    if found.timestamp_type == _LOG_APPEND_TIME:
                        took_s = asyncio.get_running_loop().time() - sent_s
                        self._on_append(found.timestamp, took_s)
            except KafkaError as error:
                # Within the lock: the next delivery to this partition must find sending refused.
                refusal = self._refuse(f"Kafka did not accept a record: {error!r}")
                if denied := denial(error):
                    raise OperatorError(
                        f"nothing can be published: the worker's user {denied}; `./tidegauge acls` "
                        "prints the rights that are needed"
                    ) from error
                raise refusal from error

    def _ready(self) -> AIOKafkaProducer:
        if self._refusal is not None or self._producer is None:
            raise PublishError(f"nothing can be published: {self._refusal}")
        return self._producer

    def _refuse(self, reason: str) -> PublishError:
        """Publish nothing from now on; return the error, with the first reason."""
        self._refusal = self._refusal or reason
        return PublishError(f"nothing can be published: {self._refusal}")

    async def stop(self) -> None:
        """Disconnect at once; records in flight may or may not have arrived."""
        self._refuse("the publisher was stopped")
        for delivery in self._deliveries:
            delivery.cancel()
        producer, self._producer = self._producer, None
        if producer is not None:
            await _disconnect(producer)
