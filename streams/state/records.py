"""The records of the ``state`` topic, and their keys.

The rules are those of `streams.state.view`.
"""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from streams.join.events import ChunkName

PART_BYTES = 900_000
"""Bytes of a part of a manifest: below Kafka's default of 1 MiB for a record, with its key."""
CHECKSUM_BYTES = 4
"""Bytes of a CRC-32."""
COMMITS = b"commits"
BEFORE_THE_LOG = -1
"""Offset that an origin covers (Rule 8)."""


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
    checksum = zlib.crc32(lines).to_bytes(CHECKSUM_BYTES)
    return StateRecord(chunk_key(model_id, name), checksum + lines)


def origin_record(record: StateRecord) -> StateRecord:
    """Return a record of a model's state under the key that nothing deletes (Rule 8)."""
    _, model_id, *_ = orjson.loads(record.key)
    return StateRecord(orjson.dumps(["origin", model_id, record.key.decode()]), record.value)


def origin_commits_record(commits: Mapping[str, int]) -> StateRecord:
    """Return the record with the commits, by source, that were copied at the move (Rule 8)."""
    return StateRecord(orjson.dumps(["origin", "", COMMITS.decode()]), orjson.dumps(commits))


def deletions(keys: Iterable[bytes]) -> list[StateRecord]:
    """Return the records that delete these keys."""
    return [StateRecord(key, None) for key in keys]


@dataclass(slots=True)
class ModelRecords:
    """The records of a model; those of a manifest by its offset and the number of its parts."""

    manifests: dict[tuple[int, int], dict[int, StateRecord]] = field(default_factory=dict)
    chunks: dict[ChunkName, StateRecord] = field(default_factory=dict)

    def newest(self, end: int | None = None) -> tuple[int, int] | None:
        """Return the whole manifest that covers the most, of a log that ends at ``end``."""
        return max(
            (
                (offset, parts)
                for (offset, parts), found in self.manifests.items()
                if found.keys() == set(range(parts)) and (end is None or offset < end)
            ),
            default=None,
        )

    def joined(self, name: tuple[int, int]) -> bytes:
        """Return the bytes of a whole manifest."""
        parts = self.manifests[name]
        return b"".join([parts[number].value or b"" for number in sorted(parts)])


def _manifest_key(model_id: str, offset: int, number: int, parts: int) -> bytes:
    return orjson.dumps(["manifest", model_id, offset, number, parts])


def chunk_key(model_id: str, name: ChunkName) -> bytes:
    """Return the key of a chunk."""
    return orjson.dumps(["chunk", model_id, *name])


def offset_of(key: bytes) -> int:
    """Return the offset that a manifest covers, of the key of one of its parts."""
    offset: int = orjson.loads(key)[2]
    return offset


def checkpoint_key(offset: int) -> bytes:
    """Return the key of a checkpoint."""
    return orjson.dumps(["checkpoint", "", offset])
