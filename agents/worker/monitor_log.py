"""The log lines of the monitor agent: alerts, failures of models, and counts."""

import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

import orjson
from msgspec.structs import asdict

from agents.telemetry import get_logger
from schemas.topics import TopicRole
from streams.join.events import JoinCounts
from streams.monitor import ModelFailedError, Monitor

_SEVERITY_LEVEL = {"info": "info", "warning": "warning", "critical": "error"}
_LOGGED_FIELDS = ("alert_id", "fingerprint", "status", "kind", "series", "aspect")
_FRAMES_SHOWN = 3
"""Lines of code that a log line about a failure names, the innermost first."""
_log = get_logger(__name__)


def log_emission(role: TopicRole, value: bytes) -> None:
    """Log an alert, with its link to the page, or a feedback command, as it is published."""
    event = orjson.loads(value)
    if role == "alerts":
        is_news = event["status"] == "firing"
        level = _SEVERITY_LEVEL[event["severity"]] if is_news else "info"
        fields = {name: event[name] for name in _LOGGED_FIELDS}
        if event["url"]:
            fields["page"] = event["url"]
        getattr(_log, level)(f"Alert: {event['summary']}", **fields)
    else:
        _log.warning(f"Feedback: {event['summary']}", feedback_id=event["feedback_id"])


def log_failure(error: ModelFailedError) -> None:
    """Log where a model failed: the type and the lines, not the message, which may hold values."""
    cause = error.__cause__
    frames = traceback.extract_tb(cause.__traceback__ if cause else None)[-_FRAMES_SHOWN:]
    where = " < ".join(f"{Path(each.filename).name}:{each.lineno}" for each in reversed(frames))
    _log.critical(
        f"Model {error.model_id} failed at an event ({type(cause).__name__} at {where}): it is "
        "quarantined as of that event, the others go on. See service-quarantine in docs/runbook.md",
        model_id=error.model_id,
        partition=error.partition,
    )


def total(monitors: Iterable[Monitor]) -> JoinCounts:
    """Return the counts of the joins of all models."""
    counts = JoinCounts()
    for monitor in monitors:
        monitor.known.add_counts(counts)
    return counts


def waiting(monitors: Iterable[Monitor]) -> int:
    """Return the predictions that wait for their outcomes."""
    models = [model for monitor in monitors for model in monitor.models.values()]
    return sum(model.join.waiting_predictions for model in models)


class CountsLog:
    """Logs what has been counted since the last line."""

    def __init__(self) -> None:
        self._logged = JoinCounts()

    def begin(self, monitors: Sequence[Monitor]) -> JoinCounts:
        """Count from here on, with the monitors of an assignment; return their counts."""
        self._logged = total(monitors)
        return self._logged

    def log(self, monitors: Sequence[Monitor]) -> JoinCounts:
        """Log the news, if there are any; return the counts so far."""
        before, now = asdict(self._logged), total(monitors)
        self._logged = now
        news = {name: count - before[name] for name, count in asdict(now).items()}
        if not any(count > 0 for count in news.values()):
            return now
        models = [model for monitor in monitors for model in monitor.models.values()]
        _log.info(
            f"Joined {news['pairs']:,} pairs; {news['expired_predictions']:,} predictions "
            f"expired without an outcome, {news['orphan_outcomes']:,} outcomes without a "
            f"prediction, {news['conflicting_outcomes']:,} conflicting and "
            f"{news['duplicate_outcomes']:,} duplicate outcomes",
            waiting_predictions=waiting(monitors),
            duplicate_predictions=news["duplicate_predictions"],
            repeated_events=sum(each.counts.repeated_events for each in models),
            refused_specs=sum(each.counts.refused_specs for each in models),
            refused_controls=sum(each.counts.refused_controls for each in models),
            unwatched_values=sum(each.series.state.unwatched_values for each in models),
            incomparable_outcomes=sum(each.series.state.incomparable_outcomes for each in models),
        )
        pushed_out = news["pushed_out_predictions"], news["pushed_out_outcomes"]
        if any(pushed_out):
            _log.warning(
                f"Dropped {pushed_out[0]:,} predictions and {pushed_out[1]:,} outcomes that were "
                "still waiting to be joined: a model has more waiting than its max_waiting"
            )
        return now
