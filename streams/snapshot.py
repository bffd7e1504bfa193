"""What is kept of a partition's models in the ``state`` topic, and how it is read back.

A snapshot of a model is a manifest, under a key that names the offset it covers, and the chunks of
waiting events that it names. Bytes under a key never differ, whoever wrote them: both are functions
of the log. So a writer that has been replaced, and does not know it, can only repeat what is true.

Rule 1. Of the manifests of a model, the one that covers the most wins.
Rule 2. A manifest counts when all its parts are there.
Rule 3. A chunk that the winner names and that is missing or damaged makes the state unusable.
Rule 4. Garbage is: manifests below the winner; chunks that the winner does not name, up to the
        last number it has given. Later ones belong to a newer snapshot that may yet be finished.
Rule 5. Where the group has committed offset C, some model's winner covers C - 1: otherwise state is
        missing.
"""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from schemas.model_spec import ModelSpec
from streams.blob import DamagedSnapshotError
from streams.join import ChunkName
from streams.model import ModelMonitor, Restored
from streams.monitor import SpecOf

PART_BYTES = 900_000
_CHECKSUM_BYTES = 4
_SHAPE_OF_KEY = {"manifest": [int, int, int], "chunk": [str, int]}


class StateLostError(Exception):
    """The state cannot be used: rebuild it from the log."""


class StateRecord(NamedTuple):
    """One record of the ``state`` topic; a value of None deletes the key."""

    key: bytes
    value: bytes | None


def manifest_records(model_id: str, offset: int, manifest: bytes) -> list[StateRecord]:
    """Return the records of a manifest that covers the log up to ``offset``."""
    parts = [manifest[i : i + PART_BYTES] for i in range(0, len(manifest), PART_BYTES)]
    return [
        StateRecord(_manifest_key(model_id, offset, number, len(parts)), part)
        for number, part in enumerate(parts)
    ]


def chunk_record(model_id: str, name: ChunkName, lines: bytes) -> StateRecord:
    """Return the record of a sealed chunk of waiting events."""
    checksum = zlib.crc32(lines).to_bytes(_CHECKSUM_BYTES)
    return StateRecord(_chunk_key(model_id, name), checksum + lines)


def deletions(keys: Iterable[bytes]) -> list[StateRecord]:
    """Return the records that delete these keys."""
    return [StateRecord(key, None) for key in keys]


@dataclass(slots=True)
class _ModelRecords:
    manifests: dict[int, dict[bytes, bytes]] = field(default_factory=dict)
    chunks: dict[ChunkName, bytes] = field(default_factory=dict)


