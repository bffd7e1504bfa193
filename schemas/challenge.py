"""A challenge: where a challenger stands against the champion."""

from typing import Literal

from pydantic import Field

from schemas.wire import Wire


class Challenge(Wire):
    """The comparison of a challenger with the champion, on the predictions that both answered."""

    type: Literal["tidegauge.challenge.v1"] = "tidegauge.challenge.v1"
    challenge_id: str = Field(description="Model, variant and number of days counted.")
    model_id: str = Field(description="The model.")
    variant: str = Field(description="The challenger.")
    as_of: str = Field(description="Instant of the event that said it.")
    state: Literal["running", "better", "worse", "alike", "expired"] = Field(
        description="running: not decided; alike: the difference is within the margin."
    )
    pairs: int = Field(description="Labelled predictions of both, on days that count.")
    cohorts: int = Field(description="Days that count: old enough for labels of either kind.")
    waiting: int = Field(description="Pairs of days that are not old enough.")
    dropped: int = Field(description="Answers of the challenger given up for lack of room.")
    e_better: float = Field(
        description="Evidence that it is better: the wealth of bets on it. By chance it passes "
        "`limit` with half of `challenge.alpha` at most, however often it is looked at."
    )
    e_worse: float = Field(description="Evidence that it is worse.")
    limit: float = Field(description="Evidence that decides.")
    difference: float = Field(
        description="Error of the champion less that of the challenger, in `unit`: positive is "
        "better."
    )
    low: float = Field(description="Lower end of its interval: asymptotic, at all times at once.")
    high: float = Field(description="Upper end.")
    unit: Literal["rate", "distance"] = Field(
        default="rate",
        description="rate: share of wrong answers; distance: mean absolute error of quantities.",
    )
    cut_at: float | None = Field(
        default=None,
        description="Differences of absolute errors are cut at this; null: of rates, or too few "
        "pairs yet.",
    )
    money: float | None = Field(
        description="Money gained by the challenger more than the champion, a pair; null: not told."
    )
    money_cut_at: float | None = Field(
        description="Differences of money are cut at this amount; null: too few pairs yet."
    )
    e_richer: float | None = Field(description="Evidence that it gains more money.")
    e_poorer: float | None = Field(description="Evidence that it gains less.")
    summary: str = Field(description="One sentence for people.")
