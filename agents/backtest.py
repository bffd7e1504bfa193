"""Run the monitor over recorded files: the same core, no broker.

The files are put in one order by the events' own instants, packed as ingest packs them, and applied
as the monitor applies its log. What is written is what would be published.
"""

import contextlib
import gzip
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, cast

import orjson
import yaml
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from agents.errors import OperatorError, WorkerError
from agents.memory import calm_collector
from schemas.alert import Alert
from schemas.event import EventKind, Source
from schemas.model_spec import ModelSpec, SpecError, parse_spec
from schemas.topics import Role, Topics
from streams.ingest import MAX_BATCH_EVENTS, Accepted, Raw, Refused, accept, pack
from streams.join import JoinCounts
from streams.monitor import Monitor
from streams.order import TimeMerge

LINES_AT_ONCE = 500
SHOWN_REFUSALS = 5
STANDARD_STREAM = "-"


class FileError(WorkerError):
    """A file the operator named cannot be used: the message says which and why."""

    exit_code = os.EX_NOINPUT


@dataclass(slots=True)
class Replayed:
    """What came of a backtest.

    Attributes
    ----------
    counts
        What the join did, over all models.
    refused
        Refused lines, by reason.
    first_refusals
        A few of them in words.
    alerts
        In the order in which they were raised.
    feedback
        How many commands were given.
    """

    counts: JoinCounts = field(default_factory=JoinCounts)
    refused: Counter[str] = field(default_factory=Counter)
    first_refusals: list[str] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    feedback: int = 0


class _Reader:
    """The lines of one input, a chunk at a time."""

    def __init__(self, name: str, kind: EventKind, on_bytes: Callable[[int], None]) -> None:
        self.source = Source(kind, f"{kind}s", 0)
        self._on_bytes = on_bytes
        self._raw, self._lines = _open_input(name)
        self._line_number = 0
        self._told = 0
        self.is_at_end = False

    def read(self) -> list[Raw]:
        """Return the next lines; blank ones are passed over."""
        chunk: list[Raw] = []
        while len(chunk) < LINES_AT_ONCE:
            try:
                lines = list(islice(self._lines, LINES_AT_ONCE))
            except (OSError, EOFError) as error:
                msg = f"{self._raw.name}: cannot be read past line {self._line_number}: {error}"
                raise FileError(msg) from error
            if not lines:
                self.is_at_end = True
                break
            for number, line in enumerate(lines, start=self._line_number + 1):
                if text := line.strip():
                    chunk.append(Raw(self.source, number, None, text))
            self._line_number += len(lines)
        self._tell()
        return chunk

    def _tell(self) -> None:
        with contextlib.suppress(OSError):
            position = self._raw.tell()
            self._on_bytes(position - self._told)
            self._told = position


def read_spec(path: str | None) -> ModelSpec:
    """Read a model's spec from a YAML file; without one, the defaults.

    Raises
    ------
    FileError
        When the file cannot be read as YAML.
    OperatorError
        When a field is wrong.
    """
    if path is None:
        return ModelSpec()
    try:
        data = yaml.safe_load(Path(path).read_bytes())
    except (OSError, yaml.YAMLError) as error:
        msg = f"{path}: cannot be read as YAML: {error}"
        raise FileError(msg) from error
    try:
        return parse_spec({} if data is None else data)
    except SpecError as error:
        msg = f"{path}: {error}"
        raise OperatorError(msg) from error


def replay(
    predictions: str,
    outcomes: str,
    outputs: dict[Role, IO[bytes]],
    spec: ModelSpec,
    on_bytes: Callable[[int], None],
) -> Replayed:
    """Run two recorded files through the core.

    Parameters
    ----------
    predictions, outcomes
        Paths of JSON lines, plain or gzip; "-" is standard input.
    outputs
        Where the lines of each output topic go; topics not named here are not written.
    spec
        Of the model it names, or of every model when it names none.
    on_bytes
        Told how many more bytes have been read.
    """

    def spec_of(model_id: str) -> ModelSpec:
        return spec if spec.model_id in {None, model_id} else ModelSpec()

    replayed = Replayed()
    monitor = Monitor(0, Topics(), spec_of)
    offset = 0
    for batch in _batches(predictions, outcomes, replayed, on_bytes):
        for _, _, value, _ in pack(batch, 1):
            for emission in monitor.apply(offset, value):
                if emission.role != "labelled":
                    _take_note(replayed, emission.role, emission.value)
                if (output := outputs.get(emission.role)) is not None:
                    output.write(emission.value + b"\n")
            offset += 1
    for model in monitor.models.values():
        replayed.counts.add(model.join.counts)
    return replayed


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestOptions:
    """What the operator asked for: paths, where "-" is standard input or output."""

    predictions: str
    outcomes: str
    out: str
    feedback: str | None
    labelled: str | None
    spec: str | None


