"""A deployment of Tidegauge seen from outside: topics, and workers that are real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson
from confluent_kafka import KafkaError, Message, Producer
from kafka import KafkaConsumer, TopicPartition

from agents.demo.child import log_tail, start_child, stop_child
from agents.kafka.topics import create_topics
from agents.settings import PREFIX, Settings, load_settings
from schemas.event import EventKind
from schemas.topics import TopicRole, Topics
from tests.broker import Broker, Record
from tests.broker.services import Sent
from tests.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
WORKER = (str(ROOT / "tidegauge"), "worker")
IN_ORDER_IDLE_S = "5"
"""However slow a busy machine is to fetch, events are in order, and what has changed is found."""
NOW = 0
"""As a record's timestamp, to librdkafka: the clock's."""


def command(
    *arguments: str, env: Mapping[str, str] | None = None, within_s: float = PATIENCE_S
) -> subprocess.CompletedProcess[str]:
    """Run ``./tidegauge ARGUMENTS`` to its end."""
    return subprocess.run(
        [str(ROOT / "tidegauge"), *arguments],
        capture_output=True,
        text=True,
        env=clean_environment() | dict(env or {}),
        timeout=within_s,
        check=False,
    )


def clean_environment() -> dict[str, str]:
    """Return this process's environment without anybody's settings of Tidegauge."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


