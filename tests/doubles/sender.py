"""What agents publish to, commit through and read from, as lists."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import cast

from aiokafka import ConsumerRecord
from faust.types import TP

from agents.errors import PublishError
from agents.worker.agent import Partitions
from agents.worker.publish import Outgoing
from agents.worker.state import LogRecord
from agents.worker.transport import End, Fetch
from tests.doubles.cluster import Stored


class ListSender:
    """Keeps what is sent; from the ``fails_at``-th call on it fails."""

    def __init__(self, fails_at: int | None = None, journal: list[str] | None = None) -> None:
        self.sent: list[Outgoing] = []
        self.calls = 0
        self.journal = [] if journal is None else journal
        self._fails_at = fails_at

    async def send(self, batch: list[Outgoing]) -> None:
        if self.calls == self._fails_at:
            msg = "nothing can be published: the broker is gone"
            raise PublishError(msg)
        self.calls += 1
        self.sent += batch
        self.journal += sorted({each.topic for each in batch})

    def to(self, topic: str) -> list[Outgoing]:
        return [each for each in self.sent if each.topic == topic]


class ListPartitions(Partitions):
    """Keeps the commits, and takes none while it does not accept them.

    ``asked`` are the ends, ``group`` is how far the whole group has come.
    """

    def __init__(self, journal: list[str] | None = None) -> None:
        self.commits: list[dict[TP, int]] = []
        self.accepts = True
        self.ends: dict[TP, End] = {}
        self.asked: dict[TP, int] = {}
        self.group: dict[TP, int] = {}
        self.paused: set[TP] = set()
        self.journal = [] if journal is None else journal

    async def commit_fact(self, offsets: Mapping[TP, int]) -> bool:
        if self.accepts:
            self.commits.append(dict(offsets))
            self.journal.append("commit")
        return self.accepts

    def pause(self, tps: Iterable[TP]) -> None:
        self.paused |= set(tps)

    def resume(self, tps: Iterable[TP]) -> None:
        self.paused -= set(tps)

    def known_ends(self) -> dict[TP, End]:
        return self.ends

    can_ask_ends: bool = True

    async def progress(self, topics: Iterable[str]) -> dict[TP, int]:
        return dict(self.group)

    async def ask_ends(self, tps: Iterable[TP]) -> dict[TP, int]:
        return {tp: self.asked[tp] for tp in tps}

    def committed(self) -> dict[TP, int]:
        return {tp: offset for commit in self.commits for tp, offset in commit.items()}


class ListReader:
    """Reads lists."""

    def __init__(self, begins_at: int = 0) -> None:
        self.logs: defaultdict[TP, list[Stored]] = defaultdict(list)
        self._begins_at = begins_at

    async def beginning(self, tp: TP) -> int:
        return self._begins_at

    async def end(self, tp: TP) -> int:
        return len(self.logs[tp])

    async def read(
        self, tp: TP, start: int | None = None, end: int | None = None
    ) -> AsyncIterator[Sequence[LogRecord]]:
        for record in self.logs[tp][start:end]:
            yield cast("list[LogRecord]", [record])

    def keep(self, sent: Sequence[Outgoing]) -> None:
        """Have records in the log from now on."""
        for each in sent:
            tp = TP(each.topic, each.partition or 0)
            log = self.logs[tp]
            log.append(Stored(*tp, len(log), each.key or b"", each.value, 0))


def fetch_of(
    tp: TP,
    values: Sequence[bytes | None],
    *,
    start: int = 0,
    at_ms: int = 0,
    end: int | None = None,
    keys: Sequence[bytes] = (),
) -> Fetch:
    """Return what one fetch brings."""
    records = [
        Stored(*tp, start + i, keys[i] if keys else b"", value, at_ms + i)
        for i, value in enumerate(values)
    ]
    after = start + len(values)
    found = cast("list[ConsumerRecord]", records)
    return Fetch(*tp, found, start, after, after if end is None else end)
