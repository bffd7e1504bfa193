"""A labelled row: a prediction and its outcome, once both are known."""

from typing import Literal

from pydantic import Field

from schemas.outcome import Outcome
from schemas.prediction import Prediction
from schemas.wire import Wire


class LogPosition(Wire):
    """One event in `events`: the record, and its place in the record."""

    partition: int = Field(description="Partition of `events`.")
    offset: int = Field(description="Offset of the record.")
    index: int = Field(description="Place of the event in the record, from 0.")


class Labelled(Wire):
    """One training row for the next model."""

    type: Literal["tidegauge.labelled.v1"] = "tidegauge.labelled.v1"
    labelled_id: str = Field(description="Model and row: duplicates are told by it.")
    model_id: str = Field(description="The model.")
    row: int = Field(description="Number of the row within its model, from 1.")
    delay_s: float = Field(description="Seconds from prediction to outcome, by their instants.")
    is_error: bool | None = Field(description="Whether a class was wrong; null for a regression.")
    error: float | None = Field(description="Absolute error of a regression; null for classes.")
    prediction: Prediction = Field(description="The prediction as it was taken in.")
    outcome: Outcome = Field(description="The outcome as it was taken in.")
    evidence: LogPosition = Field(description="The event that completed the pair.")
