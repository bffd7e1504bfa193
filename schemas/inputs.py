"""Inputs: the features of a prediction that come in a record of their own."""

from typing import Annotated

from pydantic import Field

from schemas.wire import MAX_FEATURES, FeatureValue, Id, Instant, Name, Segment, Wire


class Inputs(Wire):
    """What a model was given for one prediction, where its answer is published apart.

    Unknown fields are ignored.
    """

    prediction_id: Id = Field(description="The prediction they belong to.")
    model_id: Id = Field(description="The model that made it.")
    at: Instant = Field(description="Instant of the request.")
    features: Annotated[dict[Name, FeatureValue], Field(max_length=MAX_FEATURES)] = Field(
        description="Inputs of the model, by feature; null is a missing value."
    )
    segment: Segment | None = Field(
        default=None, description="Its part of the population, by dimension."
    )
