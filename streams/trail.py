"""Where a model's rows stand in time and in the log, coarsely: one mark every few rows.

An alert says how many rows ago the change began; the trail turns that into an instant and an offset
of ``events``.
"""

from collections import deque
from typing import NamedTuple

ROWS_PER_MARK = 16
MARKS = 2_048


class Mark(NamedTuple):
    """One row: its number, its event's instant, and the offset of its record in ``events``."""

    row: int
    at_ms: int
    offset: int


class Trail:
    """Marks of the latest ``ROWS_PER_MARK * MARKS`` rows.

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
        self._marks: deque[Mark] = deque(maxlen=MARKS)

    def note(self, row: int, at_ms: int, offset: int) -> None:
        """Take note of the next row; rows are numbered from 1."""
        if row % ROWS_PER_MARK == 1:
            self._marks.append(Mark(row, at_ms, offset))

    def find(self, row: int) -> Mark:
        """Return the mark at or before a row, or the oldest there is.

        Raises
        ------
        LookupError
            When no row has been noted.
        """
        if not self._marks:
            msg = "a trail without rows has no marks"
            raise LookupError(msg)
        steps = (self._marks[-1].row - row + ROWS_PER_MARK - 1) // ROWS_PER_MARK
        place = len(self._marks) - 1 - max(0, steps)
        return self._marks[max(0, place)]
