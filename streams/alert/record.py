"""Turn a transition in the life of an alert into a record for people and programs.

Rule 1. A record's id is made of the fingerprint, the episode, its place in it, and how many events
        had been seen: the same log, replayed anywhere, gives the same id.
Rule 2. Times are the events' own instants; the wall clock never enters.
Rule 3. What else is open is told as of the event of the transition, not of the end of its record.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import orjson

from schemas.alert import (
    Acknowledgement,
    Alert,
    AlertKind,
    Because,
    CategoryShare,
    Evidence,
    Moved,
    Severity,
)
from schemas.model_spec import AlertRules
from schemas.status import Status
from schemas.wire import to_epoch_ms, to_rfc3339
from streams.alert.lifecycle import AlertStates
from streams.alert.onset import RowPosition
from streams.alert.summary import summary_of
from streams.alert.transition import OperatorNote, Transition
from streams.aspects import ASPECTS
from streams.change import EffectUnit, Figures
from streams.series.watch import SeriesWatch

RUNBOOK = "docs/runbook.md"
MAX_TOLD = 5
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
FOLLOWERS = ("error", "score", "prediction")
SMALL, LARGE = 0.2, 0.5
"""Effects, in standard deviations, below and above which a drift is more, and less, than usual."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionContext:
    """Where and when a transition was seen.

    Parameters
    ----------
    model_version
        The version that answered last.
    predictions_seen
        Events so far, this one included.
    at_ms
        Instant of the event that settled it.
    onset
        The estimated beginning; needed of a firing alone.
    partition, offset
        The record of ``events`` that settled it.
    spec_version
        Version of the model's spec then; 0 is the defaults.
    """

    model_version: str | None
    predictions_seen: int
    at_ms: int
    onset: RowPosition | None
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


def fingerprint_of(model_id: str, series: str, aspect: str) -> str:
    """Name the alerts of a series and an aspect; segments are not watched yet.

    Examples
    --------
    >>> fingerprint_of("car_loan", "error", "level") == fingerprint_of("car_loan", "error", "share")
    False
    """
    return identify("fingerprint", model_id, series, aspect, None)


