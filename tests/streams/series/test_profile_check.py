"""A profile is a stranger's bytes: none may end a worker, now or later."""

import base64
import math
import random
import struct
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pytest

from schemas.model_spec import AlertRules, ModelSpec, SpecError
from streams.aspects import SeriesRole
from streams.codec import STATE_VERSION, failure_of
from streams.series.monitored import Column, Reading
from streams.series.offline import profile
from streams.series.profile_check import check_profile
from streams.series.series_set import SeriesSet
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


@pytest.mark.parametrize("table", TABLES)
def test_what_profile_makes_is_accepted(table: str) -> None:
    check_profile(spec_with(tree_of(table)))


# Lies, one of each kind


def _detector(tree: Tree) -> Tree:
    found: Tree = tree["reference"]["series"]["numbers"]
    return found


def _longer_state(tree: Tree) -> None:
    _detector(tree)["state"] += bytes(8)


def _more_knots(tree: Tree) -> None:
    state = _detector(tree)["state"]
    _detector(tree)["state"] = struct.pack("<d", 1e9) + state[8:]


def _no_number(tree: Tree) -> None:
    state = _detector(tree)["state"]
    _detector(tree)["state"] = state[:-8] + struct.pack("<d", math.nan)


def _short_window(tree: Tree) -> None:
    window = _detector(tree)["slow_drift"]["window"]
    _detector(tree)["slow_drift"]["window"] = window[:-20]


def _lying_window(tree: Tree) -> None:
    window = bytearray(_detector(tree)["slow_drift"]["window"])
    place = window.index(struct.pack("<Q", 6), 60)  # the length of a row's buckets
    window[place : place + 8] = struct.pack("<Q", 2**62)
    _detector(tree)["slow_drift"]["window"] = bytes(window)


def _deep(tree: Tree) -> None:
    nested: list[Any] = []
    for _ in range(200):
        nested = [nested]
    tree["learning"]["original"]["mean"] = nested


def _huge_count(tree: Tree) -> None:
    tree["types"]["limit"]["rows"] = 2**62


def _unknown_field(tree: Tree) -> None:
    tree["other"] = 1


def _no_quantiles(tree: Tree) -> None:
    del tree["learning"]["original"]["quantiles"]


@pytest.mark.parametrize(
    "lie",
    [
        _longer_state,
        _more_knots,
        _no_number,
        _short_window,
        _lying_window,
        _deep,
        _huge_count,
        _unknown_field,
        _no_quantiles,
    ],
)
def test_a_state_that_lies_is_refused_by_its_series(lie: Callable[[Tree], None]) -> None:
    tree = tree_of("numbers")
    lie(tree)

    with pytest.raises(SpecError, match=r"reference\.profile\.feature/a\.state: is not what"):
        check_profile(spec_with(tree))


# Mutants: what the check accepts never fails later


def _mutate(chance: random.Random, tree: Tree) -> None:
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


class _Event:
    offset, place, now_ms = 0, 0, START_MS


def _live(spec: ModelSpec, own: list[Scalar]) -> None:
    """Let a series start from the profile, change, come back and become another one."""
    series, reading = SeriesSet(spec), Reading(lambda _role, _row: _Event(), AlertRules())
    changed = [value * 2 + 3 if type(value) is float else "q" for value in own]
    values: list[Scalar] = [*own, *changed, *own, *[None] * 300, *["q", "z"] * 300, *own]
    when = at_ms(len(values))
    role: SeriesRole = "feature"
    for at in range(0, len(values), 400):
        part = slice(at, at + 400)
        series.read([Column("feature/a", role, values[part], when[part])], reading)


@pytest.mark.parametrize("table", TABLES)
def test_a_mutant_that_is_accepted_never_fails(table: str) -> None:
    chance, accepted = random.Random(table), 0  # noqa: S311 - test data
    for _ in range(15):
        tree = tree_of(table)
        _mutate(chance, tree)
        spec = spec_with(tree, alert_budget=chance.choice([1e-6, 0.2, 1_000.0]))
        try:
            check_profile(spec)
        except SpecError:
            continue
        accepted += 1
        assert failure_of(partial(_live, spec, TABLES[table])) is None

    assert accepted < 15
