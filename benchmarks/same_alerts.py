"""Show that two commits raise the same alerts for the same log.

Every log is made once, with the code of this checkout: of the car-loan example, its variant with
faulty values, the story of the demo, and seeded mixed streams, of which some are operated: specs,
controls of alerts and a removal are among their events. Then the core of the base commit and that
of this checkout, as it is on disk, each apply it, both with this checkout's interpreter. Alerts and
feedback are compared one by one, field by field: all fields but the wording, floating-point figures
within ``TOLERANCE``. Labelled rows are compared by their bytes. The exit code is 1 where anything
differs.

    python -m benchmarks.same_alerts --base main                     # a few minutes
    python -m benchmarks.same_alerts --base main --quick             # a minute
    python -m benchmarks.same_alerts --base main --keep .cache/same  # the base is not run twice
"""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import click
import orjson
from rich.console import Console
from rich.table import Table

from agents.demo.car_loan import DATA
from agents.demo.car_loan import published as car_loan_published
from agents.demo.story import published as story_published
from benchmarks import apply_log
from benchmarks.apply_log import OUTPUTS, framed
from benchmarks.machine import computer
from benchmarks.mixed_streams import Stream, mixed_stream
from benchmarks.recorded_log import events_of, operated, record_log

ROOT = Path(__file__).resolve().parent.parent
TOLERANCE = 1e-9
"""Relative: a sum of 100,000 terms in another order moves by 1e-11, a changed rule by far more."""
WORDING = frozenset({"summary", "runbook"})
MIXED, MIXED_QUICK = 20, 4
OPERATED, OPERATED_QUICK = 8, 2
"""Mixed streams of which an operated log is made, too."""
CAR_LOAN_QUICK = range(60_000, 90_000)
"""Rows of the car-loan example; it changes at row 75,000."""
AT_ONCE = 2
"""Runs in parallel: one of each commit."""
SHOWN_DIFFERENCES = 5
PIPE_WIDTH = 120
TITLES = (
    *("input", "events", "records", "alerts base", "alerts here", "feedback", "labelled"),
    *("equal", "largest deviation"),
)

Scalar = str | int | float | bool | None
Record = dict[str, object]


class Difference(NamedTuple):
    """A field in which two commits differ, by its path in the record."""

    record: str
    field: str
    base: object
    here: object


class Comparison(NamedTuple):
    """The differences between two runs, and the largest relative deviation within tolerance."""

    differences: list[Difference]
    deviation: float


def compare(name: str, base: Sequence[Record], here: Sequence[Record]) -> Comparison:
    """Compare two lists of records in their order.

    Parameters
    ----------
    name
        Of one record, as "alert".
    """
    differences: list[Difference] = []
    largest = 0.0
    for number, (was, now) in enumerate(zip_longest(base, here), start=1):
        record = f"{name} {number} ({_title(was or now)})"
        if was is None or now is None:
            presence = ("absent" if each is None else "present" for each in (was, now))
            differences.append(Difference(record, "the record itself", *presence))
            continue
        old, new = dict(_flat(was)), dict(_flat(now))
        for field in old | new:
            before, after = old.get(field, "absent"), new.get(field, "absent")
            deviation = _deviation(before, after)
            if deviation is None or deviation > TOLERANCE:
                differences.append(Difference(record, field, before, after))
            else:
                largest = max(largest, deviation)
    return Comparison(differences, largest)


def _deviation(before: Scalar, after: Scalar) -> float | None:
    """Return the relative deviation of two figures; None where two values are unequal at all."""
    if isinstance(before, float) and isinstance(after, float):
        return abs(before - after) / max(abs(before), abs(after), sys.float_info.min)
    return 0.0 if type(before) is type(after) and before == after else None


def _flat(value: object, path: str = "") -> Iterator[tuple[str, Scalar]]:
    """Yield the paths and values of a record's fields, without its wording."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name not in WORDING:
                yield from _flat(each, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        yield f"{path}.length", len(value)
        for number, each in enumerate(value):
            yield from _flat(each, f"{path}[{number}]")
    elif value is None or isinstance(value, Scalar):
        yield path, value


def _title(record: Record | None) -> str:
    names = ("model_id", "series", "aspect", "status", "command")
    return " ".join(str(record[name]) for name in names if record and name in record)


class Log(NamedTuple):
    """An input: a log and its spec, framed as `benchmarks.apply_log` reads them."""

    name: str
    events: int
    records: int
    data: bytes


def inputs(*, is_quick: bool) -> Iterator[Log]:
    """Yield every input."""
    for name in ("car_loan", "car_loan_dq"):
        yield from _logs(_car_loan(name, CAR_LOAN_QUICK if is_quick else None))
    lines: dict[str, list[bytes]] = {"prediction": [], "outcome": []}
    for event in story_published():
        lines[event.kind].append(event.payload)
    yield from _logs(Stream("story", lines["prediction"], lines["outcome"], {}))
    operated_streams = OPERATED_QUICK if is_quick else OPERATED
    for seed in range(MIXED_QUICK if is_quick else MIXED):
        yield from _logs(mixed_stream(seed), is_operated=seed < operated_streams)


def _car_loan(name: str, rows: range | None) -> Stream:
    lines: dict[str, list[bytes]] = {"prediction": [], "outcome": []}
    for event in car_loan_published(DATA.with_name(f"{name}.csv.gz")):
        row = int(event.prediction_id.rpartition("-")[2])
        if rows is None or row in rows:
            lines[event.kind].append(event.payload)
    return Stream(name, lines["prediction"], lines["outcome"], {})


def _logs(stream: Stream, *, is_operated: bool = False) -> Iterator[Log]:
    """Yield the log of a stream, and the one of the stream as operated."""
    events = events_of(stream)
    recorded = record_log(events, stream.spec)
    yield _log(stream.name, len(events), recorded.records, stream.spec)
    if is_operated:
        events = operated(events, recorded.firings, stream.spec)
        records = record_log(events, stream.spec).records
        yield _log(f"{stream.name}, operated", len(events), records, stream.spec)


def _log(name: str, events: int, records: list[bytes], spec: Mapping[str, object]) -> Log:
    return Log(name, events, len(records), framed([orjson.dumps(spec), *records]))


def commit_of(revision: str) -> str:
    """Return the full hash of a commit."""
    command = ["git", "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        sys.exit(f"{revision}: no such commit")
    return run.stdout.strip()


def check_out(commit: str, folder: Path) -> None:
    """Put a commit's files into a folder, unless it is there from an earlier run."""
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    command = ["git", "archive", "--format=tar", commit]
    archive = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    with (
        tempfile.TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as part,
        tarfile.open(fileobj=io.BytesIO(archive)) as files,
    ):
        files.extractall(part, filter="data")
        Path(part).rename(folder)


