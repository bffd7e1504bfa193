"""The bridge between Faust's callbacks and the agents."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar, cast

import faust
from aiokafka.errors import KafkaError
from faust.tables.recovery import RebalanceAgain
from faust.types import TP
from mode.supervisors import CrashingSupervisor

from agents.errors import BrokerUnreachableError, StalledError
from agents.kafka.admin import denial
from agents.worker.agent import Agent
from agents.worker.app import WorkerApp
from agents.worker.exit import fail
from agents.worker.transport import BatchConsumer, Fetch, FetchSchema
from agents.worker.watchdog import Watchdog, watch_every_s

_log = logging.getLogger(__name__)

_REVOKE_S = 3.0
"""Seconds for a flush at a rebalance. The group waits for it, and the shortest session is 6 s."""
_SHUTDOWN_S = 8.0
"""Seconds for the last flush of all agents: docker stop allows 10 s for the whole process."""
_T = TypeVar("_T")


class FaustBridge:
    """Connects the signals of Faust to the callbacks of the agents."""

    def __init__(self, app: WorkerApp) -> None:
        self._app = app
        self._busy: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._restore: asyncio.Task[None] | None = None
        app.on_partitions_revoked.connect(self._on_revoked)
        app.on_rebalance_complete.connect(self._on_rebalance_complete)
        app.on_before_shutdown.connect(self._on_shutdown)
        for agent in app.hosted_agents:
            self._add_agent(agent)
            app.task(self._runner(agent))
        app.task(self._watch)

    def _add_agent(self, agent: Agent) -> None:
        app = self._app

        async def consume(stream: faust.StreamT[Any]) -> None:
            async for event in stream.events():
                async with self._busy[agent.name]:
                    # The lock may have been held by a rebalance that took the partition away.
                    if (
                        app.flow_control.is_active()
                        and event.message.generation_id == app.consumer_generation_id
                    ):
                        await self._guarded(agent.on_fetch(cast(Fetch, event.value)))

        app.agent(
            app.topic(*agent.topics, schema=FetchSchema(), acks=False),
            name=f"tidegauge.{agent.name}",
            concurrency=1,
            supervisor_strategy=CrashingSupervisor,
        )(consume)

    def _runner(self, agent: Agent) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            await self._guarded(agent.run())

        return run

    async def _guarded(self, work: Awaitable[_T]) -> _T:
        """Do ``work``; after a failure end the process at once, before any other task runs.

        Work that failed half-way must not be saved, neither by another task nor by a flush.
        """
        try:
            return await work
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:
            if self._app.owns_process:
                fail(error)
            raise

    async def _on_rebalance_complete(self, *_: Any, **__: Any) -> None:
        self._restore = restore = asyncio.create_task(self._restore_all())
        try:
            await asyncio.wait([restore])
        finally:
            restore.cancel()
        if restore.cancelled():
            # Faust then waits for the assignment that follows, instead of resuming this one.
            raise RebalanceAgain
        await self._guarded(restore)

    async def _restore_all(self) -> None:
        await self._app.check_members()
        consumer = self._app.batches
        assigned = consumer.assignment()
        starts = await consumer.first_offsets(assigned)
        _log_assignment(assigned)
        for agent in self._app.hosted_agents:
            mine = {tp: offset for tp, offset in starts.items() if tp.topic in agent.topics}
            async with self._busy[agent.name]:
                await agent.on_rebalance_complete(mine)
            for tp in mine:
                chosen = agent.start_offset(tp)
                if chosen is not None:
                    starts[tp] = chosen
        consumer.plan(starts)

    async def _on_revoked(self, *arguments: Any, **_: Any) -> None:
        revoked: set[TP] = arguments[-1]
        if self._restore is not None and not self._restore.done():
            self._restore.cancel()
            await asyncio.wait([self._restore])
        for agent in self._app.hosted_agents:
            mine = {tp for tp in revoked if tp.topic in agent.topics}
            if mine:
                await self._undisturbed(agent, partial(agent.on_revoked, mine), _REVOKE_S)

    async def _on_shutdown(self, *_: Any, **__: Any) -> None:
        if self._restore is None:  # stopped before anything was assigned
            return
        until_s = asyncio.get_running_loop().time() + _SHUTDOWN_S
        for agent in self._app.hosted_agents:
            left_s = max(0.0, until_s - asyncio.get_running_loop().time())
            await self._undisturbed(agent, agent.on_shutdown, left_s)

    async def _undisturbed(
        self, agent: Agent, callback: Callable[[], Awaitable[None]], within_s: float
    ) -> None:
        """Call back between two fetches, if that is possible in time."""
        busy = self._busy[agent.name]
        try:
            async with asyncio.timeout(within_s):
                async with busy:
                    await self._guarded(callback())
        except TimeoutError:
            _log.warning(
                "%s was not flushed within %.0f s: the next owner of its partitions repeats work",
                agent.name,
                within_s,
            )

    async def _watch(self) -> None:
        app = self._app
        stall_s = app.settings.stall_s
        watchdog = Watchdog(stall_s)
        pause_s = watch_every_s(stall_s)
        ends: dict[TP, int] = {}  # the last known ones stay while the broker does not answer
        while not app.should_stop:
            await app.sleep(pause_s)
            if app.should_stop:  # the sleep is cut short, and the connection ends on purpose
                return
            await self._guarded(_check_connection(app.batches))
            await self._guarded(self._check_topics(pause_s))
            await self._guarded(self._check_members(pause_s))
            with contextlib.suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(pause_s):
                    ends.update(await app.batches.end_offsets())
            applied = {
                tp: offset for agent in app.hosted_agents for tp, offset in agent.applied().items()
            }
            await self._guarded(_checked(watchdog, applied, ends))

    async def _check_members(self, within_s: float) -> None:
        """Ask for the members of the group where Kafka hid them at the assignment."""
        with contextlib.suppress(BrokerUnreachableError, TimeoutError):
            async with asyncio.timeout(within_s):
                await self._app.check_members()

    async def _check_topics(self, within_s: float) -> None:
        """Raise where the topics or the user's rights have changed; see `TopicWatch`."""
        app = self._app
        if app.topic_watch is None:
            return
        try:
            async with asyncio.timeout(within_s):
                found = await app.batches.describe_topics(app.topic_watch.names)
        except (KafkaError, TimeoutError) as error:
            if denial(error):
                raise
            return  # the broker does not answer
        app.topic_watch.check(found)


async def _check_connection(consumer: BatchConsumer) -> None:
    if consumer.has_ended():  # a request to it would wait for ever
        msg = "the connection to Kafka has ended by an error of the client: restart the worker"
        raise StalledError(msg)


async def _checked(watchdog: Watchdog, applied: Mapping[TP, int], ends: Mapping[TP, int]) -> None:
    watchdog.check(asyncio.get_running_loop().time(), applied, ends)


def _log_assignment(assigned: set[TP]) -> None:
    if not assigned:
        _log.info("This worker stands by: other workers of the group have all partitions")
        return
    by_topic: defaultdict[str, list[int]] = defaultdict(list)
    for tp in sorted(assigned):
        by_topic[tp.topic].append(tp.partition)
    _log.info(
        "Assigned: %s",
        "; ".join(f"{topic} {', '.join(map(str, held))}" for topic, held in by_topic.items()),
    )
