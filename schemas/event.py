"""A record of ``events``: a micro-batch of validated inputs, each with its source position.

The bytes are lines of JSON: a header, then one line a payload. The header holds one list entry a
payload, so that a reader skips payloads that it has seen without decoding them, and a payload's own
bytes are copied.

A tick is a record without payloads, whose header holds an instant: time has passed up to it. A
reader that does not know ticks finds an empty record.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import orjson
from msgspec import Struct

from schemas.instants import LAST_INSTANT_MS

EventKind = Literal[
    "prediction",
    "outcome",
    "spec",
    "control",
    "report",
    "refused",
    "half",
    "inputs",
    "topic",
    "clock",
]
"""Kind of a payload. A half is a prediction whose inputs come in a record of their own. A spec is
``{"model_id": .., "spec": {..}}``; one of null removes the model. A refused input that names its
model is ``{"model_id": .., "refused": "prediction", "reason": ..}``. The share of refused records
of a topic is ``{"model_id": .., "refused": 900, "of": 1000, "is_high": true}``, and that the clock
of a worker is wrong ``{"model_id": .., "is_wrong": true}``.
"""

MAX_ITEMS = 65_536
"""Events of one source record at most: records of 1 MiB hold fewer."""
_KINDS = frozenset(get_args(EventKind))
_TYPE = "tidegauge.events.v1"
_COLUMNS = ("source_index", "source_offset", "logged_at")
_ITEMS = "source_item"
_INSTANTS = ("appended_at", "tick_ms")
_SHOWN_CHARACTERS = 80
"""Characters of a stranger's text in a message."""


