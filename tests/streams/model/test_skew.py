"""Predictions with features against the inputs of their ids."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import orjson
import pytest

from schemas.model_spec import ModelSpec
from streams.ingest.records import Accepted
from streams.traffic.skew import Compared, Skew
from tests.doubles.core import Played, log_of, play, play_gathering, play_restarting
from tests.doubles.inputs import (
    CONTROLS,
    INPUTS,
    PREDICTIONS,
    SPECS,
    START_MS,
    accepted,
    control,
    inputs,
    prediction,
    spec,
)

SPEC = ModelSpec.model_validate({"skew": {"tolerance": 1e-3}})
ROWS, FROM, TO = 1_000, 400, 520


def spec_of(_model_id: str) -> ModelSpec:
    return SPEC


def taken(values: list[bytes]) -> list[Accepted]:
    offsets: dict[str, int] = {}
    events = []
    for place, value in enumerate(values):
        event = orjson.loads(value)
        source = PREDICTIONS if "predicted_at" in event else INPUTS
        if "verb" in event:
            source = CONTROLS
        elif "at" not in event and "predicted_at" not in event:
            source = SPECS
        offset = offsets[source.name] = offsets.get(source.name, -1) + 1
        at_ms = START_MS + 1_000 * place
        events.append(accepted(value, offset, source=source, logged_at=at_ms))
    return events


def values(wrong: range = range(FROM, TO)) -> list[bytes]:
    """Rows whose inputs come before or after them; some of `income` are stale."""
    rng = np.random.default_rng(91)
    made: list[bytes] = []
    for row in range(ROWS):
        income = float(rng.normal(50, 10))
        logged = income * 1.0001 if row not in wrong or rng.random() > 0.3 else income + 9
        features = {"income": income, "kind": "a", "own": 1.0}
        pair = [
            prediction(f"p{row}", features=features),
            inputs(f"p{row}", features={"income": logged, "kind": "a", "other": 2}),
        ]
        made += pair if row % 2 else reversed(pair)
    return made


@cache
def log() -> tuple[bytes, ...]:
    return tuple(log_of(taken(values())))


@cache
def played() -> Played:
    return play(log(), spec_of)


def skews(found: Played) -> list[dict[str, Any]]:
    return [each for each in found.of("alerts") if each["kind"] == "skew"]


def test_a_feature_that_differs_is_told_and_ends_when_it_agrees() -> None:
    fired, *more, ended = skews(played())

    assert (fired["series"], fired["aspect"], fired["status"]) == (
        "skew/income", "mismatch", "firing",
    )  # fmt: skip
    assert FROM < fired["predictions_seen"] < TO
    assert (
        "values of feature income differ from the feature log, as of prediction p"
        in (fired["summary"])
    )
    assert ended["status"] == "resolved"
    assert ended["predictions_seen"] > TO
    assert {each["series"] for each in more} <= {"skew/income"}


def test_every_pair_is_compared_whichever_comes_first() -> None:
    model = played().monitor.models["m"]

    assert model.join.halves.counts.compared_inputs == model.join.halves.counts.inputs == ROWS
    assert model._skew is not None
    assert {name: each.rows for name, each in model._skew.features.items()} == {
        "income": ROWS, "kind": ROWS,
    }  # fmt: skip
    assert model.counts.predictions == ROWS


def test_how_the_log_is_cut_and_a_restart_change_nothing() -> None:
    whole = played().bytes_of("alerts")

    assert play_gathering(log(), 4, spec_of).bytes_of("alerts") == whole
    assert play_restarting(log(), spec_of).bytes_of("alerts") == whole


def test_a_difference_from_the_first_row_on_is_told_within_some_rows() -> None:
    found = play(log_of(taken(values(range(ROWS))[:400])), spec_of)

    assert skews(found)[0]["predictions_seen"] < 60


def test_without_a_spec_inputs_are_late_and_nothing_is_compared() -> None:
    found = play(log())

    counts = found.monitor.models["m"].join.halves.counts
    assert skews(found) == []
    assert (counts.compared_inputs, counts.late_inputs) == (0, ROWS // 2)


def test_a_spec_that_asks_no_longer_ends_the_alert() -> None:
    made = values()
    given = [spec(skew={}), *made[: 2 * TO - 10], spec(owner="ann"), *made[2 * TO - 10 :]]

    found = skews(play(log_of(taken(given))))

    assert [each["status"] for each in found][-1] == "resolved"
    assert sum(each["status"] == "firing" for each in found) == 1


def test_an_accepted_share_is_normal_from_there_on() -> None:
    made = values(range(FROM, ROWS))
    fingerprint = skews(play(log_of(taken(made)), spec_of))[0]["fingerprint"]

    given = [*made[:1_500], control("accept", fingerprint), *made[1_500:]]
    found = skews(play(log_of(taken(given)), spec_of))

    assert found[-1]["resolved_because"] == "accepted"
    assert sum(each["status"] == "firing" for each in found) == 1


@pytest.mark.parametrize(("served", "logged"), [(None, 0.0), ("1", 1), (True, 1), ("secret", "b")])
def test_values_of_another_type_differ_and_missing_ones_do(served: Any, logged: Any) -> None:
    skew = Skew()

    for row in range(12):
        states = skew.on_row(Compared(f"p{row}", {"x": served}, {"x": logged}), 1e-6, 0.2)
        if states:
            break

    assert states[0].is_on
    assert "secret" not in states[0].condition.says
