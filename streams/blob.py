"""Pack a tree of plain data, float64 arrays and bytes into bytes that notice their own damage.

Rule 1. What is unpacked equals what was packed, to the last bit.
Rule 2. Damaged bytes are refused before any part of them is used.
"""

import struct
import zlib
from typing import Any

import numpy as np
import orjson

_MAGIC = b"TGB1"
_HEADER = struct.Struct("<4sI")  # magic, checksum of all that follows
_SIZES = struct.Struct("<II")  # bytes of the tree, leaves
_ARRAY, _BYTES = "$array", "$bytes"  # the only keys with one dollar in front

_PLAIN = frozenset((int, float, str, bool, list, type(None)))

Tree = dict[str, Any]


class DamagedSnapshotError(ValueError):
    """A snapshot is not what was once written: its series must be rebuilt from the log."""


def pack(tree: Tree) -> bytes:
    """Pack a dict whose leaves are JSON scalars, lists of them, float64 arrays or bytes.

    Examples
    --------
    >>> unpack(pack({"rows": 3, "state": np.array([0.5]), "window": b"ab"}))
    {'rows': 3, 'state': array([0.5]), 'window': b'ab'}
    """
    leaves: list[bytes] = []
    text = orjson.dumps(_without_leaves(tree, leaves), option=orjson.OPT_SERIALIZE_NUMPY)
    sizes = struct.pack(f"<{len(leaves)}I", *map(len, leaves))
    body = b"".join((_SIZES.pack(len(text), len(leaves)), text, sizes, *leaves))
    return _HEADER.pack(_MAGIC, zlib.crc32(body)) + body


def unpack(data: bytes) -> Tree:
    """Unpack what :func:`pack` made.

    Raises
    ------
    DamagedSnapshotError
        If a byte is missing, added or changed.
    """
    least = _HEADER.size + _SIZES.size
    if len(data) < least:
        raise DamagedSnapshotError(f"expected at least {least} bytes, got {len(data)}")
    magic, checksum = _HEADER.unpack_from(data)
    body = memoryview(data)[_HEADER.size :]
    if magic != _MAGIC:
        raise DamagedSnapshotError(f"expected a snapshot beginning {_MAGIC!r}, got {magic!r}")
    if zlib.crc32(body) != checksum:
        raise DamagedSnapshotError(f"the checksum of {len(body)} bytes is not {checksum}")
    text_bytes, leaf_count = _SIZES.unpack_from(body)
    text_end = _SIZES.size + text_bytes
    sizes = struct.unpack_from(f"<{leaf_count}I", body, text_end)
    at = text_end + 4 * leaf_count
    leaves = []
    for size in sizes:
        leaves.append(bytes(body[at : at + size]))
        at += size
    tree: Tree = _with_leaves(orjson.loads(body[_SIZES.size : text_end]), leaves)
    return tree


def _without_leaves(value: object, leaves: list[bytes]) -> object:
    if isinstance(value, dict):
        # Most of a tree is plain: a call for each such value doubled what a young series costs.
        # Keys, which may be a model's categories, are kept apart from what stands for a leaf.
        return {
            (f"${key}" if key[:1] == "$" else key): (
                inner if type(inner) in _PLAIN else _without_leaves(inner, leaves)
            )
            for key, inner in value.items()
        }
    if isinstance(value, np.ndarray):
        leaves.append(np.ascontiguousarray(value, dtype="<f8").tobytes())
        return {_ARRAY: len(leaves) - 1}
    if isinstance(value, bytes | bytearray):
        leaves.append(bytes(value))
        return {_BYTES: len(leaves) - 1}
    return value


def _with_leaves(value: Any, leaves: list[bytes]) -> Any:
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        return np.frombuffer(leaves[value[_ARRAY]], dtype="<f8").copy()
    if _BYTES in value:
        return leaves[value[_BYTES]]
    return {_unescaped(key): _with_leaves(inner, leaves) for key, inner in value.items()}


def _unescaped(key: str) -> str:
    return key[1:] if key[:1] == "$" else key
