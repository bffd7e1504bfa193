"""The state of the workers' consumer group: for the health check of a container."""

from __future__ import annotations

from aiokafka import TopicPartition

from agents.errors import WorkerError
from agents.kafka.admin import Admin, ask, partition_counts
from agents.settings import Settings

_STABLE = "Stable"
"""Kafka's state of a group whose members have their partitions."""
_UNREPORTED = "Unknown"
"""The embedded broker reports this state for every group."""


class UnhealthyError(WorkerError):
    """The group is not at work. The operator should read the workers' logs."""

    exit_code = 1


async def check_group(settings: Settings) -> str:
    """Return a sentence about the consumer group when it is at work.

    Raises
    ------
    UnhealthyError
        When the group has no members, or a partition that workers read belongs to none of them;
        always on the embedded broker, which does not report the state of a group.
    OperatorError
        When a topic that workers read does not exist.
    """
    topics = settings.topics
    counts = await partition_counts(settings, {*topics.read_by_ingest(), topics.name("events")})
    states = await ask(settings, Admin.group_states)
    state = states.get(settings.group, "Missing")
    if state == _UNREPORTED:
        msg = "This broker does not report the state of a group: health needs Apache Kafka."
        raise UnhealthyError(msg)
    if state != _STABLE:
        raise UnhealthyError(
            f"Group {settings.group!r} is not at work: its state is {state}, not {_STABLE}."
        )
    found = await ask(settings, lambda admin: admin.describe_group(settings.group))
    held = {each for member in found.members or () for each in member.partitions}
    for topic, count in sorted(counts.items()):
        if unread := [n for n in range(count) if TopicPartition(topic, n) not in held]:
            raise UnhealthyError(
                f"Group {settings.group!r} is not at work: no worker reads {topic}-{unread[0]}."
            )
    return f"Group {settings.group!r} is at work."
