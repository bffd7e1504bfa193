"""Incidents: alerts of several models that seem to have one cause.

Models lie on different partitions, and alerts of two partitions have no order between them.

Rule 1. The incidents are a function of the *set* of alerts: of each firing the record with the
        highest sequence counts, in whatever order records come. There is no other state.
Rule 2. Alerts with one cause whose onsets lie within ``WITHIN_MS`` of each other, or within the
        time that either took to be seen, are of one incident: by the second model, or by the third
        where no cause is named, if so much company by chance is rarer than ``RARE``.
Rule 3. Incidents that share two models at about the same time are one; its causes are ranked:
        upstream models, sources, features, the earliest onset first.
Rule 4. What was over ``KEPT_MS`` before the latest alert is forgotten.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec import Struct

from schemas.alert import Alert, Severity
from schemas.incident import (
    MAX_MEMBERS,
    CauseKind,
    Incident,
    IncidentCause,
    IncidentMember,
)
from schemas.wire import to_epoch_ms, to_rfc3339
from streams.alert.record import identify
from streams.clock import DAY_MS, HOUR_MS, duration_text
from streams.values import printable

WITHIN_MS = HOUR_MS
"""Milliseconds between the onsets of alerts with one cause: that of a storm within a model."""
KEPT_MS = 7 * DAY_MS
"""Milliseconds for which alerts that are over stay part of incidents. By judgement."""
RARE = 1e-3
"""Chance below which company is no coincidence. With it two models of ten need no third, and of a
hundred they do. By judgement."""
FALSE_ALARMS = 0.002
"""False alarms of one feature of one model in a day: 2,000 predictions at the default budget."""
MOST_CAUSES = 6
_RANK: dict[CauseKind, int] = {"model": 0, "source": 1, "feature": 2, "unknown": 3}
_OF_ANSWERS = frozenset({"prediction", "score", "error", "predictions", "answers"})
"""Series of an upstream model that reach the models behind it."""
_NAMED = 3
"""Models that a sentence names."""
_CHARACTERS = 24


class Cause(NamedTuple):
    """A kind of cause and its name."""

    kind: CauseKind
    name: str


class Member(Struct, frozen=True):
    """One firing of an alert, as its latest record has it."""

    started_ms: int
    model_id: str
    fingerprint: str
    episode: int
    series: str
    fired_ms: int
    changed_ms: int
    sequence: int
    severity: Severity
    is_over: bool
    is_drift: bool
    per_day: float | None
    currency: str | None
    source: str | None
    upstream: tuple[str, ...]

    @property
    def key(self) -> tuple[int, str, str, int]:
        """Its place among others: by onset."""
        return self.started_ms, self.model_id, self.fingerprint, self.episode

    @property
    def took_ms(self) -> int:
        """The time that it took to be seen."""
        return max(self.fired_ms - self.started_ms, 0)

    @property
    def cause(self) -> Cause:
        """The cause that its own record names."""
        name = self.series.removeprefix("feature/")
        if self.source is not None:
            return Cause("source", self.source)
        return Cause("unknown" if name == self.series else "feature", name)


def member_of(alert: Alert) -> Member:
    """Return an alert as a member of incidents."""
    money = alert.value_at_risk
    return Member(
        started_ms=to_epoch_ms(alert.started_at),
        model_id=alert.model_id,
        fingerprint=alert.fingerprint,
        episode=alert.episode,
        series=alert.series,
        fired_ms=to_epoch_ms(alert.fired_at),
        changed_ms=to_epoch_ms(alert.detected_at),
        sequence=alert.sequence,
        severity=alert.severity,
        is_over=alert.status == "resolved",
        is_drift=alert.kind != "data_quality",
        per_day=None if money is None else money.per_day,
        currency=None if money is None else money.currency,
        source=alert.source,
        upstream=alert.upstream,
    )


class Cluster(NamedTuple):
    """Alerts with one cause at about the same time, by onset, and the chance of such company."""

    cause: Cause
    members: tuple[Member, ...]
    chance: float


class Incidents:
    """The incidents of all models of a deployment."""

    def __init__(self) -> None:
        self._members: dict[tuple[str, int], Member] = {}
        self._latest_ms = 0

    def add(self, alert: Alert) -> None:
        """Take in a record of `alerts`, in any order."""
        member = member_of(alert)
        self._latest_ms = max(self._latest_ms, member.changed_ms)
        place = member.fingerprint, member.episode
        known = self._members.get(place)
        if known is None or known.sequence < member.sequence:
            self._members[place] = member

    def found(self) -> dict[str, Incident]:
        """Return the incidents by their ids."""
        self._forget()
        members = sorted(self._members.values(), key=lambda each: each.key)
        clusters = _clusters(members, len({each.model_id for each in members}))
        made = [_incident(group) for group in _merged(clusters)]
        return {each.incident_id: each for each in sorted(made, key=lambda each: each.opened_at)}

    def _forget(self) -> None:
        since_ms = self._latest_ms - KEPT_MS
        self._members = {
            place: each
            for place, each in self._members.items()
            if not each.is_over or each.changed_ms >= since_ms
        }


def _clusters(members: Sequence[Member], models: int) -> list[Cluster]:
    by_cause: defaultdict[Cause, list[Member]] = defaultdict(list)
    upstream = {name for each in members for name in each.upstream}
    for each in members:
        by_cause[each.cause].append(each)
        if each.series in _OF_ANSWERS and each.model_id in upstream:
            by_cause[Cause("model", each.model_id)].append(each)
        for name in each.upstream:
            by_cause[Cause("model", name)].append(each)
    found = []
    for cause, of_cause in by_cause.items():
        for together in _together(of_cause):
            cluster = Cluster(cause, together, _chance(cause, together, of_cause, models))
            if _is_incident(cluster):
                found.append(cluster)
    return found


def _together(members: Iterable[Member]) -> Iterable[tuple[Member, ...]]:
    """Yield the members whose onsets are near each other (Rule 2)."""
    near: list[Member] = []
    for each in members:
        if near:
            within_ms = max(WITHIN_MS, each.took_ms, near[-1].took_ms)
            if each.started_ms - near[-1].started_ms > within_ms:
                yield tuple(near)
                near = []
        near.append(each)
    if near:
        yield tuple(near)


def _is_incident(cluster: Cluster) -> bool:
    models = {each.model_id for each in cluster.members}
    if cluster.cause.kind == "model" and cluster.cause.name not in models:
        return False
    least = 3 if cluster.cause.kind == "unknown" else 2
    return len(models) >= least and cluster.chance < RARE


def _chance(
    cause: Cause, together: Sequence[Member], of_cause: Sequence[Member], models: int
) -> float:
    """Return the probability of so many further models by chance: a Poisson count.

    Its rate is that of the other alerts of this cause in ``KEPT_MS``, and of false alarms.
    """
    further = len({each.model_id for each in together}) - 1
    others = len(of_cause) - len(together)
    rate = others * DAY_MS / KEPT_MS + FALSE_ALARMS * models
    span_ms = max(WITHIN_MS, *(each.took_ms for each in together))
    mean = rate * span_ms / DAY_MS
    below = sum(math.exp(-mean) * mean**n / math.factorial(n) for n in range(min(further, 50)))
    return (
        max(1.0 - below, 0.0) if mean > 1e-6 else mean**further / math.factorial(min(further, 50))
    )


def _merged(clusters: Sequence[Cluster]) -> list[list[Cluster]]:
    """Group clusters of the same models at about the same time (Rule 3)."""
    groups: list[list[Cluster]] = []
    for cluster in sorted(clusters, key=_place):
        joined = [group for group in groups if any(_is_same(cluster, each) for each in group)]
        groups = [group for group in groups if group not in joined]
        groups.append([cluster, *(each for group in joined for each in group)])
    return [sorted(group, key=_place) for group in groups]


def _place(cluster: Cluster) -> tuple[int, bool, tuple[int, str, str, int], str]:
    first = cluster.members[0]
    return _RANK[cluster.cause.kind], first.is_drift, first.key, cluster.cause.name


def _is_same(one: Cluster, other: Cluster) -> bool:
    models = [{each.model_id for each in cluster.members} for cluster in (one, other)]
    if len(models[0] & models[1]) < 2:
        return False
    first, last = sorted((one, other), key=lambda each: each.members[0].started_ms)
    return last.members[0].started_ms - first.members[-1].started_ms <= WITHIN_MS


def _incident(group: Sequence[Cluster]) -> Incident:
    by_place = {(m.fingerprint, m.episode): m for each in group for m in each.members}
    members = sorted(by_place.values(), key=lambda each: each.key)
    best, first = group[0], members[0]
    models = {each.model_id for each in members}
    causes = [_cause(each) for each in group[:MOST_CAUSES]]
    money, currency = _money(members)
    least = 3 if best.cause.kind == "unknown" else 2
    return Incident(
        incident_id=identify("incident", *best.cause, *first.key),
        digest=identify(*(f"{each.fingerprint}/{each.episode}" for each in members)),
        status="over" if all(each.is_over for each in members) else "open",
        opened_at=to_rfc3339(_opened_ms(best.members, least)),
        changed_at=to_rfc3339(max(each.changed_ms for each in members)),
        cause=causes[0],
        other_causes=causes[1:],
        members=[
            IncidentMember(
                model_id=each.model_id,
                fingerprint=each.fingerprint,
                episode=each.episode,
                series=each.series,
                started_at=to_rfc3339(each.started_ms),
                severity=each.severity,
                is_over=each.is_over,
            )
            for each in members[:MAX_MEMBERS]
        ],
        models=len(models),
        value_per_day=money,
        currency=currency,
        chance=best.chance,
        summary=_summary(best, members, len(models)),
    )


def _opened_ms(members: Sequence[Member], least: int) -> int:
    """Return the first firing of the model with which there were enough of them."""
    first: dict[str, int] = {}
    for each in members:
        first[each.model_id] = min(each.fired_ms, first.get(each.model_id, each.fired_ms))
    return sorted(first.values())[least - 1]


def _cause(cluster: Cluster) -> IncidentCause:
    kind, name = cluster.cause
    models = len({each.model_id for each in cluster.members})
    took = duration_text(cluster.members[-1].started_ms - cluster.members[0].started_ms)
    words = {
        "model": f"model {name} changed, and {models - 1} models behind it",
        "source": f"features of this source changed in {models} models",
        "feature": f"the feature changed in {models} models",
        "unknown": f"{models} models changed",
    }
    return IncidentCause(kind=kind, name=name, because=f"{words[kind]} within {took}")


def _money(members: Sequence[Member]) -> tuple[float | None, str | None]:
    """Return the money lost in a day, the largest of each model, where one currency has it."""
    known = [each for each in members if each.per_day is not None and not each.is_over]
    currencies = {each.currency for each in known}
    if len(currencies) != 1:
        return None, None
    worst: dict[str, float] = {}
    for each in known:
        worst[each.model_id] = max(each.per_day or 0.0, worst.get(each.model_id, 0.0))
    return sum(worst.values()), currencies.pop()


def _summary(best: Cluster, members: Sequence[Member], models: int) -> str:
    kind, name = best.cause
    names = list(dict.fromkeys(_shown(each.model_id) for each in members))
    more = f" and {models - _NAMED} more" if models > _NAMED else ""
    listed = f"{', '.join(names[:_NAMED])}{more}"
    began = to_rfc3339(members[0].started_ms)[:16].replace("T", " ")
    shown = _shown(name)
    check = {
        "model": f"Check model {shown} first",
        "source": f"Check source {shown} first",
        "feature": f"Check feature {shown} first",
        "unknown": "Look for a change that all of them share",
    }[kind]
    if all(each.is_over for each in members):
        return f"{models} models ({listed}) changed from {began} UTC on, and are back to normal."
    return f"{models} models ({listed}) changed from {began} UTC on. {check}."


def _shown(name: str) -> str:
    text = printable(name)
    return text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 1]}…"
