"""Instants as the clocks of a place show them, holidays as Sundays.

Rule 1. An instant becomes that at which clocks in UTC show the local time: hours of the day are
        then those of the place, also when summer time begins and ends.
Rule 2. An instant of a public holiday becomes that of the Sunday before, at the same hour: a
        holiday is held against its own kind. So a profile of the week is one of ordinary days.
Rule 3. The rules of zones and holidays are those of the installed packages. A log that is replayed
        with others may give other alerts at the hours that they differ in.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays
import numpy as np

from schemas.model_spec import SeasonRules
from streams.clock import DAY_MS, HOUR_MS, Instants

_STEP_MS = HOUR_MS // 4
"""Milliseconds: zones are apart by quarters of an hour, and change at them."""
_EPOCH = date(1970, 1, 1)
_SUNDAY = 3
"""Days from the epoch, a Thursday, to the first Sunday."""


def local_instants(at_ms: Instants, rules: SeasonRules) -> Instants:
    """Return instants as clocks of the place show them.

    Examples
    --------
    >>> noon = np.array([1_783_944_000_000])  # Monday 2026-07-13, 12:00 UTC
    >>> local_instants(noon, SeasonRules(zone="Europe/Paris")) - noon
    array([7200000])
    >>> bastille = noon + DAY_MS
    >>> (local_instants(bastille, SeasonRules(holidays="FR")) - bastille) // DAY_MS
    array([-2])
    """
    local = at_ms
    if rules.zone is not None:
        steps, places = np.unique(at_ms // _STEP_MS, return_inverse=True)
        offsets = [_offset_ms(rules.zone, step) for step in steps.tolist()]
        local = at_ms + np.array(offsets, dtype=np.int64)[places]
    if rules.holidays is not None:
        days, places = np.unique(local // DAY_MS, return_inverse=True)
        back = [_days_to_sunday(rules.holidays, day) for day in days.tolist()]
        local = local - DAY_MS * np.array(back, dtype=np.int64)[places]
    return local


@lru_cache(maxsize=4_096)
def _offset_ms(zone: str, step: int) -> int:
    instant = datetime.fromtimestamp(step * _STEP_MS / 1_000, UTC)
    offset = instant.astimezone(ZoneInfo(zone)).utcoffset() or timedelta()
    return int(offset.total_seconds() * 1_000)


@lru_cache(maxsize=4_096)
def _days_to_sunday(country: str, day: int) -> int:
    on = _EPOCH + timedelta(days=day)
    return (day - _SUNDAY) % 7 if _is_holiday(country, on) else 0


@lru_cache(maxsize=1_024)
def _holidays_of(country: str, year: int) -> frozenset[date]:
    code, _, part = country.partition("-")
    return frozenset(holidays.country_holidays(code, subdiv=part or None, years=year))


def _is_holiday(country: str, on: date) -> bool:
    return on in _holidays_of(country, on.year)
