"""From publishing an outcome to reading the alert that it causes, at shares of the capacity.

Many models are watched; a backlog of their pairs, taken first, tells the capacity. It leaves each
model at an age of its own, from half to one and a half of the mean, so that not all of them learn
their next reference at one instant. Then pairs come at a steady pace, and at an instant of its own
each model begins to be wrong: the outcome that settles its alert is known by the alert's
``detected_at``, which is that outcome's own instant and nobody else's. The clock runs from the call
that publishes the outcome until the alert is read, in the process that does both. Workers run on
the default settings.

    python -m benchmarks.latency --write
"""

import argparse
import asyncio
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer

from agents.settings import Settings
from agents.worker.publish import Outgoing, Publisher
from benchmarks.growth import Fleet, start
from benchmarks.latency_report import Latency, show
from benchmarks.machine import machine
from benchmarks.measure import Topic, produced
from benchmarks.pages import save
from benchmarks.throughput import FIRST_AT_MS, events, publish
from tests.kafka import RealKafka

SHARES = (0.1, 0.5, 0.8)
MODELS = 200
ROWS_BEFORE = 500
ROWS_TO_BE_FOUND = 200
"""So many rows a model at least, at any pace: an error of 58 rows is not yet an alert."""
OUTCOME_LAG = 1_000
GOLDEN = (math.sqrt(5) - 1) / 2
TICK_S = 0.01
LAST_ALERTS_S = 10.0
RAMP_SHARE = 0.6
"""The models begin to be wrong one by one over so much of the time, so that alerts can follow."""


def stream(first: int, pairs: int, *, is_wrong: bool) -> Iterator[tuple[str, str, bytes]]:
    """Yield events; where ``is_wrong``, models begin one after the other to be always wrong.

    Else models have unlike numbers of rows: see `aged`.
    """
    answers: dict[str, int] = {}
    for topic, key, payload in events(pairs, MODELS, first=first, lag=OUTCOME_LAG):
        number = int(key.removeprefix("p-"))
        event = orjson.loads(payload)
        if not is_wrong:
            yield topic, key, orjson.dumps({**event, "model_id": f"model-{aged(number)}"})
            continue
        turn = (number % MODELS) / MODELS * RAMP_SHARE * pairs
        if topic == "predictions":
            answers[key] = event["prediction"]
            yield topic, key, payload
            continue
        answer = answers.pop(key)
        if number - first >= turn:
            yield topic, key, orjson.dumps({**event, "outcome": 1 - answer})
        else:
            yield topic, key, payload


def aged(number: int) -> int:
    """Return the model of a pair, the last of them three times as often as the first.

    Examples
    --------
    >>> rows = [aged(number) for number in range(MODELS * ROWS_BEFORE)]
    >>> [round(rows.count(model) / ROWS_BEFORE, 1) for model in (0, MODELS // 2, MODELS - 1)]
    [0.5, 1.0, 1.5]
    """
    place = number * GOLDEN % 1  # even, and in no order
    return int((math.sqrt(1 + 8 * place) - 1) / 2 * MODELS)


