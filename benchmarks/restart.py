"""How long a worker takes to go on after kill -9, by how many predictions wait for their outcome.

Predictions with 10 numeric features are published, and no outcome. When the worker has saved them
all, it is killed; one outcome is published, and another worker is started. Times: until its
partitions are assigned, from there until the pair of that outcome is published. Memory is that of
the first worker when all wait, and that of one without any taken off.

    python -m benchmarks.restart --waiting 10000 1000000

With --kills, so many workers before the last one are killed while they restore, each a second later
than the one before; afterwards `verify` has to find all equal.
"""

import argparse
import asyncio
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from subprocess import Popen
from typing import NamedTuple

from kafka import KafkaConsumer, TopicPartition
from rich.console import Console

from agents.commands.verify import verify
from agents.demo.child import log_tail, start_child, stop_child
from agents.kafka.topics import create_topics
from agents.settings import Settings, load_settings
from agents.worker.publish import Outgoing, Publisher
from benchmarks.throughput import PATIENCE_S, ROOT, SENT_AT_ONCE, events
from tests.kafka import RealKafka

OUTCOME_AT_MS = 1_770_000_000_000


class Restart(NamedTuple):
    """What one restart took."""

    waiting: int
    to_assignment_s: float
    to_first_pair_s: float
    megabytes: float


async def publish(settings: Settings, waiting: int) -> None:
    """Publish predictions alone."""
    publisher = Publisher(settings.connection())
    await publisher.start()
    batch: list[Outgoing] = []
    for topic, key, payload in events(waiting, 1):
        if topic == "predictions":
            batch.append(Outgoing(settings.predictions, None, key.encode(), payload, None))
        if len(batch) == SENT_AT_ONCE:
            await publisher.send(batch)
            batch = []
    await publisher.send(batch)
    await publisher.stop()


async def publish_outcome(settings: Settings) -> None:
    """Publish the outcome of the first prediction."""
    publisher = Publisher(settings.connection())
    await publisher.start()
    outcome = {
        "prediction_id": "p-0",
        "model_id": "model-0",
        "observed_at": OUTCOME_AT_MS,
        "outcome": 1,
    }
    value = json.dumps(outcome).encode()
    await publisher.send([Outgoing(settings.outcomes, None, None, value, None)])
    await publisher.stop()


def measure(settings: Settings, waiting: int, folder: Path, kills: int) -> Restart:
    """Let a worker take the predictions, kill it, and time the one after those killed as well."""
    asyncio.run(create_topics(settings))
    first_log, second_log = folder / f"{waiting}-1.log", folder / f"{waiting}-2.log"
    worker = _start(settings, first_log)
    _wait_for_line(worker, first_log, "Assigned")
    empty = megabytes(worker.pid)
    asyncio.run(publish(settings, waiting))
    wait_until_saved(settings, waiting, worker, first_log)
    taken = megabytes(worker.pid) - empty
    worker.kill()
    worker.wait()
    asyncio.run(publish_outcome(settings))
    for number in range(kills):
        _kill_in_restore(settings, folder / f"{waiting}-killed-{number}.log", number + 1.0)
    began_s = time.monotonic()
    worker = _start(settings, second_log)
    try:
        _wait_for_line(worker, second_log, "Assigned")
        assigned_s = time.monotonic()
        _wait_for_pair(settings, worker, second_log)
        paired_s = time.monotonic()
    finally:
        stop_child(worker, grace_s=60.0)
    if kills and asyncio.run(verify(settings, Console(width=120))):
        msg = "not equal after workers were killed while they restored"
        raise SystemExit(msg)
    return Restart(waiting, assigned_s - began_s, paired_s - assigned_s, taken)


def _kill_in_restore(settings: Settings, log_path: Path, after_s: float) -> None:
    worker = _start(settings, log_path)
    _wait_for_line(worker, log_path, "Assigned")
    time.sleep(after_s)
    worker.kill()
    worker.wait()
    has_ended = log_path.read_text(encoding="utf-8").count("Restored ")
    print(f"Killed {after_s:.0f} s after its assignment: {has_ended} partitions were restored.")


