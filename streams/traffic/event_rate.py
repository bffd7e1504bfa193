"""Tell when something that happens to a small share of rows happens more often than it used to.

A CUSUM of log-likelihood ratios, like those on the shares of a series, but one that costs nothing
at the rows at which nothing happens: between two hits it moves along a line.

Rule 1. Only a hit, or the row that a miss makes the last of an episode, can change anything said.
Rule 2. The usual share is never believed to be less than what so many rows can show: no hit in 500
        rows may still be 3 in 500.
Rule 3. An episode ends when the rows say "usual" as loudly as they said "more often".
Rule 4. What was an episode counts for the usual share as well, but never for more than a tenth:
        what comes again and again stops being news.
"""

import math
from functools import lru_cache
from typing import Any

from streams.detect.budget import share_statistics

FIRST_ROWS = 500
"""Rows from which the usual share is learnt before anything is said."""
MOST_ROWS = 20_000
"""Rows that the usual share remembers."""
HIGHEST_SHARE = 0.9
"""Above it, a share has nowhere to rise to."""
EPISODE_WEIGHT = 0.1


class EventRate:
    """The share of rows that are hits.

    Parameters
    ----------
    row
        Rows that came before it was made.
    false_alarms
        How many it may cost per 10,000 rows.

    Attributes
    ----------
    is_on
        Whether hits are more frequent than usual.
    due_row
        The row at which it is over if no hit comes before; None while it is not on.

    Examples
    --------
    >>> share = EventRate()
    >>> for row in range(100, 2_001, 100):
    ...     share.on_hit(row)
    >>> share.is_on, round(share.usual, 3)
    (False, 0.01)
    >>> for row in range(2_001, 2_031):
    ...     share.on_hit(row)
    >>> share.is_on, share.hits, share.rows
    (True, 31, 31)
    >>> share.advance(share.due_row)
    >>> share.is_on
    False
    """

    def __init__(self, row: int = 0, false_alarms: float = 0.001) -> None:
        self.is_on = False
        self.due_row: int | None = None
        self.hits = 0
        self.rows = 0
        self._false_alarms = false_alarms
        self._row = row
        self._usual_hits = 0.0
        self._usual_rows = 0.0
        self._score = 0.0
        self._back = self._back_gain = 0.0
        self._tune()

    @property
    def usual(self) -> float:
        """The share outside of episodes."""
        return self._usual_hits / self._usual_rows if self._usual_rows else 0.0

    @property
    def share(self) -> float:
        """The share since the estimated onset."""
        return self.hits / self.rows if self.rows else 0.0

    @property
    def odds_ratio(self) -> float:
        """The odds since the estimated onset against the usual ones."""
        now = (self.hits + 0.5) / (self.rows - self.hits + 0.5)
        usual = (self._usual_hits + 0.5) / (self._usual_rows - self._usual_hits + 0.5)
        return now / usual

    def set_budget(self, false_alarms: float) -> None:
        """Set how many false alarms it may cost per 10,000 rows."""
        self._false_alarms = false_alarms
        self._tune()

    def on_hit(self, row: int) -> None:
        """Take in a hit; rows are numbered from 1, each has at most one."""
        self.advance(row - 1)
        self._row = row
        if self.is_on:
            self._hit_within()
        elif self._usual_rows < FIRST_ROWS:
            self._learn(1, 1)
        else:
            self._hit_before()

    def advance(self, row: int) -> None:
        """Take in all rows up to this one that have not been taken in: none of them is a hit."""
        misses = row - self._row
        if misses <= 0:
            return
        self._row = row
        if self.is_on:
            self.rows += misses
            self._back += misses * self._back_gain
            if self.due_row is not None and row >= self.due_row:
                self._end(EPISODE_WEIGHT)
        elif self._score > misses * self._loss:
            self._score -= misses * self._loss
            self.rows += misses
        else:
            self._end(1.0)
            self._learn(0, misses)

    def relearn(self) -> None:
        """Take what is for what is usual."""
        hits, rows = self.hits, self.rows
        self._end(0.0)
        self._usual_hits, self._usual_rows = float(hits), float(rows)
        self._tune()

    def snapshot(self) -> list[float | None]:
        """Return the state as plain numbers."""
        return [
            self._row,
            self._usual_hits,
            self._usual_rows,
            self._score,
            self._back,
            self.hits,
            self.rows,
            self.due_row,
            self._usual,
            self._back_gain,
            self.is_on,
        ]

    def restore(self, numbers: list[Any]) -> None:
        """Go on from what `snapshot` returned."""
        self._row, self._usual_hits, self._usual_rows, self._score, self._back = numbers[:5]
        self.hits, self.rows, self.due_row, self._usual, self._back_gain, self.is_on = numbers[5:]
        self._weigh(self._usual)

    def _hit_before(self) -> None:
        if self._score == 0.0:
            self._tune()
        self.hits += 1
        self.rows += 1
        self._score += self._gain
        if self._score > self._threshold and self._usual < HIGHEST_SHARE:
            self.is_on = True
            self._back = 0.0
            self._aim()

    def _hit_within(self) -> None:
        self.hits += 1
        self.rows += 1
        now = self._share_now()
        self._back = max(0.0, self._back - math.log(now / self._usual))
        self._aim()

    def _aim(self) -> None:
        """Set what a miss says, and the row at which enough has been said (Rule 3)."""
        self._back_gain = math.log((1 - self._usual) / (1 - self._share_now()))
        misses = math.ceil((self._threshold - self._back) / self._back_gain)
        self.due_row = self._row + max(misses, 1)

    def _share_now(self) -> float:
        """Return the share of the episode, kept apart from the usual one and from certainty."""
        return max((self.hits + 1) / (self.rows + 2), self._more)

    def _end(self, weight: float) -> None:
        """End an episode, or what might have become one; its rows are usual ones from here on."""
        if self.rows:
            most = self._usual_rows * weight if weight < 1 else float(self.rows)
            part = min(1.0, most / self.rows)
            self._learn(part * self.hits, part * self.rows)
        self.is_on, self.due_row = False, None
        self.hits, self.rows = 0, 0
        self._score = self._back = self._back_gain = 0.0

    def _learn(self, hits: float, rows: float) -> None:
        self._usual_hits += hits
        self._usual_rows += rows
        if self._usual_rows > MOST_ROWS:
            part = MOST_ROWS / self._usual_rows
            self._usual_hits *= part
            self._usual_rows *= part

    def _tune(self) -> None:
        hits = self._usual_hits + 2 * math.sqrt(self._usual_hits) + 3
        self._weigh(min(hits / (self._usual_rows + 3), 0.99))

    def _weigh(self, usual: float) -> None:
        """Set what a hit and a miss say, against a usual share."""
        self._usual = usual
        self._threshold, self._more, self._gain, self._loss = _weights(self._false_alarms, usual)


@lru_cache(maxsize=4_096)
def _weights(false_alarms: float, usual: float) -> tuple[float, float, float, float]:
    """Return the threshold, the share looked for, and what a hit and a miss say.

    Kept, because thousands of models begin with the same budget and share.
    """
    odds_ratio, threshold = share_statistics(false_alarms, usual)[1]
    odds = odds_ratio * usual / (1 - usual)
    more = odds / (1 + odds)
    return threshold, more, math.log(more / usual), math.log((1 - usual) / (1 - more))
