from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from faust.types import TP
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from agents.worker.transport import RECORDS_PER_FETCH, End, Fetch
from tests.agents.running import Diary, app_of, running, until
from tests.broker import Broker, create_topic, publish
from tests.kafka import RealKafka


def values(count: int, start: int = 0) -> list[bytes]:
    return [b"%d" % n for n in range(start, start + count)]


def test_every_record_is_delivered_once_in_order(broker: Broker, prefix: str) -> None:
    topic = f"{prefix}in"
    create_topic(broker, topic, partitions=3)
    for partition in range(3):
        publish(broker, topic, values(500), partition=partition)
    diary = Diary([topic])

    async def scenario() -> None:
        async with running(app_of(broker, f"{prefix}g", diary)):
            await until(lambda: len(diary.records()) >= 1_500, "1,500 records")

    asyncio.run(scenario())

    assert diary.offsets() == {partition: list(range(500)) for partition in range(3)}
    assert all(record.value == b"%d" % record.offset for record in diary.records())


def test_each_fetch_begins_where_the_last_one_of_its_partition_ended(
    kafka: RealKafka, prefix: str
) -> None:
    topic = f"{prefix}in"
    create_topic(kafka, topic, partitions=2)
    for partition in range(2):
        publish(kafka, topic, values(RECORDS_PER_FETCH + 500), partition=partition)
    diary = Diary([topic])

    async def scenario() -> None:
        async with running(app_of(kafka, f"{prefix}g", diary)):
            await until(lambda: len(diary.records()) >= 2 * RECORDS_PER_FETCH + 1_000, "all")

    asyncio.run(scenario())

    ends: dict[TP, int] = {}
    for fetch in diary.fetches:
        assert fetch.start_offset == ends.get(fetch.tp, 0)
        assert len(fetch.records) <= RECORDS_PER_FETCH
        assert fetch.end >= fetch.next_offset
        ends[fetch.tp] = fetch.next_offset
    assert set(ends.values()) == {RECORDS_PER_FETCH + 500}


def test_a_commit_after_the_connection_has_ended_is_refused(kafka: RealKafka, prefix: str) -> None:
    """A save that is slower than a worker's end must not look like a mistake of ours."""
    topic = f"{prefix}in"
    create_topic(kafka, topic, partitions=1)
    publish(kafka, topic, values(10))
    diary = Diary([topic])

    async def scenario() -> bool:
        async with running(app_of(kafka, f"{prefix}g", diary)):
            await until(lambda: len(diary.records()) >= 10, "all")
        return await diary.partitions.commit_fact({TP(topic, 0): 10})

    assert not asyncio.run(scenario())


def test_a_deep_partition_does_not_starve_a_shallow_one(kafka: RealKafka, prefix: str) -> None:
    topic = f"{prefix}in"
    create_topic(kafka, topic, partitions=2)
    publish(kafka, topic, values(5 * RECORDS_PER_FETCH), partition=0)
    publish(kafka, topic, values(10), partition=1)
    diary = Diary([topic])

    async def scenario() -> None:
        async with running(app_of(kafka, f"{prefix}g", diary)):
            await until(lambda: len(diary.records()) >= 5 * RECORDS_PER_FETCH + 10, "all")

    asyncio.run(scenario())

    assert 1 in [fetch.partition for fetch in diary.fetches[:3]]


def test_a_restart_resumes_at_the_commit(kafka: RealKafka, prefix: str) -> None:
    topic = f"{prefix}in"
    create_topic(kafka, topic)
    publish(kafka, topic, values(100))
    before, after = Diary([topic]), Diary([topic])

    async def scenario() -> None:
        async with running(app_of(kafka, f"{prefix}g", before)):
            await until(lambda: len(before.records()) == 100, "100 records")
            assert await before.partitions.commit_fact({TP(topic, 0): 40})
        async with running(app_of(kafka, f"{prefix}g", after)):
            await until(lambda: bool(after.records()), "the first record")

    asyncio.run(scenario())

    assert after.assignments == [{TP(topic, 0): 40}]
    assert after.records()[0].offset == 40


