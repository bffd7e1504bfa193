"""Check a profile before any series starts from it: its state is a stranger's bytes.

Rule 1. The fields fit each other: each machine refuses what does not, when it is decoded.
Rule 2. The bytes are those that this version writes for the decoded state: no unknown field, no
        length that lies.
Rule 3. Every number is finite, every count is one of 32 bits, and nothing nests deep.
Rule 4. There is nothing left to learn: the state is the one at the end of a table.
Rule 5. A series that starts from it has read values of all types, near and far, missing and stuck,
        for days, has alarmed, recovered and been stored, without a failure of any library.
"""

import base64
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from msgspec import Struct

from schemas.model_spec import AlertRules, ModelSpec, SeriesProfile, SpecError
from streams.aspects import SeriesRole
from streams.codec import decode, encode, failure_of
from streams.season.hour_profile import Timestamps
from streams.series.monitored import MonitoredSeries
from streams.series.offline import watch_of
from streams.series.reading import Origin, Reading
from streams.series.repeat_limit import NEVER
from streams.series.watch import SeriesWatch
from streams.series.watch_spec import WatchSpec
from streams.values import Scalar

OWN_SERIES: dict[str, SeriesRole] = {
    "prediction": "prediction",
    "score": "score",
    "error": "error",
    "outcome": "outcome",
}
"""The series of a model that are no features."""
_MOST = 2**32
"""Counts, and minutes since 1970."""
_MOST_VALUE = 2**63
"""Integers among the values of a series (docs/wire.md)."""
_OF_VALUES = frozenset(
    ("watched", "names", "original", "_known", "_value", "_last", "_columns", "_categories")
)
"""Fields that hold values of the series."""
_DEEPEST = 12
"""Levels of a state; a profile of `tidegauge profile` has seven."""
_TRIAL_START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""
_TRIAL_MS = 60_000
"""Between two values: a trial takes some days of log time."""
_TRIAL_READ = 500
"""Values read at once."""
_TRIAL_BUDGETS = (1e-9, 1.0)
"""False alarms per 10,000 values: the least part that a spec can give a series, and a large one."""
_RULES = AlertRules()


def check_profile(spec: ModelSpec) -> None:
    """Check every reference of a spec's profile.

    Raises
    ------
    SpecError
        Naming the series.
    """
    for series, made in spec.reference.profile.items():
        field = f"reference.profile.{series}"
        if not series.startswith("feature/") and series not in OWN_SERIES:
            msg = f"{field}: no such series; it is feature/NAME, {' or '.join(OWN_SERIES)}"
            raise SpecError(msg)
        watched = WatchSpec(
            role=OWN_SERIES.get(series, "feature"), reference_rows=spec.reference.rows
        )
        failure = failure_of(partial(_check, watched, made))
        if failure is not None:
            msg = (
                f"{field}.state: is not what `tidegauge profile` of this version writes: {failure}"
            )
            raise SpecError(msg)


def _check(spec: WatchSpec, made: SeriesProfile) -> None:
    watch_of(spec, made.model_dump())
    data = base64.b64decode(made.state)
    watch = decode(data, SeriesWatch)
    if encode(watch) != data:
        msg = "its bytes are not those of the state that they hold"
        raise ValueError(msg)
    _refuse_wild(watch, 0)
    if not watch.is_at_start:
        msg = "it is not the state at the end of a table"
        raise ValueError(msg)
    described = watch.describe()
    for values in _trials(described["reference"]):
        for budget in _TRIAL_BUDGETS:
            _try_out(watch_of(spec, made.model_dump()), budget, values)


def _refuse_wild(value: Any, depth: int, most: int = _MOST) -> None:
    """Refuse a part of a state that no table of values leads to (Rule 3)."""
    if depth > _DEEPEST:
        msg = f"it nests deeper than {_DEEPEST} levels"
        raise ValueError(msg)
    match value:
        case np.ndarray():
            is_tame = bool(np.isfinite(value).all())
        case float():
            is_tame = math.isfinite(value)
        case int():
            is_tame = abs(value) <= most
        case _:
            is_tame = True
            for part, most_there in _parts(value, most):
                _refuse_wild(part, depth + 1, most_there)
    if not is_tame:
        msg = "it holds a number that no table of values leads to"
        raise ValueError(msg)


def _parts(value: Any, most: int) -> Iterator[tuple[Any, int]]:
    """Yield the parts of a state, each with the largest integer that may be in it."""
    if isinstance(value, Struct):
        for name in value.__struct_fields__:
            part = getattr(value, name)
            if name == "_next":  # of a limit that passes nothing: the table had values of two types
                yield part, NEVER
            elif name in _OF_VALUES and not isinstance(part, Struct):
                yield part, _MOST_VALUE
            else:
                yield part, _MOST
    elif isinstance(value, dict):
        yield from ((part, most) for part in (*value, *value.values()))
    elif isinstance(value, list | tuple):
        yield from ((part, most) for part in value)


class _TrialEvent:
    """The event of any value of a trial."""

    offset, place, now_ms = 0, 0, _TRIAL_START_MS


def _event_of(_role: SeriesRole, _row: int) -> Origin:
    return _TrialEvent()


def _try_out(watch: SeriesWatch, budget: float, values: Sequence[Scalar]) -> None:
    """Let a series live through values, and through what follows of them (Rule 5)."""
    series, reading = MonitoredSeries("trial", watch.spec.role, watch), Reading(_event_of, _RULES)
    series.watch.set_budget(budget)
    at_ms = _TRIAL_START_MS
    for at in range(0, len(values), _TRIAL_READ):
        part = values[at : at + _TRIAL_READ]
        when = at_ms + _TRIAL_MS * np.arange(len(part), dtype=np.int64)
        series.read(part, when, Timestamps.of(when), 0, reading)
        at_ms += _TRIAL_MS * len(part)
    series = decode(encode(series), MonitoredSeries)
    series.watch.accept()
    for state in list(series.alerts()):
        series.end(state.aspect, "accepted", at_ms, _RULES)
        series.watch.restart(state.aspect)
    encode(series)


def _trials(reference: Any) -> list[list[Scalar]]:
    """Return runs of values: near the reference, missing, far above and below, stuck, odd."""
    near: list[Scalar] = list(reference.get("quantiles", {}).values())
    for name in reference.get("shares", {}):
        near += [name, True, False]
        with suppress(ValueError):
            near.append(float(name))
    near = near or ["a"]
    usual = [near[row * row % 101 % len(near)] for row in range(1_500)]
    mean, sd = reference.get("mean", 0.0), reference.get("sd", 1.0)
    far = [max(min(mean + away * sd, 1e300), -1e300) for away in (20.0, -20.0)]
    gaps: list[Scalar] = [None if row % 3 else value for row, value in enumerate(usual)]
    kinds: list[Scalar] = ["a", "b", True, 7, 0.5, None]
    odd = [kinds[row * row % 7 % 6] for row in range(600)]
    return [
        [*usual, *gaps[:600]],
        [*usual[:100], *[far[0]] * 700, *usual[:700]],
        [*usual[:100], *[far[1]] * 700, *odd],
        [*odd, *["a"] * 300, *usual],
    ]
