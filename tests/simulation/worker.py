"""A worker of the simulation: the real agents and the real publisher, in a process that can die.

`SimWorker` does to the agents what `agents.worker.faust_bridge` does: callbacks and fetches take
turns, a rebalance waits 3 s for a flush, a failure ends the process. A dead worker does nothing any
more, except that what it had sent may still arrive.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, cast

import orjson
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaTimeoutError
from aiokafka.structs import RecordMetadata
from faust.types import TP

from agents.errors import WorkerError
from agents.worker.agent import Agent, Partitions
from agents.worker.publish import Publisher
from agents.worker.transport import End, Fetch
from schemas.cloudevents import Headers
from schemas.topics import Topics
from tests.doubles.cluster import Cluster, Group
from tests.simulation.traffic import PARTITIONS

REVOKE_S = 3.0
SHUTDOWN_S = 8.0

Build = Callable[["SimWorker"], Sequence[Agent]]


class Fates(Protocol):
    """Decides what goes wrong, and where."""

    chance: random.Random

    def at(self, kind: str, stages: tuple[str, ...]) -> str | None:
        """Return the stage of this step at which the worker ends, if it does."""


@dataclass(frozen=True)
class World:
    """What workers have in common.

    Parameters
    ----------
    cluster, group, topics
        What they talk to.
    fates
        What befalls them.
    tempo
        Gives the seconds that the next answer of the broker takes.
    clock
        Seconds since the epoch, of workers and the broker.
    """

    cluster: Cluster
    group: Group
    topics: Topics
    fates: Fates
    tempo: Callable[[], float]
    clock: Callable[[], float]


class Packet:
    """Something on its way to the broker."""

    def __init__(self, land: Callable[[], None]) -> None:
        self.land = land
        self.timer: asyncio.TimerHandle | None = None


class SimWorker:
    """One process.

    Parameters
    ----------
    name
        Its name in the group.
    world
        What it lives in.
    build
        Makes its agents.
    """

    def __init__(self, name: str, world: World, build: Build) -> None:
        self.name = name
        self.cluster = world.cluster
        self.group = world.group
        self.topics = world.topics
        self.fates = world.fates
        self.tempo = world.tempo
        self.clock = world.clock
        self.generation = 0
        self.assigned: set[TP] = set()
        self.is_alive = True
        self.is_stopping = False
        self.end = asyncio.Event()
        self.failure: Exception | None = None
        self.publisher = SimPublisher(self)
        # Dicts, for their order: what befalls each of them is drawn, and must follow from the seed.
        self._packets: dict[Packet, None] = {}
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._next: dict[TP, int] = {}
        self.paused: set[TP] = set()
        self._is_running = False
        self.agents = tuple(build(self))
        self._busy = {agent.name: asyncio.Lock() for agent in self.agents}
        for agent in self.agents:
            agent.attach(SimPartitions(self, agent.name))

    # The process

    async def start(self) -> None:
        await self.publisher.start()

    def do(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something in this process; it ends with the process."""
        task = asyncio.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and self.is_alive:
            if not isinstance(error, Exception):
                raise error
            self.failure = error
            self.die()

    def die(self) -> None:
        """End like a process: at once, without any clean-up that could be seen outside."""
        if not self.is_alive:
            return
        self.is_alive = False
        chance = self.fates.chance
        loop = asyncio.get_running_loop()
        for packet in self._packets:
            fate = chance.random()
            if packet.timer is not None and fate < 0.67:
                packet.timer.cancel()
                if fate < 0.33:
                    loop.call_later(chance.uniform(0.0, 5.0), packet.land)
        self.end.set()
        for task in list(self._tasks):
            task.cancel()

    async def check_alive(self) -> None:
        """Return if the process is alive; a dead one comes no further than here."""
        if not self.is_alive:
            await asyncio.Event().wait()

    async def end_here(self) -> None:
        """Die at this very step."""
        self.die()
        await asyncio.Event().wait()

    def dispatch(self, land: Callable[[], None]) -> Packet:
        """Put something on its way; it arrives later, or not when the process dies before."""
        packet = Packet(land)

        def arrive() -> None:
            self._packets.pop(packet, None)
            land()

        self._packets[packet] = None
        packet.timer = asyncio.get_running_loop().call_later(self.tempo(), arrive)
        return packet

    # The seam

    async def take_over(self, tps: Iterable[TP], generation: int) -> None:
        """Be assigned these partitions: restore, plan the starts, begin to fetch."""
        self.assigned = set(tps)
        self.generation = generation
        starts = {
            tp: max(self.cluster.commits.get(tp, -1), self.cluster.beginning(tp))
            for tp in sorted(self.assigned)
        }
        for agent in self.agents:
            mine = {tp: offset for tp, offset in starts.items() if tp.topic in agent.topics}
            async with self._busy[agent.name]:
                await agent.on_rebalance_complete(mine)
            for tp in mine:
                chosen = agent.start_offset(tp)
                if chosen is not None:
                    starts[tp] = chosen
        self._next = starts
        self.paused = set()
        if not self._is_running:
            self._is_running = True
            for agent in self.agents:
                self.do(self._guarded(agent.run()))
                self.do(self._consume(agent))

    async def let_go(self) -> None:
        """Lose all partitions: flush within 3 s, or not."""
        tps, self._next = self.assigned, {}
        for agent in self.agents:
            mine = {tp for tp in tps if tp.topic in agent.topics}
            if mine:
                await self._undisturbed(agent, partial(agent.on_revoked, mine), REVOKE_S)
        self.assigned = set()

    async def stop(self) -> None:
        """Stop in good order, as after SIGTERM."""
        self.is_stopping = True
        self._next = {}
        for agent in self.agents:
            await self._undisturbed(agent, agent.on_shutdown, SHUTDOWN_S)
        self.die()

    async def _undisturbed(
        self, agent: Agent, callback: Callable[[], Awaitable[None]], within_s: float
    ) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                async with self._busy[agent.name]:
                    await self._guarded(callback())

    async def _guarded(self, work: Awaitable[None]) -> None:
        """Do ``work``; a failure ends the process, though not in the same instant."""
        try:
            await work
        except WorkerError as error:
            if not self.is_alive:  # it was ended while it failed, and nothing wakes it any more
                raise asyncio.CancelledError from error
            self.failure = self.failure or error
            asyncio.get_running_loop().call_later(self.fates.chance.uniform(0, 0.2), self.die)
            await asyncio.Event().wait()

    async def _consume(self, agent: Agent) -> None:
        chance = self.fates.chance
        longest_s = 0.06
        while True:
            await asyncio.sleep(chance.uniform(0.005, longest_s))
            generation = self.generation
            fetch = self._take(agent)
            longest_s = 0.06 if fetch else 0.2
            if fetch is None:
                continue
            if chance.random() < 0.2:
                await asyncio.sleep(chance.uniform(0.0, 0.2))
            async with self._busy[agent.name]:
                # As in the seam: what was fetched before a rebalance is not delivered after it.
                if generation == self.generation and fetch.tp in self._next:
                    if self.fates.at(f"fetch of {agent.name}", ("begun",)):
                        await self.end_here()
                    await self._guarded(agent.on_fetch(fetch))

    def _take(self, agent: Agent) -> Fetch | None:
        ready = [
            tp
            for tp, offset in self._next.items()
            if tp.topic in agent.topics and tp not in self.paused and offset < self.cluster.end(tp)
        ]
        if not ready:
            return None
        chance = self.fates.chance
        tp = chance.choice(ready)
        start = self._next[tp]
        records = self.cluster.read(tp, start, chance.choice((1, 10, 40, 40)))
        self._next[tp] = end = records[-1].offset + 1
        found = cast("list[ConsumerRecord]", records)
        return Fetch(*tp, found, start, end, self.cluster.end(tp))

    def has_read_all(self) -> bool:
        """Tell whether everything there is has been applied; who stands by has nothing to apply."""
        applied = {tp: offset for agent in self.agents for tp, offset in agent.applied().items()}
        has_begun = self._next.keys() == self.assigned
        return has_begun and all(applied.get(tp) == self.cluster.end(tp) for tp in self._next)