class AlertWriter:
    """The open alerts of one model, as they were published last.

    Parameters
    ----------
    model_id
        The model.
    rules
        What its owner asks for.

    Attributes
    ----------
    lives
        What decides when there is something to say.
    """

    def __init__(self, model_id: str, rules: AlertRules) -> None:
        self.model_id = model_id
        self.lives = AlertStates(rules)
        self._open: dict[str, Alert] = {}
        self._closed: set[str] = set()

    def __getitem__(self, fingerprint: str) -> Alert:
        """Return the latest record of an open alert."""
        return self._open[fingerprint]

    def __contains__(self, fingerprint: object) -> bool:
        """Tell whether an alert is open."""
        return fingerprint in self._open

    def acknowledge(self, fingerprint: str, note: OperatorNote, now_ms: int) -> list[Transition]:
        """Take note of an open alert; of one that is not open nothing is said."""
        return [
            step
            for alert in self._named(fingerprint)
            for step in self.lives.acknowledge(alert.series, alert.aspect, note, now_ms)
        ]

    def mute(self, fingerprint: str, until_ms: int | None, now_ms: int) -> list[Transition]:
        """Mute an open alert until an instant of log time; None is unmute."""
        return [
            step
            for alert in self._named(fingerprint)
            for step in self.lives.mute(alert.series, alert.aspect, until_ms, now_ms)
        ]

    def accept(
        self,
        fingerprint: str,
        note: OperatorNote,
        now_ms: int,
        watch_of: Callable[[str], SeriesWatch | None],
    ) -> list[Transition]:
        """End an open alert: what its series has become is its reference from here on."""
        steps: list[Transition] = []
        for alert in self._named(fingerprint):
            series, aspect = alert.series, alert.aspect
            steps += self.lives.close("accepted", now_ms, series=series, aspect=aspect, note=note)
            if (watch := watch_of(series)) is not None:
                watch.accept()
        return steps

    def close_all(self, because: Because, now_ms: int) -> list[Transition]:
        """End every open alert."""
        return self.lives.close(because, now_ms)

    def _named(self, fingerprint: str) -> list[Alert]:
        alert = self._open.get(fingerprint)
        return [] if alert is None else [alert]

    def post(self, step: Transition, seen: TransitionContext) -> Alert:
        """Write the record of a transition."""
        fingerprint = fingerprint_of(self.model_id, step.series, step.aspect)
        began = self._open.pop(fingerprint, None)
        followers = self._followers(step.series)
        fields = self._figures(step, followers) | self._place(step, seen, began)
        fields["fingerprint"] = fingerprint
        fields["severity"] = _severity(step, followers)
        if began is not None:  # what was urgent once stays so: it must not come and go
            fields["severity"] = max(began.severity, fields["severity"], key=SEVERITIES.index)
        fields["alert_id"] = identify(
            "alert",
            fingerprint,
            step.episode,
            step.sequence,
            seen.predictions_seen,
            step.series_seen,
        )
        fields["moved_together"] = self._moved_together(fields["started_at"], fields["fired_at"])
        others = [*followers, *(moved.series for moved in fields["moved_together"])]
        fields["summary"] = summary_of(
            step,
            self.model_id,
            fields["started_at"],
            fields["detected_at"],
            [name for name in dict.fromkeys(others) if name != step.series],
        )
        alert = Alert(**fields)
        if step.status == "resolved":
            self._closed.add(fingerprint)
        else:
            self._open[fingerprint] = alert
            self._closed.discard(fingerprint)
        return alert

    def statuses(self) -> Iterable[tuple[str, Status | None]]:
        """Give what `status` must say of every alert there has ever been; None is not open."""
        for fingerprint in sorted(self._closed):
            yield fingerprint, None
        for fingerprint, alert in self._open.items():
            yield fingerprint, status_of(alert)

    def snapshot(self) -> dict[str, Any]:
        """Return the state."""
        return {
            "lives": self.lives.snapshot(),
            "open": [alert.model_dump_json() for alert in self._open.values()],
            "closed": sorted(self._closed),
        }

    @classmethod
    def restore(
        cls, model_id: str, rules: AlertRules, tree: dict[str, Any] | None
    ) -> "AlertWriter":
        """Return the book as it was; an empty one when there was none."""
        book = cls(model_id, rules)
        if tree is None:
            return book
        book.lives = AlertStates.restore(rules, tree["lives"])
        alerts = map(Alert.model_validate_json, tree["open"])
        book._open = {alert.fingerprint: alert for alert in alerts}
        book._closed = set(tree["closed"])
        return book

    def _followers(self, series: str) -> tuple[str, ...]:
        is_open = {alert.series for alert in self._open.values()} - {series}
        return tuple(name for name in FOLLOWERS if name in is_open)

    def _moved_together(self, started_at: str, fired_at: str) -> tuple[Moved, ...]:
        """Rank the open alerts that had not begun long before this one did.

        Long is longer than this one took to be seen, and than an alert takes to be said again.
        """
        started_ms = to_epoch_ms(started_at)
        took_ms = to_epoch_ms(fired_at) - started_ms
        first_ms = started_ms - max(took_ms, 1_000 * self.lives.rules.renotify_s)
        others = [a for a in self._open.values() if to_epoch_ms(a.started_at) >= first_ms]
        others.sort(key=lambda a: (-_figures_of(a).strength, a.fingerprint))
        return tuple(
            Moved(
                series=a.series,
                aspect=a.aspect,
                effect=a.effect,
                effect_unit=a.effect_unit,
                started_at=a.started_at,
            )
            for a in others[:MAX_TOLD]
        )

    def _figures(self, step: Transition, followers: tuple[str, ...]) -> dict[str, Any]:
        change, kind = step.change, kind_of(step)
        figures = change.figures
        is_level = step.role == "error" and step.aspect == "level"
        note = step.acknowledged
        return {
            "episode": step.episode,
            "sequence": step.sequence,
            "status": step.status,
            "resolved_because": step.because,
            "is_flapping": step.is_flapping,
            "kind": kind,
            "model_id": self.model_id,
            "series": step.series,
            "aspect": step.aspect,
            "category": None if is_level else change.category,
            "segment": None,
            "detector": change.detector,
            "value": figures.value,
            "baseline": figures.baseline,
            "effect": figures.effect,
            "effect_unit": figures.unit,
            "direction": figures.direction,
            "categories": () if is_level else _categories(step),
            "followed_by": followers,
            "rows_since_onset": figures.rows,
            "series_seen": step.series_seen,
            "acknowledged": note
            and Acknowledgement(by=note.by, at=to_rfc3339(note.at_ms), because=note.because),
            "muted_until": None if step.muted_until_ms is None else to_rfc3339(step.muted_until_ms),
            "runbook": f"{RUNBOOK}#{anchor_of(kind, step.aspect)}",
        }

    def _place(
        self, step: Transition, seen: TransitionContext, began: Alert | None
    ) -> dict[str, Any]:
        """Say when and where: what has begun keeps its beginning."""
        at = to_rfc3339(seen.at_ms)
        if began is not None:
            started_at, fired_at = began.started_at, began.fired_at
            first_offset = began.evidence.first_offset
        elif seen.onset is not None:
            started_at, fired_at = to_rfc3339(seen.onset.at_ms), at
            first_offset = seen.onset.offset
        else:
            started_at, fired_at = to_rfc3339(seen.at_ms - _lasted_ms(step)), at
            first_offset = seen.offset
        return {
            "model_version": seen.model_version,
            "spec_version": seen.spec_version,
            "detected_at": at,
            "started_at": started_at,
            "fired_at": fired_at,
            "predictions_seen": seen.predictions_seen,
            "evidence": Evidence(
                partition=seen.partition, first_offset=first_offset, last_offset=seen.offset
            ),
        }


