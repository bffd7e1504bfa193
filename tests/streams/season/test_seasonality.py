"""Hourly profiles of a series: believed when they recur, and never taken for a change."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from msgspec.structs import replace

from streams.clock import Instants
from streams.codec import decode, encode
from streams.series.detection import Detection
from streams.series.watch import SeriesWatch
from streams.series.watch_spec import WatchSpec
from streams.values import Scalar

DAY_MS = 86_400_000
MONDAY_MS = 1_704_067_200_000  # 2024-01-01
BUDGET = 0.001


def instants(days: float, rows_a_day: int, first_ms: int = MONDAY_MS) -> Instants:
    rows = round(days * rows_a_day)
    return first_ms + (np.arange(rows) * (DAY_MS / rows_a_day)).astype(np.int64)


def noise(at_ms: Instants, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=len(at_ms))


def evening(at_ms: Instants) -> np.ndarray:
    return np.sin(at_ms / DAY_MS * 2 * math.pi)


def weekend(at_ms: Instants) -> np.ndarray:
    return (((at_ms - MONDAY_MS) // DAY_MS) % 7 >= 5).astype(float)


def read(
    values: Sequence[Scalar],
    at_ms: Instants | None,
    *,
    sizes: Sequence[int] = (500,),
    spec: WatchSpec | None = None,
    budget: float = BUDGET,
    restart_every: int = 10**9,
) -> tuple[list[tuple[int, Detection]], SeriesWatch]:
    """Read values in batches of the sizes, over and over; return changes with their rows."""
    spec = spec or WatchSpec(role="feature")
    watch = SeriesWatch(spec)
    watch.set_budget(budget)
    found, start, batch = [], 0, 0
    while start < len(values):
        end = start + sizes[batch % len(sizes)]
        part = None if at_ms is None else at_ms[start:end]
        changes = watch.update(values[start:end], part)
        found += [(start + change.index, replace(change, index=0)) for change in changes]
        start, batch = end, batch + 1
        if batch % restart_every == 0:
            watch = decode(encode(watch), SeriesWatch)
    return found, watch


def season_of(watch: SeriesWatch) -> dict[str, object]:
    season = watch.describe()["season"]
    if not isinstance(season, dict):
        pytest.fail("the season is described")
    return season


@pytest.mark.parametrize("rows_a_day", [300, 2_000, 10_000])
def test_evenings_are_learnt_and_then_no_alarm(rows_a_day: int) -> None:
    at_ms = instants(8, rows_a_day)

    found, watch = read((noise(at_ms) + evening(at_ms)).tolist(), at_ms)

    assert [row for row, _ in found if row > 2 * rows_a_day] == []
    assert season_of(watch)["hours"] == 24


def test_without_instants_evenings_are_alarms() -> None:
    at_ms = instants(4, 10_000)

    found, _ = read((noise(at_ms) + evening(at_ms)).tolist(), None)

    assert len(found) > 4


def test_before_its_first_day_is_over_a_series_that_creeps_waits() -> None:
    at_ms = instants(0.8, 100_000)

    found, watch = read((noise(at_ms) + evening(at_ms)).tolist(), at_ms)

    assert found == []
    assert season_of(watch)["is_waiting"]


@pytest.mark.parametrize("seed", range(3))
def test_a_sudden_change_on_the_first_day_is_told_though_the_series_has_crept(seed: int) -> None:
    at_ms = instants(0.1, 86_400)
    values = noise(at_ms, seed)
    values[2_000:] += 0.1
    values[4_000:] += 5.0

    found, _ = read(values.tolist(), at_ms)

    assert 4_000 <= found[0][0] < 4_050


def test_a_drift_that_was_taken_for_the_days_motion_is_found_on_the_second_day() -> None:
    at_ms = instants(2.2, 100_000)
    drift = np.clip((np.arange(len(at_ms)) - 2_000) / 50_000, 0, 1)

    found, _ = read((noise(at_ms) + drift).tolist(), at_ms)

    assert 100_000 < found[0][0] < 150_000
    assert found[0][1].aspect == "level"


@pytest.mark.parametrize("rows_a_day", [1_000, 10_000])
def test_a_change_on_top_of_a_profile_is_found(rows_a_day: int) -> None:
    at_ms = instants(9, rows_a_day)
    change_at = 8 * rows_a_day
    values = noise(at_ms) + evening(at_ms)
    values[change_at:] += 1

    found, _ = read(values.tolist(), at_ms)

    [first] = [(row, change) for row, change in found if row >= change_at][:1]
    assert first[0] < change_at + 150
    assert (first[1].aspect, first[1].figures.direction) == ("level", "up")


def test_weekends_are_learnt_in_two_weeks() -> None:
    at_ms = instants(28, 1_000)

    found, watch = read((noise(at_ms) + 0.7 * evening(at_ms) - weekend(at_ms)).tolist(), at_ms)

    assert [row for row, _ in found if row > 14_000] == []
    assert season_of(watch) == {
        "hours": 168,
        "is_guess": False,
        "is_observed": False,
        "is_waiting": False,
        "is_first_week": False,
    }


WEDNESDAY_MS = MONDAY_MS + 2 * DAY_MS


def working_week(at_ms: Instants) -> np.ndarray:
    return noise(at_ms) + 0.7 * evening(at_ms) - 1.5 * weekend(at_ms)


def test_a_first_weekend_is_held_back_and_known_when_a_week_is_over() -> None:
    at_ms = instants(11, 1_000, WEDNESDAY_MS)
    values = working_week(at_ms).tolist()

    on_sunday = read(values[:4_500], at_ms[:4_500])[1]
    found, watch = read(values, at_ms)

    assert (season_of(on_sunday)["is_waiting"], season_of(on_sunday)["is_first_week"]) == (
        True,
        True,
    )
    assert [row for row, _ in found if row > 2_000] == []
    assert (season_of(watch)["hours"], season_of(watch)["is_first_week"]) == (168, False)


def test_a_change_on_the_first_weekend_that_lasts_is_told_on_monday() -> None:
    at_ms = instants(6, 1_000, WEDNESDAY_MS)
    values = noise(at_ms) + 0.7 * evening(at_ms)
    values[3_050:] += 1.5

    found, _ = read(values.tolist(), at_ms)

    [(row, change)] = [each for each in found if each[0] > 2_000][:1]
    assert 5_000 < row < 5_100
    assert (change.aspect, change.figures.direction) == ("level", "up")


def test_the_first_working_day_after_a_reference_of_a_weekend_is_learnt() -> None:
    at_ms = instants(5, 1_000, MONDAY_MS + 5 * DAY_MS)

    found, watch = read((noise(at_ms) - 1.5 * weekend(at_ms)).tolist(), at_ms)
    hourly, _ = read(working_week(at_ms).tolist(), at_ms)

    assert [row for row, _ in found] != []
    assert [row for row, _ in hourly if row > 2_000] == []
    assert season_of(watch)["hours"] is None


@pytest.mark.parametrize("sizes", [(1, 7, 180, 3, 1_000), (613,)])
def test_where_reads_and_restarts_cut_a_first_weekend_changes_nothing(
    sizes: tuple[int, ...],
) -> None:
    at_ms = instants(6, 1_000, WEDNESDAY_MS)
    values: list[Scalar] = working_week(at_ms).tolist()
    at_ms[[5_001, 5_004]] -= DAY_MS  # Monday has begun with the third instant in a row
    expected, whole = read(values, at_ms)

    found, parts = read(values, at_ms, sizes=sizes, restart_every=3)

    assert found == expected
    assert encode(parts) == encode(whole)


def test_errors_that_are_more_at_night_are_no_alarm() -> None:
    at_ms = instants(10, 4_000)
    share = 0.12 + 0.08 * evening(at_ms)
    errors = (np.random.default_rng(3).random(len(at_ms)) < share).tolist()
    spec = WatchSpec(role="error", kind="categorical")

    with_hours, watch = read(errors, at_ms, spec=spec, budget=0.05)
    without, _ = read(errors, None, spec=spec, budget=0.05)

    assert season_of(watch)["hours"] == 24
    assert [row for row, _ in with_hours if row > 8_000] == []
    assert len(without) > 5


def test_a_spread_that_breathes_with_the_day_is_no_alarm() -> None:
    at_ms = instants(8, 5_000)

    found, watch = read((noise(at_ms) * np.exp(0.5 * evening(at_ms))).tolist(), at_ms)

    assert season_of(watch)["hours"] == 24
    assert [row for row, _ in found if row > 10_000] == []


@pytest.mark.parametrize("seed", range(6))
def test_a_series_without_a_profile_is_given_none(seed: int) -> None:
    at_ms = instants(15, 1_000)
    x = noise(at_ms, seed)
    if seed % 2:
        x = np.convolve(x, np.full(30, 1 / math.sqrt(30)), mode="same")  # clumps of an hour

    _, watch = read(x.tolist(), at_ms)

    assert season_of(watch)["hours"] is None
    assert not season_of(watch)["is_observed"]


@pytest.mark.parametrize("step_ms", [0, 1, 20])
def test_instants_within_minutes_change_nothing(step_ms: int) -> None:
    at_ms = MONDAY_MS + np.arange(40_000, dtype=np.int64) * step_ms
    drift = np.clip((np.arange(len(at_ms)) - 2_000) / 30_000, 0, 1)
    values = (noise(at_ms) + drift).tolist()

    assert read(values, at_ms)[0] == read(values, None)[0] != []


def test_one_instant_from_the_future_ends_no_day() -> None:
    at_ms = instants(4, 4_000)
    values = (noise(at_ms) + evening(at_ms)).tolist()
    astray = at_ms.copy()
    astray[[3_000, 5_000]] += 3_000 * DAY_MS

    assert season_of(read(values, astray)[1])["hours"] == 24


def test_batch_edges_and_restarts_change_nothing_of_a_profile() -> None:
    at_ms = instants(4, 3_000)
    values: list[Scalar] = (noise(at_ms) + evening(at_ms)).tolist()
    values[100::97] = [None] * len(values[100::97])
    expected, whole = read(values, at_ms)

    found, parts = read(values, at_ms, sizes=(1, 7, 180, 3, 1_000), restart_every=3)

    assert found == expected
    assert encode(parts) == encode(whole)


def test_a_reference_made_offline_has_the_hourly_profile() -> None:
    at_ms = instants(18, 1_000)
    values = (noise(at_ms) + evening(at_ms)).tolist()
    rows = 15_000

    learnt = SeriesWatch.learnt(
        WatchSpec(role="feature"), values[:rows], BUDGET, at_ms=at_ms[:rows]
    )

    assert season_of(learnt)["hours"] == 24
    assert learnt.update(values[rows:], at_ms[rows:]) == []
