"""What the transport, the app and the publisher take for granted of the pinned packages.

These names are private. A new version may change any of them without a word: then a test here
fails, and says which version everything was written for.
"""

from __future__ import annotations

import asyncio
import inspect
from importlib.metadata import version
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.subscription_state import Assignment, SubscriptionState, TopicPartitionState
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator, MessageBatch
from aiokafka.producer.sender import Sender, SendProduceReqHandler
from faust import streams
from faust.app.base import App, BootStrategy
from faust.tables import recovery
from faust.transport import conductor
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from mode.services import Service
from mode.supervisors import CrashingSupervisor
from mode.threads import QueueServiceThread, ServiceThread

from tests.agents.running import Diary, app_of, running, until
from tests.broker import create_topic, publish
from tests.kafka import RealKafka

PINNED = {"faust-streaming": "0.15.3", "mode-streaming": "0.7.1", "aiokafka": "0.14.0"}


def source_of(thing: Any) -> str:
    return inspect.getsource(thing)


def expect(holds: object, what: str) -> None:
    """Fail with the advice that whoever raises a pin needs."""
    if not holds:
        pytest.fail(
            f"{what}: no longer so. agents/worker/transport.py was written for "
            f"{', '.join(f'{name} {pin}' for name, pin in PINNED.items())}; read what changed, "
            "adapt it, and only then raise the pin."
        )


@pytest.mark.parametrize("name", PINNED)
def test_the_installed_version_is_the_pinned_one(name: str) -> None:
    expect(version(name) == PINNED[name], f"{name} is {PINNED[name]} (found {version(name)})")


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (
            driver.Consumer,
            "getmany perform_seek on_partitions_revoked on_buffer_drop resume_partitions "
            "pause_partitions assignment highwaters _new_consumer_thread _get_active_partitions "
            "verify_all_partitions_active",
        ),
        (
            driver.AIOKafkaConsumerThread,
            "_create_worker_consumer _ensure_consumer call_thread assignment __post_init__ "
            "on_thread_stop",
        ),
        (driver.Transport, "Consumer create_consumer"),
        (Fetcher, "fetched_records _create_fetch_waiter"),
        (SubscriptionState, "fetch_context reassignment_in_progress subscription"),
        (Assignment, "state_value"),
        (TopicPartitionState, "has_valid_position position"),
        (Sender, "sender_task"),
        (BatchBuilder, "append"),
        (App, "_create_directories on_start on_shutdown wait_until_stopped flow_control"),
        (BootStrategy, "enable_kafka_producer enable_web"),
    ],
)
def test_what_is_overridden_or_called_exists(owner: type, names: str) -> None:
    for name in names.split():
        expect(hasattr(owner, name), f"{owner.__name__}.{name} exists")


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (AIOKafkaConsumer, "_fetcher"),
        (AIOKafkaConsumer, "_coordinator"),
        (AIOKafkaConsumer, "_closed"),
        (AIOKafkaConsumer, "_max_poll_records"),
        (AIOKafkaConsumer, "_subscription"),
        (Fetcher, "_subscriptions"),
        (Fetcher, "_closed"),
        (TopicPartitionState, "highwater"),
        (TopicPartitionState, "lso"),
        (AIOKafkaProducer, "_closed"),
        (AIOKafkaProducer, "_sender"),
        (AIOKafkaProducer, "client"),
        (ServiceThread, "_thread"),
        (ServiceThread, "thread_loop"),
        (Service, "_crashed"),
        (faust_consumer.Consumer, "_read_offset"),
        (faust_consumer.Consumer, "flow_active"),
        (faust_consumer.Consumer, "can_resume_flow"),
    ],
)
def test_what_is_read_is_an_attribute_there(owner: type, name: str) -> None:
    expect(f"self.{name}" in source_of(owner), f"{owner.__name__} keeps {name}")


def test_faust_drains_messages_out_of_getmany_alone() -> None:
    source = source_of(faust_consumer.Consumer._drain_messages)

    expect("getmany(timeout=1.0)" in source, "the fetcher reads by getmany(timeout=1.0)")
    expect("offset >= r_offset" in source, "what is below _read_offset is dropped")


def test_streams_resume_in_the_order_restore_seek_flow() -> None:
    source = source_of(recovery.Recovery._resume_streams)
    order = [
        source.index(step)
        for step in ("on_rebalance_complete.send", "perform_seek()", "consumer.resume_flow()")
    ]

    expect(order == sorted(order), "on_rebalance_complete comes before seek, seek before flow")
    expect(
        "except RebalanceAgain" in source_of(recovery.Recovery._restart_recovery.fun),
        "RebalanceAgain makes Faust wait for the next assignment",
    )


