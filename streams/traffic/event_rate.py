"""Detect when an event that occurs in a small share of rows becomes more frequent.

A CUSUM of log-likelihood ratios (Page 1954) on a Bernoulli share, as on the shares of a series.
Between two hits it moves along a line, so a row without a hit costs nothing.

Rule 1. State changes only at a hit, or at the row that ends an episode.
Rule 2. The normal share is taken to be at least the upper end of its uncertainty: no hit in 500
        rows is compatible with 3 in 500.
Rule 3. An episode ends when the evidence for the normal share is as large as the threshold.
Rule 4. The rows of an episode enter the normal share with at most a tenth of its weight: an episode
        that recurs becomes normal.
"""

import math
from functools import lru_cache
from typing import NamedTuple

from streams.codec import Machine
from streams.detect.budget import share_statistics

FIRST_ROWS = 500
"""Rows from which the normal share is learned before an episode may begin, as for the first
reference of a series."""
MOST_ROWS = 20_000
"""Rows of weight that the normal share remembers: older rows fade."""
HIGHEST_SHARE = 0.9
"""Normal share above which no episode begins: three times its odds are hardly a larger share."""
EPISODE_WEIGHT = 0.1
"""Largest weight of an episode in the normal share, relative to the rows before it (Rule 4)."""
_FIRST_NORMAL = 0.99
"""The normal share by Rule 2 before the first row, capped below certainty."""


