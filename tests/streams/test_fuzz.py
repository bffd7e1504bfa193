"""Legal specs, controls and profiles, and what is nearly legal: none ends a worker.

The suite draws 45 examples. 12,500 specs, as many controls, and 3,125 profiles:

    HYPOTHESIS_PROFILE=long .venv/bin/python -m pytest --timeout 0 tests/streams/test_fuzz.py
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from functools import cache
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.model_spec import (
    LEAST_BUDGET,
    LONGEST_S,
    MOST_MONEY,
    MOST_WAITING,
    SHORTEST_S,
    ModelSpec,
    parse_spec,
)
from schemas.topics import Topics
from streams.clock import HOUR_MS
from streams.emission import Emission
from streams.ingest.accept import accept
from streams.ingest.records import Accepted, Raw
from streams.model.model import ModelMonitor, Restored
from streams.model.quarantine import Kept
from streams.monitor import Monitor
from streams.series.profile_check import check_profile
from tests.doubles.core import log_of, play, taken_in
from tests.doubles.inputs import (
    CONTROLS,
    OUTCOMES,
    PREDICTIONS,
    SPECS,
    START_MS,
    accepted,
    outcome,
    prediction,
)
from tests.doubles.profiles import TABLES, mutate, spec_with, tree_of
from tests.doubles.story import story
from tests.doubles.strategies import Json, labels, outcomes, predictions

ROWS = 700
LATER_MS = START_MS + 10_000_000
EXAMPLES = settings().max_examples // 2
FUZZ = settings(max_examples=EXAMPLES)

seconds = st.floats(SHORTEST_S, LONGEST_S) | st.sampled_from([SHORTEST_S, 1.0, LONGEST_S])
names = st.lists(st.sampled_from(["a", "b", "c", "\N{SNOWMAN}"]), max_size=3, unique=True)
specs: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {},
    optional={
        "owner": st.text(min_size=1, max_size=9),
        "task": st.sampled_from(["binary", "multiclass", "regression"]),
        "positive": labels,
        "alert_budget": st.floats(LEAST_BUDGET, 1_000) | st.sampled_from([LEAST_BUDGET, 1_000]),
        "features": st.fixed_dictionaries({}, optional={"ignore": names, "categorical": names}),
        "reference": st.fixed_dictionaries({"rows": st.integers(200, 100_000)}),
        "outcome": st.fixed_dictionaries(
            {}, optional={"wait_s": seconds, "max_waiting": st.integers(1, MOST_WAITING)}
        ),
        "inputs": st.fixed_dictionaries({"wait_s": st.just(0.0) | seconds}),
        "alerts": st.fixed_dictionaries(
            {}, optional={"renotify_s": seconds, "hold": st.integers(0, 100)}
        ),
        "metrics": st.sampled_from([{}, {"every": "day"}, {"every": "hour"}]),
        "segments": st.sampled_from([{}, {"ring": 2_000}, {"features": ["a"]}]),
        "upstream": st.sampled_from([[], ["m"]]),
    },
)
wild = st.none() | st.integers(-(10**400), 10**400) | st.floats() | st.text(max_size=5)


@st.composite
def spec_records(draw: st.DrawFn) -> bytes:
    """Draw a spec, in one of three with a field that is wild."""
    fields = draw(specs)
    if fields and not draw(st.integers(0, 2)):
        name = draw(st.sampled_from(sorted(fields)))
        inner = fields[name]
        if isinstance(inner, dict) and inner:
            inner[draw(st.sampled_from(sorted(inner)))] = draw(wild)
        else:
            fields[name] = draw(wild)
    return dumps({"model_id": "m", **fields})


@st.composite
def control_records(draw: st.DrawFn) -> bytes:
    """Draw a control about an alert that is open, or about any other."""
    fields: dict[str, Any] = {
        "control_id": "c",
        "model_id": "m",
        "verb": draw(st.sampled_from(["ack", "accept", "mute", "unmute", "mark", "release"])),
        "fingerprint": draw(st.sampled_from(open_alerts()) | st.text(min_size=1, max_size=9)),
        "by": draw(st.text(min_size=1, max_size=9)),
        "at": draw(st.integers(START_MS, 2 * START_MS) | wild),
    }
    optional = {
        "because": st.none() | st.text(max_size=20),
        "for_s": st.floats(SHORTEST_S, 1e8) | wild,
        "verdict": st.sampled_from(["true", "false"]),
        "episode": st.integers(1, 2**31) | wild,
    }
    for name in draw(st.sets(st.sampled_from(sorted(optional)))):
        fields[name] = draw(optional[name])
    return dumps(fields)


@st.composite
def profile_records(draw: st.DrawFn) -> bytes:
    """Draw a spec with a profile of which a stranger has changed something, or nothing."""
    tree = tree_of(draw(st.sampled_from(sorted(TABLES))))
    chance = random.Random(draw(st.integers(0, 2**32)))  # noqa: S311 - test data
    for _ in range(draw(st.integers(0, 2))):
        mutate(chance, tree)
    fields = spec_with(tree).model_dump(mode="json", exclude_unset=True)
    return orjson.dumps({"model_id": "m", **fields})


def dumps(fields: object) -> bytes:
    """Write JSON with integers of any size, and with what is none."""
    return json.dumps(fields).encode(errors="replace")


@cache
def model() -> ModelMonitor:
    """Return a model with open alerts."""
    events = taken_in(story(rows=ROWS, onset=450))
    spec = ModelSpec(alert_budget=20.0)
    found = play(log_of(events, 100), lambda _model_id: spec).monitor.models["m"]
    found.join.clear()  # the copies are made faster
    return found


@cache
def kept() -> Kept:
    return model().kept()


@cache
def open_alerts() -> list[str]:
    found = sorted(model()._publication.writer._open)
    assert found
    return found


def survive(records: Sequence[bytes], rows: Sequence[Json]) -> None:
    """Pass records through ingest and the monitor, then events, a restart, and events again."""
    monitor = Monitor(0, Topics())
    monitor.resume({"m": Restored(model().revived(kept()), 0)}, 1)
    people: list[Accepted] = []
    for offset, value in enumerate(records, 10_000):
        source = CONTROLS if b'"verb"' in value else SPECS
        found = accept(Raw(source, offset, LATER_MS, value), check_profile=check_profile)
        people += [found] if isinstance(found, Accepted) else []
    ours = [orjson.dumps({**row, "model_id": "m"}) for row in rows]
    events = [each for each in map(taken, range(len(ours)), ours) if isinstance(each, Accepted)]
    emissions: list[Emission] = []
    for offset, part in enumerate(([*people, *events], people[:1] + events), 1):
        if part:
            emissions += monitor.ingest([(monitor.next_offset or 0, log_of(part, 1_000)[0])])
            emissions += monitor.evaluate_all()
        after = monitor.models["m"]
        monitor.resume({"m": Restored(after.revived(after.kept()), offset)}, offset + 1)
    assert not monitor.models["m"].is_quarantined


def taken(row: int, value: bytes) -> object:
    source = PREDICTIONS if b'"predicted_at"' in value else OUTCOMES
    return accept(Raw(source, 20_000 + row, LATER_MS + 1_000 * row, value))


EVENTS = st.lists(predictions | outcomes, max_size=6)


@FUZZ
@given(st.lists(spec_records(), min_size=1, max_size=3), EVENTS)
def test_no_spec_ends_a_worker(records: list[bytes], rows: list[Json]) -> None:
    survive(records, rows)


@FUZZ
@given(st.lists(control_records(), min_size=1, max_size=3), EVENTS)
def test_no_control_ends_a_worker(records: list[bytes], rows: list[Json]) -> None:
    survive(records, rows)


@settings(FUZZ, max_examples=EXAMPLES // 4)
@given(profile_records(), EVENTS)
def test_no_profile_ends_a_worker(record: bytes, rows: list[Json]) -> None:
    survive([record], rows)


EXTREMES = (1e200, -1e200, 1.7e308, -1.7e308, 5e-324, 1e155, 2.0**63)
HOURLY = {"task": "regression", "metrics": {"every": "hour"}}


@pytest.mark.parametrize(
    "asked",
    [
        HOURLY,
        HOURLY | {"cost": {"per_error": MOST_MONEY}},
        HOURLY | {"segments": {"drift": True}},
        HOURLY | {"cost": {"per_error": 3.0}, "review": {"cost_above": 5.0, "sample": 0.5}},
        HOURLY | {"challenge": {}},
    ],
)
def test_quantities_of_any_size_end_no_model(asked: Json) -> None:
    events: list[Accepted] = []
    for row in range(60):
        at_ms, size = START_MS + row * HOUR_MS // 2, EXTREMES[row % len(EXTREMES)]
        more: dict[str, Any] = {
            "features": {"x": size},
            "segment": {"c": "a"},
            "latency_ms": abs(size),
        }
        for value in (
            prediction(f"{row}", predicted_at=at_ms, prediction=size, score=None, **more),
            prediction(f"{row}", predicted_at=at_ms, prediction=1.0, score=None, variant="b"),
            outcome(f"{row}", observed_at=at_ms, outcome=EXTREMES[(row + 3) % len(EXTREMES)]),
        ):
            events.append(replace(accepted(value, logged_at=at_ms), offset=len(events)))

    played = play(log_of(events, 50), lambda _model_id: parse_spec(asked))

    days = [each for each in played.cohorts if each["kind"] == "day"]
    assert days[0]["labelled"] == 48
    assert days[0]["rmse"] is None
