"""How fast a worker takes a backlog, and what its snapshots cost.

The job: 10 numeric features; each outcome 1,000 predictions later; one model, or several. All of it
is published first; then one worker process, on Apache Kafka, joins it, watches it and publishes
every pair. Wall time counts from the worker's first labelled row to its last; CPU seconds are those
of the worker's process, with its start. A first round, which compiles the kernels, does not count.

    python -m benchmarks.throughput --pairs 200000 --models 1 --rounds 3
"""

import argparse
import asyncio
import os
import platform
import random
import statistics
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import orjson
from kafka import KafkaConsumer, TopicPartition

from agents.demo.child import log_tail, start_child, stop_child
from agents.kafka.topics import create_topics
from agents.settings import Settings, load_settings
from agents.worker.publish import Outgoing, Publisher
from tests.kafka import RealKafka

ROOT = Path(__file__).resolve().parent.parent
OUTCOME_LAG = 1_000
FIRST_AT_MS = 1_760_000_000_000
SENT_AT_ONCE = 5_000
SNAPSHOTS = {"on": "2", "off": "60"}
"""Seconds between snapshots; "off" saves once, when the worker stops."""
PATIENCE_S = 300.0


class Round(NamedTuple):
    """What one worker took for the job."""

    wall_s: float
    cpu_s: float


def events(
    pairs: int,
    models: int,
    *,
    features: int = 10,
    lag: int = OUTCOME_LAG,
    padding: int = 0,
    first: int = 0,
) -> Iterator[tuple[str, str, bytes]]:
    """Yield (topic, key, payload) in the order in which services publish.

    Parameters
    ----------
    pairs, models, features
        How many.
    lag
        How many predictions come between a prediction and its outcome.
    padding
        Bytes of a field that nobody asked for, in each payload.
    first
        Number of the first prediction: another call goes on where one ended.
    """
    rng = random.Random(7 + first)
    names = [f"feature_{number}" for number in range(features)]
    more = {"note": "x" * padding} if padding else {}
    waiting: deque[int] = deque()
    for number in range(first, first + pairs + lag):
        at_ms = FIRST_AT_MS + 10 * number
        if number < first + pairs:
            prediction = rng.randrange(2)
            value = {
                "prediction_id": f"p-{number}",
                "model_id": f"model-{number % models}",
                "predicted_at": at_ms,
                "prediction": prediction,
                "score": rng.random(),
                "features": {name: rng.gauss(0.0, 1.0) for name in names},
                **more,
            }
            yield "predictions", f"p-{number}", orjson.dumps(value)
            waiting.append(prediction if rng.random() > 0.1 else 1 - prediction)
        if number >= first + lag:
            of = number - lag
            value = {
                "prediction_id": f"p-{of}",
                "model_id": f"model-{of % models}",
                "observed_at": at_ms,
                "outcome": waiting.popleft(),
                **more,
            }
            yield "outcomes", f"p-{of}", orjson.dumps(value)


async def publish(settings: Settings, job: Iterable[tuple[str, str, bytes]]) -> None:
    """Put a job into the input topics."""
    publisher = Publisher(settings.connection())
    await publisher.start()
    batch: list[Outgoing] = []
    topic_of = {"predictions": settings.predictions, "outcomes": settings.outcomes}
    for topic, key, payload in job:
        batch.append(Outgoing(topic_of[topic], None, key.encode(), payload, None))
        if len(batch) == SENT_AT_ONCE:
            await publisher.send(batch)
            batch = []
    await publisher.send(batch)
    await publisher.stop()


def run_worker(settings: Settings, save_every_s: str, pairs: int, folder: Path) -> Round:
    """Run a worker of a new group over the job, into topics of its own."""
    env = {
        "TIDEGAUGE_BROKER": settings.broker,
        "TIDEGAUGE_GROUP": settings.group,
        "TIDEGAUGE_PREFIX": settings.prefix,
        "TIDEGAUGE_PREDICTIONS": settings.predictions,
        "TIDEGAUGE_OUTCOMES": settings.outcomes,
        "TIDEGAUGE_SAVE_EVERY_S": save_every_s,
    }
    log_path = folder / f"{settings.group}.log"
    command = [str(ROOT / "tidegauge"), "worker"]
    worker = start_child(command, log_path=log_path, env={**os.environ, **env}, cwd=ROOT)
    try:
        wall_s = _wait_for_rows(settings, pairs, worker, log_path)
        cpu_s = _cpu_s(worker.pid)
    finally:
        stop_child(worker, grace_s=60.0)
    return Round(wall_s, cpu_s)


def _wait_for_rows(
    settings: Settings, pairs: int, worker: subprocess.Popen[bytes], log_path: Path
) -> float:
    consumer = KafkaConsumer(**settings.connection())
    topic = settings.topics.name("labelled")
    partitions = [TopicPartition(topic, number) for number in range(settings.partitions)]
    began_s, deadline_s = 0.0, time.monotonic() + PATIENCE_S
    try:
        while (rows := sum(consumer.end_offsets(partitions).values())) < pairs:
            if rows and not began_s:
                began_s = time.monotonic()
            if worker.poll() is not None or time.monotonic() > deadline_s:
                message = f"{rows:,} of {pairs:,} rows; the worker's log ends with:\n"
                raise SystemExit(message + log_tail(log_path))
            time.sleep(0.05)
    finally:
        consumer.close()
    return time.monotonic() - began_s


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=200_000)
    parser.add_argument("--models", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rounds: dict[str, list[Round]] = {name: [] for name in SNAPSHOTS}
    with RealKafka() as broker, tempfile.TemporaryDirectory() as folder:
        inputs = load_settings(broker=broker.bootstrap, prefix="inputs.")
        asyncio.run(create_topics(inputs))
        print(f"Publishing {2 * options.pairs:,} events of {options.models} models ...", flush=True)
        asyncio.run(publish(inputs, events(options.pairs, options.models)))
        for number in range(options.rounds + 1):
            for name, save_every_s in SNAPSHOTS.items():
                group = f"round-{number}-{name}"
                settings = load_settings(broker=broker.bootstrap, group=group, prefix=f"{group}.")
                asyncio.run(create_topics(settings))
                took = run_worker(settings, save_every_s, options.pairs, Path(folder))
                if number:
                    rounds[name].append(took)
                print(f"{group}: {took.wall_s:.1f} s, {took.cpu_s:.1f} CPU s", flush=True)
    _print(rounds, options.pairs)


def _print(rounds: dict[str, list[Round]], pairs: int) -> None:
    print(f"\n{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    print("| snapshots | pairs/s, median (min to max) | CPU s per 100,000 pairs, median |")
    print("|---|---|---|")
    for name, taken in rounds.items():
        rates = sorted(pairs / each.wall_s for each in taken)
        cpu_s = statistics.median(each.cpu_s for each in taken) * 100_000 / pairs
        spread = f"{rates[0]:,.0f} to {rates[-1]:,.0f}"
        print(f"| {name} | {statistics.median(rates):,.0f} ({spread}) | {cpu_s:.2f} |")
    cpu = [on.cpu_s / off.cpu_s for on, off in zip(rounds["on"], rounds["off"], strict=True)]
    wall = [on.wall_s / off.wall_s for on, off in zip(rounds["on"], rounds["off"], strict=True)]
    print(
        f"\nOn against off, pair by pair: CPU x {statistics.median(cpu):.3f}, "
        f"wall x {statistics.median(wall):.3f}"
    )


if __name__ == "__main__":
    main()