class Source(Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """One partition of an input topic. Its hash is kept: it is looked up for every event.

    Parameters
    ----------
    kind
        Kind of its events.
    topic, partition
        The partition.
    incarnation
        Distinguishes the topic from a deleted one of the same name, whose offsets began at 0 too.
    """

    kind: EventKind
    topic: str
    partition: int
    incarnation: str = ""

    @property
    def name(self) -> str:
        """The source's name, ``topic/partition`` or ``topic@incarnation/partition``."""
        topic = f"{self.topic}@{self.incarnation}" if self.incarnation else self.topic
        return f"{topic}/{self.partition}"


@dataclass(frozen=True, slots=True)
class EventBatch:
    """The payloads of one record, in log order.

    Parameters
    ----------
    sources
        The source partitions the payloads come from.
    source_index
        For each payload, its source's place in ``sources``.
    source_offset
        For each payload, its offset in its source partition.
    source_item
        For each payload, its number among the events of its source record, from 0; None where each
        is the only one.
    logged_at
        For each payload, the instant the log gives it, in epoch milliseconds: the source record's
        timestamp, never later than the clock of the ingest worker that appended it.
    payloads
        The validated events as JSON.
    appended_at
        Instant of the append by the clock of the ingest worker, in epoch milliseconds. None in a
        recorded log, which has no clock but its events' instants.
    tick_ms
        Makes the record a tick. Every input that lay in the input topics at this instant, in epoch
        milliseconds, is in ``events`` before this record.
    """

    sources: tuple[Source, ...]
    source_index: list[int]
    source_offset: list[int]
    logged_at: list[int]
    payloads: list[bytes]
    appended_at: int | None = None
    tick_ms: int | None = None
    source_item: list[int] | None = None

    def positions(self) -> list[int]:
        """Return, for each payload, its offset and its number there as one number."""
        if self.source_item is None:
            return [offset * MAX_ITEMS for offset in self.source_offset]
        return list(map(position, self.source_offset, self.source_item))


def position(offset: int, item: int) -> int:
    """Return the place of an event in its source partition: events have the order of these.

    Examples
    --------
    >>> position(7, 65_535) + 1 == position(8, 0)
    True
    """
    return offset * MAX_ITEMS + item


class EventRecordError(Exception):
    """A record of ``events`` that ingest cannot have written."""


def encode_events(batch: EventBatch) -> bytes:
    """Write a record of ``events``."""
    header: dict[str, object] = {
        "type": _TYPE,
        "sources": [[s.kind, s.topic, s.partition, s.incarnation] for s in batch.sources],
        "source_index": batch.source_index,
        "source_offset": batch.source_offset,
        "logged_at": batch.logged_at,
    }
    if batch.source_item is not None:
        header[_ITEMS] = batch.source_item
    for name in _INSTANTS:
        if (instant := getattr(batch, name)) is not None:
            header[name] = instant
    return b"\n".join([orjson.dumps(header), *batch.payloads])


def encode_nothing() -> bytes:
    """Write a record that says nothing.

    Examples
    --------
    >>> decode_events(encode_nothing()).payloads
    []
    """
    return encode_events(EventBatch((), [], [], [], []))


def encode_tick(tick_ms: int) -> bytes:
    """Write a tick.

    Examples
    --------
    >>> decode_events(encode_tick(1_767_225_600_000)).tick_ms
    1767225600000
    """
    return encode_events(EventBatch((), [], [], [], [], tick_ms=tick_ms))


def decode_events(value: bytes | None) -> EventBatch:
    """Read a record of ``events``.

    Raises
    ------
    EventRecordError
        When the bytes are not such a record.
    """
    if value is None:
        msg = "a record of events has a value"
        raise EventRecordError(msg)
    head, *payloads = value.split(b"\n")
    try:
        header = orjson.loads(head)
        found = header["type"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        msg = f"a record of events starts with a JSON header; these {len(value):,} bytes do not"
        raise EventRecordError(msg) from error
    if found != _TYPE:
        msg = f"expected a record of type {_TYPE}, found {str(found)[:_SHOWN_CHARACTERS]!r}"
        raise EventRecordError(msg)
    try:
        sources = tuple(_source(*s) for s in header["sources"])
        source_index, source_offset, logged_at = (
            _column(header[name], len(payloads)) for name in _COLUMNS
        )
        source_item = _column(header[_ITEMS], len(payloads)) if _ITEMS in header else None
        appended_at, tick_ms = (_instant(header.get(name)) for name in _INSTANTS)
    except (KeyError, TypeError, ValueError) as error:
        msg = f"a header of events does not fit its {len(payloads)} payloads: {error}"
        raise EventRecordError(msg) from error
    if max(logged_at, default=0) > LAST_INSTANT_MS:
        msg = f"a payload has an instant after {LAST_INSTANT_MS}"
        raise EventRecordError(msg)
    if max(source_index, default=-1) >= len(sources):
        msg = f"a payload comes from source {max(source_index)}, there are {len(sources)}"
        raise EventRecordError(msg)
    return EventBatch(
        sources, source_index, source_offset, logged_at, payloads, appended_at, tick_ms, source_item
    )


def _source(kind: EventKind, topic: str, partition: int, incarnation: str) -> Source:
    if kind not in _KINDS:
        msg = f"a source holds one of {', '.join(sorted(_KINDS))}, found {kind!r}"
        raise ValueError(msg)
    if (type(topic), type(partition), type(incarnation)) != (str, int, str):
        msg = "a source is a kind, a topic, a partition and the topic's id"
        raise ValueError(msg)
    return Source(kind, topic, partition, incarnation)


def _column(values: list[int], count: int) -> list[int]:
    """Check a column of the header, without a loop in Python: this runs for every record."""
    if len(values) != count or not set(map(type, values)) <= {int} or min(values, default=0) < 0:
        msg = f"a column holds {count} integers from 0 up"
        raise ValueError(msg)
    return values


def _instant(value: int | None) -> int | None:
    if value is not None and (type(value) is not int or not 0 <= value <= LAST_INSTANT_MS):
        msg = f"an instant is an integer from 0 to {LAST_INSTANT_MS}"
        raise ValueError(msg)
    return value
