"""Hold a figure of each day against the same figure of the days before.

For what has the rhythm of people: labels that are made in office hours, or in one run a night.

Rule 1. A day has enough rows, or it lasts until it has.
Rule 2. Nothing is said before a week of days.
Rule 3. A day is away when its figure is ``FACTOR`` times the highest of the days before, and more
        than chance makes of so many rows. For shares the factor is one of odds.
Rule 4. A day that is away counts as the highest that would not have been: what stays is told less
        and less.
"""

import math
from collections import deque
from typing import Any

FACTOR = 2.0
FIRST_DAYS, KEPT_DAYS = 7, 14
LEAST_SHARE = 0.01
DEVIATIONS = 5.0


class DailyShare:
    """The share of a day's rows that are hits.

    Attributes
    ----------
    is_on
        Whether the last day was away.
    share, rows, odds_ratio
        Of the last day; its odds against those of the highest day before.

    Examples
    --------
    >>> share = DailyShare()
    >>> for _ in range(7):
    ...     share.take(30, 1_000)
    >>> share.take(40, 1_000)
    >>> share.is_on
    False
    >>> share.take(400, 1_000)
    >>> share.is_on, share.usual
    (True, 0.04)
    """

    def __init__(self) -> None:
        self.is_on = False
        self.share = self.usual = 0.0
        self.rows = 0
        self._shares: deque[float] = deque(maxlen=KEPT_DAYS)

    def take(self, hits: int, rows: int) -> None:
        """Take in a day."""
        self.share, self.rows = hits / rows, rows
        self.is_on = False
        counted = self.share
        if len(self._shares) >= FIRST_DAYS:
            self.usual = max(self._shares)
            limit = _times(max(self.usual, LEAST_SHARE), FACTOR)
            by_chance = DEVIATIONS * math.sqrt(rows * limit * (1 - limit))
            self.is_on = hits > rows * limit + by_chance
            counted = min(counted, limit)
        self._shares.append(counted)

    @property
    def odds_ratio(self) -> float:
        """The odds of the last day against those of the highest before."""
        return _odds(self.share) / _odds(max(self.usual, LEAST_SHARE))

    def relearn(self) -> None:
        """Take the last day for a usual one."""
        self._shares.append(self.share)
        self.is_on = False

    def snapshot(self) -> list[Any]:
        """Return the state as plain values."""
        return [self.is_on, self.share, self.usual, self.rows, list(self._shares)]

    def restore(self, tree: list[Any]) -> None:
        """Go on from what `snapshot` returned."""
        self.is_on, self.share, self.usual, self.rows, shares = tree
        self._shares.extend(shares)


class DailyDelay:
    """The delay that nine of ten of a day's rows do not exceed.

    Delays are counted by powers of two of a millisecond, and read off between them: exact to some
    tens of a percent, and in 64 numbers whatever they are.

    Examples
    --------
    >>> delay = DailyDelay()
    >>> for day in range(8):
    ...     for minute in range(1_000):
    ...         delay.on_row(60_000 * minute)
    ...     delay.take()
    >>> delay.is_on, 800 < delay.value_s / 60 < 1_000
    (False, True)
    >>> for minute in range(1_000):
    ...     delay.on_row(240_000 * minute)
    >>> delay.take()
    >>> delay.is_on, 3 < delay.value_s / delay.usual_s < 5
    (True, True)
    """

    QUANTILE = 0.9

    def __init__(self) -> None:
        self.is_on = False
        self.value_s = self.usual_s = 0.0
        self.rows = 0
        self._counts = [0] * 64
        self._days: deque[float] = deque(maxlen=KEPT_DAYS)

    def on_row(self, delay_ms: int) -> None:
        """Count a delay; one that is negative is none."""
        self._counts[delay_ms.bit_length() if delay_ms > 0 else 0] += 1

    @property
    def counted(self) -> int:
        """Rows of the present day."""
        return sum(self._counts)

    def take(self) -> None:
        """End the day."""
        self.rows = self.counted
        self.value_s = self._quantile_ms() / 1_000
        self._counts = [0] * 64
        self.is_on = False
        counted = self.value_s
        if len(self._days) >= FIRST_DAYS:
            self.usual_s = max(self._days)
            limit_s = max(FACTOR * self.usual_s, 1.0)
            self.is_on = self.value_s > limit_s
            counted = min(counted, limit_s)
        self._days.append(counted)

    def relearn(self) -> None:
        """Take the last day for a usual one."""
        self._days.append(self.value_s)
        self.is_on = False

    def snapshot(self) -> list[Any]:
        """Return the state as plain values."""
        figures = [self.is_on, self.value_s, self.usual_s, self.rows]
        return [*figures, self._counts, list(self._days)]

    def restore(self, tree: list[Any]) -> None:
        """Go on from what `snapshot` returned."""
        self.is_on, self.value_s, self.usual_s, self.rows, self._counts, days = tree
        self._days.extend(days)

    def _quantile_ms(self) -> float:
        wanted = self.QUANTILE * self.rows
        for bits, count in enumerate(self._counts):
            if count and wanted <= count:
                low = 2.0 ** (bits - 1) if bits else 0.0
                return low * (1 + wanted / count)
            wanted -= count
        return 0.0


def _odds(share: float) -> float:
    return share / max(1 - share, 1e-9)


def _times(share: float, odds_ratio: float) -> float:
    """Return the share of so many times the odds."""
    odds = odds_ratio * _odds(share)
    return odds / (1 + odds)
