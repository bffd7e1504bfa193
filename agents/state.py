"""Keep the monitors' state in the ``state`` topic, and bring it back.

Every write is a true fact about a prefix of ``events``, under a key that names the prefix; the
commit of the group says that snapshots cover it.

Rule 1. The order is: outputs, chunks, manifests, commit, deletions; each is acknowledged before the
        next begins.
Rule 2. A model whose state cannot be used is rebuilt from the log, which publishes again what it
        published before, to the byte; the partition's other models keep their state, and skip what
        it covers. Where the log no longer has its beginning, the worker stops.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from faust.types import TP

from agents.errors import WorkerError
from agents.publish import Outgoing
from agents.telemetry import get_logger
from schemas.topics import Topics
from streams.model import ModelMonitor, StateVersionError
from streams.monitor import Monitor, SpecOf
from streams.snapshot import (
    StateRecord,
    StateView,
    Stored,
    chunk_record,
    deletions,
    manifest_records,
)

RECORDS_AT_ONCE = 200
MODELS_AT_ONCE = 20
_LOSSES_SHOWN = 3

_log = get_logger(__name__)

Commit = Callable[[Mapping[TP, int]], Awaitable[object]]


class StateUnusableError(WorkerError):
    """The state cannot be used and cannot be rebuilt: the operator must decide."""

    exit_code = 65


class Sender(Protocol):
    """What publishes, and returns when all of it is durable."""

    async def send(self, batch: list[Outgoing]) -> None:
        """Publish."""


class KeyedRecord(Protocol):
    """A record as it lies in Kafka."""

    key: bytes
    value: bytes | None


class Reader(Protocol):
    """What reads a partition from its beginning to its end."""

    async def beginning(self, tp: TP) -> int:
        """Return the offset of the oldest record that is kept."""

    def read(self, tp: TP) -> AsyncIterator[Sequence[KeyedRecord]]:
        """Yield the records, some at a time."""


class Held(NamedTuple):
    """The monitor of one partition, and what is stored of it."""

    monitor: Monitor
    stored: Stored


class StateKeeper:
    """Saves and restores the monitors of one worker.

    Parameters
    ----------
    topics
        Names and partitions.
    sender
        What publishes.
    reader
        What reads the ``state`` topic.
    spec_of
        Gives a model's spec.
    """

    def __init__(self, topics: Topics, sender: Sender, reader: Reader, spec_of: SpecOf) -> None:
        self._topics = topics
        self._topic = topics.name("state")
        self._sender = sender
        self._reader = reader
        self._spec_of = spec_of

    async def restore(self, tp: TP, commit: int) -> Held:
        """Return the monitor of a partition of ``events`` as it stood at the group's commit.

        The monitor's ``next_offset`` says where to go on: at the commit, or at the beginning of the
        log when state has to be rebuilt.

        Raises
        ------
        StateUnusableError
            When the state is of another version, or some is lost and the log is cut off.
        """
        view = StateView()
        async for records in self._reader.read(TP(self._topic, tp.partition)):
            for record in records:
                view.take(StateRecord(record.key, record.value))
        monitor = Monitor(tp.partition, self._topics, self._spec_of)
        try:
            found = view.restore(commit, self._spec_of, self._topics.name("labelled"))
        except StateVersionError as error:
            msg = f"{error}: start the worker version that wrote it, or a later one"
            raise StateUnusableError(msg) from error
        if found.losses:
            await self._refuse_cut_log(tp, found.losses)
            _log.error(
                f"State of {tp.topic}-{tp.partition} cannot be used ({_shown(found.losses)}): it "
                "is rebuilt from the whole log, and what was published is published again with the "
                f"same ids; {len(found.models):,} other models keep their state"
            )
        monitor.resume(found.models, 0 if found.losses else commit)
        return Held(monitor, found.stored)

    async def _refuse_cut_log(self, tp: TP, losses: Sequence[str]) -> None:
        beginning = await self._reader.beginning(tp)
        if beginning > 0:
            msg = (
                f"state of {tp.topic}-{tp.partition} cannot be used ({_shown(losses)}) and cannot "
                f"be rebuilt, because the log begins at offset {beginning}: to begin anew and lose "
                "what was waiting, choose another TIDEGAUGE_GROUP and TIDEGAUGE_PREFIX; "
                "docs/runbook.md says more"
            )
            raise StateUnusableError(msg)

    async def save(self, tp: TP, held: Held, commit: Commit) -> None:
        """Store what has changed since the last time, and commit what that covers.

        Everything that was emitted up to here must be acknowledged already. Nothing may be applied
        to the monitor until this returns.
        """
        monitor, stored = held
        if not monitor.touched or monitor.next_offset is None:
            return
        touched, monitor.touched = monitor.touched, {}
        for model_id in stored.outgrown(monitor.next_offset - 1):
            # One that is silent since would else keep its damaged manifest for good.
            if model := monitor.models.get(model_id):
                touched[model_id] = model
        await self._save_chunks(tp, touched)
        await self._save_manifests(tp, touched, monitor.next_offset - 1, stored)
        await commit({tp: monitor.next_offset})
        await self._send(tp, deletions(stored.garbage()))

    async def _save_chunks(self, tp: TP, touched: Mapping[str, ModelMonitor]) -> None:
        for model_id, model in touched.items():
            if chunks := model.join.unstored():
                await self._send(
                    tp, [chunk_record(model_id, name, lines) for name, lines in chunks.items()]
                )
                model.join.on_stored(chunks)

    async def _save_manifests(
        self, tp: TP, touched: Mapping[str, ModelMonitor], offset: int, stored: Stored
    ) -> None:
        models = iter(touched.items())
        while some := list(islice(models, MODELS_AT_ONCE)):
            records: list[StateRecord] = []
            for model_id, model in some:
                manifest = manifest_records(model_id, offset, model.snapshot())
                stored.supersede(model_id, manifest, model.join.chunk_names())
                records += manifest
                await asyncio.sleep(0)
            await self._send(tp, records)

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
