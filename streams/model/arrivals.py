"""Records of ``events`` as the events of their models."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import count, repeat
from operator import itemgetter
from typing import Any, Protocol

import orjson

from schemas.event import EventRecordError, decode_events, encode_nothing
from schemas.wide_events import load_events
from streams.emission import Arrival

NOTHING = encode_nothing()
Arrivals = defaultdict[str, list[Arrival]]
"""The events of each model, in the order of the log."""
_model_of = itemgetter("model_id")


class LogRecord(Protocol):
    """A record of ``events`` as a Kafka client returns it."""

    offset: int
    value: Any


def filled(records: Iterable[LogRecord], start: int) -> Iterator[tuple[int, bytes | None]]:
    """Yield records of a stretch of the log as (offset, value), without holes from ``start`` on.

    Transactions of strangers leave holes: their markers, and what they have aborted. A record that
    says nothing stands for each.
    """
    for record in records:
        for hole in range(start, record.offset):
            yield hole, NOTHING
        yield record.offset, record.value
        start = record.offset + 1


def decode_into(arrivals: Arrivals, offset: int, value: bytes | None) -> int | None:
    """Add the events of a record to those of their models; return its instant, if it ticks.

    Raises
    ------
    EventRecordError
        When ingest has not written the record.
    """
    batch = decode_events(value)
    events, model_ids = _events(batch.payloads)
    names = [source.name for source in batch.sources]
    kinds = [source.kind for source in batch.sources]
    columns = map(
        Arrival,
        repeat(offset),
        count(),
        map(names.__getitem__, batch.source_index),
        batch.positions(),
        batch.logged_at,
        map(kinds.__getitem__, batch.source_index),
        batch.payloads,
        events,
        # Where no clock is known, the log's instant is that of the append.
        batch.logged_at if batch.appended_at is None else repeat(batch.appended_at),
    )
    for model_id, arrival in zip(model_ids, columns, strict=True):
        arrivals[model_id].append(arrival)
    return batch.tick_ms


def _events(payloads: list[bytes]) -> tuple[list[dict[str, Any]], list[str]]:
    """Decode the payloads of a record.

    Returns
    -------
    events, model_ids
        The events, and the model of each.

    Raises
    ------
    EventRecordError
        When they are not one event of a model each.
    """
    try:
        events: list[dict[str, Any]] = load_events(payloads)
        model_ids: list[str] = list(map(_model_of, events))
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        msg = f"the {len(payloads)} payloads are not one event of a model each"
        raise EventRecordError(msg) from error
    if len(events) != len(payloads) or not set(map(type, model_ids)) <= {str}:
        msg = f"{len(payloads)} payloads of events hold {len(events)} events"
        raise EventRecordError(msg)
    return events, model_ids


def begins_no_model(arrival: Arrival) -> bool:
    """Tell whether an event is no reason to know its model."""
    if arrival.kind == "topic":
        return not arrival.event["is_high"]
    if arrival.kind == "clock":
        return not arrival.event["is_wrong"]
    return arrival.kind in {"refused", "control", "report"}


def after(base: int, arrivals: list[Arrival]) -> list[Arrival]:
    """Leave out the events up to an offset, which a snapshot covers."""
    if arrivals[0].offset > base:
        return arrivals
    return [arrival for arrival in arrivals if arrival.offset > base]
