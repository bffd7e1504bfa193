"""Feedback: a command to a program, which follows from an alert."""

from typing import Literal

from pydantic import Field

from schemas.alert import Evidence
from schemas.wire import Wire


class LabelledRange(Wire):
    """Rows of `labelled` of one model, by their `row`, both ends included."""

    topic: str = Field(description="Their topic.")
    partition: int = Field(description="Their partition.")
    first_row: int = Field(description="The row at the estimated onset.")
    last_row: int = Field(description="The latest row.")
    rows: int = Field(description="Number of rows.")
    first_offset: int = Field(
        description="Offset in `events` of the row at the onset, or a little before."
    )
    last_offset: int = Field(description="Offset in `events` of the latest row.")
    predicted_from: str | None = Field(
        default=None,
        description="Where labels come late: of these rows, those of predictions from this instant "
        "on are of the change.",
    )
    predicted_until: str | None = Field(
        default=None,
        description="Likewise: before this instant. All such predictions have reached the age "
        "`known_within_s`; among later ones, labels that come early are too many.",
    )
    known_within_s: float | None = Field(
        default=None,
        description="Likewise: rows whose `delay_s` is at most this are complete; the others came "
        "too late for a part of the predictions.",
    )


class Feedback(Wire):
    """A command for the programs that own the model."""

    type: Literal["tidegauge.feedback.v1"] = "tidegauge.feedback.v1"
    feedback_id: str = Field(
        description="Id of the command: records with the same id are duplicates."
    )
    command: Literal["retrain"] = Field(description="The command.")
    model_id: str = Field(description="The model.")
    model_version: str | None = Field(description="Version of the latest prediction.")
    because: tuple[str, ...] = Field(description="Ids of the alerts that caused it.")
    issued_at: str = Field(description="Instant of the event that caused it.")
    expires_at: str = Field(description="The command is void after this instant.")
    labelled: LabelledRange = Field(description="The labelled rows since the estimated onset.")
    summary: str = Field(description="One sentence for people.")
    evidence: Evidence = Field(description="Range of `events` that shows it.")
