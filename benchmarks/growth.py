"""How the cost of a pair grows with everything it could grow with, on Apache Kafka.

Each case has workers of its own, started on empty topics. They take predictions that nobody will
answer, where the case has some, then a few pairs to warm up; then the counted pairs are published,
and the workers are charged for the user and system time until the last of these is in `labelled`.
So no start and no compilation is in the figures. With 10,000 models each has few rows and is still
learning: 2,000 rows for each would be 20,000,000 pairs. What their series have not read yet at the
end is about what the warm-up left them to read.

    python -m benchmarks.growth --write
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from agents.demo.child import log_tail, start_child, stop_child
from agents.kafka.topics import create_topics
from agents.settings import Settings, load_settings
from benchmarks.core import footprint
from benchmarks.growth_report import Case, Grown, show
from benchmarks.machine import machine
from benchmarks.measure import Topic, resident_mb, usage
from benchmarks.pages import save
from benchmarks.restart import wait_until_saved
from benchmarks.throughput import ROOT, events, publish
from tests.kafka import RealKafka

UNANSWERED_FROM = 100_000_000
LOOK_EVERY_S = 0.1
PATIENCE_S = 600.0

FOOTPRINTS = ((1, 10, 2_500), (1, 500, 2_500), (1, 10, 20_000), (8, 10, 20_000))
"""Models, features and pairs; 2,500 pairs of a model are enough to have learnt it."""

CASES = (
    *(Case("features", n, features=n, pairs=p) for n, p in ((1, 50_000), (10, 50_000))),
    *(Case("features", n, features=n, pairs=p) for n, p in ((100, 20_000), (500, 6_000))),
    *(Case("models", n, models=n, pairs=200_000, warm=20_000) for n in (1, 50, 1_000, 10_000)),
    *(Case("waiting", n, waiting=n) for n in (1_000, 100_000, 1_000_000)),
    *(Case("workers", n, workers=n, models=50, pairs=100_000) for n in (1, 2, 4)),
    *(Case("delay", n, lag=n) for n in (0, 1_000, 50_000)),
    *(Case("payload", n, features=1, padding=n, pairs=20_000) for n in (50, 1_000, 10_000)),
)


@dataclass(slots=True)
class Fleet:
    """The workers of one case, on topics of their own."""

    settings: Settings
    workers: list[subprocess.Popen[bytes]]
    log_paths: list[Path]

    @property
    def pids(self) -> list[int]:
        """The workers' processes."""
        return [worker.pid for worker in self.workers]

    def check(self, deadline_s: float) -> None:
        """Give up, with a log, where a worker has ended or time is over."""
        for worker, log_path in zip(self.workers, self.log_paths, strict=True):
            if worker.poll() is not None or time.monotonic() > deadline_s:
                raise SystemExit(f"the case came to nothing:\n{log_tail(log_path)}")
        time.sleep(LOOK_EVERY_S)

    def wait_until_assigned(self) -> None:
        """Return when every worker has partitions."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not all("Assigned" in path.read_text(encoding="utf-8") for path in self.log_paths):
            self.check(deadline_s)

    def wait_for_rows(self, topic: Topic, rows: int) -> None:
        """Return when so many pairs are published."""
        deadline_s = time.monotonic() + PATIENCE_S
        while topic.rows() < rows:
            self.check(deadline_s)

    def stop(self) -> None:
        """Stop every worker in good order."""
        for worker in self.workers:
            stop_child(worker, grace_s=60.0)


def start(broker: str, name: str, workers: int, folder: Path) -> Fleet:
    """Create topics and start the workers of a case."""
    own = {
        "broker": broker,
        "group": name,
        "prefix": f"{name}.",
        "predictions": f"{name}.predictions",
        "outcomes": f"{name}.outcomes",
    }
    settings = load_settings(**own)
    asyncio.run(create_topics(settings))
    env = {**os.environ, **{f"TIDEGAUGE_{key.upper()}": value for key, value in own.items()}}
    log_paths = [folder / f"{name}-{number}.log" for number in range(workers)]
    command = [str(ROOT / "tidegauge"), "worker"]
    started = [start_child(command, log_path=path, env=env, cwd=ROOT) for path in log_paths]
    return Fleet(settings, started, log_paths)


def measure(broker: str, name: str, case: Case, folder: Path) -> Grown:
    """Run one case."""
    fleet = start(broker, name, case.workers, folder)
    labelled = fleet.settings.topics.name("labelled")
    try:
        with Topic(broker, labelled, fleet.settings.partitions) as topic:
            fleet.wait_until_assigned()
            _publish(fleet, _job(case, case.warm, 0))
            fleet.wait_for_rows(topic, case.warm)
            warm_mb = resident_mb(fleet.pids)
            if case.waiting:
                _publish(fleet, _unanswered(case))
                inputs = case.waiting + 2 * case.warm
                wait_until_saved(fleet.settings, inputs, fleet.workers[0], fleet.log_paths[0])
            waiting_mb = resident_mb(fleet.pids) - warm_mb
            before = usage(fleet.pids)
            _publish(fleet, _job(case, case.pairs, case.warm))
            fleet.wait_for_rows(topic, case.warm + case.pairs)
            after = usage(fleet.pids)
            return Grown(
                series=case.series,
                value=case.value,
                pairs=case.pairs,
                cpu_s=round((after.cpu_s - before.cpu_s) * 100_000 / case.pairs, 2),
                resident_mb=round(resident_mb(fleet.pids), 1),
                waiting_mb=round(waiting_mb, 1),
            )
    finally:
        fleet.stop()


def _publish(fleet: Fleet, job: Iterable[tuple[str, str, bytes]]) -> None:
    asyncio.run(publish(fleet.settings, job))


def _job(case: Case, pairs: int, first: int) -> Iterator[tuple[str, str, bytes]]:
    return events(
        pairs,
        case.models,
        features=case.features,
        lag=case.lag,
        padding=case.padding,
        first=first,
    )


def _unanswered(case: Case) -> Iterator[tuple[str, str, bytes]]:
    job = events(case.waiting, case.models, features=case.features, first=UNANSWERED_FROM)
    return (event for event in job if event[0] == "predictions")


def main() -> None:
    """Run the cases, print the table, and with --write renew the docs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names = sorted({case.series for case in CASES})
    parser.add_argument("--series", nargs="+", default=names, choices=names)
    parser.add_argument("--quick", action="store_true", help="a tenth of the pairs, nothing large")
    parser.add_argument("--write", action="store_true", help="renew docs/benchmarks and figures")
    options = parser.parse_args()
    cases = [case for case in CASES if case.series in options.series]
    if options.quick:
        cases = [
            replace(case, pairs=case.pairs // 10, warm=case.warm // 10)
            for case in cases
            if case.waiting <= 100_000
        ]
    began_s = time.monotonic()
    grown: list[Grown] = []
    with (
        RealKafka(java_options=("-Xms1g", "-Xmx1g", "-XX:+UseSerialGC")) as broker,
        tempfile.TemporaryDirectory(prefix="tidegauge-growth-") as folder,
    ):
        # Compiles the kernels; not counted.
        measure(broker.bootstrap, "warm-up", Case("features", 10, pairs=2_000), Path(folder))
        for number, case in enumerate(cases):
            grown.append(measure(broker.bootstrap, f"case-{number}", case, Path(folder)))
            print(grown[-1], flush=True)
    footprints = [footprint(*sizes) for sizes in FOOTPRINTS]
    results: dict[str, Any] = {
        "command": " ".join(["python -m benchmarks.growth", *sys.argv[1:]]),
        "machine": machine(),
        "minutes": round((time.monotonic() - began_s) / 60),
        "grown": [asdict(each) for each in grown],
        "footprints": footprints,
    }
    show(grown, footprints)
    if options.write:
        save("growth", results)


if __name__ == "__main__":
    main()
