"""Kafka in batches: one Faust message for each partition and fetch.

Faust creates four tasks for every message it delivers. This transport delivers a whole fetch as one
message, and owns the positions, because the driver's own handling of them loses records.

Rule 1. A partition delivers only after it was positioned in its present assignment.
Rule 2. Every start is explicit: the application's choice, else the commit, else the beginning. The
        driver does not seek where nothing is committed, and so skips records.
Rule 3. A partition's delivery begins where its last one ended: every take names the offset that it
        expects, and seeks when the partition is elsewhere.
Rule 4. The generation is read before the take. Records taken across a rebalance are dropped, and
        by rule 3 read again: the next fetch, which would show the gap, may never come.
Rule 5. A commit names its offsets. It may come too late, when the partition has a new owner: that
        owner commits after it, so it is no error.
Rule 6. A commit carries the id of the topic. One of a topic that was deleted, which arrives after
        the topic was made anew, would have its first records passed over: it does not count.

It depends on private parts of faust-streaming 0.15.3, mode-streaming 0.7.1 and aiokafka 0.14.0:
tests/contracts/test_transport_contract.py lists them, and fails when they change.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import faust
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, ConsumerStoppedError, IllegalStateError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, AppT, ConsumerMessage, EventT, Message

from agents.kafka.admin import TopicDescription, topics_of
from agents.kafka.wire import MetadataRequest

RECORDS_PER_FETCH = 2_000
"""Most records of one partition in one delivery: a deep partition must not starve the others."""
RECORDS_PER_TAKE = 50_000
"""Records of all partitions in one take, above ``FEWEST_RECORDS`` a partition: what ingest holds,
before those far ahead are paused, is bounded whatever the number of partitions."""
FEWEST_RECORDS = 100
"""Fewer in one delivery would cost more than the records themselves."""
_FETCH_WAIT_MS = 100
"""Milliseconds that the broker may hold an answer. It holds up the partitions that became empty
after the request, and its end is the proof that a quiet partition holds nothing older."""
_REASSIGNMENT_POLL_S = 0.05
"""Seconds between two looks for the end of a rebalance."""
_METADATA_AGE_MS = 10_000
"""Milliseconds until a new partition is known; aiokafka's default is five minutes."""
_ANSWER_S = 5.0
"""Seconds for one question. aiokafka repeats it while the broker is down, and the thread could not
end before the broker is back."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fetch:
    """The records of one fetch from one partition.

    Parameters
    ----------
    records
        In offset order, of committed transactions only. Empty when the stretch holds no other.
    start_offset, next_offset
        The stretch of the log this covers, ``[start_offset, next_offset)``. Offsets in it that no
        record has belong to control records or aborted transactions, or were compacted away. Commit
        ``next_offset``.
    end
        The last stable offset of the partition, as the broker knew it at this fetch: what follows
        belongs to a transaction that is open, and cannot be read yet.
    """

    topic: str
    partition: int
    records: list[ConsumerRecord]
    start_offset: int
    next_offset: int
    end: int

    @property
    def tp(self) -> TP:
        """Topic and partition."""
        return TP(self.topic, self.partition)


class End(NamedTuple):
    """The last stable offset of a partition, and the instant of the broker's answer in seconds."""

    offset: int
    seen_at_s: float


class FetchSchema(faust.Schema[Any, Any]):
    """Passes a `Fetch` through untouched: there is nothing to decode yet."""

    def compile(self, app: AppT, **_: Any) -> Any:
        """Return the coroutine that makes an event of a message."""
        create_event = app.create_event

        async def decode(message: Message, *, propagate: bool = False) -> EventT[Any]:
            return create_event(None, message.value, message.headers, message)

        return decode