def status_of(alert: Alert) -> Status | None:
    """Return what `status` says of an alert after this transition."""
    if alert.status == "resolved":
        return None
    return Status(
        fingerprint=alert.fingerprint,
        since=alert.fired_at,
        acknowledged=alert.acknowledged,
        muted_until=alert.muted_until,
        alert=alert,
    )


def kind_of(step: Transition) -> AlertKind:
    """Return what sort of change a transition is about."""
    if step.condition is not None:
        return step.condition.kind
    return ASPECTS[step.aspect].kind(step.role)


def anchor_of(kind: str, aspect: str) -> str:
    """Name the runbook's entry for a kind and an aspect.

    Examples
    --------
    >>> anchor_of("feature_drift", "level")
    'feature_drift-level'
    """
    return f"{kind}-{aspect}"


def _lasted_ms(step: Transition) -> int:
    """Return how long what is told now has lasted: a silence has begun with the last event."""
    return round(1_000 * (step.change.figures.value or 0.0)) if step.aspect == "silence" else 0


def _categories(step: Transition) -> tuple[CategoryShare, ...]:
    if step.aspect != "share":
        return ()
    change = step.change
    moved = change.moved
    if not moved and change.category is not None:
        moved = ((change.category, change.figures.baseline or 0.0, change.figures.value or 0.0),)
    return tuple(
        CategoryShare(category=name, baseline=baseline, value=value)
        for name, baseline, value in moved
    )


def _severity(step: Transition, followers: tuple[str, ...]) -> Severity:
    if step.condition is not None:
        return step.condition.severity
    if not ASPECTS[step.aspect].is_drift:
        return "info" if step.aspect == "constant" else "warning"
    if step.role == "error":
        return "critical" if step.change.figures.direction == "up" else "info"
    size = step.change.figures.strength
    if "error" in followers and size >= LARGE:
        return "critical"
    return "info" if size < SMALL and not followers else "warning"


def _figures_of(alert: Alert) -> Figures:
    return Figures(effect=alert.effect, unit=cast("EffectUnit", alert.effect_unit))
