"""Ask a cluster about topics and groups, and create topics."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple, TypeVar

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.protocol import (
    ConsumerProtocol,
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)
from aiokafka.errors import (
    BrokerResponseError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    KafkaTimeoutError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_delay,
    wait_fixed,
)

from agents.errors import BrokerUnreachableError, OperatorError
from agents.kafka.wire import DescribeGroupRequest, ListGroupsRequest, MetadataRequest
from agents.settings import Settings
from schemas.topics import Topic

ASK_S = 10.0
"""Seconds for which a question is repeated: a broker that restarts is back within a few."""
RETRY_S = 0.5
"""Seconds between two attempts. A broker on the same machine starts in 2 to 5 s."""
_REQUEST_MS = 5_000
"""Milliseconds for one connection or one answer, half of `ASK_S`: a second attempt fits in."""
_WAIT_S = 0.05
"""Seconds between two looks for a new topic; Kafka announces one within some 100 ms."""
_BROKERS_CHOICE = -1
"""The replication factor by which Kafka takes its own default (KIP-464)."""
_ABSENT = (UnknownTopicOrPartitionError.errno, TopicAuthorizationFailedError.errno)
"""Kafka hides a topic that a user may not see, or names it and refuses to describe it."""
_REBALANCING = ("PreparingRebalance", "CompletingRebalance")
"""Kafka's states of a group between two assignments."""
_log = logging.getLogger(__name__)
T = TypeVar("T")


class TopicDescription(NamedTuple):
    """A topic as the cluster holds it.

    Parameters
    ----------
    partitions
        Number of partitions.
    topic_id
        Distinguishes it from a deleted topic of the same name.
    is_ready
        Whether every partition has a leader.
    operations
        What the user may do with it, as `agents.kafka.rights.lacking` takes it.
    """

    partitions: int
    topic_id: str
    is_ready: bool
    operations: int = 0


class Member(NamedTuple):
    """A member of a consumer group.

    Parameters
    ----------
    host
        Where it is.
    topics
        The topics to which it subscribes.
    partitions
        Those that it has been given.
    """

    host: str
    topics: frozenset[str]
    partitions: frozenset[TopicPartition] = frozenset()


class GroupDescription(NamedTuple):
    """A consumer group.

    Parameters
    ----------
    members
        None during a rebalance, when Kafka hides them. The embedded broker never reports the topics
        of a member, which is then left out.
    operations
        What the user may do with it, as `agents.kafka.rights.lacking` takes it.
    """

    members: list[Member] | None
    operations: int


