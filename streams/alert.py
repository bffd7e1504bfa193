"""Turn a change of a series into an alert that a person understands and a program can act on.

Rule 1. An alert's id is made of the model, what changed, and how many events had been seen: the
        same log, replayed anywhere, gives the same id.
Rule 2. Times are the events' own instants; the wall clock never enters.
Rule 3. A sentence names figures of many rows, never a row: it goes to the log. A category that was
        never seen before is in its field alone.
"""

import hashlib
from dataclasses import dataclass, replace

import orjson

from schemas.alert import Alert, Evidence, Kind, Severity
from schemas.wire import to_rfc3339
from streams.trail import Mark
from streams.watch import Change

QUALITY_ASPECTS = frozenset({"missing", "unseen", "stuck", "constant", "type"})
_KIND_OF_ROLE: dict[str, Kind] = {
    "feature": "feature_drift",
    "prediction": "prediction_drift",
    "score": "prediction_drift",
    "error": "performance",
    "outcome": "labels",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Where and when a change was seen.

    Parameters
    ----------
    model_id, model_version
        The model, and the version that answered last.
    series, role
        The series' name on the wire, and what it is to the model.
    predictions_seen, series_seen
        Events so far, this one included.
    at_ms
        Instant of the event that settled the change.
    onset
        The estimated beginning.
    partition, offset
        The record of ``events`` that settled the change.
    spec_version
        The version of the model's spec then.
    """

    model_id: str
    model_version: str | None
    series: str
    role: str
    predictions_seen: int
    series_seen: int
    at_ms: int
    onset: Mark
    partition: int
    offset: int
    spec_version: int = 0


def identify(*parts: str | int | None) -> str:
    """Make a short id of what names a thing.

    Examples
    --------
    >>> identify("alert", "car_loan", "score") == identify("alert", "car_loan", "score")
    True
    >>> len(identify("alert"))
    32
    """
    return hashlib.blake2b(orjson.dumps(parts), digest_size=16).hexdigest()


def make_alert(change: Change, seen: Sighting) -> Alert:
    """Write the alert for a change."""
    change = _plain(change, seen.role)
    return Alert(
        alert_id=identify(
            "alert",
            seen.model_id,
            seen.series,
            change.aspect,
            change.category,
            change.detector,
            seen.predictions_seen,
            seen.series_seen,
        ),
        status="firing",
        kind="data_quality" if change.aspect in QUALITY_ASPECTS else _KIND_OF_ROLE[seen.role],
        model_id=seen.model_id,
        model_version=seen.model_version,
        spec_version=seen.spec_version,
        series=seen.series,
        aspect=change.aspect,
        category=change.category,
        segment=None,
        severity=_severity(change, seen.role),
        detected_at=to_rfc3339(seen.at_ms),
        started_at=to_rfc3339(seen.onset.at_ms),
        detector=change.detector,
        value=change.value,
        baseline=change.baseline,
        effect=change.effect,
        effect_unit=change.effect_unit,
        direction=change.direction,
        rows_since_onset=change.rows,
        predictions_seen=seen.predictions_seen,
        series_seen=seen.series_seen,
        summary=_summary(change, seen),
        evidence=Evidence(
            partition=seen.partition, first_offset=seen.onset.offset, last_offset=seen.offset
        ),
    )


def _plain(change: Change, role: str) -> Change:
    """Name the share of a classifier's rows that are errors for what it is: the error's level."""
    if role == "error" and change.aspect == "share":
        return replace(change, aspect="level", category=None)
    return change


def _severity(change: Change, role: str) -> Severity:
    if role == "error" and change.aspect not in QUALITY_ASPECTS:
        return "critical" if change.direction == "up" else "info"
    return "info" if change.aspect == "constant" else "warning"


def _summary(change: Change, seen: Sighting) -> str:
    unit = "labelled row" if seen.role in {"error", "outcome"} else "prediction"
    rows = f"{change.rows:,} {unit}{'' if change.rows == 1 else 's'}"
    since = f"since {to_rfc3339(seen.onset.at_ms)[:16].replace('T', ' ')} UTC, {rows} ago"
    return f"{_subject(seen)} {_happening(change)}, {since}."


def _subject(seen: Sighting) -> str:
    name = seen.series.removeprefix("feature/")
    what = f"feature {name}" if seen.role == "feature" else f"the {name}"
    return f"Model {seen.model_id}: {what}"


_HAPPENING = {
    "level": "{went} {figures}",
    "missing": "is missing at another rate: it {went} {figures}",
    "unseen": "has a value never seen before",
    "stuck": "repeats one value and does not move any more",
    "constant": "was constant and is no longer",
    "type": "has values of another type than before",
    "share": "has another mix: the share of {category!r} {went} {figures}",
    "spread": "spreads differently: its standard deviation {went} {figures}",
}


def _happening(change: Change) -> str:
    if change.aspect == "missing" and change.detector == "rule":
        return "has its first missing value"
    return _HAPPENING[change.aspect].format(
        went={"up": "rose", "down": "fell"}.get(change.direction or "", "changed"),
        figures=_from_to(change),
        category=change.category,
    )


def _from_to(change: Change) -> str:
    return (
        f"from {_figure(change.baseline, change)} to {_figure(change.value, change)}{_size(change)}"
    )


def _figure(figure: float | None, change: Change) -> str:
    if figure is None:
        return "an unknown figure"
    if change.effect_unit == "odds_ratio":
        return f"{100 * figure:.1f} %"
    return f"{figure:,.0f}" if 1e3 <= abs(figure) < 1e12 else f"{figure:,.4g}"


def _size(change: Change) -> str:
    if change.effect is None:
        return ""
    if change.effect_unit == "sd":
        return f" ({change.effect:+.2f} reference standard deviations)"
    return f" (odds x {change.effect:.2f})" if change.effect_unit == "odds_ratio" else ""
