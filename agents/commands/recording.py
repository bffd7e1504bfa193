"""Recorded files as events: lines of JSON, put in one order as ingest would."""

import gzip
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, cast

import yaml

from agents.errors import FileError, OperatorError
from schemas.event import EventKind, Source
from schemas.model_spec import ModelSpec, SpecError, parse_spec
from streams.ingest.accept import accept
from streams.ingest.batches import MAX_BATCH_EVENTS
from streams.ingest.merge import TimeMerge
from streams.ingest.records import Accepted, Raw, Refused

LINES_AT_ONCE = 500
"""Lines of one chunk: one full record of ``events``."""
SHOWN_REFUSALS = 5
"""Refused lines that are shown in words; the others are counted."""
STANDARD_STREAM = "-"
_ANSWERS = frozenset[EventKind](("prediction", "half"))


@dataclass(slots=True)
class Refusals:
    """The lines that are not events.

    Attributes
    ----------
    by_reason
        Their number, by reason code.
    first
        The first few of them in words.
    """

    by_reason: Counter[str] = field(default_factory=Counter)
    first: list[str] = field(default_factory=list)

    def add(self, refused: Refused) -> None:
        """Count one line."""
        letter = refused.letter
        self.by_reason[letter.reason] += 1
        if len(self.first) < SHOWN_REFUSALS:
            where = f"{letter.topic}, line {letter.offset}"
            self.first.append(f"{where}: {letter.reason}: {letter.detail}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Two recorded files: paths of JSON lines, plain or gzip; "-" is standard input."""

    predictions: str
    outcomes: str | None

    def total_bytes(self) -> int | None:
        """Return the size of both on disk; None where it is not known."""
        paths = [Path(name) for name in (self.predictions, self.outcomes) if name]
        return sum(p.stat().st_size for p in paths) if all(p.is_file() for p in paths) else None

    def batches(
        self, refusals: Refusals, on_bytes: Callable[[int], None]
    ) -> Iterator[tuple[list[Accepted], bool]]:
        """Yield the events of both files in one order, at most ``MAX_BATCH_EVENTS`` at a time.

        Each batch comes with whether its last event is a prediction, or predictions follow. If not,
        the file of predictions has ended, which is no silence.

        Parameters
        ----------
        refusals
            Counts the lines that are not events.
        on_bytes
            Receives the number of bytes read since the last call.
        """
        readers = [_Reader(self.predictions, "prediction", on_bytes)]
        if self.outcomes is not None:
            readers.append(_Reader(self.outcomes, "outcome", on_bytes))
        merge = TimeMerge(idle_s=1.0)
        merge.assign([reader.source for reader in readers], now_s=0.0)
        ready: list[Accepted] = []
        while not all(reader.is_at_end for reader in readers):
            for reader in readers:
                if merge.held(reader.source) < LINES_AT_ONCE and not reader.is_at_end:
                    taken = _accepted(reader.next_lines(), refusals)
                    merge.add(reader.source, taken, has_more=True, now_s=0.0)
                    if reader.is_at_end:
                        merge.end(reader.source)
            ready += cast("list[Accepted]", merge.release(0.0, sys.maxsize))
            follow = not readers[0].is_at_end or merge.held(readers[0].source) > 0
            while len(ready) >= MAX_BATCH_EVENTS:
                batch, ready = ready[:MAX_BATCH_EVENTS], ready[MAX_BATCH_EVENTS:]
                yield from with_end(batch, follow=follow or _predictions_end(ready) > 0)
        yield from with_end(ready, follow=False)


def with_end(events: list[Accepted], *, follow: bool) -> Iterator[tuple[list[Accepted], bool]]:
    """Cut a batch after the last prediction of the file; ``follow``: there are later ones."""
    end = len(events) if follow else _predictions_end(events)
    for part, is_predicted in ((events[:end], True), (events[end:], False)):
        if part:
            yield part, is_predicted


def _predictions_end(events: list[Accepted]) -> int:
    """Return the place after the last prediction; 0 where there is none."""
    places = range(len(events), 0, -1)
    return next((place for place in places if events[place - 1].source.kind in _ANSWERS), 0)


class _Reader:
    """The lines of one file, a chunk at a time."""

    def __init__(self, name: str, kind: EventKind, on_bytes: Callable[[int], None]) -> None:
        self.source = Source(kind, f"{kind}s", 0)
        self._name = name
        self._on_bytes = on_bytes
        self._raw, self._lines = open_file(name)
        self._line_number = 0
        self._reported_bytes = 0
        self.is_at_end = False

    def next_lines(self) -> list[Raw]:
        """Return the next lines; blank ones are passed over."""
        chunk: list[Raw] = []
        while len(chunk) < LINES_AT_ONCE:
            try:
                lines = list(islice(self._lines, LINES_AT_ONCE))
            except (OSError, EOFError) as error:
                msg = f"{self._name}: cannot be read past line {self._line_number}: {error}"
                raise FileError(msg) from error
            if not lines:
                self.is_at_end = True
                break
            for number, line in enumerate(lines, start=self._line_number + 1):
                if text := line.strip():
                    chunk.append(Raw(self.source, number, None, text))
            self._line_number += len(lines)
        self._report_progress()
        return chunk

    def _report_progress(self) -> None:
        if self._raw.seekable():
            position = self._raw.tell()
            self._on_bytes(position - self._reported_bytes)
            self._reported_bytes = position


def read_spec(path: str | None, **overrides: object) -> ModelSpec:
    """Read a model's spec from a YAML file; without one, the defaults.

    Parameters
    ----------
    path
        The file. A path in its ``reference.profile`` is read too, relative to its folder.
    overrides
        Fields that replace those of the file, unless they are None.

    Raises
    ------
    FileError
        When a file cannot be read.
    OperatorError
        When a field is wrong.
    """
    data = {} if path is None else _load(Path(path))
    if isinstance(data, dict):
        data |= {name: value for name, value in overrides.items() if value is not None}
        reference = data.get("reference")
        if isinstance(reference, dict) and isinstance(profile := reference.get("profile"), str):
            folder = Path(path).parent if path else Path()
            reference["profile"] = _load(folder / profile).get("series")
    try:
        return parse_spec(data)
    except SpecError as error:
        msg = f"{path or 'the spec'}: {error}"
        raise OperatorError(msg) from error


def _load(path: Path) -> dict[str, object]:
    try:
        # JSON is YAML too, but a profile is large and the YAML reader is slow.
        load = json.loads if path.suffix == ".json" else yaml.safe_load
        data = load(path.read_bytes())
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise FileError(msg) from error
    except (yaml.YAMLError, ValueError) as error:
        msg = f"{path}: is neither YAML nor JSON: {error}"
        raise FileError(msg) from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        msg = f"{path}: holds {type(data).__name__}, not fields with values"
        raise OperatorError(msg)
    return data


def _accepted(lines: list[Raw], refusals: Refusals) -> list[Accepted | Refused]:
    events: list[Accepted | Refused] = []
    for raw in lines:
        event = accept(raw)
        if isinstance(event, Accepted):
            events.append(event)
        else:
            refusals.add(event)
    return events


def open_file(name: str) -> tuple[IO[bytes], IO[bytes]]:
    """Return a file as it is on disk, for its position, and the same file unzipped."""
    if name == STANDARD_STREAM:
        return sys.stdin.buffer, sys.stdin.buffer
    try:
        raw = Path(name).open("rb")  # noqa: SIM115 - read to its end, closed with the process
    except OSError as error:
        msg = f"{name}: cannot be opened: {error.strerror}"
        raise FileError(msg) from error
    is_zipped = raw.peek(2)[:2] == b"\x1f\x8b"
    return raw, cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if is_zipped else raw
