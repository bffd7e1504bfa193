"""Compare the figure of a day with the same figure of the days before.

For events that follow working hours: labels made in an office, or in one run a night.

Rule 1. A day without enough rows lasts until it has enough; the caller decides.
Rule 2. No day is anomalous before a week of days.
Rule 3. A day is anomalous when its figure is ``FACTOR`` times the highest of the days before, and
        larger than chance makes it in so many rows. For shares the factor is one of odds.
Rule 4. An anomalous day enters the history capped at its limit: a change that persists becomes
        normal within some days.
"""

import math

from msgspec import field

from streams.codec import Machine

FACTOR = 2.0
"""An anomalous day has this many times the highest figure: days of a week differ by less."""
FIRST_DAYS = 7
"""Days before a day can be anomalous: each day of the week once."""
KEPT_DAYS = 14
"""Days of the history: each day of the week twice, so that one holiday is not its only one."""
LEAST_SHARE = 0.01
"""Smallest share taken as the highest of the days before, so that the first hit is no anomaly."""
DEVIATIONS = 5.0
"""Binomial standard deviations above the limit that chance is allowed: once in 3.5 million days."""
QUANTILE = 0.9
"""Part of a day's delays that do not exceed its figure: the slowest tenth is left to chance."""
LEAST_DELAY_S = 1.0
"""Smallest limit of a delay, in seconds: shorter delays are latency of the pipeline."""
_BUCKETS = 64
"""Buckets of delays: powers of two of a millisecond, as many as an instant has bits."""


class DailyShare(Machine):
    """The share of a day's rows that are hits.

    Attributes
    ----------
    is_on
        Whether the last day was anomalous.
    share, normal, rows
        The last day's share, the highest share of the days before, and the last day's rows.

    Examples
    --------
    >>> share = DailyShare()
    >>> for _ in range(7):
    ...     share.close_day(30, 1_000)
    >>> share.close_day(40, 1_000)
    >>> share.is_on
    False
    >>> share.close_day(400, 1_000)
    >>> share.is_on, share.normal
    (True, 0.04)
    """

    is_on: bool = False
    share: float = 0.0
    normal: float = 0.0
    rows: int = 0
    _shares: list[float] = field(default_factory=list)

    def close_day(self, hits: int, rows: int) -> None:
        """Take in a day of 1 or more rows."""
        self.share, self.rows = hits / rows, rows
        self.is_on = False
        kept = self.share
        if len(self._shares) >= FIRST_DAYS:
            self.normal = max(self._shares)
            limit = _times_odds(max(self.normal, LEAST_SHARE), FACTOR)
            by_chance = DEVIATIONS * math.sqrt(rows * limit * (1 - limit))
            self.is_on = hits > rows * limit + by_chance
            kept = min(kept, limit)
        _remember(self._shares, kept)

    @property
    def odds_ratio(self) -> float:
        """The odds of the last day, relative to those of the highest day before."""
        return _odds(self.share) / _odds(max(self.normal, LEAST_SHARE))

    def relearn(self) -> None:
        """Take the last day as normal."""
        _remember(self._shares, self.share)
        self.is_on = False


class DailyDelay(Machine):
    """The 90 % quantile of a day's delays.

    Delays are counted by powers of two of a millisecond, and the quantile is interpolated: exact to
    some tens of a percent, in 64 numbers.

    Attributes
    ----------
    is_on
        Whether the last day was anomalous.
    value_s, normal_s, rows
        The last day's quantile, the highest of the days before, both in seconds, and the last
        day's rows.

    Examples
    --------
    >>> delay = DailyDelay()
    >>> for day in range(8):
    ...     for minute in range(1_000):
    ...         delay.on_row(60_000 * minute)
    ...     delay.close_day()
    >>> delay.is_on, 800 < delay.value_s / 60 < 1_000
    (False, True)
    >>> for minute in range(1_000):
    ...     delay.on_row(240_000 * minute)
    >>> delay.close_day()
    >>> delay.is_on, 3 < delay.value_s / delay.normal_s < 5
    (True, True)
    """

    is_on: bool = False
    value_s: float = 0.0
    normal_s: float = 0.0
    rows: int = 0
    _counts: list[int] = field(default_factory=lambda: [0] * _BUCKETS)
    _days: list[float] = field(default_factory=list)

    def on_row(self, delay_ms: int) -> None:
        """Count a delay; a negative delay counts as none."""
        self._counts[delay_ms.bit_length() if delay_ms > 0 else 0] += 1

    @property
    def rows_today(self) -> int:
        """Rows of the present day."""
        return sum(self._counts)

    def close_day(self) -> None:
        """End the present day."""
        self.rows = self.rows_today
        self.value_s = self._quantile_ms() / 1_000
        self._counts = [0] * _BUCKETS
        self.is_on = False
        kept = self.value_s
        if len(self._days) >= FIRST_DAYS:
            self.normal_s = max(self._days)
            limit_s = max(FACTOR * self.normal_s, LEAST_DELAY_S)
            self.is_on = self.value_s > limit_s
            kept = min(kept, limit_s)
        _remember(self._days, kept)

    def relearn(self) -> None:
        """Take the last day as normal."""
        _remember(self._days, self.value_s)
        self.is_on = False

    def _quantile_ms(self) -> float:
        wanted = QUANTILE * self.rows
        for bits, count in enumerate(self._counts):
            if count and wanted <= count:
                low = 2.0 ** (bits - 1) if bits else 0.0
                return low * (1 + wanted / count)
            wanted -= count
        return 0.0


def _remember(days: list[float], figure: float) -> None:
    days.append(figure)
    del days[:-KEPT_DAYS]


def _odds(share: float) -> float:
    return share / max(1 - share, 1e-9)


def _times_odds(share: float, odds_ratio: float) -> float:
    """Return the share of so many times the odds."""
    odds = odds_ratio * _odds(share)
    return odds / (1 + odds)