def _start(settings: Settings, log_path: Path) -> Popen[bytes]:
    env = {
        "TIDEGAUGE_BROKER": settings.broker,
        "TIDEGAUGE_GROUP": settings.group,
        "TIDEGAUGE_PREFIX": settings.prefix,
        "TIDEGAUGE_PREDICTIONS": settings.predictions,
        "TIDEGAUGE_OUTCOMES": settings.outcomes,
        "TIDEGAUGE_MODELS": settings.models,
    }
    command = [str(ROOT / "tidegauge"), "worker"]
    return start_child(command, log_path=log_path, env={**os.environ, **env}, cwd=ROOT)


def _wait_for_line(worker: Popen[bytes], log_path: Path, text: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while text not in log_path.read_text(encoding="utf-8"):
        _check(worker, log_path, deadline_s)


def wait_until_saved(
    settings: Settings, inputs_published: int, worker: Popen[bytes], log_path: Path
) -> None:
    """Wait until so many inputs, and all of the log, are committed."""
    consumer = KafkaConsumer(**settings.connection(), group_id=settings.group)
    input_topics = (settings.predictions, settings.outcomes)
    topics = (*input_topics, settings.topics.name("events"))
    partitions = [TopicPartition(t, p) for t in topics for p in range(settings.partitions)]
    deadline_s = time.monotonic() + PATIENCE_S + inputs_published / 1_000
    try:
        while True:
            ends = consumer.end_offsets(partitions)
            commits = {tp: consumer.committed(tp) or 0 for tp in partitions}
            inputs = sum(commits[tp] for tp in partitions if tp.topic in input_topics)
            if inputs == inputs_published and all(commits[tp] >= end for tp, end in ends.items()):
                return
            _check(worker, log_path, deadline_s)
    finally:
        consumer.close()


def _wait_for_pair(settings: Settings, worker: Popen[bytes], log_path: Path) -> None:
    topic = settings.topics.name("labelled")
    consumer = KafkaConsumer(**settings.connection())
    partitions = [TopicPartition(topic, number) for number in range(settings.partitions)]
    deadline_s = time.monotonic() + PATIENCE_S
    try:
        while not sum(consumer.end_offsets(partitions).values()):
            _check(worker, log_path, deadline_s)
    finally:
        consumer.close()


def _check(worker: Popen[bytes], log_path: Path, deadline_s: float) -> None:
    if worker.poll() is not None or time.monotonic() > deadline_s:
        raise SystemExit("the worker did not get there; its log ends with:\n" + log_tail(log_path))
    time.sleep(0.02)


def megabytes(pid: int) -> float:
    """Return the resident set of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Run the restarts and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--waiting", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--kills", type=int, default=0)
    options = parser.parse_args()
    taken: list[Restart] = []
    with RealKafka() as broker, tempfile.TemporaryDirectory() as folder:
        for waiting in options.waiting:
            name = f"waiting-{waiting}"
            settings = load_settings(
                broker=broker.bootstrap,
                group=name,
                prefix=f"{name}.",
                predictions=f"{name}.predictions",
                outcomes=f"{name}.outcomes",
                models=f"{name}.models",
            )
            taken.append(measure(settings, waiting, Path(folder), options.kills))
            print(taken[-1], flush=True)
    print(f"\n{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    print("| waiting | start to assignment | assignment to first pair | memory | a prediction |")
    print("|---|---|---|---|---|")
    for each in taken:
        a_prediction = each.megabytes * 1e6 / each.waiting
        print(
            f"| {each.waiting:,} | {each.to_assignment_s:.1f} s | {each.to_first_pair_s:.1f} s "
            f"| {each.megabytes:,.0f} MB | {a_prediction:,.0f} B |"
        )


if __name__ == "__main__":
    main()
