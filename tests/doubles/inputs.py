"""What a service would publish: valid events, one field at a time changed."""

from typing import NamedTuple

import orjson

from schemas.event import Source
from streams.ingest.accept import accept
from streams.ingest.records import Accepted, Raw
from streams.series.profile_check import check_profile

START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z: tests count their instants from here."""

PREDICTIONS = Source("prediction", "predictions", 0)
OUTCOMES = Source("outcome", "outcomes", 0)
HALVES = Source("half", "responses", 0)
INPUTS = Source("inputs", "requests", 0)
SPECS = Source("spec", "models", 0)
CONTROLS = Source("control", "tidegauge.controls", 0)
REPORTS = Source("report", "tidegauge.reports", 0)


class Removal(NamedTuple):
    """A record of ``models`` without a value."""

    model_id: str = "m"


def prediction(prediction_id: str = "p1", model_id: str = "m", **fields: object) -> bytes:
    """Return a prediction as JSON."""
    event = {
        "prediction_id": prediction_id,
        "model_id": model_id,
        "predicted_at": START_MS,
        "prediction": "yes",
    }
    return orjson.dumps(event | fields)


def outcome(prediction_id: str = "p1", model_id: str = "m", **fields: object) -> bytes:
    """Return an outcome as JSON."""
    event = {
        "prediction_id": prediction_id,
        "model_id": model_id,
        "observed_at": START_MS,
        "outcome": "yes",
    }
    return orjson.dumps(event | fields)


def inputs(prediction_id: str = "p1", model_id: str = "m", **fields: object) -> bytes:
    """Return the inputs of a prediction as JSON."""
    event = {"prediction_id": prediction_id, "model_id": model_id, "at": START_MS}
    return orjson.dumps(event | {"features": {"x": 1}} | fields)


def spec(model_id: str = "m", **fields: object) -> bytes:
    """Return a model's spec as JSON."""
    return orjson.dumps({"model_id": model_id} | fields)


def control(verb: str, fingerprint: str, model_id: str = "m", **fields: object) -> bytes:
    """Return a control as JSON."""
    event = {
        "control_id": f"{verb} {fingerprint}",
        "model_id": model_id,
        "verb": verb,
        "fingerprint": fingerprint,
        "by": "ann",
        "at": START_MS,
    }
    return orjson.dumps(event | fields)


def raw(value: bytes | None, offset: int = 0, source: Source = PREDICTIONS) -> Raw:
    """Return a record of an input topic."""
    return Raw(source, offset, START_MS + offset, value)


def accepted(
    value: bytes | Removal,
    offset: int = 0,
    *,
    source: Source | None = None,
    logged_at: int | None = None,
) -> Accepted:
    """Return a valid event as ingest takes it in."""
    at_ms = START_MS + offset if logged_at is None else logged_at
    if isinstance(value, Removal):
        event = accept(Raw(source or SPECS, offset, at_ms, None, value.model_id.encode()))
    else:
        event = accept(
            Raw(source or _source_of(value), offset, at_ms, value), check_profile=check_profile
        )
    if not isinstance(event, Accepted):
        raise TypeError(f"a test's event was refused: {event.letter.detail}")
    return event


def _source_of(value: bytes) -> Source:
    for mark, source in (
        (b'"predicted_at"', PREDICTIONS),
        (b'"observed_at"', OUTCOMES),
        (b'"verb"', CONTROLS),
        (b'"report_id"', REPORTS),
    ):
        if mark in value:
            return source
    return SPECS


def report(prediction_id: str, model_id: str = "m", **fields: object) -> bytes:
    """Return a report as JSON."""
    event = {
        "report_id": f"report {prediction_id}",
        "prediction_id": prediction_id,
        "model_id": model_id,
        "at": START_MS,
    }
    return orjson.dumps(event | fields)
