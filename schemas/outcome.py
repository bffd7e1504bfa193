"""An outcome: the true answer to a prediction."""

from typing import Literal

from pydantic import Field

from schemas.wire import Id, Instant, Label, Name, Wire


class Outcome(Wire):
    """The true answer to one prediction, however late it becomes known.

    Unknown fields are ignored.
    """

    prediction_id: Id = Field(description="The prediction it belongs to.")
    model_id: Id = Field(description="The model that made it.")
    observed_at: Instant = Field(description="Instant at which the true answer became known.")
    outcome: Label = Field(description="The true answer, in the type of the prediction.")
    value: float | None = Field(
        default=None, description="Money gained by the decision; negative: lost."
    )
    review_id: Id | None = Field(
        default=None,
        description="The review that it answers: it is then a verdict, and no labelled row.",
    )
    reviewer: Name | None = Field(default=None, description="The person who answered the review.")
    source: Name | None = Field(
        default=None, description="Origin of the true answer: label, review ..."
    )
    corrections: Literal["last"] | None = Field(
        default=None,
        description="With `last`, it takes the place of an earlier outcome of the prediction that "
        "had `last` as well, whatever the spec says: see `outcome.corrections` there.",
    )
