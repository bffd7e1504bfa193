import math

import numpy as np
import pytest

from streams.change import Change, Figures
from streams.series.detection import Detection
from streams.series.number_measure import NumberMeasure
from streams.series.recovery import RecoveryCheck, recovery_check_of
from streams.series.recovery_measures import (
    MAX_BLOCK_ROWS,
    MIN_BLOCK_ROWS,
    NARROWEST,
    WIDEST,
    bound_of,
)
from streams.series.share_measure import ShareMeasure
from streams.values import Scalar
from tests.streams.series.test_recovery import read

AT_MS = np.arange(10_000)
REFERENCE = {"quantiles": {"0": -3.0, "0.5": 0.0, "1": 3.0}, "mean": 0.0, "sd": 1.0}


def level(effect: float) -> Detection:
    figures = Figures(effect, 0.0, effect=effect, unit="sd", direction="up", rows=200)
    return Detection(
        index=0, aspect="level", detector="page_hinkley", figures=figures, reference=REFERENCE
    )


@pytest.mark.parametrize(
    ("size", "inflation", "bound", "rows"),
    [
        (5.0, 1.0, WIDEST, MIN_BLOCK_ROWS),
        (0.1, 1.0, NARROWEST, 1_276),
        (0.02, 1.0, NARROWEST, 20_000),
        (0.25, 4.0, 0.1, 2_500),
        (0.1, 100.0, 0.177, MAX_BLOCK_ROWS),
    ],
)
def test_a_small_change_and_a_long_memory_take_a_longer_block(
    size: float, inflation: float, bound: float, rows: int
) -> None:
    got, block_rows = bound_of(size, inflation)

    assert got == pytest.approx(bound, abs=1e-3)
    assert block_rows == rows


def test_text_and_atoms_do_not_count_in_a_mean() -> None:
    measure = NumberMeasure.of(level(1.0), REFERENCE | {"atoms": [0.0]}, 0.01)

    measure.read([0.0, "x", None, True, 2.0, 4], AT_MS[:6])

    assert measure.filled == 2
    assert measure.close().figures.value == 3.0


POISSON = {
    rate: [math.exp(-rate) * rate**k / math.factorial(k) for k in range(10)] for rate in (2.0, 3.0)
}


def is_ever_back(check: RecoveryCheck, values: list[Scalar]) -> bool:
    return any(
        read(check, values[at : at + 100]) and check.is_back for at in range(0, len(values), 100)
    )


def counts(rate: float, rows: int, seed: int) -> list[Scalar]:
    rng = np.random.default_rng(seed)
    drawn: list[Scalar] = rng.poisson(rate, rows).clip(0, 9).tolist()
    return drawn


@pytest.mark.parametrize("seed", range(5))
def test_counts_that_stay_changed_are_never_back_even_by_the_category_that_moved_least(
    seed: int,
) -> None:
    shares = {str(k): share for k, share in enumerate(POISSON[2.0])}
    reference = {"shares": shares, "rows": 2_000}
    figures = Figures(
        0.13, 0.18, effect=0.7, unit="odds_ratio", direction="down", rows=2_000
    )  # the weakest
    change = Detection(
        index=0, aspect="share", detector="cusum", figures=figures, category="3",
        reference=reference,
    )  # fmt: skip
    away, back = (recovery_check_of(change, 3, 0.01) for _ in range(2))

    assert not is_ever_back(away, counts(3.0, 20_000, seed))
    assert is_ever_back(back, counts(2.0, 20_000, seed))


def test_the_share_of_an_error_stays_the_share_of_the_error() -> None:
    figures = Figures(0.29, 0.097, effect=3.8, unit="odds_ratio", direction="up")
    reference = {"shares": {"false": 0.903, "true": 0.097}, "rows": 2_000}
    change = Detection(
        index=0, aspect="share", detector="cusum", figures=figures, category="true",
        reference=reference,
    )  # fmt: skip
    measure = ShareMeasure.of(change, reference, 0.01)
    measure.read([row % 100 < 29 for row in range(200)], AT_MS[:200])

    result = measure.close()

    assert (result.category, result.figures.value, result.figures.baseline) == ("true", 0.29, 0.097)


