"""Feedback: what a program should do about an alert."""

from typing import Literal

from pydantic import Field

from schemas.alert import Evidence
from schemas.wire import Wire


class LabelledRange(Wire):
    """Rows of `labelled` of one model, by their `row`, both ends included."""

    topic: str = Field(description="The topic that holds them.")
    partition: int = Field(description="Its partition.")
    first_row: int = Field(description="The row at the estimated onset.")
    last_row: int = Field(description="The latest row.")
    rows: int = Field(description="How many rows that is.")
    first_offset: int = Field(
        description="Offset in `events` of the row at the onset, or a little before."
    )
    last_offset: int = Field(description="Offset in `events` of the latest row.")


class Feedback(Wire):
    """A command for the programs that own the model."""

    type: Literal["tidegauge.feedback.v1"] = "tidegauge.feedback.v1"
    feedback_id: str = Field(description="Same command, same id: duplicates are told by it.")
    command: Literal["retrain"] = Field(description="What to do.")
    model_id: str = Field(description="The model.")
    model_version: str | None = Field(description="The version that answered last.")
    because: tuple[str, ...] = Field(description="Ids of the alerts that call for it.")
    issued_at: str = Field(description="Instant of the event that settled it.")
    expires_at: str = Field(description="After this instant, do not act on it.")
    labelled: LabelledRange = Field(description="The labelled rows since the estimated onset.")
    summary: str = Field(description="One sentence for people.")
    evidence: Evidence = Field(description="Where in `events` the proof lies.")
