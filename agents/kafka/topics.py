"""Apply the table of topics to a cluster, and compare the two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import orjson
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from agents.errors import OperatorError
from agents.kafka.admin import Admin, ask
from agents.settings import Settings
from schemas.topics import DAY_MS, Topic


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundTopic:
    """One row of the table beside the topic at the cluster.

    Parameters
    ----------
    wanted
        The row.
    partitions
        Partitions at the cluster; None where the topic does not exist.
    differences
        Settings of one of our own topics that differ from the table, as sentences.
    """

    wanted: Topic
    partitions: int | None
    differences: tuple[str, ...] = ()

    @property
    def exists(self) -> bool:
        """Whether the cluster has the topic."""
        return self.partitions is not None


async def find_topics(settings: Settings) -> tuple[FoundTopic, ...]:
    """Return every topic of the table beside the one at the cluster.

    Raises
    ------
    BrokerUnreachableError, OperatorError
        When the cluster does not answer, or refuses.
    """
    return await ask(settings, lambda admin: _find(admin, settings))


async def create_topics(settings: Settings) -> tuple[FoundTopic, ...]:
    """Create the topics of the table that do not exist; leave the others as they are.

    Returns
    -------
    tuple of FoundTopic
        The topics before anything was created.

    Raises
    ------
    OperatorError
        When ``events`` exists with another number of partitions, before anything is created.
    BrokerUnreachableError
        When the cluster does not answer.
    """
    found = await find_topics(settings)
    for each in found:
        if each.wanted.role == "events" and each.partitions not in {None, settings.partitions}:
            raise other_partitions(each.wanted.name, each.partitions, settings)
    if missing := [each.wanted for each in found if not each.exists]:
        await ask(settings, lambda admin: admin.create(missing))
    return found


async def _find(admin: Admin, settings: Settings) -> tuple[FoundTopic, ...]:
    table = settings.topics.table()
    existing = await admin.describe(topic.name for topic in table)
    configs = await admin.topic_settings(existing)
    return tuple(
        FoundTopic(
            wanted=topic,
            partitions=existing[topic.name].partitions if topic.name in existing else None,
            differences=_differences(topic, configs.get(topic.name, {}), settings),
        )
        for topic in table
    )


def _differences(
    topic: Topic, config: Mapping[str, str | None], settings: Settings
) -> tuple[str, ...]:
    if not topic.name.startswith(settings.prefix):
        return ()  # an input: its settings are its owner's choice
    return tuple(
        f"{name} is {config[name]}, the table has {wanted}"
        for name, wanted in topic.config().items()
        if name in config and config[name] != wanted
    )


async def check_topic_settings(settings: Settings, names: Iterable[str]) -> None:
    """Refuse topics of ours by which records would be lost, or instants be wrong.

    These are `cleanup.policy`, a shorter `retention.ms`, and `message.timestamp.type`.

    Raises
    ------
    OperatorError
        With the remedy for the first of them.
    BrokerUnreachableError
        When the cluster does not answer.
    """
    wanted = {
        topic.name: topic
        for topic in settings.topics.table()
        if topic.is_kept_from_append and topic.name in set(names)
    }
    found = await ask(settings, lambda admin: admin.topic_settings(wanted))
    for name, topic in wanted.items():
        if harmful := _harmful(topic, found.get(name, {})):
            setting, has, remedy = harmful
            raise OperatorError(
                f"topic {name!r} has {setting}={has}, and records would be lost or misdated: "
                f"`kafka-configs.sh --bootstrap-server {settings.broker} --alter --entity-type "
                f"topics --entity-name {name} --add-config {setting}={remedy}`, then start again"
            )


def _harmful(topic: Topic, config: Mapping[str, str | None]) -> tuple[str, str, str] | None:
    """Return a setting of one of our topics that does harm: its name, its value, the right one."""
    wanted = topic.config()
    for name in ("cleanup.policy", "message.timestamp.type"):
        if (has := config.get(name)) is not None and has != wanted[name]:
            return name, has, wanted[name]
    kept = config.get("retention.ms")
    if topic.cleanup == "delete" and kept is not None and 0 <= int(kept) < topic.retention_ms:
        return "retention.ms", kept, wanted["retention.ms"]
    return None


def other_partitions(topic: str, found: int | None, settings: Settings) -> OperatorError:
    """Return the error for a topic with another number of partitions, with the remedy."""
    return OperatorError(
        f"topic {topic!r} has {found} partitions, the settings ask for {settings.partitions}. The "
        "records of a model stay in one partition for the life of the topic: set "
        f"TIDEGAUGE_PARTITIONS={found}, or start from nothing with another TIDEGAUGE_PREFIX "
        "and, where it is set, another TIDEGAUGE_GROUP."
    )


def as_table(found: tuple[FoundTopic, ...]) -> Table:
    """Return the topics as a table for a terminal."""
    table = Table(box=SIMPLE_HEAD)
    table.add_column("topic", no_wrap=True)
    for heading in ("exists", "partitions", "kept", "purpose"):
        table.add_column(heading)
    for each in found:
        topic = each.wanted
        days = topic.retention_ms / DAY_MS
        table.add_row(
            topic.name,
            Text("yes", "green") if each.exists else Text("no", "yellow"),
            str(each.partitions or topic.partitions),
            "for ever" if days < 0 else f"{days:g} days",
            topic.purpose,
        )
    return table


def as_json_line(found: FoundTopic) -> str:
    """Return a topic as one line of JSON."""
    topic = found.wanted
    fields = {
        "role": topic.role,
        "name": topic.name,
        "exists": found.exists,
        "partitions": found.partitions or topic.partitions,
        "key": topic.key,
        "config": topic.config(),
        "differences": found.differences,
        "purpose": topic.purpose,
    }
    return orjson.dumps(fields).decode()
