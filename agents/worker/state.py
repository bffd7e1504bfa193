"""Save the state of the monitors in the topic ``state``, and restore it.

Every write is a true fact about a prefix of ``events``, under a key that names the prefix. The
group's commit marks the prefix that snapshots cover.

Rule 1. The order is: outputs, chunks, manifests, commit, deletions; each is acknowledged before the
        next begins.
Rule 2. A round of saving stores every model that has changed, a few at a time; records may be
        applied in between. A manifest names the offset of its own model's snapshot. At the end of
        the round the offset at which it began is committed: a model that has changed since was
        stored at that offset or later, and is stored again by the next round.
Rule 3. A model whose state cannot be used is rebuilt from the log, which publishes the same records
        again, byte for byte. The other models of the partition keep their state, and skip the
        records that it covers. Where the beginning of the log is gone, the worker stops. The commit
        is set back before anything is stored: a snapshot of some models would otherwise hide from
        the next restore that others are missing.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from faust.types import TP

from agents.errors import WorkerError
from agents.telemetry import get_logger
from agents.worker.publish import Outgoing
from schemas.topics import Topics
from streams.codec import StateVersionError
from streams.emission import Emission
from streams.join.events import ChunkName
from streams.model.known import SpecOf
from streams.model.model import ModelMonitor
from streams.monitor import DEFAULT_LIMITS, Limits, Monitor
from streams.state.records import StateRecord, chunk_record, deletions, manifest_records
from streams.state.stored import StoredState
from streams.state.view import StateView

SLICE_S = 0.02
"""Seconds of one slice of saving: an alert waits little longer, see docs/decisions/0015."""
SLICE_BYTES = 1_000_000
"""Bytes of one slice: the records of one slice wait for their acknowledgement together."""
RECORDS_AT_ONCE = 1_000
"""Records of one call of the sender."""
_LOSSES_SHOWN = 3
"""Damaged parts of the state that an error names."""
_log = get_logger(__name__)
Commit = Callable[[Mapping[TP, int]], Awaitable[bool]]
"""Commits; returns whether it was accepted."""
Publish = Callable[[Sequence[Emission], int], Awaitable[None]]
"""Publishes emissions of a partition; returns when they are durable."""


class StateUnusableError(WorkerError):
    """The state cannot be used and cannot be rebuilt: the operator must decide."""

    exit_code = 65


class Sender(Protocol):
    """Publishes records, and returns when all of them are durable."""

    async def send(self, batch: list[Outgoing]) -> None:
        """Publish."""


class LogRecord(Protocol):
    """A record as it lies in Kafka."""

    offset: int
    key: bytes
    value: bytes | None


class Reader(Protocol):
    """Reads a partition."""

    async def beginning(self, tp: TP) -> int:
        """Return the offset of the oldest record that is kept."""

    async def end(self, tp: TP) -> int:
        """Return the offset after the last record."""

    def read(
        self, tp: TP, start: int | None = None, end: int | None = None
    ) -> AsyncIterator[Sequence[LogRecord]]:
        """Yield the records from ``start`` to before ``end``, some at a time; by default, all."""


@dataclass(slots=True)
class Held:
    """The monitor of one partition, its stored state, and the present round of saving.

    Parameters
    ----------
    monitor, stored
        The monitor, and its stored state.
    unsaved
        Models that the round still has to store.
    began_at
        Offset at which the round began; None between rounds.
    set_back_to
        Offset to which the commit must be set back before anything is stored (Rule 3).
    committed
        The group's commit.
    """

    monitor: Monitor
    stored: StoredState
    unsaved: dict[str, ModelMonitor] = field(default_factory=dict)
    began_at: int | None = None
    set_back_to: int | None = None
    committed: int = 0

    @property
    def is_saving(self) -> bool:
        """Whether a round of saving is under way."""
        return self.began_at is not None


class _Snapshot(NamedTuple):
    """One model in the form that is stored."""

    model: ModelMonitor
    chunks: dict[ChunkName, bytes]
    manifest: list[StateRecord]


class StateKeeper:
    """Saves and restores the monitors of one worker.

    Parameters
    ----------
    topics
        Names and partitions.
    sender
        Publishes records.
    reader
        Reads the topic ``state``.
    spec_of
        Returns the spec of a model.
    clock
        Monotonic seconds. It ends a slice of saving, and decides nothing else.
    slice_s
        Seconds after which a slice ends; it stores one model at least.
    limits
        Limits of the models.
    """

    def __init__(
        self,
        topics: Topics,
        sender: Sender,
        reader: Reader,
        spec_of: SpecOf,
        *,
        clock: Callable[[], float] = time.monotonic,
        slice_s: float = SLICE_S,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._topics = topics
        self._topic = topics.name("state")
        self._sender = sender
        self._reader = reader
        self._spec_of = spec_of
        self._clock = clock
        self._slice_s = slice_s
        self._limits = limits

    async def restore(self, tp: TP, commit: int, guarded: Container[str] = ()) -> Held:
        """Return the monitor of a partition of ``events`` as it stood at the group's commit.

        The monitor continues at its ``next_offset``: the commit, or the beginning of the log when
        state has to be rebuilt.

        Parameters
        ----------
        tp, commit
            The partition, and the commit.
        guarded
            Models that are to have a guard: see `Monitor`, Rule 7.

        Raises
        ------
        StateUnusableError
            When the state is of another version, or some is lost and the log is cut off.
        """
        view = StateView(tp.partition)
        foreign: list[int] = []
        async for records in self._reader.read(TP(self._topic, tp.partition)):
            foreign += [
                each.offset for each in records if not view.take(StateRecord(each.key, each.value))
            ]
        if foreign:
            _log.warning(
                f"Skipped {len(foreign):,} records of {self._topic}-{tp.partition} that are not "
                f"ours, the last at offset {foreign[-1]:,}: something else writes to this topic"
            )
        # What covers more than the log holds is a stranger's, and only then the end is needed.
        end = await self._reader.end(tp) if view.covers(commit) else None
        monitor = Monitor(tp.partition, self._topics, self._spec_of, limits=self._limits)
        try:
            found = view.restore(commit, self._spec_of, self._topics.name("labelled"), end)
        except StateVersionError as error:
            msg = f"{error}: start the worker version that wrote it, or a later one"
            raise StateUnusableError(msg) from error
        if found.losses:
            await self._refuse_cut_log(tp, found.losses)
            _log.error(
                f"State of {tp.topic}-{tp.partition} cannot be used ({_shown(found.losses)}): it "
                "is rebuilt from the whole log, which publishes the same records again, with the "
                f"same ids; {len(found.models):,} other models keep their state"
            )
        monitor.resume(found.models, 0 if found.losses else commit, guarded)
        set_back_to = 0 if found.losses else None
        return Held(monitor, found.stored, set_back_to=set_back_to, committed=commit)

    def read_log(self, tp: TP, start: int, end: int) -> AsyncIterator[Sequence[LogRecord]]:
        """Yield the records of ``events`` from ``start`` to before ``end``, some at a time."""
        return self._reader.read(tp, start, end)

    async def _refuse_cut_log(self, tp: TP, losses: Sequence[str]) -> None:
        beginning = await self._reader.beginning(tp)
        if beginning > 0:
            msg = (
                f"state of {tp.topic}-{tp.partition} cannot be used ({_shown(losses)}) and cannot "
                f"be rebuilt, because the log begins at offset {beginning}: to start from nothing "
                "and lose the waiting predictions, choose another TIDEGAUGE_PREFIX "
                "and, where it is set, another TIDEGAUGE_GROUP; see docs/runbook.md"
            )
            raise StateUnusableError(msg)

    def begin(self, held: Held) -> None:
        """Begin a round of saving, if the log has advanced; one under way begins again.

        The models that it has not stored yet remain to be stored.
        """
        monitor = held.monitor
        if monitor.next_offset is None:
            return
        if not monitor.touched and monitor.next_offset <= held.stored.covered + 1:
            return
        held.unsaved |= monitor.touched
        monitor.touched = {}
        held.began_at = monitor.next_offset
        for model_id in held.stored.outgrown(monitor.next_offset - 1):
            # A model without further events would otherwise keep its damaged manifest.
            if model := monitor.known.look_at(model_id):
                held.unsaved[model_id] = model

    async def save_some(self, held: Mapping[TP, Held], publish: Publish, commit: Commit) -> bool:
        """Continue the rounds of saving for one slice of time; return whether all are over.

        A round that is over commits the offset that it covers. Nothing may be applied to the
        monitors until this returns.
        """
        until_s = self._clock() + self._slice_s
        for tp, each in held.items():
            while each.is_saving and await self._is_set_back(tp, each, commit):
                await self._save_models(tp, each, until_s, publish)
                if not each.unsaved:
                    await self._end(tp, each, commit)
                if self._clock() >= until_s:
                    return not any(other.is_saving for other in held.values())
        return True

    async def save(self, held: Mapping[TP, Held], publish: Publish, commit: Commit) -> None:
        """Store all models that have changed, and commit up to the last record applied."""
        for each in held.values():
            self.begin(each)
        while not await self.save_some(held, publish, commit):
            pass

    async def _is_set_back(self, tp: TP, held: Held, commit: Commit) -> bool:
        """Set the commit back where needed (Rule 3); if that is refused, give up the round."""
        if held.set_back_to is None:
            return True
        if await commit({tp: held.set_back_to}):
            held.committed, held.set_back_to = held.set_back_to, None
            return True
        held.monitor.touched = {**held.unsaved, **held.monitor.touched}
        held.unsaved = {}
        held.began_at = None
        return False

    async def _save_models(self, tp: TP, held: Held, until_s: float, publish: Publish) -> None:
        """Store models of the round until the slice is full (Rule 1)."""
        emissions, snapshots = self._snapshots(held, until_s)
        if emissions:
            await publish(emissions, tp.partition)
        await self._send(
            tp,
            [
                chunk_record(each.model.model_id, name, lines)
                for each in snapshots
                for name, lines in each.chunks.items()
            ],
        )
        for each in snapshots:
            each.model.join.on_stored(each.chunks)
        await self._send(tp, [record for each in snapshots for record in each.manifest])
        for each in snapshots:
            del held.unsaved[each.model.model_id]

    def _snapshots(self, held: Held, until_s: float) -> tuple[list[Emission], list[_Snapshot]]:
        """Take snapshots of models of the round; return their last emissions, and the snapshots."""
        monitor, stored = held.monitor, held.stored
        offset = (monitor.next_offset or 0) - 1
        emissions: list[Emission] = []
        snapshots: list[_Snapshot] = []
        size = 0
        for model_id in held.unsaved:
            last, to_store = monitor.to_store(model_id)
            emissions += last
            model = monitor.known.look_at(model_id)  # as it is by now: it may have been put away
            if model is None or to_store is None:
                continue
            chunks, state = to_store
            manifest = manifest_records(model_id, offset, state)
            stored.supersede(model_id, manifest, model.join.chunk_names(), chunks)
            monitor.touched.pop(model_id, None)
            snapshots.append(_Snapshot(model, chunks, manifest))
            size += len(state) + sum(map(len, chunks.values()))
            if size >= SLICE_BYTES or self._clock() >= until_s:
                break
        return emissions, snapshots

    async def _end(self, tp: TP, held: Held, commit: Commit) -> None:
        """Commit the offset that the round covers (Rule 2), and delete replaced records.

        Ticks change no model. Without a commit they would be read again at every restart, until
        retention deletes them.
        """
        monitor, stored = held.monitor, held.stored
        until = (held.began_at if monitor.touched else monitor.next_offset) or 0
        if not monitor.touched:
            await self._send(tp, stored.checkpoint(until - 1, len(monitor.known)))
            stored.on_checkpoint(until - 1)  # not before: an interrupted send covers nothing
        if stored.covered >= until - 1 and await commit({tp: until}):
            held.committed = until
        await self._send(tp, deletions(held.stored.garbage()))
        held.began_at = None

    async def _send(self, tp: TP, records: Sequence[StateRecord]) -> None:
        for first in range(0, len(records), RECORDS_AT_ONCE):
            await self._sender.send(
                [
                    Outgoing(self._topic, tp.partition, record.key, record.value, None)
                    for record in records[first : first + RECORDS_AT_ONCE]
                ]
            )


def _shown(losses: Sequence[str]) -> str:
    more = len(losses) - _LOSSES_SHOWN
    return "; ".join([*losses[:_LOSSES_SHOWN], *([f"and {more:,} more"] if more > 0 else [])])
