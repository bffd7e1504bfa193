"""Predictions and inputs that come apart, joined by the model."""

import random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.event import encode_tick
from schemas.model_spec import ModelSpec
from streams.ingest.records import Accepted
from streams.join.halves import HalfCounts
from streams.model.model import ModelMonitor
from tests.doubles.core import Played, log_of, play, play_gathering, play_restarting
from tests.doubles.inputs import (
    HALVES,
    INPUTS,
    OUTCOMES,
    START_MS,
    Removal,
    accepted,
    inputs,
    outcome,
    prediction,
    spec,
)

WAIT_S = 600


def log_events(values: list[bytes], every_ms: int = 1_000) -> list[Accepted]:
    """Accept events in their order; predictions are halves."""
    offsets: dict[str, int] = {}
    events = []
    for place, value in enumerate(values):
        source = HALVES if b"predicted_at" in value else INPUTS if b'"at"' in value else OUTCOMES
        offset = offsets[source.name] = offsets.get(source.name, -1) + 1
        at_ms = START_MS + every_ms * place
        events.append(accepted(value, offset, source=source, logged_at=at_ms))
    return events


def model_of(played: Played) -> ModelMonitor:
    (model,) = played.monitor.models.values()
    return model


def rows(played: Played) -> dict[str, Any]:
    return {row["prediction"]["prediction_id"]: row["prediction"] for row in played.of("labelled")}


@pytest.mark.parametrize("order", ["hio", "ihoo", "oih", "hoi", "ohi", "iho"])
def test_a_pair_is_labelled_once_with_its_features_in_any_order(order: str) -> None:
    parts = {
        "h": prediction("p", score=0.5),
        "i": inputs("p", features={"x": 7}, segment={"country": "FR"}),
        "o": outcome("p"),
    }

    played = play(log_of(log_events([parts[each] for each in order])))

    assert [row["row"] for row in played.of("labelled")] == [1]
    assert rows(played)["p"]["features"] == {"x": 7}
    assert rows(played)["p"]["segment"] == {"country": "FR"}
    assert rows(played)["p"]["score"] == 0.5
    assert model_of(played).join.halves.counts.joined == 1
    assert model_of(played).taken == len(order)


def test_a_half_whose_inputs_do_not_come_goes_on_without_after_its_wait() -> None:
    events = log_events([prediction("p"), outcome("p"), *[outcome(f"q{n}") for n in range(3)]])
    late = [replace(each, logged_at=each.logged_at + 1_000 * WAIT_S) for each in events[2:]]

    before = play(log_of(events[:2]))
    after = play(log_of([*events[:2], *late]))

    assert before.of("labelled") == []
    assert "features" not in rows(after)["p"]
    assert model_of(after).join.halves.counts == HalfCounts(without_inputs=1)


def test_a_tick_ends_a_wait_too() -> None:
    log = log_of(log_events([prediction("p"), outcome("p")]))
    early, due = (encode_tick(START_MS + 1_000 * WAIT_S + more) for more in (-2_000, 0))

    assert play([*log, early]).of("labelled") == []
    (row,) = play([*log, early, due]).of("labelled")
    assert row["evidence"] == {"partition": 0, "offset": 2, "index": 0}


def test_what_comes_twice_or_too_late_is_counted_and_changes_nothing() -> None:
    values = [
        prediction("p"),
        prediction("p", prediction="no"),
        inputs("p"),
        inputs("p"),
        prediction("p"),
        inputs("q"),
        inputs("q", features={"x": 2}),
    ]

    model = model_of(play(log_of(log_events(values))))

    counts = model.join.halves.counts
    assert counts == HalfCounts(inputs=4, joined=1, late_inputs=1, duplicate_inputs=1)
    assert model.join.counts.duplicate_predictions == 2
    assert model.taken == len(values)


def test_with_a_wait_of_nothing_nothing_waits() -> None:
    given = ModelSpec.model_validate({"inputs": {"wait_s": 0}})
    events = log_events([prediction("p"), inputs("p"), outcome("p"), inputs("q"), prediction("q")])

    model = model_of(play(log_of(events), lambda _: given))

    assert model.join.halves.counts == HalfCounts(
        inputs=2, without_inputs=2, late_inputs=1, orphan_inputs=1
    )


