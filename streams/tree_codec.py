"""Pack a tree of plain data, float64 arrays and bytes into bytes that notice their own damage.

Rule 1. What is unpacked equals what was packed, to the last bit.
Rule 2. Damaged bytes are refused before any part of them is used.
"""

import struct
import zlib
from typing import Any

import numpy as np
import orjson

from streams.codec import DamagedSnapshotError

_MAGIC = b"TGB1"
_HEADER = struct.Struct("<4sI")  # magic, checksum of all that follows
_SIZES = struct.Struct("<II")  # bytes of the tree, leaves
_ARRAY, _BYTES = "$array", "$bytes"  # the only keys with one dollar in front
Tree = dict[str, Any]


def pack(tree: Tree) -> bytes:
    """Pack a dict whose leaves are JSON scalars, lists of them, float64 arrays or bytes.

    Examples
    --------
    >>> unpack(pack({"rows": 3, "state": np.array([0.5]), "window": b"ab"}))
    {'rows': 3, 'state': array([0.5]), 'window': b'ab'}
    """
    leaves: list[bytes] = []

    def leaf(value: object) -> object:
        """Stand in for what JSON has no form for; orjson asks in the order of the tree."""
        if type(value) is np.ndarray:
            leaves.append(np.ascontiguousarray(value, dtype="<f8").tobytes())
            return {_ARRAY: len(leaves) - 1}
        if type(value) is bytes or type(value) is bytearray:
            leaves.append(bytes(value))
            return {_BYTES: len(leaves) - 1}
        if isinstance(value, np.generic):
            return value.item()
        msg = f"a snapshot cannot hold {type(value).__name__}"
        raise TypeError(msg)

    text = orjson.dumps(tree, default=leaf)
    if text.count(b'"$') > len(leaves):  # a string or, among a model's categories, a key
        leaves = []
        text = orjson.dumps(_escaped(tree), default=leaf)
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
    text = bytes(body[_SIZES.size : text_end])
    tree: Tree = orjson.loads(text)
    if b'"$$' in text:
        tree = _unescaped(tree, leaves)
    elif leaves:
        _put_leaves(tree, leaves)
    return tree


def _escaped(tree: Tree) -> Tree:
    """Keep keys, which may be a model's categories, apart from what stands for a leaf."""
    return {
        (f"${key}" if key[:1] == "$" else key): (
            _escaped(inner) if isinstance(inner, dict) else inner
        )
        for key, inner in tree.items()
    }


def _put_leaves(tree: Tree, leaves: list[bytes]) -> None:
    for key, inner in tree.items():
        if type(inner) is dict:
            if _is_leaf(inner):
                tree[key] = _leaf(inner, leaves)
            else:
                _put_leaves(inner, leaves)


def _unescaped(tree: Tree, leaves: list[bytes]) -> Tree:
    whole: Tree = {}
    for key, inner in tree.items():
        value = inner
        if type(inner) is dict:
            value = _leaf(inner, leaves) if _is_leaf(inner) else _unescaped(inner, leaves)
        whole[key[1:] if key[:1] == "$" else key] = value
    return whole


def _is_leaf(tree: Tree) -> bool:
    return _ARRAY in tree or _BYTES in tree


def _leaf(tree: Tree, leaves: list[bytes]) -> Any:
    if _ARRAY in tree:
        return np.frombuffer(leaves[tree[_ARRAY]], dtype="<f8").copy()
    return leaves[tree[_BYTES]]
