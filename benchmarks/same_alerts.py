"""Show that two commits raise the same alerts on the same input.

Every input is made once, with the code of this checkout: the car-loan example, its variant with
faulty values, the story of the demo, and seeded mixed streams. Then the base commit, in a temporary
folder, and this checkout, as it is on disk, each run their own ``./tidegauge backtest`` on it, both
with this checkout's interpreter. Alerts and feedback are compared one by one, field by field: all
fields but the wording, floating-point figures within ``TOLERANCE``. The exit code is 1 where
anything differs.

    python -m benchmarks.same_alerts --base main                     # a few minutes
    python -m benchmarks.same_alerts --base main --quick             # a minute
    python -m benchmarks.same_alerts --base main --keep .cache/same  # the base is not run twice
"""

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
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
from benchmarks.machine import computer
from benchmarks.mixed_streams import Stream, mixed_stream

ROOT = Path(__file__).resolve().parent.parent
TOLERANCE = 1e-9
"""Relative: a sum of 100,000 terms in another order moves by 1e-11, a changed rule by far more."""
WORDING = frozenset({"summary", "runbook"})
OUTPUTS = ("alerts", "feedback")
MIXED, MIXED_QUICK = 20, 4
CAR_LOAN_QUICK = range(60_000, 90_000)
"""Rows of the car-loan example; it changes at row 75,000."""
AT_ONCE = 2
"""Runs in parallel: one of each commit."""
SHOWN_DIFFERENCES = 5
PIPE_WIDTH = 120
TITLES = (
    *("input", "rows", "alerts base", "alerts here", "feedback base", "feedback here"),
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


def inputs(*, is_quick: bool) -> Iterator[Stream]:
    """Yield every input."""
    for name in ("car_loan", "car_loan_dq"):
        yield _car_loan(name, CAR_LOAN_QUICK if is_quick else None)
    lines: dict[str, list[bytes]] = {"prediction": [], "outcome": []}
    for event in story_published():
        lines[event.kind].append(event.payload)
    yield Stream("story", lines["prediction"], lines["outcome"], {})
    for seed in range(MIXED_QUICK if is_quick else MIXED):
        yield mixed_stream(seed)


def _car_loan(name: str, rows: range | None) -> Stream:
    lines: dict[str, list[bytes]] = {"prediction": [], "outcome": []}
    for event in car_loan_published(DATA.with_name(f"{name}.csv.gz")):
        row = int(event.prediction_id.rpartition("-")[2])
        if rows is None or row in rows:
            lines[event.kind].append(event.payload)
    return Stream(name, lines["prediction"], lines["outcome"], {})


def write(stream: Stream, folder: Path) -> str:
    """Write the files of a backtest's input; return the hash of their bytes."""
    folder.mkdir()
    files = {
        "predictions.jsonl": b"".join(line + b"\n" for line in stream.predictions),
        "outcomes.jsonl": b"".join(line + b"\n" for line in stream.outcomes),
        "spec.json": orjson.dumps(stream.spec),
    }
    digest = hashlib.sha256()
    for name, text in files.items():
        (folder / name).write_bytes(text)
        digest.update(hashlib.sha256(text).digest())
    return digest.hexdigest()[:16]


def commit_of(revision: str) -> str:
    """Return the full hash of a commit."""
    command = ["git", "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        sys.exit(f"{revision}: no such commit")
    return run.stdout.strip()


def check_out(commit: str, folder: Path) -> None:
    """Put a commit's files into a folder, with this interpreter's environment beside them."""
    command = ["git", "archive", "--format=tar", commit]
    archive = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    (folder / ".venv").symlink_to(sys.prefix)


def backtest(root: Path, recorded: Path, out: Path) -> None:
    """Run a checkout's backtest over an input, unless ``out`` is there from an earlier run."""
    if out.exists():
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    # An interrupted run must not leave half of its alerts under the name of all of them.
    with tempfile.TemporaryDirectory(dir=out.parent, ignore_cleanup_errors=True) as part:
        command = [
            *(str(root / "tidegauge"), "backtest"),
            *("--predictions", str(recorded / "predictions.jsonl")),
            *("--outcomes", str(recorded / "outcomes.jsonl")),
            *("--spec", str(recorded / "spec.json")),
            *("--out", f"{part}/alerts.jsonl", "--feedback", f"{part}/feedback.jsonl"),
        ]
        run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if run.returncode:
            sys.exit(f"{' '.join(command)}\n{run.stderr}")
        if not out.exists():
            Path(part).rename(out)


def records(out: Path) -> dict[str, list[Record]]:
    """Read what a backtest has written."""
    return {
        name: [orjson.loads(line) for line in (out / f"{name}.jsonl").read_bytes().splitlines()]
        for name in OUTPUTS
    }


class Pair(NamedTuple):
    """An input and where each of the two runs over it writes."""

    name: str
    rows: int
    base: Path
    here: Path
    runs: tuple[Future[None], Future[None]]


def start(pool: ThreadPoolExecutor, folder: Path, kept: Path, *, is_quick: bool) -> list[Pair]:
    """Make the inputs and start both runs over each."""
    pairs: list[Pair] = []
    for number, stream in enumerate(inputs(is_quick=is_quick)):
        recorded = folder / f"input-{number}"
        digest = write(stream, recorded)
        base, here = kept / digest, folder / "here" / digest
        runs = (
            pool.submit(backtest, folder / "base", recorded, base),
            pool.submit(backtest, ROOT, recorded, here),
        )
        pairs.append(Pair(stream.name, len(stream.predictions), base, here, runs))
    return pairs


def settle(pair: Pair, table: Table) -> list[Difference]:
    """Wait for both runs, add a line to the table; return the differences."""
    for run in pair.runs:
        run.result()
    base, here = records(pair.base), records(pair.here)
    found = [compare(name.removesuffix("s"), base[name], here[name]) for name in OUTPUTS]
    differences = [each for comparison in found for each in comparison.differences]
    counts = [f"{len(each[name])}" for name in OUTPUTS for each in (base, here)]
    deviation = max(comparison.deviation for comparison in found)
    verdict = "NO" if differences else "yes"
    table.add_row(pair.name, f"{pair.rows:,}", *counts, verdict, f"{deviation:.1g}")
    return differences


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
    help="Keep the base's alerts here, by commit and input, and use those that are here.",
)
def main(base: str, quick: bool, keep: Path | None) -> None:
    """Compare the alerts of this checkout with those of a commit, on the same inputs."""
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
        check_out(commit, folder / "base")
        kept = (keep.resolve() if keep else folder / "kept") / commit
        for pair in start(pool, folder, kept, is_quick=quick):
            different += sentences(pair.name, settle(pair, table))
    command = " ".join(sys.argv[1:])
    console.print(f"`python -m benchmarks.same_alerts {command}`: {computer()}.", soft_wrap=True)
    console.print(table)
    for sentence in different:
        console.print(sentence, markup=False, soft_wrap=True)
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
