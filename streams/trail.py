"""Where a model's rows stand in time and in the log: finely for the latest, coarsely before that.

An alert says how many rows ago the change began; the trail turns that into an instant and an offset
of ``events``.
"""

from collections import deque
from typing import NamedTuple

MARKS = 128
FINE_ROWS = 8
COARSE_ROWS = 128


class Mark(NamedTuple):
    """One row: its number, its event's instant, and the offset of its record in ``events``."""

    row: int
    at_ms: int
    offset: int


class Trail:
    """Marks of the latest ``MARKS * COARSE_ROWS`` rows, at most ``COARSE_ROWS`` apart.

    Examples
    --------
    >>> trail = Trail()
    >>> for row in range(1, 100):
    ...     trail.note(row, 1_000 * row, row // 10)
    >>> trail.find(50)
    Mark(row=49, at_ms=49000, offset=4)
    >>> trail.find(-5).row
    1
    """

    def __init__(self) -> None:
        self._fine: deque[Mark] = deque(maxlen=MARKS)
        self._coarse: deque[Mark] = deque(maxlen=MARKS)

    def note(self, row: int, at_ms: int, offset: int) -> None:
        """Take note of the next row; rows are numbered from 1."""
        if row % FINE_ROWS == 1:
            self._fine.append(Mark(row, at_ms, offset))
            if row % COARSE_ROWS == 1:
                self._coarse.append(Mark(row, at_ms, offset))

    def find(self, row: int) -> Mark:
        """Return the mark at or before a row, or the oldest there is.

        Raises
        ------
        LookupError
            When no row has been noted.
        """
        for marks in (self._fine, self._coarse):
            for mark in reversed(marks):
                if mark.row <= row:
                    return mark
        if not self._coarse:
            msg = "a trail without rows has no marks"
            raise LookupError(msg)
        return self._coarse[0]

    def snapshot(self) -> list[list[int]]:
        """Return the marks as plain numbers."""
        return [
            [number for mark in marks for number in mark] for marks in (self._fine, self._coarse)
        ]

    @classmethod
    def restore(cls, snapshot: list[list[int]]) -> "Trail":
        """Return the trail as it was."""
        trail = cls()
        for marks, numbers in zip((trail._fine, trail._coarse), snapshot, strict=True):
            triples = zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
            marks.extend(Mark(*triple) for triple in triples)
        return trail
