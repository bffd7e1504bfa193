"""Whether a consumer of alerts that is slow slows the worker down.

Two workers, one after the other, each take the same backlog into topics of their own. Each model
has an outcome that comes with its prediction and numbers that jump again and again, so that alerts
are many. At one of the workers a consumer reads alerts, one a second; at the other nobody does.
The worker that goes first is warm-up and does not count; then each kind goes in turn.

    python -m benchmarks.slow_consumer --pairs 60000 --rounds 2
"""

import argparse
import asyncio
import os
import platform
import random
import statistics
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import orjson
from kafka import KafkaConsumer, TopicPartition

from agents.kafka.topics import create_topics
from agents.settings import Settings, load_settings
from benchmarks.throughput import FIRST_AT_MS, Round, publish, run_worker
from tests.kafka import RealKafka

MODELS = 20
JUMPS_EVERY = 700
READS_EVERY_S = 1.0
SAVE_EVERY_S = "2"


def events(pairs: int) -> Iterator[tuple[str, str, bytes]]:
    """Yield (topic, key, payload): models whose numbers jump, and answers with their outcome."""
    rng = random.Random(3)
    for number in range(pairs):
        row = number // MODELS
        fields = {"prediction_id": f"p-{number}", "model_id": f"model-{number % MODELS}"}
        level = 8.0 * (row // JUMPS_EVERY)
        features = {f"feature_{n}": rng.gauss(level, 1.0) for n in range(10)}
        at_ms = FIRST_AT_MS + 10 * number
        prediction = {"predicted_at": at_ms, "prediction": rng.randrange(2), "features": features}
        outcome = {"observed_at": at_ms + 1, "outcome": rng.randrange(2)}
        yield "predictions", f"p-{number}", orjson.dumps(fields | prediction)
        yield "outcomes", f"p-{number}", orjson.dumps(fields | outcome)


class SlowReader(threading.Thread):
    """Reads alerts, one at a time."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        topic = settings.topics.name("alerts")
        self._consumer = KafkaConsumer(
            **settings.connection(), group_id=f"{settings.group}-alerts", max_poll_records=1
        )
        self._consumer.assign([TopicPartition(topic, n) for n in range(settings.partitions)])
        self._consumer.seek_to_beginning()
        self._is_over = threading.Event()
        self.read = 0

    def run(self) -> None:
        """Read."""
        while not self._is_over.wait(READS_EVERY_S):
            self.read += sum(map(len, self._consumer.poll(100).values()))

    def finish(self) -> int:
        """Stop; return how many were read."""
        self._is_over.set()
        self.join()
        self._consumer.close()
        return self.read


def alerts_of(settings: Settings) -> int:
    """Return how many alerts there are."""
    topic = settings.topics.name("alerts")
    consumer = KafkaConsumer(**settings.connection())
    try:
        partitions = [TopicPartition(topic, n) for n in range(settings.partitions)]
        return sum(consumer.end_offsets(partitions).values())
    finally:
        consumer.close()


def measure(broker: RealKafka, pairs: int, name: str, folder: Path, *, is_read: bool) -> Round:
    """Run one worker over the job, with or without a slow reader."""
    settings = load_settings(broker=broker.bootstrap, group=name, prefix=f"{name}.")
    asyncio.run(create_topics(settings))
    reader = SlowReader(settings) if is_read else None
    if reader is not None:
        reader.start()
    took = run_worker(settings, SAVE_EVERY_S, pairs, folder)
    read = 0 if reader is None else reader.finish()
    print(
        f"{name}: {took.wall_s:.1f} s, {took.cpu_s:.1f} CPU s, {alerts_of(settings):,} alerts, "
        f"{read:,} read",
        flush=True,
    )
    return took


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    slow: list[Round] = []
    free: list[Round] = []
    with RealKafka() as broker, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = load_settings(broker=broker.bootstrap, prefix="inputs.")
        asyncio.run(create_topics(inputs))
        asyncio.run(publish(inputs, events(options.pairs)))
        measure(broker, options.pairs, "warm-up", folder, is_read=False)
        for number in range(options.rounds):
            slow.append(measure(broker, options.pairs, f"{number}-slow", folder, is_read=True))
            free.append(measure(broker, options.pairs, f"{number}-free", folder, is_read=False))
    print(f"\n{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    print("| reader of alerts | pairs/s, median | CPU s, median |")
    print("|---|---|---|")
    for title, taken in (("one a second", slow), ("none", free)):
        rate = statistics.median(options.pairs / each.wall_s for each in taken)
        print(f"| {title} | {rate:,.0f} | {statistics.median(each.cpu_s for each in taken):.1f} |")
    wall = statistics.median(a.wall_s / b.wall_s for a, b in zip(slow, free, strict=True))
    cpu = statistics.median(a.cpu_s / b.cpu_s for a, b in zip(slow, free, strict=True))
    print(f"\nSlow against none, pair by pair: wall x {wall:.2f}, CPU x {cpu:.2f}")


if __name__ == "__main__":
    main()
