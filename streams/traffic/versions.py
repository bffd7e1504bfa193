"""The versions of a model that have answered, and whether one of them is new.

Rule 1. The first version is not new. Any other is, for ``NEW_ROWS`` predictions.
Rule 2. A model that changes its version every few rows has no new versions: after ``MOST_NEW`` of
        them, no other is.
"""

from msgspec import field

from streams.codec import Machine

NEW_ROWS = 1_000
"""Predictions for which a version is new: those of the first reference of its series."""
MOST_NEW = 50
"""Versions that may be new in the life of a model: a year of weekly deployments."""


class Versions(Machine):
    """The known versions.

    Attributes
    ----------
    latest
        The version of the last prediction, known or not; None for a prediction without one.
    due_row
        The row from which no version is new any more; None when none is.

    Examples
    --------
    >>> versions = Versions()
    >>> for row, name in enumerate(("1.0", "1.1", "1.0")):
    ...     versions.on_change(name, row)
    ...     versions.due_row
    1001
    1001
    """

    latest: str | None = None
    due_row: int | None = None
    _known: list[str] = field(default_factory=list)

    def on_change(self, version: str | None, row: int) -> None:
        """Take in a prediction of another version than that of the row before."""
        self.latest = version
        if version is None or version in self._known or len(self._known) > MOST_NEW:
            return
        self._known.append(version)
        if len(self._known) > 1:
            self.due_row = row + NEW_ROWS

    def advance(self, row: int) -> None:
        """Let rows pass: a new version becomes known."""
        if self.due_row is not None and row >= self.due_row:
            self.due_row = None
