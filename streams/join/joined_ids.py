"""The ids joined last, each with its outcome.

Rule 1. At least the last ``capacity`` ids are known, and at most two chunks more.
Rule 2. Ids stand in chunks of ``CHUNK_IDS``. A full chunk is sealed under the next number, stored
        once, never changed, and forgotten as a whole. No number is given twice.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
from msgspec import Struct

from streams.join.chunk import entries_of, lines_of
from streams.join.waiting_room import KeptRoom
from streams.values import Answer

CHUNK_IDS = 128
"""Ids in a chunk. With the longest ids and answers that the wire allows, 1,280 characters of up to
6 bytes each, and an instant, a chunk has 985 kB and fits a record of the state topic."""
_NO_INSTANT_MS = 0
"""Stands in a line for the instant: an id is forgotten by its place in the order, not by time."""


JoinedAnswer = tuple[Answer, int]
"""The outcome of a joined id, and the instant of its prediction in epoch milliseconds."""


class JoinedState(Struct, frozen=True, omit_defaults=True):
    """The stored state of `JoinedIds`, without the content of its sealed chunks.

    Parameters
    ----------
    last_number
        Number of the chunk sealed last; 0 before the first.
    sealed
        Sealed chunks. Their numbers are consecutive and end at ``last_number``.
    open
        Lines of the open chunk.
    """

    last_number: int = 0
    sealed: int = 0
    open: bytes = b""


class JoinedIds:
    """The ids joined last.

    Parameters
    ----------
    capacity
        Ids known at least.

    Attributes
    ----------
    answers
        The outcome of each known id, and the instant of its prediction. Read-only.
    last_number
        Number of the chunk sealed last; 0 before the first.

    Examples
    --------
    >>> joined = JoinedIds(capacity=1)
    >>> for number in range(256):
    ...     joined.put(str(number), (True, 0))
    >>> len(joined.answers), "127" in joined.answers, "128" in joined.answers
    (128, False, True)
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self.last_number = 0
        self.answers: dict[str, JoinedAnswer] = {}
        self._sealed: deque[list[str]] = deque()
        self._unstored: dict[int, list[str]] = {}
        self._open: list[str] = []

    def put(self, key: str, answer: JoinedAnswer) -> None:
        """Remember an id that is not known."""
        self.answers[key] = answer
        self._open.append(key)
        if len(self._open) == CHUNK_IDS:
            self.last_number += 1
            self._sealed.append(self._open)
            self._unstored[self.last_number] = self._open
            self._open = []
            self.resize(self._capacity)

    def resize(self, capacity: int) -> None:
        """Remember so many ids from now on (Rule 1)."""
        self._capacity = capacity
        sealed, answers = self._sealed, self.answers
        while sealed and len(answers) - len(sealed[0]) >= capacity:
            self._unstored.pop(self.numbers()[0], None)
            for key in sealed.popleft():
                del answers[key]

    def clear(self) -> None:
        """Forget every id. The numbers continue (Rule 2)."""
        self.answers = {}
        self._sealed.clear()
        self._unstored = {}
        self._open = []

    def snapshot(self) -> JoinedState:
        """Return the state without the content of the sealed chunks: see `unstored`."""
        return JoinedState(self.last_number, len(self._sealed), self._lines(self._open))

    def unstored(self) -> dict[int, bytes]:
        """Return the sealed chunks that have not been stored yet, by number."""
        return {number: self._lines(keys) for number, keys in self._unstored.items()}

    def on_stored(self, numbers: Iterable[int]) -> None:
        """Take note that these chunks are stored."""
        for number in numbers:
            self._unstored.pop(number, None)

    def numbers(self) -> range:
        """Return the numbers of the sealed chunks that a snapshot taken now would name."""
        return range(self.last_number - len(self._sealed) + 1, self.last_number + 1)

    def kept(self) -> KeptRoom:
        """Return the sealed chunks as they are now, from copies: more ids may be put."""
        sealed = dict(zip(self.numbers(), self._sealed, strict=True))
        answers = self.answers.copy()
        return KeptRoom(lambda number: _lines(sealed[number], answers), self._unstored.copy())

    def still_owes(self, unstored: Mapping[int, Any]) -> None:
        """Take note of sealed chunks that are not stored yet, after `restore`."""
        self._unstored = dict(unstored)

    @classmethod
    def restore(
        cls, capacity: int, state: JoinedState, chunks: Callable[[int], bytes]
    ) -> "JoinedIds":
        """Return the ids of a snapshot; ``chunks`` gives the bytes of a sealed chunk."""
        joined = cls(capacity)
        joined.last_number = state.last_number
        first = state.last_number - state.sealed + 1
        for number in range(first, state.last_number + 1):
            joined._sealed.append(joined._append(chunks(number)))
        joined._open = joined._append(state.open)
        return joined

    def _lines(self, keys: Iterable[str]) -> bytes:
        return _lines(keys, self.answers)

    def _append(self, lines: bytes) -> list[str]:
        keys = []
        for _, _, text in entries_of(lines):
            key, outcome, at_ms = orjson.loads(text)
            self.answers[key] = outcome, at_ms
            keys.append(key)
        return keys


def _lines(keys: Iterable[str], answers: Mapping[str, JoinedAnswer]) -> bytes:
    return lines_of(
        (place, _NO_INSTANT_MS, orjson.dumps([key, *answers[key]]))
        for place, key in enumerate(keys)
    )
