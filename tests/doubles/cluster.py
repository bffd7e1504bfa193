"""A Kafka of lists: logs, compaction that really drops records, and one consumer group."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from faust.types import TP

from schemas.cloudevents import NO_HEADERS, Headers


class Stored(NamedTuple):
    """A record as it lies in a log."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes | None
    timestamp: int
    headers: Headers = NO_HEADERS


class Cluster:
    """Logs by topic and partition, and the commits of one group."""

    def __init__(self) -> None:
        self._logs: defaultdict[TP, list[Stored]] = defaultdict(list)
        self._ends: defaultdict[TP, int] = defaultdict(int)
        self.commits: dict[TP, int] = {}

    def append(
        self,
        tp: TP,
        key: bytes,
        value: bytes | None,
        timestamp_ms: int,
        headers: Headers = NO_HEADERS,
    ) -> None:
        offset = self._ends[tp]
        self._logs[tp].append(Stored(*tp, offset, key, value, timestamp_ms, headers))
        self._ends[tp] = offset + 1

    def end(self, tp: TP) -> int:
        """Return the offset that the next record will have."""
        return self._ends[tp]

    def beginning(self, tp: TP) -> int:
        """Return the offset of the oldest record that is kept, or the end."""
        log = self._logs[tp]
        return log[0].offset if log else self._ends[tp]

    def read(self, tp: TP, offset: int = 0, most: int | None = None) -> list[Stored]:
        """Return records from an offset on, at most so many."""
        log = self._logs[tp]
        if offset and len(log) == self._ends[tp]:
            found = log[offset:]
        else:
            found = [record for record in log if record.offset >= offset]
        return found if most is None else found[:most]

    def partitions(self, topic: str) -> list[TP]:
        """Return the partitions of a topic that hold or held something."""
        return sorted(tp for tp in self._logs if tp.topic == topic)

    def of(self, topic: str) -> list[Stored]:
        """Return all records of a topic, one partition after the other."""
        return [record for tp in self.partitions(topic) for record in self._logs[tp]]

    def compact(self, tp: TP, chance: random.Random, *, drop_deletions: bool) -> None:
        """Drop records that a later one of the same key replaces: all, or some of them."""
        log = self._logs[tp]
        last = {record.key: record.offset for record in log}
        share = chance.choice((0.3, 1.0))
        kept = [
            record
            for record in log
            if record.offset == last[record.key] or chance.random() >= share
        ]
        if drop_deletions:
            held = Counter(record.key for record in kept)
            kept = [record for record in kept if record.value is not None or held[record.key] > 1]
        self._logs[tp] = kept

    def lose(self, tp: TP, offset: int | None = None) -> None:
        """Lose a record of a log, or all."""
        self._logs[tp] = [
            record for record in self._logs[tp] if offset is not None and record.offset != offset
        ]


class Group:
    """Who owns which partitions, and since when."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.generation = 0
        self._owners: dict[TP, str] = {}

    def assign(self, owners: Mapping[TP, str]) -> None:
        """Begin another generation."""
        self.generation += 1
        self._owners = dict(owners)

    def commit(self, member: str, generation: int, offsets: Mapping[TP, int]) -> bool:
        """Take a commit, unless it comes from a generation that is over."""
        if generation != self.generation or any(self._owners.get(tp) != member for tp in offsets):
            return False
        self._cluster.commits.update(offsets)
        return True
