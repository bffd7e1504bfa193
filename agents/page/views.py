"""What each view of the page shows, as JSON: functions of the store and of an instant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.page.series import MOST_HOURS, features_view, series_view
from agents.page.store import RECENT_DAYS, ModelRecords, PageStore
from schemas.wire import to_epoch_ms
from streams.clock import HOUR_MS

View = dict[str, Any]
SEVERITIES = ("critical", "warning", "info")
"""The most urgent first."""
CALM = len(SEVERITIES)
"""Rank of a model without an open alert."""
PAGE_SIZE = 100
"""Rows of the portfolio in one answer."""
MOST_INCIDENTS = 10
"""Open incidents that the portfolio lists, the newest first."""
LANES = 40
"""Alerts that an alert is shown beside, on one axis of time."""
AROUND = 0.5
"""Time before the onset and after the end of an alert, as a part of its own length, in which other
alerts are shown beside it."""
LEAST_AROUND_MS = 6 * HOUR_MS
"""Milliseconds of the same, at least."""
_DAY_FIELDS = (
    "start", "end", "n", "labelled", "completeness", "errors", "error", "nowcast",
    "precision", "recall", "f1", "auc", "brier", "ece", "ece_by_chance", "reliability", "mae",
    "rmse", "bias", "value", "delay_s",
    "delay_of_errors_s",
)  # fmt: skip
_HOUR_FIELDS = ("start", "end", "n", "labelled", "error")
_SPEC_FIELDS = ("owner", "alert_budget", "task", "positive")
_FAR_FUTURE = "9"
"""Sorts after every instant: those begin with a year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioQuery:
    """The rows that are wanted.

    Parameters
    ----------
    search
        Part of a model's id or of its owner, in any case of letters.
    state
        ``all``, ``open``, ``critical``, ``muted`` or ``calm``.
    sort
        A key of `SORTS`.
    descending
        Whether the order is turned.
    page
        Number of the page, from 0.
    """

    search: str = ""
    state: str = "all"
    sort: str = "urgency"
    descending: bool = False
    page: int = 0


SORTS: Mapping[str, Callable[[View], Any]] = {
    "urgency": lambda row: (row["rank"], row["since"] or _FAR_FUTURE, row["model_id"]),
    "model": lambda row: row["model_id"],
    "error": lambda row: (row["error"] is None, -(row["error"] or 0.0), row["model_id"]),
    "completeness": lambda row: (
        row["completeness"] is None,
        row["completeness"] or 0.0,
        row["model_id"],
    ),
    "money": lambda row: (row["per_day"] is None, -(row["per_day"] or 0.0), row["model_id"]),
    "predictions": lambda row: (row["n"] is None, -(row["n"] or 0), row["model_id"]),
}
_STATES: Mapping[str, Callable[[View], bool]] = {
    "all": lambda _row: True,
    "open": lambda row: row["rank"] < CALM,
    "critical": lambda row: row["rank"] == 0,
    "muted": lambda row: row["muted"] > 0,
    "calm": lambda row: row["rank"] == CALM,
}
STATES = tuple(_STATES)


def portfolio(store: PageStore, query: PortfolioQuery) -> View:
    """Return one page of the models, and counts over all of them."""
    rows = [row_of(model) for model in store.models.values()]
    counts = {state: sum(map(wanted, rows)) for state, wanted in _STATES.items()}
    firing = {
        severity: sum(row["open"].get(severity, 0) for row in rows) for severity in SEVERITIES
    }
    searched = query.search.casefold()
    found = [
        row
        for row in rows
        if _STATES[query.state](row)
        and (not searched or searched in row["model_id"].casefold() or _is_owner(row, searched))
    ]
    found.sort(key=SORTS[query.sort], reverse=query.descending)
    first = query.page * PAGE_SIZE
    return {
        "models": len(rows),
        "found": len(found),
        "page": query.page,
        "page_size": PAGE_SIZE,
        "states": counts,
        "firing": firing,
        "incidents": sorted(store.incidents.values(), key=_opened, reverse=True)[:MOST_INCIDENTS],
        "rows": found[first : first + PAGE_SIZE],
    }


def _opened(incident: View) -> str:
    return str(incident.get("opened_at"))


def _is_owner(row: View, searched: str) -> bool:
    return searched in (row["owner"] or "").casefold()


def row_of(model: ModelRecords) -> View:
    """Return the line of a model in the portfolio."""
    if model.row is None:
        model.row = _row_of(model)
    return model.row


