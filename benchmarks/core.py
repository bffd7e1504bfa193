"""The core alone, without a broker: what it calls, and what it holds.

python -m benchmarks.core --models 100 --pairs 250000      megabytes held, in a fresh process
"""

import argparse
import ctypes
import gc
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from benchmarks.measure import resident_mb
from benchmarks.throughput import FIRST_AT_MS, OUTCOME_LAG, ROOT, events
from schemas.event import Source
from schemas.topics import Topics
from schemas.wire import MAX_PAYLOAD_BYTES
from streams.ingest.batches import MAX_BATCH_EVENTS, pack
from streams.ingest.fetch import accept_all
from streams.ingest.records import Accepted
from streams.monitor import Monitor

BOTH = ("predictions", "outcomes")
AT_ONCE = 5_000
LATER_MS = 1 << 60
"""A clock of ingest that all timestamps are before."""


@dataclass(slots=True)
class Record:
    """An input as a fetch gives it."""

    offset: int
    timestamp: int
    value: bytes
    key: bytes | None = None


Inputs = dict[Source, list[Record]]
in_time = attrgetter("timestamp")


class Core:
    """Ingest and monitor of one partition, without a broker.

    Parameters
    ----------
    models, features
        How many the pairs are of.
    lag
        How many predictions come between one and its outcome.
    """

    def __init__(self, models: int, features: int = 10, lag: int = OUTCOME_LAG) -> None:
        self._models = models
        self._features = features
        self._lag = lag
        self._monitor = Monitor(0, Topics())
        self._offset = 0
        self._offsets = {"predictions": 0, "outcomes": 0}

    def raws(self, pairs: int, first: int, topics: tuple[str, ...]) -> Inputs:
        """Return inputs as fetches give them; their timestamps give their order."""
        sources = {
            "predictions": Source("prediction", "predictions", 0),
            "outcomes": Source("outcome", "outcomes", 0),
        }
        found: Inputs = {sources[topic]: [] for topic in topics}
        number = {"predictions": first, "outcomes": first + self._lag}
        for topic, _, payload in self._events(pairs, first):
            if topic in topics:
                at_ms = FIRST_AT_MS + 10 * number[topic]
                found[sources[topic]].append(Record(self._offsets[topic], at_ms, payload))
                self._offsets[topic] += 1
                number[topic] += 1
        return found

    def _events(self, pairs: int, first: int) -> Iterator[tuple[str, str, bytes]]:
        return events(pairs, self._models, features=self._features, lag=self._lag, first=first)

    def take(self, inputs: Inputs) -> None:
        """Accept, pack and apply them."""
        accepted = [
            event
            for source, records in inputs.items()
            for event in accept_all(source, records, LATER_MS, MAX_PAYLOAD_BYTES)
            if isinstance(event, Accepted)
        ]
        accepted.sort(key=attrgetter("logged_at"))
        for start in range(0, len(accepted), MAX_BATCH_EVENTS):
            for _, _, value, _ in pack(accepted[start : start + MAX_BATCH_EVENTS], 1):
                self._monitor.apply(self._offset, value)
                self._offset += 1


class Footprint(NamedTuple):
    """Megabytes that the core holds after some pairs, of models of some features.

    Parameters
    ----------
    held_mb
        What Python and numpy have allocated and not freed.
    resident_mb
        By how much the process has grown: what learning took and freed may still be in it.
    """

    models: int
    features: int
    pairs: int
    held_mb: float
    resident_mb: float


def footprint(models: int, features: int, pairs: int) -> Footprint:
    """Measure it in a process of its own, which has nothing else to hold."""
    sizes = {"models": models, "features": features, "pairs": pairs}
    options = [text for name, size in sizes.items() for text in (f"--{name}", str(size))]
    command = [sys.executable, "-m", "benchmarks.core", *options]
    megabytes: list[float] = []
    for how in (["--traced"], []):
        run = subprocess.run([*command, *how], capture_output=True, text=True, check=True, cwd=ROOT)
        megabytes.append(float(run.stdout))
    return Footprint(models, features, pairs, *megabytes)


def _megabytes() -> float:
    """Return what is traced, or the resident set without what was only not yet given back."""
    gc.collect()
    if tracemalloc.is_tracing():
        return tracemalloc.get_traced_memory()[0] / 1e6
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    return resident_mb([os.getpid()])


def main() -> None:
    """Print the megabytes that these pairs leave behind."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("models", "features", "pairs"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--traced", action="store_true", help="count what is held; slower")
    options = parser.parse_args()
    Core(1).take(Core(1).raws(AT_ONCE, 0, BOTH))  # loads and compiles what it needs
    core = Core(options.models, options.features, lag=0)  # nothing waits
    if options.traced:
        tracemalloc.start()
    before_mb = _megabytes()
    for first in range(0, options.pairs, AT_ONCE):
        core.take(core.raws(min(AT_ONCE, options.pairs - first), first, BOTH))
    print(f"{_megabytes() - before_mb:.2f}")


if __name__ == "__main__":
    main()
