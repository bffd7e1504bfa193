"""Turn a transition in the life of an alert into a record for people and programs.

Rule 1. A record's id is made of the fingerprint, the episode, its place in it, and how many events
        had been seen: the same log, replayed anywhere, gives the same id.
Rule 2. Times are the events' own instants; the wall clock never enters.
Rule 3. Other open alerts are named as of the event of the transition, not of the end of its record.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, cast

import orjson
from msgspec import Struct

from schemas.alert import (
    Acknowledgement,
    Alert,
    AlertKind,
    CategoryShare,
    Evidence,
    MixAndWithin,
    Moved,
    Severity,
    ValueAtRisk,
    WorstSegment,
)
from schemas.status import Status
from schemas.wire import to_rfc3339
from streams import codec
from streams.alert.onset import RowPosition
from streams.alert.summary import summary_of
from streams.alert.transition import Transition
from streams.aspects import ASPECTS
from streams.change import EffectUnit, Figures, Onset
from streams.codec import Machine

RUNBOOK = "docs/runbook.md"
MAX_MOVED_SERIES = 5
"""Other series named in an alert: the strongest ones; more are no help at a first look."""
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
FOLLOWERS = ("error", "score", "prediction")
SMALL, LARGE = 0.2, 0.5
"""Effects, in standard deviations, below and above which a drift is more, and less, than usual."""

FEW_MISSING = 0.01
"""Share of missing values below which they are no more than news: as small as the share of a
category that is not watched by itself. By judgement."""


class TransitionContext(Struct, frozen=True, kw_only=True):
    """The place and the time of a transition.

    Parameters
    ----------
    model_version
        The version that answered last.
    predictions_seen
        Predictions of the model so far.
    at_ms
        Instant of the event that settled it.
    onset
        The estimated beginning; for a firing of a series alone.
    partition, offset
        The record of ``events`` that settled it.
    spec_version
        Version of the model's spec then; 0 is the defaults.
    renotify_s
        Seconds after which an open alert is published again.
    under
        Fingerprint of the alert of a storm that it stands under.
    owner
        The model's owner, as its spec names it.
    value_since
        Gives the money lost since an onset, as known at the instant of the transition.
    sources, upstream
        The sources of features, and the models upstream, as its spec names them.
    worst
        The worst segments since the onset of an error, and the parts of its change.
    """

    model_version: str | None
    predictions_seen: int
    at_ms: int
    onset: RowPosition | None
    partition: int
    offset: int
    spec_version: int = 0
    renotify_s: float = math.inf
    under: str | None = None
    owner: str | None = None
    value_since: Callable[[Onset], ValueAtRisk | None] = lambda _onset: None
    sources: Mapping[str, str] = MappingProxyType({})
    upstream: tuple[str, ...] = ()
    worst: tuple[tuple[WorstSegment, ...], MixAndWithin | None] = ((), None)


class OpenAlert(Machine):
    """An open alert as it was published last, with its instants in epoch milliseconds."""

    record: Alert
    started_ms: int
    fired_ms: int


codec.extend(Alert, lambda alert: alert.model_dump_json().encode(), Alert.model_validate_json)


def identify(*parts: str | int | None) -> str:
    """Return a short id, made of parts that name a thing.

    Examples
    --------
    >>> identify("alert", "car_loan", "score") == identify("alert", "car_loan", "score")
    True
    >>> len(identify("alert"))
    32
    """
    return hashlib.blake2b(orjson.dumps(parts), digest_size=16).hexdigest()


def fingerprint_of(model_id: str, series: str, aspect: str) -> str:
    """Name the alerts of a series and an aspect; segments are not watched yet.

    Examples
    --------
    >>> fingerprint_of("car_loan", "error", "level") == fingerprint_of("car_loan", "error", "share")
    False
    """
    return identify("fingerprint", model_id, series, aspect, None)


class AlertWriter(Machine):
    """Writes the records of one model's alerts, and knows which are open.

    Parameters
    ----------
    model_id
        The model.
    """

    model_id: str
    _open: dict[str, OpenAlert] = {}
    _closed: dict[str, None] = {}

    def __getitem__(self, fingerprint: str) -> Alert:
        """Return the latest record of an open alert."""
        return self._open[fingerprint].record

    def __contains__(self, fingerprint: object) -> bool:
        """Tell whether an alert is open."""
        return fingerprint in self._open

    def open_records(self) -> list[Alert]:
        """Return the latest record of every open alert."""
        return [each.record for each in self._open.values()]

    def write(self, transition: Transition, context: TransitionContext) -> OpenAlert:
        """Return the record of a transition; it counts as published."""
        fingerprint = fingerprint_of(self.model_id, transition.series, transition.aspect)
        began = self._open.pop(fingerprint, None)
        followers = self._followers(transition.series)
        started_ms, fired_ms, first_offset = _beginning(transition, context, began)
        moved = self._moved_together(started_ms, fired_ms, context.renotify_s)
        others = dict.fromkeys([*followers, *(each.series for each in moved)])
        others.pop(transition.series, None)
        value = _value_at_risk(transition, context, started_ms)
        severity = _severity(transition, followers, value)
        if began is not None:  # an alert that comes and goes in severity would page twice
            severity = max(began.record.severity, severity, key=SEVERITIES.index)
        record = Alert(
            **self._subject(transition),
            **_figures(transition),
            **_place(context),
            source=_source(transition.series, context),
            fingerprint=fingerprint,
            alert_id=identify(
                "alert",
                fingerprint,
                transition.episode,
                transition.sequence,
                context.predictions_seen,
                transition.series_seen,
            ),
            severity=severity,
            started_at=to_rfc3339(started_ms),
            fired_at=to_rfc3339(fired_ms),
            followed_by=followers,
            moved_together=moved,
            value_at_risk=value,
            evidence=Evidence(
                partition=context.partition, first_offset=first_offset, last_offset=context.offset
            ),
            summary=summary_of(
                transition, self.model_id, (started_ms, context.at_ms), list(others), value
            ),
        )
        written = OpenAlert(record, started_ms, fired_ms)
        if transition.status == "resolved":
            self._closed[fingerprint] = None
        else:
            self._open[fingerprint] = written
            self._closed.pop(fingerprint, None)
        return written

    def statuses(self) -> Iterable[tuple[str, Status | None]]:
        """Give the `status` of every alert there has ever been; None is not open."""
        for fingerprint in sorted(self._closed):
            yield fingerprint, None
        for fingerprint, alert in self._open.items():
            yield fingerprint, status_of(alert.record)

    def _followers(self, series: str) -> tuple[str, ...]:
        is_open = {alert.record.series for alert in self._open.values()} - {series}
        return tuple(name for name in FOLLOWERS if name in is_open)

    def _moved_together(
        self, started_ms: int, fired_ms: int, renotify_s: float
    ) -> tuple[Moved, ...]:
        """Rank the open alerts that had not begun long before this one did.

        Long is longer than this one took to be seen, and than `renotify_s`.
        """
        first_ms = started_ms - max(fired_ms - started_ms, 1_000 * renotify_s)
        others = [each.record for each in self._open.values() if each.started_ms >= first_ms]
        others.sort(key=lambda alert: (-_strength(alert), alert.fingerprint))
        return tuple(
            Moved(
                series=alert.series,
                aspect=alert.aspect,
                effect=alert.effect,
                effect_unit=alert.effect_unit,
                started_at=alert.started_at,
            )
            for alert in others[:MAX_MOVED_SERIES]
        )

    def _subject(self, transition: Transition) -> dict[str, Any]:
        kind = alert_kind(transition)
        return {
            "model_id": self.model_id,
            "kind": kind,
            "series": transition.series,
            "aspect": transition.aspect,
            "segment": None if transition.condition is None else transition.condition.segment,
            "episode": transition.episode,
            "sequence": transition.sequence,
            "status": transition.status,
            "resolved_because": transition.because,
            "is_flapping": transition.is_flapping,
            "runbook": f"{RUNBOOK}#{anchor_of(kind, transition.aspect)}",
        }


def _figures(transition: Transition) -> dict[str, Any]:
    change, figures = transition.change, transition.change.figures
    is_error = transition.role == "error" and transition.aspect == "level"
    note = transition.acknowledged
    muted_ms = transition.muted_until_ms
    return {
        "category": None if is_error else change.category,
        "categories": () if is_error else _categories(transition),
        "detector": change.detector,
        "value": figures.value,
        "baseline": figures.baseline,
        "effect": figures.effect,
        "effect_unit": figures.unit,
        "direction": figures.direction,
        "known_within_s": change.at_age and change.at_age.age_ms / 1_000,
        "labels_come_differently": change.at_age is not None and change.at_age.comes_differently,
        "rows_since_onset": figures.rows,
        "series_seen": transition.series_seen,
        "acknowledged": note
        and Acknowledgement(by=note.by, at=to_rfc3339(note.at_ms), because=note.because),
        "muted_until": None if muted_ms is None else to_rfc3339(muted_ms),
    }


def _source(series: str, context: TransitionContext) -> str | None:
    name = series.removeprefix("feature/")
    return None if name == series else context.sources.get(name)


def _place(context: TransitionContext) -> dict[str, Any]:
    return {
        "model_version": context.model_version,
        "spec_version": context.spec_version,
        "detected_at": to_rfc3339(context.at_ms),
        "predictions_seen": context.predictions_seen,
        "under": context.under,
        "owner": context.owner,
        "upstream": context.upstream,
        "worst_segments": context.worst[0],
        "mix": context.worst[1],
    }


def _beginning(
    transition: Transition, context: TransitionContext, began: OpenAlert | None
) -> tuple[int, int, int]:
    """Return the onset, the instant of the firing, and the offset of the onset.

    An alert that is open keeps its beginning.
    """
    if began is not None:
        return began.started_ms, began.fired_ms, began.record.evidence.first_offset
    if context.onset is not None:
        return context.onset.at_ms, context.at_ms, context.onset.offset
    return context.at_ms - _lasted_ms(transition), context.at_ms, context.offset


def status_of(alert: Alert) -> Status | None:
    """Return the record of `status` after this transition of an alert; None deletes it."""
    if alert.status == "resolved":
        return None
    return Status(
        fingerprint=alert.fingerprint,
        since=alert.fired_at,
        acknowledged=alert.acknowledged,
        muted_until=alert.muted_until,
        alert=alert,
    )


def alert_kind(transition: Transition) -> AlertKind:
    """Return the kind of alert of a transition."""
    if transition.condition is not None:
        return transition.condition.kind
    return ASPECTS[transition.aspect].kind(transition.role)


def anchor_of(kind: str, aspect: str) -> str:
    """Name the runbook's entry for a kind and an aspect.

    Examples
    --------
    >>> anchor_of("feature_drift", "level")
    'feature_drift-level'
    """
    return f"{kind}-{aspect}"


def _lasted_ms(transition: Transition) -> int:
    """Return the time since the onset of a condition: a silence began with the last event."""
    if transition.aspect != "silence":
        return 0
    return round(1_000 * (transition.change.figures.value or 0.0))


def _categories(transition: Transition) -> tuple[CategoryShare, ...]:
    if transition.aspect != "share":
        return ()
    change = transition.change
    moved = change.moved
    if not moved and change.category is not None:
        moved = ((change.category, change.figures.baseline or 0.0, change.figures.value or 0.0),)
    return tuple(
        CategoryShare(category=name, baseline=baseline, value=value)
        for name, baseline, value in moved
    )


def _value_at_risk(
    transition: Transition, context: TransitionContext, started_ms: int
) -> ValueAtRisk | None:
    """Return the money lost since the onset of a change of a series."""
    change = transition.change
    if transition.condition is not None or not ASPECTS[transition.aspect].is_drift:
        return None
    is_of_outcomes = transition.role in {"error", "outcome"} and change.at_age is None
    return context.value_since(Onset(started_ms, is_of_outcomes))


def _severity(
    transition: Transition, followers: tuple[str, ...], value: ValueAtRisk | None
) -> Severity:
    if transition.condition is not None:
        return transition.condition.severity
    if transition.aspect == "missing":
        return "info" if (transition.change.figures.value or 0.0) < FEW_MISSING else "warning"
    if not ASPECTS[transition.aspect].is_drift:
        return ASPECTS[transition.aspect].severity
    if transition.role == "error":
        return _severity_of_error(transition, value)
    size = transition.change.figures.strength
    if "error" in followers and size >= LARGE:
        return "critical"
    return "info" if size < SMALL and not followers else "warning"


def _severity_of_error(transition: Transition, value: ValueAtRisk | None) -> Severity:
    """Return the severity by the money lost, where that is known: none at all, perhaps none."""
    if value is None or value.lost is None or value.high is None:
        return "critical" if transition.change.figures.direction == "up" else "info"
    if value.lost > 0:
        return "critical"
    return "warning" if value.high > 0 else "info"


def _strength(alert: Alert) -> float:
    return Figures(effect=alert.effect, unit=cast("EffectUnit", alert.effect_unit)).strength
