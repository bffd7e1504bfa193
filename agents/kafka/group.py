"""Refuse a consumer group that other topics share.

Kafka divides all topics of a group's members among them. A worker of another prefix would take a
part of the inputs, and append it to its own log: neither of the two would have all of them.

Rule 1. A worker asks before it joins, and again at its first assignment, before it reads a record:
        of two that start at the same moment, neither is a member when the other one asks. Where
        Kafka hides the members, because it divides anew, a worker asks again until it shows them.
Rule 2. Later it asks no more: a worker that starts in the wrong group does not end those at work.
Rule 3. A member reads all inputs of this worker or none: of two with unlike inputs each would be
        given those that the other one does not read, and one ingest would be two.
"""

from __future__ import annotations

from collections.abc import Iterable

from agents.errors import OperatorError
from agents.kafka.admin import Admin, GroupDescription, Member, ask
from agents.kafka.rights import lacking, refusal, rights
from agents.settings import Settings


async def check_group(settings: Settings, topics: Iterable[str]) -> bool:
    """Return whether Kafka has shown the members of the group: it hides them during a rebalance.

    Parameters
    ----------
    settings
        Which cluster and group.
    topics
        All topics that workers of this deployment may read, in whatever role.

    Raises
    ------
    OperatorError
        When a member reads other inputs, with the names of both, or a right is missing.
    BrokerUnreachableError
        When the cluster does not answer.
    """

    async def describe(admin: Admin) -> GroupDescription:
        return await admin.describe_group(settings.group)

    found = await ask(settings, describe)
    wanted = [each for each in rights(settings, "worker") if each.resource == "group"]
    if missing := lacking(wanted, {}, found.operations):
        raise OperatorError(refusal(settings, missing))
    if found.members is None:
        return False
    log = settings.topics.name("events")
    ours = frozenset(topics) - {log}
    for member in found.members:
        inputs = member.topics - {log}
        if inputs and inputs != ours:
            raise _shared(settings, member, inputs, ours)
    return True


def _shared(
    settings: Settings, member: Member, inputs: frozenset[str], ours: frozenset[str]
) -> OperatorError:
    more, fewer = sorted(inputs - ours), sorted(ours - inputs)
    theirs = f"reads {', '.join(more)}" if more else f"does not read {', '.join(fewer)}"
    return OperatorError(
        f"group {settings.group!r} has a member at {member.host.lstrip('/')} that {theirs}; "
        f"this worker, of prefix {settings.prefix!r}, reads {', '.join(sorted(ours))}. A group "
        "belongs to one prefix and its inputs: leave TIDEGAUGE_GROUP unset, so that it follows "
        "the prefix, or correct TIDEGAUGE_PREFIX, or stop the other worker first."
    )