def test_a_partition_without_a_commit_is_read_from_its_beginning_after_a_rebalance(
    kafka: RealKafka, prefix: str
) -> None:
    topic = f"{prefix}in"
    create_topic(kafka, topic, partitions=2)
    for partition in range(2):
        publish(kafka, topic, values(40), partition=partition)
    stays, joins = Diary([topic]), Diary([topic])

    async def scenario() -> None:
        async with running(app_of(kafka, f"{prefix}g", stays)):
            await until(lambda: len(stays.records()) == 80, "80 records")
            async with running(app_of(kafka, f"{prefix}g", joins)):
                await until(lambda: len(stays.records()) == 120, "40 records a second time")
                await until(lambda: len(joins.records()) == 40, "40 records")

    asyncio.run(scenario())

    kept = stays.fetches[-1].partition
    assert stays.offsets()[kept] == [*range(40), *range(40)]
    assert joins.offsets() == {1 - kept: list(range(40))}


def test_the_hop_may_choose_where_a_partition_starts(kafka: RealKafka, prefix: str) -> None:
    topic = f"{prefix}in"
    create_topic(kafka, topic, partitions=2)
    for partition in range(2):
        publish(kafka, topic, values(50), partition=partition)

    class Chooser(Diary):
        def start_offset(self, tp: TP) -> int | None:
            return 30 if tp.partition == 0 else None

    chooser = Chooser([topic])

    async def scenario() -> None:
        async with running(app_of(kafka, f"{prefix}g", chooser)):
            await until(lambda: len(chooser.records()) == 70, "70 records")

    asyncio.run(scenario())

    assert chooser.offsets() == {0: list(range(30, 50)), 1: list(range(50))}


def test_a_rebalance_cancels_a_restore_and_the_next_assignment_is_restored(
    kafka: RealKafka, prefix: str
) -> None:
    topic = f"{prefix}in"
    create_topic(kafka, topic, partitions=2)
    for partition in range(2):
        publish(kafka, topic, values(10), partition=partition)

    class Slow(Diary):
        cancelled = 0

        async def on_rebalance_complete(self, starts: Mapping[TP, int]) -> None:
            await super().on_rebalance_complete(starts)
            try:
                await asyncio.sleep(30.0 if len(self.assignments) == 1 else 0.0)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise

    slow, joins = Slow([topic]), Diary([topic])

    async def scenario() -> None:
        async with running(app_of(kafka, f"{prefix}g", slow)):
            await until(lambda: len(slow.assignments) == 1, "the first assignment")
            async with running(app_of(kafka, f"{prefix}g", joins)):
                await until(lambda: len(slow.records()) == 10, "10 records")
                await until(lambda: len(joins.records()) == 10, "10 records")

    asyncio.run(scenario())

    assert slow.cancelled == 1
    assert [len(starts) for starts in slow.assignments[:2]] == [2, 1]
    assert len(slow.revocations[0]) == 2


def test_a_commit_of_a_partition_that_has_a_new_owner_is_not_an_error(
    kafka: RealKafka, prefix: str
) -> None:
    topic = f"{prefix}in"
    create_topic(kafka, topic, partitions=2)
    for partition in range(2):
        publish(kafka, topic, values(10), partition=partition)
    first, second = Diary([topic]), Diary([topic])

    async def scenario() -> None:
        async with running(app_of(kafka, f"{prefix}g", first)) as app:
            await until(lambda: len(first.records()) == 20, "20 records")
            async with running(app_of(kafka, f"{prefix}g", second)):
                await until(lambda: len(second.records()) == 10, "10 records")
                lost = second.fetches[0].tp
                kept = TP(topic, 1 - lost.partition)
                assert not await first.partitions.commit_fact({lost: 10, kept: 10})
                assert await first.partitions.commit_fact({kept: 10})
                assert not app.crashed

    asyncio.run(scenario())


def test_a_paused_partition_waits_and_loses_nothing(kafka: RealKafka, prefix: str) -> None:
    topic = f"{prefix}in"
    create_topic(kafka, topic, partitions=2)
    diary = Diary([topic])
    paused = TP(topic, 0)

    async def scenario() -> None:
        app = app_of(kafka, f"{prefix}g", diary)
        async with running(app):
            await until(lambda: bool(diary.assignments), "the assignment")
            await until(lambda: len(app.batches.positions()) == 2, "the positions")
            diary.partitions.pause([paused])
            await asyncio.sleep(1.2)  # a fetch may be on its way
            for partition in range(2):
                await asyncio.to_thread(publish, kafka, topic, values(100), partition=partition)
            await until(lambda: len(diary.records()) >= 100, "the other partition")
            assert set(diary.offsets()) == {1}
            diary.partitions.resume([paused])
            await until(lambda: len(diary.records()) == 200, "the paused partition")

    asyncio.run(scenario())

    assert diary.offsets() == {0: list(range(100)), 1: list(range(100))}


