"""A room where events wait for their other half, first in first out by log time.

Rule 1. An entry leaves once: taken, expired, or pushed out.
Rule 2. Entries stand in the order they came; log time never goes back, so the front is oldest.
Rule 3. At most ``capacity`` wait; one more pushes the oldest out.
Rule 4. Entries stand in chunks. The last one is open; at ``CHUNK_SLOTS`` it is sealed under an id that
        is never given again, with what is left in it. A sealed chunk only loses entries; when three
        quarters are gone, the rest is sealed anew under another id, with a neighbour's where both are
        small. So an id names the same bytes for ever, and what waits long is stored once, not with
        every snapshot.
"""

from collections.abc import Callable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")

CHUNK_SLOTS = 128
SHRUNK = 4
"""A sealed chunk is sealed anew when at most one in so many of its entries is left."""


class Entry(NamedTuple, Generic[T]):
    """What waits: its place in its chunk, since when, and what."""

    index: int
    at_ms: int
    value: T


class _Chunk(Generic[T]):
    """Some entries in order. ``number`` is 0 while it is open; ``sealed`` is what it was sealed with,
    until that has been stored."""

    __slots__ = ("after", "before", "count", "entries", "number", "sealed")

    def __init__(self) -> None:
        self.number = 0
        self.count = 0
        self.entries: dict[str, Entry[T]] = {}
        self.sealed: list[tuple[str, int, T]] | None = None
        self.before: _Chunk[T] | None = None
        self.after: _Chunk[T] | None = None


class WaitingRoom(Generic[T]):
    """Entries by key.

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
        self._chunk_of: dict[str, _Chunk[T]] = {}
        self._last_number = 0
        self._open: _Chunk[T] = _Chunk()
        self._first = self._open
        self._oldest_ms = 0

    def __len__(self) -> int:
        return len(self._chunk_of)

    def __contains__(self, key: str) -> bool:
        return key in self._chunk_of

    def put(self, key: str, at_ms: int, value: T) -> int:
        """Let an entry wait; return how many were pushed out to make room."""
        pushed_out = 0
        if len(self._chunk_of) >= self._capacity:
            self._drop_oldest()
            pushed_out = 1
        chunk = self._open
        chunk.entries[key] = Entry(chunk.count, at_ms, value)
        self._chunk_of[key] = chunk
        chunk.count += 1
        if chunk.count == CHUNK_SLOTS:
            self._close()
        return pushed_out

    def get(self, key: str) -> T | None:
        """Return what waits under ``key``, leaving it there."""
        chunk = self._chunk_of.get(key)
        return None if chunk is None else chunk.entries[key].value

    def take(self, key: str) -> T | None:
        """Remove and return what waits under ``key``."""
        chunk = self._chunk_of.pop(key, None)
        if chunk is None:
            return None
        entry = chunk.entries.pop(key)
        if chunk.number and len(chunk.entries) * SHRUNK <= chunk.count:
            self._shrink(chunk)
        return entry.value

    def expire(self, before_ms: int) -> int:
        """Remove every entry that came before an instant; return how many."""
        expired = 0
        while self._oldest_ms < before_ms:
            front = self._front()
            if front is None:
                break
            key, self._oldest_ms = front
            if self._oldest_ms < before_ms:
                self.take(key)
                expired += 1
        return expired

    def entries(self) -> Iterator[tuple[str, int, T]]:
        """Yield (key, instant, value) of all that wait, the oldest first."""
        chunk: _Chunk[T] | None = self._first
        while chunk is not None:
            yield from ((key, e.at_ms, e.value) for key, e in chunk.entries.items())
            chunk = chunk.after

    def _front(self) -> tuple[str, int] | None:
        chunk: _Chunk[T] | None = self._first
        while chunk is not None:
            for key, entry in chunk.entries.items():
                return key, entry.at_ms
            chunk = chunk.after
        return None

    def _drop_oldest(self) -> None:
        front = self._front()
        if front is not None:
            self.take(front[0])

    def _close(self) -> None:
        """Seal the open chunk, if anything is left in it, and open another."""
        chunk = self._open
        if not chunk.entries:
            chunk.count = 0
            return
        self._seal(chunk, chunk.entries)
        self._open = _Chunk()
        _link(chunk, self._open)

    def _seal(self, chunk: _Chunk[T], entries: dict[str, Entry[T]]) -> None:
        self._last_number += 1
        chunk.number = self._last_number
        chunk.count = len(entries)
        chunk.entries = {
            key: Entry(index, entry.at_ms, entry.value)
            for index, (key, entry) in enumerate(entries.items())
        }
        chunk.sealed = [(key, entry.at_ms, entry.value) for key, entry in chunk.entries.items()]

    def _shrink(self, chunk: _Chunk[T]) -> None:
        """Seal anew what is left of a chunk, together with a neighbour where both are small."""
        before, after = chunk.before, chunk.after
        if not chunk.entries:
            self._unlink(chunk)
        elif before is not None and _fit(before, chunk):
            self._merge(before, chunk)
        elif after is not None and after.number and _fit(chunk, after):
            self._merge(chunk, after)
        else:
            self._seal(chunk, chunk.entries)

    def _merge(self, chunk: _Chunk[T], after: _Chunk[T]) -> None:
        self._unlink(after)
        self._seal(chunk, chunk.entries | after.entries)
        for key in after.entries:
            self._chunk_of[key] = chunk

    def _unlink(self, chunk: _Chunk[T]) -> None:
        before, after = chunk.before, chunk.after
        if after is not None:
            after.before = before
        if before is None:
            self._first = after or self._open
        else:
            before.after = after


def _link(before: _Chunk[T], after: _Chunk[T]) -> None:
    before.after, after.before = after, before


def _fit(before: _Chunk[T], after: _Chunk[T]) -> bool:
    return len(before.entries) + len(after.entries) <= CHUNK_SLOTS // 2
