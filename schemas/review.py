"""A review: a prediction that a person should look at, and the error that reviews show."""

from typing import Any, Literal

from pydantic import Field

from schemas.wire import Label, Wire

Why = Literal["uncertain", "costly", "sample", "report", "double"]
Unit = Literal["rate", "distance"]
ReviewStatus = Literal["open", "answered", "expired"]


class Review(Wire):
    """One case for a person; the last record of its id counts."""

    type: Literal["tidegauge.review.v1"] = "tidegauge.review.v1"
    review_id: str = Field(description="Model, prediction and round: 2 is a second opinion.")
    prediction_id: str = Field(description="The prediction.")
    model_id: str = Field(description="The model.")
    predicted_at: str | None = Field(description="Instant of the answer; null: not known here.")
    why: Why = Field(
        description="uncertain: its risk is high; costly: a mistake is expected to be dear; "
        "sample: drawn at random; report: somebody reported it; double: a second person answers "
        "too."
    )
    probability: float | None = Field(
        description="Probability with which it was chosen; null: it was reported, and has no "
        "weight in estimates."
    )
    unit: Unit = Field(
        description="rate: `risk` is a probability; distance: the answer is a quantity, and `risk` "
        "an absolute error."
    )
    risk: float = Field(
        description="Probability, by the score, that the answer is wrong; of a quantity the "
        "absolute error that `reference.error_model` makes expect; 0: not known."
    )
    expected_cost: float | None = Field(
        default=None,
        description="`risk` times the money of a mistake, or of a unit of the error, in the "
        "currency of `cost`; null: the spec does not tell it.",
    )
    requested_at: str = Field(description="Instant of the request.")
    due_at: str = Field(description="An answer after this instant does not count.")
    answer: Label | None = Field(description="The answer of the model.")
    score: float | None = Field(description="Its score.")
    features: dict[str, Any] | None = Field(
        description="Its features, where `review.show_features` of the spec allows it."
    )
    status: ReviewStatus = Field(description="Whether it waits, was answered, or ran out.")
    verdict: Label | None = Field(description="The answer of the person, or the label.")
    source: Literal["label", "review", "report"] | None = Field(
        description="Where the verdict is from: a label counts more than a review, and that more "
        "than a report."
    )
    reviewer: str | None = Field(description="The person.")


class Reviewed(Wire):
    """The error of a period by the verdicts of people, each with its weight."""

    type: Literal["tidegauge.reviewed.v1"] = "tidegauge.reviewed.v1"
    reviewed_id: str = Field(description="Model and number: records with the same id are equal.")
    model_id: str = Field(description="The model.")
    start: str = Field(description="Predictions from this instant on.")
    end: str = Field(description="Predictions before this instant.")
    predictions: int = Field(description="Answers that might have been chosen.")
    chosen: int = Field(description="Of these, chosen.")
    answered: int = Field(description="Of these, with a verdict.")
    dropped: int = Field(
        description="Chosen beyond the quota and not asked for; above 0 the error is of the others."
    )
    unit: Unit = Field(
        description="rate: share of wrong answers; distance: mean absolute error of quantities."
    )
    error: float | None = Field(
        description="Error, by the augmented inverse-probability-weighted mean; null: a "
        "way of choice has no verdict."
    )
    low: float | None = Field(description="Lower end of its interval of 95 %.")
    high: float | None = Field(description="Upper end.")
    expected: float | None = Field(description="Error to be expected, as the mean of `risk`.")
    doubles: int = Field(description="Cases that two people answered.")
    agreement: float | None = Field(
        description="Share of these that agree: equal classes, or quantities within "
        "`review.agree_within`; null: too few."
    )
    kappa: float | None = Field(
        description="Cohen's kappa of their agreement: 1 always, 0 as by chance; null: too few, or "
        "quantities."
    )
