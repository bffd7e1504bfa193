"""Categories that the reference does not contain.

Rule 1. A category is unseen only where the reference looked complete.
Rule 2. Each unseen category is raised once, under a `RepeatLimit`.
Rule 3. After ``MAX_RAISED`` alarms, or with more than ``MAX_KNOWN_CATEGORIES``, the series counts
        as open: no further category is unseen.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from streams.codec import Machine
from streams.series.repeat_limit import RepeatLimit
from streams.values import Value

MAX_KNOWN_CATEGORIES = 256
"""Categories kept for a series: as many as have a byte each in its learning buffer."""
MAX_RAISED = 3
"""Alarms. A closed set of categories seldom grows; a third new one shows that it was open."""


class Raised(NamedTuple):
    """A category that is raised, its place, and the categories of the reference."""

    place: int
    value: Value
    known: tuple[Value, ...]


class UnseenRule(Machine):
    """Raise a category that the reference did not contain."""

    _known: dict[Value, None] | None
    """In the order in which they came; None for an open series."""
    _limit: RepeatLimit
    _rows: int = 0
    _raised: int = 0
    _learnt: int = 0
    """How many of those known are of the reference: the first."""

    @classmethod
    def of(cls, known: Iterable[Value], *, is_closed: bool, repeat_rows: int) -> "UnseenRule":
        """Return the rule for a reference.

        Parameters
        ----------
        known
            The categories of the reference.
        is_closed
            Whether the reference looked complete.
        repeat_rows
            Inputs between the first and the second alarm.
        """
        names = dict.fromkeys(known)
        limit = RepeatLimit(repeat_rows)
        return cls(names if is_closed else None, limit, _learnt=len(names))

    @property
    def is_open(self) -> bool:
        """Whether new categories are expected, so that none is raised."""
        return self._known is None

    @property
    def has_raised(self) -> bool:
        """Whether a category has been raised."""
        return self._raised > 0

    def learn(self, values: Iterable[Value]) -> None:
        """Add categories to the reference."""
        if self._known is not None:
            self._known.update(dict.fromkeys(values))
            self._learnt = len(self._known)
            self._open_if_unbounded()

    def _open_if_unbounded(self) -> None:
        if self._known is None:
            return
        if len(self._known) > MAX_KNOWN_CATEGORIES or self._raised >= MAX_RAISED:
            self._known = None

    def knows(self, values: Sequence[Value]) -> bool:
        """Whether none of these values is unseen."""
        return self._known is None or not set(values).difference(self._known)

    def only_beside(self, named: Iterable[Value]) -> Value | None:
        """Return the category known beside these; None where there is no such one, or several."""
        beside = (self._known or {}).keys() - set(named)
        return beside.pop() if len(beside) == 1 else None

    def keep(self, rows: int) -> None:
        """Count so many values, all of them known."""
        self._rows += rows

    def update(self, values: Sequence[Value]) -> list[Raised]:
        """Read values; return each category that is raised."""
        known = self._known
        start, self._rows = self._rows, self._rows + len(values)
        if known is None or self.knows(values):
            return []
        raised: list[Raised] = []
        for row, value in enumerate(values):
            if value in known:
                continue
            known[value] = None
            if self._limit.lets_through(start + row):
                self._raised += 1
                raised.append(Raised(row, value, tuple(islice(known, self._learnt))))
            self._open_if_unbounded()
            if self._known is None:
                break
        return raised
