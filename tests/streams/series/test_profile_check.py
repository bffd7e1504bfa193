"""A profile is a stranger's bytes: none may end a worker, now or later."""

import math
import random
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from schemas.model_spec import AlertRules, ModelSpec, SpecError
from streams.aspects import SeriesRole
from streams.codec import failure_of
from streams.detect import adwin_kernel
from streams.series.profile_check import check_profile
from streams.series.reading import Column, Reading
from streams.series.series_set import SeriesSet
from streams.values import Scalar
from tests.doubles.inputs import START_MS
from tests.doubles.profiles import TABLES, Tree, at_ms, mutate, spec_with, tree_of


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
    window = _detector(tree)["slow_drift"]["window"]
    buckets = 1 + 8 * adwin_kernel.HEAD  # of the first level, behind the byte of the array's type
    _detector(tree)["slow_drift"]["window"] = (
        window[:buckets] + struct.pack("<d", 2.0**62) + window[buckets + 8 :]
    )


def _deep(tree: Tree) -> None:
    nested: list[Any] = []
    for _ in range(200):
        nested = [nested]
    tree["learning"]["original"]["mean"] = nested


def _huge_count(tree: Tree) -> None:
    tree["quality"]["types"]["limit"]["rows"] = 2**62


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
    for _ in range(6):
        tree = tree_of(table)
        mutate(chance, tree)
        spec = spec_with(tree, alert_budget=chance.choice([1e-6, 0.2, 1_000.0]))
        try:
            check_profile(spec)
        except SpecError:
            continue
        accepted += 1
        assert failure_of(partial(_live, spec, TABLES[table])) is None

    assert accepted < 6
