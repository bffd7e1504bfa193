"""A labelled row: a prediction and its outcome, once both are known."""

from typing import Literal

from msgspec import Raw, Struct
from msgspec.json import Encoder
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
    labelled_id: str = Field(description="Model and row: records with the same id are duplicates.")
    model_id: str = Field(description="The model.")
    row: int = Field(description="Number of the row within its model, from 1.")
    delay_s: float = Field(description="Seconds from prediction to outcome, by their instants.")
    is_error: bool | None = Field(description="Whether a class was wrong; null for a regression.")
    error: float | None = Field(description="Absolute error of a regression; null for classes.")
    prediction: Prediction = Field(description="The prediction, as ingest accepted it.")
    outcome: Outcome = Field(description="The outcome, as ingest accepted it.")
    evidence: LogPosition = Field(description="The event that completed the pair.")
    restates: int | None = Field(
        default=None,
        description="The row that this one replaces, where its outcome was corrected; else null.",
    )


class PairPosition(Struct, frozen=True, gc=False):
    """See `LogPosition`."""

    partition: int
    offset: int
    index: int


class LabelledRow(Struct, frozen=True, gc=False, tag_field="type", tag="tidegauge.labelled.v1"):
    """A `Labelled` to be written: prediction and outcome are the bytes that ingest accepted.

    Nothing is checked: the values come from the monitor. The two events are copied as they are,
    because to decode and encode them again would take longer than all the rest of a pair's row.
    """

    labelled_id: str
    model_id: str
    row: int
    delay_s: float
    is_error: bool | None
    error: float | None
    prediction: Raw
    outcome: Raw
    evidence: PairPosition
    restates: int | None = None


encode_labelled = Encoder().encode
"""Returns a `LabelledRow` as the bytes of a record of ``labelled``."""
