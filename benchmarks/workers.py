"""Several workers on one backlog: how fast, at what cost, and with the alerts of a backtest.

48 hours of models that go wrong wait in the input topics; records carry the instants of their
events. Each run has a group and a log of its own. While a run takes the backlog, workers are added,
killed and stopped in turn (``--steps``). Then the ids of its alerts are compared with those of a
backtest of the same events; where the records were all published just now (``--undated``), with
those of the first run.

``--live`` publishes the events while the workers are at work, each at its own instant, by the
clock. ``--by-model`` keys records by model, and has all workers read inputs.

    python -m benchmarks.workers                                          the trial: 18 runs
    python -m benchmarks.workers --steps 0 --rounds 1 --workers 1 2 4 --models 50 --pairs 100000
    python -m benchmarks.workers --steps 8 --rounds 1 --workers 2 --pairs 500000
    python -m benchmarks.workers --live 30 --steps 2 --rounds 1 --workers 2 --keys prediction
    python -m benchmarks.workers --by-model --rounds 1 --workers 1 2
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
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
from tests.broker.services import OUTCOME_LAG, Sent
from tests.kafka import RealKafka

ROOT = Path(__file__).resolve().parent.parent
LOOK_EVERY_S = 0.1
PATIENCE_S = 1_800.0
START_S = 20.0
"""Seconds from now to the first event of --live, when the workers have started."""
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
    patience_s
        Seconds after which it is given up.
    """

    deployment: Deployment
    folder: Path
    pairs: int
    workers: int
    steps: int
    patience_s: float = PATIENCE_S
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
                deadline_s = time.monotonic() + self.patience_s
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
        settings = {"inputs_by_model": str(options.by_model)}
        name, rows, expected = f"{models}-{key}.", max(options.pairs // models, 1), None
        if not options.live:
            events = _history(models, rows)
            with Deployment(broker, f"inputs-{name}", folder) as inputs:
                create_inputs(broker, inputs)
                publish(inputs, events, key, is_dated=not options.undated)
            for each in ("predictions", "outcomes"):
                settings[each] = getattr(inputs.settings, each)
            expected = None if options.undated else set(backtest(events, folder))
        for workers, number in itertools.product(options.workers, range(options.rounds)):
            prefix = f"{name}{workers}-{number}."
            with Deployment(broker, prefix, folder, **settings) as deployment:
                deployment.create_topics()
                if options.live:
                    events = _soon(models, rows, options.live)
                run = Run(deployment, folder, pairs_of(events), workers, options.steps)
                run.patience_s += 60 * options.live
                with ThreadPoolExecutor(1) as service:
                    if options.live:
                        service.submit(publish, deployment, _at_their_instants(events), key)
                    rate, cpu_s = run.take()
                found = set(alerts_of(broker, deployment))
            if options.live:
                expected = set(backtest(events, folder))
            expected = found if expected is None else expected
            share = f"{cpu_s * 100_000 / pairs_of(events):.2f}"
            row = [f"{models:,}", key, str(workers), str(options.steps), f"{rate:,.0f}", share]
            row += [str(len(expected)), _verdict(found, expected)]
            print(" | ".join(row), flush=True)
            yield row


def _history(models: int, rows: int) -> list[Sent]:
    if rows <= OUTCOME_LAG:
        raise SystemExit(f"--pairs: the first {OUTCOME_LAG} rows of a model have no outcome yet")
    return history(models, rows)


def _soon(models: int, rows: int, minutes: float) -> list[Sent]:
    """Return events of the next minutes."""
    start_ms = int(1_000 * (_now_s() + START_S))
    return history(models, rows, start_ms=start_ms, hours=minutes / 60)


def _at_their_instants(events: Iterable[Sent]) -> Iterator[Sent]:
    """Yield events, each at its own instant."""
    for sent in events:
        time.sleep(max(0.0, sent.at_ms / 1_000 - _now_s()))
        yield sent


def _now_s() -> float:
    return time.time()  # noqa: TID251 - the records' timestamps, as services set them


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
    parser.add_argument("--live", type=float, default=0.0, metavar="MINUTES")
    parser.add_argument("--by-model", action="store_true", help="keys are those of models")
    parser.add_argument("--undated", action="store_true", help="records were published just now")
    options = parser.parse_args(arguments)
    options.keys = ["model"] if options.by_model else options.keys
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
