"""A guard on speed in under three minutes: counts that do not depend on the machine, then ratios.

Counts are of the core alone, over the same 6,000 pairs each time: calls of functions a pair (what
the profiler counts), for one model, 8 and 50, and bytes held for a waiting prediction. They move
by a thousandth between runs, so a change that makes a hot path longer is seen on any machine.
Ratios are of CPU seconds and of pairs per second, this project's worker against a bare aiokafka
loop, in two interleaved rounds on Apache Kafka; they move by a fifth between runs.

    python -m benchmarks.guard
"""

import cProfile
import pstats
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from agents.worker.assembly import tune_gc
from benchmarks.contenders import CONTENDERS
from benchmarks.contest import BROKER_JAVA, Contest, compete
from benchmarks.contest_report import OURS
from benchmarks.core import BOTH, Core
from benchmarks.standings import JOBS, standings
from tests.kafka import RealKafka

CEILING = "bare aiokafka"
WARM_PAIRS = 3_000
COUNTED_PAIRS = 6_000
WAITING = 10_000
ROUNDS = 2
PAIRS = 50_000

MOST_CALLS = {1: 82.0, 8: 126.0, 50: 162.0}
"""Calls a pair by number of models; 8 learn their references in these pairs, 50 begin to."""
MOST_WAITING_BYTES = 830.0
MOST_CPU_RATIO = 2.0
LEAST_PACE_RATIO = 0.4


@dataclass(frozen=True, slots=True)
class Check:
    """A figure and its bound."""

    what: str
    got: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the figure is within its bound."""
        return (self.at_least is None or self.got >= self.at_least) and (
            self.at_most is None or self.got <= self.at_most
        )


def calls_a_pair(models: int) -> float:
    """Return how many functions are called for a pair."""
    core = Core(models)
    core.take(core.raws(WARM_PAIRS, 0, BOTH))
    counted = core.raws(COUNTED_PAIRS, WARM_PAIRS, BOTH)
    profile = cProfile.Profile()
    profile.runcall(core.take, counted)
    calls: int = pstats.Stats(profile).total_calls  # type: ignore[attr-defined]
    return calls / COUNTED_PAIRS


def bytes_a_waiting_prediction() -> float:
    """Return what the core holds for a prediction without its outcome."""
    core = Core(1)
    core.take(core.raws(WARM_PAIRS, 0, BOTH))
    raws = core.raws(WAITING, WARM_PAIRS, ("predictions",))
    tracemalloc.start()
    core.take(raws)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / WAITING


def counts() -> Iterator[Check]:
    """Yield the figures that are the same on every machine."""
    for models, most in MOST_CALLS.items():
        what = f"calls a pair of the core, {models} model{'s' * (models > 1)}"
        yield Check(what, calls_a_pair(models), at_most=most)
    what = "bytes held for a waiting prediction of 10 features"
    yield Check(what, bytes_a_waiting_prediction(), at_most=MOST_WAITING_BYTES)


def ratios() -> Iterator[Check]:
    """Yield ours against the bare loop, on Apache Kafka."""
    chosen = [each for each in CONTENDERS if each.name in {OURS, CEILING}]
    job = replace(JOBS[0], pairs=PAIRS)
    with (
        RealKafka(java_options=BROKER_JAVA) as broker,
        tempfile.TemporaryDirectory(prefix="tidegauge-guard-") as folder,
    ):
        runs = compete(Contest(broker.bootstrap, Path(folder)), chosen, [job], ROUNDS)
    by_name = {each.contender: each for each in standings(runs, job.name)}
    ours, bare = by_name[OURS], by_name[CEILING]
    what = "CPU seconds a pair, ours over a bare aiokafka loop"
    yield Check(f"{what}, with start", ours.cpu_with_start / bare.cpu_with_start)
    yield Check(what, ours.cpu / bare.cpu, at_most=MOST_CPU_RATIO)
    what = "pairs per second, ours over a bare aiokafka loop"
    yield Check(what, ours.rate / bare.rate, at_least=LEAST_PACE_RATIO)
    yield Check("pairs of ours lost or doubled", ours.lost + ours.doubled, at_most=0)


def main() -> None:
    """Print the figures; exit 1 where one is out of its bound."""
    tune_gc()
    checks = [*counts(), *ratios()]
    table = Table("what", "got", "bound", "met")
    for check in checks:
        bound = f"at most {check.at_most:g}" if check.at_most is not None else ""
        bound = f"at least {check.at_least:g}" if check.at_least is not None else bound
        met = ("yes" if check.is_met else "NO") if bound else ""
        table.add_row(check.what, f"{check.got:,.2f}", bound, met)
    Console().print(table)
    if broken := [check for check in checks if not check.is_met]:
        sys.exit(f"{len(broken)} of the figures are out of their bounds")


if __name__ == "__main__":
    main()
