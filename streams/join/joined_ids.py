"""The ids that were joined last, and the outcome that each was joined with.

Rule 1. At least the last ``capacity`` ids are known, and at most two chunks more.
Rule 2. Ids stand in chunks of ``CHUNK_IDS``. A full one is sealed under a number that is never
        given again, stored once, never changed, and forgotten as a whole.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from streams.values import Answer

CHUNK_IDS = 128
"""Of the longest ids and answers, a chunk still fits a record of the state topic."""


class _Chunk:
    """Ids in the order they were joined.

    ``count`` and ``live`` say which of its lines were read, where it is older than Rule 2.
    """

    __slots__ = ("count", "is_stored", "keys", "live", "number")

    def __init__(self, number: int, keys: list[str]) -> None:
        self.number = number
        self.keys = keys
        self.count = len(keys)
        self.live = (1 << self.count) - 1
        self.is_stored = False


class JoinedIds:
    """The ids joined last.

    Parameters
    ----------
    capacity
        Ids known at least.

    Attributes
    ----------
    answers
        The outcome of each known id. To be read, not written.
    last_number
        Of the chunk sealed last; 0 before the first.

    Examples
    --------
    >>> joined = JoinedIds(capacity=1)
    >>> for number in range(256):
    ...     joined.put(str(number), True)
    >>> len(joined.answers), "127" in joined.answers, "128" in joined.answers
    (128, False, True)
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self.last_number = 0
        self.answers: dict[str, Answer] = {}
        self._sealed: deque[_Chunk] = deque()
        self._open: list[str] = []

    def put(self, key: str, answer: Answer) -> None:
        """Remember an id that is not known."""
        self.answers[key] = answer
        self._open.append(key)
        if len(self._open) == CHUNK_IDS:
            self.last_number += 1
            self._sealed.append(_Chunk(self.last_number, self._open))
            self._open = []
            self.resize(self._capacity)

    def resize(self, capacity: int) -> None:
        """Remember so many from now on (Rule 1)."""
        self._capacity = capacity
        sealed, answers = self._sealed, self.answers
        while sealed and len(answers) - len(sealed[0].keys) >= capacity:
            for key in sealed.popleft().keys:
                del answers[key]

    def clear(self) -> None:
        """Forget every id. The numbers go on: none is given again."""
        self.answers = {}
        self._sealed.clear()
        self._open = []

    def snapshot(self) -> dict[str, Any]:
        """Return the state without what the sealed chunks hold: see `unstored`."""
        return {
            "last_number": self.last_number,
            "chunks": [[chunk.number, chunk.count, f"{chunk.live:x}"] for chunk in self._sealed],
            "open_count": len(self._open),
            "open": self._lines(self._open),
        }

    def unstored(self) -> dict[int, bytes]:
        """Return the sealed chunks that have not been stored yet, by number."""
        return {
            chunk.number: self._lines(chunk.keys) for chunk in self._sealed if not chunk.is_stored
        }

    def on_stored(self, numbers: Iterable[int]) -> None:
        """Take note that these chunks are stored."""
        stored = set(numbers)
        for chunk in self._sealed:
            chunk.is_stored |= chunk.number in stored

    def numbers(self) -> list[int]:
        """Return the numbers of the sealed chunks that a snapshot taken now would name."""
        return [chunk.number for chunk in self._sealed]

    @classmethod
    def restore(
        cls, capacity: int, snapshot: dict[str, Any], chunks: Callable[[int], bytes]
    ) -> "JoinedIds":
        """Return what `snapshot` returned; ``chunks`` gives the bytes of a sealed chunk."""
        joined = cls(capacity)
        joined.last_number = snapshot["last_number"]
        for number, count, live in snapshot["chunks"]:
            chunk = _Chunk(number, joined._read(chunks(number), int(live, 16)))
            chunk.count, chunk.live, chunk.is_stored = count, int(live, 16), True
            joined._sealed.append(chunk)
        joined._open = joined._read(snapshot["open"], -1)
        return joined

    def _lines(self, keys: Iterable[str]) -> bytes:
        """Return ids and their outcomes. The second number is one that older versions wrote."""
        return b"\n".join(
            b"%d 0 %b" % (place, orjson.dumps([key, self.answers[key]]))
            for place, key in enumerate(keys)
        )

    def _read(self, lines: bytes, live: int) -> list[str]:
        keys = []
        for line in lines.split(b"\n") if lines else ():
            place, _, text = line.split(b" ", 2)
            if live >> int(place) & 1:
                key, self.answers[key] = orjson.loads(text)
                keys.append(key)
        return keys