class Trial:
    """One pace, for some seconds.

    Parameters
    ----------
    settings
        Of the workers.
    first
        Number of the first pair.
    pairs_a_second, seconds
        The pace, and how long it is kept at least.
    """

    def __init__(
        self, settings: Settings, first: int, pairs_a_second: float, seconds: float
    ) -> None:
        self._settings = settings
        self._first = first
        self._pairs_a_second = pairs_a_second
        self._pairs = max(int(pairs_a_second * seconds), MODELS * ROWS_TO_BE_FOUND)
        self._sent_s: dict[int, float] = {}
        self.latencies_s: list[float] = []
        self.late_s = 0.0

    async def run(self) -> None:
        """Publish at the pace, read alerts, and wait a little for the last ones."""
        alerts = self._settings.topics.name("alerts")
        consumer = AIOKafkaConsumer(
            alerts, **self._settings.connection(), auto_offset_reset="latest"
        )
        await consumer.start()
        await consumer.seek_to_end()
        for tp in consumer.assignment():
            await consumer.position(tp)  # the place is known before anything is published
        reader = asyncio.create_task(self._read(consumer))
        publisher = Publisher(self._settings.connection())
        await publisher.start()
        await self._publish(publisher)
        await asyncio.sleep(LAST_ALERTS_S)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        await publisher.stop()
        await consumer.stop()

    async def _publish(self, publisher: Publisher) -> None:
        # Made beforehand: a publisher that cannot keep the pace would hide what it measures.
        job = list(stream(self._first, self._pairs, is_wrong=True))
        topic_of = {"predictions": self._settings.predictions, "outcomes": self._settings.outcomes}
        began_s = time.monotonic()
        done = 0
        sends: set[asyncio.Task[None]] = set()
        while done < len(job):
            now_s = time.monotonic()
            due = min(int((now_s - began_s) * 2 * self._pairs_a_second), len(job))
            batch = []
            for topic, key, payload in job[done:due]:
                if topic == "outcomes":
                    self._sent_s[self._instant_of(key)] = now_s
                batch.append(Outgoing(topic_of[topic], None, key.encode(), payload, None))
            if batch:
                sends.add(asyncio.create_task(publisher.send(batch)))
            done = due
            sends = {send for send in sends if not send.done()}
            await asyncio.sleep(TICK_S)
        await asyncio.gather(*sends)
        self.late_s = time.monotonic() - began_s - len(job) / (2 * self._pairs_a_second)

    def _instant_of(self, key: str) -> int:
        return FIRST_AT_MS + 10 * (int(key.removeprefix("p-")) + OUTCOME_LAG)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        async for message in consumer:
            now_s = time.monotonic()
            alert = orjson.loads(message.value)
            if alert["series"] not in {"error", "outcome"}:
                continue
            at = datetime.fromisoformat(alert["detected_at"])
            sent_s = self._sent_s.get(round(at.timestamp() * 1_000))
            if sent_s is not None:
                self.latencies_s.append(now_s - sent_s)


def capacity(fleet: Fleet, broker: str) -> float:
    """Have the workers learn the models from a backlog; return their pairs per second."""
    pairs = MODELS * ROWS_BEFORE
    with Topic(broker, fleet.settings.topics.name("labelled"), fleet.settings.partitions) as topic:
        asyncio.run(publish(fleet.settings, stream(0, pairs, is_wrong=False)))
        fleet.wait_for_rows(topic, pairs)
        return pairs / produced(topic).wall_s


def main() -> None:
    """Measure at each share, print the table, and with --write renew the docs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each pace is kept")
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="of the capacity")
    parser.add_argument("--capacity", type=float, help="pairs/s, instead of what is measured")
    parser.add_argument("--write", action="store_true", help="renew docs/benchmarks and figures")
    options = parser.parse_args()
    began_s = time.monotonic()
    taken: list[Latency] = []
    with (
        RealKafka(java_options=("-Xms1g", "-Xmx1g", "-XX:+UseSerialGC")) as broker,
        tempfile.TemporaryDirectory(prefix="tidegauge-latency-") as folder,
    ):
        found: list[float] = []
        for share in options.shares:
            fleet = start(broker.bootstrap, f"at-{share:g}", 1, Path(folder))
            try:
                fleet.wait_until_assigned()
                found.append(capacity(fleet, broker.bootstrap))
                whole = options.capacity or min(found)
                first = MODELS * ROWS_BEFORE
                trial = Trial(fleet.settings, first, share * whole, options.seconds)
                asyncio.run(trial.run())
            finally:
                fleet.stop()
            taken.append(Latency.of(share, share * whole, trial.latencies_s, trial.late_s))
            print(taken[-1], flush=True)
    results: dict[str, Any] = {
        "command": " ".join(["python -m benchmarks.latency", *sys.argv[1:]]),
        "machine": machine(),
        "minutes": round((time.monotonic() - began_s) / 60),
        "capacities": [round(each) for each in found],
        "taken": [asdict(each) for each in taken],
    }
    show(taken)
    if options.write:
        save("latency", results)


if __name__ == "__main__":
    main()