class BatchThread(driver.AIOKafkaConsumerThread):
    """The thread that owns the aiokafka consumer. Its coroutines run there, by `call_thread`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._sought: dict[TP, int] = {}
        self._topic_ids: dict[str, str] = {}

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        conf = self.app.conf
        self._assignor = self.app.assignor
        return AIOKafkaConsumer(
            **cast(BatchTransport, transport).connection,
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_poll_records=RECORDS_PER_FETCH,
            max_poll_interval_ms=int((conf.broker_max_poll_interval or 0) * 1000),
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            metadata_max_age_ms=_METADATA_AGE_MS,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
        )

    async def on_thread_stop(self) -> None:
        """Disconnect.

        While the broker is down, aiokafka cancels a fetch that waits for its next attempt, and this
        cancels aiokafka itself: the thread would end here, and the caller would wait for ever.
        """
        with contextlib.suppress(asyncio.CancelledError):
            await super().on_thread_stop()

    async def take(self, expected: Mapping[TP, int], wait_s: float) -> dict[TP, Fetch]:
        """Take the records that have arrived, each partition from its offset, or wait for some."""
        consumer = self._ensure_consumer()
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError
        with fetcher._subscriptions.fetch_context():
            fetches = await self._take_arrived(consumer, expected)
            if not fetches:
                arrival = fetcher._create_fetch_waiter()
                await asyncio.wait([arrival], timeout=wait_s)
                if arrival.done():
                    arrival.result()  # an authorization error surfaces here
                else:
                    arrival.cancel()
        return fetches

    async def _take_arrived(
        self, consumer: AIOKafkaConsumer, expected: Mapping[TP, int]
    ) -> dict[TP, Fetch]:
        fetcher = consumer._fetcher
        fetches: dict[TP, Fetch] = {}
        most = min(consumer._max_poll_records, RECORDS_PER_TAKE // max(1, len(expected)))
        for tp, offset in sorted(expected.items()):
            # `fetched_records` would wait for the end of a rebalance.
            if fetcher._subscriptions.reassignment_in_progress:
                await asyncio.sleep(_REASSIGNMENT_POLL_S)
                return {}
            key = TopicPartition(*tp)
            state = self._state(consumer, key)
            if state is None or not await self._is_placed(consumer, key, state, offset):
                continue
            start_offset = state.position
            taken = await fetcher.fetched_records(
                [key], timeout=0, max_records=max(most, FEWEST_RECORDS)
            )
            next_offset = state.position
            if next_offset > start_offset:
                end = next_offset if state.lso is None else max(state.lso, next_offset)
                fetches[tp] = Fetch(*tp, taken.get(key, []), start_offset, next_offset, end)
                self._sought.pop(tp, None)
        return fetches

    async def _is_placed(
        self, consumer: AIOKafkaConsumer, key: TopicPartition, state: Any, offset: int
    ) -> bool:
        """Return whether the partition is read from ``offset``, or from the next record left."""
        tp = TP(*key)
        if state.has_valid_position and state.position == offset:
            return True
        if self._sought.get(tp) != offset:
            self._sought[tp] = offset
            consumer.seek(key, offset)
            return bool(state.position == offset)
        if not state.has_valid_position:
            return False  # the broker refused the offset; aiokafka asks for the beginning
        beginning = (await consumer.beginning_offsets([key]))[key]
        if offset >= beginning and (state.highwater is None or offset <= state.highwater):
            self._sought.pop(tp, None)
            return False
        _log.error(
            "%s-%d continues at offset %d instead of %d: its records were deleted by retention, "
            "or the topic was created again",
            *tp,
            state.position,
            offset,
        )
        return True

    def _state(self, consumer: AIOKafkaConsumer, key: TopicPartition) -> Any:
        subscription = consumer._subscription.subscription
        assignment = None if subscription is None else subscription.assignment
        return None if assignment is None else assignment.state_value(key)

    def end(self, tp: TP) -> End | None:
        """Return the end of a partition as of the broker's last answer, if there was one."""
        state = self._state(self._ensure_consumer(), TopicPartition(*tp))
        if state is None or state.timestamp is None:
            return None
        # The instant first: another thread sets both, and a newer end proves the older instant.
        seen_at_s = state.timestamp / 1_000
        return End(state.lso, seen_at_s)

    async def first_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Return the start of each partition: its commit, else its beginning."""
        keys = [TopicPartition(*tp) for tp in tps]
        if not keys:
            return {}
        consumer = self._ensure_consumer()
        topics = await self.describe_topics(sorted({key.topic for key in keys}))
        self._topic_ids = {name: topic.topic_id for name, topic in topics.items()}
        commits = await consumer._coordinator.fetch_committed_offsets(keys)
        beginnings = await consumer.beginning_offsets(keys)
        starts = {}
        for key in keys:
            beginning = beginnings[key]
            committed = self._committed(key, commits.get(key))
            if committed < 0 and key in commits and commits[key].offset >= 0:
                # It would stay until the first record, and beyond the end it holds up ticks.
                await self.commit_fact({TP(*key): beginning})
            if 0 <= committed < beginning:
                _log.error(
                    "Offsets %d to %d of %s-%d were deleted before they were read: the retention "
                    "of the topic is shorter than the downtime of this worker",
                    committed,
                    beginning - 1,
                    key.topic,
                    key.partition,
                )
            starts[TP(*key)] = max(committed, beginning)
        return starts

    def _committed(self, key: TopicPartition, commit: OffsetAndMetadata | None) -> int:
        """Return the offset of a commit; -1 where there is none, or only one of another topic."""
        if commit is None or commit.offset < 0:
            return -1
        if commit.metadata and commit.metadata != self._topic_ids.get(key.topic):
            _log.warning(
                "%s-%d was deleted and created anew: it is read from its beginning, not from the "
                "commit at %d, which is of the old topic",
                key.topic,
                key.partition,
                commit.offset,
            )
            return -1
        return int(commit.offset)

    async def progress(self, topics: Iterable[str]) -> dict[TP, int]:
        """Return the group's commit in every partition of these topics, whoever holds it.

        Empty where a topic is not known yet; TimeoutError where the broker does not answer.
        """
        consumer = self._ensure_consumer()
        keys: list[TopicPartition] = []
        for topic in topics:
            partitions = consumer.partitions_for_topic(topic)
            if not partitions:
                return {}
            keys += [TopicPartition(topic, partition) for partition in sorted(partitions)]
        async with asyncio.timeout(_ANSWER_S):
            found = await consumer._coordinator.fetch_committed_offsets(keys)
            beginnings = await consumer.beginning_offsets(keys)
        return {
            TP(*key): max(found[key].offset if key in found else 0, beginnings[key]) for key in keys
        }

    async def ask_ends(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Ask the broker for the last stable offsets of these partitions, whoever holds them."""
        async with asyncio.timeout(_ANSWER_S):
            ends = await self._ensure_consumer().end_offsets([TopicPartition(*tp) for tp in tps])
        return {TP(*key): end for key, end in ends.items()}

    async def describe_topics(self, names: Sequence[str]) -> dict[str, TopicDescription]:
        """Ask the broker for those of the topics that exist; raise where the group is refused."""
        consumer = self._ensure_consumer()
        consumer._coordinator.check_errors()
        client = consumer._client
        return topics_of(await client.send(client.get_random_node(), MetadataRequest(names)))

    async def commit_fact(self, offsets: Mapping[TP, int]) -> bool:
        """Commit the partitions that are still held; return whether all were accepted."""
        consumer = self._ensure_consumer()
        held = {TopicPartition(*tp) for tp in self.assignment()}
        facts = {
            key: OffsetAndMetadata(offset, self._topic_ids.get(key.topic, ""))
            for tp, offset in offsets.items()
            if (key := TopicPartition(*tp)) in held
        }
        if facts:
            try:
                await consumer.commit(facts)
            except (CommitFailedError, IllegalStateError) as error:
                _log.debug("A commit of %s came too late, a later owner commits: %s", facts, error)
                return False
        return len(facts) == len(offsets)


