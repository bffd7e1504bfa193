"""The stored state of a partition's models in the ``state`` topic, and its recovery.

A snapshot of a model is a manifest, under a key that names the offset it covers, and the chunks of
waiting events that it names. Bytes under a key never differ, whichever worker wrote them: both are
functions of the log. So a worker that does not know that it was replaced writes the same bytes.

Rule 1. Of the manifests of a model, the one that covers the most wins.
Rule 2. A manifest counts when all its parts are there.
Rule 3. A winner that is damaged, or that names a chunk which is missing or damaged, is a loss: its
        model is rebuilt from the beginning of the log. The other models keep their state.
Rule 4. Garbage is: manifests below the winner; chunks that the winner does not name, up to the
        last number it has given. Later ones belong to a newer snapshot that may yet be finished.
Rule 5. Where the group has committed offset C, some model's winner covers C - 1, or a checkpoint
        does. A checkpoint is a record with a number of models: all of them are stored as after
        offset C - 1, whose record changed none. Otherwise state is missing. It is missing as well
        where there are fewer models than in the checkpoint. The lost models cannot be named, and
        need not be: when the log is read from its beginning, a model with a usable state skips the
        records that this covers.
Rule 6. Records of strangers are passed over: a key of another form, a manifest that does not begin
        as ours do, a manifest or checkpoint that covers more than the log holds.
Rule 7. When a model that is rebuilt reaches the offset of its unusable winner, it is saved, with
        or without new events, so that the winner wins no longer.
Rule 8. A log that continues the models of another one begins with an *origin*: their snapshots, as
        after offset -1, each record under a second key as well, which nothing deletes. A model that
        is rebuilt begins with its origin, in place of nothing.
"""

import zlib
from typing import Any, NamedTuple

import orjson

from schemas.model_spec import ModelSpec
from streams.codec import StateVersionError, is_encoded, is_fatal
from streams.join.events import ChunkName
from streams.model.known import SpecOf
from streams.model.model import ModelMonitor, Restored
from streams.state.records import (
    BEFORE_THE_LOG,
    CHECKSUM_BYTES,
    COMMITS,
    ModelRecords,
    StateRecord,
    manifest_records,
)
from streams.state.stored import StoredState

_SHAPE_OF_KEY = {
    "manifest": [int, int, int],
    "chunk": [str, int],
    "checkpoint": [int],
    "origin": [str],
}


class _LostModelError(Exception):
    """The state of a model cannot be used (Rule 3)."""


