"""Apply the table of topics to a cluster, and say what is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import (
    BrokerResponseError,
    KafkaError,
    KafkaTimeoutError,
    RetriableError,
    TopicAlreadyExistsError,
    for_code,
)
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from agents.errors import BrokerUnreachableError, OperatorError
from agents.settings import Settings
from schemas.topics import DAY_MS, Topic

_BROKERS_CHOICE = -1
_CONNECT_TIMEOUT_MS = 5_000


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundTopic:
    """One row of the table beside what the cluster holds.

    Parameters
    ----------
    wanted
        The row.
    partitions
        Partitions at the cluster; None where the topic does not exist.
    differences
        Settings of one of our own topics that are not as the table has them, as sentences.
    """

    wanted: Topic
    partitions: int | None
    differences: tuple[str, ...] = ()

    @property
    def exists(self) -> bool:
        """Whether the cluster has the topic."""
        return self.partitions is not None


@contextmanager
def connected_admin(settings: Settings) -> Iterator[KafkaAdminClient]:
    """Connect to the cluster to ask and change what it holds.

    Raises
    ------
    BrokerUnreachableError
        When nobody answers, now or later in the block.
    OperatorError
        When this user may not do what was asked.
    """
    try:
        admin = KafkaAdminClient(
            **settings.connection(),
            client_id="tidegauge-admin",
            bootstrap_timeout_ms=_CONNECT_TIMEOUT_MS,
        )
        try:
            yield admin
        finally:
            admin.close()
    except BrokerResponseError as error:
        if not isinstance(error, RetriableError):
            raise OperatorError(
                f"Kafka at {settings.broker} refuses this: {error.description or error}. "
                f"The settings name user {settings.username!r}; see security_protocol, username "
                "and the user's rights."
            ) from error
        raise unreachable(settings, error) from error
    except KafkaError as error:
        raise unreachable(settings, error) from error


def unreachable(settings: Settings, error: KafkaError) -> BrokerUnreachableError:
    """Say what an operator does about a cluster that does not answer."""
    cause = "" if isinstance(error, KafkaTimeoutError) else f" ({error})"
    return BrokerUnreachableError(
        f"Kafka at {settings.broker} does not answer{cause}: start it, or set TIDEGAUGE_BROKER; "
        "`./tidegauge broker` starts one for a first look."
    )


def input_incarnations(settings: Settings) -> dict[str, str]:
    """Return, by name of each input topic, what tells it from a deleted one of the same name."""
    with connected_admin(settings) as admin:
        described = admin.describe_topics(list(settings.topics.sources().values()))
    return {topic["name"]: str(topic["topic_id"]) for topic in described}


def find_topics(settings: Settings) -> tuple[FoundTopic, ...]:
    """Return every topic of the table beside what the cluster holds."""
    with connected_admin(settings) as admin:
        return _find(admin, settings)


def partition_counts(settings: Settings) -> dict[str, int]:
    """Return how many partitions each topic of the table has, by name.

    Raises
    ------
    OperatorError
        When one does not exist.
    """
    found = find_topics(settings)
    missing = [each.wanted.name for each in found if not each.exists]
    if missing:
        raise OperatorError(
            f"{', '.join(missing)}: no such topic at {settings.broker}; is --prefix the workers'?"
        )
    return {each.wanted.name: each.partitions or 0 for each in found}


def create_topics(settings: Settings) -> tuple[FoundTopic, ...]:
    """Create the topics of the table that do not exist; leave the others as they are.

    Returns
    -------
    tuple of FoundTopic
        What was found before anything was created.

    Raises
    ------
    OperatorError
        When ``events`` exists with another number of partitions, before anything is created.
    """
    with connected_admin(settings) as admin:
        found = _find(admin, settings)
        _refuse_other_partitions(found, settings)
        missing = [each.wanted for each in found if not each.exists]
        if missing:
            answer = admin.create_topics([_new(topic) for topic in missing], raise_errors=False)
            for told in answer["topics"]:
                error = for_code(told["error_code"])
                # Somebody else was quicker: what we wanted is there.
                if told["error_code"] and error is not TopicAlreadyExistsError:
                    raise OperatorError(
                        f"topic {told['name']!r} was not created: {error.description} "
                        f"({told['error_message']})"
                    )
            admin.wait_for_topics([topic.name for topic in missing])
    return found


def _new(topic: Topic) -> NewTopic:
    return NewTopic(topic.name, topic.partitions, _BROKERS_CHOICE, topic_configs=topic.config())


def _find(admin: KafkaAdminClient, settings: Settings) -> tuple[FoundTopic, ...]:
    table = settings.topics.table()
    existing = set(admin.list_topics())
    names = [topic.name for topic in table if topic.name in existing]
    if not names:
        return tuple(FoundTopic(wanted=topic, partitions=None) for topic in table)
    partitions = {
        described["name"]: len(described["partitions"])
        for described in admin.describe_topics(names)
    }
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    configs = admin.describe_configs(resources, config_filter="all")["topic"]
    return tuple(
        FoundTopic(
            wanted=topic,
            partitions=partitions.get(topic.name),
            differences=_differences(topic, configs[topic.name], settings)
            if topic.name in configs
            else (),
        )
        for topic in table
    )


def _differences(topic: Topic, config: dict[str, Any], settings: Settings) -> tuple[str, ...]:
    if not topic.name.startswith(settings.prefix):
        return ()  # an input: its settings are its owner's choice
    return tuple(
        f"{name} is {config[name]['value']}, the table has {wanted}"
        for name, wanted in topic.config().items()
        if name in config and config[name]["value"] != wanted
    )


def other_partitions(topic: str, found: int | None, settings: Settings) -> OperatorError:
    """Say what an operator does about a topic with another number of partitions."""
    return OperatorError(
        f"topic {topic!r} has {found} partitions, the settings ask for {settings.partitions}. A "
        "model's records stay in one partition for the life of the topic: set "
        f"TIDEGAUGE_PARTITIONS={found}, or begin anew with another TIDEGAUGE_PREFIX and "
        "TIDEGAUGE_GROUP."
    )


def _refuse_other_partitions(found: tuple[FoundTopic, ...], settings: Settings) -> None:
    for each in found:
        if each.wanted.role == "events" and each.partitions not in {None, settings.partitions}:
            raise other_partitions(each.wanted.name, each.partitions, settings)


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
