"""A regression's error without labels: the model of errors, and what `metrics` tells with it."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import orjson
import pytest
from msgspec.structs import replace

from schemas.error_model import ErrorModel
from schemas.model_spec import ModelSpec, SpecError, parse_spec
from streams.clock import DAY_MS, HOUR_MS
from streams.ingest.records import Accepted
from streams.performance.error_fit import FEWEST_ROWS, ErrorRow, fit_errors
from streams.performance.error_model import ErrorEstimator
from tests.doubles.core import Json, Played, log_of, play, play_gathering, play_restarting
from tests.doubles.inputs import START_MS, accepted, outcome, prediction

DAYS, A_DAY = 4, 150


def row_of(rng: np.random.Generator, hard: float) -> tuple[dict[str, Any], float, float]:
    """Features, a prediction and its error: larger for old cars, and of one fuel."""
    fuel = "diesel" if rng.random() < hard else "petrol"
    age = float(rng.uniform(0, 20))
    size = (1 + age / 5) * (3 if fuel == "diesel" else 1)
    features = {"fuel": fuel, "age": None if rng.random() < 0.05 else age, "noise": rng.random()}
    return features, round(float(rng.normal(100, 20)), 2) + 0.001, float(rng.normal(0, size))


def rows(seed: int, n: int, hard: float) -> list[ErrorRow]:
    rng = np.random.default_rng(seed)
    made = (row_of(rng, hard) for _ in range(n))
    return [ErrorRow(features, answer, abs(error)) for features, answer, error in made]


@cache
def model() -> ErrorModel:
    found = fit_errors(rows(61, 4_000, hard=0.2))
    assert found is not None
    return found


def mean_told(of: list[ErrorRow]) -> float:
    told = ErrorEstimator(model())
    found = [told.expected(row.features, row.prediction) or 0 for row in of]
    return float(np.mean(found)) * told.unit


@pytest.mark.parametrize("hard", [0.2, 0.5, 0.8])
def test_the_error_of_other_traffic_is_told_without_its_labels(hard: float) -> None:
    fresh = rows(62, 6_000, hard)
    realised = np.array([row.error for row in fresh])
    chance = realised.std() / np.sqrt(len(fresh))

    assert mean_told(fresh) == pytest.approx(realised.mean(), abs=4 * chance)


def test_the_same_rows_make_the_same_model() -> None:
    assert fit_errors(rows(61, 4_000, hard=0.2)) == model()


def test_a_value_that_was_never_seen_is_taken_as_missing() -> None:
    told = ErrorEstimator(model())

    assert told.expected({"fuel": "steam", "age": "old"}, 100.0) == told.expected(
        {"fuel": None, "age": None}, 100.0
    )


def test_few_rows_and_exact_answers_make_no_model() -> None:
    assert fit_errors(rows(63, FEWEST_ROWS - 1, 0.2)) is None
    assert fit_errors([row._replace(error=0.0) for row in rows(63, FEWEST_ROWS, 0.2)]) is None


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("trees", 7, "complete trees"),
        ("limits", [1], "limits for"),
        ("leaves", [1], "leaves for"),
        ("splits", [9] * 2_480, "a split by column 9"),
        ("unit", 0.0, "greater than 0"),
        ("columns", [], "at least 1"),
        ("base", 1e300, "valid integer"),
    ],
)
def test_a_model_whose_parts_do_not_fit_is_refused(field: str, value: object, says: str) -> None:
    fields = model().model_dump() | {field: value}

    with pytest.raises(SpecError, match=says):
        parse_spec({"metrics": {"every": "day"}, "reference": {"error_model": fields}})


# In the monitor


def spec_of(_model_id: str) -> ModelSpec:
    return parse_spec(
        {
            "task": "regression",
            "metrics": {"every": "day"},
            "outcome": {"wait_s": 3 * 86_400},
            "reference": {"error_model": model().model_dump()},
        }
    )


@cache
def events() -> tuple[Accepted, ...]:
    rng = np.random.default_rng(64)
    made: list[tuple[int, bytes]] = []
    for number, at in enumerate(np.sort(rng.uniform(0, DAYS * DAY_MS, DAYS * A_DAY))):
        features, answer, error = row_of(rng, 0.2 if at < 2 * DAY_MS else 0.8)
        at_ms = START_MS + int(at)
        known_ms = at_ms + int(rng.uniform(1, 30) * HOUR_MS)
        status = "fallback" if number % 9 == 0 else "ok"
        fields: Json = {"prediction": answer, "features": features, "status": status}
        made.append((at_ms, prediction(f"{number}", predicted_at=at_ms, **fields)))
        made.append((known_ms, outcome(f"{number}", outcome=answer - error, observed_at=known_ms)))
    end_ms = START_MS + 9 * DAY_MS
    made.append((end_ms, prediction("last", predicted_at=end_ms, prediction=0.5)))
    made.sort(key=lambda each: each[0])
    return tuple(
        replace(accepted(value, logged_at=at_ms), offset=place)
        for place, (at_ms, value) in enumerate(made)
    )


@cache
def played() -> Played:
    return play(log_of(events()), spec_of)


def days(found: Played) -> dict[str, list[Json]]:
    made: dict[str, list[Json]] = {}
    for each in found.cohorts:
        made.setdefault(each["start"], []).append(each)
    return made


def test_a_day_tells_its_error_at_its_end_and_how_far_that_was_off() -> None:
    told = ErrorEstimator(model())
    by_day: dict[int, list[int]] = {}
    for event in (orjson.loads(each.payload) for each in events()):
        if "features" in event and event.get("status", "ok") == "ok":
            units = told.expected(event["features"], event["prediction"]) or 0
            by_day.setdefault(event["predicted_at"] // DAY_MS, []).append(units)

    of_days = days(played())

    assert len(of_days) == DAYS
    for (first, *_, last), expected in zip(of_days.values(), by_day.values(), strict=False):
        estimate = first["without_labels"]
        assert estimate["n"] == len(expected)
        assert estimate["mae"] == pytest.approx(sum(expected) * told.unit / len(expected), rel=1e-5)
        assert estimate["error"] is None
        assert last["without_labels"]["mae"] == estimate["mae"]
        assert last["without_labels"]["missed_by"] == pytest.approx(last["mae"] - estimate["mae"])
        assert last["mae"] == pytest.approx(estimate["mae"], rel=0.25)
    before, *_, after = (each[0]["without_labels"]["mae"] for each in of_days.values())
    assert after > 1.5 * before  # told at the end of the day, with few of its labels


def test_how_the_log_is_cut_and_a_restart_change_nothing() -> None:
    whole = played().bytes_of("metrics")

    assert play_gathering(log_of(events(), 7), 5, spec_of).bytes_of("metrics") == whole
    assert play_restarting(log_of(events(), 200), spec_of).bytes_of("metrics") == whole


def test_without_an_error_model_nothing_is_told() -> None:
    found = play(log_of(events()), lambda _model_id: ModelSpec.model_validate({"metrics": {}}))

    assert all(each["without_labels"] is None for each in found.cohorts)
