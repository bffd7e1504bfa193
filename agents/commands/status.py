"""The alerts that are firing now: a table for people, JSON lines in a pipe."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from rich.markup import escape
from rich.table import Table

from agents.kafka.read import last_values
from agents.settings import Settings
from schemas.alert import Severity
from schemas.status import Status

_RANK: tuple[Severity, ...] = ("critical", "warning", "info")
_STYLE: dict[Severity, str] = {"critical": "bold red", "warning": "yellow", "info": "cyan"}


async def firing(settings: Settings, model_id: str | None) -> list[Status]:
    """Return the firing alerts of one model or of all, the most urgent first.

    Raises
    ------
    OperatorError, BrokerUnreachableError
        When the topic or the broker is not there.
    """
    values = await last_values(settings, settings.topics.name("status"))
    found = [Status.model_validate_json(value) for value in values.values()]
    wanted = [each for each in found if model_id in {None, each.alert.model_id}]
    return sorted(wanted, key=_order)


def _order(status: Status) -> tuple[int, str, str]:
    alert = status.alert
    return _RANK.index(alert.severity), alert.model_id, status.since


def as_table(firing: Iterable[Status]) -> Table:
    """Return the alerts as a table."""
    table = Table()
    for title in ("severity", "since", "model", "summary", "fingerprint", "notes"):
        table.add_column(title, overflow="fold")
    for status in firing:
        alert = status.alert
        style = _STYLE[alert.severity]
        table.add_row(
            f"[{style}]{alert.severity}[/]",
            _when(status.since),
            escape(alert.model_id),
            escape(alert.summary.removeprefix(f"Model {alert.model_id}: ")),
            status.fingerprint,
            escape(_notes(status)),
        )
    return table


def _notes(status: Status) -> str:
    by = [] if status.acknowledged is None else [f"by {status.acknowledged.by}"]
    muted = [] if status.muted_until is None else [f"muted until {_when(status.muted_until)}"]
    return ", ".join(by + muted)


def _when(instant: str) -> str:
    at = datetime.fromisoformat(instant).astimezone(UTC)
    return f"{at:%Y-%m-%d %H:%M}"
