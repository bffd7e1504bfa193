"""Feedback: a command to a program, or the result of one, which follows from what is observed."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.alert import Evidence
from schemas.challenge import Challenge
from schemas.wire import Wire

CommandName = Literal[
    "retrain", "retrained", "fallback_on", "fallback_off", "recalibrate", "promote", "rollback"
]


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


class LeaveOut(Wire):
    """Rows of a range that are nothing to learn from."""

    why: Literal["fallback", "data_quality", "excluded"] = Field(
        description="fallback: rows whose `prediction.status` is not `ok`; data_quality: inputs "
        "were wrong; excluded: the spec says so."
    )
    because: str | None = Field(
        description="Fingerprint of the alert, or the words of the spec; null for fallback."
    )
    predicted_from: str | None = Field(
        description="Rows of predictions from this instant on; null: from the first."
    )
    predicted_until: str | None = Field(
        description="Rows of predictions before this instant; null: to the last."
    )


class TrainingData(Wire):
    """The rows of a range as data to learn from.

    The counts are of the predictions made from `counted_from` on. They are null, or empty, where
    the spec does not ask for a policy of retraining.
    """

    minimum: int = Field(description="Rows that the policy has waited for.")
    leave_out: tuple[LeaveOut, ...] = Field(strict=False, description="Rows to leave out.")
    counted_from: str | None = Field(description="Instant from which predictions are counted.")
    predictions: int | None = Field(description="Predictions.")
    fallbacks: int | None = Field(description="Of these, not answered by the model.")
    completeness: float | None = Field(
        description="Share of the answers whose outcome is known. Below 1, classes whose outcomes "
        "come late are too few."
    )
    classes: dict[str, int] = Field(description="Outcomes by class, as JSON; not of a regression.")
    delay_p90_s: float | None = Field(
        description="Seconds within which nine outcomes in ten were known, of those known."
    )


class ErrorSample(Wire):
    """Errors of one period."""

    version: str | None = Field(description="Version of the model; null: not told apart.")
    rows: int = Field(description="Labelled rows.")
    error: float = Field(description="Share of wrong answers; of a regression the mean error.")


class BeforeAfter(Wire):
    """The error before and after a retraining.

    Before are the rows from the alert, or from the command, to the new version; after are the
    first rows of it. Their numbers were fixed before, so an ordinary interval holds.
    """

    before: ErrorSample = Field(description="Before.")
    after: ErrorSample = Field(description="After.")
    difference: float = Field(description="After less before: negative is better.")
    low: float = Field(description="Lower end of the interval of 95 % of the difference.")
    high: float = Field(description="Upper end.")


class FallbackOrder(Wire):
    """A fallback answers in place of the model, but for the probes."""

    reasons: tuple[Literal["failed", "silent", "slow", "wrong"], ...] = Field(
        strict=False,
        description="failed: calls end with `status` error; silent: no predictions; slow: more "
        "than 1 % of the answers are; wrong: the error rate is above its limit.",
    )
    probe: float = Field(
        description="Share of the predictions still asked of the model, and published with its "
        "own status; all others are published with `status: fallback`."
    )


class Recalibration(Wire):
    """A map from the scores as they are to what they mean now."""

    map: Annotated[list[tuple[float, float]], Field(max_length=64)] = Field(
        description="[score, probability], rising; linear between them, level beyond."
    )
    rows: int = Field(description="Labelled answers since the change that it was made of.")
    brier_saved: float = Field(description="Brier score that it saves on these rows.")


class Feedback(Wire):
    """A command for the programs that own the model, or the result of one."""

    type: Literal["tidegauge.feedback.v1"] = "tidegauge.feedback.v1"
    feedback_id: str = Field(
        description="Id of the record: records with the same id are duplicates."
    )
    command: CommandName = Field(
        description="retrain: learn from the rows named; retrained: a result, nothing to do; "
        "fallback_on: answer by the fallback until `expires_at`; fallback_off: ask the model "
        "again; "
        "recalibrate: scores mean something else, read them by the map."
    )
    model_id: str = Field(description="The model.")
    model_version: str | None = Field(description="Version of the latest prediction.")
    key: str = Field(description="Names the command: model and command. One is open at most.")
    sequence: int = Field(
        description="Number of the record under its key, from 1: a higher one replaces the others."
    )
    supersedes: str | None = Field(
        description="`feedback_id` of the record of the same command that this one renews; null: "
        "the command is new."
    )
    because: tuple[str, ...] = Field(
        strict=False, description="Ids of the alerts that caused it; none: it is due by the clock."
    )
    issued_at: str = Field(description="Instant of the event that caused it.")
    expires_at: str | None = Field(
        description="The command is void after this instant; null: a result."
    )
    suggested: bool = Field(description="Whether a person must decide before a program obeys.")
    labelled: LabelledRange | None = Field(
        description="For retrain: the labelled rows since the estimated onset."
    )
    training: TrainingData | None = Field(description="For retrain: these rows as data.")
    retrained: BeforeAfter | None = Field(description="For retrained: the error before and after.")
    fallback: FallbackOrder | None = Field(description="For fallback_on: why, and the probes.")
    challenge: Challenge | None = Field(description="For promote and rollback: the comparison.")
    recalibration: Recalibration | None = Field(
        default=None, description="For recalibrate: what the scores mean now."
    )
    summary: str = Field(description="One sentence for people.")
    evidence: Evidence = Field(description="Range of `events` that shows it.")