class Admin(AIOKafkaAdminClient):  # type: ignore[misc]  # aiokafka is untyped
    """aiokafka's client for administration, with answers as plain types."""

    async def describe(self, names: Iterable[str]) -> dict[str, TopicDescription]:
        """Return those of the topics that exist, by name."""
        return topics_of(await self._send_request(MetadataRequest(list(names))))

    async def topic_settings(self, names: Iterable[str]) -> dict[str, dict[str, str | None]]:
        """Return the settings of existing topics, by topic and name of the setting."""
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        found: dict[str, dict[str, str | None]] = {}
        for answer in await self.describe_configs(resources) if resources else ():
            for error_code, message, _, name, settings in answer.resources:
                if error_code:
                    raise for_code(error_code)(message)
                found[name] = {setting: value for setting, value, *_ in settings}
        return found

    async def create(self, topics: Sequence[Topic]) -> None:
        """Create topics; return when all of them can be used.

        Raises
        ------
        OperatorError
            When Kafka refuses one of them.
        """
        # An assignment of replicas that is empty is the only form that aiokafka accepts here.
        wanted = [
            NewTopic(topic.name, topic.partitions, _BROKERS_CHOICE, {}, topic.config())
            for topic in topics
        ]
        answer = await self.create_topics(wanted)
        for name, error_code, message in answer.topic_errors:
            error = for_code(error_code)
            # Another process was faster: the topic exists.
            if error_code and error is not TopicAlreadyExistsError:
                raise OperatorError(
                    f"topic {name!r} was not created: {error.description} ({message})"
                )
        names = [topic.name for topic in topics]
        async with asyncio.timeout(ASK_S):
            while True:
                found = await self.describe(names)
                if all(name in found and found[name].is_ready for name in names):
                    return
                await asyncio.sleep(_WAIT_S)

    async def group_states(self) -> dict[str, str]:
        """Return the state of every consumer group of the cluster, by group."""
        states: dict[str, str] = {}
        for broker in self._client.cluster.brokers():
            answer = await self._send_request(ListGroupsRequest(), broker.nodeId)
            if answer.error_code:
                raise for_code(answer.error_code)
            states |= {group: state for group, _, state, _ in answer.groups}
        return states

    async def describe_group(self, group: str) -> GroupDescription:
        """Return the members of a consumer group, and the user's rights on it."""
        coordinator = await self.find_coordinator(group)
        answer = await self._send_request(DescribeGroupRequest(group), coordinator)
        ((error_code, _, state, protocol_type, _, described, operations),) = answer.groups
        if error_code:
            raise for_code(error_code)
        if state in _REBALANCING:
            return GroupDescription(None, operations)
        members = [
            _member(host, metadata, assignment)
            for _, _, host, metadata, assignment in described
            if metadata and protocol_type == ConsumerProtocol.PROTOCOL_TYPE
        ]
        return GroupDescription(members, operations)

    async def committed(
        self, group: str, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """Return the offsets that a group has committed in these partitions.

        The partitions are named: the embedded broker closes the connection of a client that asks
        for all of a group.
        """
        found = await self.list_consumer_group_offsets(group, partitions=list(partitions))
        return {partition: each.offset for partition, each in found.items() if each.offset >= 0}


def _member(host: str, metadata: bytes, assignment: bytes) -> Member:
    given = ConsumerProtocolMemberAssignment.decode(assignment).assignment if assignment else ()
    return Member(
        host,
        frozenset(ConsumerProtocolMemberMetadata.decode(metadata).subscription),
        frozenset(TopicPartition(topic, number) for topic, numbers in given for number in numbers),
    )


def topics_of(answer: Any) -> dict[str, TopicDescription]:
    """Return the topics that exist, by name, of the answer to a `MetadataRequest`."""
    return {
        name: TopicDescription(
            partitions=len(partitions),
            topic_id=str(uuid.UUID(bytes=topic_id)),
            is_ready=not any(partition_error for partition_error, *_ in partitions),
            operations=operations,
        )
        for error_code, name, topic_id, _, partitions, operations, *_ in answer.topics
        if error_code not in _ABSENT
    }


async def ask(settings: Settings, question: Callable[[Admin], Awaitable[T]]) -> T:
    """Connect, ask, disconnect; repeat this for `ASK_S` while the cluster does not answer.

    Parameters
    ----------
    settings
        Which cluster.
    question
        Uses the client. It may be called more than once.

    Raises
    ------
    BrokerUnreachableError
        When the cluster does not answer.
    OperatorError
        When the cluster refuses the request.
    """

    def log_first(state: RetryCallState) -> None:
        if state.attempt_number == 1 and state.outcome is not None:
            error = state.outcome.exception()
            _log.warning("Kafka at %s does not answer yet: %s", settings.broker, error)

    retrying = AsyncRetrying(
        retry=retry_if_exception(_may_pass),
        stop=stop_after_delay(ASK_S),
        wait=wait_fixed(RETRY_S),
        before_sleep=log_first,
        reraise=True,
    )

    async def attempt() -> T:
        async with _connected(settings) as admin:
            return await question(admin)

    with explained(settings):
        answer: T = await retrying(attempt)
        return answer


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[Admin]:
    admin = Admin(
        **settings.connection(), client_id="tidegauge-admin", request_timeout_ms=_REQUEST_MS
    )
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, TimeoutError) or (isinstance(error, KafkaError) and error.retriable)


