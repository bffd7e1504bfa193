import numpy as np
import pytest

from streams.clock import Minutes
from streams.codec import decode, encode
from streams.detect.sample import Categories, Sample
from streams.season.calendar import HourlyGrid
from streams.season.hour_kernel import GRID_HOURS
from streams.values import Value

DAY_MINUTES = 1_440
MONDAY = 1_704_067_200 // 60  # 2024-01-01


def minutes_of(days: float, rows_a_day: int) -> Minutes:
    rows = round(days * rows_a_day)
    return MONDAY + (np.arange(rows) * (DAY_MINUTES / rows_a_day)).astype(np.int64)


def evening(minutes: Minutes) -> np.ndarray:
    return np.sin(minutes / DAY_MINUTES * 2 * np.pi)


def grid_of(sample: Sample, names: list[Value | None], minutes: Minutes) -> HourlyGrid:
    grid = HourlyGrid.of(sample, names, minutes)
    if grid is None:
        pytest.fail("the hours are not counted")
    return grid


def numbers(rows: int) -> list[Value]:
    values: list[Value] = np.random.default_rng(1).normal(size=rows).tolist()
    return values


def words(rows: int) -> list[Value]:
    values: list[Value] = np.random.default_rng(1).choice(["a", "b", "c"], size=rows).tolist()
    return values


def test_hours_that_come_in_any_order_are_stored_each_in_its_place() -> None:
    rng = np.random.default_rng(3)
    minutes = MONDAY + rng.integers(0, 60 * GRID_HOURS, 3_000)
    values: list[Value] = ["a"] * len(minutes)
    sample = Sample(values, Categories.of(values, rarest_rows=3))

    grid = grid_of(sample, ["a", None], minutes)

    stored = decode(encode(grid), HourlyGrid)._grid
    expected = np.bincount(minutes // 60 % GRID_HOURS, minlength=GRID_HOURS)
    assert stored[:, 0].tolist() == expected.tolist()
    assert stored[:, 1].tolist() == expected.tolist()


@pytest.mark.parametrize("is_of_numbers", [True, False])
@pytest.mark.parametrize("sizes", [(1,), (7, 31, 32, 33, 400)])
def test_where_reads_and_restarts_cut_the_values_changes_nothing(
    sizes: tuple[int, ...], is_of_numbers: bool
) -> None:
    minutes = minutes_of(1.5, 1_000)
    values = numbers(len(minutes)) if is_of_numbers else words(len(minutes))
    names: list[Value | None] = [] if is_of_numbers else ["a", "b", None]
    categories = None if is_of_numbers else Categories.of(values[:200], rarest_rows=3)
    sample = Sample(values[:200], categories)
    whole, cut = (grid_of(sample, names, minutes[:200]) for _ in range(2))
    x = np.array(values) if is_of_numbers else None

    whole.read(values[200:], None if x is None else x[200:], minutes[200:])
    at, k = 200, 0
    while at < len(values):
        part = slice(at, at + sizes[k % len(sizes)])
        cut.read(values[part], None if x is None else x[part], minutes[part])
        cut = decode(encode(cut), HourlyGrid)
        at, k = part.stop, k + 1

    assert encode(cut) == encode(whole)
    assert cut.rows == len(values)


def test_three_instants_in_a_row_end_a_day_and_two_do_not() -> None:
    minutes = minutes_of(0.5, 1_000)
    grid = grid_of(Sample(numbers(len(minutes))), [], minutes)
    late = np.array([grid.due] * 3)

    assert grid.rows_until_test(late[:2]) is None
    assert grid.rows_until_test(late) == 2
    grid.pass_over(late[:2])
    assert grid.rows_until_test(late[:1]) == 0


def test_a_grid_grows_with_the_days_it_has_seen() -> None:
    first = minutes_of(0.5, 1_000)
    grid = grid_of(Sample(numbers(len(first))), [], first)
    before = len(encode(grid))

    later = minutes_of(3.0, 1_000)[len(first) :]
    values = numbers(len(later))
    grid.read(values, np.array(values), later)

    assert before < 1_600
    assert len(encode(grid)) - before == pytest.approx(2 * 24 * 12, abs=500)


@pytest.mark.parametrize(("alarms", "hours"), [(0, None), (1, None), (2, 24)])
def test_a_weak_profile_is_believed_sooner_where_it_has_cost_two_alarms(
    alarms: int, hours: int | None
) -> None:
    minutes = minutes_of(2.01, 4_000)
    noise = np.random.default_rng(1).normal(size=len(minutes))
    grid = grid_of(Sample((noise + 0.13 * evening(minutes)).tolist()), [], minutes)
    grid.alarms = alarms

    profile = grid.find()

    assert (profile and profile.hours) == hours
