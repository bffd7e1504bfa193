"""Where a model's rows stand in time and in the log: finely for the latest, coarsely before that.

An alert says how many rows ago the change began; the trail turns that into an instant and an offset
of ``events``.

Rule 1. A row is found at the latest mark at or before it: within ``FINE_ROWS`` rows of it if it is
        among the latest ``FINE_REACH``, else within ``COARSE_ROWS``.
Rule 2. What is found does not depend on rows noted later: older ones stay until `forget`.
Rule 3. A row before all that is remembered is found at the oldest mark.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

MARKS = 192
FINE_ROWS = 8
COARSE_ROWS = 128
FINE_REACH = (MARKS - 1) * FINE_ROWS
COARSE_REACH = (MARKS - 1) * COARSE_ROWS


class RowPosition(NamedTuple):
    """One row: its number, its event's instant, and the offset of its record in ``events``."""

    row: int
    at_ms: int
    offset: int


class Placed(Protocol):
    """What a row is to a trail."""

    @property
    def at_ms(self) -> int:
        """Its event's instant."""

    @property
    def offset(self) -> int:
        """The offset of its record in ``events``."""


class RowIndex:
    """Marks of the latest ``COARSE_REACH`` rows, at most ``COARSE_ROWS`` apart.

    Examples
    --------
    >>> trail = RowIndex()
    >>> trail.note(1, [RowPosition(row, 1_000 * row, row // 10) for row in range(1, 100)])
    >>> trail.find(50, now_row=99)
    RowPosition(row=49, at_ms=49000, offset=4)
    >>> trail.find(-5, now_row=99).row
    1
    """

    def __init__(self) -> None:
        self._fine: deque[RowPosition] = deque()
        self._coarse: deque[RowPosition] = deque()

    def note(self, first: int, rows: Sequence[Placed]) -> None:
        """Take note of the next rows, numbered on from ``first``.

        Rows are numbered from 1, and a trail may begin later.
        """
        fine, coarse = self._fine, self._coarse
        marked = range((1 - first) % FINE_ROWS, len(rows), FINE_ROWS)
        for index in marked if fine or not rows else sorted({0, *marked}):
            row = first + index
            mark = RowPosition(row, rows[index].at_ms, rows[index].offset)
            fine.append(mark)
            if row % COARSE_ROWS == 1 or not coarse:
                coarse.append(mark)

    def forget(self) -> None:
        """Let go of what lies further back from the latest row than anybody will look."""
        for marks in (self._fine, self._coarse):
            while len(marks) > MARKS:
                marks.popleft()

    def find(self, row: int, now_row: int) -> RowPosition:
        """Return the mark at or before a row, as it was found when ``now_row`` was the latest.

        Raises
        ------
        LookupError
            When no row has been noted.
        """
        marks = self._fine if row > now_row - FINE_REACH else self._coarse
        if not marks:
            msg = "a trail without rows has no marks"
            raise LookupError(msg)
        sought = max(row, now_row - COARSE_REACH)
        return next((mark for mark in reversed(marks) if mark.row <= sought), marks[0])

    def snapshot(self) -> list[list[int]]:
        """Return the marks as plain numbers."""
        return [
            [number for mark in marks for number in mark] for marks in (self._fine, self._coarse)
        ]

    @classmethod
    def restore(cls, snapshot: list[list[int]]) -> "RowIndex":
        """Return the trail as it was."""
        trail = cls()
        for marks, numbers in zip((trail._fine, trail._coarse), snapshot, strict=True):
            triples = zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
            marks.extend(RowPosition(*triple) for triple in triples)
        return trail
