"""A room where events wait for their other half, first in first out by log time.

Rule 1. An entry leaves once: taken, expired, or pushed out.
Rule 2. Entries stand in the order they came; log time never goes back, so the front is oldest.
Rule 3. At most ``capacity`` wait, of at most ``ROOM_BYTES``; one more pushes the oldest out.
Rule 4. Entries stand in chunks. The last one is open; at ``CHUNK_SLOTS`` entries, or
        ``CHUNK_BYTES``, it is sealed, under a number that is never given again, with what is left
        in it. A sealed chunk only loses entries; when three quarters are gone, the rest is sealed
        anew under another number, with a neighbour's where both are small. So a number names the
        same bytes for ever, and what waits long is stored once, not with every snapshot.
"""

from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, Generic, TypeVar

T = TypeVar("T")
ROOM_BYTES = 1 << 30
CHUNK_SLOTS = 128
CHUNK_BYTES = 512 * 1024
"""With the one payload that goes beyond it, a chunk still fits a record of the state topic."""
_ALL_LIVE = (1 << CHUNK_SLOTS) - 1
SHRUNK = 4
"""A sealed chunk is sealed anew when at most one in so many of its entries is left."""


# An entry is a plain tuple (place in its chunk, since when in epoch ms, what): with named tuples
# the rooms were a fifth of the time of a whole backtest.


class _Chunk(Generic[T]):
    """Some entries in order.

    ``number`` is 0 while it is open; ``sealed`` is what it was sealed with, until that is stored;
    ``live`` says which of those are left, once somebody asked.
    """

    __slots__ = ("after", "before", "bytes", "count", "entries", "live", "number", "sealed")

    def __init__(self) -> None:
        self.number = 0
        self.count = 0
        self.bytes = 0
        self.entries: dict[str, tuple[int, int, T]] = {}
        self.sealed: dict[str, tuple[int, int, T]] | None = None
        self.live: str | None = None
        self.before: _Chunk[T] | None = None
        self.after: _Chunk[T] | None = None


