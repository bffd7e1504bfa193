"""The records known to be in the ``state`` topic, so that garbage can be deleted.

The rules are those of `streams.state.view`.
"""

from collections.abc import Mapping

from streams.join.events import ChunkName
from streams.model.model import ModelMonitor
from streams.state.records import (
    CHECKSUM_BYTES,
    ModelRecords,
    StateRecord,
    checkpoint_key,
    chunk_key,
    offset_of,
)


class StoredState:
    """The keys known to be in the ``state`` topic for each model, so that garbage can be deleted.

    Attributes
    ----------
    covered
        Offset up to which some manifest, or a checkpoint, covers the log.
    """

    def __init__(self) -> None:
        self._unusable: dict[str, int] = {}
        self._manifests: dict[str, list[bytes]] = {}
        self._manifest_bytes: dict[str, int] = {}
        self._chunks: dict[str, dict[ChunkName, int]] = {}
        self._garbage: list[bytes] = []
        self._checkpoint: bytes | None = None
        self.covered = -1

    @property
    def live_bytes(self) -> int:
        """Bytes of the latest snapshots of all models, with the chunks that they name."""
        chunks = sum(sum(sizes.values()) for sizes in self._chunks.values())
        return sum(self._manifest_bytes.values()) + chunks

    def take_checkpoints(self, checkpoints: Mapping[int, bytes]) -> None:
        """Take over the checkpoints that were read: the one that covers the most counts."""
        for offset in sorted(checkpoints):
            self._replace_checkpoint(checkpoints[offset])
            self.covered = offset

    def checkpoint(self, offset: int, models: int) -> list[StateRecord]:
        """Return a checkpoint: all models are stored as after ``offset`` (Rule 5)."""
        return (
            [] if self.covered >= offset else [StateRecord(checkpoint_key(offset), b"%d" % models)]
        )

    def on_checkpoint(self, offset: int) -> None:
        """Take note that the record of `checkpoint` is durable."""
        if self.covered < offset:
            self.covered = offset
            self._replace_checkpoint(checkpoint_key(offset))

    def _replace_checkpoint(self, key: bytes | None) -> None:
        if self._checkpoint is not None:
            self._garbage.append(self._checkpoint)
        self._checkpoint = key

    def take(
        self, model_id: str, name: tuple[int, int], model: ModelMonitor, records: ModelRecords
    ) -> None:
        """Take over the records of a model; the garbage of Rule 4 is returned by `garbage`."""
        self._note_covered(name[0])
        manifest = list(records.manifests[name].values())
        self._note_manifest(model_id, manifest)
        self._chunks[model_id] = {
            chunk: len(records.chunks[chunk].value or b"") for chunk in model.join.chunk_names()
        }
        for other, parts in records.manifests.items():
            if other < name:
                self._garbage += [each.key for each in parts.values()]
        last = model.join.last_numbers()
        self._garbage += [
            chunk_key(model_id, chunk)
            for chunk in records.chunks
            if chunk not in self._chunks[model_id] and chunk[1] <= last.get(chunk[0], -1)
        ]

    def mark_unusable(self, model_id: str, offset: int) -> None:
        """Take note of a winner that cannot be used (Rule 7)."""
        self._unusable[model_id] = offset

    def outgrown(self, offset: int) -> list[str]:
        """Return, once, the models whose snapshot at ``offset`` wins over an unusable one."""
        models = [model_id for model_id, until in self._unusable.items() if until <= offset]
        for model_id in models:
            del self._unusable[model_id]
        return models

    def supersede(
        self,
        model_id: str,
        manifest: list[StateRecord],
        names: set[ChunkName],
        chunks: Mapping[ChunkName, bytes],
    ) -> None:
        """Take note of a new snapshot; the one before it may go once this one is durable.

        Parameters
        ----------
        model_id, manifest
            The model, and the records of the manifest.
        names
            The chunks that it names.
        chunks
            Those of them that are new.
        """
        keys = [record.key for record in manifest]
        self._note_covered(offset_of(keys[0]))
        # Saved twice at one offset, it is one snapshot, and must not be deleted as its own past.
        self._garbage += [key for key in self._manifests.get(model_id, []) if key not in keys]
        held = self._chunks.get(model_id, {})
        gone = held.keys() - names
        self._garbage += [chunk_key(model_id, name) for name in sorted(gone)]
        self._note_manifest(model_id, manifest)
        if gone or chunks:
            fresh = {name: CHECKSUM_BYTES + len(lines) for name, lines in chunks.items()}
            self._chunks[model_id] = {name: held.get(name) or fresh.get(name, 0) for name in names}

    def _note_manifest(self, model_id: str, manifest: list[StateRecord]) -> None:
        self._manifests[model_id] = [record.key for record in manifest]
        self._manifest_bytes[model_id] = sum(len(record.value or b"") for record in manifest)

    def _note_covered(self, offset: int) -> None:
        if offset >= self.covered:
            self.covered = offset
            self._replace_checkpoint(None)

    def garbage(self) -> list[bytes]:
        """Return the keys that may be deleted now, once."""
        garbage, self._garbage = self._garbage, []
        return garbage
