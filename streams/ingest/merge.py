"""Put the events of several source partitions back into one order, by their instants.

A worker that catches up is handed one partition's hour, then the next partition's: a model's
history arrives shuffled, and detectors alarm at the shuffle.

Rule 1. What leaves is the earliest head of all partitions: by record timestamp, then by the event's
        own instant, then specs before predictions before outcomes before controls, then by source.
Rule 2. A partition keeps its own order, whatever its timestamps say.
Rule 3. Nothing leaves while a partition that may still have older events is empty: one that has
        sent within ``idle_s``, or ``BACKLOG_PATIENCE`` times that if it is known to hold more. One
        of a person's topics is not waited for because it has just sent: the next word may be a week
        away. None has anything older that was read to its end ``SETTLED`` of ``idle_s`` after an
        event's instant: whoever publishes may take that long from stamping to the log.
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
SETTLED = 0.1
MAX_HELD_BYTES = 256 * 1024 * 1024
_RANK: dict[EventKind, int] = {"spec": 0, "prediction": 1, "outcome": 2, "control": 3}
_SELDOM = frozenset[EventKind](("spec", "control"))
Item = Accepted | Refused
_Order = tuple[int, Source]
_Head = tuple[int, int, _Order, deque[Item]]
"""The first event that a source holds: Rule 1, and the deque that it is in."""


class TimeMerge:
    """The events held back, by source partition.

    Parameters
    ----------
    idle_s
        Seconds to wait for a partition that has nothing at hand.
    max_held
        Events held at most.
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
        """Return how many events of one source are held."""
        return len(self._held.get(source, ()))

    def assign(self, sources: Iterable[Source], now_s: float) -> None:
        """Start anew with these source partitions, each of which may hold a backlog."""
        self._held = {source: deque() for source in sources}
        self._wait_until = dict.fromkeys(self._held, now_s + self._idle_s)
        self._read_at_s = {}
        self._heads = []
        self._count = 0
        self._bytes = 0

    def add(self, source: Source, items: list[Item], *, has_more: bool, now_s: float) -> None:
        """Hold what a fetch returned; ``has_more``: the partition is known to hold more."""
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
        """Take note that at this instant a source held nothing that `add` has not been given."""
        self._read_at_s[source] = at_s

    def end(self, source: Source) -> None:
        """Take note that a source has nothing more to send."""
        self._wait_until[source] = -math.inf

    def release(self, now_s: float, most: int) -> list[Item]:
        """Return the events that may leave now, in order, at most ``most``."""
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
        """Return the instant until which no partition has anything older to come (Rule 3)."""
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
