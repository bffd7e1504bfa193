"""Profiles made offline, and what a stranger makes of them."""

import base64
import math
import random
import struct
import zlib
from typing import Any

import msgspec
import numpy as np

from schemas.model_spec import ModelSpec
from streams.codec import STATE_VERSION
from streams.series.offline import profile
from streams.series.watch_spec import WatchSpec
from streams.values import Scalar
from tests.doubles.inputs import START_MS

_HEADER = struct.Struct("<4sHI")
_RNG = np.random.default_rng(1)
_ROWS = 1_500
TABLES: dict[str, list[Scalar]] = {
    "numbers": _RNG.normal(5.0, 2.0, _ROWS).tolist(),
    "atoms": np.where(_RNG.random(_ROWS) < 0.4, 0.0, _RNG.gamma(2.0, 3.0, _ROWS)).tolist(),
    "memory": [*np.convolve(_RNG.normal(size=_ROWS + 49), np.ones(50), "valid").tolist()],
    "words": _RNG.choice(["a", "b", "c"], _ROWS).tolist(),
    "truth": (_RNG.random(_ROWS) < 0.1).tolist(),
    "gaps": [None if x < 0.2 else float(x) for x in _RNG.random(_ROWS)],
    "constant": [3.0] * _ROWS,
    "codes": (_RNG.integers(0, 3, _ROWS) * 10**15).tolist(),
    "one code": [10**18] * _ROWS,
    "types": [*_RNG.normal(size=_ROWS - 1).tolist(), "n/a"],
    "names": [f"n{row}" for row in range(_ROWS)],
    "day": (10 + 4 * np.sin(np.arange(_ROWS) / 90 * math.pi) + _RNG.normal(size=_ROWS)).tolist(),
}
Tree = dict[str, Any]


def at_ms(rows: int) -> "np.typing.NDArray[np.int64]":
    return START_MS + 480_000 * np.arange(rows, dtype=np.int64)


MADE = {
    name: base64.b64decode(
        str(profile(WatchSpec(role="feature"), values, at_ms=at_ms(len(values)))["state"])
    )
    for name, values in TABLES.items()
}


def tree_of(table: str) -> Tree:
    tree: Tree = msgspec.msgpack.decode(MADE[table][_HEADER.size :])
    return tree


def spec_with(tree: Tree, **fields: Any) -> ModelSpec:
    """Return a spec with a profile of one feature, whose checksum is right."""
    body = msgspec.msgpack.encode(tree)
    data = _HEADER.pack(b"TDGS", STATE_VERSION, zlib.crc32(body)) + body
    made = {"reference": {}, "state": base64.b64encode(data).decode()}
    return ModelSpec.model_validate({"reference": {"profile": {"feature/a": made}}, **fields})


def mutate(chance: random.Random, tree: Tree) -> None:
    """Change one leaf of a state."""
    parent: Any = tree
    key: Any = None
    node: Any = tree
    while isinstance(node, dict | list) and node:
        parent = node
        key = chance.choice(list(node) if isinstance(node, dict) else range(len(node)))
        node = parent[key]
    if isinstance(node, bytes):
        parent[key] = _mutated_bytes(chance, node)
    elif isinstance(node, int | float):
        parent[key] = chance.choice([node + 1, -node, node * 1_000, 0, 1e300, 2**62, math.inf])
    else:
        parent[key] = chance.choice([0, 1.0, "x", None, [], {}, b""])


def _mutated_bytes(chance: random.Random, data: bytes) -> bytes:
    place = 8 * chance.randrange(len(data) // 8 or 1)
    wild = chance.choice([0.0, -1.0, 1e9, 1e300, math.inf, math.nan])
    return chance.choice(
        [
            data[: chance.randrange(len(data) + 1)],
            data + bytes(chance.randrange(1, 32)),
            data[:place] + struct.pack("<d", wild) + data[place + 8 :],
            data[:place] + struct.pack("<q", chance.randrange(-2, 99)) + data[place + 8 :],
        ]
    )
