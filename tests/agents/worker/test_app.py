from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from agents.demo.embedded_broker import free_port
from tests.broker import Broker, create_topic, publish, read_to_end
from tests.kafka import RealKafka
from tests.patience import PATIENCE_S, promptly

PARTITIONS = 3
ODD = "tests.agents.odd_workers"


@contextmanager
def process(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    worker = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield worker
    finally:
        worker.kill()
        worker.communicate()


def committed(broker: Broker, group: str, topic: str, partition: int = 0) -> int | None:
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, group_id=group)
    try:
        offset: int | None = consumer.committed(TopicPartition(topic, partition))
        return offset
    finally:
        consumer.close()


class Flow:
    """Numbered records, round-robin over the partitions of a topic."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self._topic = topic
        self._producer = KafkaProducer(bootstrap_servers=broker.bootstrap, enable_idempotence=False)
        self.sent = 0

    def run(self, seconds: float) -> None:
        """Send 500 records a second."""
        for _ in range(int(seconds * 50)):
            for _ in range(10):
                self._producer.send(
                    self._topic, b"%d" % self.sent, partition=self.sent % PARTITIONS
                )
                self.sent += 1
            time.sleep(0.02)

    def close(self) -> None:
        self._producer.flush()
        self._producer.close()


def copies(broker: Broker, topic: str) -> dict[int, list[int]]:
    """The source offsets in the echo's output, by source partition, in the order they were written.

    The echo writes one source record under one key, so a source record is in one output partition.
    """
    written: defaultdict[int, list[int]] = defaultdict(list)
    for record in read_to_end(broker, topic):
        assert record.key is not None
        partition, offset = record.key.split(b":")
        written[int(partition)].append(int(offset))
    return dict(written)


def wait_for_output(broker: Broker, topic: str, count: int) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while len({record.key for record in read_to_end(broker, topic)}) < count:
        assert time.monotonic() < deadline_s, "the output is incomplete"
        time.sleep(0.2)


def test_nothing_is_skipped_or_repeated_when_workers_join_and_leave(
    kafka: RealKafka, prefix: str
) -> None:
    source, target, group = f"{prefix}in", f"{prefix}out", f"{prefix}g"
    create_topic(kafka, source, partitions=PARTITIONS)
    create_topic(kafka, target)
    arguments = ("tests.agents.echo", kafka.bootstrap, group, source, target)
    flow = Flow(kafka, source)

    with process(*arguments) as first:
        flow.run(4)
        with process(*arguments) as second:
            flow.run(6)
            first.send_signal(signal.SIGTERM)
            flow.run(4)
            assert first.wait(PATIENCE_S) == os.EX_OK
            flow.close()
            wait_for_output(kafka, target, flow.sent)
            second.send_signal(signal.SIGTERM)
            assert second.wait(PATIENCE_S) == os.EX_OK

    assert copies(kafka, target) == {
        partition: list(range(len(range(partition, flow.sent, PARTITIONS))))
        for partition in range(PARTITIONS)
    }


def test_after_a_kill_the_next_worker_goes_on_at_the_commit_and_leaves_no_hole(
    kafka: RealKafka, prefix: str
) -> None:
    source, target, group = f"{prefix}in", f"{prefix}out", f"{prefix}g"
    create_topic(kafka, source, partitions=PARTITIONS)
    create_topic(kafka, target)
    arguments = ("tests.agents.echo", kafka.bootstrap, group, source, target)
    flow = Flow(kafka, source)

    with process(*arguments) as first:
        flow.run(1)
        wait_for_output(kafka, target, flow.sent)
        flow.run(2)
        first.kill()
        first.wait()
    resumed_at = {
        partition: committed(kafka, group, source, partition) for partition in range(PARTITIONS)
    }
    written_before = {
        partition: len(offsets) for partition, offsets in copies(kafka, target).items()
    }
    flow.run(1)
    flow.close()
    with process(*arguments):
        wait_for_output(kafka, target, flow.sent)

    for partition, offsets in copies(kafka, target).items():
        first_copies = list(dict.fromkeys(offsets))
        assert first_copies == list(range(len(range(partition, flow.sent, PARTITIONS))))
        assert min(offsets[written_before[partition] :]) >= (resumed_at[partition] or 0) > 0


@pytest.mark.parametrize("kind", ["Refusing", "RefusingBeside", "RefusingRestore"])
def test_a_worker_error_ends_the_process_with_one_sentence(
    kafka: RealKafka, prefix: str, kind: str
) -> None:
    topic, group = f"{prefix}in", f"{prefix}g"
    create_topic(kafka, topic)
    publish(kafka, topic, [b"x"])

    with process(ODD, kind, kafka.bootstrap, group, topic) as worker:
        _, errors = worker.communicate(timeout=PATIENCE_S)

    assert worker.returncode == os.EX_SOFTWARE
    last = json.loads(errors.splitlines()[-1])
    assert (last["level"], last["logger"]) == ("critical", "agents.worker.exit")
    assert "Traceback" not in errors


@pytest.mark.parametrize("kind", ["Mistaken", "MistakenAndEager"])
def test_a_mistake_of_ours_ends_the_process_loudly_and_commits_nothing(
    kafka: RealKafka, prefix: str, kind: str
) -> None:
    topic, group = f"{prefix}in", f"{prefix}g"
    create_topic(kafka, topic)
    publish(kafka, topic, [b"x"])

    with process(ODD, kind, kafka.bootstrap, group, topic) as worker:
        _, errors = worker.communicate(timeout=PATIENCE_S)

    assert worker.returncode == os.EX_SOFTWARE
    assert "ZeroDivisionError: a mistake of ours" in errors
    assert committed(kafka, group, topic) is None


def test_a_hop_that_stands_still_while_its_log_grows_ends_the_process(
    kafka: RealKafka, prefix: str
) -> None:
    topic, group = f"{prefix}in", f"{prefix}g"
    create_topic(kafka, topic)
    publish(kafka, topic, [b"x"])

    with process(ODD, "Stuck", kafka.bootstrap, group, topic) as worker:
        _, errors = worker.communicate(timeout=PATIENCE_S)

    assert worker.returncode == os.EX_TEMPFAIL
    assert f"{topic}-0 has stood at offset 0" in errors.splitlines()[-1]


def test_a_worker_that_is_stuck_in_a_library_ends_and_says_where(
    kafka: RealKafka, prefix: str
) -> None:
    topic, group = f"{prefix}in", f"{prefix}g"
    create_topic(kafka, topic)
    publish(kafka, topic, [b"x"])

    with process(ODD, "StuckInALibrary", kafka.bootstrap, group, topic) as worker:
        _, errors = worker.communicate(timeout=PATIENCE_S)

    assert worker.returncode == 1
    assert "Timeout" in errors
    assert "odd_workers.py" in errors
    assert "in on_fetch" in errors


@pytest.mark.parametrize("agent", ["WithoutItsThread", "WithoutItsGroup"])
def test_a_worker_that_has_lost_its_connection_ends(
    kafka: RealKafka, prefix: str, agent: str
) -> None:
    topic, group = f"{prefix}in", f"{prefix}g"
    create_topic(kafka, topic)
    publish(kafka, topic, [b"x"])

    with process(ODD, agent, kafka.bootstrap, group, topic) as worker:
        _, errors = worker.communicate(timeout=PATIENCE_S)

    assert worker.returncode == os.EX_TEMPFAIL
    assert "the connection to Kafka has ended" in errors


def test_a_worker_whose_thread_does_not_end_ends_all_the_same(
    kafka: RealKafka, prefix: str
) -> None:
    topic, group = f"{prefix}in", f"{prefix}g"
    create_topic(kafka, topic)
    publish(kafka, topic, [b"x"])

    with process(ODD, "WaitingForItsThread", kafka.bootstrap, group, topic) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        worker.send_signal(signal.SIGTERM)
        _, errors = worker.communicate(timeout=PATIENCE_S)

    assert worker.returncode == os.EX_TEMPFAIL
    assert "did not stop within 5 s" in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_hop_commit_and_ends_the_process_in_order(
    kafka: RealKafka, prefix: str, number: signal.Signals
) -> None:
    topic, group = f"{prefix}in", f"{prefix}g"
    create_topic(kafka, topic)
    publish(kafka, topic, [b"x", b"y"])

    with process(ODD, "Orderly", kafka.bootstrap, group, topic) as worker:
        assert worker.stdout is not None
        taken = worker.stdout.readline()
        worker.send_signal(number)
        _, errors = worker.communicate(timeout=PATIENCE_S)

    assert (worker.returncode, errors) == (os.EX_OK, "")
    assert f"taken {committed(kafka, group, topic)}\n" == taken


def test_a_flush_that_fails_at_the_end_is_not_a_stop_in_order(
    kafka: RealKafka, prefix: str
) -> None:
    topic, group = f"{prefix}in", f"{prefix}g"
    create_topic(kafka, topic)
    publish(kafka, topic, [b"x"])

    with process(ODD, "FailingToStop", kafka.bootstrap, group, topic) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        worker.send_signal(signal.SIGTERM)
        _, errors = worker.communicate(timeout=PATIENCE_S)

    assert worker.returncode == os.EX_SOFTWARE
    (event,) = map(json.loads, errors.splitlines())
    assert (event["level"], event["message"]) == (
        "critical",
        "The last snapshot could not be written",
    )


def test_a_worker_that_still_looks_for_its_broker_stops_at_once() -> None:
    nowhere = f"127.0.0.1:{free_port()}"

    with process(ODD, "Orderly", nowhere, "g", "t") as worker:
        assert worker.stderr is not None
        while "does not answer yet" not in worker.stderr.readline():
            pass
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(promptly(5)) == os.EX_OK


def test_a_broker_that_does_not_answer_is_one_sentence() -> None:
    nowhere = f"127.0.0.1:{free_port()}"

    with process(ODD, "Orderly", nowhere, "g", "t") as worker:
        _, errors = worker.communicate(timeout=PATIENCE_S)

    assert worker.returncode == os.EX_UNAVAILABLE
    assert f"Kafka at {nowhere} does not answer" in errors.splitlines()[-1]
    assert "Traceback" not in errors


def test_a_missing_topic_is_one_sentence_that_names_the_remedy(broker: Broker, prefix: str) -> None:
    with process(ODD, "Orderly", broker.bootstrap, f"{prefix}g", f"{prefix}in") as worker:
        _, errors = worker.communicate(timeout=PATIENCE_S)

    assert worker.returncode == os.EX_CONFIG
    assert f"{prefix}in: no such topic" in errors.splitlines()[-1]
    assert "./tidegauge topics create" in errors.splitlines()[-1]
    assert "Traceback" not in errors
