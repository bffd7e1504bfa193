"""Check on a cluster that the published records equal a pure replay of the log.

The order of reading matters while workers run: first the commits, then the published records, then
the log. So every record that a commit covers must have been published, and every published record
must follow from the log.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from itertools import chain

from aiokafka import ConsumerRecord, TopicPartition
from faust.types import TP
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from agents.commands.incidents import add_record, changes, topic_of
from agents.errors import OperatorError
from agents.kafka.admin import ask, input_incarnations, partition_counts
from agents.kafka.read import LogReader, last_values
from agents.settings import Settings, mapped_topics_of
from agents.worker.assembly import limits_of
from schemas.cloudevents import EventHeaders
from schemas.dead_letter import DeadLetter
from schemas.event import Source, decode_events, position
from schemas.model_spec import ModelSpec
from schemas.topics import TopicRole
from streams.alert.incidents import Incidents
from streams.emission import Emission
from streams.model.arrivals import filled
from streams.model.model import UNCOUNTED
from streams.monitor import Monitor
from streams.state.audit import Findings, InputAudit, OutputAudits, output_audits
from streams.state.records import StateRecord
from streams.state.view import StateView

_FOREIGN_SHOWN = 20
"""Places of records of strangers that are shown."""


async def verify(settings: Settings, console: Console) -> int:
    """Audit the deployment and print a table; return 0 only when everything is equal.

    Raises
    ------
    OperatorError
        When a topic is missing, nothing is committed, or the log does not begin at offset 0.
    BrokerUnreachableError
        When Kafka does not answer.
    """
    findings, inputs = await audit(settings, console)
    console.print(_as_table(findings))
    console.print(
        f"{inputs.inputs:,} inputs are committed, {inputs.lost:,} of them are lost. Of the events "
        f"in the log {inputs.passed_over:,} are skipped, {inputs.taken_twice:,} applied twice; "
        f"{inputs.repeated:,} repetitions are dropped."
    )
    is_equal = all(each.is_equal for each in findings.values()) and inputs.is_equal
    verdict = "Equal: no record is missing, and none is unexpected." if is_equal else "Not equal."
    console.print(verdict)
    return 0 if is_equal else 1


async def audit(
    settings: Settings, console: Console
) -> tuple[dict[TopicRole, Findings], InputAudit]:
    """Audit the deployment; return the findings by output topic, and those of the inputs."""
    return await _Verifier(settings, console).audit()


class _Verifier:
    def __init__(self, settings: Settings, console: Console) -> None:
        self._settings = settings
        self._topics = settings.topics
        self._reader = LogReader(settings)
        self._console = console
        self._partitions: dict[str, int] = {}
        self._mapped = mapped_topics_of(settings)
        self._headers = {
            topic.role: EventHeaders.of_topic(topic) for topic in self._topics.outputs()
        }
        self._foreign = 0
        self._incidents = Incidents()

    async def audit(self) -> tuple[dict[TopicRole, Findings], InputAudit]:
        names = {topic.name for topic in self._topics.table()} | {*self._topics.mapped}
        self._partitions = await partition_counts(self._settings, names)
        commits = await self._commits()
        audits = output_audits(self._topics)
        inputs = InputAudit()
        for role, audit in audits.items():
            async for record in self._records(role):
                key = (record.key or b"").decode(errors="replace")
                if not audit.on_published(key, record.value, record.headers):
                    self._note_foreign(record)
        await self._take_dead_letters(inputs)
        await self._replay(audits, inputs, commits)
        await self._take_inputs(inputs, commits)
        found = {role: audit.close() for role, audit in audits.items()}
        if (of_incidents := await self._audit_incidents()) is not None:
            found["incidents"] = of_incidents
        return found, inputs

    async def _audit_incidents(self) -> Findings | None:
        """Compare the incidents with those of the alerts that the log calls for.

        None where nothing has ever published any. They are equal at rest: a process follows the
        alerts, and may be behind.
        """
        topic = topic_of(self._topics)
        if topic.name not in self._partitions:
            return None
        published = await last_values(self._settings, topic.name)
        findings = Findings(expected=len(self._incidents.found()))
        for key, value in changes(published, self._incidents.found()).items():
            findings.unexpected += value is None
            findings.missing += value is not None and key not in published
            findings.differing += value is not None and key in published
        return findings if published else None

    async def _take_inputs(self, inputs: InputAudit, commits: dict[TP, int]) -> None:
        """Take the inputs that are committed, but for those in the log of a deployment before."""
        incarnations = await input_incarnations(self._settings)
        moved = (await self._state(0)).origin_commits()
        for topic in self._topics.read_by_ingest():
            async for record in self._records_of(topic):
                source = Source("prediction", topic, record.partition, incarnations[topic])
                commit = commits.get(TP(topic, record.partition), 0)
                if moved.get(source.name, 0) <= record.offset < commit:
                    for item in range(self._events_in(source, record)):
                        inputs.on_input(source.name, position(record.offset, item))

    def _events_in(self, source: Source, record: ConsumerRecord) -> int:
        """Return how many events and dead letters come of a record; 0 where it is skipped."""
        mapped = self._mapped.get(source.topic)
        return 1 if mapped is None else len(mapped.accept(source, record, None))

    async def _take_dead_letters(self, inputs: InputAudit) -> None:
        async for record in self._records("dead_letters"):
            try:
                letter = DeadLetter.model_validate_json(record.value or b"")
            except ValidationError:
                self._note_foreign(record)
            else:
                place = position(letter.offset, letter.item)
                inputs.on_taken(letter.dead_letter_id.rpartition("/")[0], place)

    async def _replay(
        self,
        audits: OutputAudits,
        inputs: InputAudit,
        commits: dict[TP, int],
    ) -> None:
        monitors: dict[int, Monitor] = {}
        events_in: Counter[int] = Counter()
        before: Counter[int] = Counter()
        events = self._topics.name("events")
        async for record in self._records("events"):
            monitor = monitors.get(record.partition)
            if monitor is None:
                self._refuse_cut_log(record)
                monitor = monitors[record.partition] = await self._begun(record.partition, audits)
                before[record.partition] = monitor.known.taken
            is_due = record.offset < commits.get(TP(events, record.partition), 0)
            start = record.offset if monitor.next_offset is None else monitor.next_offset
            applied = [monitor.apply(*each) for each in filled([record], start)]
            for emission in chain.from_iterable(applied):
                self._call_for(audits, emission, is_due=is_due)
            if monitor.foreign:
                monitor.foreign = []
                self._note_foreign(record)
                continue
            batch = decode_events(record.value)
            names = [source.name for source in batch.sources]
            for source, place in zip(batch.source_index, batch.positions(), strict=True):
                if batch.sources[source].kind in UNCOUNTED:
                    continue  # counted among the dead letters
                events_in[record.partition] += inputs.on_taken(names[source], place)
        self._settle(monitors.values(), audits)
        for partition, monitor in monitors.items():
            inputs.on_replayed(events_in[partition], monitor.known.taken - before[partition])

    def _settle(self, monitors: Iterable[Monitor], audits: OutputAudits) -> None:
        """Call for what a worker publishes when it saves; it may not have saved since."""
        for monitor in monitors:
            for emission in monitor.settle():
                self._call_for(audits, emission, is_due=False)

    async def _begun(self, partition: int, audits: OutputAudits) -> Monitor:
        """Return a monitor of the models that a log begins with: `streams.state.view`, Rule 8."""
        limits = limits_of(self._settings)
        monitor = Monitor(partition, self._topics, is_guarded=True, limits=limits)
        view = await self._state(monitor.partition)
        origin = view.origin(lambda _model_id: ModelSpec(), self._topics.name("labelled"))
        monitor.resume(origin, 0)
        for restored in origin.values():
            for emission in restored.model.statuses():
                self._call_for(audits, emission, is_due=False)
        return monitor

    def _call_for(self, audits: OutputAudits, emission: Emission, *, is_due: bool) -> None:
        key, value = emission.key or emission.model_id, emission.value
        if emission.role == "alerts":
            add_record(self._incidents, value)
        made = self._headers[emission.role].of(value, emission.model_id.encode(), emission.now_ms)
        audits[emission.role].on_called_for(key, value, made, is_due=is_due)

    async def _state(self, partition: int) -> StateView:
        view = StateView(partition)
        async for records in self._reader.read(TP(self._topics.name("state"), partition)):
            for record in records:
                view.take(StateRecord(record.key, record.value))
        return view

    def _note_foreign(self, record: ConsumerRecord) -> None:
        """Show the place of a record that is not ours, but for those after the first few."""
        self._foreign += 1
        if self._foreign <= _FOREIGN_SHOWN:
            where = f"{record.topic}-{record.partition} offset {record.offset:,}"
            told = f"{where} is not a record of ours: something else writes there."
            self._console.print(told, soft_wrap=True)

    def _refuse_cut_log(self, record: ConsumerRecord) -> None:
        if record.offset > 0:
            msg = (
                f"{record.topic}-{record.partition} begins at offset {record.offset}: retention "
                "has deleted the records before it, so nothing can be compared"
            )
            raise OperatorError(msg)

    async def _commits(self) -> dict[TP, int]:
        group = self._settings.group
        partitions = [
            TopicPartition(topic, partition)
            for topic in (*self._topics.read_by_ingest(), self._topics.name("events"))
            for partition in range(self._partitions[topic])
        ]
        found = await ask(self._settings, lambda admin: admin.committed(group, partitions))
        if not found:
            msg = (
                f"group {group!r} has committed nothing at {self._settings.broker}, so there is "
                "nothing to check: name the workers' group with --group"
            )
            raise OperatorError(msg)
        return {TP(*partition): offset for partition, offset in found.items()}

    async def _records(self, role: TopicRole) -> AsyncIterator[ConsumerRecord]:
        async for record in self._records_of(self._topics.name(role)):
            yield record

    async def _records_of(self, topic: str) -> AsyncIterator[ConsumerRecord]:
        """Yield every record of a topic, one partition after the other."""
        for partition in range(self._partitions[topic]):
            self._console.print(f"Reading {topic}-{partition}", style="dim")
            async for records in self._reader.read(TP(topic, partition)):
                for record in records:
                    yield record


def _as_table(findings: dict[TopicRole, Findings]) -> Table:
    columns = ("expected", "missing", "unexpected", "differing", "foreign", "repeated", "pending")
    table = Table()
    table.add_column("topic")
    for column in columns:
        table.add_column(column, justify="right")
    for role, found in findings.items():
        table.add_row(role, *(f"{getattr(found, column):,}" for column in columns))
    return table
