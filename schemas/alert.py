"""An alert: what changed, since when, by how much."""

from typing import Literal

from pydantic import Field

from schemas.wire import Segment, Wire

AlertKind = Literal[
    "feature_drift",
    "prediction_drift",
    "performance",
    "data_quality",
    "labels",
    "silence",
    "service",
]
AlertStatus = Literal["firing", "ongoing", "resolved"]
Because = Literal["returned", "accepted", "relearned", "removed"]
Severity = Literal["info", "warning", "critical"]


class Evidence(Wire):
    """Where in `events` the proof lies: replay this range to see it again."""

    partition: int = Field(description="Partition of `events`.")
    first_offset: int = Field(description="Offset of the record with the estimated onset.")
    last_offset: int = Field(description="Offset of the record that settled it.")


class Moved(Wire):
    """Another series of the model that has an open alert of about the same time."""

    series: str = Field(description="The series.")
    aspect: str = Field(description="What about it has changed.")
    effect: float | None = Field(description="By how much, in `effect_unit`.")
    effect_unit: str = Field(description="As in an alert.")
    started_at: str = Field(description="Its estimated onset.")


class CategoryShare(Wire):
    """A category whose share has moved."""

    category: str = Field(description="The category.")
    baseline: float = Field(description="Its share in the reference.")
    value: float = Field(description="Its share now.")


class Acknowledgement(Wire):
    """Who has taken note of an alert."""

    by: str = Field(description="Who.")
    at: str = Field(description="When.")
    because: str | None = Field(description="Why, in their words.")


class Alert(Wire):
    """One transition in the life of an alert: one change of one series of one model."""

    type: Literal["tidegauge.alert.v1"] = "tidegauge.alert.v1"
    alert_id: str = Field(description="Same transition, same id: duplicates are told by it.")
    fingerprint: str = Field(
        description="Names the alert: the same for every transition of the same model, series, "
        "aspect and segment. One fingerprint has at most one open alert."
    )
    episode: int = Field(description="How often this fingerprint has fired, this time included.")
    sequence: int = Field(description="0 for firing, then 1, 2 .. within the episode.")
    status: AlertStatus = Field(description="Whether it has begun, goes on or has ended.")
    resolved_because: Because | None = Field(
        description="Why it has ended: the series returned to its reference, a person accepted "
        "the new one, the series is learnt anew, or it is no longer watched."
    )
    fired_at: str = Field(description="Instant of the firing of this episode.")
    is_flapping: bool = Field(
        description="Whether this is the third firing within `renotify_s`: it is then resolved "
        "only after it has been back for as long as the three took."
    )
    kind: AlertKind = Field(description="What sort of change.")
    model_id: str = Field(description="The model.")
    model_version: str | None = Field(description="Version of the prediction that settled it.")
    spec_version: int = Field(description="Version of the model's spec; 0 is the defaults.")
    series: str = Field(
        description="What changed: `feature/NAME`, `prediction`, `score`, `error` or `outcome`; of "
        "how events come: `predictions`, `outcomes`, `answers` or `versions`."
    )
    aspect: str = Field(
        description="What about it: level, spread, share, missing, unseen, stuck, constant, type; "
        "of how events come: silence, late, missing, orphan, conflicting, fallback, error, unseen, "
        "clock, refused."
    )
    category: str | None = Field(description="The category, where the aspect has one.")
    segment: Segment | None = Field(description="The part of the population; null is all of it.")
    severity: Severity = Field(description="How urgent it is.")
    detected_at: str = Field(description="Instant of the event that settled it.")
    started_at: str = Field(description="Instant of the event at the estimated onset.")
    detector: str = Field(description="What saw it.")
    value: float | None = Field(
        description="The figure since the onset; of the latest values once it is ongoing."
    )
    baseline: float | None = Field(description="The same figure in the reference.")
    effect: float | None = Field(description="Size of the change, in `effect_unit`.")
    effect_unit: str = Field(description="sd: reference standard deviations; odds_ratio; ratio.")
    direction: Literal["up", "down"] | None = Field(description="Where it went.")
    categories: tuple[CategoryShare, ...] = Field(
        strict=False,
        description="The categories that moved, where the aspect is share: at most 5, the one "
        "that moved most first.",
    )
    followed_by: tuple[str, ...] = Field(
        strict=False,
        description="Which of `error`, `score` and `prediction` have an open alert as well.",
    )
    moved_together: tuple[Moved, ...] = Field(
        strict=False,
        description="Other open alerts of the model that had not begun long before this one: "
        "at most 5, the strongest first.",
    )
    rows_since_onset: int = Field(description="Values of the series since the estimated onset.")
    predictions_seen: int = Field(description="Predictions of the model so far.")
    series_seen: int = Field(description="Values of the series so far.")
    acknowledged: Acknowledgement | None = Field(description="Who has taken note of it.")
    muted_until: str | None = Field(description="Until when nobody wants to be told.")
    runbook: str = Field(description="What to do about it: a link into the documentation.")
    summary: str = Field(description="One sentence for people.")
    evidence: Evidence = Field(description="Where in `events` the proof lies.")
