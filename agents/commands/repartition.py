"""Move a deployment to topics of another prefix, with another number of partitions.

Rule 1. Nothing is moved while workers are at work, or while a record of ``events`` or a command of
        operators is not applied: state and commits would not belong together.
Rule 2. The state of each model becomes the origin of its new partition: workers, `verify` and a
        rebuilding begin with it (`streams.state.view`, Rule 8).
Rule 3. The commits in the inputs are copied last. A worker of the new group that starts before that
        reads the inputs from their beginning, and the models pass over what they know.
Rule 4. The new topics must be empty: of a move that was cut short nobody knows how far it came.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP

from agents.errors import OperatorError
from agents.kafka.admin import ask, input_incarnations, partition_counts
from agents.kafka.read import LogReader
from agents.kafka.topics import create_topics
from agents.settings import Settings
from agents.worker.publish import Outgoing, Publisher
from schemas.event import Source
from schemas.model_spec import ModelSpec
from schemas.topics import TopicRole, model_partition
from streams.state.records import StateRecord, origin_commits_record, origin_record
from streams.state.view import StateView

_APPLIED: Mapping[TopicRole, str] = {
    "events": "start a worker with --role monitor, and stop it when there are none",
    "controls": "start a worker, and stop it when there are none",
}
"""What must be applied to its end (Rule 1), with the remedy."""
RECORDS_AT_ONCE = 1_000
"""Records of one call of the publisher."""


async def repartition(source: Settings, target: Settings) -> str:
    """Move all models, and return a sentence for the operator.

    Parameters
    ----------
    source, target
        The deployment that has stopped, and the one that is to continue it.

    Raises
    ------
    OperatorError
        When the source is at work or behind, its state is damaged, or the target holds records.
    BrokerUnreachableError
        When Kafka does not answer.
    """
    if source.prefix == target.prefix or source.group == target.group:
        msg = (
            f"prefix {source.prefix!r} with group {source.group!r} cannot be moved to prefix "
            f"{target.prefix!r} with group {target.group!r}: name another prefix with --to, and "
            "leave TIDEGAUGE_GROUP unset"
        )
        raise OperatorError(msg)
    names = {*[topic.name for topic in source.topics.table()], *source.topics.read_by_ingest()}
    counts = await partition_counts(source, names)
    await _refuse_at_work(source)
    commits = await _commits(source, counts)
    await _refuse_behind(source, counts, commits)
    await create_topics(target)
    await _refuse_filled(target)
    models = await _move_state(source, target, counts, commits)
    await _copy_commits(source, target, commits)
    return (
        f"Moved {models:,} models to {target.partitions} partitions. Start workers with "
        f"TIDEGAUGE_PREFIX={target.prefix} and TIDEGAUGE_PARTITIONS={target.partitions}, and keep "
        f"TIDEGAUGE_DEPLOYMENT={source.deployment}, so that open pages stay the same ones."
    )


async def _refuse_at_work(source: Settings) -> None:
    group = await ask(source, lambda admin: admin.describe_group(source.group))
    if group.members is None or group.members:
        msg = f"group {source.group!r} has workers: stop them first"
        raise OperatorError(msg)


async def _commits(source: Settings, counts: Mapping[str, int]) -> dict[TP, int]:
    topics = (*source.topics.read_by_ingest(), source.topics.name("events"))
    partitions = [TopicPartition(each, n) for each in topics for n in range(counts[each])]
    found = await ask(source, lambda admin: admin.committed(source.group, partitions))
    return {TP(*partition): offset for partition, offset in found.items()}


async def _refuse_behind(
    source: Settings, counts: Mapping[str, int], commits: Mapping[TP, int]
) -> None:
    reader = LogReader(source)
    for role, remedy in _APPLIED.items():
        topic = source.topics.name(role)
        left = sum(
            [
                await reader.end((topic, n)) - commits.get(TP(topic, n), 0)
                for n in range(counts[topic])
            ]
        )
        if left:
            msg = f"{left:,} records of {topic} are not applied: {remedy}"
            raise OperatorError(msg)


async def _refuse_filled(target: Settings) -> None:
    reader = LogReader(target)
    for role in ("events", "state"):
        topic = target.topics.name(role)
        if any([await reader.end((topic, n)) for n in range(target.partitions)]):
            msg = f"{topic} holds records: name another prefix with --to, or delete its topics"
            raise OperatorError(msg)


async def _move_state(
    source: Settings, target: Settings, counts: Mapping[str, int], commits: Mapping[TP, int]
) -> int:
    """Copy the state of every model, with its origin; return how many there are."""
    publisher = Publisher(target.connection())
    await publisher.start()
    models = 0
    ids = await input_incarnations(source)
    taken = {
        Source("prediction", *tp, ids.get(tp.topic, "")).name: offset
        for tp, offset in commits.items()
    }
    try:
        await _send(publisher, target, 0, [origin_commits_record(taken)])
        for partition in range(counts[source.topics.name("events")]):
            view = await _read_state(source, partition)
            commit = commits.get(TP(source.topics.name("events"), partition), 0)
            found = view.restore(commit, _spec_of, source.topics.name("labelled"))
            if found.losses:
                msg = f"state of partition {partition} cannot be used: {'; '.join(found.losses)}"
                raise OperatorError(msg)
            for model_id, restored in found.models.items():
                moved = view.moved(model_id, restored.model)
                at = model_partition(model_id, target.partitions)
                await _send(publisher, target, at, map(origin_record, moved))
                await _send(publisher, target, at, moved)
            models += len(found.models)
    finally:
        await publisher.stop()
    return models


async def _read_state(source: Settings, partition: int) -> StateView:
    view = StateView(partition)
    async for records in LogReader(source).read((source.topics.name("state"), partition)):
        for record in records:
            view.take(StateRecord(record.key, record.value))
    return view


async def _send(
    publisher: Publisher, target: Settings, partition: int, records: Iterable[StateRecord]
) -> None:
    topic = target.topics.name("state")
    batch = [Outgoing(topic, partition, each.key, each.value, None) for each in records]
    for first in range(0, len(batch), RECORDS_AT_ONCE):
        await publisher.send(batch[first : first + RECORDS_AT_ONCE])


async def _copy_commits(source: Settings, target: Settings, commits: Mapping[TP, int]) -> None:
    """Have the new group go on where the old one stopped (Rule 3); ``controls`` has other names."""
    own = {source.topics.name("events"), source.topics.name("controls")}
    ids = await input_incarnations(source)
    offsets = {
        TopicPartition(*tp): OffsetAndMetadata(offset, ids.get(tp.topic, ""))
        for tp, offset in commits.items()
        if tp.topic not in own
    }
    consumer = AIOKafkaConsumer(
        **target.connection(), group_id=target.group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign(list(offsets))
        if offsets:
            await consumer.commit(offsets)
    finally:
        await consumer.stop()


def _spec_of(_model_id: str) -> ModelSpec:
    return ModelSpec()
