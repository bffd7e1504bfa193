import pytest

from streams.codec import decode, encode
from streams.traffic.daily import FIRST_DAYS, KEPT_DAYS, DailyDelay, DailyShare


def watched(hits: list[int], rows: int = 1_000) -> tuple[DailyShare, list[bool]]:
    share = DailyShare()
    said = []
    for each in hits:
        share.close_day(each, rows)
        said.append(share.is_on)
    return share, said


# Rule 2


def test_nothing_is_said_before_a_week_of_days() -> None:
    _, said = watched([10] * (FIRST_DAYS - 1) + [900, 10])

    assert not any(said)


# Rule 3


def test_the_worst_day_of_each_week_is_usual() -> None:
    _, said = watched([10, 10, 10, 10, 10, 300, 300] * 4)

    assert not any(said)


def test_a_day_of_twice_the_odds_of_the_worst_is_away_and_the_next_may_be_back() -> None:
    share, said = watched([10] * FIRST_DAYS + [60, 10])

    assert said[-2:] == [True, False]
    assert share.odds_ratio == pytest.approx(0.5, rel=0.1)


def test_a_day_of_few_rows_needs_more_than_chance() -> None:
    _, said = watched([1] * FIRST_DAYS + [3], rows=50)

    assert not any(said)


# Rule 4


def test_what_stays_is_told_less_and_less() -> None:
    _, said = watched([10] * FIRST_DAYS + [200] * 20)

    assert said[FIRST_DAYS]
    assert not said[-1]


def test_what_a_person_accepts_is_usual() -> None:
    share, _ = watched([10] * FIRST_DAYS + [500])

    share.relearn()
    share.close_day(510, 1_000)

    assert not share.is_on


def test_days_remembered_are_bounded_and_a_restart_changes_nothing() -> None:
    share, _ = watched([10] * 50)

    again = decode(encode(share), DailyShare)
    share.close_day(300, 1_000)
    again.close_day(300, 1_000)

    assert share.is_on
    assert encode(again) == encode(share)
    assert len(share._shares) == KEPT_DAYS


# Delays


def day(delay: DailyDelay, seconds: range) -> bool:
    for each in seconds:
        delay.on_row(1_000 * each)
    delay.close_day()
    return delay.is_on


def test_a_delay_that_is_half_as_long_again_is_usual_and_one_of_three_times_is_not() -> None:
    delay = DailyDelay()
    said = [day(delay, range(1_000)) for _ in range(FIRST_DAYS)]

    longer, much_longer = day(delay, range(1_500)), day(delay, range(0, 4_500, 3))

    assert (any(said), longer, much_longer) == (False, False, True)


def test_nine_of_ten_do_not_exceed_it() -> None:
    delay = DailyDelay()

    day(delay, range(10_000))

    assert delay.value_s == pytest.approx(9_000, rel=0.35)


def test_an_outcome_that_was_known_before_its_prediction_took_no_time() -> None:
    delay = DailyDelay()

    day(delay, range(-500, 0))

    assert delay.value_s == 0


def test_a_restart_in_the_middle_of_a_day_changes_nothing() -> None:
    delay = DailyDelay()
    for _ in range(FIRST_DAYS):
        day(delay, range(1_000))
    delay.on_row(5_000)

    again = decode(encode(delay), DailyDelay)

    assert day(again, range(0, 9_000, 9)) == day(delay, range(0, 9_000, 9)) == True  # noqa: E712
    assert encode(again) == encode(delay)
