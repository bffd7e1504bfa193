"""Topics that change under a running worker: gone, made anew, with other partitions or rights.

A consumer does not tell: it waits for a topic that is gone, reads one that was made anew from the
old offset, and a fetch that is refused looks like a topic without records.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence

from agents.errors import OperatorError, WorkerError
from agents.kafka.admin import RETRY_S, TopicDescription, describe_topics, missing_topics
from agents.kafka.group import check_group
from agents.kafka.rights import Right, lacking, refusal, rights
from agents.kafka.topics import check_topic_settings, other_partitions
from agents.settings import Settings

KNOWN_S = 5.0
"""Seconds for which a worker asks at its start for a topic that does not exist."""
_ABSENCES = 3
"""Answers in a row without a topic until it counts as gone: one that is made anew is absent for a
moment, and a broker that starts may not know it yet."""


async def watch_topics(
    settings: Settings, topics: Iterable[str], readable: Iterable[str]
) -> TopicWatch:
    """Check all that a worker needs of the cluster, and begin to watch its topics.

    Parameters
    ----------
    settings
        Which deployment.
    topics
        Those that the worker reads and writes.
    readable
        Those that workers of this deployment may read, in whatever role.

    Raises
    ------
    OperatorError
        When a topic or a right is missing, a setting of a topic does harm, or the group is shared.
    BrokerUnreachableError
        When the cluster does not answer.
    """
    found = await _described(settings, set(topics))
    watch = TopicWatch(settings, found, rights(settings, "worker"))
    await check_topic_settings(settings, found)
    await check_group(settings, readable)
    return watch


async def _described(settings: Settings, topics: set[str]) -> dict[str, TopicDescription]:
    """Return the topics, once the broker knows them: one that starts may answer before it does."""
    until_s = asyncio.get_running_loop().time() + KNOWN_S
    while True:
        try:
            return await describe_topics(settings, topics)
        except OperatorError:
            if asyncio.get_running_loop().time() >= until_s:
                raise
        await asyncio.sleep(RETRY_S)


class TopicRecreatedError(WorkerError):
    """A topic was deleted and created again under a running worker. Restart it."""

    exit_code = os.EX_TEMPFAIL


class TopicWatch:
    """Compares topics with what they were when the worker started.

    Parameters
    ----------
    settings
        Which deployment.
    first
        The topics at the start.
    wanted
        Rights on them.
    """

    def __init__(
        self, settings: Settings, first: Mapping[str, TopicDescription], wanted: Sequence[Right]
    ) -> None:
        self._settings = settings
        self._first = dict(first)
        self._wanted = [each for each in wanted if each.resource == "topic" and each.name in first]
        self._inputs = set(settings.topics.read_by_ingest()) if settings.inputs_by_model else set()
        self._routed = {topic.name for topic in settings.topics.table() if topic.is_routed}
        self._absences = 0
        self.check(first)

    @property
    def names(self) -> list[str]:
        """The topics."""
        return sorted(self._first)

    def check(self, found: Mapping[str, TopicDescription]) -> None:
        """Compare; topics that do not exist are not in ``found``.

        Raises
        ------
        OperatorError
            When a topic is gone, a right is missing, a topic that is routed has another number of
            partitions than the settings, or inputs by model have unlike numbers.
        TopicRecreatedError
            When a topic was made anew.
        """
        missing = self._first.keys() - found.keys()
        self._absences = self._absences + 1 if missing else 0
        if self._absences >= _ABSENCES:
            raise missing_topics(missing, self._settings.broker)
        for name, topic in found.items():
            if topic.topic_id != self._first[name].topic_id:
                msg = f"topic {name!r} was deleted and created anew: restart the worker"
                raise TopicRecreatedError(msg)
            if name in self._routed and topic.partitions != self._settings.partitions:
                raise other_partitions(name, topic.partitions, self._settings)
        inputs = {name: found[name].partitions for name in sorted(self._inputs & found.keys())}
        if len(set(inputs.values())) > 1:
            raise _unlike_inputs(inputs)
        operations = {name: topic.operations for name, topic in found.items()}
        if denied := lacking(self._wanted, operations):
            raise OperatorError(refusal(self._settings, denied))


def _unlike_inputs(counts: Mapping[str, int]) -> OperatorError:
    """Return the error for inputs by model that have unlike numbers of partitions."""
    listed = ", ".join(f"{name} {count}" for name, count in counts.items())
    return OperatorError(
        "with TIDEGAUGE_INPUTS_BY_MODEL all inputs have the same number of partitions, so that one "
        f"worker reads all events of a model; these have: {listed}. Give them the same number, or "
        "leave the setting unset: one worker then reads all inputs."
    )
