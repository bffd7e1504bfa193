"""Predictions and outcomes in their plain form, read in a third of the time that pydantic takes.

The plain form is a subset of the form that `Prediction` and `Outcome` accept: no unknown field,
integers of at most 64 bits. Nothing is refused here: an event that is not plain is read again by
those models, which alone decide about refusals. They accept every plain event, and write it in the
same bytes.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, MsgspecError, Struct, UnsetType, convert, field
from msgspec.json import Decoder, Encoder

from schemas.instants import FIRST_INSTANT_MS, LAST_INSTANT_MS
from schemas.wire import MAX_FEATURES, MAX_NAME, MAX_SEGMENTS, MAX_TEXT, to_epoch_ms

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Instant = Annotated[int, Meta(ge=FIRST_INSTANT_MS, le=LAST_INSTANT_MS)] | str
Label = bool | Int64 | float | Text
Probability = Annotated[float, Meta(ge=0, le=1)]
Scores = Annotated[dict[Name, Probability], Meta(max_length=MAX_FEATURES)]
Features = Annotated[dict[Name, bool | Int64 | float | Text | None], Meta(max_length=MAX_FEATURES)]
Attributions = Annotated[dict[Name, float], Meta(max_length=MAX_FEATURES)]
Segment = Annotated[dict[Name, Text], Meta(max_length=MAX_SEGMENTS)]
ReadEvent = tuple[str, int, bytes]
"""The model's id, the event's own instant in epoch milliseconds, the event in its one form."""


class PlainPrediction(Struct, forbid_unknown_fields=True, gc=False):
    """See `schemas.prediction.Prediction`."""

    prediction_id: Name
    model_id: Name
    at: Instant = field(name="predicted_at")
    prediction: Label
    score: Probability | UnsetType | None = UNSET
    scores: Scores | UnsetType | None = UNSET
    model_version: Name | UnsetType | None = UNSET
    variant: Name | UnsetType | None = UNSET
    features: Features | UnsetType = UNSET
    segment: Segment | UnsetType | None = UNSET
    status: Literal["ok", "fallback", "error"] | UnsetType = UNSET
    latency_ms: Annotated[float, Meta(ge=0)] | UnsetType | None = UNSET
    explanation: Attributions | UnsetType | None = UNSET


class PlainOutcome(Struct, forbid_unknown_fields=True, gc=False):
    """See `schemas.outcome.Outcome`."""

    prediction_id: Name
    model_id: Name
    at: Instant = field(name="observed_at")
    outcome: Label
    value: float | UnsetType | None = UNSET
    review_id: Name | UnsetType | None = UNSET
    reviewer: Name | UnsetType | None = UNSET
    source: Name | UnsetType | None = UNSET
    corrections: Literal["last"] | UnsetType | None = UNSET


encode = Encoder().encode
"""Returns an event as JSON, in the one form in which it stands in the log."""


def _reader(form: type[PlainPrediction | PlainOutcome]) -> Callable[[bytes], ReadEvent | None]:
    decode = Decoder(form).decode

    def read(value: bytes) -> ReadEvent | None:
        try:
            event = decode(value)
            at = event.at
            if type(at) is not int:
                event.at = at = to_epoch_ms(at)
        except (MsgspecError, ValueError, RecursionError):
            return None
        return event.model_id, at, encode(event)

    return read


def _field_reader(
    form: type[PlainPrediction | PlainOutcome],
) -> Callable[[dict[str, Any]], ReadEvent | None]:
    def read(fields: dict[str, Any]) -> ReadEvent | None:
        try:
            event = convert(fields, form)
            at = event.at
            if type(at) is not int:
                event.at = at = to_epoch_ms(at)
        except (MsgspecError, ValueError, RecursionError):
            return None
        payload = encode(event)
        # NaN and Infinity have become null: pydantic decides about these.
        return None if b"null" in payload else (event.model_id, at, payload)

    return read


plain_prediction_of = _field_reader(PlainPrediction)
plain_outcome_of = _field_reader(PlainOutcome)
"""The same of an event whose fields are decoded already; None also where one is null."""
read_plain_prediction = _reader(PlainPrediction)
read_plain_outcome = _reader(PlainOutcome)