class BatchConsumer(driver.Consumer):
    """Delivers fetches, keeps their positions (rules 1 to 4) and commits facts (rule 5)."""

    _thread: BatchThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._planned: dict[TP, int] = {}
        self._next: dict[TP, int] = {}
        self._may_take = asyncio.Event()

    def _new_consumer_thread(self) -> BatchThread:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    async def first_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Return the start of each partition: its commit, else its beginning. One request."""
        offsets: dict[TP, int] = await self._thread.call_thread(
            self._thread.first_offsets, list(tps)
        )
        return offsets

    async def progress(self, topics: Iterable[str]) -> dict[TP, int]:
        """Return the group's commit in every partition of these topics, whoever holds it.

        Records that retention has deleted count as done. Empty where a topic is not known yet.
        """
        self._refuse_when_stopping()
        commits: dict[TP, int] = await self._thread.call_thread(self._thread.progress, list(topics))
        return commits

    async def ask_ends(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Ask the broker for the ends of these partitions, whoever holds them.

        The embedded broker's answer is too low: one past the start of the last batch.
        """
        self._refuse_when_stopping()
        ends: dict[TP, int] = await self._thread.call_thread(self._thread.ask_ends, list(tps))
        return ends

    def _refuse_when_stopping(self) -> None:
        """Refuse a request to a thread that is ending: it would not answer.

        Raises
        ------
        KafkaError
            Once this consumer is stopping.
        """
        if self.should_stop:
            msg = "the consumer is stopping"
            raise IllegalStateError(msg)

    def plan(self, starts: Mapping[TP, int]) -> None:
        """Decide where the partitions of the present assignment start."""
        self._planned = dict(starts)

    async def perform_seek(self) -> None:
        """Let every assigned partition deliver from its start; Faust calls this after a rebalance.

        The thread seeks when it takes, which also corrects positions left by an older fetch.
        """
        assigned = self.assignment()
        self._next = {tp: start for tp, start in self._planned.items() if tp in assigned}
        self._read_offset.update({tp: start or None for tp, start in self._next.items()})
        self._may_take.set()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Deliver nothing more until the partitions are positioned again."""
        self._next = {}
        self._planned = {}
        await super().on_partitions_revoked(revoked)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:  # noqa: ASYNC109
        """Yield one message for each partition that has something new."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)  # type: ignore[arg-type]
        generation = self.app.consumer_generation_id
        expected = {tp: self._next[tp] for tp in self._get_active_partitions() if tp in self._next}
        for tp, fetch in (await self._take(expected, timeout)).items():
            if (
                self.should_stop
                or not self.flow_active
                or generation != self.app.consumer_generation_id
            ):
                return  # the rest is read again: the next take expects the same offsets
            if self._next.get(tp) == expected[tp]:
                self._next[tp] = fetch.next_offset
                yield tp, _message(fetch, generation)

    async def _take(self, expected: Mapping[TP, int], wait_s: float) -> dict[TP, Fetch]:
        if expected:
            taken: dict[TP, Fetch] = await self._thread.call_thread(
                self._thread.take, expected, wait_s
            )
            return taken
        # The driver would sleep a full second here, also for a lone partition with a full queue.
        self._may_take.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._may_take.wait(), wait_s)
        return {}

    def on_buffer_drop(self, tp: TP) -> None:
        """Fetch from the partition again, now that its queue has room."""
        super().on_buffer_drop(tp)
        self._active_partitions.difference_update(self._paused_partitions)
        self._may_take.set()

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Fetch from the partitions again."""
        super().resume_partitions(tps)
        self._may_take.set()

    async def commit_fact(self, offsets: Mapping[TP, int]) -> bool:
        """Commit: everything before these offsets is durably done.

        Returns
        -------
        bool
            False when part of it was refused: the partition has a new owner, a rebalance is under
            way, or the connection has ended while a slow save went on. Nothing to do then: the next
            owner starts at an earlier commit.

        Raises
        ------
        KafkaError
            When the broker refuses for any other reason.
        """
        if self._thread.thread_loop.is_closed():
            return False
        accepted: bool = await self._thread.call_thread(self._thread.commit_fact, dict(offsets))
        return accepted

    async def describe_topics(self, names: Sequence[str]) -> dict[str, TopicDescription]:
        """Ask the broker for those of the topics that exist.

        Raises
        ------
        KafkaError
            When the broker does not answer, or refuses the group to this user.
        """
        self._refuse_when_stopping()
        found: dict[str, TopicDescription] = await self._thread.call_thread(
            self._thread.describe_topics, names
        )
        return found

    async def end_offsets(self) -> dict[TP, int]:
        """Ask the broker for the end of every partition that is positioned."""
        ends = await self.highwaters(*(TopicPartition(*tp) for tp in self._next))
        return {TP(*key): offset for key, offset in ends.items()}

    async def verify_all_partitions_active(self) -> None:
        """Check nothing: the watchdog does, and Faust's check fails where a position is unknown."""

    def has_ended(self) -> bool:
        """Return whether the thread of the connection, or its task for the group, has ended.

        aiokafka ends the task after an error of its own, and fetches from then on as if nothing
        had happened: the worker would sit in no group, and read nothing.
        """
        thread = self._thread._thread
        if thread is not None and not thread.is_alive():
            return True
        coordinator = getattr(self._thread._consumer, "_coordinator", None)
        task = getattr(coordinator, "_coordination_task", None)
        return task is not None and task.done()

    def known_ends(self) -> dict[TP, End]:
        """Return the end of each partition as of the broker's last answer to a fetch, if any."""
        ends = {tp: self._thread.end(tp) for tp in self._next}
        return {tp: end for tp, end in ends.items() if end is not None}

    def positions(self) -> dict[TP, int]:
        """Return, for each partition that delivers, the offset it delivers next."""
        return dict(self._next)


class BatchTransport(driver.Transport):
    """Faust's aiokafka transport, in batches.

    Parameters
    ----------
    connection
        aiokafka's connection arguments: addresses, security.
    """

    Consumer = BatchConsumer

    def __init__(self, app: AppT, connection: Mapping[str, Any]) -> None:
        super().__init__(app.conf.broker_consumer, app)
        self.connection = connection


def _message(fetch: Fetch, generation: int) -> ConsumerMessage:
    records = fetch.records
    return ConsumerMessage(
        fetch.topic,
        fetch.partition,
        fetch.next_offset - 1,
        records[-1].timestamp / 1000 if records else 0.0,
        0,
        [],
        None,
        cast(bytes, fetch),  # Faust passes a value on as it is
        None,
        tp=fetch.tp,
        generation_id=generation,
    )
