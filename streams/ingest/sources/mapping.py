"""Records of a mapped topic as events: decoded, mapped, checked as any other input.

Rule 1. Of the sources of a topic, the first one of each kind whose ``when`` holds takes a record:
        one that holds a prediction and its truth becomes both.
Rule 2. A record that none takes is skipped and counted: it is no mistake. So is one without a
        value: a tombstone.
Rule 3. A record that a source takes becomes events, or dead letters with the field that is wrong.
        Its events are numbered in their order: source, offset and number name an event.
Rule 4. An event without an instant of its own has the record's.
Rule 5. A prediction without features, where another source gives inputs, waits for these in the
        monitor: it is a half.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from msgspec.structs import replace

from schemas.event import MAX_ITEMS, EventKind, Source
from schemas.instants import FIRST_INSTANT_MS
from schemas.topics import MAX_RECORD_BYTES
from streams.ingest.accept import (
    accept_fields,
    is_untimed,
    read_plain_fields,
    with_own_time,
)
from streams.ingest.dead_letter import refuse
from streams.ingest.records import Accepted, Raw, Record, Refused
from streams.ingest.sources.decode import DecodeError, SchemaOf, decode, no_registry
from streams.ingest.sources.expression import (
    MISTAKES,
    Scope,
    evaluate,
    holds,
    mistake_of,
)
from streams.ingest.sources.functions import FunctionError
from streams.ingest.sources.plain import PlainTopic
from streams.ingest.sources.source_map import INSTANT_OF, SourceMap, TopicSources
from streams.ingest.sources.typed_paths import NotPlainError
from streams.ingest.tolerance import IDS, id_text

Item = Accepted | Refused


class Decoded(NamedTuple):
    """A record as expressions see it, but for its topic.

    ``timestamp`` is in epoch milliseconds; None where the record has none.
    """

    value: Any
    headers: dict[str, Any]
    key: str | None
    partition: int
    offset: int
    timestamp: int | None


class MappedEvent(NamedTuple):
    """An event as a map gives it, before it is checked.

    Parameters
    ----------
    kind
        Its kind in the log.
    fields
        Its fields.
    mistake
        The field that cannot be computed, and why; None where all can.
    """

    kind: EventKind
    fields: dict[str, Any]
    mistake: str | None = None


class MappedTopic:
    """The sources of one topic at work.

    Parameters
    ----------
    sources
        The sources.
    halves
        Whether predictions without features wait for these (Rule 5).
    max_payload_bytes
        Size of an event above which it is refused.
    schema_of
        Gives a schema of the registry.

    Attributes
    ----------
    skipped
        Records that no source took.
    """

    def __init__(
        self,
        sources: TopicSources,
        *,
        halves: bool,
        max_payload_bytes: int,
        schema_of: SchemaOf = no_registry,
    ) -> None:
        self.sources = sources
        self.skipped = 0
        self._halves = halves
        self._max_payload_bytes = max_payload_bytes
        self._schema_of = schema_of
        self._partition: Source | None = None
        self._kinds: dict[EventKind, Source] = {}
        self._plain: PlainTopic | None = None
        with suppress(NotPlainError):
            self._plain = PlainTopic(sources, halves=halves)

    def accept_all(self, source: Source, records: Iterable[Record], now_ms: int) -> list[Item]:
        """Read the records that a fetch returned of one partition; see `accept_all` of ingest."""
        items: list[Item] = []
        for record in records:
            of_record = self.accept(source, record, now_ms)
            if is_untimed(record.timestamp):
                of_record = [with_own_time(item, now_ms) for item in of_record]
            items += of_record
        return items

    def accept(self, source: Source, record: Record, now_ms: int | None) -> list[Item]:
        """Read one record: its events and its dead letters, in their order; empty: skipped.

        Parameters
        ----------
        source
            Its partition.
        record
            The record.
        now_ms
            The clock, in epoch milliseconds; None where there is none, as in a recorded file.
        """
        at_ms = record.timestamp if record.timestamp >= FIRST_INSTANT_MS else None
        logged_at = at_ms if now_ms is None else now_ms if at_ms is None else min(at_ms, now_ms)
        if self._plain is not None and record.value is not None:
            items = self._accept_plain(source, record, at_ms, logged_at)
            if items is not None:
                return items
        raw = Raw(source, record.offset, logged_at, record.value, record.key)
        if record.value is None:
            self.skipped += 1
            return []
        try:
            found = self.decoded(record)
        except DecodeError as error:
            return [refuse(raw, error.reason, str(error))]
        return self.accept_value(raw, found)

    def _accept_plain(
        self, source: Source, record: Record, at_ms: int | None, logged_at: int | None
    ) -> list[Item] | None:
        """Read a record in one pass; None where that is not certain."""
        if self._plain is None or len(record.value) > MAX_RECORD_BYTES:
            return None
        events = self._plain.read(record.value, at_ms)
        if events is None:
            return None
        items: list[Item] = []
        for place, (kind, model_id, event_ms, payload) in enumerate(events):
            if len(payload) > self._max_payload_bytes:
                return None
            of_kind = self._source_of(source, kind)
            of_log = event_ms if logged_at is None else logged_at
            items.append(
                Accepted(of_kind, record.offset, of_log, model_id, event_ms, payload, place)
            )
        self.skipped += not items
        return items

    def accept_value(self, raw: Raw, decoded: Decoded) -> list[Item]:
        """Read one record that is decoded.

        Parameters
        ----------
        raw
            The record as it is, for its dead letter.
        decoded
            The record.
        """
        events = self.events(decoded)
        self.skipped += not events
        if len(events) > MAX_ITEMS:
            detail = f"{len(events):,} events in one record; at most {MAX_ITEMS:,} are taken"
            return [refuse(raw, "too_large", detail)]
        return [self._checked(raw, event, place) for place, event in enumerate(events)]

    def decoded(self, record: Record) -> Decoded:
        """Return a record that has a value, decoded.

        Raises
        ------
        DecodeError
            When its bytes have another form than the source says.
        """
        value = record.value
        if len(value) > MAX_RECORD_BYTES:
            detail = f"{len(value):,} bytes; at most {MAX_RECORD_BYTES:,} are taken"
            raise DecodeError(reason="too_large", detail=detail)
        headers = _headers(getattr(record, "headers", ()))
        value, headers = decode(self.sources.decode, value, headers, self._schema_of)
        at_ms = record.timestamp if record.timestamp >= FIRST_INSTANT_MS else None
        partition = getattr(record, "partition", 0)
        return Decoded(value, headers, _text(record.key), partition, record.offset, at_ms)

    def events(self, decoded: Decoded) -> list[MappedEvent]:
        """Return what a record becomes, unchecked."""
        scope: Scope = {
            "value": decoded.value,
            "headers": decoded.headers,
            "key": decoded.key,
            "topic": self.sources.topic,
            "partition": decoded.partition,
            "offset": decoded.offset,
            "timestamp": decoded.timestamp,
        }
        found: list[MappedEvent] = []
        taken: set[str] = set()
        for source in self.sources.maps:
            if source.kind not in taken and (source.when is None or holds(source.when, scope)):
                taken.add(source.kind)
                found += self._mapped(source, scope)
        return found

    def _mapped(self, source: SourceMap, scope: Scope) -> Sequence[MappedEvent]:
        kind: EventKind = source.kind
        if kind == "prediction" and self._halves and not source.maps_features:
            kind = "half"
        if source.each is None:
            return (_event(source, kind, scope),)
        try:
            items = evaluate(source.each, scope)
        except FunctionError as error:
            items, why = None, str(error)
        else:
            why = "it gives no list"
        if not isinstance(items, list):
            return (MappedEvent(kind, {}, f"sources[{source.place}].each: {why}"),)
        return [
            _event(source, kind, scope | {"item": item, "index": index})
            for index, item in enumerate(items)
        ]

    def _checked(self, raw: Raw, event: MappedEvent, place: int) -> Item:
        kind, fields, mistake = event
        source = self._source_of(raw.source, kind)
        if mistake is not None:
            return refuse(replace(raw, source=source, item=place), "invalid", mistake)
        plain = read_plain_fields(kind, fields)
        if plain is not None and len(plain[2]) <= self._max_payload_bytes:
            model_id, at_ms, payload = plain
            logged_at = at_ms if raw.logged_at is None else raw.logged_at
            return Accepted(source, raw.offset, logged_at, model_id, at_ms, payload, place)
        of_event = replace(raw, source=source, item=place)
        return accept_fields(of_event, fields, self._max_payload_bytes)

    def _source_of(self, partition: Source, kind: EventKind) -> Source:
        """Return a partition as the source of events of a kind."""
        if partition is not self._partition:  # to hash one takes as long as a path
            self._partition, self._kinds = partition, {}
        source = self._kinds.get(kind)
        if source is None:
            source = self._kinds[kind] = replace(partition, kind=kind)
        return source


def _event(source: SourceMap, kind: EventKind, scope: Scope) -> MappedEvent:
    fields: dict[str, Any] = {}
    name = ""
    try:
        for name, read in source.fields:
            given = read(scope)
            if given is not None:
                fields[name] = given
    except MISTAKES as error:
        return MappedEvent(kind, fields, f"{name}: {mistake_of(error)}")
    for name in IDS:
        if type(fields.get(name)) is not str and name in fields:
            fields[name] = id_text(fields[name])
    if not source.has_instant:  # Rule 4
        instant, at_ms = INSTANT_OF[source.kind], scope["timestamp"]
        if at_ms is None:
            why = "the map leaves it to the record's time, and the record has none"
            return MappedEvent(kind, fields, f"{instant}: {why}")
        fields[instant] = at_ms
    return MappedEvent(kind, fields)


def _headers(given: Sequence[tuple[str, bytes | None]]) -> dict[str, Any]:
    return {name: _text(value) for name, value in given} if given else {}


def _text(given: bytes | None) -> str | None:
    return None if given is None else given.decode(errors="replace")
