"""A report: a user says that an answer was wrong."""

from typing import Self

from pydantic import Field, model_validator

from schemas.wire import Id, Instant, Name, Text, Wire


class Report(Wire):
    """A complaint about one prediction, or about a model as a whole.

    Unknown fields are ignored.
    """

    report_id: Id = Field(description="Names the report.")
    prediction_id: Id | None = Field(default=None, description="The prediction it is about.")
    model_id: Id | None = Field(default=None, description="The model it is about.")
    reported_at: Instant = Field(description="When it was reported.")
    reason: Text | None = Field(default=None, description="What was wrong, in the user's words.")
    reporter: Name | None = Field(default=None, description="Who reports.")

    @model_validator(mode="after")
    def _is_about_something(self) -> Self:
        if self.prediction_id is None and self.model_id is None:
            msg = "a report names a prediction_id or a model_id"
            raise ValueError(msg)
        return self
