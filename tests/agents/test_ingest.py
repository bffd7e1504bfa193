from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import cast

import pytest
from aiokafka import ConsumerRecord
from faust.types import TP

from agents.hop import Partitions
from agents.ingest import HELD_AT_MOST, Ingest
from agents.publish import Outgoing
from agents.transport import RECORDS_PER_FETCH, Fetch
from schemas.event import decode_events
from schemas.topics import Topics
from streams.ingest import DeadLetterLimit
from streams.order import TimeMerge
from tests.doubles.inputs import START_MS, outcome, prediction

PREDICTIONS = TP("predictions", 0)
OUTCOMES = TP("outcomes", 0)
TOPICS = Topics()


class Transport:
    """What a hop asks of its transport, written down."""

    def __init__(self) -> None:
        self.paused: list[TP] = []
        self.resumed: list[TP] = []

    async def commit_fact(self, _offsets: Mapping[TP, int]) -> bool:
        return True

    def pause(self, tps: Iterable[TP]) -> None:
        self.paused += tps

    def resume(self, tps: Iterable[TP]) -> None:
        self.resumed += tps


class Log:
    """Takes what is published."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    async def send(self, batch: list[Outgoing]) -> None:
        for outgoing in batch:
            events = decode_events(outgoing.value or b"")
            self.counts.update(events.sources[index].kind for index in events.source_index)


class Clock:
    def __init__(self) -> None:
        self.now_s = START_MS / 1_000 + 86_400.0

    def __call__(self) -> float:
        return self.now_s


class Bench:
    """An ingest with two source partitions, and everything around it."""

    def __init__(self) -> None:
        self.transport, self.log, self.clock = Transport(), Log(), Clock()
        self.ingest = Ingest(
            TOPICS,
            self.log,
            TimeMerge(idle_s=1.0),
            DeadLetterLimit(None, 1),
            self.clock,
            incarnations=self.incarnations,
            max_payload_bytes=10_000,
        )
        self.ingest.partitions = cast(Partitions, self.transport)
        self.ends = {PREDICTIONS: 0, OUTCOMES: 0}

    async def incarnations(self) -> dict[str, str]:
        return {}

    async def fetch(self, tp: TP, value: bytes, at_ms: int, rows: int, *, has_more: bool) -> None:
        first = self.ends[tp]
        self.ends[tp] = end = first + rows
        records = [record(tp, first + n, at_ms + n, value) for n in range(rows)]
        await self.ingest.on_fetch(Fetch(*tp, records, first, end, end + has_more))

    async def fetch_outcomes_until_paused(self) -> None:
        while not self.transport.paused:
            await self.fetch(
                OUTCOMES, outcome(), START_MS + 10**6, RECORDS_PER_FETCH, has_more=True
            )


def record(tp: TP, offset: int, timestamp_ms: int, value: bytes) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord(*tp, offset, timestamp_ms, 0, None, value, None, 0, len(value), ())


@pytest.fixture
async def bench() -> Bench:
    made = Bench()
    await made.ingest.on_rebalance_complete(dict(made.ends))
    return made


async def test_a_partition_far_ahead_is_fetched_no_further(bench: Bench) -> None:
    await bench.fetch_outcomes_until_paused()

    assert bench.transport.paused == [OUTCOMES]
    assert bench.ends[OUTCOMES] <= HELD_AT_MOST / 2 + RECORDS_PER_FETCH
    assert not bench.log.counts
    assert not bench.transport.resumed


async def test_it_is_fetched_again_when_the_others_have_caught_up(bench: Bench) -> None:
    await bench.fetch_outcomes_until_paused()

    await bench.fetch(PREDICTIONS, prediction(), START_MS, 10, has_more=False)
    bench.clock.now_s += 60.0
    await bench.fetch(PREDICTIONS, prediction(), START_MS + 10**7, 1, has_more=False)

    assert bench.transport.resumed == [OUTCOMES]


async def test_nobody_passes_a_paused_partition_by_however_long_it_was_paused(bench: Bench) -> None:
    await bench.fetch_outcomes_until_paused()

    bench.clock.now_s += 3_600.0
    await bench.fetch(PREDICTIONS, prediction(), START_MS + 10**8, 10, has_more=False)

    assert bench.log.counts == {"outcome": bench.ends[OUTCOMES]}


async def test_a_partition_that_has_been_read_to_its_end_is_not_paused(bench: Bench) -> None:
    while bench.ends[OUTCOMES] < HELD_AT_MOST:
        await bench.fetch(OUTCOMES, outcome(), START_MS, RECORDS_PER_FETCH, has_more=False)

    assert not bench.transport.paused
