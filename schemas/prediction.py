"""A prediction: the answer of a model, with its inputs."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.wire import (
    MAX_FEATURES,
    Attributions,
    FeatureValue,
    Id,
    Instant,
    Label,
    Name,
    Probability,
    Segment,
    Wire,
)

UNANSWERED = "unanswered"
"""Type of the error of a prediction without an answer."""


class Prediction(Wire):
    """One answer of one model, as a service publishes it.

    Unknown fields are ignored.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "if": {
                "properties": {"status": {"enum": ["fallback", "error"]}},
                "required": ["status"],
            },
            "else": {
                "properties": {"prediction": {"not": {"type": "null"}}},
                "required": ["prediction"],
            },
        }
    )

    prediction_id: Id = Field(description="Names the prediction; unique within its model.")
    model_id: Id = Field(description="Names the model.")
    predicted_at: Instant = Field(description="Instant of the answer.")
    prediction: Label | None = Field(
        default=None,
        description="The answer: a class (string, integer, boolean) or a number. Required, unless "
        "`status` is fallback or error.",
    )
    score: Probability | None = Field(
        default=None, description="Probability of the positive class, or confidence; 0 to 1."
    )
    scores: Annotated[dict[Name, Probability], Field(max_length=MAX_FEATURES)] | None = Field(
        default=None, description="Probability by class."
    )
    model_version: Name | None = Field(default=None, description="Version of the model.")
    variant: Name | None = Field(
        default=None,
        description="The challenger that gave this answer, under the id of the champion's; null: "
        "the champion.",
    )
    features: Annotated[dict[Name, FeatureValue], Field(max_length=MAX_FEATURES)] = Field(
        default={}, description="Inputs of the model, by feature; null is a missing value."
    )
    segment: Segment | None = Field(
        default=None, description="Its part of the population, by dimension."
    )
    status: Literal["ok", "fallback", "error"] = Field(
        default="ok", description="Source of the answer: the model, a fallback, or none (error)."
    )
    latency_ms: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="Latency of the answer in milliseconds."
    )
    explanation: Attributions | None = Field(
        default=None, description="Attribution of the answer, by feature."
    )

    @model_validator(mode="after")
    def _is_answered(self) -> Self:
        if self.prediction is None and self.status == "ok":
            raise PydanticCustomError(UNANSWERED, "required, unless status is fallback or error")
        return self