def apply(root: Path, log: Path, out: Path) -> None:
    """Apply a log with the core of a checkout, unless ``out`` is there from an earlier run."""
    if out.exists():
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    # An interrupted run must not leave half of its alerts under the name of all of them.
    with tempfile.TemporaryDirectory(dir=out.parent, ignore_cleanup_errors=True) as part:
        # -P: the folder of the program must not be on the path, only the checkout. Compiled code is
        # kept beside its source, so each checkout has its own.
        command = [sys.executable, "-P", apply_log.__file__, str(log), part, str(root)]
        environment = os.environ | {"PYTHONPATH": str(root)}
        run = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, check=False
        )
        if run.returncode:
            sys.exit(f"{' '.join(command)}\n{run.stderr}")
        Path(part).rename(out)


def records(out: Path, name: str) -> list[Record]:
    """Read the records of one output that a run has written."""
    return [orjson.loads(line) for line in (out / f"{name}.jsonl").read_bytes().splitlines()]


class Pair(NamedTuple):
    """An input and where each of the two runs over it writes."""

    log: Log
    base: Path
    here: Path
    runs: tuple[Future[None], Future[None]]


def start(pool: ThreadPoolExecutor, folder: Path, kept: Path, *, is_quick: bool) -> Iterator[Pair]:
    """Make the inputs; start both runs over each, and yield it."""
    program = Path(apply_log.__file__).read_bytes()
    for number, log in enumerate(inputs(is_quick=is_quick)):
        path = folder / f"{number}.log"
        path.write_bytes(log.data)
        digest = hashlib.sha256(framed([program, log.data])).hexdigest()[:16]
        base, here = kept / digest, folder / "here" / digest
        runs = (
            pool.submit(apply, kept / "checkout", path, base),
            pool.submit(apply, ROOT, path, here),
        )
        yield Pair(log._replace(data=b""), base, here, runs)


def settle(pair: Pair, table: Table) -> list[str]:
    """Wait for both runs, add a line to the table; return the differences in words."""
    for run in pair.runs:
        run.result()
    base, here = ({name: records(out, name) for name in OUTPUTS} for out in (pair.base, pair.here))
    found = [compare(name.removesuffix("s"), base[name], here[name]) for name in OUTPUTS]
    labelled = [orjson.loads((out / "labelled.json").read_bytes()) for out in pair[1:3]]
    found.append(compare("labelled rows", labelled[:1], labelled[1:]))
    differences = [each for comparison in found for each in comparison.differences]
    log, deviation = pair.log, max(comparison.deviation for comparison in found)
    counts = (
        log.events,
        log.records,
        len(base["alerts"]),
        len(here["alerts"]),
        len(here["feedback"]),
    )
    numbers = [f"{number:,}" for number in (*counts, labelled[1]["rows"])]
    table.add_row(log.name, *numbers, "NO" if differences else "yes", f"{deviation:.1g}")
    return list(sentences(log.name, differences))


def sentences(name: str, differences: Sequence[Difference]) -> Iterator[str]:
    """Yield the first differences of an input in words."""
    for record, field, base, here in differences[:SHOWN_DIFFERENCES]:
        yield f"{name}, {record}: {field} is {base!r} at the base and {here!r} here"
    if len(differences) > SHOWN_DIFFERENCES:
        yield f"{name}: {len(differences) - SHOWN_DIFFERENCES:,} more differences"


@click.command()
@click.option("--base", required=True, metavar="REV", help="The commit to compare with.")
@click.option("--quick", is_flag=True, help=f"{MIXED_QUICK} mixed streams, less of the car loan.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep the base's alerts here, by commit and log, and use those that are here.",
)
def main(base: str, quick: bool, keep: Path | None) -> None:
    """Compare the alerts of this checkout with those of a commit, for the same logs."""
    commit = commit_of(base)
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    table = Table(title=f"This checkout and {commit[:12]}")
    for title in TITLES:
        table.add_column(title, justify="left" if title in {"input", "equal"} else "right")
    different: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="tidegauge-same-") as name,
        ExitStack() as stack,
    ):
        folder, pool = Path(name), ThreadPoolExecutor(AT_ONCE)
        stack.callback(pool.shutdown, cancel_futures=True)
        kept = (keep.resolve() if keep else folder / "kept") / commit
        check_out(commit, kept / "checkout")
        for pair in list(start(pool, folder, kept, is_quick=quick)):
            different += settle(pair, table)
    command = " ".join(sys.argv[1:])
    console.print(f"`python -m benchmarks.same_alerts {command}`: {computer()}.", soft_wrap=True)
    console.print(table)
    for sentence in different:
        console.print(sentence, markup=False, soft_wrap=True)
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
