"""Categories that the reference does not contain."""

from collections.abc import Iterable, Sequence
from typing import Any

from streams.series.repeat_limit import RepeatLimit
from streams.values import Value

MAX_KNOWN_CATEGORIES = 256
MAX_NEWS = 3


class UnseenRule:
    """Say when a category comes that the reference did not have.

    Parameters
    ----------
    known
        The categories of the reference.
    is_closed
        Whether the reference looked complete.
    hush_rows
        Inputs between the first and the second alarm.
    """

    __slots__ = ("_hush", "_known", "_rows", "_said")

    def __init__(self, known: Iterable[Value], *, is_closed: bool, hush_rows: int) -> None:
        self._known: set[Value] | None = set(known) if is_closed else None
        self._hush = RepeatLimit(hush_rows)
        self._rows = 0
        self._said = 0

    def learn(self, values: Iterable[Value]) -> None:
        """Add categories without a word."""
        if self._known is not None:
            self._known.update(values)
            self._bound()

    def _bound(self) -> None:
        """Stop where categories prove to be without number, or new ones are nothing new."""
        if self._known is None:
            return
        if len(self._known) > MAX_KNOWN_CATEGORIES or self._said >= MAX_NEWS:
            self._known = None

    def knows(self, values: Sequence[Value]) -> bool:
        """Whether none of these values is news."""
        return self._known is None or self._known.issuperset(values)

    def keep(self, rows: int) -> None:
        """Take so many values into account that are no news."""
        self._rows += rows

    def update(self, values: Sequence[Value]) -> list[tuple[int, Value]]:
        """Read values; return place and category of what is news."""
        known = self._known
        start, self._rows = self._rows, self._rows + len(values)
        if known is None or self.knows(values):
            return []
        news: list[tuple[int, Value]] = []
        for row, value in enumerate(values):
            if value in known:
                continue
            known.add(value)
            if self._hush.lets_through(start + row):
                self._said += 1
                news.append((row, value))
            self._bound()
            if self._known is None:
                break
        return news

    def snapshot(self) -> dict[str, Any]:
        """Return the state as a tree for :func:`streams.codec.pack`."""
        return {
            "known": None if self._known is None else sorted(self._known, key=_order),
            "hush": self._hush.snapshot(),
            "rows": self._rows,
            "said": self._said,
        }

    @classmethod
    def restore(cls, tree: dict[str, Any]) -> "UnseenRule":
        """Return the rule as it was."""
        rule = cls(tree["known"] or (), is_closed=tree["known"] is not None, hush_rows=1)
        rule._hush = RepeatLimit(*tree["hush"])
        rule._rows = tree["rows"]
        rule._said = tree["said"]
        return rule


def _order(value: Value) -> tuple[str, str]:
    return type(value).__name__, str(value)