def until(
    condition: Callable[[], bool], what: Callable[[], str], *, within_s: float = PATIENCE_S
) -> None:
    """Return once ``condition`` holds."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise AssertionError(f"waited {within_s:.0f} s in vain for {what()}")
        time.sleep(0.02)


class Worker:
    """One ``./tidegauge worker``.

    Parameters
    ----------
    env
        Its settings.
    log_path
        Receives its log. Workers that share one append to it.
    command
        What runs it.
    """

    def __init__(
        self, env: Mapping[str, str], log_path: Path, command: Sequence[str] = WORKER
    ) -> None:
        self.log_path = log_path
        self._log_begins = log_path.stat().st_size if log_path.exists() else 0
        self.process = start_child(
            command,
            log_path=log_path,
            env=clean_environment() | dict(env),
            cwd=ROOT,
        )

    def log(self) -> str:
        """Return what it has said so far."""
        with self.log_path.open("rb") as log:
            log.seek(self._log_begins)
            return log.read().decode()

    def entries(self) -> list[dict[str, Any]]:
        """Return its log as the JSON it must be; a half-written last line is left out."""
        return [orjson.loads(line) for line in self.log().splitlines(keepends=True) if "\n" in line]

    def messages(self) -> list[str]:
        """Return the sentences of its log."""
        return [entry["message"] for entry in self.entries()]

    def says(self, start: str) -> bool:
        """Tell whether a sentence of its log begins with ``start``."""
        return any(message.startswith(start) for message in self.messages())

    def check(self) -> None:
        """Fail when it has ended."""
        if (exit_code := self.process.poll()) is not None:
            raise AssertionError(f"a worker ended with {exit_code}:\n{log_tail(self.log_path)}")

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        """Ask it to end; return its exit code."""
        return self._ask(signal.SIGTERM)

    def interrupt(self) -> int:
        """Press Ctrl-C; return its exit code."""
        return self._ask(signal.SIGINT)

    def wait(self, within_s: float = PATIENCE_S) -> int:
        """Return its exit code once it has ended by itself."""
        return self.process.wait(within_s)

    def _ask(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


class Outputs:
    """Reads topics from their beginning on, and keeps what it has read.

    Parameters
    ----------
    settings
        Whose topics.
    roles
        Which of them.
    """

    def __init__(self, settings: Settings, roles: Sequence[TopicRole]) -> None:
        self._role_of = {settings.topics.name(role): role for role in roles}
        self.records: dict[TopicRole, list[Record]] = {role: [] for role in roles}
        self._consumer = KafkaConsumer(
            bootstrap_servers=settings.brokers, enable_auto_commit=False, fetch_max_wait_ms=50
        )
        partitions = [
            TopicPartition(topic, n)
            for topic in self._role_of
            for n in self._consumer.partitions_for_topic(topic)
        ]
        self._consumer.assign(partitions)
        self._consumer.seek_to_beginning(*partitions)

    def catch_up(self) -> None:
        """Read until nothing more comes."""
        while self.poll():
            pass

    def poll(self) -> int:
        """Read what there is; return how many records that was."""
        polled = self._consumer.poll(100, max_records=5_000)
        for tp, fetched in polled.items():
            self.records[self._role_of[tp.topic]].extend(
                Record(each.partition, each.offset, each.timestamp, each.key, each.value)
                for each in fetched
            )
        return sum(map(len, polled.values()))

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def of(self, role: TopicRole) -> list[dict[str, Any]]:
        """Return the events of one topic, each id once."""
        name = ID_OF[role]
        events = (orjson.loads(record.value or b"") for record in self.records[role])
        return list({event[name]: event for event in events}.values())

    def count(self, role: TopicRole) -> int:
        """Return how many different events of one topic there are."""
        return len(self.of(role))


ID_OF: Mapping[TopicRole, str] = {
    topic.role: topic.id_field for topic in Topics().table() if topic.id_field is not None
}


class Deployment:
    """Topics of its own, and the workers and readers that are started on them.

    Parameters
    ----------
    broker
        Where.
    prefix
        What the names of topics and groups begin with.
    folder
        For logs.
    settings
        Settings of every worker, over those of a test.
    """

    def __init__(self, broker: Broker, prefix: str, folder: Path, **settings: str) -> None:
        told = {
            "broker": broker.bootstrap,
            "prefix": prefix,
            "predictions": f"{prefix}predictions",
            "outcomes": f"{prefix}outcomes",
            "models": f"{prefix}models",
            "group": f"{prefix}group",
            "session_timeout_s": "6",
        } | settings
        self.broker = broker
        self.settings = load_settings(**told)
        self.env = {f"{PREFIX}{name.upper()}": value for name, value in told.items()}
        self.log_path = folder / "worker.log"
        self._workers: list[Worker] = []
        self._outputs: list[Outputs] = []

    def create_topics(self) -> Self:
        """Create the topics."""
        with ThreadPoolExecutor(1) as pool:  # a test may have a loop of its own
            pool.submit(asyncio.run, create_topics(self.settings)).result()
        return self

    def start_worker(self, *, command: Sequence[str] = WORKER, **settings: str) -> Worker:
        """Start one more worker."""
        env = self.env | {f"{PREFIX}{name.upper()}": value for name, value in settings.items()}
        worker = Worker(env, self.log_path, command)
        self._workers.append(worker)
        return worker

    def outputs(self, *roles: TopicRole) -> Outputs:
        """Begin to read topics."""
        outputs = Outputs(self.settings, roles or tuple(ID_OF))
        self._outputs.append(outputs)
        return outputs

    def wait_for(
        self,
        outputs: Outputs,
        role: TopicRole,
        count: int,
        *workers: Worker,
        within_s: float = PATIENCE_S,
    ) -> None:
        """Read until so many different events of one topic are there, while the workers live."""

        def is_there() -> bool:
            for worker in workers:
                worker.check()
            outputs.poll()
            return len(outputs.records[role]) >= count and outputs.count(role) >= count

        until(
            is_there,
            lambda: (
                f"{count} of {role}, there are {outputs.count(role)}; the log ends with:\n"
                f"{log_tail(self.log_path)}"
            ),
            within_s=within_s,
        )

    def topic(self, kind: EventKind) -> str:
        """Return the name of an input topic."""
        return self.settings.topics.sources()[kind]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for outputs in self._outputs:
            outputs.close()
        for worker in self._workers:
            stop_child(worker.process, grace_s=0.0 if exc else 20.0)


class RdProducer:
    """A service built on librdkafka: its partitioner is not the one of Java and Python clients.

    Parameters
    ----------
    deployment
        Where it publishes.
    partitioner
        As librdkafka names it.
    """

    def __init__(self, deployment: Deployment, partitioner: str = "consistent_random") -> None:
        self._deployment = deployment
        self._failures: list[str] = []
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.partitions: defaultdict[str, set[int]] = defaultdict(set)
        self._producer = Producer(
            {
                "bootstrap.servers": deployment.settings.broker,
                "linger.ms": 5,
                "partitioner": partitioner,
                # Else a batch that is sent again, as at a topic's first moment, changes the order.
                "max.in.flight.requests.per.connection": 1,
                "acks": "all",
                "queue.buffering.max.messages": 1_000_000,
            }
        )

    def publish(
        self,
        events: Iterable[Sent],
        *,
        key_of: Callable[[Sent], str | None] = lambda sent: sent.prediction_id,
        timestamp_of: Callable[[Sent], int] | None = None,
    ) -> None:
        """Send events in order; return when all of them are acknowledged."""
        topics = self._deployment.settings.topics.sources()
        for sent in events:
            self._producer.produce(
                topics[sent.kind],
                sent.payload,
                key=key_of(sent),
                on_delivery=self._note,
                timestamp=NOW if timestamp_of is None else timestamp_of(sent),
            )
            self._producer.poll(0)
        left = self._producer.flush(PATIENCE_S)
        if left or self._failures:
            raise AssertionError(f"{left} records were not taken; {self._failures[:3]}")

    def _note(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failures.append(str(error))
            return
        self.counts[str(message.topic())] += 1
        self.partitions[str(message.topic())].add(message.partition() or 0)