def test_the_end_of_an_empty_partition_is_known(broker: Broker, prefix: str) -> None:
    topic = f"{prefix}in"
    create_topic(broker, topic, partitions=2)
    publish(broker, topic, values(7), partition=1)
    diary = Diary([topic])
    ends = {TP(topic, 0): 0, TP(topic, 1): 7}

    async def scenario() -> None:
        app = app_of(broker, f"{prefix}g", diary)
        async with running(app):
            await until(lambda: bool(diary.records()), "a record")
            await until(lambda: offsets_of(diary.partitions.known_ends()) == ends, "the ends")
            first = diary.partitions.known_ends()
            await until(lambda: is_later(diary.partitions.known_ends(), first), "a later answer")
            assert app.batches.positions() == ends

    asyncio.run(scenario())


def offsets_of(ends: Mapping[TP, End]) -> dict[TP, int]:
    return {tp: end.offset for tp, end in ends.items()}


def is_later(ends: Mapping[TP, End], first: Mapping[TP, End]) -> bool:
    return all(end.seen_at_s > first[tp].seen_at_s for tp, end in ends.items())


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_records_are_read(kafka: RealKafka, prefix: str, codec: str) -> None:
    topic = f"{prefix}in"
    create_topic(kafka, topic)
    diary = Diary([topic])

    async def scenario() -> None:
        async with AIOKafkaProducer(
            bootstrap_servers=kafka.bootstrap, compression_type=codec
        ) as producer:
            await producer.send_and_wait(topic, b"squeezed")
        async with running(app_of(kafka, f"{prefix}g", diary)):
            await until(lambda: bool(diary.records()), "the record")

    asyncio.run(scenario())

    assert [record.value for record in diary.records()] == [b"squeezed"]


def test_control_records_are_passed_over_without_a_gap(kafka: RealKafka, prefix: str) -> None:
    topic = f"{prefix}in"
    create_topic(kafka, topic)
    diary = Diary([topic])

    async def scenario() -> None:
        async with AIOKafkaProducer(
            bootstrap_servers=kafka.bootstrap, transactional_id=f"{prefix}t"
        ) as producer:
            for value in values(3):
                async with producer.transaction():
                    await producer.send_and_wait(topic, value)
        async with running(app_of(kafka, f"{prefix}g", diary)):
            await until(lambda: diary.applied_offsets.get(TP(topic, 0)) == 6, "offset 6")

    asyncio.run(scenario())

    assert [record.offset for record in diary.records()] == [0, 2, 4]
    assert diary.fetches[0].start_offset == 0


def test_only_records_of_committed_transactions_are_delivered_and_the_end_is_stable(
    kafka: RealKafka, prefix: str
) -> None:
    topic = f"{prefix}in"
    create_topic(kafka, topic)
    diary = Diary([topic])

    async def scenario() -> None:
        async with transaction(kafka, f"{prefix}first", topic) as first:
            await first.commit_transaction()
        async with transaction(kafka, f"{prefix}second", topic) as second:
            await second.abort_transaction()
        app = app_of(kafka, f"{prefix}g", diary)
        async with transaction(kafka, f"{prefix}third", topic) as third, running(app):
            await until(lambda: diary.applied_offsets.get(TP(topic, 0)) == 4, "the stable end")
            await until(lambda: offsets_of(diary.partitions.known_ends()) == {TP(topic, 0): 4}, "4")
            assert await app.batches.ask_ends([TP(topic, 0)]) == {TP(topic, 0): 4}
            assert await app.batches.end_offsets() == {TP(topic, 0): 4}
            await third.commit_transaction()
            await until(lambda: diary.applied_offsets[TP(topic, 0)] == 6, "the whole")

    asyncio.run(scenario())

    assert [record.offset for record in diary.records()] == [0, 4]
    assert {fetch.end - fetch.next_offset for fetch in diary.fetches} == {0}


@asynccontextmanager
async def transaction(kafka: RealKafka, name: str, topic: str) -> AsyncIterator[AIOKafkaProducer]:
    """Begin a transaction with one record in it."""
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap, transactional_id=name
    ) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, name.encode(), partition=0)
        yield producer


