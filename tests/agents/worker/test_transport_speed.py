from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import pytest
import uvloop
from aiokafka import AIOKafkaConsumer
from faust.types import TP

from agents.worker.agent import Agent
from agents.worker.publish import Outgoing, Publisher
from agents.worker.transport import RECORDS_PER_FETCH, Fetch
from tests.agents.running import app_of, running, settings_of
from tests.broker import create_topic
from tests.kafka import RealKafka

RECORDS = 200_000
PARTITIONS = 4


class Stopwatch:
    """Wall time and this process's time on the processor since it was made."""

    def __init__(self) -> None:
        self._wall_s = time.perf_counter()
        self._cpu_s = time.process_time()

    def rates(self) -> tuple[float, float]:
        """All records, a second of wall time and a second of processor time."""
        return (
            RECORDS / (time.perf_counter() - self._wall_s),
            RECORDS / (time.process_time() - self._cpu_s),
        )


class Counter(Agent):
    """Counts records, from the assignment on."""

    def __init__(self, topic: str) -> None:
        super().__init__("counter", [topic])
        self.seen = 0
        self.began = Stopwatch()
        self.all_seen = asyncio.Event()

    async def on_rebalance_complete(self, starts: Mapping[TP, int]) -> None:
        self.began = Stopwatch()

    async def on_fetch(self, fetch: Fetch) -> None:
        self.seen += len(fetch.records)
        if self.seen == RECORDS:
            self.all_seen.set()


async def fill(publisher: Publisher, topic: str) -> tuple[float, float]:
    value = bytes(200)
    await publisher.start()
    began = Stopwatch()
    for _ in range(RECORDS // 10_000):
        await publisher.send(
            Outgoing(topic, n % PARTITIONS, b"key", value, 1_000) for n in range(10_000)
        )
    rates = began.rates()
    await publisher.stop()
    return rates


async def read_bare(bootstrap: str, topic: str) -> tuple[float, float]:
    seen = 0
    async with AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        max_poll_records=RECORDS_PER_FETCH,
    ) as consumer:
        began = Stopwatch()
        while seen < RECORDS:
            seen += sum(map(len, (await consumer.getmany(timeout_ms=1_000)).values()))
        return began.rates()


def test_batches_cost_little_beside_the_bare_client(
    kafka: RealKafka, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = f"{prefix}in"
    create_topic(kafka, topic, partitions=PARTITIONS)
    counter = Counter(topic)

    async def scenario() -> list[tuple[float, float]]:
        settings = settings_of(kafka, f"{prefix}g")
        sent = await fill(Publisher(settings.connection()), topic)
        bare = await read_bare(kafka.bootstrap, topic)
        async with running(app_of(kafka, f"{prefix}g", counter)):
            await counter.all_seen.wait()
            return [sent, bare, counter.began.rates()]

    sent, bare, batched = uvloop.run(scenario())

    with capsys.disabled():
        print(  # noqa: T201 - a figure for whoever runs it
            f"\n{RECORDS} records of 200 bytes, records a second: sent {sent[0]:,.0f}; "
            f"read by aiokafka alone {bare[0]:,.0f}, through Faust in batches {batched[0]:,.0f}; "
            f"a second of processor time: {sent[1]:,.0f}, {bare[1]:,.0f}, {batched[1]:,.0f}"
        )
    # By processor time: the machine may be busy with something else.
    assert batched[1] > bare[1] / 5