class WaitingRoom(Generic[T]):
    """Entries by key.

    Parameters
    ----------
    capacity
        Entries held at most.
    payload_of
        Gives the bytes that a value holds, which count beside its key.

    Attributes
    ----------
    chunk_of
        The chunk of each key that waits. To be read, not written.
    last_number
        Of the chunk sealed last; 0 before the first.
    oldest_ms
        No entry came before this instant.

    Examples
    --------
    >>> room = WaitingRoom[str](capacity=2, payload_of=str.encode)
    >>> room.put("a", 10, "first"), room.put("b", 20, "second"), room.put("c", 30, "third")
    (0, 0, 1)
    >>> room.take("a"), room.take("b"), room.expire(31), len(room)
    (None, 'second', 1, 0)
    """

    def __init__(self, capacity: int, payload_of: Callable[[T], Sized]) -> None:
        self._capacity = capacity
        self._payload_of = payload_of
        self._bytes = 0
        self.chunk_of: dict[str, _Chunk[T]] = {}
        self.last_number = 0
        self._open: _Chunk[T] = _Chunk()
        self._first = self._open
        self.oldest_ms = 0

    def __len__(self) -> int:
        return len(self.chunk_of)

    def put(self, key: str, at_ms: int, value: T) -> int:
        """Let an entry wait; return how many were pushed out to make room."""
        size = len(key) + len(self._payload_of(value))
        chunk_of = self.chunk_of
        pushed_out = 0
        self._bytes += size
        while chunk_of and (len(chunk_of) >= self._capacity or self._bytes > ROOM_BYTES):
            self._drop_oldest()
            pushed_out += 1
        chunk = self._open
        chunk.bytes += size
        count = chunk.count
        chunk.entries[key] = (count, at_ms, value)
        chunk_of[key] = chunk
        chunk.count = count + 1
        if count + 1 == CHUNK_SLOTS or chunk.bytes >= CHUNK_BYTES:
            self._close()
        return pushed_out

    def get(self, key: str) -> T | None:
        """Return what waits under ``key``, leaving it there."""
        chunk = self.chunk_of.get(key)
        if chunk is None:
            return None
        _, _, value = chunk.entries[key]
        return value

    def take(self, key: str) -> T | None:
        """Remove and return what waits under ``key``."""
        chunk = self.chunk_of.pop(key, None)
        if chunk is None:
            return None
        _, _, value = chunk.entries.pop(key)
        size = len(key) + len(self._payload_of(value))
        self._bytes -= size
        chunk.bytes -= size
        chunk.live = None
        if chunk.number and len(chunk.entries) * SHRUNK <= chunk.count:
            self._shrink(chunk)
        return value

    def resize(self, capacity: int) -> int:
        """Hold at most so many from now on; return how many were pushed out."""
        self._capacity = capacity
        pushed_out = max(0, len(self.chunk_of) - capacity)
        for _ in range(pushed_out):
            self._drop_oldest()
        return pushed_out

    def clear(self) -> None:
        """Remove every entry. The numbers go on: none is given again (Rule 4)."""
        self.chunk_of = {}
        self._bytes = 0
        self._open = self._first = _Chunk()

    def expire(self, before_ms: int) -> int:
        """Remove every entry that came before an instant; return how many."""
        expired = 0
        while self.oldest_ms < before_ms:
            front = self._front()
            if front is None:
                self.oldest_ms = before_ms  # what comes later comes after it
                break
            key, (_, self.oldest_ms, _) = front
            if self.oldest_ms < before_ms:
                self.take(key)
                expired += 1
        return expired

    def entries(self) -> Iterator[tuple[str, int, T]]:
        """Yield (key, instant, value) of all that wait, the oldest first."""
        for chunk in self._chunks():
            yield from ((key, at_ms, value) for key, (_, at_ms, value) in chunk.entries.items())

    def snapshot(self, encode: Callable[[str, T], bytes]) -> dict[str, Any]:
        """Return the room without what its sealed chunks hold: see `unstored`.

        Parameters
        ----------
        encode
            Writes a key and its value as one line.
        """
        return {
            "last_number": self.last_number,
            "chunks": [[c.number, c.count, _live(c)] for c in self._chunks() if c.number],
            "open_count": self._open.count,
            "open": _lines(self._open.entries, encode),
        }

    def unstored(self, encode: Callable[[str, T], bytes]) -> dict[int, bytes]:
        """Return the sealed chunks that have not been stored yet, by number."""
        return {
            chunk.number: _lines(chunk.sealed, encode)
            for chunk in self._chunks()
            if chunk.sealed is not None
        }

    def on_stored(self, numbers: Iterable[int]) -> None:
        """Take note that these chunks are stored: their bytes are not needed any more."""
        stored = set(numbers)
        for chunk in self._chunks():
            if chunk.number in stored:
                chunk.sealed = None

    def numbers(self) -> list[int]:
        """Return the numbers of the sealed chunks that a snapshot taken now would name."""
        return [chunk.number for chunk in self._chunks() if chunk.number]

    @classmethod
    def restore(
        cls,
        capacity: int,
        snapshot: dict[str, Any],
        chunks: Callable[[int], bytes],
        decode: Callable[[bytes], tuple[str, T]],
        payload_of: Callable[[T], Sized],
    ) -> "WaitingRoom[T]":
        """Return the room as it was.

        Parameters
        ----------
        capacity
            Entries held at most.
        snapshot
            What `snapshot` returned.
        chunks
            Gives the bytes of a sealed chunk, by number.
        decode
            Reads a line of ``encode``.
        payload_of
            As for the constructor.
        """
        room = cls(capacity, payload_of)
        room.last_number = snapshot["last_number"]
        for number, count, live in snapshot["chunks"]:
            room._append(number, count, int(live, 16), chunks(number), decode)
        room._append(0, snapshot["open_count"], _ALL_LIVE, snapshot["open"], decode)
        return room

    def _append(
        self,
        number: int,
        count: int,
        live: int,
        lines: bytes,
        decode: Callable[[bytes], tuple[str, T]],
    ) -> None:
        chunk = self._open
        chunk.number, chunk.count = number, count
        for line in lines.split(b"\n") if lines else ():
            place, at_ms, text = line.split(b" ", 2)
            if live >> int(place) & 1:
                key, value = decode(text)
                chunk.entries[key] = (int(place), int(at_ms), value)
                self.chunk_of[key] = chunk
                chunk.bytes += len(key) + len(self._payload_of(value))
        self._bytes += chunk.bytes
        if number:
            self._open = _Chunk()
            _link(chunk, self._open)

    def _chunks(self) -> Iterator[_Chunk[T]]:
        chunk: _Chunk[T] | None = self._first
        while chunk is not None:
            yield chunk
            chunk = chunk.after

    def _front(self) -> tuple[str, tuple[int, int, T]] | None:
        chunk: _Chunk[T] | None = self._first
        while chunk is not None:
            for front in chunk.entries.items():
                return front
            chunk = chunk.after
        return None

    def _drop_oldest(self) -> None:
        chunk: _Chunk[T] | None = self._first
        while chunk is not None:
            for key in chunk.entries:
                self.take(key)
                return
            chunk = chunk.after

    def _close(self) -> None:
        """Seal the open chunk, if anything is left in it, and open another."""
        chunk = self._open
        if not chunk.entries:
            chunk.count = 0
            return
        self._seal(chunk)
        self._open = _Chunk()
        _link(chunk, self._open)

    def _seal(self, chunk: _Chunk[T]) -> None:
        self.last_number += 1
        chunk.number = self.last_number
        chunk.count = len(chunk.entries)
        chunk.sealed = chunk.entries.copy()
        chunk.live = None

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
            self._seal(chunk)

    def _merge(self, chunk: _Chunk[T], after: _Chunk[T]) -> None:
        self._unlink(after)
        entries = chunk.entries | after.entries
        chunk.entries = {
            key: (place, at_ms, value)
            for place, (key, (_, at_ms, value)) in enumerate(entries.items())
        }
        chunk.bytes += after.bytes
        self._seal(chunk)
        for key in after.entries:
            self.chunk_of[key] = chunk

    def _unlink(self, chunk: _Chunk[T]) -> None:
        before, after = chunk.before, chunk.after
        if after is not None:
            after.before = before
        if before is None:
            self._first = after or self._open
        else:
            before.after = after


def _lines(entries: dict[str, tuple[int, int, T]], encode: Callable[[str, T], bytes]) -> bytes:
    return b"\n".join(
        b"%d %d %b" % (place, at_ms, encode(key, value))
        for key, (place, at_ms, value) in entries.items()
    )


def _live(chunk: _Chunk[T]) -> str:
    """Return which places of a chunk are still taken, as bits in hexadecimal."""
    if chunk.live is None:
        chunk.live = f"{sum(1 << place for place, _, _ in chunk.entries.values()):x}"
    return chunk.live


def _link(before: _Chunk[T], after: _Chunk[T]) -> None:
    before.after, after.before = after, before


def _fit(before: _Chunk[T], after: _Chunk[T]) -> bool:
    return (
        len(before.entries) + len(after.entries) <= CHUNK_SLOTS // 2
        and before.bytes + after.bytes <= CHUNK_BYTES // 2
    )
