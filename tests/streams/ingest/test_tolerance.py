"""An optional field that is not legal is left out and counted, and costs no event."""

from typing import Any

import orjson
import pytest

from schemas.model_spec import ModelSpec
from streams.ingest.accept import accept, accept_fields
from streams.ingest.records import Accepted, Refused
from tests.doubles.core import log_of, play, taken_in
from tests.doubles.corpus import Tolerated, tolerated_inputs
from tests.doubles.inputs import OUTCOMES, PREDICTIONS, START_MS, outcome, prediction, raw

FEATURES = {"x": 1.5, "y": "b"}


def taken(value: bytes) -> dict[str, Any]:
    item = accept(raw(value))
    assert isinstance(item, Accepted)
    event: dict[str, Any] = orjson.loads(item.payload)
    return event


def with_token(name: str, token: str) -> bytes:
    """Return a prediction with a field of any token, legal JSON or not."""
    return prediction(features=FEATURES).removesuffix(b"}") + f',"{name}":{token}}}'.encode()


@pytest.mark.parametrize("given", tolerated_inputs(), ids=lambda given: given.says)
def test_an_input_with_an_illegal_part_is_taken_without_it(given: Tolerated) -> None:
    source = PREDICTIONS if given.kind == "prediction" else OUTCOMES

    item = accept(raw(given.value, source=source))

    assert isinstance(item, Accepted)
    assert orjson.loads(item.payload).get("left_out", [None])[0] == given.left_out


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_feature_that_is_no_finite_number_is_missing(token: str) -> None:
    event = taken(prediction(features={"x": 0}).replace(b'"x":0', f'"x":{token},"y":2'.encode()))

    assert event["features"] == {"x": None, "y": 2}
    assert event["left_out"] == ["features"]


@pytest.mark.parametrize(
    ("token", "score"), [("1.0000001", 1.0), ("-0.0000009", 0.0), ("1", 1), ("1.00001", None)]
)
def test_a_score_is_held_to_its_bounds_within_the_rounding(token: str, score: float | None) -> None:
    event = taken(with_token("score", token))

    assert event.get("score") == score
    assert ("left_out" in event) == (score is None)


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("latency_ms", "-0.2"),
        ("latency_ms", "NaN"),
        ("explanation", '{"x": "high"}'),
        ("explanation", "[1, 2]"),
        ("segment", '"FR"'),
        ("model_version", "3"),
        ("status", '"done"'),
    ],
)
def test_any_other_optional_field_that_is_not_legal_is_left_out(name: str, token: str) -> None:
    event = taken(with_token(name, token))

    assert name not in event
    assert event["left_out"] == [name]
    assert event["features"] == FEATURES


@pytest.mark.parametrize("name", ["prediction_id", "model_id"])
def test_a_number_is_an_id(name: str) -> None:
    event = orjson.loads(prediction())

    assert taken(orjson.dumps(event | {name: 75001}))[name] == "75001"
    assert taken(orjson.dumps(event | {name: 75001.0}))[name] == "75001"


@pytest.mark.parametrize(
    "value",
    [
        prediction(predicted_at="NaN"),
        prediction(prediction=["a"], status="error"),
        prediction(prediction="").replace(b'""', b"NaN"),
        prediction().replace(b'"p1"', b"true"),
        outcome(outcome=None),
    ],
)
def test_required_fields_are_strict(value: bytes) -> None:
    source = PREDICTIONS if b"predicted_at" in value else OUTCOMES

    assert isinstance(accept(raw(value, source=source)), Refused)


def test_a_call_that_failed_needs_no_answer() -> None:
    event = orjson.loads(prediction(status="error"))
    del event["prediction"]

    assert taken(orjson.dumps(event))["prediction"] is None


def test_fields_of_a_map_are_taken_as_those_of_a_record() -> None:
    fields = {"prediction_id": "p", "model_id": "m", "predicted_at": START_MS, "prediction": 1}
    features = {"x": float("nan"), "y": 2**70}

    item = accept_fields(raw(b""), fields | {"features": features}, 10_000)

    assert isinstance(item, Accepted)
    assert orjson.loads(item.payload)["features"] == {"x": None, "y": float(2**70)}


def test_fields_that_were_left_out_are_counted_once_each() -> None:
    values = [prediction(f"p{row}", latency_ms=-1, segment=7) for row in range(5)]
    events = taken_in(values)

    (model,) = play(log_of([*events, *events], 3)).monitor.models.values()

    assert model.counts.left_out == {"segment": 5, "latency_ms": 5}


def test_a_failed_call_is_no_error_of_the_model_and_no_answer() -> None:
    failed = orjson.loads(prediction("p1", status="error"))
    del failed["prediction"]
    spec = ModelSpec.model_validate({"metrics": {"every": "day"}})
    values = [orjson.dumps(failed), outcome("p1")]
    played = play(log_of(taken_in(values)), lambda _: spec)

    (row,) = played.of("labelled")
    assert (row["is_error"], row["error"], row["prediction"]["prediction"]) == (None, None, None)
