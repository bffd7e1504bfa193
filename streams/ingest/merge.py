"""Put the events of several source partitions back into one order, by their instants.

A worker that catches up on a backlog receives an hour of one partition, then an hour of the next.
Without a merge a model's history would be shuffled, and its detectors would alarm.

Rule 1. The next event to leave is the earliest head of all partitions: by record timestamp, then by
        the event's own instant, then specs before predictions before outcomes before the words of
        people, then by source.
Rule 2. A partition keeps its own order, whatever its timestamps are.
Rule 3. Nothing leaves while a partition that may have older events is empty. It may have some until
        the broker has said that it is read to its end, ``SETTLED`` of ``idle_s`` after an event's
        instant: a producer may take that long from timestamp to append. A topic of specs, controls
        or reports, once read to its end, counts only if it is known to hold more: its records may
        be a week apart.
Rule 4. At most ``max_held`` events are held, of at most ``MAX_HELD_BYTES``; beyond that the
        earliest leave without waiting.
Rule 5. A partition of which the broker says nothing for ``PATIENCE`` times ``idle_s`` is passed
        over until it does: its leader is gone. Only time counts in which events wait and the caller
        is at work: a caller that stands still has not heard the broker's answers.
"""

import math
from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush, heapreplace

from schemas.event import EventKind, Source
from streams.ingest.records import Accepted, Refused

PATIENCE = 60
"""Multiple of ``idle_s`` to wait for a partition of which nothing is heard: a minute at its default
of 1 s. Kafka gives a partition of a broker that has died another leader in half of that."""
TURN_S = 0.25
"""Seconds between two calls of `TimeMerge.release` that count as time at work; five times as long
as a worker's turn."""
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
    "report": 3,
}
_SELDOM = frozenset[EventKind](("spec", "control", "report"))
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
        self.assign(())

    def __len__(self) -> int:
        return self._count

    def held(self, source: Source) -> int:
        """Return the number of events held of one source."""
        return len(self._held.get(source, ()))

    def first_offset(self, source: Source) -> int | None:
        """Return the offset of the first event held of a source; None where none is."""
        held = self._held.get(source)
        return held[0].offset if held else None

    @property
    def held_bytes(self) -> int:
        """Bytes of the payloads held."""
        return self._bytes

    def assign(self, sources: Iterable[Source]) -> None:
        """Drop all events and start with these source partitions; each may have a backlog."""
        self._held: dict[Source, deque[Item]] = {source: deque() for source in sources}
        self._read_at_s = dict.fromkeys(self._held, -math.inf)
        self._heard_s = dict.fromkeys(self._held, 0.0)
        self._worked_s = 0.0
        self._called_at_s = math.inf
        self._heads: list[_Head] = []
        self._count = 0
        self._bytes = 0

    def add(self, source: Source, items: list[Item], *, has_more: bool) -> None:
        """Hold the events of a fetch; ``has_more``: the partition is known to hold more."""
        self._heard_s[source] = self._worked_s
        if has_more:
            self._read_at_s[source] = -math.inf
        elif source.kind in _SELDOM:
            self._read_at_s[source] = math.inf
        held = self._held[source]
        if items and not held:
            first = items[0]
            order = _RANK[source.kind], source
            heappush(self._heads, (first.logged_at, first.at_ms, order, held))
        held.extend(items)
        self._count += len(items)
        self._bytes += sum([len(item.payload) for item in items])

    def note_end(self, source: Source, at_s: float) -> None:
        """Note that at ``at_s`` the source had no record after those given to `add`."""
        if at_s > self._read_at_s[source]:
            self._read_at_s[source] = math.inf if source.kind in _SELDOM else at_s
            self._heard_s[source] = self._worked_s

    def end(self, source: Source) -> None:
        """Note that a source will send nothing more."""
        self._read_at_s[source] = math.inf

    def passed_over(self) -> list[Source]:
        """Return the partitions that are not waited for, since the broker says nothing of them."""
        return [source for source in self._empty() if self._is_silent(source)]

    def release(self, now_s: float, most: int) -> list[Item]:
        """Remove and return the events that may leave now, in order, at most ``most``."""
        if self._heads:  # else nothing waits
            self._worked_s += min(max(now_s - self._called_at_s, 0.0), TURN_S)
        self._called_at_s = now_s
        released: list[Item] = []
        heads, count, size = self._heads, self._count, self._bytes
        settled_ms = self._settled_ms()
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
                settled_ms = self._settled_ms()
        self._count, self._bytes = count, size
        return released

    def _empty(self) -> list[Source]:
        return [source for source, held in self._held.items() if not held]

    def _is_silent(self, source: Source) -> bool:
        return self._worked_s - self._heard_s[source] > PATIENCE * self._idle_s

    def _settled_ms(self) -> float:
        """Return the epoch milliseconds before which no event is missing (Rules 3 and 5)."""
        if len(self._heads) == len(self._held):
            return math.inf
        read_s = min(
            (self._read_at_s[source] for source in self._empty() if not self._is_silent(source)),
            default=math.inf,
        )
        return 1_000 * (read_s - SETTLED * self._idle_s)