def test_the_generation_is_set_at_the_assignment() -> None:
    source = source_of(driver.ConsumerRebalanceListener.on_partitions_assigned)

    expect("app.consumer_generation_id = generation" in source, "the assignment sets it")
    message = ConsumerMessage("t", 0, 1, 0.0, 0, [], None, None, None, generation_id=7)
    expect(message.generation_id == 7, "a message carries the generation it is given")


def test_shutdown_is_announced_while_the_consumer_can_still_commit() -> None:
    source = source_of(App.on_stop)

    expect(
        source.index("_stop_consumer()") < source.index("on_before_shutdown.send()"),
        "on_before_shutdown comes after the fetcher stopped",
    )
    expect(
        "_thread" not in source_of(App._stop_consumer),
        "the consumer's thread still lives at on_before_shutdown",
    )


def test_streams_and_conductor_are_the_compiled_ones() -> None:
    # The pure-Python stream iterator acknowledges events of an older generation.
    expect(vars(streams)["_CStreamIterator"], "the stream iterator is compiled")
    expect(vars(conductor)["ConductorHandler"], "the conductor is compiled")


def test_an_idempotent_batch_never_expires() -> None:
    source = source_of(SendProduceReqHandler._can_retry)

    expect("_txn_manager is None and batch.expired()" in source, "only others expire")


def test_a_cancelled_sender_waits_for_its_requests() -> None:
    expect("await task" in source_of(Sender._sender_routine), "a second cancel reaches them")
    expect(hasattr(MessageAccumulator, "add_batch"), "a batch goes in by add_batch")
    expect(hasattr(MessageBatch, "expired"), "a batch knows whether it expired")


def test_a_crashing_supervisor_does_not_restart() -> None:
    source = source_of(CrashingSupervisor)

    expect("restart" not in source, "it restarts nothing")


def test_calls_into_the_thread_return_their_result_and_their_error() -> None:
    source = source_of(QueueServiceThread.call_thread)

    expect("await promise" in source, "call_thread waits for the result")


def test_seek_to_committed_does_not_seek_without_a_commit() -> None:
    # The reason for rule 2: were this mended, a plain seek_to_committed would do.
    source = source_of(AIOKafkaConsumer.seek_to_committed)

    expect("if offset and offset > 0:" in source, "it passes over partitions without a commit")


async def test_topics_without_acks_keep_no_gaps_and_are_never_committed_by_faust(
    kafka: RealKafka, prefix: str
) -> None:
    topic = f"{prefix}in"
    create_topic(kafka, topic)
    publish(kafka, topic, [b"x"] * 50)
    diary = Diary([topic])

    async with running(app_of(kafka, f"{prefix}g", diary)) as app:
        await until(lambda: len(diary.records()) == 50, "50 records")
        consumer = app.batches
        expect(not app.topics.acks_enabled_for(topic), "acks=False turns acknowledgement off")
        await consumer.commit()
        expect(not consumer._gap and not consumer._acked, "no gaps and no acks are kept")
        expect(not consumer.unacked, "no message waits for an acknowledgement")
        committed = await consumer._thread.call_thread(
            consumer._thread._ensure_consumer().committed, TopicPartition(topic, 0)
        )
        expect(committed is None, "Faust commits nothing")


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_stop_survives_the_fetch_that_it_cancels(kafka: RealKafka, prefix: str) -> None:
    topic = f"{prefix}in"
    create_topic(kafka, topic)
    expect("await x" in source_of(Fetcher.close), "a stop awaits the fetches that it cancels")

    async with running(app_of(kafka, f"{prefix}g", Diary([topic]))) as app:
        thread = app.batches._thread

        async def wait_to_fetch_again() -> None:
            waiting = asyncio.create_task(asyncio.sleep(60))
            thread._ensure_consumer()._fetcher._pending_tasks.add(waiting)

        await thread.call_thread(wait_to_fetch_again)


@pytest.mark.parametrize("expected", [0, 20])
async def test_a_take_mends_a_position_that_an_older_fetch_left_behind(
    kafka: RealKafka, prefix: str, expected: int
) -> None:
    topic = f"{prefix}in"
    create_topic(kafka, topic)
    publish(kafka, topic, [b"%d" % n for n in range(50)])
    diary = Diary([topic])

    async with running(app_of(kafka, f"{prefix}g", diary)) as app:
        await until(lambda: len(diary.records()) == 50, "50 records")
        thread = app.batches._thread
        fetches = {}
        for _ in range(30):  # the first takes seek, and wait for what the seek brings
            fetches = await thread.call_thread(thread.take, {TP(topic, 0): expected}, 1.0)
            if fetches:
                break

    fetch = fetches[TP(topic, 0)]
    assert fetch.start_offset == expected
    assert [record.offset for record in fetch.records] == list(range(expected, 50))


def test_importing_and_building_starts_nothing(prefix: str) -> None:
    class Nowhere:
        bootstrap = "127.0.0.1:1"

    app = app_of(Nowhere(), f"{prefix}g", Diary(["t"]))

    assert not app.started
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
