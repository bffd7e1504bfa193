"""The alerts that are firing now: a table for people, JSON lines in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from aiokafka import ConsumerRecord
from pydantic import ValidationError
from rich.markup import escape
from rich.table import Table

from agents.kafka.read import read_whole
from agents.settings import Settings
from agents.text import printable
from schemas.alert import Severity
from schemas.status import Status

_RANK: tuple[Severity, ...] = ("critical", "warning", "info")
_STYLE: dict[Severity, str] = {"critical": "bold red", "warning": "yellow", "info": "cyan"}


async def firing(
    settings: Settings,
    model_id: str | None,
    on_problem: Callable[[str], object] = lambda _sentence: None,
) -> list[Status]:
    """Return the firing alerts of one model or of all, the most urgent first.

    Parameters
    ----------
    settings
        Which cluster.
    model_id
        The model; None for all.
    on_problem
        Is given a sentence about records that are not ours.

    Raises
    ------
    OperatorError, BrokerUnreachableError
        When the topic or the broker is not there.
    """
    topic = settings.topics.name("status")
    found: list[Status] = []
    latest: dict[bytes | None, ConsumerRecord] = {}
    async for record in read_whole(settings, topic):
        latest[record.key] = record
    for record in latest.values():
        if record.value is None:
            continue
        try:
            found.append(Status.model_validate_json(record.value))
        except ValidationError:
            on_problem(
                f"Skipped {topic}-{record.partition} offset {record.offset:,}: it is no status. "
                "Find out what else writes to this topic; a record without a value, under the same "
                "key, deletes it."
            )
    wanted = [each for each in found if model_id in {None, each.alert.model_id}]
    return sorted(wanted, key=_order)


def _order(status: Status) -> tuple[bool, int, str, str]:
    alert = status.alert
    # Those under another come last: that one stands for them.
    return alert.under is not None, _RANK.index(alert.severity), alert.model_id, status.since


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
            _shown(alert.model_id),
            _shown(alert.summary.removeprefix(f"Model {alert.model_id}: ")),
            status.fingerprint,
            _shown(_notes(status)),
        )
    return table


def _shown(text: str) -> str:
    return escape(printable(text))


def _notes(status: Status) -> str:
    by = [] if status.acknowledged is None else [f"by {status.acknowledged.by}"]
    muted = [] if status.muted_until is None else [f"muted until {_when(status.muted_until)}"]
    under = [] if status.alert.under is None else [f"under {status.alert.under}"]
    return ", ".join(by + muted + under)


def _when(instant: str) -> str:
    at = datetime.fromisoformat(instant).astimezone(UTC)
    return f"{at:%Y-%m-%d %H:%M}"
