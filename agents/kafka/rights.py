"""Rights in Kafka: the least that each part of a deployment needs, and those that a user lacks.

They follow from the table of topics. READ and WRITE imply DESCRIBE. An idempotent producer needs
WRITE on any topic and no right on the cluster (Kafka 2.8 and later).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import yaml

from agents.settings import Settings
from schemas.topics import Part, Topic, TopicRole

Operation = Literal["READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"]
_CODES: dict[Operation, int] = {"READ": 3, "WRITE": 4, "DESCRIBE": 8, "DESCRIBE_CONFIGS": 10}
"""Kafka's codes (AclOperation): bit n of a field of operations is that of code n."""
_UNASKED = -(2**31)
"""Such a field of a broker that does not know it."""
_RESTORED: frozenset[TopicRole] = frozenset({"events", "state"})
"""Topics of ours that a worker also reads."""
_PUBLISHED: frozenset[TopicRole] = frozenset({"predictions", "outcomes"})
_COMMANDED: frozenset[TopicRole] = frozenset({"models", "controls", "reports", "outcomes"})
"""Topics that people write to: commands, and what they say about answers."""
_NOTIFIED: frozenset[TopicRole] = frozenset({"alerts", "status"})
_OF_INCIDENTS: dict[TopicRole, list[Operation]] = {
    "alerts": ["READ"],
    "incidents": ["READ", "WRITE"],
}
_SPELT: dict[Operation, str] = {
    "READ": "Read",
    "WRITE": "Write",
    "DESCRIBE": "Describe",
    "DESCRIBE_CONFIGS": "DescribeConfigs",
}


class Right(NamedTuple):
    """An operation on a topic or a consumer group, or on all groups with a prefix."""

    operation: Operation
    resource: Literal["topic", "group"]
    name: str
    is_prefix: bool = False


def rights(settings: Settings, part: Part) -> list[Right]:
    """Return the least rights of a part of the deployment.

    Parameters
    ----------
    settings
        Names of topics and of the group. Where `role` is not ``both``, those of such a worker.
    part
        ``worker``; ``incidents``; ``notify``; ``page`` and ``reader`` (status, tail, verify,
        health) only read;
        ``producer``, a service that publishes predictions and outcomes; ``operator``, a person who
        sends commands about models and alerts.
    """
    found = [
        Right(operation, "topic", topic.name)
        for topic in settings.topics.table()
        for operation in _operations(topic, settings, part)
    ]
    if part == "reader" or (part == "worker" and settings.role != "monitor"):
        own = {topic.name for topic in settings.topics.table()}
        found += [
            Right("READ", "topic", name) for name in settings.topics.mapped if name not in own
        ]
    match part:
        case "worker":
            found.append(Right("READ", "group", settings.group))
        case "page" | "reader" | "operator":
            found.append(Right("DESCRIBE", "group", settings.group))
        case "notify":
            found.append(Right("READ", "group", f"{settings.group}.notify.", is_prefix=True))
    return found


def _operations(topic: Topic, settings: Settings, part: Part) -> list[Operation]:
    match part:
        case "worker":
            return _of_worker(topic, settings)
        case "producer":
            return ["WRITE"] if topic.role in _PUBLISHED else []
        case "notify":
            return ["READ"] if topic.role in _NOTIFIED else []
        case "incidents":
            return _OF_INCIDENTS.get(topic.role, [])
        case "operator" if topic.role in _COMMANDED:
            return ["READ", "WRITE"]
    return ["READ"]


def _of_worker(topic: Topic, settings: Settings) -> list[Operation]:
    ingests, monitors = settings.role != "monitor", settings.role != "ingest"
    reads = (topic.is_input and ingests) or (topic.role in _RESTORED and monitors)
    writes = (topic.role in {"events", "dead_letters"} and ingests) or (
        (topic.is_output or topic.role == "state") and monitors
    )
    found: list[Operation] = []
    if reads:
        found.append("READ")
    if writes:
        found.append("WRITE")
    if topic.is_kept_from_append and found:
        found.append("DESCRIBE_CONFIGS")
    return found


def lacking(
    wanted: Iterable[Right], topics: Mapping[str, int], group: int | None = None
) -> list[Right]:
    """Return those of the rights that the user does not have.

    Parameters
    ----------
    wanted
        The rights.
    topics
        The field of operations of each topic, as Kafka answers it.
    group
        That of the group; None where it was not asked for.
    """
    fields = {("topic", name): field for name, field in topics.items()}
    found = []
    for right in wanted:
        field = group if right.resource == "group" else fields.get((right.resource, right.name))
        is_known = field not in {None, 0, _UNASKED}
        if is_known and field is not None and not field & (1 << _CODES[right.operation]):
            found.append(right)
    return found


def refusal(settings: Settings, missing: Sequence[Right]) -> str:
    """Return the sentence that names missing rights, with the remedy."""
    named = ", ".join(f"{each.operation} on {each.resource} {each.name}" for each in missing)
    principal = f"User:{settings.username or 'NAME'}"
    return (
        f"{settings.whose_user} lacks {named} at Kafka ({settings.broker}): "
        f"`./tidegauge acls --principal {principal}` prints the rights that are needed"
    )


def as_commands(settings: Settings, wanted: Sequence[Right], principal: str) -> list[str]:
    """Return the commands of Kafka's kafka-acls.sh that give these rights."""
    lines = []
    for (resource, name, is_prefix), operations in _by_resource(wanted).items():
        named = " ".join(f"--operation {_SPELT[each]}" for each in operations)
        pattern = " --resource-pattern-type prefixed" if is_prefix else ""
        lines.append(
            f"kafka-acls.sh --bootstrap-server {settings.broker} --add --allow-principal "
            f"'{principal}' {named} --{resource} '{name}'{pattern}"
        )
    return lines


def as_yaml(wanted: Sequence[Right], principal: str) -> str:
    """Return the rights as a KafkaUser of Strimzi, the operator of Kafka on Kubernetes."""
    acls = [
        {
            "resource": {
                "type": resource,
                "name": name,
                "patternType": "prefix" if is_prefix else "literal",
            },
            "operations": [_SPELT[each] for each in operations],
        }
        for (resource, name, is_prefix), operations in _by_resource(wanted).items()
    ]
    user = {
        "apiVersion": "kafka.strimzi.io/v1beta2",
        "kind": "KafkaUser",
        "metadata": {"name": principal.partition(":")[2] or principal},
        "spec": {"authorization": {"type": "simple", "acls": acls}},
    }
    text: str = yaml.safe_dump(user, sort_keys=False)
    return text


def _by_resource(wanted: Iterable[Right]) -> dict[tuple[str, str, bool], list[Operation]]:
    found: defaultdict[tuple[str, str, bool], list[Operation]] = defaultdict(list)
    for right in wanted:
        found[right.resource, right.name, right.is_prefix].append(right.operation)
    return found
