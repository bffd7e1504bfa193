"""Try sources on records, field by field, and draft a first map from what a topic holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from agents.commands.source_draft import draft
from agents.commands.tables import items_of, read_rows
from agents.errors import OperatorError
from agents.kafka.read import read_whole
from agents.settings import Settings
from agents.sources import mapped_topics, read_sources, registry_of
from agents.text import printable
from schemas.event import Source
from schemas.wire import to_rfc3339
from streams.ingest.records import Accepted, Refused
from streams.ingest.sources.mapping import Item, MappedTopic

LATEST = 20
"""Records that are shown: a screen or two."""
_SHOWN_CHARACTERS = 100
"""Characters of a value that are shown."""
_INSTANTS = frozenset(("predicted_at", "observed_at", "at"))


class Seen(NamedTuple):
    """One record as it is shown: its place in words, and its bytes and headers."""

    place: str
    record: Any


async def latest_records(settings: Settings, topic: str, count: int = LATEST) -> list[Seen]:
    """Return the last records of a topic, over all its partitions, in the order of time.

    Raises
    ------
    OperatorError, BrokerUnreachableError
        When the topic or the broker is not there.
    """
    found = [record async for record in read_whole(settings, topic, latest=count)]
    found.sort(key=lambda each: (each.timestamp, each.partition, each.offset))
    return [Seen(f"{each.topic}-{each.partition} offset {each.offset}", each)
            for each in found[-count:]]  # fmt: skip


def mapped_topic(settings: Settings, path: Path, topic: str | None) -> MappedTopic:
    """Return a topic of a file of sources; ``topic`` may be None where the file has only one.

    Raises
    ------
    OperatorError, FileError
        When the file is wrong, or has no such topic.
    """
    sources = read_sources(path)
    registry = registry_of(sources, settings.registry_credentials)
    schema_of = None if registry is None else registry.fetched
    topics = mapped_topics(sources, settings.max_payload_bytes, schema_of)
    if topic is None and len(topics) == 1:
        (topic,) = topics
    if topic not in topics:
        msg = f"--topic {topic or 'is missing'}: {path} has sources of {', '.join(topics)}"
        raise OperatorError(msg)
    return topics[topic]


async def try_topic(settings: Settings, mapped: MappedTopic) -> str:
    """Return, for people, the events that the last records of a topic become."""
    seen = await latest_records(settings, mapped.sources.topic)
    source = Source("prediction", mapped.sources.topic, 0)
    return show((each.place, mapped.accept(source, each.record, None)) for each in seen)


def try_sample(mapped: MappedTopic, sample: str) -> str:
    """Return the same of the first records of a file."""
    rows = islice(read_rows(sample, mapped), LATEST)
    source = Source("prediction", mapped.sources.topic, 0)
    return show((f"{sample} line {row.number}", items_of(mapped, source, row)) for row in rows)


def show(records: Iterable[tuple[str, Sequence[Item]]]) -> str:
    """Return the events of records as text, a field a line, and a closing sentence."""
    lines: list[str] = []
    total = skipped = refused = events = 0
    for place, items in records:
        total += 1
        skipped += not items
        lines.append(f"{place}{'' if items else ': skipped, no source takes it'}")
        for item in items:
            events += isinstance(item, Accepted)
            refused += isinstance(item, Refused)
            lines += _event_lines(item)
    lines.append(
        f"{total:,} records: {events:,} events, {refused:,} refused, {skipped:,} records skipped."
    )
    return "\n".join(lines)


def _event_lines(item: Item) -> Iterator[str]:
    if isinstance(item, Refused):
        yield f"  refused: {item.letter.reason}: {printable(item.letter.detail)}"
        return
    waits = ", waits for its inputs" if item.source.kind == "half" else ""
    kind = "prediction" if item.source.kind == "half" else item.source.kind
    yield f"  {kind}{waits}"
    for name, value in orjson.loads(item.payload).items():
        shown = to_rfc3339(value) if name in _INSTANTS else orjson.dumps(value).decode()
        text = printable(shown)
        more = "…" if len(text) > _SHOWN_CHARACTERS else ""
        yield f"    {name:<14} {text[:_SHOWN_CHARACTERS]}{more}"


async def draft_topic(settings: Settings, topic: str) -> str:
    """Return a first map of a topic, drafted from its last records.

    Raises
    ------
    OperatorError
        When the topic is not there, or holds nothing.
    """
    seen = await latest_records(settings, topic)
    if not seen:
        raise OperatorError(f"{topic} holds no record yet: a map is drafted from records")
    return draft(topic, [each.record for each in seen])
