"""Events that a whole reference did not have: how many of them are a change.

Rule 1. One event is none: of 25 columns with one missing value in 5,000 rows, most have their first
        one after their reference, and nothing has changed.
Rule 2. A CUSUM of log-likelihood ratios asks whether events are ``TIMES`` as frequent as a
        reference without any may hide. Between events only their rows are counted.
"""

import math

from streams.codec import Machine
from streams.detect.budget import likelihood_threshold

TIMES = 20.0
"""The frequency that is found soonest, as a multiple of one event in a reference: for 2,000 rows it
is one event in a hundred. By judgement: at the default budget a column that is gone is told at its
sixth row, and one that misses a value in 500 is not."""


class RareEvents(Machine):
    """Count events that come seldom or never.

    Attributes
    ----------
    rows, hits
        Rows and events of the present run; it begins with an event.

    Examples
    --------
    >>> events = RareEvents(2_000)
    >>> events.take_hit(0.01)
    False
    >>> events.take_rows(40)
    >>> [events.take_hit(0.01) for _ in range(4)], events.hits, events.rows
    ([False, False, False, True], 5, 45)
    """

    _learnt: int
    rows: int = 0
    hits: int = 0

    def take_rows(self, rows: int) -> None:
        """Take rows without an event."""
        if not self.hits:
            return
        self.rows += rows
        if self._total <= 0:
            self.rows = self.hits = 0

    def take_hit(self, false_alarms: float) -> bool:
        """Take a row with an event; return whether the events are a change.

        ``false_alarms`` is per 10,000 rows.
        """
        self.rows += 1
        self.hits += 1
        return self._total > likelihood_threshold(false_alarms)

    @property
    def _total(self) -> float:
        # Of counts: a sum of parts would depend on how many rows are taken at once.
        return self.hits * math.log(TIMES) - (self.rows - self.hits) * TIMES / self._learnt
