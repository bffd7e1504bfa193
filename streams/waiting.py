"""A room where events wait for their other half, first in first out by log time.

Rule 1. An entry leaves once: taken, expired, or pushed out.
Rule 2. Entries stand in the order they came; log time never goes back, so the front is oldest.
Rule 3. At most ``capacity`` wait; one more pushes the oldest out.
Rule 4. Memory follows what waits, not what has passed.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

CHUNK_SLOTS = 128


class WaitingRoom(Generic[T]):
    """Entries by key, in chunks of ``CHUNK_SLOTS`` slots, so that leaving from the front is cheap.

    Parameters
    ----------
    capacity
        Entries held at most.

    Examples
    --------
    >>> room = WaitingRoom[str](capacity=2)
    >>> room.put("a", 10, "first"), room.put("b", 20, "second"), room.put("c", 30, "third")
    (0, 0, 1)
    >>> room.take("a"), room.take("b"), room.expire(31), len(room)
    (None, 'second', 1, 0)
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._slot_of: dict[str, int] = {}
        self._chunks: dict[int, list[tuple[str, int, T] | None]] = {}
        self._live: dict[int, int] = {}
        self._oldest = 0
        self._next = 0

    def __len__(self) -> int:
        return len(self._slot_of)

    def __contains__(self, key: str) -> bool:
        return key in self._slot_of

    def put(self, key: str, at_ms: int, value: T) -> int:
        """Let an entry wait whose key does not wait yet; return how many were pushed out for it."""
        pushed_out = 0
        if len(self._slot_of) >= self._capacity:
            self._drop_oldest()
            pushed_out = 1
        slot = self._next
        self._next += 1
        chunk_id = slot // CHUNK_SLOTS
        self._chunks.setdefault(chunk_id, []).append((key, at_ms, value))
        self._live[chunk_id] = self._live.get(chunk_id, 0) + 1
        self._slot_of[key] = slot
        return pushed_out

    def get(self, key: str) -> T | None:
        """Return what waits under ``key``, leaving it there."""
        slot = self._slot_of.get(key)
        if slot is None:
            return None
        entry = self._chunks[slot // CHUNK_SLOTS][slot % CHUNK_SLOTS]
        return None if entry is None else entry[2]

    def take(self, key: str) -> T | None:
        """Remove and return what waits under ``key``."""
        slot = self._slot_of.pop(key, None)
        if slot is None:
            return None
        chunk_id = slot // CHUNK_SLOTS
        chunk = self._chunks[chunk_id]
        entry = chunk[slot % CHUNK_SLOTS]
        chunk[slot % CHUNK_SLOTS] = None
        self._live[chunk_id] -= 1
        if not self._live[chunk_id] and len(chunk) == CHUNK_SLOTS:
            # Not only at the front: one entry that waits for weeks must not hold all that passed it.
            del self._chunks[chunk_id], self._live[chunk_id]
        return None if entry is None else entry[2]

    def expire(self, before_ms: int) -> int:
        """Remove every entry that came before an instant; return how many."""
        expired = 0
        while (front := self._front()) is not None and front[1] < before_ms:
            self._drop_oldest()
            expired += 1
        return expired

    def entries(self) -> Iterator[tuple[str, int, T]]:
        """Yield (key, instant, value) of all that wait, the oldest first."""
        for chunk_id in sorted(self._chunks):
            yield from (entry for entry in self._chunks[chunk_id] if entry is not None)

    def _front(self) -> tuple[str, int, T] | None:
        while self._oldest < self._next:
            chunk_id, slot = divmod(self._oldest, CHUNK_SLOTS)
            chunk = self._chunks.get(chunk_id)
            if chunk is None:
                self._oldest += CHUNK_SLOTS - slot
                continue
            entry = chunk[slot]
            if entry is not None:
                return entry
            self._oldest += 1
        return None

    def _drop_oldest(self) -> None:
        front = self._front()
        if front is not None:
            self.take(front[0])
