"""One table that says what was done, what came of it, and where."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterator
from importlib.metadata import version

from rich.console import Console
from rich.table import Table

from benchmarks.chaos.run import ChaosOptions, ChaosResult
from benchmarks.chaos.schedule import KINDS, LONG_KINDS
from tests.kafka import KAFKA_VERSION

_MOST_SENTENCES = 12
_PACKAGES = ("faust-streaming", "aiokafka", "river")


def print_report(options: ChaosOptions, result: ChaosResult, console: Console) -> None:
    """Print the table, what the workers complained of, and the verdict."""
    table = Table(title="Chaos", title_justify="left")
    table.add_column("what")
    table.add_column("figure", justify="right")
    for name, figure in _rows(options, result):
        table.add_row(name, figure)
    console.print(table)
    for exit_ in result.tally.unexpected:
        console.print(f"Unexpected end, exit code {exit_.code}: {exit_.last_line}", markup=False)
    for (level, sentence), count in result.logs.said.most_common(_MOST_SENTENCES):
        console.print(f"{count:5,} x {level}: {sentence}", markup=False, style="dim")
    for role, found in result.findings.items():
        if not found.is_equal:
            console.print(f"{role}: {found}", markup=False)
    console.print(
        "Equal: nothing is lost, nothing was made up."
        if result.holds
        else "NOT EQUAL: the promise is broken."
    )


def _rows(options: ChaosOptions, result: ChaosResult) -> Iterator[tuple[str, str]]:
    yield from _broken(options, result)
    yield from _found(result)
    yield "command", "python -m benchmarks.chaos"
    for name in ("kills", "seed", "brokers", "per_second", "max_wait_s", "pace", "long"):
        yield f"  --{name.replace('_', '-')}", f"{getattr(options, name)}"
    yield "machine", f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    yield "versions", f"Python {platform.python_version()}, Kafka {KAFKA_VERSION}"
    yield "", packages


def _broken(options: ChaosOptions, result: ChaosResult) -> Iterator[tuple[str, str]]:
    yield "brokers, copies of a record", f"{options.brokers}, {options.brokers}"
    yield from ((f"fault: {kind}", f"{result.faults[kind]:,}") for kind in (*KINDS, *LONG_KINDS))
    yield "brokers killed that led the controllers", f"{result.controllers_killed:,}"
    yield "workers started", f"{result.tally.starts:,}"
    yield from ((f"ended by {how}", f"{n:,}") for how, n in sorted(result.tally.ends.items()))
    yield "unexpected ends", f"{len(result.tally.unexpected):,}"
    yield "states that could not be used", f"{result.logs.unusable_states:,}"
    pauses_s = sorted(result.pauses_s)
    long_s = [pause_s for pause_s in pauses_s if pause_s > 3.0] or [0.0]
    yield "longest pause of a partition's output", f"{long_s[-1]:.1f} s"
    yield "share of the run with a partition unwatched", f"{result.unwatched_share:.1%}"
    yield "median of its pauses over 3 s", f"{statistics.median(long_s):.1f} s"


def _found(result: ChaosResult) -> Iterator[tuple[str, str]]:
    yield "messages sent", f"{result.sent.total():,}"
    yield from ((f"  {what}", f"{count:,}") for what, count in sorted(result.sent.items()))
    yield "inputs committed", f"{result.inputs.inputs:,}"
    yield "inputs lost", f"{result.inputs.lost:,}"
    yield "inputs in the log, passed over", f"{result.inputs.passed_over:,}"
    yield "inputs taken twice", f"{result.inputs.taken_twice:,}"
    yield "inputs repeated in the log, dropped", f"{result.inputs.repeated:,}"
    for role, found in result.findings.items():
        yield f"{role}: called for", f"{found.expected:,}"
    for name in ("missing", "pending", "unexpected", "differing"):
        total = sum(getattr(found, name) for found in result.findings.values())
        yield f"outputs {name}", f"{total:,}"
    repeated = sum(found.repeated for found in result.findings.values())
    yield "outputs repeated, identical", f"{repeated:,}"
    yield "state records written, left", f"{result.state_written:,}, {result.state_left:,}"
    yield "all committed at the end", "yes" if result.has_drained else "NO"
    yield "seconds of faults, of all", f"{result.faults_s:,.0f}, {result.seconds:,.0f}"
