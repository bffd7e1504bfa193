"""What a worker does while its broker is away, and after.

Half of the job of `benchmarks.throughput` is published and taken in; the broker is killed and stays
away; it comes back on the same log directory, and the other half is published. The worker is never
touched. Memory is its resident set: before, at the end of the outage, and after. Then the audit.

    python -m benchmarks.outage --away-s 300
"""

import argparse
import asyncio
import os
import platform
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from agents.commands.verify import verify
from agents.demo.child import start_child, stop_child
from agents.kafka.topics import create_topics
from agents.settings import Settings, load_settings
from agents.worker.publish import Outgoing, Publisher
from benchmarks.restart import megabytes, wait_until_saved
from benchmarks.throughput import ROOT, SENT_AT_ONCE, events
from tests.kafka import RealKafka


async def publish(settings: Settings, pairs: int, part: slice) -> None:
    """Publish a stretch of the job."""
    publisher = Publisher(settings.connection())
    await publisher.start()
    job = islice(events(pairs, 5), part.start, part.stop)
    while batch := list(islice(job, SENT_AT_ONCE)):
        await publisher.send(
            [Outgoing(topic, None, key.encode(), payload, None) for topic, key, payload in batch]
        )
    await publisher.stop()


class Outage(NamedTuple):
    """What one outage did to a worker."""

    before_mb: float
    away_mb: float
    after_mb: float
    caught_up_s: float
    exit_code: int


def measure(broker: RealKafka, settings: Settings, pairs: int, away_s: float) -> Outage:
    """Take the broker from a worker at half of the job, and give it back."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "TIDEGAUGE_BROKER": broker.bootstrap}
        log_path = Path(folder) / "worker.log"
        command = [str(ROOT / "tidegauge"), "worker"]
        worker = start_child(command, log_path=log_path, env=env, cwd=ROOT)
        try:
            asyncio.run(publish(settings, pairs, slice(0, pairs)))
            wait_until_saved(settings, pairs, worker, log_path)
            before_mb = megabytes(worker.pid)
            broker.kill()
            time.sleep(away_s)
            away_mb = megabytes(worker.pid)
            broker.restart()
            asyncio.run(publish(settings, pairs, slice(pairs, 2 * pairs)))
            published_s = time.monotonic()
            wait_until_saved(settings, 2 * pairs, worker, log_path)
            caught_up_s = time.monotonic() - published_s
            after_mb = megabytes(worker.pid)
        finally:
            exit_code = stop_child(worker, grace_s=60.0)
    return Outage(before_mb, away_mb, after_mb, caught_up_s, exit_code)


def main() -> None:
    """Run the outage and print what came of it; exit 0 only when the audit finds all equal."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=50_000)
    parser.add_argument("--away-s", type=float, default=300.0)
    options = parser.parse_args()
    with RealKafka() as broker:
        settings = load_settings(broker=broker.bootstrap)
        asyncio.run(create_topics(settings))
        found = measure(broker, settings, options.pairs, options.away_s)
        exit_code = asyncio.run(verify(settings, Console(width=120)))
    print(f"\n{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    print(f"Away for {options.away_s:.0f} s; the worker stopped with {found.exit_code}.")
    print(
        f"Memory: {found.before_mb:,.0f} MB before, {found.away_mb:,.0f} MB at the end of it, "
        f"{found.after_mb:,.0f} MB after."
    )
    print(f"The second half was all saved {found.caught_up_s:.1f} s after it was published.")
    raise SystemExit(exit_code)


if __name__ == "__main__":
    main()
