"""What a service would publish: valid events, one field at a time changed."""

import orjson

from schemas.event import EventKind, Source
from streams.ingest import Accepted, Raw, accept

START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z: tests count their instants from here."""

PREDICTIONS = Source("prediction", "predictions", 0)
OUTCOMES = Source("outcome", "outcomes", 0)


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


def raw(value: bytes | None, offset: int = 0, source: Source = PREDICTIONS) -> Raw:
    """Return a record of an input topic."""
    return Raw(source, offset, START_MS + offset, value)


def accepted(
    value: bytes, offset: int = 0, *, source: Source | None = None, logged_at: int | None = None
) -> Accepted:
    """Return a valid event as ingest takes it in."""
    kind: EventKind = "outcome" if b'"observed_at"' in value else "prediction"
    place = source or (OUTCOMES if kind == "outcome" else PREDICTIONS)
    at_ms = START_MS + offset if logged_at is None else logged_at
    event = accept(Raw(place, offset, at_ms, value))
    if not isinstance(event, Accepted):
        raise TypeError(f"a test's event was refused: {event.letter.detail}")
    return event
