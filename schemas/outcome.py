"""An outcome: what turned out to be true."""

from pydantic import Field

from schemas.wire import Id, Instant, Label, Name, Wire


class Outcome(Wire):
    """The truth about one prediction, however late it is known.

    Unknown fields are ignored.
    """

    prediction_id: Id = Field(description="The prediction this is the truth about.")
    model_id: Id = Field(description="The model that made it.")
    observed_at: Instant = Field(description="When the truth became known.")
    outcome: Label = Field(description="The truth, in the type of the prediction.")
    value: float | None = Field(default=None, description="Money won (or, negative, lost).")
    source: Name | None = Field(
        default=None, description="Where the truth comes from: label, review ..."
    )
