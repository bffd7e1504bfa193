"""The versions of a model: which have answered, and which is news.

Rule 1. The first version is no news; another one is, for ``ROWS`` predictions.
Rule 2. Where every few rows are another version, versions say nothing: after ``MOST_NEWS`` nothing
        more is told.
"""

from typing import Any

ROWS = 1_000
MOST_NEWS = 50


class Versions:
    """The known versions, and the one that is news.

    Attributes
    ----------
    latest
        The version that answered last, known or not.
    due_row
        The row with which the latest news is none any more; None when nothing is news.

    Examples
    --------
    >>> versions = Versions()
    >>> [versions.on_change(name, row) for row, name in enumerate(("1.0", "1.1", "1.0"))]
    [False, True, False]
    >>> versions.due_row
    1001
    """

    def __init__(self) -> None:
        self.latest: str | None = None
        self.due_row: int | None = None
        self._known: list[str] = []

    def on_change(self, version: str | None, row: int) -> bool:
        """Take note that another version answers than at the row before; tell if it is news."""
        self.latest = version
        if version is None or version in self._known or len(self._known) > MOST_NEWS:
            return False
        self._known.append(version)
        if len(self._known) == 1:
            return False
        self.due_row = row + ROWS
        return True

    def advance(self, row: int) -> None:
        """Let rows pass: what was news is known."""
        if self.due_row is not None and row >= self.due_row:
            self.due_row = None

    def snapshot(self) -> list[Any]:
        """Return the state as plain values."""
        return [self.latest, self.due_row, self._known]

    def restore(self, tree: list[Any]) -> None:
        """Go on from what `snapshot` returned."""
        self.latest, self.due_row, self._known = tree