class EventRate(Machine):
    """The share of rows that are hits.

    Parameters
    ----------
    _row
        Rows before it was made.
    _false_alarms
        Its budget: false alarms per 10,000 rows.

    Attributes
    ----------
    is_on
        Whether an episode lasts: hits are more frequent than normal.
    due_row
        The row that ends the episode unless a hit comes before; None without an episode.
    hits, rows
        Since the estimated onset.

    Examples
    --------
    >>> rate = EventRate()
    >>> for row in range(100, 2_001, 100):
    ...     rate.on_hit(row)
    >>> rate.is_on, round(rate.normal, 3)
    (False, 0.01)
    >>> for row in range(2_001, 2_031):
    ...     rate.on_hit(row)
    >>> rate.is_on, rate.hits, rate.rows
    (True, 31, 31)
    >>> rate.advance(rate.due_row)
    >>> rate.is_on
    False
    """

    _row: int = 0
    _false_alarms: float = 0.001
    is_on: bool = False
    due_row: int | None = None
    hits: int = 0
    rows: int = 0
    _normal_hits: float = 0.0
    _normal_rows: float = 0.0
    _assumed: float = _FIRST_NORMAL  # the normal share by Rule 2, when the CUSUM last began
    _score: float = 0.0  # nats for a larger share, before an episode
    _back: float = 0.0  # nats for the normal share, in an episode
    _back_gain: float = 0.0  # nats that a miss adds to it

    @classmethod
    def of_none(cls, false_alarms: float) -> "EventRate":
        """Return the rate of an event that is not normal at all: it has nothing to learn first."""
        rate = cls(0, false_alarms, _normal_rows=float(FIRST_ROWS))
        rate.set_budget(false_alarms)
        return rate

    @property
    def normal(self) -> float:
        """The share outside of episodes."""
        return self._normal_hits / self._normal_rows if self._normal_rows else 0.0

    @property
    def share(self) -> float:
        """The share since the estimated onset."""
        return self.hits / self.rows if self.rows else 0.0

    @property
    def odds_ratio(self) -> float:
        """The odds since the estimated onset, relative to the normal odds."""
        now = (self.hits + 0.5) / (self.rows - self.hits + 0.5)
        normal = (self._normal_hits + 0.5) / (self._normal_rows - self._normal_hits + 0.5)
        return now / normal

    def set_budget(self, false_alarms: float) -> None:
        """Set its budget: false alarms per 10,000 rows."""
        self._false_alarms = false_alarms
        self._assume()

    def on_hit(self, row: int) -> None:
        """Take in a hit. Rows are numbered from 1; a row has at most one hit."""
        self.advance(row - 1)
        self._row = row
        if self.is_on:
            self._hit_within()
        elif self._normal_rows < FIRST_ROWS:
            self._learn(1, 1)
        else:
            self._hit_before()

    def advance(self, row: int) -> None:
        """Take in the rows up to this one that have not been taken in; none of them is a hit."""
        misses = row - self._row
        if misses <= 0:
            return
        self._row = row
        if self.is_on:
            self.rows += misses
            self._back += misses * self._back_gain
            if self.due_row is not None and row >= self.due_row:
                self._end(EPISODE_WEIGHT)
            return
        loss = misses * self._weights.loss if self._score else 0.0
        if self._score > loss:
            self._score -= loss
            self.rows += misses
        else:
            self._end(1.0)
            self._learn(0, misses)

    def relearn(self) -> None:
        """Take the rows since the estimated onset as normal."""
        hits, rows = self.hits, self.rows
        self._end(0.0)
        self._normal_hits, self._normal_rows = float(hits), float(rows)
        self._assume()

    @property
    def _weights(self) -> "_Weights":
        return _weights(self._false_alarms, self._assumed)

    def _hit_before(self) -> None:
        if self._score == 0.0:
            self._assume()
        weights = self._weights
        self.hits += 1
        self.rows += 1
        self._score += weights.gain
        if self._score > weights.threshold and self._assumed < HIGHEST_SHARE:
            self.is_on = True
            self._back = 0.0
            self._set_due_row()

    def _hit_within(self) -> None:
        self.hits += 1
        self.rows += 1
        self._back = max(0.0, self._back - math.log(self._share_now() / self._assumed))
        self._set_due_row()

    def _set_due_row(self) -> None:
        """Set the evidence of a miss, and the row that ends the episode (Rule 3)."""
        self._back_gain = math.log((1 - self._assumed) / (1 - self._share_now()))
        misses = math.ceil((self._weights.threshold - self._back) / self._back_gain)
        self.due_row = self._row + max(misses, 1)

    def _share_now(self) -> float:
        """Return the share of the episode, held off the normal share and off certainty."""
        return max((self.hits + 1) / (self.rows + 2), self._weights.larger)

    def _end(self, weight: float) -> None:
        """End an episode, or the start of a possible one; its rows become normal rows."""
        if self.rows:
            most = self._normal_rows * weight if weight < 1 else float(self.rows)
            part = min(1.0, most / self.rows)
            self._learn(part * self.hits, part * self.rows)
        self.is_on, self.due_row = False, None
        self.hits, self.rows = 0, 0
        self._score = self._back = self._back_gain = 0.0

    def _learn(self, hits: float, rows: float) -> None:
        self._normal_hits += hits
        self._normal_rows += rows
        if self._normal_rows > MOST_ROWS:
            part = MOST_ROWS / self._normal_rows
            self._normal_hits *= part
            self._normal_rows *= part

    def _assume(self) -> None:
        """Set the normal share of Rule 2: two standard errors and three hits above the estimate.

        Three in n is the upper 95 % limit of a share without a hit in n rows (rule of three).
        """
        hits = self._normal_hits + 2 * math.sqrt(self._normal_hits) + 3
        self._assumed = min(hits / (self._normal_rows + 3), _FIRST_NORMAL)


class _Weights(NamedTuple):
    """The CUSUM for a normal share: threshold in nats, the share it looks for, nats of a row."""

    threshold: float
    larger: float
    gain: float
    loss: float


@lru_cache(maxsize=4_096)
def _weights(false_alarms: float, normal: float) -> _Weights:
    """Return the weights. Cached: thousands of models begin with the same budget and share."""
    odds_ratio, threshold = share_statistics(false_alarms, normal)[1]
    odds = odds_ratio * normal / (1 - normal)
    larger = odds / (1 + odds)
    return _Weights(
        threshold, larger, math.log(larger / normal), math.log((1 - normal) / (1 - larger))
    )
