"""Follow a topic: lines for people on a terminal, the records themselves in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from kafka import KafkaConsumer, TopicPartition
from rich.text import Text

from agents.kafka.read import POLL_MS, connected_consumer, ends_of, partitions_of, refuse_missing
from agents.settings import Settings
from agents.telemetry import printable
from schemas.event import decode_events
from schemas.topics import TopicRole

_SHOWN_CHARACTERS = 300
_STYLE_OF_SEVERITY = {"critical": "bold red", "warning": "yellow", "info": "cyan"}


@dataclass(frozen=True, kw_only=True, slots=True)
class TailOptions:
    """What part of a topic is wanted.

    Parameters
    ----------
    from_beginning
        Whether to begin with the oldest record instead of the next one.
    follows
        Whether to wait for more at the end.
    limit
        Stop after so many lines; None for no limit.
    """

    from_beginning: bool
    follows: bool = True
    limit: int | None = None


def tail(
    settings: Settings, role: TopicRole, options: TailOptions, write: Callable[[bytes], None]
) -> None:
    """Hand each entry of a topic to ``write``, in the order they arrive.

    A record of ``events`` has many entries, one of the other topics is one.

    Raises
    ------
    OperatorError, BrokerUnreachableError
        When the topic or the broker is not there.
    """
    topic = settings.topics.name(role)
    refuse_missing(settings, (topic,))
    written = 0
    with connected_consumer(settings) as consumer:
        for record in _records(consumer, topic, options):
            for entry in entries(role, record.value):
                if options.limit is not None and written >= options.limit:
                    return
                write(entry)
                written += 1
            if written == options.limit:
                return


def entries(role: TopicRole, value: bytes | None) -> Sequence[bytes]:
    """Return the entries of one record, each without a line break in it."""
    if value is None:
        return ()
    if role == "events":
        return decode_events(value).payloads
    return (value.replace(b"\r", b" ").replace(b"\n", b" "),)


def _records(consumer: KafkaConsumer, topic: str, options: TailOptions) -> Iterator[Any]:
    partitions = partitions_of(consumer, topic)
    consumer.assign(partitions)
    ends = ends_of(consumer, partitions)
    for partition, end in ends.items():
        consumer.seek(partition, end)
    if options.from_beginning:
        consumer.seek_to_beginning(*partitions)
    while options.follows or any(
        consumer.position(partition) < end for partition, end in ends.items()
    ):
        fetched = [record for batch in consumer.poll(POLL_MS).values() for record in batch]
        # Partitions have no order between them; within a fetch, their timestamps are the best one.
        fetched.sort(key=lambda record: (record.timestamp, record.partition, record.offset))
        for record in fetched:
            is_past = record.offset >= ends[TopicPartition(topic, record.partition)]
            if options.follows or not is_past:
                yield record


def describe(role: TopicRole, entry: bytes) -> Text:
    """Return an entry as one line for people."""
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
        case "feedback":
            return [
                (event["issued_at"], "dim"),
                (f"  {event['command']}  ", "bold"),
                (event["summary"], ""),
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
