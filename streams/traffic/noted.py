"""Facts about the fields of a model's events: told once, and over when they come no more.

Rule 1. A fact is told from the ``fewest``-th event on, once: it is of how a producer writes.
Rule 2. It is over after ``quiet_rows`` events without another.
"""

from streams.codec import Machine

FEWEST = 20
"""Events: a test record or two by hand is no producer. By judgement."""
QUIET_ROWS = 1_000
"""Events: as many as a model version is new for."""


class NotedEvents(Machine):
    """Events of which something is noted, without ``quiet_rows`` others between them.

    Parameters
    ----------
    fewest
        Events from which it is told.
    quiet_rows
        Events without another, after which it is over.

    Attributes
    ----------
    rows
        How many there were.
    due_row
        The row from which it is over.
    """

    fewest: int = FEWEST
    quiet_rows: int = QUIET_ROWS
    rows: int = 0
    due_row: int = 0

    @property
    def is_told(self) -> bool:
        """Whether there are so many that it is told."""
        return self.rows >= self.fewest

    def on_hit(self, row: int) -> bool:
        """Take in an event of this kind; return whether it is told with this one."""
        self.rows += 1
        self.due_row = row + self.quiet_rows
        return self.rows == self.fewest