def _row_of(model: ModelRecords) -> View:
    statuses = sorted(model.firing.values(), key=urgency)
    # Those under another alert are counted with it.
    alone = [each for each in statuses if not each["alert"].get("under")]
    days = model.latest("day", RECENT_DAYS)
    last: View = next((day for day in reversed(days) if day.get("n")), {})
    judged: View = next((day for day in reversed(days) if said_error(day) is not None), {})
    open_alerts: dict[str, int] = {}
    for status in alone:
        severity = str(status["alert"].get("severity"))
        open_alerts[severity] = open_alerts.get(severity, 0) + 1
    worst = alone[0]["alert"] if alone else None
    return {
        "model_id": model.model_id,
        "owner": (model.spec or {}).get("owner") or (worst or {}).get("owner"),
        "version": (worst or {}).get("model_version"),
        "rank": CALM if worst is None else _rank(worst),
        "open": open_alerts,
        "muted": sum(bool(each.get("muted_until")) for each in alone),
        "acknowledged": sum(bool(each.get("acknowledged")) for each in alone),
        "since": min((each["alert"]["started_at"] for each in alone), default=None),
        "worst": None if worst is None else _brief(worst),
        **_money_of(alone),
        **_figures_of(last),
        "error": said_error(judged),
        "error_day": judged.get("start"),
        "is_counted": not judged.get("nowcast"),
        "missed_by": _missed_by(days),
        "line": [said_error(day) for day in days],
    }


def _missed_by(days: Sequence[Mapping[str, Any]]) -> float | None:
    """Return by how much the latest estimate without labels missed the error that came."""
    estimates = (day.get("without_labels") or {} for day in reversed(days))
    found = (each.get("missed_by") for each in estimates)
    return next((each for each in found if isinstance(each, int | float)), None)


def urgency(status: Mapping[str, Any]) -> tuple[bool, int, str]:
    """Return the place of a status among others: silent ones last, then by severity and onset."""
    alert = status["alert"]
    is_quiet = bool(status.get("muted_until") or alert.get("under"))
    return is_quiet, _rank(alert), str(alert.get("started_at"))


def _rank(alert: Mapping[str, Any]) -> int:
    severity = alert.get("severity")
    return SEVERITIES.index(severity) if severity in SEVERITIES else CALM - 1


def _brief(alert: Mapping[str, Any]) -> View:
    names = ("fingerprint", "episode", "severity", "series", "aspect", "summary", "started_at")
    return {name: alert.get(name) for name in names} | {
        "moved": len(alert.get("moved_together") or ())
    }


def _money_of(statuses: Iterable[Mapping[str, Any]]) -> View:
    """Return the money lost a day by the costliest alert: alerts of a model count the same rows."""
    found = [
        (value["per_day"], value.get("currency"))
        for status in statuses
        if isinstance(value := status["alert"].get("value_at_risk"), dict)
        and isinstance(value.get("per_day"), int | float)
    ]
    per_day, currency = max(found, default=(None, None))
    return {"per_day": per_day, "currency": currency}


def _figures_of(day: Mapping[str, Any]) -> View:
    n, labelled, completeness = day.get("n"), day.get("labelled"), day.get("completeness")
    share = completeness.get("share") if isinstance(completeness, dict) else None
    if share is None and n:
        share = (labelled or 0) / n
    return {"day": day.get("start"), "n": n, "labelled": labelled, "completeness": share}


def said_error(day: Mapping[str, Any]) -> float | None:
    """Return the error to be expected of a cohort, or else the one counted so far."""
    nowcast = day.get("nowcast")
    found = nowcast.get("error") if isinstance(nowcast, dict) else day.get("error")
    return found if isinstance(found, int | float) else None


def model_view(store: PageStore, model_id: str) -> View | None:
    """Return all that is known of a model; None where nothing is."""
    model = store.models.get(model_id)
    if model is None:
        return None
    alerts = model.records("alert") + model.records("update")
    return {
        "row": row_of(model),
        "spec": _spec_of(model),
        "open": [_open(each) for each in sorted(model.firing.values(), key=urgency)],
        "episodes": [_episode(each) for each in _episodes(alerts)],
        **_cohorts(model),
        "features": features_view(model),
        "commands": [model.commands[key] for key in sorted(model.commands)],
        "versions": _versions(model),
    }


def _spec_of(model: ModelRecords) -> View | None:
    if model.spec is None:
        return None
    return {name: model.spec.get(name) for name in _SPEC_FIELDS}


def _cohorts(model: ModelRecords) -> View:
    """Return the cohorts of all versions, by day and by hour, with the fields that are drawn."""
    days = sorted(model.records("day"), key=_start)
    hours = sorted(model.records("hour"), key=_start)[-MOST_HOURS:]
    return {
        "days": [{name: each[name] for name in _DAY_FIELDS if name in each} for each in days],
        "hours": [{name: each[name] for name in _HOUR_FIELDS if name in each} for each in hours],
    }