def error_told(value: float, rows: int) -> Detection:
    figures = Figures(value, 0.1, effect=4.0, unit="odds_ratio", direction="up", rows=rows)
    reference = {"shares": {"false": 0.9, "true": 0.1}, "rows": 2_000}
    return Detection(
        index=0, aspect="share", detector="cusum", figures=figures, category="true",
        reference=reference,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_an_error_that_is_a_little_higher_for_good_is_not_back_when_a_burst_had_raised_the_alert(
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    away, back = (recovery_check_of(error_told(0.42, 33), True, 0.1) for _ in range(2))

    assert not is_ever_back(away, (rng.random(10_000) < 0.15).tolist())
    assert is_ever_back(back, (rng.random(10_000) < 0.1).tolist())


def test_a_burst_that_is_told_later_does_not_make_a_small_lasting_change_a_return() -> None:
    rng = np.random.default_rng(3)
    check = recovery_check_of(error_told(0.16, 400), True, 0.1)
    assert not is_ever_back(check, (rng.random(6_000) < 0.145).tolist())

    check.tell(error_told(0.7, 15).change)

    assert not is_ever_back(check, [*[True, *[False] * 6] * 400])
    assert is_ever_back(check, (rng.random(10_000) < 0.1).tolist())


@pytest.mark.parametrize("told", [0.3, 0.6])
def test_a_smaller_change_than_the_one_that_was_told_is_not_taken_for_a_return(told: float) -> None:
    rng = np.random.default_rng(5)
    check = recovery_check_of(level(told), told, 0.01)

    assert not is_ever_back(check, rng.normal(0.2, 1.0, 30_000).tolist())


@pytest.mark.parametrize(("to", "within"), [(1.0, 150), (3.0, 20)])
def test_a_change_of_twice_the_effect_is_found_beside_the_blocks(to: float, within: int) -> None:
    rng = np.random.default_rng(3)
    check = recovery_check_of(level(0.5), 0.5, 0.01)
    before = rng.normal(0.5, 1.0, 150).tolist()
    after = rng.normal(to, 1.0, 600).tolist()

    assert check.first_worse(before, AT_MS[:150]) is None
    check.read(before, AT_MS[:150])
    row = check.first_worse(after, AT_MS[:600])

    assert row is not None
    assert row < within
    check.read(after[: row + 1], AT_MS[: row + 1])
    worse = check.take_worse(level(0.5).change, level(0.5).change)
    assert worse is not None
    assert worse.figures.effect == pytest.approx(to, rel=0.6)
    assert check.take_worse(worse, worse) is None


def test_a_large_change_that_stays_is_not_told_as_a_larger_one() -> None:
    rng = np.random.default_rng(24)
    figures = Figures(6.0, 0.0, effect=6.0, unit="sd", direction="up", rows=10, score=3.3)
    change = Detection(
        index=0, aspect="level", detector="page_hinkley", figures=figures, reference=REFERENCE
    )
    check = recovery_check_of(change, 6.0, 0.01)

    assert check.first_worse(rng.normal(6.0, 1.0, 190).tolist(), AT_MS[:190]) is None
    assert check.first_worse(rng.normal(12.0, 1.0, 190).tolist(), AT_MS[:190]) is not None


def first_told_worse(told: Change, check: RecoveryCheck, values: list[Scalar]) -> int | None:
    """Return the row at which a check tells a larger change than the one ``told``."""
    at = 0
    while at < len(values):
        part = values[at : at + check.due]
        worse = check.first_worse(part, AT_MS[: len(part)])
        part = part if worse is None else part[: worse + 1]
        check.read(part, AT_MS[: len(part)])
        at += len(part)
        if check.take_worse(told, told) is not None:
            return at - 1
    return None


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_values_that_scatter_more_than_before_are_told_as_larger_only_where_they_are(
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    quantiles = {"0": 0.0, "0.25": 1.0, "0.5": 2.0, "0.75": 3.0, "1": 3.0}
    reference = {"quantiles": quantiles, "mean": 1.7, "sd": 1.0}
    figures = Figures(7.4, 1.7, effect=5.7, unit="sd", direction="up", rows=26, score=3.4)
    told = Detection(
        index=0, aspect="level", detector="page_hinkley", figures=figures, reference=reference
    )
    check = recovery_check_of(told, 9.0, 0.01)

    stays = np.abs(rng.integers(-15, 16, 2_000)).astype(float).tolist()
    assert first_told_worse(told.change, check, stays) is None
    twice = np.abs(rng.integers(-30, 31, 200)).astype(float).tolist()
    assert first_told_worse(told.change, check, twice) is not None


def test_an_error_that_trebles_is_found_and_one_that_stays_is_not() -> None:
    rng = np.random.default_rng(4)
    figures = Figures(0.2, 0.1, effect=2.25, unit="odds_ratio", direction="up", rows=2_000)
    reference = {"shares": {"false": 0.9, "true": 0.1}, "rows": 2_000}
    change = Detection(
        index=0, aspect="share", detector="cusum", figures=figures, category="true",
        reference=reference,
    )  # fmt: skip
    stays, worse = (recovery_check_of(change, True, 0.1) for _ in range(2))

    assert stays.first_worse((rng.random(5_000) < 0.2).tolist(), AT_MS[:5_000]) is None
    row = worse.first_worse((rng.random(200) < 0.6).tolist(), AT_MS[:200])
    assert row is not None
    assert row < 60


def test_an_error_that_doubles_is_told_beside_an_alert_that_had_told_too_much() -> None:
    rng = np.random.default_rng(13)
    told = error_told(0.27, 70)
    check = recovery_check_of(told, True, 0.1)
    before = (rng.random(400) < 0.2).tolist()
    assert check.first_worse(before, AT_MS[:400]) is None
    check.read(before, AT_MS[:400])
    after = (rng.random(600) < 0.4).tolist()

    row = check.first_worse(after, AT_MS[:600])

    assert row is not None
    assert row < 200
    check.read(after[: row + 1], AT_MS[: row + 1])
    worse = check.take_worse(told.change, told.change)
    assert worse is not None
    assert worse.figures.value == pytest.approx(0.4, abs=0.1)


def test_a_run_that_is_little_more_than_what_is_told_is_no_news() -> None:
    change = error_told(0.5, 400)
    measure = ShareMeasure.of(change, change.reference or {}, 0.1)
    figures = Figures(0.55, 0.1, effect=11.0, unit="odds_ratio", direction="up", rows=80)

    assert not measure.is_much(figures, change.figures)


def test_a_result_keeps_the_aspect_and_the_unit_of_its_change() -> None:
    measure = NumberMeasure.of(level(1.0), REFERENCE, 0.01)
    measure.read([1.0] * 200, AT_MS[:200])

    change = measure.close().onto(level(1.0).change, rows=230)

    assert isinstance(change, Change)
    assert (change.aspect, change.detector) == ("level", "page_hinkley")
    assert (change.figures.unit, change.figures.rows, change.figures.value) == ("sd", 230, 1.0)
