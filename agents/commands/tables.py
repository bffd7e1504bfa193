"""Recorded files of other systems as records: JSON lines, kcat's lines, CSV, Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import orjson
from msgspec.structs import replace

from agents.commands.recording import Refusals, open_file, with_end
from agents.errors import FileError, OperatorError
from agents.settings import load_settings
from agents.sources import mapped_topics, read_sources, registry_of
from schemas.event import EventKind, Source
from schemas.instants import FIRST_INSTANT_MS
from streams.ingest.batches import MAX_BATCH_EVENTS
from streams.ingest.dead_letter import refuse
from streams.ingest.records import Accepted, Raw, Refused
from streams.ingest.sources.decode import DecodeError, decode, plain
from streams.ingest.sources.mapping import Decoded, MappedTopic
from streams.ingest.sources.table import typed_rows

_KCAT = {"topic", "partition", "offset", "payload"}
"""Fields by which a line of `kcat -J` is known."""
_RANK: dict[EventKind, int] = {
    "inputs": 0,
    "prediction": 1,
    "half": 1,
    "outcome": 2,
    "report": 3,
    "refused": 3,
}
_ROWS_AT_ONCE = 10_000
"""Rows of a Parquet file in memory at once."""


class Row(NamedTuple):
    """One record of a file: its number there, from 1, its bytes, and the record decoded."""

    number: int
    value: bytes
    decoded: Decoded | DecodeError | None


class SourceRecording(NamedTuple):
    """Recorded files, read through sources.

    The events are put in one order by their instants: all of them are in memory.

    Parameters
    ----------
    topics
        The topics that have sources.
    files
        The path of each topic's file.
    """

    topics: dict[str, MappedTopic]
    files: dict[str, str]

    @classmethod
    def of(
        cls,
        path: Path,
        records: tuple[str, ...],
        max_payload_bytes: int,
        credentials: tuple[str, str] | None = None,
    ) -> SourceRecording:
        """Return the recording of a file of sources and of ``FILE`` or ``TOPIC=FILE`` each.

        Raises
        ------
        OperatorError, FileError
            When a source or a file is wrong.
        """
        sources = read_sources(path)
        registry = registry_of(sources, credentials)
        schema_of = None if registry is None else registry.fetched
        topics = mapped_topics(sources, max_payload_bytes, schema_of)
        files: dict[str, str] = {}
        for each in records:
            topic, _, name = each.rpartition("=")
            if not topic and len(topics) == 1:
                (topic,) = topics
            if topic not in topics:
                known = ", ".join(topics)
                msg = f"--records {each}: must be TOPIC=FILE, with a topic of {path}: {known}"
                raise OperatorError(msg)
            files[topic] = name
        return cls(topics, files)

    @classmethod
    def of_options(cls, path: Path, records: tuple[str, ...]) -> SourceRecording:
        """Return the recording of the options of a command; limits are those of the settings."""
        settings = load_settings()
        limit, credentials = settings.max_payload_bytes, settings.registry_credentials
        return cls.of(path, records, limit, credentials)

    def total_bytes(self) -> int | None:
        """Return the size of all files on disk; None where it is not known."""
        paths = [Path(name) for name in self.files.values()]
        return sum(p.stat().st_size for p in paths) if all(p.is_file() for p in paths) else None

    def batches(
        self, refusals: Refusals, on_bytes: Callable[[int], None]
    ) -> Iterator[tuple[list[Accepted], bool]]:
        """Yield the events of all files in one order; see `Recording.batches`."""
        events: list[Accepted] = []
        for topic, name in self.files.items():
            mapped = self.topics[topic]
            source = Source("prediction", topic, 0)
            for row in read_rows(name, mapped, on_bytes):
                for item in items_of(mapped, source, row):
                    if isinstance(item, Accepted):
                        events.append(item)
                        continue
                    refusals.add(item)
                    if item.event is not None and events:  # it has no instant: that before it
                        events.append(replace(item.event, logged_at=events[-1].logged_at))
        events.sort(key=lambda event: (event.logged_at, _RANK[event.source.kind]))
        numbered = [_numbered(place, event) for place, event in enumerate(events)]
        answers = (
            n for n in range(len(numbered), 0, -1) if _RANK[numbered[n - 1].source.kind] == 1
        )
        last = next(answers, 0) - 1
        for first in range(0, len(numbered), MAX_BATCH_EVENTS):
            batch = numbered[first : first + MAX_BATCH_EVENTS]
            yield from with_end(batch, follow=last >= first + len(batch))


def _numbered(place: int, event: Accepted) -> Accepted:
    """Give an event its place in the order of the log: a model takes those of a source in it."""
    return Accepted(
        event.source, place, event.logged_at, event.model_id, event.at_ms, event.payload
    )


def items_of(mapped: MappedTopic, source: Source, row: Row) -> list[Accepted | Refused]:
    """Return the events and the dead letters of a record of a file."""
    raw = Raw(source, row.number, None, row.value)
    if row.decoded is None:
        mapped.skipped += 1
        return []
    if isinstance(row.decoded, DecodeError):
        return [refuse(raw, row.decoded.reason, str(row.decoded))]
    return mapped.accept_value(raw, row.decoded)


def read_rows(
    name: str, mapped: MappedTopic, on_bytes: Callable[[int], None] = lambda _: None
) -> Iterator[Row]:
    """Yield the records of a file, by its ending: .csv, .parquet, or else JSON lines.

    Raises
    ------
    FileError
        When it cannot be read.
    """
    plain_name = name.removesuffix(".gz")
    if plain_name.endswith(".parquet"):
        yield from _parquet_rows(name, on_bytes)
        return
    raw, lines = open_file(name)
    reported = 0
    try:
        rows = _csv_rows(lines) if plain_name.endswith(".csv") else _json_rows(lines, mapped)
        for row in rows:
            yield row
            if row.number % _ROWS_AT_ONCE == 0 and raw.seekable():
                on_bytes(raw.tell() - reported)
                reported = raw.tell()
    except (OSError, EOFError, csv.Error, UnicodeDecodeError) as error:
        msg = f"{name}: cannot be read: {error}"
        raise FileError(msg) from error
    finally:
        lines.close()
        raw.close()


def _csv_rows(lines: Any) -> Iterator[Row]:
    with io.TextIOWrapper(lines, encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text)
        names = next(reader, [])
        for number, value in enumerate(typed_rows(names, reader), start=1):
            yield _row(number, value)


def _parquet_rows(name: str, on_bytes: Callable[[int], None]) -> Iterator[Row]:
    try:
        from pyarrow import parquet  # noqa: PLC0415 - an extra
    except ImportError as error:
        msg = f"{name}: Parquet needs a package that is not installed: pip install pyarrow"
        raise OperatorError(msg) from error
    number = 0
    try:
        file = parquet.ParquetFile(name)
        for batch in file.iter_batches(_ROWS_AT_ONCE):
            for value in batch.to_pylist():
                number += 1
                yield _row(number, plain(value))
    except (OSError, ValueError) as error:  # pyarrow's errors are of these
        msg = f"{name}: cannot be read as Parquet: {type(error).__name__}"
        raise FileError(msg) from error
    on_bytes(Path(name).stat().st_size)


def _row(number: int, value: dict[str, Any]) -> Row:
    return Row(number, orjson.dumps(value), Decoded(value, {}, None, 0, number, None))


def _json_rows(lines: Any, mapped: MappedTopic) -> Iterator[Row]:
    """Yield lines of JSON values, or of records as `kcat -J` writes them."""
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text:
            yield _json_row(number, text, mapped)


def _json_row(number: int, text: bytes, mapped: MappedTopic) -> Row:
    try:
        value, headers = decode("json", text, {})
    except DecodeError as error:
        return Row(number, text, error)
    if not (isinstance(value, dict) and value.keys() >= _KCAT):
        return Row(number, text, Decoded(value, headers, None, 0, number, None))
    payload = value["payload"]
    if payload is None:
        return Row(number, text, None)
    given = value.get("headers") or []
    headers = dict(zip(given[::2], given[1::2], strict=False))
    try:
        found, headers = decode(mapped.sources.decode, str(payload).encode(), headers)
    except DecodeError as error:
        return Row(number, text, error)
    at_ms = cast("int", value.get("ts", -1))
    is_time = at_ms >= FIRST_INSTANT_MS
    key = value.get("key")
    place = value["partition"], value["offset"]
    return Row(number, text, Decoded(found, headers, key, *place, at_ms if is_time else None))