class StateView:
    """The records of one partition of the ``state`` topic, the latest of each key.

    Parameters
    ----------
    partition
        The partition, of ``events`` as well: the same models are in both.
    """

    def __init__(self, partition: int = 0) -> None:
        self._partition = partition
        self._models: dict[str, ModelRecords] = {}
        self._checkpoints: dict[int, StateRecord] = {}
        self._origin: dict[bytes, StateRecord] = {}

    def take(self, record: StateRecord) -> bool:
        """Take one record into account, in the order of the topic; tell whether it is ours."""
        try:
            kind, model_id, *rest = orjson.loads(record.key)
            is_ours = isinstance(model_id, str) and _SHAPE_OF_KEY[kind] == [type(x) for x in rest]
        except (ValueError, KeyError, TypeError):
            return False
        if not is_ours or not _is_value_of(kind, rest, record.value):
            return False
        if kind == "origin":
            self._origin[record.key] = StateRecord(rest[0].encode(), record.value)
            return True
        if kind == "checkpoint":
            _put(self._checkpoints, rest[0], record)
            return True
        records = self._models.setdefault(model_id, ModelRecords())
        if kind == "chunk":
            _put(records.chunks, (rest[0], rest[1]), record)
        else:
            offset, number, count = rest
            _put(records.manifests.setdefault((offset, count), {}), number, record)
        return True

    def covers(self, offset: int) -> bool:
        """Tell whether a record claims to cover the log up to an offset, or further."""
        claims = [name for records in self._models.values() for name, _ in records.manifests]
        return max([*claims, *self._checkpoints], default=-1) >= offset

    def newest(self, model_id: str) -> tuple[int, bytes] | None:
        """Return the newest whole manifest of a model, after the offset that it covers."""
        records = self._models.get(model_id, ModelRecords())
        name = records.newest()
        return None if name is None else (name[0], records.joined(name))

    def restore(
        self, commit: int, spec_of: SpecOf, labelled_topic: str, end: int | None = None
    ) -> "RestoredState":
        """Return the models as they were, the records stored of them, and the losses.

        Parameters
        ----------
        commit
            The group's committed offset of the partition of ``events``.
        spec_of, labelled_topic
            As for `streams.monitor.Monitor`.
        end
            Offset after the last record of ``events``, where it is known (Rule 6).

        Raises
        ------
        StateVersionError
            When another version of the state is found.
        """
        if end is not None:
            self._checkpoints = {o: each for o, each in self._checkpoints.items() if o < end}
        restored: dict[str, Restored] = {}
        stored = StoredState()
        losses: list[str] = []
        stored.take_checkpoints({offset: each.key for offset, each in self._checkpoints.items()})
        covered = max(self._checkpoints, default=-1)
        models = int(self._checkpoints[covered].value or 0) if self._checkpoints else 0
        for model_id, records in self._models.items():
            name = records.newest(end)
            if name is None:
                continue
            offset = name[0]
            covered = max(covered, offset)
            try:
                model = self._model(model_id, records, name, spec_of(model_id), labelled_topic)
            except _LostModelError as error:
                losses.append(str(error))
                stored.mark_unusable(model_id, offset)
            else:
                restored[model_id] = Restored(model, offset)
                stored.take(model_id, name, model, records)
        if covered < commit - 1:
            losses.append(
                f"the commit is {commit}, the state covers the log up to offset {covered} only"
            )
        if not losses and len(restored) < models:
            losses.append(f"the state has {len(restored):,} models of {models:,}")
        rebuilt = losses and self.origin(spec_of, labelled_topic)
        return RestoredState({**(rebuilt or {}), **restored}, stored, tuple(losses))

    def origin(self, spec_of: SpecOf, labelled_topic: str) -> dict[str, Restored]:
        """Return the models with which the log begins (Rule 8); mostly there are none."""
        if not self._origin:
            return {}
        view = StateView(self._partition)
        for record in self._origin.values():
            view.take(record)
        return view.restore(0, spec_of, labelled_topic).models

    def origin_commits(self) -> dict[str, int]:
        """Return, by source, the commit below which inputs are in the log before (Rule 8)."""
        found = [each.value for each in self._origin.values() if each.key == COMMITS]
        return orjson.loads(found[0] or b"{}") if found else {}

    def moved(self, model_id: str, model: ModelMonitor) -> list[StateRecord]:
        """Return the records of a model for the beginning of another log: chunks, then manifest.

        Parameters
        ----------
        model_id, model
            One of those that `restore` has returned.
        """
        records = self._models[model_id]
        chunks = [records.chunks[name] for name in sorted(model.join.chunk_names())]
        _, manifest = self.newest(model_id) or (BEFORE_THE_LOG, b"")
        return [*chunks, *manifest_records(model_id, BEFORE_THE_LOG, manifest)]

    def _model(
        self,
        model_id: str,
        records: ModelRecords,
        name: tuple[int, int],
        spec: ModelSpec,
        labelled_topic: str,
    ) -> ModelMonitor:
        def lines_of(name: ChunkName) -> bytes:
            if name not in records.chunks:
                msg = f"chunk {name} of model {model_id} is missing"
                raise _LostModelError(msg)
            value = records.chunks[name].value or b""
            lines = value[CHECKSUM_BYTES:]
            if zlib.crc32(lines).to_bytes(CHECKSUM_BYTES) != value[:CHECKSUM_BYTES]:
                msg = f"chunk {name} of model {model_id} is damaged"
                raise _LostModelError(msg)
            return lines

        manifest = records.joined(name)
        try:
            return ModelMonitor.restore(
                model_id,
                spec,
                labelled_topic,
                self._partition,
                snapshot=manifest,
                chunks=lines_of,
            )
        except (StateVersionError, _LostModelError):
            raise
        except BaseException as error:
            if is_fatal(error):
                raise
            msg = f"the manifest of model {model_id} at offset {name[0]} is damaged: {error}"
            raise _LostModelError(msg) from error


class RestoredState(NamedTuple):
    """The usable state of a partition, and its losses.

    Parameters
    ----------
    models
        Those that can be used.
    stored
        The records stored of them.
    losses
        State that is unusable or missing, a clause each: the log is then read from its beginning.
    """

    models: dict[str, Restored]
    stored: StoredState
    losses: tuple[str, ...]


def _is_value_of(kind: str, rest: list[Any], value: bytes | None) -> bool:
    """Tell whether a value can be one of ours; none deletes."""
    if value is None or kind in {"chunk", "origin"}:
        return True
    if kind == "checkpoint":
        return value.isdigit()
    return 0 < rest[1] < rest[2] or (rest[1] == 0 and is_encoded(value))


def _put(records: dict[Any, StateRecord], name: Any, record: StateRecord) -> None:
    if record.value is None:
        records.pop(name, None)
    else:
        records[name] = record
