"""Check the promise on a cluster: what was published equals a pure replay of the log.

The order matters while workers run: first the commits, then what was published, then the log. So
whatever a commit covers must have been published, and whatever was published the log must call for.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CoordinatorNotAvailableError, KafkaError, NotCoordinatorError
from faust.types import TP
from rich.console import Console
from rich.table import Table

from agents.errors import BrokerUnreachableError, OperatorError
from agents.kafka.log_reader import LogReader
from agents.kafka.topics import input_incarnations, partition_counts
from agents.settings import Settings
from schemas.dead_letter import DeadLetter
from schemas.event import decode_events
from schemas.topics import TopicRole
from streams.audit import Findings, InputAudit, OutputAudits, output_audits
from streams.monitor import Monitor

_COORDINATOR_TRIES = 20
_COORDINATOR_PAUSE_S = 0.5


def verify(settings: Settings, console: Console) -> int:
    """Audit the deployment and print a table; return 0 only when everything is equal."""
    findings, inputs = audit(settings, console)
    console.print(_as_table(findings))
    console.print(
        f"{inputs.inputs:,} inputs are committed, {inputs.lost:,} of them are lost. Of the events "
        f"in the log {inputs.passed_over:,} are passed over, {inputs.taken_twice:,} taken twice; "
        f"{inputs.repeated:,} repetitions are dropped."
    )
    is_equal = all(each.is_equal for each in findings.values()) and inputs.is_equal
    verdict = "Equal: nothing is lost, nothing was made up." if is_equal else "Not equal."
    console.print(verdict)
    return 0 if is_equal else 1


def audit(settings: Settings, console: Console) -> tuple[dict[TopicRole, Findings], InputAudit]:
    """Audit the deployment; return what was found, by output topic and of the inputs."""
    try:
        return asyncio.run(_Verifier(settings, console).run())
    except KafkaError as error:
        msg = f"Kafka at {settings.broker} cannot be read: {error}"
        raise BrokerUnreachableError(msg) from error


class _Verifier:
    def __init__(self, settings: Settings, console: Console) -> None:
        self._settings = settings
        self._topics = settings.topics
        self._reader = LogReader(settings.connection())
        self._console = console
        self._partitions: dict[str, int] = {}

    async def run(self) -> tuple[dict[TopicRole, Findings], InputAudit]:
        # Asked before any is named: the broker in memory makes a topic that a client names.
        self._partitions = await asyncio.to_thread(partition_counts, self._settings)
        commits = await self._commits()
        audits = output_audits(self._topics)
        inputs = InputAudit()
        for role, audit in audits.items():
            async for record in self._records(role):
                audit.on_published(record.key.decode(), record.value)
        async for record in self._records("dead_letters"):
            letter = DeadLetter.model_validate_json(record.value)
            inputs.on_taken(letter.dead_letter_id.rpartition("/")[0], letter.offset)
        await self._replay(audits, inputs, commits)
        incarnations = await asyncio.to_thread(input_incarnations, self._settings)
        for topic in self._topics.inputs():
            async for record in self._records(topic.role):
                if record.offset < commits.get(TP(record.topic, record.partition), 0):
                    source = f"{record.topic}@{incarnations[record.topic]}/{record.partition}"
                    inputs.on_input(source, record.offset)
        return {role: audit.close() for role, audit in audits.items()}, inputs

    async def _replay(
        self,
        audits: OutputAudits,
        inputs: InputAudit,
        commits: dict[TP, int],
    ) -> None:
        monitors: dict[int, Monitor] = {}
        events_in: Counter[int] = Counter()
        events = self._topics.name("events")
        async for record in self._records("events"):
            monitor = monitors.get(record.partition)
            if monitor is None:
                monitor = monitors[record.partition] = Monitor(record.partition, self._topics)
                self._refuse_cut_log(record)
            batch = decode_events(record.value)
            names = [source.name for source in batch.sources]
            for source, offset in zip(batch.source_index, batch.source_offset, strict=True):
                if batch.sources[source].kind == "refused":
                    continue  # it is counted among the dead letters
                events_in[record.partition] += inputs.on_taken(names[source], offset)
            is_due = record.offset < commits.get(TP(events, record.partition), 0)
            for emission in monitor.apply(record.offset, record.value):
                key = emission.key or emission.model_id
                audits[emission.role].on_called_for(key, emission.value, is_due=is_due)
        for partition, monitor in monitors.items():
            taken = sum(model.taken for model in monitor.models.values())
            inputs.on_replayed(events_in[partition], taken)

    def _refuse_cut_log(self, record: ConsumerRecord) -> None:
        if record.offset > 0:
            msg = (
                f"{record.topic}-{record.partition} begins at offset {record.offset}: what came "
                "before is gone by retention, so nothing can be compared"
            )
            raise OperatorError(msg)

    async def _commits(self) -> dict[TP, int]:
        # Named one by one: the broker in memory hangs up on who asks for all of a group.
        asked = [
            TopicPartition(topic, partition)
            for topic in (*self._topics.sources().values(), self._topics.name("events"))
            for partition in range(self._partitions[topic])
        ]
        known = await self._known_commits(asked)
        commits = {TP(*tp): each.offset for tp, each in known.items() if each.offset >= 0}
        if not commits:
            msg = (
                f"group {self._settings.group!r} has committed nothing at {self._settings.broker}, "
                "so there is nothing to check: name the workers' group with --group"
            )
            raise OperatorError(msg)
        return commits

    async def _known_commits(self, asked: list[TopicPartition]) -> dict[TopicPartition, Any]:
        for _ in range(_COORDINATOR_TRIES):
            # A cluster that has never had a group makes the groups' own topic when asked first.
            with contextlib.suppress(CoordinatorNotAvailableError, NotCoordinatorError):
                async with self._admin() as admin:
                    known: dict[TopicPartition, Any] = await admin.list_consumer_group_offsets(
                        self._settings.group, partitions=asked
                    )
                    return known
            await asyncio.sleep(_COORDINATOR_PAUSE_S)
        msg = f"Kafka at {self._settings.broker} does not say who coordinates its groups: try again"
        raise BrokerUnreachableError(msg)

    async def _records(self, role: TopicRole) -> AsyncIterator[ConsumerRecord]:
        """Yield every record of a topic, one partition after the other."""
        topic = self._topics.name(role)
        for partition in range(self._partitions[topic]):
            self._console.print(f"Reading {topic}-{partition}", style="dim")
            async for records in self._reader.read(TP(topic, partition)):
                for record in records:
                    yield record

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(**self._settings.connection())
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()


def _as_table(findings: dict[TopicRole, Findings]) -> Table:
    columns = ("expected", "missing", "unexpected", "differing", "repeated", "pending")
    table = Table()
    table.add_column("topic")
    for column in columns:
        table.add_column(column, justify="right")
    for role, found in findings.items():
        table.add_row(role, *(f"{getattr(found, column):,}" for column in columns))
    return table
