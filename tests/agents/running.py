"""Workers inside the test's process, and an agent that writes down what happens to it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import ConsumerRecord
from faust.types import TP

from agents.settings import Settings, load_settings
from agents.worker.agent import Agent
from agents.worker.app import WorkerApp
from agents.worker.assembly import build_app
from agents.worker.publish import Publisher
from agents.worker.transport import Fetch
from tests.broker import Broker
from tests.patience import PATIENCE_S


def settings_of(broker: Broker, group: str) -> Settings:
    return load_settings(broker=broker.bootstrap, group=group, session_timeout_s=6.0)


class Diary(Agent):
    """Keeps everything it is given, in order."""

    def __init__(self, topics: Sequence[str]) -> None:
        super().__init__("diary", topics)
        self.assignments: list[dict[TP, int]] = []
        self.fetches: list[Fetch] = []
        self.revocations: list[set[TP]] = []
        self.applied_offsets: dict[TP, int] = {}

    async def on_rebalance_complete(self, starts: Mapping[TP, int]) -> None:
        self.assignments.append(dict(starts))

    async def on_fetch(self, fetch: Fetch) -> None:
        self.fetches.append(fetch)
        self.applied_offsets[fetch.tp] = fetch.next_offset

    async def on_revoked(self, tps: set[TP]) -> None:
        self.revocations.append(tps)

    def applied(self) -> Mapping[TP, int]:
        return self.applied_offsets

    def records(self) -> list[ConsumerRecord]:
        return [record for fetch in self.fetches for record in fetch.records]

    def offsets(self) -> dict[int, list[int]]:
        """What was delivered of each partition, in the order of delivery."""
        offsets: defaultdict[int, list[int]] = defaultdict(list)
        for record in self.records():
            offsets[record.partition].append(record.offset)
        return dict(offsets)


def app_of(broker: Broker, group: str, *agents: Agent) -> WorkerApp:
    settings = settings_of(broker, group)
    return build_app(settings, agents, Publisher(settings.connection()))


@asynccontextmanager
async def running(app: WorkerApp) -> AsyncIterator[WorkerApp]:
    """Run a worker's app in this event loop until the block ends."""
    starting = asyncio.create_task(app.start())
    try:
        yield app
    finally:
        await app.stop()
        starting.cancel()
        await asyncio.wait([starting])


async def until(condition: Callable[[], bool], what: str) -> None:
    """Return once ``condition`` holds."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - conditions are many, and read plain lists
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"waited {PATIENCE_S:.0f} s in vain for: {what}") from None