def _start(record: View) -> str:
    return str(record.get("start"))


def _versions(model: ModelRecords) -> list[View]:
    """Return the first and last cohort of each version, and its predictions."""
    found: dict[str, View] = {}
    for record in model.records("version"):
        name = str(record.get("model_version"))
        version = found.setdefault(name, {"version": name, "start": record.get("start"), "n": 0})
        version["end"] = record.get("end")
        version["n"] += record.get("n") or 0
    return list(found.values())


def _open(status: Mapping[str, Any]) -> View:
    return dict(status["alert"]) | {
        "acknowledged": status.get("acknowledged"),
        "muted_until": status.get("muted_until"),
        "is_open": True,
    }


Transitions = list[View]


def _episodes(alerts: Sequence[View]) -> list[Transitions]:
    """Return the transitions of each episode in order, the episodes by their firing."""
    found: dict[tuple[Any, Any], Transitions] = {}
    for alert in alerts:
        found.setdefault((alert.get("fingerprint"), alert.get("episode")), []).append(alert)
    for transitions in found.values():
        transitions.sort(key=lambda each: each.get("sequence") or 0)
    return sorted(found.values(), key=lambda each: str(each[0].get("fired_at")))


def _episode(transitions: Transitions) -> View:
    last = transitions[-1]
    is_over = last.get("status") == "resolved"
    names = (
        "fingerprint",
        "episode",
        "severity",
        "kind",
        "series",
        "aspect",
        "category",
        "summary",
        "started_at",
        "fired_at",
        "effect",
        "effect_unit",
        "under",
        "resolved_because",
    )
    return {name: last.get(name) for name in names} | {
        "ended_at": last.get("detected_at") if is_over else None
    }


def alert_view(store: PageStore, beginning: str, episode: int | None = None) -> View | None:
    """Return an alert with all that stands beside it; None where it is not known.

    Parameters
    ----------
    store
        The records.
    beginning
        The fingerprint, or enough of its beginning.
    episode
        The episode; None for the latest.
    """
    found = store.fingerprints(beginning)
    model = store.model_of(found[0]) if len(found) == 1 else None
    if model is None:
        return None
    fingerprint = found[0]
    episodes = _episodes(model.records("alert") + model.records("update"))
    own = [each for each in episodes if each[0].get("fingerprint") == fingerprint]
    status = model.firing.get(fingerprint)
    chosen = next((each for each in own if each[0].get("episode") == episode), None)
    if chosen is None and episode is None:
        chosen = own[-1] if own else []
    if chosen is None or (not chosen and status is None):
        return None
    alert = chosen[-1] if chosen else {}
    if status is not None and episode in {None, status["alert"].get("episode")}:
        alert = _open(status)
    shown = [_episode(each) for each in episodes]
    return {
        "alert": alert,
        "is_open": alert.get("status") != "resolved",
        "transitions": [_transition(each) for each in chosen],
        "earlier": [
            each
            for each in shown
            if each["fingerprint"] == fingerprint and each["episode"] != alert.get("episode")
        ],
        "lanes": _beside(shown, alert),
        "incident": _incident_of(store, fingerprint),
        **_cohorts(model),
        "series": series_view(model, alert["series"], alert["started_at"]),
        "row": row_of(model),
    }


def _incident_of(store: PageStore, fingerprint: str) -> View | None:
    """Return the open incident that an alert is part of; None where it stands alone."""
    for incident in store.incidents.values():
        if any(each.get("fingerprint") == fingerprint for each in incident["members"]):
            return incident
    return None


def _transition(alert: Mapping[str, Any]) -> View:
    names = ("status", "detected_at", "severity", "value", "effect", "effect_unit", "summary")
    return {name: alert.get(name) for name in (*names, "rows_since_onset", "resolved_because")}


def _beside(episodes: Sequence[View], alert: Mapping[str, Any]) -> list[View]:
    """Return the alerts of the model whose time touches that of this one, the nearest first."""
    start, end = _span(alert)
    around = max(LEAST_AROUND_MS, AROUND * (end - start))
    touching = []
    for each in episodes:
        first, last = _span(each)
        if first <= end + around and last >= start - around:
            touching.append((abs(first - start), each))
    touching.sort(key=lambda pair: pair[0])
    return [each for _, each in touching[:LANES]]


def _span(alert: Mapping[str, Any]) -> tuple[int, int]:
    """Return onset and end in epoch milliseconds; of an open one the latest transition."""
    start = to_epoch_ms(str(alert["started_at"]))
    end = alert.get("ended_at") or alert.get("detected_at") or alert.get("fired_at")
    return start, max(start, to_epoch_ms(str(end)))
