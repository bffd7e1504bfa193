"""Where the CPU time of a pair goes, without a broker, and what a bare loop takes for its job.

The same inputs run through each stage, a few thousand at a time, and through the `take` of the bare
aiokafka loop. While the series of a model learn their references, a pair costs more than later, so
each has a column: of the parts in which they learn the mean, since each reference is made once; of
the parts after them the lower quartile, since other work on a machine only adds to it. Sending,
fetching and starting are left out, ours and theirs.

    python -m benchmarks.stages --models 1 50 --features 10 500
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from statistics import fmean, quantiles
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from agents.worker.assembly import tune_gc
from agents.worker.monitor import RECORDS_AT_ONCE
from benchmarks.core import BOTH, LATER_MS, Core, Inputs, Record, in_time
from benchmarks.rivals.aiokafka_loop import Loop
from benchmarks.rivals.job import Place
from schemas.event import Source
from schemas.topics import Topics
from schemas.wire import MAX_PAYLOAD_BYTES
from streams.aspects import SeriesRole
from streams.ingest.batches import pack
from streams.ingest.fetch import accept_all
from streams.ingest.merge import TimeMerge
from streams.monitor import Monitor
from streams.series.reading import Column, Reading, RowTransition
from streams.series.series_set import SeriesSet

PAIRS_AT_ONCE = 2_000
LEARNING_ROWS = 2_600
"""Rows of a model until its series have the last of their first references, with a margin for an
alert that begins one of them again: the default of ``reference.rows`` is 2,000."""
LEARNING_PAIRS = 8_000
"""Pairs of the column of learning, at least."""
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


class Price(NamedTuple):
    """Microseconds of CPU time a pair, while series learn and after that."""

    learning: float
    settled: float


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

    def price(self, stage: str, learning: int) -> Price:
        """Return the price of a stage; in so many of the first parts, series learn."""
        took = self.took[stage]
        return Price(fmean(took[:learning]), quantiles(took[learning:], n=4)[0])


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

    def take(self, inputs: Inputs) -> None:
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


def measure(models: int, features: int, pairs: int) -> dict[str, Price]:
    """Return the price of each stage, and of the bare loop.

    ``pairs`` are those after which all series have learnt.
    """
    learning = -(-max(models * LEARNING_ROWS, LEARNING_PAIRS) // PAIRS_AT_ONCE)
    parts = learning + pairs // PAIRS_AT_ONCE
    core, bare_clock = Core(models, features), Clock()
    bare = Loop(Place("", "", "predictions", "outcomes", "pairs", "alerts", ""))
    stages = Stages([Source("outcome", "outcomes", 0), Source("prediction", "predictions", 0)])
    for number in range(parts):
        inputs = core.raws(PAIRS_AT_ONCE, number * PAIRS_AT_ONCE, BOTH)
        part = [(s.topic, record) for s, records in inputs.items() for record in records]
        part.sort(key=lambda each: in_time(each[1]))
        for at, (_, record) in enumerate(part, 2 * PAIRS_AT_ONCE * number):
            record.timestamp = SENT_AT_MS + at // SENT_A_MS
        stages.take(inputs)
        bare_clock.run(BARE, partial(_take_all, bare, part))
    prices = {stage: stages.clock.price(stage, learning) for stage in STAGES}
    return prices | {BARE: bare_clock.price(BARE, learning)}


def _take_all(bare: Loop, inputs: Sequence[tuple[str, Record]]) -> None:
    pairs: list[bytes] = []
    alerts: list[bytes] = []
    for topic, record in inputs:
        bare.take(topic, record.value, pairs, alerts)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", type=int, nargs="+", default=[1, 50])
    parser.add_argument("--features", type=int, nargs="+", default=[10])
    parser.add_argument(
        "--pairs", type=int, default=20_000, help="after those from which all models learn"
    )
    options = parser.parse_args()
    if options.pairs < 2 * PAIRS_AT_ONCE:
        parser.error(f"--pairs {options.pairs}: at least {2 * PAIRS_AT_ONCE:,}, two parts")
    measure(1, 10, 2 * PAIRS_AT_ONCE)  # loads and compiles what is needed
    tune_gc()
    sizes = list(product(options.models, options.features))
    heads = [f"{n:,} model{'s' * (n > 1)} of {features:,}" for n, features in sizes]
    found = [measure(*size, options.pairs) for size in sizes]
    table = Table("us of CPU a pair", *(f"{h}\n{p}" for h in heads for p in Price._fields))
    for stage in STAGES:
        table.add_row(stage, *(f"{us:.2f}" for each in found for us in each[stage]))
    whole = [sum(us) for each in found for us in zip(*(each[s] for s in STAGES), strict=True)]
    bare = [us for each in found for us in each[BARE]]
    table.add_section()
    table.add_row("all of it", *(f"{us:.2f}" for us in whole))
    table.add_row(BARE, *(f"{us:.2f}" for us in bare))
    ratios = [ours / theirs for ours, theirs in zip(whole, bare, strict=True)]
    table.add_row("ours over the bare loop's", *(f"{ratio:.2f}" for ratio in ratios))
    Console().print(table)


if __name__ == "__main__":
    main()
