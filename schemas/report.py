"""A report: a person says that an answer of a model was wrong."""

from pydantic import Field

from schemas.wire import Id, Instant, Label, Name, Segment, Text, Wire


class Report(Wire):
    """One report about one prediction.

    Unknown fields are ignored.
    """

    report_id: Id = Field(description="Names the report.")
    prediction_id: Id = Field(description="The prediction it is about.")
    model_id: Id = Field(description="The model that made it.")
    at: Instant = Field(description="Instant of the report.")
    because: Text | None = Field(default=None, description="Reason, in the author's words.")
    by: Name | None = Field(default=None, description="Author.")
    wanted: Label | None = Field(
        default=None, description="What would have been right, in the type of the prediction."
    )
    segment: Segment | None = Field(
        default=None, description="Part of the population that the author belongs to."
    )