def backtest(options: BacktestOptions, console: Console) -> int:
    """Run a backtest with progress and a closing table; return the exit code.

    Parameters
    ----------
    options
        What to read and write.
    console
        Where to say things; never standard output, which may carry lines.
    """
    calm_collector()
    spec = read_spec(options.spec)
    began_s = time.monotonic()
    with ExitStack() as stack:
        paths: dict[Role, str | None] = {
            "alerts": options.out,
            "feedback": options.feedback,
            "labelled": options.labelled,
        }
        outputs = {role: _open_output(path, stack) for role, path in paths.items() if path}
        columns = (TextColumn("reading"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        progress = Progress(*columns, console=console, disable=not console.is_terminal)
        stack.enter_context(progress)
        task = progress.add_task("", total=_total_bytes(options.predictions, options.outcomes))
        replayed = replay(
            options.predictions,
            options.outcomes,
            outputs,
            spec,
            lambda more: progress.advance(task, more),
        )
    _print_closing(replayed, time.monotonic() - began_s, console)
    return 0


def _print_closing(replayed: Replayed, seconds: float, console: Console) -> None:
    counts = replayed.counts
    for refusal in replayed.first_refusals:
        console.print(f"Refused {escape(refusal)}")
    if replayed.alerts:
        console.print(_alert_table(replayed.alerts))
    dropped = {
        "duplicate predictions": counts.duplicate_predictions,
        "duplicate outcomes": counts.duplicate_outcomes,
        "conflicting outcomes": counts.conflicting_outcomes,
        "expired predictions": counts.expired_predictions,
        "orphan outcomes": counts.orphan_outcomes,
        "refused lines": replayed.refused.total(),
    }
    said = [f"{count:,} {name}" for name, count in dropped.items() if count]
    console.print(
        f"{counts.predictions:,} predictions, {counts.outcomes:,} outcomes, {counts.pairs:,} pairs,"
        f" {len(replayed.alerts)} alerts, {replayed.feedback} feedback in {seconds:.1f} s"
        f" ({counts.pairs / max(seconds, 1e-9):,.0f} pairs/s).",
        soft_wrap=True,
    )
    if said:
        console.print(f"Left out: {', '.join(said)}.")


def _alert_table(alerts: list[Alert]) -> Table:
    by_series: dict[tuple[str, str], list[Alert]] = {}
    for alert in alerts:
        by_series.setdefault((alert.model_id, alert.series), []).append(alert)
    table = Table(title="Alerts")
    for title in ("model", "series", "alerts", "first at prediction", "what"):
        table.add_column(title, justify="right" if title in {"alerts", "first at"} else "left")
    for (model_id, series), found in by_series.items():
        first = found[0]
        what = first.aspect if first.category is None else f"{first.aspect} of {first.category!r}"
        place = f"{first.predictions_seen:,}"
        table.add_row(escape(model_id), escape(series), str(len(found)), place, escape(what))
    return table


def _total_bytes(*names: str) -> int | None:
    paths = [Path(name) for name in names]
    return sum(p.stat().st_size for p in paths) if all(p.is_file() for p in paths) else None


def _open_output(name: str, stack: ExitStack) -> IO[bytes]:
    if name == STANDARD_STREAM:
        return sys.stdout.buffer
    try:
        return stack.enter_context(Path(name).open("wb"))
    except OSError as error:
        msg = f"{name}: cannot be written: {error.strerror}"
        raise FileError(msg) from error


def _take_note(replayed: Replayed, role: Role, value: bytes) -> None:
    if role == "alerts":
        replayed.alerts.append(Alert.model_validate(orjson.loads(value)))
    elif role == "feedback":
        replayed.feedback += 1


def _batches(
    predictions: str, outcomes: str, replayed: Replayed, on_bytes: Callable[[int], None]
) -> Iterator[list[Accepted]]:
    """Yield the accepted events of both files in one order, ``MAX_BATCH_EVENTS`` at a time."""
    readers = [
        _Reader(predictions, "prediction", on_bytes),
        _Reader(outcomes, "outcome", on_bytes),
    ]
    merge = TimeMerge(idle_s=1.0)
    merge.assign([reader.source for reader in readers], now_s=0.0)
    ready: list[Accepted] = []
    while not all(reader.is_at_end for reader in readers):
        for reader in readers:
            if merge.held(reader.source) < LINES_AT_ONCE and not reader.is_at_end:
                taken = _accepted(reader.read(), replayed)
                merge.add(reader.source, taken, has_more=True, now_s=0.0)
                if reader.is_at_end:
                    merge.end(reader.source)
        ready += cast("list[Accepted]", merge.release(0.0, sys.maxsize))
        while len(ready) >= MAX_BATCH_EVENTS:
            yield ready[:MAX_BATCH_EVENTS]
            del ready[:MAX_BATCH_EVENTS]
    if ready:
        yield ready


def _accepted(lines: list[Raw], replayed: Replayed) -> list[Accepted | Refused]:
    taken: list[Accepted | Refused] = []
    for raw in lines:
        event = accept(raw)
        if isinstance(event, Accepted):
            taken.append(event)
            continue
        letter = event.letter
        replayed.refused[letter.reason] += 1
        if len(replayed.first_refusals) < SHOWN_REFUSALS:
            where = f"{letter.topic}, line {letter.offset}"
            replayed.first_refusals.append(f"{where}: {letter.reason}: {letter.detail}")
    return taken


def _open_input(name: str) -> tuple[IO[bytes], IO[bytes]]:
    """Return the file as it lies on disk, for its position, and its lines, unzipped."""
    if name == STANDARD_STREAM:
        return sys.stdin.buffer, sys.stdin.buffer
    try:
        raw = Path(name).open("rb")  # noqa: SIM115 - read to its end, closed with the process
    except OSError as error:
        msg = f"{name}: cannot be opened: {error.strerror}"
        raise FileError(msg) from error
    is_zipped = raw.peek(2)[:2] == b"\x1f\x8b"
    return raw, cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if is_zipped else raw
