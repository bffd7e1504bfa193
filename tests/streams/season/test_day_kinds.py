import pytest
from msgspec.structs import replace

from streams.change import Figures
from streams.clock import DAY_MINUTES
from streams.season.day_kinds import DayKinds

JANUARY_30 = 19_752 * DAY_MINUTES  # 2024
FEBRUARY_1, FEBRUARY_28 = JANUARY_30 + 2 * DAY_MINUTES, JANUARY_30 + 29 * DAY_MINUTES
UP = Figures(effect=1.5, unit="sd", direction="up", rows=30)


def judged(days: DayKinds, minute: int, figures: Figures = UP) -> str:
    return days.judge(minute, figures, is_first_week=False)


def told_at_the_end_of_january(back: int = FEBRUARY_1) -> DayKinds:
    days = DayKinds()
    assert judged(days, JANUARY_30) == "told"
    days.on_back(back)
    return days


def test_a_change_that_comes_back_at_the_end_of_a_month_is_held_as_long_as_it_lasted() -> None:
    days = told_at_the_end_of_january()

    assert judged(days, FEBRUARY_28) == "held"
    assert days.until == FEBRUARY_28 + 2 * DAY_MINUTES


def test_it_is_held_in_the_months_that_follow() -> None:
    days = told_at_the_end_of_january()

    found = [judged(days, FEBRUARY_28 + month * DAY_MINUTES) for month in (0, 31, 61, 92)]

    assert found == ["held"] * 4


@pytest.mark.parametrize("days_later", [14, 20, 26, 33, 120])
def test_at_another_place_of_the_month_it_is_told(days_later: int) -> None:
    days = told_at_the_end_of_january()

    assert judged(days, JANUARY_30 + days_later * DAY_MINUTES) == "told"


def test_a_larger_change_or_one_to_the_other_side_is_told() -> None:
    days = told_at_the_end_of_january()

    assert judged(days, FEBRUARY_28, replace(UP, effect=3.1)) == "told"
    assert judged(days, FEBRUARY_28, replace(UP, direction="down")) == "told"


def test_a_change_that_lasted_a_week_does_not_come_back() -> None:
    days = told_at_the_end_of_january(back=JANUARY_30 + 7 * DAY_MINUTES)

    assert judged(days, FEBRUARY_28) == "told"


def test_a_change_that_was_accepted_does_not_come_back() -> None:
    days = DayKinds()
    judged(days, JANUARY_30)

    days.forget_open()
    days.on_back(FEBRUARY_1)

    assert judged(days, FEBRUARY_28) == "told"
