"""What a process takes from the machine, and what it has put into a topic."""

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import orjson
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

READ_AT_ONCE = 10_000
READ_S = 60.0
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """CPU seconds and peak memory of a process and of all that it has started."""

    cpu_s: float
    peak_mb: float


def usage(pids: Iterable[int]) -> Usage:
    """Return what processes and their children have taken so far."""
    cpu_s = peak_mb = 0.0
    for pid in pids:
        for each in (pid, *_descendants(pid)):
            try:
                cpu_s += _cpu_s(each)
                peak_mb += _peak_mb(each)
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended; its parent counts it from now on
    return Usage(cpu_s, peak_mb)


def _cpu_s(pid: int) -> float:
    """User and system time, that of ended children included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS_A_SECOND


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1_000
    return 0.0  # a zombie has no memory


def resident_mb(pids: Iterable[int]) -> float:
    """Return the resident sets of processes, as they are now."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in map(int, children.read_text().split()):
                found += (child, *_descendants(child))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


class Topic:
    """A topic to count and to read back, from its beginning."""

    def __init__(self, broker: str, name: str, partitions: int) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": broker,
                "group.id": "benchmark",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
            }
        )
        self._partitions = [TopicPartition(name, number, 0) for number in range(partitions)]
        self._ends = [0] * partitions

    def __enter__(self) -> "Topic":
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def rows(self) -> int:
        """Return how many records there are."""
        for place, partition in enumerate(self._partitions):
            # A topic that was created a moment ago may not have its leader yet: asked again later.
            with contextlib.suppress(KafkaException):
                self._ends[place] = self._consumer.get_watermark_offsets(partition, 10.0)[1]
        return sum(self._ends)

    def read(self, on_message: Callable[[Message], None]) -> None:
        """Hand over every record that is there now."""
        left = self.rows()
        self._consumer.assign(self._partitions)
        deadline_s = time.monotonic() + READ_S
        while left > 0 and time.monotonic() < deadline_s:
            for message in self._consumer.consume(READ_AT_ONCE, 1.0):
                if message.error() is None:
                    on_message(message)
                    left -= 1
        self._consumer.unassign()


class Produced(NamedTuple):
    """The pairs in a topic: how many records, how many different ones, and over which time."""

    rows: int
    pairs: int
    wall_s: float


def produced(topic: Topic) -> Produced:
    """Read back the pairs that a contender has published."""
    ids: set[str] = set()
    rows = 0
    first_ms, last_ms = 2**62, 0

    def note(message: Message) -> None:
        nonlocal rows, first_ms, last_ms
        at_ms = message.timestamp()[1]
        first_ms, last_ms = min(first_ms, at_ms), max(last_ms, at_ms)
        rows += 1
        ids.add(orjson.loads(message.value() or b"")["prediction"]["prediction_id"])

    topic.read(note)
    return Produced(rows, len(ids), max(last_ms - first_ms, 0) / 1_000)