@contextmanager
def explained(settings: Settings, action: str = "") -> Iterator[None]:
    """Replace an error of the Kafka client in the block by one sentence for the operator.

    Parameters
    ----------
    settings
        Which cluster.
    action
        The action that failed, as in "alerts-0 could not be read".

    Raises
    ------
    BrokerUnreachableError
        When the cluster does not answer.
    OperatorError
        When the cluster refuses the request.
    """
    try:
        yield
    except NotImplementedError as error:  # aiokafka's, where it and the broker share no version
        msg = f"Kafka at {settings.broker} is too old: version 2.8 or later is needed."
        raise OperatorError(msg) from error
    except (KafkaError, TimeoutError) as error:
        if isinstance(error, BrokerResponseError) and not error.retriable:
            if denied := denial(error):
                raise OperatorError(
                    f"{action and f'{action}: '}{settings.whose_user} {denied} at Kafka "
                    f"({settings.broker}); `./tidegauge acls` prints the rights that are needed"
                ) from error
            raise OperatorError(
                f"Kafka at {settings.broker} refuses this: {action and f'{action}: '}{error}. The "
                f"settings name user {settings.username!r}; see security_protocol, username and "
                "the user's rights."
            ) from error
        reason = ": ".join(filter(None, (action, _cause(error))))
        raise BrokerUnreachableError(
            f"Kafka at {settings.broker} does not answer{reason and f' ({reason})'}: start it, or "
            "set TIDEGAUGE_BROKER; `./tidegauge broker` starts one for a first look."
        ) from error


def denial(error: BaseException) -> str | None:
    """Return the words for a right that Kafka says is missing; None for any other error."""
    match error:
        case TopicAuthorizationFailedError():
            return f"lacks a right on {_named(error, 'topic')}"
        case GroupAuthorizationFailedError():
            return f"lacks READ on {_named(error, 'group')}"
        case ClusterAuthorizationFailedError():
            return "lacks a right on the cluster"
    return None


def _named(error: KafkaError, resource: str) -> str:
    """Return the resources that an error holds: aiokafka gives a name, a set of them, or none."""
    if not error.args:
        return f"a {resource}"
    (names,) = error.args
    if isinstance(names, str):
        names = names.removeprefix("Unable to get coordinator id for ")
    return f"{resource} {names if isinstance(names, str) else ', '.join(sorted(names))}"


def _cause(error: KafkaError | TimeoutError) -> str:
    """Return the part of an error that adds to "does not answer"."""
    is_plain = isinstance(error, TimeoutError | KafkaTimeoutError) or "bootstrap" in str(error)
    return "" if is_plain else str(error)


def missing_topics(names: Iterable[str], broker: str) -> OperatorError:
    """Return the error that names missing topics, with the remedy."""
    return OperatorError(
        f"{', '.join(sorted(names))}: no such topic at {broker}, or none that this user may see; "
        "run `./tidegauge topics create`, or correct --prefix or the sources"
    )


async def describe_topics(settings: Settings, names: Iterable[str]) -> dict[str, TopicDescription]:
    """Return topics as the cluster holds them, by name.

    Raises
    ------
    OperatorError
        When one of them does not exist.
    """
    wanted = set(names)
    found = await ask(settings, lambda admin: admin.describe(wanted))
    if missing := wanted - found.keys():
        raise missing_topics(missing, settings.broker)
    return found


async def partition_counts(settings: Settings, names: Iterable[str]) -> dict[str, int]:
    """Return the number of partitions of topics, by name; see `describe_topics`."""
    return {
        name: each.partitions for name, each in (await describe_topics(settings, names)).items()
    }


async def input_incarnations(settings: Settings) -> dict[str, str]:
    """Return the id of each existing input topic, by name; a topic created again has another."""
    return {name: each.topic_id for name, each in (await _inputs(settings)).items()}


async def input_partitions(settings: Settings) -> dict[str, int]:
    """Return the number of partitions of each existing input topic, by name."""
    return {name: each.partitions for name, each in (await _inputs(settings)).items()}


async def _inputs(settings: Settings) -> dict[str, TopicDescription]:
    names = settings.topics.read_by_ingest()
    return await ask(settings, lambda admin: admin.describe(names))
