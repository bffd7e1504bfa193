"""An alert: a change of one series of a model, with its onset and its size."""

from typing import Literal

from pydantic import Field

from schemas.wire import Segment, Wire

AlertKind = Literal[
    "feature_drift",
    "prediction_drift",
    "performance",
    "data_quality",
    "labels",
    "calibration",
    "attribution",
    "joint",
    "skew",
    "silence",
    "service",
]
AlertStatus = Literal["firing", "ongoing", "resolved"]
Because = Literal["returned", "accepted", "relearned", "removed"]
Severity = Literal["info", "warning", "critical"]


class Evidence(Wire):
    """A range of `events`: its replay shows the change again."""

    partition: int = Field(description="Partition of `events`.")
    first_offset: int = Field(description="Offset of the record with the estimated onset.")
    last_offset: int = Field(description="Offset of the record at which it was detected.")


class Moved(Wire):
    """Another series of the model that has an open alert of about the same time."""

    series: str = Field(description="The series.")
    aspect: str = Field(description="Aspect of the series that has changed.")
    effect: float | None = Field(description="Size of the change, in `effect_unit`.")
    effect_unit: str = Field(description="As in an alert.")
    started_at: str = Field(description="Its estimated onset.")


class CategoryShare(Wire):
    """A category whose share has changed."""

    category: str = Field(description="The category.")
    baseline: float = Field(description="Its share in the reference.")
    value: float = Field(description="Its share now.")


class ValueAtRisk(Wire):
    """The money that a change has cost so far, answers without an outcome included."""

    currency: str = Field(description="Of the spec.")
    since: str = Field(description="Instant of the first prediction that is counted: a midnight.")
    as_of: str = Field(description="Log time up to which outcomes are counted.")
    lost: float | None = Field(
        description="Money lost since then beyond the usual; negative: gained; null: not known yet."
    )
    low: float | None = Field(description="Lower end of its interval of 95 %.")
    high: float | None = Field(description="Upper end.")
    per_day: float | None = Field(description="`lost` by the day.")
    deterioration: float | None = Field(
        description="The part of `lost` that answers of the same risk did not lose before: the "
        "model is worse. The rest is of answers of more risk."
    )
    open_labels: int | None = Field(
        description="Answers since then whose outcome is not known yet; null: not counted yet."
    )


class WorstSegment(Wire):
    """A part of the traffic in which the model is worse than its scores and its past say."""

    segment: dict[str, str] = Field(description="Its dimensions, one or two, and their values.")
    rows: int = Field(description="Labelled rows of it since the onset, of those looked at.")
    errors: int = Field(description="Wrong answers among them.")
    expected: float = Field(description="Wrong answers to be expected among them.")


class MixAndWithin(Wire):
    """The parts of a change of the share of errors, by the values of one dimension."""

    dimension: str = Field(description="The dimension of the worst segment.")
    mix: float = Field(description="The part of a changed mix: other shares of the values.")
    within: float = Field(description="The part of changed shares of errors within the values.")


class Acknowledgement(Wire):
    """The acknowledgement of an alert."""

    by: str = Field(description="Author.")
    at: str = Field(description="Instant.")
    because: str | None = Field(description="Reason, in the author's words.")