class StateView:
    """The records of one partition of the ``state`` topic, the latest of each key."""

    def __init__(self) -> None:
        self._models: dict[str, _ModelRecords] = {}

    def take(self, record: StateRecord) -> None:
        """Take one record into account, in the order of the topic; what is not ours is nothing."""
        try:
            kind, model_id, *rest = orjson.loads(record.key)
            is_ours = isinstance(model_id, str) and _SHAPE_OF_KEY[kind] == [type(x) for x in rest]
        except (ValueError, KeyError, TypeError):
            is_ours = False
        if not is_ours:
            return
        records = self._models.setdefault(model_id, _ModelRecords())
        if kind == "chunk":
            name = (rest[0], rest[1])
            if record.value is None:
                records.chunks.pop(name, None)
            else:
                records.chunks[name] = record.value
            return
        parts = records.manifests.setdefault(rest[0], {})
        if record.value is None:
            parts.pop(record.key, None)
        else:
            parts[record.key] = record.value

    @property
    def last_offset(self) -> int:
        """The highest offset that a manifest names, usable or not; -1 where there is none."""
        return max((o for each in self._models.values() for o in each.manifests), default=-1)

    def restore(
        self, commit: int, spec_of: SpecOf, labelled_topic: str
    ) -> tuple[dict[str, Restored], "Stored"]:
        """Return the models as they were, and what is stored of them.

        Parameters
        ----------
        commit
            The group's committed offset of the partition of ``events``.
        spec_of, labelled_topic
            As for `streams.monitor.Monitor`.

        Raises
        ------
        StateLostError
            When Rule 3 or Rule 5 is broken.
        StateVersionError
            When another version of the state is found.
        """
        restored: dict[str, Restored] = {}
        stored = Stored()
        for model_id, records in self._models.items():
            offset = max(
                (o for o, parts in records.manifests.items() if _is_whole(parts)), default=None
            )
            if offset is None:
                continue
            model = self._model(model_id, records, offset, spec_of(model_id), labelled_topic)
            restored[model_id] = Restored(model, offset)
            stored.take(model_id, offset, model, records)
        covered = max((each.offset for each in restored.values()), default=-1)
        if covered < commit - 1:
            msg = f"the commit is {commit}, the state covers the log up to offset {covered} only"
            raise StateLostError(msg)
        return restored, stored

    def _model(
        self,
        model_id: str,
        records: _ModelRecords,
        offset: int,
        spec: ModelSpec,
        labelled_topic: str,
    ) -> ModelMonitor:
        def lines_of(name: ChunkName) -> bytes:
            if name not in records.chunks:
                msg = f"chunk {name} of model {model_id} is missing"
                raise StateLostError(msg)
            value = records.chunks[name]
            lines = value[_CHECKSUM_BYTES:]
            if zlib.crc32(lines).to_bytes(_CHECKSUM_BYTES) != value[:_CHECKSUM_BYTES]:
                msg = f"chunk {name} of model {model_id} is damaged"
                raise StateLostError(msg)
            return lines

        parts = records.manifests[offset]
        manifest = b"".join(parts[key] for key in sorted(parts, key=_part_number))
        try:
            return ModelMonitor.restore(model_id, spec, labelled_topic, manifest, lines_of)
        except DamagedSnapshotError as error:
            msg = f"the manifest of model {model_id} at offset {offset} is damaged: {error}"
            raise StateLostError(msg) from error


class Stored:
    """What is known to be in the ``state`` topic for each model, so that it can be tidied up.

    Parameters
    ----------
    unusable_until
        The highest offset that manifests name which could not be used; -1 where all could.
    """

    def __init__(self, unusable_until: int = -1) -> None:
        self._unusable_until = unusable_until
        self._manifests: dict[str, list[bytes]] = {}
        self._chunks: dict[str, set[ChunkName]] = {}
        self._garbage: list[bytes] = []

    def take(self, model_id: str, offset: int, model: ModelMonitor, records: _ModelRecords) -> None:
        """Take over what was read of a model; what Rule 4 calls garbage goes next time."""
        self._manifests[model_id] = list(records.manifests[offset])
        self._chunks[model_id] = model.join.chunk_names()
        for other, parts in records.manifests.items():
            if other < offset:
                self._garbage += parts
        last = model.join.last_numbers()
        self._garbage += [
            _chunk_key(model_id, name)
            for name in records.chunks
            if name not in self._chunks[model_id] and name[1] <= last[name[0]]
        ]

    def outgrows_unusable(self, offset: int) -> bool:
        """Tell, once, that a snapshot of all models at ``offset`` wins over what is unusable."""
        if not 0 <= self._unusable_until <= offset:
            return False
        self._unusable_until = -1
        return True

    def supersede(self, model_id: str, manifest: list[StateRecord], names: set[ChunkName]) -> None:
        """Take note of a new snapshot; what it replaces may go once it is durable."""
        self._garbage += self._manifests.get(model_id, [])
        gone = self._chunks.get(model_id, set()) - names
        self._garbage += [_chunk_key(model_id, name) for name in sorted(gone)]
        self._manifests[model_id] = [record.key for record in manifest]
        self._chunks[model_id] = names

    def garbage(self) -> list[bytes]:
        """Return the keys that may be deleted now, once."""
        garbage, self._garbage = self._garbage, []
        return garbage


def _manifest_key(model_id: str, offset: int, number: int, parts: int) -> bytes:
    return orjson.dumps(["manifest", model_id, offset, number, parts])


def _chunk_key(model_id: str, name: ChunkName) -> bytes:
    return orjson.dumps(["chunk", model_id, *name])


def _part_number(key: bytes) -> int:
    number: int = orjson.loads(key)[3]
    return number


def _is_whole(parts: Mapping[bytes, bytes]) -> bool:
    return bool(parts) and len(parts) == orjson.loads(next(iter(parts)))[4]