def test_where_too_many_wait_the_oldest_goes_on_and_none_is_lost() -> None:
    given = ModelSpec.model_validate({"outcome": {"max_waiting": 3}})
    events = log_events([prediction(f"p{n}") for n in range(10)])

    model = model_of(play(log_of(events), lambda _: given))

    assert (model.counts.predictions, len(model.join.halves.halves)) == (7, 3)


def test_a_shorter_wait_takes_effect_at_its_place_and_a_removal_frees_what_waits() -> None:
    halves = log_events([prediction("p"), prediction("q")])
    shorter = accepted(spec(inputs={"wait_s": 0.5}), 0, logged_at=START_MS + 2_000)
    removed = accepted(Removal(), 1, logged_at=START_MS + 2_000)

    gone_on = model_of(play(log_of([*halves, shorter])))
    freed = model_of(play(log_of([*halves, removed])))

    assert (gone_on.counts.predictions, len(gone_on.join.halves.halves)) == (1, 1)
    assert (freed.counts.predictions, len(freed.join.halves.halves)) == (0, 0)
    assert (gone_on.taken, freed.taken) == (3, 3)


def test_a_service_whose_inputs_do_not_come_is_not_silent() -> None:
    """A prediction a minute for two days; then their inputs stop, and they do not."""
    minute_ms = 60_000
    values = [
        part
        for n in range(2_900)
        for part in ([prediction(f"p{n}"), inputs(f"p{n}")] if n < 2_880 else [prediction(f"p{n}")])
    ]
    offsets = {HALVES.name: 0, INPUTS.name: 0}
    events, minute = [], 0
    for value in values:
        source = HALVES if b"predicted_at" in value else INPUTS
        minute += source == HALVES
        events.append(
            accepted(value, offsets[source.name], source=source,
                     logged_at=START_MS + minute * minute_ms)
        )  # fmt: skip
        offsets[source.name] += 1
    log = log_of(events)
    until_ms = START_MS + minute * minute_ms

    played = play([*log, encode_tick(until_ms + 120_000)])

    assert ("predictions", "silence") not in played.changes()


def scrambled(seed: int, count: int) -> list[Accepted]:
    """Return halves, inputs and outcomes of so many predictions, in any order; some are missing."""
    chance = random.Random(seed)  # noqa: S311 - a reproducible order
    values = []
    for n in range(count):
        parts = [
            prediction(f"p{n}", prediction=chance.choice(["yes", "no"]), score=chance.random()),
            inputs(f"p{n}", features={"x": chance.gauss(0, 1), "y": chance.choice("ab")}),
            outcome(f"p{n}", outcome=chance.choice(["yes", "no"])),
        ]
        values += [(n + chance.uniform(0, 30), each) for each in parts if chance.random() < 0.95]
    return log_events([value for _, value in sorted(values)], every_ms=10_000)


@given(st.integers(0, 10_000), st.integers(10, 60), st.integers(1, 9))
@settings(max_examples=10)
def test_how_the_log_is_cut_and_a_restart_anywhere_change_nothing(
    seed: int, per_record: int, read_every: int
) -> None:
    events = scrambled(seed, 120)
    whole = log_of(events, per_record)

    played, restarted = play(whole), play_restarting(whole)

    assert restarted.emissions == played.emissions
    assert restarted.monitor.models["m"].snapshot() == played.monitor.models["m"].snapshot()
    assert play_gathering(whole, read_every).emissions == played.emissions
    assert [
        orjson.loads(value) | {"evidence": None}
        for value in play(log_of(events, 1)).bytes_of("labelled")
    ] == [orjson.loads(value) | {"evidence": None} for value in played.bytes_of("labelled")]


def test_a_tick_ends_a_wait_of_a_model_that_was_restored() -> None:
    log = log_of(log_events([prediction("p"), outcome("p")]))
    due = encode_tick(START_MS + 1_000 * WAIT_S)

    assert play_restarting([*log, due]).emissions == play([*log, due]).emissions
