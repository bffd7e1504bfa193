"""Recorded files as events: lines of JSON, put in one order as ingest would.

Rule 1. A line that is no event is refused as ingest refuses it: its model is told.
Rule 2. A file has no clock but the dates of its lines. A date that runs ahead of the lines around
        it counts as that of the line before: it would move the time of all others.
"""

import gzip
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, cast

import yaml
from msgspec.structs import replace

from agents.errors import FileError, OperatorError
from schemas.event import EventKind, Source
from schemas.model_spec import ModelSpec, SpecError, parse_spec
from streams.ingest.accept import accept
from streams.ingest.batches import MAX_BATCH_EVENTS
from streams.ingest.merge import Item, TimeMerge
from streams.ingest.records import Accepted, Raw, Refused

LINES_AT_ONCE = 500
"""Lines of one chunk: one full record of ``events``."""
SHOWN_REFUSALS = 5
"""Refused lines that are shown in words; the others are counted."""
STANDARD_STREAM = "-"
_ANSWERS = frozenset[EventKind](("prediction", "half"))
AHEAD_MS = 24 * 3_600_000
"""Milliseconds, a day, that a date may run ahead of the lines before it, whatever comes after it.
By judgement: it moves no other line far, and the first date after a pause is later than that."""
NEXT_LINES = 20
"""Lines that tell whether such a date is the present one: a file of several writers may have
some lines of the day before among them."""
ENOUGH = 5
"""How many of them must be as late, within ``AHEAD_MS``."""
LONG_PAUSES = 10
"""Multiple of the longest step between the dates before, up to which one of the last lines may run
ahead: fewer than ``ENOUGH`` follow it."""


@dataclass(slots=True)
class Refusals:
    """The lines that are not events, and those whose date is not that of the log.

    Attributes
    ----------
    by_reason
        Their number, by reason code.
    first
        The first few of them in words.
    ahead
        Lines whose date runs ahead of those around it, by file, and the first of them.
    """

    by_reason: Counter[str] = field(default_factory=Counter)
    first: list[str] = field(default_factory=list)
    ahead: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add_ahead(self, topic: str, line: int) -> None:
        """Count one line whose date runs ahead."""
        count, first = self.ahead.get(topic, (0, line))
        self.ahead[topic] = count + 1, first

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
        readers = [_Reader(self.predictions, "prediction", refusals, on_bytes)]
        if self.outcomes is not None:
            readers.append(_Reader(self.outcomes, "outcome", refusals, on_bytes))
        merge = TimeMerge(idle_s=1.0)
        merge.assign([reader.source for reader in readers])
        ready: list[Accepted] = []
        while not all(reader.is_at_end for reader in readers):
            for reader in readers:
                if merge.held(reader.source) < LINES_AT_ONCE and not reader.is_at_end:
                    merge.add(reader.source, reader.next_events(), has_more=True)
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
    """The events of one file, a chunk at a time."""

    def __init__(
        self,
        name: str,
        kind: EventKind,
        refusals: Refusals,
        on_bytes: Callable[[int], None],
    ) -> None:
        self.source = Source(kind, f"{kind}s", 0)
        self._name = name
        self._refusals = refusals
        self._on_bytes = on_bytes
        self._raw, self._lines = open_file(name)
        self._line_number = 0
        self._reported_bytes = 0
        self._clock = _FileClock(refusals, f"{kind}s")
        self.is_at_end = False

    def next_events(self) -> list[Item]:
        """Return the next events, each with the instant that the log gives it."""
        events: list[Accepted] = []
        for raw in self._next_lines():
            item = accept(raw)
            if isinstance(item, Accepted):
                events.append(item)
                continue
            self._refusals.add(item)
            if item.event is not None:
                events.append(item.event)
        return self._clock.dated(events, is_last=self.is_at_end)

    def _next_lines(self) -> list[Raw]:
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
        if self.is_at_end and self._name != STANDARD_STREAM:
            self._raw.close()
        return chunk

    def _report_progress(self) -> None:
        if self._raw.seekable():
            position = self._raw.tell()
            self._on_bytes(position - self._reported_bytes)
            self._reported_bytes = position


class _FileClock:
    """The instants that the log gives the lines of one file (Rule 2)."""

    def __init__(self, refusals: Refusals, topic: str) -> None:
        self._refusals = refusals
        self._topic = topic
        self._waiting: list[Accepted] = []
        self._now_ms = 0
        self._longest_step_ms = 0

    def dated(self, events: list[Accepted], *, is_last: bool) -> list[Item]:
        """Take the next events; return those whose instant is settled."""
        waiting = self._waiting + events
        settled = len(waiting) if is_last else max(len(waiting) - NEXT_LINES, 0)
        dated: list[Item] = []
        for place, event in enumerate(waiting[:settled]):
            if event.source.kind == "refused":
                dated.append(replace(event, logged_at=self._now_ms))
                continue
            after = waiting[place + 1 : place + 1 + NEXT_LINES]
            dated.append(self._held(event, after))
        self._waiting = waiting[settled:]
        return dated

    def _held(self, event: Accepted, after: Sequence[Accepted]) -> Accepted:
        """Return an event with its instant; ``after`` are the events of the lines that follow."""
        at_ms, now_ms = event.at_ms, self._now_ms
        if at_ms > now_ms + AHEAD_MS:
            dates_ms = [each.at_ms for each in after if each.source.kind != "refused"]
            if self._runs_ahead(at_ms, dates_ms):
                self._refusals.add_ahead(self._topic, event.offset)
                return replace(event, logged_at=now_ms or min(dates_ms))
        if now_ms:
            self._longest_step_ms = max(self._longest_step_ms, at_ms - now_ms)
        self._now_ms = max(now_ms, at_ms)
        return event

    def _runs_ahead(self, at_ms: int, following: Sequence[int]) -> bool:
        """Tell whether a date is later than those of the lines after it."""
        as_late = sum(each > at_ms - AHEAD_MS for each in following)
        if as_late < min(ENOUGH, len(following)):
            return True
        is_known = len(following) >= ENOUGH or not self._now_ms
        return not is_known and at_ms - self._now_ms > LONG_PAUSES * self._longest_step_ms


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
            made = _load(folder / profile)
            reference["profile"] = made.get("series")
            if made.get("error_model") is not None:
                reference.setdefault("error_model", made["error_model"])
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
