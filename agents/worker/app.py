"""The Faust app of a worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import faust
from faust.app.base import BootStrategy

from agents.kafka.group import check_group
from agents.kafka.watch import TopicWatch, watch_topics
from agents.settings import Settings
from agents.worker.agent import Agent, Partitions
from agents.worker.publish import Publisher
from agents.worker.transport import BatchConsumer

PartitionsFactory = Callable[[BatchConsumer, Publisher], Partitions]


class _WithoutProducer(BootStrategy):
    """Starts without Faust's producer, which is not idempotent and only logs a failure."""

    enable_kafka_producer = False
    enable_web = False


class WorkerApp(faust.App):
    """The Faust app of a worker, with its settings, agents and publisher.

    Parameters
    ----------
    settings, agents, publisher, make_partitions
        See `agents.worker.assembly.build_app`.
    """

    BootStrategy = _WithoutProducer

    def __init__(
        self,
        settings: Settings,
        agents: Sequence[Agent],
        publisher: Publisher,
        make_partitions: PartitionsFactory,
        **options: Any,
    ) -> None:
        super().__init__(settings.group, **options)
        self.settings = settings
        self.hosted_agents = tuple(agents)
        self.publisher = publisher
        self._make_partitions = make_partitions
        self.owns_process = False
        self._knows_group = False
        self.topic_watch: TopicWatch | None = None

    @property
    def batches(self) -> BatchConsumer:
        """The consumer."""
        return cast(BatchConsumer, self.consumer)

    def _create_directories(self) -> None:
        """Make no data directory, as Faust would: no file is kept."""

    async def on_start(self) -> None:
        """Check the cluster, connect the publisher, give the agents their partitions."""
        await super().on_start()
        self.topic_watch = await watch_topics(self.settings, self._topics, self._readable)
        await self.publisher.start()
        partitions = self._make_partitions(self.batches, self.publisher)
        for agent in self.hosted_agents:
            agent.attach(partitions)
            await agent.on_connected()

    async def check_members(self) -> None:
        """Check the group once more, now that this worker is a member; see `check_group`."""
        if not self._knows_group:
            self._knows_group = await check_group(self.settings, self._readable)

    @property
    def _readable(self) -> set[str]:
        topics = self.settings.topics
        log = topics.name("events")
        own = {topic for agent in self.hosted_agents for topic in agent.topics} - {log}
        return (own or {*topics.read_by_ingest()}) | {log}

    @property
    def _topics(self) -> set[str]:
        return {topic for agent in self.hosted_agents for topic in (*agent.topics, *agent.outputs)}

    async def on_shutdown(self) -> None:
        """Disconnect the publisher, after all other services have stopped."""
        await super().on_shutdown()
        await self.publisher.stop()
