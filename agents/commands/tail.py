"""Follow a topic: readable lines on a terminal, the records themselves in a pipe."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from aiokafka import ConsumerRecord, TopicPartition
from rich.text import Text

from agents.errors import OperatorError
from agents.kafka.read import Cursor, LogReader, partitions_of
from agents.settings import Settings
from agents.text import printable
from schemas.event import EventRecordError, decode_events
from schemas.topics import TopicRole

_SHOWN_CHARACTERS = 300
"""Characters that are shown of an entry that is not one of our events."""
_STYLE_OF_SEVERITY = {"critical": "bold red", "warning": "yellow", "info": "cyan"}


class OffsetRange(NamedTuple):
    """Records of one partition, both ends included: the evidence of an alert."""

    partition: int
    first: int
    last: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TailOptions:
    """The part of a topic that is wanted.

    Parameters
    ----------
    from_beginning
        Whether to begin with the oldest record instead of the next one.
    follows
        Whether to wait for more records at the end.
    limit
        The number of lines to stop after; None for no limit.
    offsets
        Only these records; None for all. The command stops after them.
    """

    from_beginning: bool
    follows: bool = True
    limit: int | None = None
    offsets: OffsetRange | None = None


async def tail(
    settings: Settings, role: TopicRole, options: TailOptions, write: Callable[[bytes], None]
) -> None:
    """Hand each entry of a topic to ``write``, in the order of arrival.

    A record of ``events`` has many entries, a record of another topic is one entry.

    Raises
    ------
    OperatorError, BrokerUnreachableError
        When the topic or the broker is not there.
    """
    partitions = await partitions_of(settings, settings.topics.name(role))
    written = 0
    if options.offsets is not None:
        async for record in _of_range(settings, partitions, options.offsets):
            for entry in entries(role, record.value):
                write(entry)
        return
    async with LogReader(settings).open(partitions) as cursor:
        async for record in _records(cursor, options):
            for entry in entries(role, record.value):
                if options.limit is not None and written >= options.limit:
                    return
                write(entry)
                written += 1
            if written == options.limit:
                return


async def _of_range(
    settings: Settings, partitions: Sequence[TopicPartition], offsets: OffsetRange
) -> AsyncIterator[ConsumerRecord]:
    """Yield the records of a range that the partition still has.

    Raises
    ------
    OperatorError
        When it has none of them.
    """
    own = [each for each in partitions if each.partition == offsets.partition]
    if not own:
        msg = f"--range: {partitions[0].topic} has no partition {offsets.partition}"
        raise OperatorError(msg)
    async with LogReader(settings).open(own) as cursor:
        end = (await cursor.seek_to_ends())[own[0]]
        first = max(offsets.first, (await cursor.beginnings())[own[0]])
        last = min(offsets.last, end - 1)
        if first > last:
            msg = f"--range: retention has deleted these records of {own[0].topic}, or none came"
            raise OperatorError(msg)
        cursor.seek({own[0]: first})
        async for records in cursor.read_to_ends({own[0]: last + 1}):
            for record in records:
                if record.offset <= last:
                    yield record


def entries(role: TopicRole, value: bytes | None) -> Sequence[bytes]:
    """Return the entries of one record, each without a line break in it."""
    if value is None:
        return ()
    if role == "events":
        try:
            return decode_events(value).payloads
        except EventRecordError:  # a stranger's record: it is shown as it is
            return _one_line(value)
    return _one_line(value)


def _one_line(value: bytes) -> Sequence[bytes]:
    return (value.replace(b"\r", b" ").replace(b"\n", b" "),)


async def _records(cursor: Cursor, options: TailOptions) -> AsyncIterator[ConsumerRecord]:
    ends = await cursor.seek_to_ends()
    if options.from_beginning:
        await cursor.seek_to_beginnings()
    if options.follows:
        while True:
            for record in _by_time(await cursor.fetch()):
                yield record
    async for records in cursor.read_to_ends(ends):
        for record in _by_time(records):
            if record.offset < ends[TopicPartition(record.topic, record.partition)]:
                yield record


def _by_time(records: Sequence[ConsumerRecord]) -> list[ConsumerRecord]:
    """Return the records of a fetch by timestamp: partitions have no order between them."""
    return sorted(records, key=lambda each: (each.timestamp, each.partition, each.offset))


def describe(role: TopicRole, entry: bytes) -> Text:
    """Return an entry as one readable line."""
    try:
        parts = _line(role, orjson.loads(entry))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        parts = [(entry.decode("utf-8", "replace")[:_SHOWN_CHARACTERS], "")]
    return Text.assemble(*((printable(text), style) for text, style in parts))


def _line(role: TopicRole, event: dict[str, Any]) -> list[tuple[str, str]]:
    match role:
        case "alerts":
            return _alert_line(event)
        case "status":
            return _alert_line(event["alert"])
        case "feedback" | "commands":
            said = event.get("feedback", event)
            return [
                (said["issued_at"], "dim"),
                (f"  {said['command']}  ", "bold"),
                (said["summary"], ""),
            ]
        case "labelled":
            return _labelled_line(event)
        case "dead_letters":
            where = f"{event['topic']}-{event['partition']} offset {event['offset']}"
            return [(where, "dim"), (f"  {event['reason']}  ", "red"), (event["detail"], "")]
        case _:
            return _input_line(event)


def _alert_line(event: dict[str, Any]) -> list[tuple[str, str]]:
    style = _STYLE_OF_SEVERITY.get(event["severity"], "")
    return [
        (f"{event['detected_at'][:16].replace('T', ' ')}  {event['fingerprint'][:8]}", "dim"),
        (f"  {event['severity']:<8}  ", "green" if event["status"] == "resolved" else style),
        (f"{event['status']:<8}  ", "bold" if event["status"] == "firing" else "dim"),
        (event["summary"], ""),
    ]


def _labelled_line(event: dict[str, Any]) -> list[tuple[str, str]]:
    if event["error"] is not None:
        verdict = (f"off by {event['error']:g}  ", "yellow")
    else:
        verdict = ("wrong  ", "red") if event["is_error"] else ("right  ", "green")
    answer, truth = event["prediction"]["prediction"], event["outcome"]["outcome"]
    return [
        (f"{event['model_id']} row {event['row']}  ", "dim"),
        verdict,
        (f"predicted {answer}, was {truth}, known after {event['delay_s']:,.0f} s", ""),
    ]


def _input_line(event: dict[str, Any]) -> list[tuple[str, str]]:
    kind, at = ("outcome", "observed_at") if "outcome" in event else ("prediction", "predicted_at")
    return [
        (f"{event[at]}  ", "dim"),
        (f"{kind:<10}  {event['model_id']}  {event['prediction_id']}  {event[kind]}", ""),
    ]
