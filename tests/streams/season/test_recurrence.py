import numpy as np
import pytest

from streams.season.recurrence import SURE, hourly_effects, two_way_anova

EVENING = np.sin(np.arange(24) * 2 * np.pi / 24)


def fortnight(daily: np.ndarray, weekday: np.ndarray) -> np.ndarray:
    """Return the cells of two weeks: the hours of a day, raised by day of the week, and noise."""
    noise = np.random.default_rng(1).normal(0.0, 0.1, 336)
    cells: np.ndarray = np.tile(daily, 14) + np.repeat(np.tile(weekday, 2), 24) + noise
    return cells


def test_a_change_that_stays_does_not_recur() -> None:
    cells = np.zeros((2, 24))
    cells[0, 12:] = cells[1] = 1.0

    assert two_way_anova(cells + np.random.default_rng(1).normal(0, 0.01, (2, 24))).sureness < SURE


def test_neither_a_walk_nor_clumps_recur() -> None:
    rng = np.random.default_rng(1)
    walk = rng.normal(size=7 * 24).cumsum().reshape(7, 24)
    clumps = np.repeat(rng.normal(size=7 * 4), 6).reshape(7, 24)

    assert two_way_anova(walk).sureness < SURE
    assert two_way_anova(clumps).sureness < SURE


def test_a_day_of_which_a_part_is_missing_has_its_own_mean() -> None:
    cells = np.tile(EVENING, (3, 1)) + np.array([[0.0], [5.0], [-5.0]])
    cells[1, :12] = np.nan

    effects = two_way_anova(cells).effects

    assert effects - effects.mean() == pytest.approx(EVENING, abs=0.01)


def test_a_day_recurs_within_a_week() -> None:
    effects = hourly_effects(fortnight(EVENING, np.zeros(7)), weeks=0)

    assert effects == pytest.approx(EVENING, abs=0.2)


def test_without_hours_that_differ_there_are_no_effects() -> None:
    assert hourly_effects(fortnight(np.zeros(24), np.zeros(7)), weeks=2) is None


@pytest.mark.parametrize("weeks", [1, 2])
def test_a_weekend_makes_the_profile_one_of_the_week(weeks: int) -> None:
    weekend = np.array([0.0, 0.0, 2.0, 2.0, 0.0, 0.0, 0.0])  # from a Thursday
    cells = fortnight(EVENING, weekend)
    if weeks == 1:
        cells[168:] = np.nan

    effects = hourly_effects(cells, weeks)

    expected = np.tile(EVENING, 7) + np.repeat(weekend - weekend.mean(), 24)
    assert effects == pytest.approx(expected, abs=0.4)


@pytest.mark.parametrize("weeks", [1, 2])
def test_a_week_of_equal_days_stays_a_profile_of_the_day(weeks: int) -> None:
    effects = hourly_effects(fortnight(EVENING, np.zeros(7)), weeks)

    assert effects is not None
    assert len(effects) == 24


def sloped(days: int, slope: float, seed: int, noise: float = 0.1) -> np.ndarray:
    """Return the cells of days of a trend that rises by ``slope`` a day."""
    cells: np.ndarray = slope * np.arange(24 * days) / 24
    return (cells + np.random.default_rng(seed).normal(0, noise, 24 * days)).reshape(days, 24)


@pytest.mark.parametrize("days", [2, 3, 7, 14])
def test_a_trend_is_no_rhythm(days: int) -> None:
    sure = [two_way_anova(sloped(days, 0.25, seed)).sureness for seed in range(20)]

    assert max(sure) < SURE


def test_a_rhythm_on_a_trend_is_found_without_the_trend() -> None:
    found = two_way_anova(sloped(7, 0.25, 1) + EVENING)

    assert found.sureness > SURE
    assert found.effects - found.effects.mean() == pytest.approx(EVENING, abs=0.12)


def test_a_trend_of_two_weeks_is_no_week() -> None:
    for seed in range(10):
        cells = sloped(14, 0.25, seed).ravel()
        assert hourly_effects(cells, weeks=2) is None
        cells[168:] = np.nan
        assert hourly_effects(cells, weeks=1) is None


def test_a_weekday_that_differs_is_found_on_a_trend() -> None:
    cells = fortnight(EVENING, np.array([0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 2.0]))
    cells = cells + 0.1 * np.arange(336) / 24

    effects = hourly_effects(cells, weeks=2)

    assert effects is not None
    assert len(effects) == 168


def test_a_trend_is_no_rhythm_wherever_in_the_fortnight_it_began() -> None:
    for seed in range(10):
        cells = np.roll(sloped(14, 0.25, seed), 5, axis=0)
        cells[:5] = np.nan  # nine days so far
        assert hourly_effects(cells.ravel(), weeks=0, first_day=5) is None


def week_from_thursday(weekday: list[float]) -> np.ndarray:
    cells = fortnight(np.zeros(24), np.array(weekday))
    cells[168:] = np.nan
    return cells


def test_of_one_week_a_weekend_is_believed_without_a_daily_profile() -> None:
    cells = week_from_thursday([0.0, 0.0, -1.0, -1.2, 0.0, 0.1, 0.0])

    effects = hourly_effects(cells, weeks=1)

    assert effects is not None
    assert effects.reshape(7, 24).mean(axis=1) == pytest.approx(
        [0.3, 0.3, -0.7, -0.9, 0.3, 0.4, 0.3], abs=0.05
    )


@pytest.mark.parametrize(
    "weekday",
    [[0.0, 0.9, -0.2, 0.4, -1.0, 0.3, 0.1], [0.0, 0.1, 0.4, 0.9, 1.6, 2.5, 3.6]],
)
def test_of_one_week_days_that_differ_otherwise_are_no_rhythm(weekday: list[float]) -> None:
    assert hourly_effects(week_from_thursday(weekday), weeks=1) is None
