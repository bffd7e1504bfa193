"""An alert: what changed, since when, by how much."""

from typing import Literal

from pydantic import Field

from schemas.wire import Segment, Wire

Kind = Literal["feature_drift", "prediction_drift", "performance", "data_quality", "labels"]
Severity = Literal["info", "warning", "critical"]


class Evidence(Wire):
    """Where in `events` the proof lies: replay this range to see it again."""

    partition: int = Field(description="Partition of `events`.")
    first_offset: int = Field(description="Offset of the record with the estimated onset.")
    last_offset: int = Field(description="Offset of the record that settled it.")


class Alert(Wire):
    """One change of one series of one model."""

    type: Literal["tidegauge.alert.v1"] = "tidegauge.alert.v1"
    alert_id: str = Field(description="Same change, same id: duplicates are told by it.")
    status: Literal["firing", "resolved"] = Field(description="Whether it has begun or ended.")
    kind: Kind = Field(description="What sort of change.")
    model_id: str = Field(description="The model.")
    model_version: str | None = Field(description="Version of the prediction that settled it.")
    spec_version: int = Field(description="Version of the model's spec; 0 is the defaults.")
    series: str = Field(
        description="What changed: `feature/NAME`, `prediction`, `score`, `error` or `outcome`."
    )
    aspect: str = Field(
        description="What about it: level, spread, share, missing, unseen, stuck, constant, type."
    )
    category: str | None = Field(description="The category, where the aspect has one.")
    segment: Segment | None = Field(description="The part of the population; null is all of it.")
    severity: Severity = Field(description="How urgent it is.")
    detected_at: str = Field(description="Instant of the event that settled it.")
    started_at: str = Field(description="Instant of the event at the estimated onset.")
    detector: str = Field(description="What saw it.")
    value: float | None = Field(description="The figure since the onset.")
    baseline: float | None = Field(description="The same figure in the reference.")
    effect: float | None = Field(description="Size of the change, in `effect_unit`.")
    effect_unit: str = Field(description="sd: reference standard deviations; odds_ratio; ratio.")
    direction: Literal["up", "down"] | None = Field(description="Where it went.")
    rows_since_onset: int = Field(description="Values of the series since the estimated onset.")
    predictions_seen: int = Field(description="Predictions of the model so far.")
    series_seen: int = Field(description="Values of the series so far.")
    summary: str = Field(description="One sentence for people.")
    evidence: Evidence = Field(description="Where in `events` the proof lies.")
