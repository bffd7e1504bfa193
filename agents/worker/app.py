"""Puts a worker together, settings, agents, publisher and Faust, and runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import faust
from faust.app.base import BootStrategy

from agents.kafka.cluster import check_cluster
from agents.kafka.topics import other_partitions
from agents.settings import Settings
from agents.worker.agent import Agent
from agents.worker.publish import Publisher
from agents.worker.transport import BatchConsumer


class _WithoutProducer(BootStrategy):
    """Faust's own producer is not idempotent and only logs what fails; see `Publisher`."""

    enable_kafka_producer = False
    enable_web = False


class WorkerApp(faust.App):
    """The Faust app of a worker, with what it was built from.

    Parameters
    ----------
    settings, agents, publisher
        See `build_app`.
    """

    BootStrategy = _WithoutProducer

    def __init__(
        self, settings: Settings, agents: Sequence[Agent], publisher: Publisher, **options: Any
    ) -> None:
        super().__init__(settings.group, **options)
        self.settings = settings
        self.hosted_agents = tuple(agents)
        self.publisher = publisher
        self.owns_process = False

    @property
    def batches(self) -> BatchConsumer:
        """The consumer."""
        return cast(BatchConsumer, self.consumer)

    def _create_directories(self) -> None:
        """Faust would make a data directory; there is nothing to put there."""

    async def on_start(self) -> None:
        """Find the cluster as it must be, connect the publisher, prepare the agents."""
        await super().on_start()
        await check_cluster(self.settings, self._topics)
        await self.publisher.start()
        await self._check_partitions()
        for agent in self.hosted_agents:
            await agent.on_start()

    @property
    def _topics(self) -> set[str]:
        return {topic for agent in self.hosted_agents for topic in (*agent.topics, *agent.outputs)}

    async def _check_partitions(self) -> None:
        """Refuse to start where a model would change its partition.

        Raises
        ------
        OperatorError
            With the remedy.
        """
        settings = self.settings
        routed = {topic.name for topic in settings.topics.table() if topic.is_routed}
        for topic in sorted(routed & self._topics):
            found = await self.publisher.partitions(topic)
            if found != settings.partitions:
                raise other_partitions(topic, found, settings)

    async def on_shutdown(self) -> None:
        """Disconnect the publisher, after everything else has stopped."""
        await super().on_shutdown()
        await self.publisher.stop()
