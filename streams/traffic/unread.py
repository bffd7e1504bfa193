"""Predictions without features that carry fields which nothing reads.

Rule 1. They are told from the ``FEWEST``-th on, once: it is a fact of how a producer writes.
Rule 2. It is over after ``QUIET_ROWS`` predictions without another.
"""

from streams.codec import Machine

FEWEST = 20
"""Predictions: a test record or two by hand is no producer. By judgement."""
QUIET_ROWS = 1_000
"""Predictions: as many as a model version is new for."""


class UnreadFields(Machine):
    """Such predictions, without ``QUIET_ROWS`` others between them.

    Attributes
    ----------
    rows
        How many there were.
    due_row
        The row from which it is over.
    """

    rows: int = 0
    due_row: int = 0

    @property
    def is_told(self) -> bool:
        """Whether there are so many that it is told."""
        return self.rows >= FEWEST

    def on_hit(self, row: int) -> bool:
        """Take in a prediction of this kind; return whether it is told with this one."""
        self.rows += 1
        self.due_row = row + QUIET_ROWS
        return self.rows == FEWEST