class SimPartitions(Partitions):
    """Commits through the group, as `BatchConsumer.commit_fact` does."""

    def __init__(self, worker: SimWorker, agent: str) -> None:
        self._worker = worker
        self._hop = agent

    async def commit_fact(self, offsets: Mapping[TP, int]) -> bool:
        worker = self._worker
        await worker.check_alive()
        stage = worker.fates.at(f"commit of {self._hop}", ("before", "after"))
        if stage == "before":
            await worker.end_here()
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        held = {tp: offset for tp, offset in offsets.items() if tp in worker.assigned}
        generation = worker.generation

        def land() -> None:
            accepted = bool(held) and worker.group.commit(worker.name, generation, held)
            if stage == "after":
                worker.die()
            elif worker.is_alive and not answer.done():
                answer.set_result(accepted and len(held) == len(offsets))

        worker.dispatch(land)
        return await answer

    def pause(self, tps: Iterable[TP]) -> None:
        self._worker.paused |= set(tps)

    def resume(self, tps: Iterable[TP]) -> None:
        self._worker.paused -= set(tps)

    def known_ends(self) -> dict[TP, End]:
        worker = self._worker
        return {tp: End(worker.cluster.end(tp), worker.clock()) for tp in worker.assigned}

    can_ask_ends: bool = True

    async def progress(self, topics: Iterable[str]) -> dict[TP, int]:
        worker = self._worker
        await asyncio.sleep(worker.tempo())
        await worker.check_alive()
        cluster, numbers = worker.cluster, range(PARTITIONS)
        tps = [TP(topic, number) for topic in topics for number in numbers]
        return {tp: max(cluster.commits.get(tp, 0), cluster.beginning(tp)) for tp in tps}

    async def ask_ends(self, tps: Iterable[TP]) -> dict[TP, int]:
        worker = self._worker
        await asyncio.sleep(worker.tempo())
        await worker.check_alive()
        return {tp: worker.cluster.end(tp) for tp in tps}


