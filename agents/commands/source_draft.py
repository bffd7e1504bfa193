"""A first map of a topic, drafted from its records: envelope, ids, times, scores."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from streams.ingest.envelope import envelope_of
from streams.ingest.sources.decode import DecodeError, decode
from streams.ingest.sources.source_map import Encoding

_DEPTH = 4
"""Levels of a value that are looked at."""
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_LIKE = {
    "prediction_id": re.compile(r"(^|_|request|transaction|record)(id|uuid)$"),
    "model_id": re.compile(r"(model|endpoint|inferenceservice)(_?(id|name))?$"),
    "predicted_at": re.compile(r"(_at|_?time|timestamp|_ts|ts_ms|date)$|^(at|ts|time)"),
    "prediction": re.compile(r"^(prediction|predicted|pred|label|class|decision|answer|output)"),
    "outcome": re.compile(r"(outcome|truth|actual|target|repaid|settled_as|is_fraud)"),
    "score": re.compile(r"(score|prob|probability|confidence)"),
    "features": re.compile(r"^(features|inputs|row)$"),
}  # fmt: skip
_CHANGE = {"before", "after", "op"}
_PLACE = "join('-', [topic, to_string(partition), to_string(offset)])"
Found = tuple[str, Any] | None
"""The path of a field and its value; None where nothing looks like it."""
_SECONDS, _MILLIS, _MICROS, _NANOS = 1e9, 1e12, 1e15, 1e18
"""The smallest epoch of today in each unit: 1e9 s is 2001."""


def draft(topic: str, records: Sequence[Any]) -> str:
    """Return a map as YAML with comments.

    Parameters
    ----------
    topic
        The topic.
    records
        Some of its records; the first one with a value is described.
    """
    return "\n".join(_lines(topic, records)) + "\n"


def _lines(topic: str, records: Sequence[Any]) -> Iterator[str]:
    record = next((each for each in records if each.value is not None), None)
    yield f"# A first map of {topic}, drafted from {len(records):,} records. Every line is a guess:"
    yield "# correct it, then run: ./tidegauge sources try THIS_FILE"
    if record is None:
        yield "# No record had a value."
        return
    encoding, value, headers, note = _look(record)
    if note:
        yield f"# {note}"
    yield from _source(topic, encoding, value, headers)
    others = sorted({path for path, _ in _paths(value, "value")})
    yield "# What the record holds:"
    yield from (f"#   {path}" for path in others)
    yield from (f"#   headers.{name}" for name in headers)


def _look(record: Any) -> tuple[Encoding, Any, dict[str, Any], str]:
    headers = {
        name: None if given is None else given.decode(errors="replace")
        for name, given in record.headers
    }
    encoding = _encoding(record.value)
    if encoding == "confluent":
        note = "Confluent's wire format: add `registry: http://HOST:PORT`, then see the fields."
        return encoding, None, headers, note
    try:
        value, found = decode(encoding, record.value, headers)
    except DecodeError as error:
        return encoding, None, headers, f"The record cannot be decoded as {encoding}: {error}."
    return encoding, value, found, _note_of(value, found)


def _encoding(value: bytes) -> Encoding:
    if value[:1] == b"\x00":
        return "confluent"
    if value[:4] == b"Obj\x01":
        return "avro"
    if value[:2] == b"\x1f\x8b":
        return "gzip+json"
    first = value.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    return "json" if first in b'{["-0123456789tfn' else "msgpack"


_NOTES = {
    "a Debezium change event": "the row is in value.after, and op is c, r, u or d",
    "OpenTelemetry's logs": "kv() makes an object of its attributes",
    "an array of records": "each of its items is an event",
}


def _note_of(value: Any, headers: dict[str, Any]) -> str:
    """Return a sentence about the envelope of a record; empty where it has none that is known."""
    if "ce_type" in headers:
        return f"A CloudEvent of type {headers['ce_type']}: its attributes are headers.ce_*."
    envelope = envelope_of(value)
    if envelope is None:
        return ""
    name = envelope[0].upper() + envelope[1:]
    return f"{name}: {_NOTES[envelope]}." if envelope in _NOTES else f"{name}."


def _source(topic: str, encoding: Encoding, value: Any, headers: dict[str, Any]) -> Iterator[str]:
    each, root = _rows(value)
    paths = list(_paths(value[0] if each and value else value, root))
    paths += [(f"headers.{_name(name)}", given) for name, given in headers.items()]
    found = {name: _best(name, paths) for name in _LIKE}
    is_answer = found["prediction"] is not None or found["score"] is not None
    kind = "prediction" if is_answer or found["outcome"] is None else "outcome"
    yield "sources:"
    yield f"- topic: {topic}"
    if encoding != "json":
        yield f"  decode: {encoding}"
    yield from _condition(value, headers)
    yield f"  as: {kind}"
    if each:
        yield f"  each: {each}"
    yield "  fields:"
    yield f"    prediction_id: {_text(found['prediction_id']) or _PLACE}"
    constant = f"\"'{topic}'\""
    yield f"    model_id: {_text(found['model_id']) or constant}"
    yield from _rest(kind, found)


def _condition(value: Any, headers: dict[str, Any]) -> Iterator[str]:
    if isinstance(value, dict) and value.keys() >= _CHANGE:
        yield "  when: contains(['c', 'r', 'u'], value.op)"
    elif "ce_type" in headers:
        yield f"  when: headers.ce_type == '{headers['ce_type']}'"


def _rest(kind: str, found: Mapping[str, Found]) -> Iterator[str]:
    if (at := found["predicted_at"]) is not None:
        instant = "predicted_at" if kind == "prediction" else "observed_at"
        yield f"    {instant}: {_time(*at)}"
    yield f"    {kind}: {_text(found[kind]) or _text(found['outcome']) or 'value.NAME_IT'}"
    if kind == "prediction":
        for name in ("score", "features"):
            if found[name] is not None:
                yield f"    {name}: {_text(found[name])}"


def _rows(value: Any) -> tuple[str, str]:
    """Return the list whose items are events, and the name by which an event's fields begin."""
    return ("value", "item") if isinstance(value, list) else ("", "value")


def _paths(value: Any, root: str, depth: int = _DEPTH) -> Iterator[tuple[str, Any]]:
    """Yield the path of each field and its value."""
    if isinstance(value, dict) and depth:
        for name, each in value.items():
            path = f"{root}.{_name(str(name))}"
            yield path, each
            yield from _paths(each, path, depth - 1)


def _name(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else f'"{name}"'


def _best(field: str, paths: Sequence[tuple[str, Any]]) -> Found:
    """Return the path whose name and value look most like a field; the shortest of several."""
    like = [
        (path, value)
        for path, value in paths
        if _LIKE[field].search(path.rpartition(".")[2].strip('"').lower())
        and isinstance(value, dict) == (field == "features")
        and not isinstance(value, list)
        and (field != "score" or isinstance(value, float))
    ]
    return min(like, key=lambda each: each[0].count("."), default=None)


def _text(found: Found) -> str:
    return "" if found is None else found[0]


def _time(path: str, value: Any) -> str:
    """Return the expression that reads an instant of this form."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        has_zone = isinstance(value, str) and re.search(r"([Zz]|[+-]\d{2}:\d{2})$", value)
        return path if has_zone else f"utc({path})"
    for least, name in ((_NANOS, "nanos"), (_MICROS, "micros"), (_MILLIS, "millis")):
        if number >= least:
            return f"{name}({path})"
    return f"seconds({path})" if number >= _SECONDS else path
