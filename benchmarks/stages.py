"""Where the CPU time of a pair goes, without a broker, and what a bare loop takes for its job.

The same inputs run through each stage, a few thousand at a time, and through the `take` of the bare
aiokafka loop; told is the lower quartile of the CPU time of these parts, since whatever else runs
on a machine only adds to it. What is left out is sending, fetching and starting, ours and theirs.

    python -m benchmarks.stages --models 1 50
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import quantiles
from typing import Any

from rich.console import Console
from rich.table import Table

from agents.worker.assembly import tune_gc
from agents.worker.monitor import RECORDS_AT_ONCE
from benchmarks.core import BOTH, Core
from benchmarks.rivals.aiokafka_loop import Loop
from benchmarks.rivals.job import Place
from schemas.event import Source
from schemas.topics import Topics
from schemas.wire import MAX_PAYLOAD_BYTES
from streams.aspects import SeriesRole
from streams.ingest.accept import accept_all
from streams.ingest.batches import pack
from streams.ingest.merge import TimeMerge
from streams.ingest.records import Raw
from streams.monitor import Monitor
from streams.series.reading import Column, Reading, RowTransition
from streams.series.series_set import SeriesSet

PAIRS_AT_ONCE = 2_000
LATER_MS = 1 << 60
SENT_AT_MS, SENT_A_MS = 1_790_000_000_000, 25
"""A backlog that was sent in a hurry, long after what it tells: dozens share a millisecond."""
STAGES = (
    "ingest: read, check, write",
    "ingest: put in order",
    "ingest: pack records",
    "monitor: decode, join, label",
    "monitor: read series",
)
BARE = "bare aiokafka loop, all of it"


@dataclass(slots=True)
class Record:
    """An input as a fetch gives it."""

    offset: int
    timestamp: int
    value: bytes
    key: bytes | None = None


class Clock:
    """CPU time by stage, part after part, in microseconds a pair."""

    def __init__(self) -> None:
        self.took: dict[str, list[float]] = defaultdict(list)

    def run(self, stage: str, work: Callable[[], Any]) -> Any:
        """Do the work, and take note of what it took."""
        began_s = time.process_time()
        done = work()
        self.took[stage].append((time.process_time() - began_s) * 1e6 / PAIRS_AT_ONCE)
        return done

    def quartile(self, stage: str) -> float:
        """Return the lower quartile; the first parts, in which caches fill, are left out."""
        return quantiles(self.took[stage][2:], n=4)[0]


class TimedSeries(SeriesSet):
    """Series that know how long they have been read."""

    seconds = 0.0

    def read(
        self, columns: Sequence[Column], reading: Reading
    ) -> list[tuple[SeriesRole, RowTransition]]:
        """Read, and add how long it took."""
        began_s = time.process_time()
        transitions = super().read(columns, reading)
        TimedSeries.seconds += time.process_time() - began_s
        return transitions


class Stages:
    """The stages of this project, with nothing in between."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.clock = Clock()
        self._sources = sources
        self._monitor = Monitor(0, Topics(), series_of=TimedSeries)
        self._offset = 0

    def take(self, inputs: dict[Source, list[Record]]) -> None:
        """Take inputs through all stages."""
        clock = self.clock
        accepted = clock.run(
            STAGES[0],
            lambda: {
                source: accept_all(source, records, LATER_MS, MAX_PAYLOAD_BYTES)
                for source, records in inputs.items()
            },
        )
        merged = clock.run(STAGES[1], lambda: self._in_order(accepted))
        records = clock.run(STAGES[2], lambda: pack(merged, 1))
        values = [(self._offset + number, value) for number, (_, _, value, _) in enumerate(records)]
        self._offset += len(values)
        before_s = TimedSeries.seconds
        clock.run(STAGES[3], lambda: self._apply(values))
        reading_us = (TimedSeries.seconds - before_s) * 1e6 / PAIRS_AT_ONCE
        clock.took[STAGES[3]][-1] -= reading_us
        clock.took[STAGES[4]].append(reading_us)

    def _in_order(self, accepted: dict[Source, list[Any]]) -> list[Any]:
        merge = TimeMerge(0.0)
        merge.assign(self._sources)
        for source, items in accepted.items():
            merge.add(source, items, has_more=False)
            merge.end(source)
        return merge.release(1.0, 1 << 30)

    def _apply(self, values: list[tuple[int, bytes]]) -> None:
        for first in range(0, len(values), RECORDS_AT_ONCE):
            self._monitor.ingest(values[first : first + RECORDS_AT_ONCE])
        self._monitor.evaluate_all()


def measure(models: int, pairs: int) -> dict[str, float]:
    """Return microseconds of CPU time a pair by stage, and of the bare loop."""
    inputs = Core(models).raws(pairs, 0, BOTH)
    stages = Stages(sorted({raw.source for raw in inputs}))
    places = Place("", "", "predictions", "outcomes", "pairs", "alerts", "")
    bare, bare_clock = Loop(places), Clock()
    for first in range(0, len(inputs), 2 * PAIRS_AT_ONCE):
        part = inputs[first : first + 2 * PAIRS_AT_ONCE]
        by_source: dict[Source, list[Record]] = defaultdict(list)
        for at, raw in enumerate(part, first):
            by_source[raw.source].append(
                Record(raw.offset, SENT_AT_MS + at // SENT_A_MS, raw.value or b"")
            )
        stages.take(by_source)
        bare_clock.run(BARE, partial(_take_all, bare, part))
    return {stage: stages.clock.quartile(stage) for stage in STAGES} | {
        BARE: bare_clock.quartile(BARE)
    }


def _take_all(bare: Loop, inputs: Sequence[Raw]) -> None:
    pairs: list[bytes] = []
    alerts: list[bytes] = []
    for raw in inputs:
        bare.take(raw.source.topic, raw.value or b"", pairs, alerts)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", type=int, nargs="+", default=[1, 50])
    parser.add_argument("--pairs", type=int, default=100_000, help="of all models together")
    options = parser.parse_args()
    measure(1, 5 * PAIRS_AT_ONCE)  # loads and compiles what is needed
    tune_gc()
    found = [measure(models, options.pairs) for models in options.models]
    table = Table("us of CPU a pair", *(f"{n:,} model{'s' * (n > 1)}" for n in options.models))
    for stage in STAGES:
        table.add_row(stage, *(f"{each[stage]:.2f}" for each in found))
    whole = [sum(each[stage] for stage in STAGES) for each in found]
    table.add_section()
    table.add_row("all of it", *(f"{each:.2f}" for each in whole))
    table.add_row(BARE, *(f"{each[BARE]:.2f}" for each in found))
    ratios = [ours / each[BARE] for ours, each in zip(whole, found, strict=True)]
    table.add_row("ours over the bare loop's", *(f"{ratio:.2f}" for ratio in ratios))
    Console().print(table)


if __name__ == "__main__":
    main()
