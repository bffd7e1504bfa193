"""Days and weeks of a place: its clocks, and its holidays as Sundays."""

import numpy as np
import pytest

from schemas.model_spec import SeasonRules, SpecError, parse_spec
from streams.season.local_time import local_instants

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
SPRING_MS = 1_774_746_000_000
"""2026-03-29T01:00:00Z: summer time begins in Paris."""
CHRISTMAS_MS = 1_798_156_800_000
"""2026-12-25T00:00:00Z, a Friday."""


def test_clocks_go_forward_when_summer_time_begins() -> None:
    at_ms = SPRING_MS + np.array([-1, 0])

    moved = local_instants(at_ms, SeasonRules(zone="Europe/Paris")) - at_ms

    assert moved.tolist() == [HOUR_MS, 2 * HOUR_MS]


def test_a_holiday_is_the_sunday_before_at_the_same_hour() -> None:
    at_ms = CHRISTMAS_MS + np.array([-1, 9 * HOUR_MS, DAY_MS])

    moved = local_instants(at_ms, SeasonRules(holidays="FR")) - at_ms

    assert moved.tolist() == [0, -5 * DAY_MS, 0]


def test_the_day_of_a_holiday_is_that_of_the_place() -> None:
    eve = np.array([CHRISTMAS_MS - HOUR_MS // 2])  # 00:30 in Paris
    rules = SeasonRules(zone="Europe/Paris", holidays="FR")

    assert (local_instants(eve, rules) - eve).tolist() == [HOUR_MS - 5 * DAY_MS]


def test_a_part_of_a_country_has_holidays_of_its_own() -> None:
    epiphany = np.array([1_767_657_600_000])  # 2026-01-06

    assert (local_instants(epiphany, SeasonRules(holidays="DE-BY")) < epiphany).all()
    assert (local_instants(epiphany, SeasonRules(holidays="DE")) == epiphany).all()


def test_without_a_place_instants_are_as_they_are() -> None:
    at_ms = np.array([SPRING_MS, CHRISTMAS_MS])

    assert (local_instants(at_ms, SeasonRules()) == at_ms).all()


@pytest.mark.parametrize(
    ("season", "says"),
    [
        ({"zone": "Europe/Pari"}, "season.zone: Value error, is no time zone .* Europe/Paris"),
        ({"holidays": "XX"}, "season.holidays: Value error, is no country"),
        ({"holidays": "DE-XX"}, "season.holidays: .* DE-BY, got 'DE-XX'"),
        ({"zoen": "UTC"}, "season.zoen: unknown field; did you mean zone?"),
    ],
)
def test_a_place_that_is_not_known_is_refused_by_name(season: dict[str, str], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        parse_spec({"season": season})
