"""Find the instant and the log offset of a row: of the onset of a change.

Rule 1. One of the latest ``EXACT_ROWS`` rows is found exactly. Another is found at the latest
        position at or before it: within ``FINE_ROWS`` rows of it if it is among the latest
        ``FINE_REACH``, else within ``COARSE_ROWS``.
Rule 2. A row is found alike whatever was noted after it: older positions stay until `forget`.
Rule 3. A row before all that is remembered is found at the oldest position.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from streams.codec import Machine

MARKS = 192
"""Positions kept of each kind: some 5 kB a model, whatever it has seen."""
EXACT_ROWS = 512
"""Latest rows that are kept one by one, in some 8 kB: where rows are few, a day may lie between two
of them, and few rows raise an alarm."""
FINE_ROWS = 8
"""Rows between two positions of the rows before: their onset is an estimate, of tens of rows."""
COARSE_ROWS = 128
"""Rows between two older positions: 24,000 rows back, for drift that was found late."""
FINE_REACH = (MARKS - 1) * FINE_ROWS
"""Latest rows that are found within ``FINE_ROWS``."""
COARSE_REACH = (MARKS - 1) * COARSE_ROWS
"""Rows that are found at all."""


class RowPosition(NamedTuple):
    """One row: its number, its event's instant, and the offset of its record in ``events``."""

    row: int
    at_ms: int
    offset: int


class Placed(Protocol):
    """A row as the index sees it."""

    @property
    def at_ms(self) -> int:
        """Its event's instant."""

    @property
    def offset(self) -> int:
        """The offset of its record in ``events``."""


class RowIndex(Machine):
    """Positions of the latest ``COARSE_REACH`` rows, at most ``COARSE_ROWS`` apart.

    Examples
    --------
    >>> index = RowIndex()
    >>> index.note(1, [RowPosition(row, 1_000 * row, row // 10) for row in range(1, 100)])
    >>> index.find(50, now_row=99)
    RowPosition(row=50, at_ms=50000, offset=5)
    >>> index.find(-5, now_row=99).row
    1
    """

    _next: int = 0
    """The row after the latest."""
    _at_ms: list[int] = []
    _offsets: list[int] = []
    """The instants and the offsets of the latest rows."""
    _fine: list[RowPosition] = []
    _coarse: list[RowPosition] = []

    def note(self, first: int, rows: Sequence[Placed]) -> None:
        """Take note of the next rows, numbered on from ``first``.

        Rows are numbered from 1, and an index may begin later.
        """
        self._at_ms += [row.at_ms for row in rows]
        self._offsets += [row.offset for row in rows]
        self._next = first + len(rows)
        fine, coarse = self._fine, self._coarse
        marked = range((1 - first) % FINE_ROWS, len(rows), FINE_ROWS)
        for place in marked if fine or not rows else sorted({0, *marked}):
            row = first + place
            position = RowPosition(row, rows[place].at_ms, rows[place].offset)
            fine.append(position)
            if row % COARSE_ROWS == 1 or not coarse:
                coarse.append(position)

    def forget(self) -> None:
        """Let go of the rows that lie further back from the latest than any onset."""
        for positions in (self._fine, self._coarse):
            if len(positions) > MARKS:
                del positions[:-MARKS]
        for latest in (self._at_ms, self._offsets):
            if len(latest) > EXACT_ROWS:
                del latest[:-EXACT_ROWS]

    def find(self, row: int, now_row: int) -> RowPosition:
        """Return the position at or before a row, as it was when ``now_row`` was the latest.

        Raises
        ------
        LookupError
            When no row has been noted.
        """
        place = row - self._next  # from the end
        if row > now_row - EXACT_ROWS and -len(self._at_ms) <= place < 0:
            return RowPosition(row, self._at_ms[place], self._offsets[place])
        positions = self._fine if row > now_row - FINE_REACH else self._coarse
        if not positions:
            msg = "an index without rows has no positions"
            raise LookupError(msg)
        sought = max(row, now_row - COARSE_REACH)
        return next((each for each in reversed(positions) if each.row <= sought), positions[0])

    def row_at(self, at_ms: int, last_row: int) -> int:
        """Return a row before which no event is of an instant or later, as far as is remembered."""
        first = next(
            (place for place, each in enumerate(self._coarse) if each.at_ms >= at_ms), None
        )
        if first is None:
            return last_row
        return self._coarse[max(first - 1, 0)].row