class SimReader:
    """Reads like `agents.kafka.read.LogReader`: to the end as it is when the reader gets there."""

    def __init__(self, worker: SimWorker) -> None:
        self._worker = worker

    async def beginning(self, tp: TP) -> int:
        await self._worker.check_alive()
        return self._worker.cluster.beginning(tp)

    async def end(self, tp: TP) -> int:
        await self._worker.check_alive()
        return self._worker.cluster.end(tp)

    async def read(
        self, tp: TP, start: int | None = None, end: int | None = None
    ) -> AsyncIterator[Sequence[ConsumerRecord]]:
        worker = self._worker
        chance = worker.fates.chance
        if end is not None:
            for first in range(start or 0, end, 30):
                await worker.check_alive()
                if worker.fates.at("read of log", ("before",)):
                    await worker.end_here()
                await asyncio.sleep(worker.tempo())
                found = worker.cluster.read(tp, first, min(30, end - first))
                yield cast("list[ConsumerRecord]", found)
            return
        position = 0
        stage = worker.fates.at("read of state", ("before", "amid", "after"))
        while end is None or position < end:
            await worker.check_alive()
            await asyncio.sleep(worker.tempo())
            if stage == ("before" if end is None else "amid"):
                await worker.end_here()
            end = worker.cluster.end(tp)
            records = worker.cluster.read(tp, position, chance.choice((3, 30, 500)))
            if records:
                position = records[-1].offset + 1
                yield cast("list[ConsumerRecord]", records)
            else:
                position = end
        if stage == "after":
            await worker.end_here()


