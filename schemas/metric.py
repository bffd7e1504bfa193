"""A metric record: how well a model did in one hour or day, by the time of its predictions."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.wire import Label, Wire

CohortKind = Literal["hour", "day"]


class ReliabilityBin(Wire):
    """Labelled predictions of similar scores."""

    score: float = Field(description="Mean of their scores.")
    rate: float = Field(description="Share of them that are positive, or right.")
    n: int = Field(description="Their number.")


class Spread(Wire):
    """Quantiles of durations, exact to an eighth of themselves."""

    p50: float = Field(description="Median.")
    p90: float = Field(description="90th percentile.")
    p99: float = Field(description="99th percentile.")


class Completeness(Wire):
    """How many of the outcomes to be expected are here."""

    share: float = Field(description="Known outcomes, as a share of those that are due.")
    of_right: float = Field(description="Share of the right answers that is known by this age.")
    of_errors: float = Field(description="Share of the errors that is known by this age.")
    due: int = Field(description="Outcomes that are due in the end; some never come.")


class Nowcast(Wire):
    """The error that the cohort will have once its outcomes are known."""

    error: float = Field(description="Share of wrong answers among all of the model's.")
    low: float = Field(description="Lower end of its interval of 90 %.")
    high: float = Field(description="Upper end.")
    shift: float = Field(
        description="Logits by which the day's errors exceed those that its scores tell."
    )
    plain: float = Field(description="The same error without that shift.")


class CalibrationState(Wire):
    """The map from scores to what they mean."""

    map_version: int = Field(description="Number of the map; 0: none yet.")
    labels: int = Field(description="Settled outcomes that it has learnt from.")
    scores: str | None = Field(
        description="too low, too high, too sure or not sure enough, while they mean something "
        "else than they did; null: they do not."
    )


class WithoutLabels(Wire):
    """The figures of the cohort as they were told at its end, before its outcomes.

    Of classes the scores tell them; of a regression the error model of its profile does.
    """

    map_version: int | None = Field(description="Map of the scores; null: a regression.")
    n: int = Field(description="Answers with a score, or with features.")
    error: float | None = Field(description="Share of wrong answers; null: a regression.")
    auc: float | None = Field(description="Area under the ROC curve.")
    f1: float | None = Field(description="F1 of the positive label.")
    mae: float | None = Field(description="Mean absolute error of a regression.")
    missed_by: float | None = Field(
        description="The realised `error`, or `mae`, less this one, once 95 % of the outcomes are "
        "known."
    )


class Value(Wire):
    """The money that the answers of the cohort gained; negative: lost."""

    currency: str = Field(description="Of the spec.")
    counted: float = Field(description="Of the answers whose outcome is known.")
    unpriced: int = Field(description="Known outcomes that the spec names no money for.")
    said: float | None = Field(description="With the open answers, as the nowcast has them.")
    expected: float | None = Field(
        description="What answers of the same risk gain usually; `said` less this is the model's."
    )


ConfusionCell = tuple[Label, Label, int]


class Metric(Wire):
    """The figures of one cohort: the predictions of one model made in [start, end).

    A later record under the same key restates it: outcomes have come since.
    """

    type: Literal["tidegauge.metric.v1"] = "tidegauge.metric.v1"
    metric_id: str = Field(description="Model and number: records with the same id are duplicates.")
    supersedes: str | None = Field(description="The `metric_id` that this record restates.")
    model_id: str = Field(description="The model.")
    model_version: str | None = Field(
        description='Version of the model; null: all. "(none)": predictions without a version.'
    )
    spec_version: int = Field(description="Spec of the model that was in force.")
    kind: Literal["hour", "day", "week"] = Field(
        description="Length of the cohort. `week`: a sum of days that `./tidegauge metrics` makes; "
        "it is in no topic."
    )
    start: str = Field(description="First instant of the cohort, UTC.")
    end: str = Field(description="Instant after its last.")
    as_of: str = Field(description="Log time of the record.")
    is_final: bool = Field(description="Whether no later record restates it.")
    n: int = Field(description="Predictions.")
    fallbacks: int = Field(description="Of these, answers of a fallback.")
    unanswered: int = Field(description="Of these, with `status` error.")
    labelled: int = Field(description="Of these, with a known outcome.")
    by_source: dict[str, int] = Field(description="Known outcomes by their `source`.")
    expired: int = Field(
        description="Answers of the model whose outcome is awaited no longer; 0 until `is_final`."
    )
    errors: int | None = Field(description="Wrong answers among the labelled; null: regression.")
    error: float | None = Field(description="Their share; early outcomes may not be typical.")
    accuracy: float | None = Field(description="1 - `error`.")
    positive: Label | None = Field(description="Label that the score speaks of; null: the answer.")
    precision: float | None = Field(description="Positive answers that were right, as a share.")
    recall: float | None = Field(description="Positive outcomes that were answered so, as a share.")
    f1: float | None = Field(description="Harmonic mean of `precision` and `recall`.")
    specificity: float | None = Field(
        description="Other outcomes that were not answered `positive`, as a share."
    )
    confusion: list[ConfusionCell] = Field(
        description="[prediction, outcome, number] of the labelled; the largest first."
    )
    auc: float | None = Field(description="Area under the ROC curve of the scores.")
    auc_bound: float | None = Field(description="Largest distance of `auc` from its exact value.")
    brier: float | None = Field(description="Mean squared distance of score and truth.")
    log_loss: float | None = Field(description="Mean negative log-likelihood, in nats.")
    ece: float | None = Field(description="Expected calibration error over bins of equal mass.")
    ece_by_chance: float | None = Field(
        description="What `ece` would be for perfect scores and so many rows."
    )
    reliability: Annotated[list[ReliabilityBin], Field(max_length=10)] = Field(
        description="The bins, by score."
    )
    mae: float | None = Field(description="Mean absolute error of a regression.")
    rmse: float | None = Field(description="Root of the mean squared error.")
    bias: float | None = Field(description="Mean of prediction less outcome.")
    delay_s: Spread | None = Field(description="Seconds from prediction to outcome.")
    delay_of_errors_s: Spread | None = Field(description="The same, where the answer was wrong.")
    latency_ms: Spread | None = Field(description="Milliseconds from request to answer.")
    completeness: Completeness | None = Field(
        default=None, description="How many outcomes are here; null: not known yet."
    )
    nowcast: Nowcast | None = Field(
        default=None, description="The error to be expected; null: not known, or a regression."
    )
    calibration: CalibrationState | None = Field(
        default=None, description="Where the spec has `calibration`; null: none."
    )
    without_labels: WithoutLabels | None = Field(
        default=None,
        description="Where the spec has `calibration`, or an error model; null: not known yet, or "
        "none.",
    )
    value: Value | None = Field(
        default=None, description="Money, where the spec has `cost`; null: none."
    )
