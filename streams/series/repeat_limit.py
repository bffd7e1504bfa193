"""A limit on the repetition of alarms of one kind."""


class RepeatLimit:
    """Let the first alarm of a kind through, the next after ``rows`` inputs, then after twice that.

    Examples
    --------
    >>> hush = RepeatLimit(100)
    >>> [row for row in range(1_000) if hush.lets_through(row)]
    [0, 100, 300, 700]
    """

    __slots__ = ("_next", "_rows")

    def __init__(self, rows: int, next_row: int = 0) -> None:
        self._rows = rows
        self._next = next_row

    def lets_through(self, row: int) -> bool:
        """Return whether an alarm at this input may be raised; if so, it counts as raised."""
        if row < self._next:
            return False
        self._next = row + self._rows
        self._rows *= 2
        return True

    @classmethod
    def silent(cls) -> "RepeatLimit":
        """Return one that lets nothing through."""
        return cls(1, 2**62)

    def snapshot(self) -> list[int]:
        """Return what ``RepeatLimit(*snapshot)`` continues from."""
        return [self._rows, self._next]
