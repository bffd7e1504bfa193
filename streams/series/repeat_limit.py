"""A limit on the repetition of one fact.

Rule 1. The first alarm passes. Each one that passes doubles the wait for the next.
"""

from streams.codec import Machine

NEVER = 2**62
"""An input's number beyond any log."""


class RepeatLimit(Machine):
    """Pass the first alarm about a fact, the next after ``rows`` inputs, then after twice that.

    Examples
    --------
    >>> limit = RepeatLimit(100)
    >>> [row for row in range(1_000) if limit.lets_through(row)]
    [0, 100, 300, 700]
    """

    _rows: int
    _next: int = 0

    def lets_through(self, row: int) -> bool:
        """Return whether an alarm at this input may be raised; if so, it counts as raised."""
        if row < self._next:
            return False
        self._next = row + self._rows
        self._rows *= 2
        return True

    @classmethod
    def silent(cls) -> "RepeatLimit":
        """Return one that passes nothing."""
        return cls(1, NEVER)