def test_records_deleted_before_they_were_read_are_an_error_in_the_log_not_a_halt(
    kafka: RealKafka, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    topic = f"{prefix}in"
    create_topic(kafka, topic)
    publish(kafka, topic, values(100))
    before, after = Diary([topic]), Diary([topic])

    async def scenario() -> None:
        async with running(app_of(kafka, f"{prefix}g", before)):
            await until(lambda: len(before.records()) == 100, "100 records")
            await before.partitions.commit_fact({TP(topic, 0): 10})
        with KafkaAdminClient(bootstrap_servers=kafka.bootstrap) as admin:
            admin.delete_records({TopicPartition(topic, 0): 60})
        async with running(app_of(kafka, f"{prefix}g", after)):
            await until(lambda: bool(after.records()), "a record")

    with caplog.at_level(logging.ERROR, logger="agents.worker.transport"):
        asyncio.run(scenario())

    assert after.assignments == [{TP(topic, 0): 60}]
    assert after.records()[0].offset == 60
    assert f"Offsets 10 to 59 of {topic}-0 were deleted before they were read" in caplog.text


def test_a_commit_of_a_topic_that_is_gone_does_not_count_for_the_one_made_anew(
    kafka: RealKafka, prefix: str
) -> None:
    topic = f"{prefix}in"
    create_topic(kafka, topic)
    publish(kafka, topic, values(100))
    before, after = Diary([topic]), Diary([topic])

    async def scenario() -> None:
        app = app_of(kafka, f"{prefix}g", before)
        async with running(app):
            await until(lambda: len(before.records()) == 100, "100 records")
            app.topic_watch = None  # it would end the worker
            with KafkaAdminClient(bootstrap_servers=kafka.bootstrap) as admin:
                admin.delete_topics([topic])
                await until(lambda: topic not in admin.list_topics(), "no topic")
            create_topic(kafka, topic)
            publish(kafka, topic, values(80))
            assert await before.partitions.commit_fact({TP(topic, 0): 60})
        async with running(app_of(kafka, f"{prefix}g", after)) as app:
            await until(lambda: len(after.records()) == 80, "all 80 records")
            assert await app.batches.progress([topic]) == {TP(topic, 0): 0}

    asyncio.run(scenario())

    assert after.assignments == [{TP(topic, 0): 0}]


def test_a_record_of_the_largest_size_is_delivered(kafka: RealKafka, prefix: str) -> None:
    topic = f"{prefix}in"
    create_topic(kafka, topic, config={"max.message.bytes": str(5 << 20)})
    diary = Diary([topic])
    large = bytes(4 << 20)

    async def scenario() -> None:
        await asyncio.to_thread(publish, kafka, topic, [large, b"next"])
        async with running(app_of(kafka, f"{prefix}g", diary)):
            await until(lambda: len(diary.records()) == 2, "both records")

    asyncio.run(scenario())

    assert [len(record.value or b"") for record in diary.records()] == [4 << 20, 4]


def test_a_slow_hop_holds_back_the_fetching(kafka: RealKafka, prefix: str) -> None:
    topic = f"{prefix}in"
    create_topic(kafka, topic)
    release = asyncio.Event()

    class Slow(Diary):
        async def on_fetch(self, fetch: Fetch) -> None:
            await release.wait()
            await super().on_fetch(fetch)

    slow = Slow([topic])
    total = 40 * RECORDS_PER_FETCH

    async def scenario() -> None:
        await asyncio.to_thread(flood, kafka, topic, total)
        app = app_of(kafka, f"{prefix}g", slow)
        async with running(app):
            await until(lambda: bool(app.batches.positions().get(TP(topic, 0))), "a fetch")
            await asyncio.sleep(2.0)
            held_back = app.batches.positions()[TP(topic, 0)]
            release.set()
            await until(lambda: len(slow.records()) == total, "all records")
            assert held_back < total / 2

    asyncio.run(scenario())

    assert slow.offsets() == {0: list(range(total))}


def flood(broker: Broker, topic: str, count: int) -> None:
    producer = KafkaProducer(
        bootstrap_servers=broker.bootstrap, enable_idempotence=False, linger_ms=20
    )
    for value in values(count):
        producer.send(topic, value, partition=0)
    producer.flush()
    producer.close()


async def test_who_asks_a_consumer_that_has_stopped_is_refused(
    embedded: Broker, prefix: str
) -> None:
    topic = f"{prefix}in"
    create_topic(embedded, topic)
    diary = Diary([topic])

    async with running(app_of(embedded, f"{prefix}g", diary)) as app:
        await until(lambda: bool(diary.assignments), "an assignment")
        assert await app.batches.progress([topic]) == {TP(topic, 0): 0}

    with pytest.raises(KafkaError, match="is stopping"):
        await app.batches.progress([topic])
    with pytest.raises(KafkaError, match="is stopping"):
        await app.batches.ask_ends([TP(topic, 0)])
