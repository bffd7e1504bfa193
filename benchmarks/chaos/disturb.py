"""A worker that takes random waits between its durable steps.

The steps follow each other within milliseconds, so a fault hardly ever falls between two of them,
and a broken rule passes. Here what the worker sends, commits and reads back waits before and after;
the worker's own code is the product's.

    python -m benchmarks.chaos.disturb --seed 1 --max-s 0.8 --wrong-clock FILE
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import click
from faust.types import TP

from agents.errors import WorkerError
from agents.kafka.read import LogReader
from agents.settings import Settings, load_settings
from agents.telemetry import configure_logging
from agents.worker.agent import Partitions
from agents.worker.assembly import build_app, ingest_agent, monitor_agent, tune_gc
from agents.worker.clock import CheckedClock, Clock
from agents.worker.publish import Outgoing, Publisher
from agents.worker.run import run_worker
from agents.worker.state import LogRecord, Reader, Sender
from agents.worker.transport import BatchConsumer

OUTPUT_SHARE = 0.04
"""Of the sends of events and outputs that wait; there are many of them."""

STEP_SHARES = (0.05, 0.15, 0.4)
"""Of the steps of a snapshot that wait; every process draws one."""


class Disturbance:
    """Random waits.

    Parameters
    ----------
    seed
        Of this process.
    max_s
        The longest wait.
    """

    def __init__(self, seed: int, max_s: float) -> None:
        self._chance = random.Random(seed)
        self._max_s = max_s
        self._step_share = self._chance.choice(STEP_SHARES)
        self._waited_s = 0.0

    async def before_output(self) -> None:
        """Wait, rarely."""
        if self._chance.random() < OUTPUT_SHARE:
            await asyncio.sleep(self._chance.uniform(0.0, self._max_s))

    async def between_steps(self) -> None:
        """Wait, often."""
        if self._chance.random() < self._step_share:
            wait_s = self._chance.uniform(0.0, self._max_s)
            self._waited_s += wait_s
            await asyncio.sleep(wait_s)

    def working_time(self) -> float:
        """Return seconds that do not count the waits: they must not make snapshots rare."""
        return time.monotonic() - self._waited_s


class SlowSender:
    """Publishes, with waits around it."""

    def __init__(self, sender: Sender, disturbance: Disturbance, state_topic: str) -> None:
        self._sender = sender
        self._disturbance = disturbance
        self._state_topic = state_topic

    async def send(self, batch: list[Outgoing]) -> None:
        """Publish."""
        is_state = bool(batch) and batch[0].topic == self._state_topic
        wait = self._disturbance.between_steps if is_state else self._disturbance.before_output
        await wait()
        await self._sender.send(batch)
        await wait()


class SlowReader:
    """Reads a partition, with waits on the way."""

    def __init__(self, reader: Reader, disturbance: Disturbance) -> None:
        self._reader = reader
        self._disturbance = disturbance

    async def beginning(self, tp: TP) -> int:
        """Return the offset of the oldest record that is kept."""
        return await self._reader.beginning(tp)

    async def end(self, tp: TP) -> int:
        """Return the offset after the last record."""
        return await self._reader.end(tp)

    async def read(
        self, tp: TP, start: int | None = None, end: int | None = None
    ) -> AsyncIterator[Sequence[LogRecord]]:
        """Yield the records, some at a time."""
        await self._disturbance.between_steps()
        async for records in self._reader.read(tp, start, end):
            yield records
            await self._disturbance.before_output()


class SlowPartitions(Partitions):
    """Commits, with waits around it."""

    def __init__(
        self, consumer: BatchConsumer, publisher: Publisher, disturbance: Disturbance
    ) -> None:
        super().__init__(consumer, publisher)
        self._disturbance = disturbance

    async def commit_fact(self, offsets: Mapping[TP, int]) -> bool:
        """Commit: all below these offsets is durably done."""
        await self._disturbance.between_steps()
        is_accepted = await super().commit_fact(offsets)
        await self._disturbance.between_steps()
        return is_accepted


class WrongClock:
    """The wall clock, wrong by the seconds that a file holds, if it is there.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> float:
        """Return seconds since the epoch."""
        try:
            wrong_s = float(self._path.read_text())
        except (OSError, ValueError):
            wrong_s = 0.0
        return time.time() + wrong_s  # noqa: TID251 - as in agents/worker/assembly.py


def work_slowly(settings: Settings, disturbance: Disturbance, own: Clock) -> int:
    """Run a worker with waits, otherwise as `agents.worker.assembly.work` does."""
    tune_gc()
    clock = CheckedClock(own, time.monotonic, settings.clock_tolerance_s)
    publisher = Publisher(settings.connection(), on_append=clock.note)
    sender = SlowSender(publisher, disturbance, settings.topics.name("state"))
    reader = SlowReader(LogReader(settings), disturbance)
    agents = [
        ingest_agent(settings, sender, clock),
        monitor_agent(settings, sender, reader, disturbance.working_time),
    ]
    make_partitions = partial(SlowPartitions, disturbance=disturbance)
    return run_worker(build_app(settings, agents, publisher, make_partitions))


@click.command()
@click.option("--seed", type=int, required=True)
@click.option("--max-s", type=click.FloatRange(0.0, 60.0), required=True)
@click.option("--wrong-clock", type=click.Path(path_type=Path), required=True)
def main(seed: int, max_s: float, wrong_clock: Path) -> None:
    """Run a worker that waits; settings come from the environment."""
    settings = load_settings()
    configure_logging(settings.log_level)
    try:
        sys.exit(work_slowly(settings, Disturbance(seed, max_s), WrongClock(wrong_clock)))
    except WorkerError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
