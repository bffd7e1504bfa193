"""Records as other systems publish them, with their maps: tests/golden/shapes.yaml."""

import base64
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import fastavro
import orjson
import yaml

from schemas.event import Source
from schemas.wire import MAX_PAYLOAD_BYTES
from streams.ingest.records import Accepted, Refused
from streams.ingest.sources.decode import Schema
from streams.ingest.sources.mapping import MappedTopic
from streams.ingest.sources.source_map import Sources, parse_sources

AT_MS = 1_772_366_400_000
"""2026-03-01T12:00:00Z, the timestamp of each record."""
AVRO_SCHEMA = {
    "type": "record",
    "name": "Prediction",
    "fields": [
        {"name": "prediction_id", "type": "string"},
        {"name": "model_id", "type": "string"},
        {"name": "predicted_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "prediction", "type": "int"},
    ],
}
"""Schema of the record in Confluent's wire format."""
_FILE = Path(__file__).parents[1] / "golden" / "shapes.yaml"


@dataclass
class Shape:
    """One record, and the events that its map makes of it."""

    name: str
    value: bytes | None
    key: bytes | None = None
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    sources: list[dict[str, Any]] | None = None
    becomes: list[dict[str, Any]] = field(default_factory=list)
    not_mapped: str = ""
    offset: int = 7
    partition: int = 0
    timestamp: int = AT_MS


@cache
def shapes() -> dict[str, Shape]:
    """Return every record, by its name."""
    return {each["name"]: _shape(each) for each in yaml.safe_load(_FILE.read_text("utf-8"))}


def _shape(entry: dict[str, Any]) -> Shape:
    text, coded = entry.get("text"), entry.get("base64")
    value = text.encode() if text is not None else coded and base64.b64decode(coded)
    return Shape(
        entry["name"],
        value,
        entry["key"].encode() if "key" in entry else None,
        [(name, given.encode()) for name, given in entry.get("headers", {}).items()],
        entry.get("sources"),
        entry.get("becomes", []),
        entry.get("not_mapped", ""),
    )


def schema_of(number: int) -> Schema:
    """Return the schema of a record in Confluent's wire format."""
    return Schema("AVRO", fastavro.parse_schema(AVRO_SCHEMA))


def json_schema_of(number: int) -> Schema:
    """Return a schema that says JSON."""
    return Schema("JSON")


def events_of(sources: Sources, topic: str, record: Shape) -> list[dict[str, Any]]:
    """Return the events that sources make of a record, each by its kind; none may be refused."""
    mapped = MappedTopic(
        sources.by_topic[topic],
        halves=sources.has_inputs,
        max_payload_bytes=MAX_PAYLOAD_BYTES,
        schema_of=json_schema_of if "json" in record.name else schema_of,
    )
    items = mapped.accept(Source("prediction", topic, 0), record, None)
    refused = [item.letter.detail for item in items if isinstance(item, Refused)]
    if refused:
        raise ValueError(f"{record.name}: {refused}")
    return [
        {item.source.kind: orjson.loads(item.payload)}
        for item in items
        if isinstance(item, Accepted)
    ]


def sources_of(shape: Shape) -> Sources:
    """Return the map of a record."""
    return parse_sources({"registry": "http://127.0.0.1:8081", "sources": shape.sources})
