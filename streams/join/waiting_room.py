"""A room where events wait for their other half, first in first out by log time.

Rule 1. An entry leaves once: popped, expired, or pushed out.
Rule 2. Entries stand in arrival order. Log time never goes back, so the first is the oldest.
Rule 3. At most ``capacity`` entries wait, with at most ``ROOM_BYTES``; one more pushes the oldest
        out.
Rule 4. Entries stand in chunks. The last chunk is open. At ``CHUNK_SLOTS`` entries or
        ``CHUNK_BYTES`` it is sealed, under the next number, with the entries left in it. A sealed
        chunk only loses entries. When three quarters are gone, the rest is sealed again under
        another number, together with a neighbour where both are small.
Rule 5. No number is given twice, so a number names the same bytes for ever: an event that waits
        long is stored once, not with every snapshot.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Any, Generic, NamedTuple, TypeVar

from msgspec import Struct

from schemas.wire import MAX_NAME
from streams.clock import NEVER_MS
from streams.join.chunk import SealedChunk, entries_of, lines_of

T = TypeVar("T")
ROOM_BYTES = 1 << 30
"""Keys and payloads of a room: 1 GiB, the memory that one model may take on each side."""
CHUNK_SLOTS = 128
"""Entries of a chunk. A snapshot holds the open chunk and a few bytes for each sealed one."""
CHUNK_BYTES = 512 * 1024
"""Bytes at which a chunk is sealed. With the payload that exceeds it, 256 KiB at most, a chunk
still fits a record of the state topic."""
_LIVE_BYTES = CHUNK_SLOTS // 8  # one bit a slot
SHRUNK = 4
"""A sealed chunk is sealed again when at most one in so many of its entries is left. An entry is
then stored again at most once for every three that have left."""


# An entry is a plain tuple (place in its chunk, instant of arrival in epoch ms, value): with named
# tuples the rooms took a fifth of the time of a whole backtest.
_Entries = dict[str, tuple[int, int, T]]


class RoomState(Struct, frozen=True, omit_defaults=True):
    """The stored state of a `WaitingRoom`, without the content of its sealed chunks.

    Parameters
    ----------
    last_number
        Number of the chunk sealed last; 0 before the first.
    chunks
        The sealed chunks, the oldest first.
    open_count
        Places given in the open chunk.
    open
        Lines of the open chunk.
    """

    last_number: int = 0
    chunks: tuple[SealedChunk, ...] = ()
    open_count: int = 0
    open: bytes = b""


class KeptRoom(NamedTuple):
    """The sealed chunks of a room, for a copy of it in the same process.

    Parameters
    ----------
    lines_of
        Gives the lines that are left of a chunk, by number.
    unstored
        The chunks that are not stored yet, in the room's own form.
    """

    lines_of: Callable[[int], bytes]
    unstored: dict[int, Any]


class _Chunk(Generic[T]):
    """Some entries in order.

    ``number`` is 0 while the chunk is open. ``live`` are the bits of the places still taken; None
    until a snapshot needs them.
    """

    __slots__ = ("after", "before", "bytes", "count", "entries", "live", "number")

    def __init__(self) -> None:
        self.number = 0
        self.count = 0
        self.bytes = 0
        self.entries: _Entries[T] = {}
        self.live: bytes | None = None
        self.before: _Chunk[T] | None = None
        self.after: _Chunk[T] | None = None


class WaitingRoom(Generic[T]):
    """Entries by key.

    Parameters
    ----------
    capacity
        Entries held at most.
    payload_of
        Returns the payload of a value; its length counts towards ``ROOM_BYTES``, as the key's.

    Attributes
    ----------
    chunk_of
        The chunk of each key that waits, in arrival order. Read-only.
    last_number
        Number of the chunk sealed last; 0 before the first.
    oldest_ms
        No entry arrived before this instant; `NEVER_MS` may stand for an empty room.

    Examples
    --------
    >>> room = WaitingRoom[str](capacity=2, payload_of=str.encode)
    >>> room.put("a", 10, "first"), room.put("b", 20, "second"), room.put("c", 30, "third")
    (0, 0, 1)
    >>> room.pop("a"), room.pop("b"), room.expire(31), len(room)
    (None, 'second', 1, 0)
    """

    def __init__(self, capacity: int, payload_of: Callable[[T], Sized]) -> None:
        self._capacity = capacity
        self._payload_of = payload_of
        self._bytes = 0
        self.chunk_of: dict[str, _Chunk[T]] = {}
        self.last_number = 0
        self._unstored: dict[int, _Entries[T]] = {}
        self._open: _Chunk[T] = _Chunk()
        self._first = self._open
        self.oldest_ms = 0

    def __len__(self) -> int:
        return len(self.chunk_of)

    def put(self, key: str, at_ms: int, value: T) -> int:
        """Add an entry; return the number of entries pushed out to make room."""
        size = len(key) + len(self._payload_of(value))
        chunk_of = self.chunk_of
        if not chunk_of:
            self.oldest_ms = at_ms
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
            self._seal_open()
        return pushed_out

    def get(self, key: str) -> T | None:
        """Return the value that waits under ``key``, and leave it there."""
        chunk = self.chunk_of.get(key)
        if chunk is None:
            return None
        _, _, value = chunk.entries[key]
        return value

    def values(self) -> Iterator[T]:
        """Yield the values, in the order of their arrival."""
        for key, chunk in self.chunk_of.items():
            yield chunk.entries[key][2]

    def pop(self, key: str) -> T | None:
        """Remove and return the value that waits under ``key``."""
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
        """Hold at most so many from now on; return the number of entries pushed out."""
        self._capacity = capacity
        pushed_out = max(0, len(self.chunk_of) - capacity)
        for _ in range(pushed_out):
            self._drop_oldest()
        return pushed_out

    def clear(self) -> None:
        """Remove every entry. The numbers continue (Rule 5)."""
        self.chunk_of = {}
        self._unstored = {}
        self._bytes = 0
        self._open = self._first = _Chunk()

    def expire(self, before_ms: int, on_expired: Callable[[str, int], None] | None = None) -> int:
        """Remove every entry that arrived before an instant; return their number.

        Parameters
        ----------
        on_expired
            Is given the key of each, and the instant at which it arrived.
        """
        expired = 0
        while self.oldest_ms < before_ms:
            front = self.front()
            if front is None:
                self.oldest_ms = NEVER_MS
                break
            key, (_, self.oldest_ms, _) = front
            if self.oldest_ms < before_ms:
                self.pop(key)
                expired += 1
                if on_expired is not None:
                    on_expired(key, self.oldest_ms)
        return expired

    def snapshot(self, encode: Callable[[str, T], bytes]) -> RoomState:
        """Return the state without the content of the sealed chunks: see `unstored`.

        Parameters
        ----------
        encode
            Writes a key and its value as one line.
        """
        return RoomState(
            last_number=self.last_number,
            chunks=tuple(
                SealedChunk(chunk.number, chunk.count, _live(chunk))
                for chunk in self._chunks()
                if chunk.number
            ),
            open_count=self._open.count,
            open=_lines(self._open.entries, encode),
        )

    def unstored(self, encode: Callable[[str, T], bytes]) -> dict[int, bytes]:
        """Return the sealed chunks that have not been stored yet, by number."""
        return {number: _lines(entries, encode) for number, entries in self._unstored.items()}

    def on_stored(self, numbers: Iterable[int]) -> None:
        """Take note that these chunks are stored: the bytes they were sealed with may go."""
        for number in numbers:
            self._unstored.pop(number, None)

    def numbers(self) -> list[int]:
        """Return the numbers of the sealed chunks that a snapshot taken now would name."""
        return [chunk.number for chunk in self._chunks() if chunk.number]

    def kept(self, encode: Callable[[str, T], bytes]) -> KeptRoom:
        """Return the sealed chunks as they are now, from copies: the room may go on.

        Parameters
        ----------
        encode
            As for `snapshot`.
        """
        entries = {chunk.number: chunk.entries.copy() for chunk in self._chunks() if chunk.number}
        return KeptRoom(lambda number: _lines(entries[number], encode), self._unstored.copy())

    def still_owes(self, unstored: Mapping[int, Any]) -> None:
        """Take note of sealed chunks that are not stored yet, after `restore`."""
        self._unstored = dict(unstored)

    @classmethod
    def restore(
        cls,
        capacity: int,
        state: RoomState,
        chunks: Callable[[int], bytes],
        decode: Callable[[bytes], tuple[str, T]],
        payload_of: Callable[[T], Sized],
    ) -> "WaitingRoom[T]":
        """Return the room of a snapshot.

        Parameters
        ----------
        capacity, payload_of
            As for the constructor.
        state
            The snapshot.
        chunks
            Returns the bytes of a sealed chunk, by number.
        decode
            Reads a line of ``encode``.
        """
        room = cls(capacity, payload_of)
        room.last_number = state.last_number
        for sealed in state.chunks:
            chunk = room._open
            chunk.number, chunk.count = sealed.number, sealed.count
            live = int.from_bytes(sealed.live)
            room._fill(chunk, entries_of(chunks(sealed.number), live), decode)
            room._open = _Chunk()
            _link(chunk, room._open)
        room._open.count = state.open_count
        room._fill(room._open, entries_of(state.open), decode)
        return room

    def _fill(
        self,
        chunk: _Chunk[T],
        entries: Iterable[tuple[int, int, bytes]],
        decode: Callable[[bytes], tuple[str, T]],
    ) -> None:
        for place, at_ms, text in entries:
            key, value = decode(text)
            chunk.entries[key] = (place, at_ms, value)
            self.chunk_of[key] = chunk
            chunk.bytes += len(key) + len(self._payload_of(value))
        self._bytes += chunk.bytes

    def _chunks(self) -> Iterator[_Chunk[T]]:
        chunk: _Chunk[T] | None = self._first
        while chunk is not None:
            yield chunk
            chunk = chunk.after

    def is_full_for(self, size: int) -> bool:
        """Tell whether an entry of so many bytes pushes out another one."""
        return bool(self.chunk_of) and self._bytes + size + MAX_NAME > ROOM_BYTES

    def front(self) -> tuple[str, tuple[int, int, T]] | None:
        """Return the first entry: its key, its place, its instant and its value."""
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
                self.pop(key)
                return
            chunk = chunk.after

    def _seal_open(self) -> None:
        """Seal the open chunk, if an entry is left in it, and open another."""
        chunk = self._open
        if not chunk.entries:
            chunk.count = 0
            return
        self._seal(chunk)
        self._open = _Chunk()
        _link(chunk, self._open)

    def _seal(self, chunk: _Chunk[T]) -> None:
        self._unstored.pop(chunk.number, None)
        self.last_number += 1
        chunk.number = self.last_number
        chunk.count = len(chunk.entries)
        chunk.live = None
        self._unstored[chunk.number] = chunk.entries.copy()

    def _shrink(self, chunk: _Chunk[T]) -> None:
        """Seal the rest of a chunk again, together with a neighbour where both are small."""
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
        self._unstored.pop(chunk.number, None)
        before, after = chunk.before, chunk.after
        if after is not None:
            after.before = before
        if before is None:
            self._first = after or self._open
        else:
            before.after = after


def _lines(entries: _Entries[T], encode: Callable[[str, T], bytes]) -> bytes:
    return lines_of(
        (place, at_ms, encode(key, value)) for key, (place, at_ms, value) in entries.items()
    )


def _live(chunk: _Chunk[T]) -> bytes:
    if chunk.live is None:
        places = sum(1 << place for place, _, _ in chunk.entries.values())
        chunk.live = places.to_bytes(_LIVE_BYTES)
    return chunk.live


def _link(before: _Chunk[T], after: _Chunk[T]) -> None:
    before.after, after.before = after, before


def _fit(before: _Chunk[T], after: _Chunk[T]) -> bool:
    return (
        len(before.entries) + len(after.entries) <= CHUNK_SLOTS // 2
        and before.bytes + after.bytes <= CHUNK_BYTES // 2
    )
