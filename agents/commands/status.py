"""The alerts that are firing now: a line each for people, JSON lines in a pipe.

Rule 1. What a record says of the time before it was published is left out of the line, which says
        how long the alert lasts by now.
Rule 2. Where no tick has come for ``STALE_S`` nobody updates the records: that is said, with an
        exit code of its own.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import orjson
from aiokafka import ConsumerRecord
from pydantic import ValidationError
from rich.text import Text

from agents.errors import OperatorError
from agents.kafka.read import read_whole
from agents.settings import Settings
from agents.text import printable
from schemas.alert import Severity
from schemas.event import EventRecordError, decode_events
from schemas.status import Status
from schemas.wire import to_epoch_ms
from streams.clock import duration_text

STALE_S = 60.0
"""Seconds: a worker appends six ticks in them."""
LATEST = 3
"""Latest records of a partition that are read: a stranger's may be among them."""
LEAST_WIDTH = 80
"""Columns of the narrowest terminal that a line is made for."""
_BESIDE = 26
"""Columns of severity, age and fingerprint, each with the space after it, and of one space more."""
STALE_EXIT = os.EX_TEMPFAIL
"""The exit code where nobody updates the records: what they say may be over."""
_SINCE = re.compile(r", since [0-9: -]+ UTC, [0-9,]+ (labelled row|prediction)s? ago")
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
    if model_id is not None and not wanted:
        await _refuse_unknown(settings, model_id)
    return sorted(wanted, key=_order)


async def _refuse_unknown(settings: Settings, model_id: str) -> None:
    """Refuse a model that no worker has saved: an empty answer would look like good news.

    Raises
    ------
    OperatorError
        Naming the models that are most like it.
    """
    known: set[str] = set()
    async for record in read_whole(settings, settings.topics.name("state")):
        try:
            _, name, *_ = orjson.loads(record.key or b"")
        except (ValueError, TypeError):
            continue
        if record.value is not None and isinstance(name, str):
            known.add(name)
    if model_id in known:
        return
    near = difflib.get_close_matches(model_id, known, n=3)
    hint = (
        f"did you mean {', '.join(map(printable, near))}?"
        if near
        else (
            "a model is known once a worker has saved it, some seconds after its first prediction"
        )
    )
    msg = f"--model {printable(model_id)}: no such model is known; {hint}"
    raise OperatorError(msg)


async def last_tick_ms(settings: Settings) -> int | None:
    """Return the instant of the latest tick of the partition that waits longest for one.

    A batch counts as a tick of its append. None where there is neither.

    Raises
    ------
    OperatorError, BrokerUnreachableError
        When the topic or the broker is not there.
    """
    latest: dict[int, int] = {}
    async for record in read_whole(settings, settings.topics.name("events"), latest=LATEST):
        instant_ms = instant_of(record.value)
        if instant_ms is not None:
            latest[record.partition] = max(latest.get(record.partition, 0), instant_ms)
    return min(latest.values(), default=None)


def instant_of(value: bytes | None) -> int | None:
    """Return the instant of a record of ``events``; None of a stranger's."""
    try:
        batch = decode_events(value)
    except EventRecordError:
        return None
    return batch.appended_at if batch.tick_ms is None else batch.tick_ms


def staleness(tick_ms: int | None, now_ms: int) -> str | None:
    """Return a sentence where nobody updates the records; None where somebody does."""
    if tick_ms is None:
        return "No worker has appended a tick yet: start one."
    age_ms = now_ms - tick_ms
    if age_ms < 1_000 * STALE_S:
        return None
    return (
        f"Nobody updates this: the last tick is {duration_text(age_ms)} old. What is shown may be "
        "over, and nothing new is detected. Start a worker, or read its log."
    )


def _order(status: Status) -> tuple[bool, int, str, str]:
    alert = status.alert
    # Those under another come last: that one stands for them.
    return alert.under is not None, _RANK.index(alert.severity), alert.model_id, status.since


def as_lines(firing: Sequence[Status], now_ms: int, width: int) -> Iterator[Text]:
    """Yield a line for each alert, as of an instant: severity, age, fingerprint, model, sentence.

    Parameters
    ----------
    firing, now_ms
        The alerts, and the instant.
    width
        Columns of the terminal; below `LEAST_WIDTH` lines are as for that.
    """
    width = max(width, LEAST_WIDTH)
    longest = max((len(printable(each.alert.model_id)) for each in firing), default=0)
    model = min(longest, (width - _BESIDE) // 3)
    for status in firing:
        alert = status.alert
        age = duration_text(now_ms - to_epoch_ms(alert.started_at))
        line = Text.assemble(
            (f"{alert.severity:<8} ", _STYLE[alert.severity]),
            f"{' '.join(age.split()[:2]):>6} {status.fingerprint[:8]} ",
            _cut(printable(alert.model_id), model),
            f" {_notes(status)}",
            printable(_SINCE.sub("", alert.summary.removeprefix(f"Model {alert.model_id}: "))),
            no_wrap=True,
        )
        line.truncate(width, overflow="ellipsis")
        yield line


def _cut(text: str, width: int) -> str:
    return f"{text:<{width}}" if len(text) <= width else f"{text[: width - 1]}…"


def _notes(status: Status) -> str:
    notes = []
    if status.acknowledged is not None:
        notes.append(f"by {printable(status.acknowledged.by)}")
    if status.muted_until is not None:
        at = datetime.fromisoformat(status.muted_until).astimezone(UTC)
        notes.append(f"muted until {at:%m-%d %H:%M}")
    if status.alert.under is not None:
        notes.append(f"under {status.alert.under[:8]}")
    return f"[{', '.join(notes)}] " if notes else ""