class SimPublisher(Publisher):
    """The real publisher, with a producer that belongs to a process."""

    def __init__(self, worker: SimWorker) -> None:
        super().__init__({}, acknowledged_within_s=30.0)
        self._worker = worker

    async def _connect(self, *, is_idempotent: bool) -> AIOKafkaProducer:
        return cast(AIOKafkaProducer, SimProducer(self._worker))


class SmallBatch:
    """A batch that is soon full, so that one call makes several."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.records: list[tuple[bytes, bytes | None, int, Headers]] = []

    def append(
        self, *, timestamp: int | None, key: bytes, value: bytes | None, headers: Headers
    ) -> bool | None:
        if len(self.records) == self._most:
            return None
        self.records.append((key, value, timestamp or 0, headers))
        return True


_ACKNOWLEDGED = RecordMetadata("", 0, TopicPartition("", 0), 0, -1, 0, 0)
"""An answer without LogAppendTime: the simulated workers have one clock."""


class SimProducer:
    """What `Publisher` asks of an idempotent aiokafka producer: a batch lands once, and whole."""

    def __init__(self, worker: SimWorker) -> None:
        self._worker = worker
        topics = worker.topics
        self._roles = {topic.name: topic.role for topic in topics.table()}

    async def partitions_for(self, topic: str) -> set[int]:
        return set(range(self._worker.topics.partitions))

    def create_batch(self) -> SmallBatch:
        return SmallBatch(self._worker.fates.chance.choice((1, 2, 5, 100)))

    async def send_batch(
        self, batch: SmallBatch, topic: str, *, partition: int
    ) -> asyncio.Future[RecordMetadata]:
        worker, chance = self._worker, self._worker.fates.chance
        await worker.check_alive()
        kind = self._kind(topic, batch)
        stage = worker.fates.at(f"send of {kind}", ("lost", "late", "landed", "refused"))
        loop = asyncio.get_running_loop()
        acknowledgement: asyncio.Future[RecordMetadata] = loop.create_future()
        append = partial(self._append, TP(topic, partition), batch)
        match stage:
            case "lost":
                await worker.end_here()
            case "late":
                loop.call_later(chance.uniform(0.0, 5.0), append)
                await worker.end_here()
            case "landed":
                append()
                await worker.end_here()
            case "refused":
                if chance.random() < 0.5:
                    loop.call_later(chance.uniform(0.0, 5.0), append)
                loop.call_later(worker.tempo(), self._refuse, acknowledgement)
            case _:
                worker.dispatch(partial(self._land, append, acknowledgement))
        return acknowledgement

    def _append(self, tp: TP, batch: SmallBatch) -> None:
        for key, value, timestamp_ms, headers in batch.records:
            self._worker.cluster.append(tp, key, value, timestamp_ms, headers)

    def _land(
        self, append: Callable[[], None], acknowledgement: asyncio.Future[RecordMetadata]
    ) -> None:
        append()
        loop = asyncio.get_running_loop()
        loop.call_later(self._worker.tempo(), self._acknowledge, acknowledgement)

    def _acknowledge(self, acknowledgement: asyncio.Future[RecordMetadata]) -> None:
        if self._worker.is_alive and not acknowledgement.done():
            acknowledgement.set_result(_ACKNOWLEDGED)

    def _refuse(self, acknowledgement: asyncio.Future[RecordMetadata]) -> None:
        if self._worker.is_alive and not acknowledgement.done():
            acknowledgement.set_exception(KafkaTimeoutError())

    def _kind(self, topic: str, batch: SmallBatch) -> str:
        role = self._roles[topic]
        if role != "state":
            return role
        key, value, *_ = batch.records[0]
        return "deletions" if value is None else f"{orjson.loads(key)[0]}s"
