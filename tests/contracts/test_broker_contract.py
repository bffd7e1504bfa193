"""What a broker must do for Tidegauge to stand on it, and where the embedded one falls short."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as AioPartition
from aiokafka.errors import KafkaError as AioKafkaError
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import MessageSizeTooLargeError, TopicAlreadyExistsError

from agents.demo.embedded_broker import EmbeddedBroker
from schemas.topics import MAX_RECORD_BYTES, Topics
from tests.broker import Broker, create_topic, publish, read_to_end
from tests.kafka import RealKafka
from tests.patience import promptly


def admin_of(broker: Broker) -> KafkaAdminClient:
    return KafkaAdminClient(bootstrap_servers=broker.bootstrap)


def group_consumer(broker: Broker, topic: str, group: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        topic,
        bootstrap_servers=broker.bootstrap,
        group_id=group,
        session_timeout_ms=6_000,
        heartbeat_interval_ms=2_000,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )


def test_the_whole_table_of_topics_can_be_created(broker: Broker, prefix: str) -> None:
    names = Topics(prefix, f"{prefix}predictions", f"{prefix}outcomes", f"{prefix}models")
    topics = names.table()

    with admin_of(broker) as admin:
        admin.create_topics(
            [
                NewTopic(each.name, each.partitions, 1, topic_configs=each.config())
                for each in topics
            ]
        )
        created = {each["name"]: each for each in admin.describe_topics([t.name for t in topics])}

    for each in topics:
        assert len(created[each.name]["partitions"]) == each.partitions


def test_a_topic_keeps_the_settings_it_was_created_with(broker: Broker, prefix: str) -> None:
    config = {"cleanup.policy": "compact", "max.message.bytes": "4194304"}
    create_topic(broker, f"{prefix}set", config=config)

    resource = ConfigResource(ConfigResourceType.TOPIC, f"{prefix}set")
    with admin_of(broker) as admin:
        told = admin.describe_configs([resource], config_filter="all")["topic"][f"{prefix}set"]

    assert {name: told[name]["value"] for name in config} == config


def test_a_topic_that_exists_is_not_created_again(broker: Broker, prefix: str) -> None:
    create_topic(broker, f"{prefix}once")

    with admin_of(broker) as admin, pytest.raises(TopicAlreadyExistsError):
        admin.create_topics([NewTopic(f"{prefix}once", 1, 1)])


def test_records_come_back_in_order_with_their_keys(broker: Broker, prefix: str) -> None:
    create_topic(broker, f"{prefix}echo", partitions=2)

    publish(broker, f"{prefix}echo", [b"a", b"b"], partition=1, key=b"k")
    publish(broker, f"{prefix}echo", [b"c"], partition=0)

    records = read_to_end(broker, f"{prefix}echo")
    assert [(each.partition, each.offset, each.key, each.value) for each in records] == [
        (0, 0, None, b"c"),
        (1, 0, b"k", b"a"),
        (1, 1, b"k", b"b"),
    ]


async def test_a_batch_built_by_aiokafka_keeps_its_timestamps(broker: Broker, prefix: str) -> None:
    create_topic(broker, f"{prefix}batch")
    timestamps_ms = [1_700_000_000_000, 1_600_000_000_000]

    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
        batch = producer.create_batch()
        for timestamp_ms in timestamps_ms:
            batch.append(key=b"k", value=b"v", timestamp=timestamp_ms)
        await (await producer.send_batch(batch, f"{prefix}batch", partition=0))

    assert [each.timestamp_ms for each in read_to_end(broker, f"{prefix}batch")] == timestamps_ms


def test_the_high_watermark_of_a_fetch_is_the_end_of_the_log(broker: Broker, prefix: str) -> None:
    create_topic(broker, f"{prefix}end")
    publish(broker, f"{prefix}end", [b"x"] * 100)

    assert len(read_to_end(broker, f"{prefix}end")) == 100


def test_an_empty_partition_has_a_high_watermark_too(broker: Broker, prefix: str) -> None:
    create_topic(broker, f"{prefix}empty", partitions=3)

    assert read_to_end(broker, f"{prefix}empty") == []


async def test_a_new_group_has_its_partitions_within_ten_seconds(
    broker: Broker, prefix: str
) -> None:
    create_topic(broker, f"{prefix}join")
    publish(broker, f"{prefix}join", [b"x"])

    async with group_consumer(broker, f"{prefix}join", f"{prefix}group") as consumer:
        record = await asyncio.wait_for(consumer.getone(), timeout=promptly(10.0))

    assert record.value == b"x"


async def test_committed_offsets_outlive_the_connection(broker: Broker, prefix: str) -> None:
    topic = f"{prefix}commit"
    create_topic(broker, topic)
    publish(broker, topic, [b"a", b"b", b"c"])

    async with group_consumer(broker, topic, f"{prefix}group") as consumer:
        await asyncio.wait_for(consumer.getone(), timeout=promptly(10.0))
        await consumer.commit({AioPartition(topic, 0): 2})

    reader = KafkaConsumer(
        bootstrap_servers=broker.bootstrap, group_id=f"{prefix}group", enable_auto_commit=False
    )
    try:
        assert reader.committed(TopicPartition(topic, 0)) == 2
    finally:
        reader.close()


def test_the_largest_record_that_the_table_allows_goes_through(broker: Broker, prefix: str) -> None:
    topic = f"{prefix}large"
    create_topic(broker, topic, config={"max.message.bytes": str(MAX_RECORD_BYTES)})
    largest = MAX_RECORD_BYTES - 100  # the heads of the batch and of the record

    publish(broker, topic, [b"x" * largest])

    assert [len(each.value or b"") for each in read_to_end(broker, topic)] == [largest]


class TestApacheKafkaAlone:
    """What is promised on Apache Kafka and not on the embedded broker."""

    async def test_an_idempotent_producer_of_aiokafka_works(
        self, kafka: RealKafka, prefix: str
    ) -> None:
        create_topic(kafka, f"{prefix}idempotent")

        async with AIOKafkaProducer(
            bootstrap_servers=kafka.bootstrap, enable_idempotence=True
        ) as producer:
            sent = await producer.send_and_wait(f"{prefix}idempotent", b"x", partition=0)

        assert sent.offset == 0

    def test_a_record_above_the_limit_of_its_topic_is_refused(
        self, kafka: RealKafka, prefix: str
    ) -> None:
        create_topic(kafka, f"{prefix}limit", config={"max.message.bytes": "10000"})

        with pytest.raises(MessageSizeTooLargeError):
            publish(kafka, f"{prefix}limit", [b"x" * 20_000])

    def test_end_offsets_are_exact(self, kafka: RealKafka, prefix: str) -> None:
        assert end_offset_after_one_batch(kafka, f"{prefix}exact") == 3

    async def test_who_joins_after_a_member_left_need_not_wait(
        self, kafka: RealKafka, prefix: str
    ) -> None:
        create_topic(kafka, f"{prefix}leave")
        publish(kafka, f"{prefix}leave", [b"x"])

        for _ in range(2):
            async with group_consumer(kafka, f"{prefix}leave", f"{prefix}group") as consumer:
                await asyncio.wait_for(consumer.getone(), timeout=promptly(5.0))

    def test_a_killed_node_comes_back_with_its_log(self, prefix: str, kafka: RealKafka) -> None:
        create_topic(kafka, f"{prefix}crash")
        publish(kafka, f"{prefix}crash", [b"a", b"b"])

        kafka.restart()

        assert [each.value for each in read_to_end(kafka, f"{prefix}crash")] == [b"a", b"b"]


class TestLimitsOfTheEmbeddedBroker:
    """Each limit the code works around; one that fails here has been lifted, and so can we."""

    async def test_it_has_no_idempotent_producer_for_aiokafka(
        self, embedded: EmbeddedBroker
    ) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=embedded.bootstrap, enable_idempotence=True, request_timeout_ms=3_000
        )

        try:
            with pytest.raises(AioKafkaError):
                await producer.start()
        finally:
            await producer.stop()

    def test_its_end_offset_is_one_past_the_start_of_the_last_batch(
        self, embedded: EmbeddedBroker, prefix: str
    ) -> None:
        assert end_offset_after_one_batch(embedded, f"{prefix}lag") == 1

    def test_it_takes_a_record_above_the_limit_of_its_topic(
        self, embedded: EmbeddedBroker, prefix: str
    ) -> None:
        create_topic(embedded, f"{prefix}limit", config={"max.message.bytes": "10000"})

        publish(embedded, f"{prefix}limit", [b"x" * 20_000])

        assert len(read_to_end(embedded, f"{prefix}limit")) == 1

    def test_it_makes_a_topic_of_any_name_it_is_asked_for(
        self, embedded: EmbeddedBroker, prefix: str
    ) -> None:
        publish(embedded, f"{prefix}misspelt", [b"x"])

        assert len(read_to_end(embedded, f"{prefix}misspelt")) == 1


def end_offset_after_one_batch(broker: Broker, topic: str) -> int:
    create_topic(broker, topic)

    async def send_one_batch() -> None:
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
            batch = producer.create_batch()
            for _ in range(3):
                batch.append(key=None, value=b"x", timestamp=None)
            await (await producer.send_batch(batch, topic, partition=0))

    asyncio.run(send_one_batch())
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap)
    try:
        end: int = consumer.end_offsets([TopicPartition(topic, 0)])[TopicPartition(topic, 0)]
    finally:
        consumer.close()
    return end