class Alert(Wire):
    """One transition of an alert: a change of one series of one model."""

    type: Literal["tidegauge.alert.v1"] = "tidegauge.alert.v1"
    alert_id: str = Field(
        description="Id of the transition: records with the same id are duplicates."
    )
    fingerprint: str = Field(
        description="Names the alert: the same for every transition of the same model, series, "
        "aspect and segment. One fingerprint has at most one open alert."
    )
    episode: int = Field(description="Number of firings of this fingerprint, this one included.")
    sequence: int = Field(description="0 for firing, then 1, 2 .. within the episode.")
    status: AlertStatus = Field(
        description="firing: begins; ongoing: renewed or updated; resolved: ends."
    )
    resolved_because: Because | None = Field(
        description="Reason of the end: the series returned to its reference, a person accepted "
        "the new one, the series relearns its reference, or it is no longer watched."
    )
    fired_at: str = Field(description="Instant of the firing of this episode.")
    is_flapping: bool = Field(
        description="Whether this is the third firing within `renotify_s`: it is then resolved "
        "only after it has been normal for as long as the three took."
    )
    kind: AlertKind = Field(description="Kind of the change.")
    model_id: str = Field(description="The model.")
    model_version: str | None = Field(
        description="Version of the latest prediction at the detection."
    )
    spec_version: int = Field(description="Version of the model's spec; 0 is the defaults.")
    owner: str | None = Field(
        default=None, description="The model's owner, as that spec names it; null: it names none."
    )
    series: str = Field(
        description="The series: `feature/NAME`, `prediction`, `score`, `error` or `outcome`; for "
        "the arrival of events: `predictions`, `outcomes`, `answers`, `features`, `versions` or "
        "`reports`; of "
        "people: `specs` or `controls`; for a part of the traffic: `segment/DIMENSION=VALUE`, "
        "or two of them after a comma; made "
        "of features: `attribution/NAME` and `joint`; for a feature and its log: `skew/NAME`; for "
        "the model itself: `model`; for a topic, "
        "all models of a partition, or all workers: `topic`, `models` or `workers`."
    )
    aspect: str = Field(
        description="Aspect of the series: level, spread, share, missing, unseen, stuck, constant, "
        "type, text; of the arrival of events: silence, late, missing, orphan, conflicting, "
        "unjoined, mismatch, repeated, reported, fallback, error, unseen, clock, refused, unread, "
        "left_out, new; of a segment: segment; of specs and controls: unusable; of the model: "
        "quarantine; of models: crowded; "
        "of many series at once: together; of what the score means: calibration; of a feature and "
        "its log: mismatch."
    )
    category: str | None = Field(
        description="The category, where the aspect has one: text in quotes where it would read as "
        "another value. Of the aspect type: the two types in words."
    )
    segment: Segment | None = Field(description="Part of the population; null: all of it.")
    severity: Severity = Field(description="Urgency.")
    detected_at: str = Field(description="Instant of the event at which it was detected.")
    started_at: str = Field(description="Instant of the event at the estimated onset.")
    detector: str = Field(description="Name of the detector.")
    value: float | None = Field(
        description="Figure of the values since the onset; once ongoing, of the latest values."
    )
    baseline: float | None = Field(description="The same figure of the reference.")
    effect: float | None = Field(description="Size of the change, in `effect_unit`.")
    effect_unit: str = Field(description="sd: reference standard deviations; odds_ratio; ratio.")
    direction: Literal["up", "down"] | None = Field(description="Direction of the change.")
    categories: tuple[CategoryShare, ...] = Field(
        strict=False,
        description="Categories whose share changed, where the aspect is share: at most 5, the "
        "largest change first.",
    )
    followed_by: tuple[str, ...] = Field(
        strict=False,
        description="Those of `error`, `score` and `prediction` that have an open alert as well.",
    )
    moved_together: tuple[Moved, ...] = Field(
        strict=False,
        description="Other open alerts of the model with an onset not long before this one: at "
        "most 5, the largest effect first.",
    )
    under: str | None = Field(
        default=None,
        description="Fingerprint of the alert under which it stands, about many series at once or "
        "the feature that goes before: it is then in `status` alone; null: it stands by itself.",
    )
    source: str | None = Field(
        default=None, description="Source of the feature, where the spec names it."
    )
    upstream: tuple[str, ...] = Field(
        default=(), strict=False, description="Models that the spec names as upstream."
    )
    known_within_s: float | None = Field(
        default=None,
        description="Where labels come late: the age of the predictions, in seconds, at which "
        "their labels were read; null: as they arrived.",
    )
    labels_come_differently: bool = Field(
        default=False,
        description="Whether the labels come otherwise than before, so that the change may be "
        "theirs and not the model's.",
    )
    value_at_risk: ValueAtRisk | None = Field(
        default=None, description="Money since the onset, where the spec has `cost`; null: none."
    )
    worst_segments: tuple[WorstSegment, ...] = Field(
        default=(),
        strict=False,
        description="Of an error, where the spec has `segments`: at most 5, the worst first.",
    )
    mix: MixAndWithin | None = Field(
        default=None, description="The parts of its change by the dimension of the first of them."
    )
    rows_since_onset: int = Field(description="Values of the series since the estimated onset.")
    predictions_seen: int = Field(description="Predictions of the model so far.")
    series_seen: int = Field(description="Values of the series so far.")
    acknowledged: Acknowledgement | None = Field(description="Its acknowledgement, if any.")
    muted_until: str | None = Field(description="End of the mute, if it is muted.")
    runbook: str = Field(description="Link to the section of the documentation about such alerts.")
    summary: str = Field(description="One sentence for people.")
    evidence: Evidence = Field(description="Range of `events` that shows it.")
    deployment: str | None = Field(
        default=None,
        description="Name of the deployment whose worker published it; null: a backtest.",
    )
    url: str | None = Field(
        default=None, description="Its address on the page; null: the worker knows no page."
    )
