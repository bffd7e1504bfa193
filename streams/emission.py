"""Records to publish, and the events that call for them."""

from operator import attrgetter
from typing import Any, NamedTuple

from msgspec import Struct

from schemas.event import EventKind
from schemas.status import Status
from schemas.topics import TopicRole


class Arrival(Struct, frozen=True, gc=False):
    """One event of the log, decoded.

    Parameters
    ----------
    offset, place
        Its record in ``events``, and its place there.
    source, position
        Where ingest found it: see `schemas.event.position`.
    logged_at
        The instant the log gives it, in epoch milliseconds.
    kind, payload, event
        Its kind, and the event as bytes and decoded.
    appended_at
        When ingest appended it, by the clock that makes the ticks.
    """

    offset: int
    place: int
    source: str
    position: int
    logged_at: int
    kind: EventKind
    payload: bytes
    event: dict[str, Any]
    appended_at: int


class Place(NamedTuple):
    """Where in ``events`` something stands: the offset of its record, its place there."""

    offset: int
    place: int


class EventRow(Struct, frozen=True, gc=False):
    """An event as an alert at it must describe it, and the values that it gives to series.

    Parameters
    ----------
    offset, place
        Its record in ``events``, and its place there.
    now_ms, at_ms
        The model's log time at it, and its own instant.
    predictions_seen, labelled_seen, version
        The model's counts and version at it.
    values
        Features, score, answer, segment and attributions of a prediction; error, outcome and
        instant of the answer of a pair.
    is_disputed
        Whether most of the latest outcomes cannot equal their answers: they are nothing to learn
        from.
    """

    offset: int
    place: int
    now_ms: int
    at_ms: int
    predictions_seen: int
    labelled_seen: int
    version: str | None
    values: tuple[Any, ...] = ()
    is_disputed: bool = False


place_of_row = attrgetter("offset", "place")
"""Gives the place of an event in the log, by which events are in order."""


class Emission(Struct, frozen=True, gc=False, order=True):
    """One record to publish: its topic, model and value, and the log time that it belongs to.

    ``place`` is that of the event that called for it: the offset of its record, its place there.
    ``key`` is the record's key where that is not the model; an empty value deletes it from a
    compacted topic.
    """

    place: tuple[int, int]
    role: TopicRole
    model_id: str
    value: bytes
    now_ms: int
    key: str | None = None


place_of = attrgetter("place")
"""Gives the place of an emission: emissions are published in the order of the log."""


def status_emission(
    place: tuple[int, int], model_id: str, fingerprint: str, status: Status | None, now_ms: int
) -> Emission:
    """Return the record of `status` for an alert; None deletes it."""
    value = b"" if status is None else status.model_dump_json().encode()
    return Emission(place, "status", model_id, value, now_ms, fingerprint)
