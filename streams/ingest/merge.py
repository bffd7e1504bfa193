"""Put the events of several source partitions back into one order, by their instants.

A worker that catches up on a backlog receives an hour of one partition, then an hour of the next.
Without a merge a model's history would be shuffled, and its detectors would alarm.

Rule 1. The next event to leave is the earliest head of all partitions: by record timestamp, then by
        the event's own instant, then specs before predictions before outcomes before controls, then
        by source.
Rule 2. A partition keeps its own order, whatever its timestamps are.
Rule 3. Nothing leaves while a partition that may have older events is empty. That is one that has
        sent within ``idle_s``, or within ``BACKLOG_PATIENCE`` times that if it is known to hold
        more. A topic of specs or controls counts only if it is known to hold more: its records may
        be a week apart. A partition that was read to its end ``SETTLED`` of ``idle_s`` after an
        event's instant has none older: a producer may take that long from timestamp to append.
Rule 4. At most ``max_held`` events are held, of at most ``MAX_HELD_BYTES``; beyond that the
        earliest leave without waiting.
"""

import math
from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush, heapreplace

from schemas.event import EventKind, Source
from streams.ingest.records import Accepted, Refused

BACKLOG_PATIENCE = 10
"""Multiple of ``idle_s`` to wait for a partition with a backlog. A fetch of it is under way, and a
busy broker takes seconds to answer, so the wait is longer than for an idle partition."""
SETTLED = 0.1
"""Share of ``idle_s``: 100 ms at its default of 1 s, more than a producer's linger time."""
MAX_HELD_BYTES = 256 * 1024 * 1024
"""Bytes of the payloads held: 1,024 payloads of the largest size."""
_RANK: dict[EventKind, int] = {
    "spec": 0,
    "inputs": 1,
    "prediction": 1,
    "outcome": 2,
    "control": 3,
}
_SELDOM = frozenset[EventKind](("spec", "control"))
Item = Accepted | Refused
_Order = tuple[int, Source]
_Head = tuple[int, int, _Order, deque[Item]]
"""The first event that is held of a source, by Rule 1, and the deque that holds it."""


class TimeMerge:
    """The events held back, by source partition.

    Parameters
    ----------
    idle_s
        Seconds to wait for a partition of which no event is held.
    max_held
        Most events to hold. At 1 kB each, 100,000 take 100 MB.
    """

    def __init__(self, idle_s: float, max_held: int = 100_000) -> None:
        if not (idle_s >= 0 and math.isfinite(idle_s)):
            msg = f"idle_s must be a number of seconds, at least 0, got {idle_s!r}"
            raise ValueError(msg)
        self._idle_s = idle_s
        self._max_held = max_held
        self._held: dict[Source, deque[Item]] = {}
        self._wait_until: dict[Source, float] = {}
        self._read_at_s: dict[Source, float] = {}
        self._heads: list[_Head] = []
        self._count = 0
        self._bytes = 0

    def __len__(self) -> int:
        return self._count

    def held(self, source: Source) -> int:
        """Return the number of events held of one source."""
        return len(self._held.get(source, ()))

    def first_offset(self, source: Source) -> int | None:
        """Return the offset of the first event held of a source; None where none is."""
        held = self._held.get(source)
        return held[0].offset if held else None

    def assign(self, sources: Iterable[Source], now_s: float) -> None:
        """Drop all events and start with these source partitions; each may have a backlog."""
        self._held = {source: deque() for source in sources}
        self._wait_until = dict.fromkeys(self._held, now_s + self._idle_s)
        self._read_at_s = {}
        self._heads = []
        self._count = 0
        self._bytes = 0

    def add(self, source: Source, items: list[Item], *, has_more: bool, now_s: float) -> None:
        """Hold the events of a fetch; ``has_more``: the partition is known to hold more."""
        patience_s = self._idle_s * (BACKLOG_PATIENCE if has_more else 1)
        is_done = source.kind in _SELDOM and not has_more
        self._wait_until[source] = now_s if is_done else now_s + patience_s
        held = self._held.setdefault(source, deque())
        if items and not held:
            first = items[0]
            order = _RANK[source.kind], source
            heappush(self._heads, (first.logged_at, first.at_ms, order, held))
        held.extend(items)
        self._count += len(items)
        self._bytes += sum([len(item.payload) for item in items])

    def note_end(self, source: Source, at_s: float) -> None:
        """Note that at ``at_s`` the source had no record after those given to `add`."""
        self._read_at_s[source] = at_s

    def end(self, source: Source) -> None:
        """Note that a source will send nothing more."""
        self._wait_until[source] = -math.inf

    def release(self, now_s: float, most: int) -> list[Item]:
        """Remove and return the events that may leave now, in order, at most ``most``."""
        released: list[Item] = []
        heads, count, size = self._heads, self._count, self._bytes
        settled_ms = self._settled_ms(now_s)
        while heads and len(released) < most:
            logged_at, _, order, held = heads[0]
            if logged_at > settled_ms and count <= self._max_held and size <= MAX_HELD_BYTES:
                break
            item = held.popleft()
            released.append(item)
            count -= 1
            size -= len(item.payload)
            if held:
                head = held[0]
                heapreplace(heads, (head.logged_at, head.at_ms, order, held))
            else:
                heappop(heads)
                settled_ms = self._settled_ms(now_s)
        self._count, self._bytes = count, size
        return released

    def _settled_ms(self, now_s: float) -> float:
        """Return the epoch milliseconds before which no event is missing (Rule 3)."""
        if len(self._heads) == len(self._held):
            return math.inf
        read_s = min(
            (
                self._read_at_s.get(source, -math.inf)
                for source, held in self._held.items()
                if not held and self._wait_until[source] > now_s
            ),
            default=math.inf,
        )
        return 1_000 * (read_s - SETTLED * self._idle_s)
