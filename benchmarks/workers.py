"""Several workers on one backlog: how fast, at what cost, and with the alerts of a backtest.

48 hours of models that go wrong wait in the input topics; records carry the instants of their
events. Each run has a group and a log of its own. While a run takes the backlog, workers are added,
killed and stopped in turn (``--steps``). Then the ids of its alerts are compared with those of a
backtest of the same events; where the records were all published just now (``--undated``), with
those of the first run.

    python -m benchmarks.workers                                          the trial: 18 runs
    python -m benchmarks.workers --steps 0 --rounds 1 --workers 1 2 4 --models 50 --pairs 100000
    python -m benchmarks.workers --steps 8 --rounds 1 --workers 2 --pairs 500000
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

from confluent_kafka import KafkaException
from rich.console import Console
from rich.table import Table

from agents.demo.child import log_tail, start_child, stop_child
from benchmarks.chaos.offsets import Offsets
from benchmarks.machine import machine
from benchmarks.measure import Topic, produced, usage
from tests.broker.backlog import (
    KEYS,
    alerts_of,
    backtest,
    create_inputs,
    history,
    pairs_of,
    publish,
)
from tests.broker.deployment import Deployment
from tests.kafka import RealKafka

ROOT = Path(__file__).resolve().parent.parent
LOOK_EVERY_S = 0.1
PATIENCE_S = 1_800.0
STEPS = ("add", "kill -9", "add", "SIGTERM")
HEADING = ("models", "key", "workers", "steps", "pairs/s", "CPU s per 100,000", "alerts", "equal")


@dataclass
class Member:
    """One worker, and its CPU time when it had its partitions."""

    process: Popen[bytes]
    log_path: Path
    began_cpu_s: float | None = None
    cpu_s: float = 0.0

    def look(self) -> None:
        """Take note of its CPU time: an ended process no longer has one."""
        if self.process.poll() is not None:
            return
        self.cpu_s = usage([self.process.pid]).cpu_s
        log = self.log_path.read_text(encoding="utf-8")
        if self.began_cpu_s is None and ("Assigned: " in log or "stands by" in log):
            self.began_cpu_s = self.cpu_s

    @property
    def worked_s(self) -> float:
        """CPU seconds since it had its partitions."""
        return 0.0 if self.began_cpu_s is None else self.cpu_s - self.began_cpu_s


@dataclass
class Run:
    """Workers that take one backlog.

    Parameters
    ----------
    deployment
        Its topics and group.
    pairs
        In the backlog.
    workers
        At the beginning.
    steps
        Changes of the workers, evenly over the backlog.
    """

    deployment: Deployment
    folder: Path
    pairs: int
    workers: int
    steps: int
    members: list[Member] = field(default_factory=list)

    def take(self) -> tuple[float, float]:
        """Have the workers take the backlog; return pairs per second and CPU seconds."""
        settings = self.deployment.settings
        labelled = settings.topics.name("labelled")
        for _ in range(self.workers):
            self._add()
        due = [self.pairs * (step + 1) // (self.steps + 1) for step in range(self.steps)]
        changes = itertools.cycle(STEPS)
        with Topic(settings.broker, labelled, settings.partitions) as topic:
            try:
                deadline_s = time.monotonic() + PATIENCE_S
                while not self._is_over(topic):
                    if due and topic.rows() >= due[0]:
                        due.pop(0)
                        self._change(next(changes))
                    self._look(deadline_s)
            finally:
                for member in self.members:
                    stop_child(member.process, grace_s=60.0)
            found = produced(topic)
        if found.pairs != self.pairs:
            raise SystemExit(f"{found.pairs:,} of {self.pairs:,} pairs were published")
        return self.pairs / found.wall_s, sum(member.worked_s for member in self.members)

    def _add(self) -> None:
        path = self.folder / f"{self.deployment.settings.group}{len(self.members)}.log"
        command = [str(ROOT / "tidegauge"), "worker"]
        env = {**os.environ, **self.deployment.env}
        self.members.append(Member(start_child(command, log_path=path, env=env, cwd=ROOT), path))

    def _change(self, change: str) -> None:
        alive = [member for member in self.members if member.process.poll() is None]
        if change == "add":
            self._add()
        elif change == "kill -9":
            alive[0].process.kill()
        else:
            alive[0].process.terminate()

    def _look(self, deadline_s: float) -> None:
        for member in self.members:
            member.look()
        if time.monotonic() > deadline_s or not any(m.process.poll() is None for m in self.members):
            raise SystemExit(f"it came to nothing:\n{log_tail(self.members[-1].log_path)}")
        time.sleep(LOOK_EVERY_S)

    def _is_over(self, topic: Topic) -> bool:
        if topic.rows() < self.pairs:
            return False
        offsets = Offsets(self.deployment.settings)
        try:
            return offsets.behind() == 0
        except KafkaException:  # the group is between two generations
            return False
        finally:
            offsets.close()


def runs(options: argparse.Namespace, broker: RealKafka, folder: Path) -> Iterator[list[str]]:
    """Run everything, and yield the rows of the table."""
    for models, key in itertools.product(options.models, options.keys):
        name = f"{models}-{key}."
        events = history(models, max(options.pairs // models, 1))
        with Deployment(broker, f"inputs-{name}", folder) as inputs:
            create_inputs(broker, inputs)
            publish(inputs, events, key, is_dated=not options.undated)
            inputs_of = {
                each: getattr(inputs.settings, each) for each in ("predictions", "outcomes")
            }
        expected = None if options.undated else set(backtest(events, folder))
        for workers, number in itertools.product(options.workers, range(options.rounds)):
            prefix = f"{name}{workers}-{number}."
            with Deployment(broker, prefix, folder, **inputs_of) as deployment:
                deployment.create_topics()
                run = Run(deployment, folder, pairs_of(events), workers, options.steps)
                rate, cpu_s = run.take()
                found = set(alerts_of(broker, deployment))
            expected = found if expected is None else expected
            share = cpu_s * 100_000 / pairs_of(events)
            row = [f"{models:,}", key, str(workers), str(options.steps), f"{rate:,.0f}"]
            row += [f"{share:.2f}", str(len(expected)), _verdict(found, expected)]
            print(" | ".join(row), flush=True)
            yield row


def _verdict(found: set[str], expected: set[str]) -> str:
    if found == expected:
        return "yes"
    return f"NO: {len(expected - found)} missing, {len(found - expected)} more"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the table; exit 0 only when all ids are equal."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=21_600)
    parser.add_argument("--models", type=int, nargs="+", default=[6])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--keys", nargs="+", choices=KEYS, default=["prediction", "none"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2, help="changes of the workers in a run")
    parser.add_argument("--undated", action="store_true", help="records were published just now")
    options = parser.parse_args(arguments)
    with (
        RealKafka(java_options=("-Xms1g", "-Xmx1g", "-XX:+UseSerialGC")) as broker,
        tempfile.TemporaryDirectory(prefix="tidegauge-workers-") as folder,
    ):
        table = Table(*HEADING, title=machine())
        rows = list(runs(options, broker, Path(folder)))
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    return 0 if all(row[-1] == "yes" for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
