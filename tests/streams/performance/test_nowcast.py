"""What is said of outcomes that are not known yet, in worlds where the truth is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from streams.clock import DAY_MS
from streams.detect.day_kernel import CELLS, DELAYS, add_outcome, delay_cell, group_of
from streams.performance.delay_law import law_of
from streams.performance.history import History
from streams.performance.money import NO_SUMS
from streams.performance.nowcast import NOTHING, CohortView, Outlook

WAIT_MS = 30 * DAY_MS


def know(history: History, at_ms: int, score: float, delay_ms: float, *, is_wrong: bool) -> None:
    """Count an outcome whose score speaks of the answer given."""
    day = history.day_of(at_ms)
    assert day is not None
    add_outcome(day, NO_SUMS, (score, delay_ms, math.nan), (1, int(is_wrong), 1))


def lived(days: int, now: int, *, odds_from_20: float = 1.0, right_days: float = 2.0) -> History:
    """Live 400 answers a day; errors become known after 6 days at the median, and 8 % never."""
    rng = np.random.default_rng(7)
    history = History()
    for start in range(days):
        for at in np.sort(rng.random(400)):
            risk = float(rng.beta(1, 6))
            odds = risk / (1 - risk) * (odds_from_20 if start >= 40 else 1.0)
            is_wrong = bool(rng.random() < odds / (1 + odds))
            delay = (6.0 if is_wrong else right_days) * rng.lognormal(0, 0.5)
            at_ms = int((start + at) * DAY_MS)
            history.on_prediction(at_ms, 1 - risk, at_ms, WAIT_MS, is_positive=True)
            if rng.random() < 0.92 and start + at + delay < now:
                know(history, at_ms, 1 - risk, delay * DAY_MS, is_wrong=is_wrong)
    history.advance(now * DAY_MS, WAIT_MS)
    return history


def view_of(history: History, now: int, day: int) -> CohortView:
    start_ms = day * DAY_MS
    starts, days = history.days()
    counts = days[starts.index(start_ms)][:DELAYS].astype(float)
    return Outlook(history, now * DAY_MS, WAIT_MS).view(start_ms, start_ms + DAY_MS, counts)


def test_the_error_of_a_day_is_told_before_its_errors_are_known() -> None:
    history = lived(50, 50, odds_from_20=2.0)
    view = view_of(history, 50, 46)

    assert view.completeness is not None
    assert view.nowcast is not None
    starts, days = history.days()
    counts = days[starts.index(46 * DAY_MS)][:DELAYS].reshape(3, -1).sum(axis=1)
    assert counts[2] / (counts[1] + counts[2]) < 0.1  # of the outcomes so far
    assert view.nowcast.low < 0.233 < view.nowcast.high  # the risk of the world, odds doubled
    assert view.nowcast.error == pytest.approx(0.233, abs=0.03)
    assert view.nowcast.plain < 0.2
    assert 0.5 < view.completeness.share < 0.95
    assert view.completeness.of_errors < view.completeness.of_right
    assert view.completeness.due == pytest.approx(0.92 * 400, abs=12)


def test_nothing_is_said_before_the_oldest_days_show_how_late_outcomes_come() -> None:
    assert view_of(lived(12, 12), 12, 11) == NOTHING


def test_a_regression_has_no_errors_but_its_outcomes_are_due() -> None:
    history = History()
    for row in range(4_000):
        at_ms = row * DAY_MS // 100
        history.on_prediction(at_ms, math.nan, at_ms, WAIT_MS, is_positive=True)
        if row % 4 and at_ms + DAY_MS < 40 * DAY_MS:
            know(history, at_ms, math.nan, DAY_MS, is_wrong=False)
    view = view_of(history, 40, 39)

    assert view.nowcast is None
    assert view.completeness is not None
    assert view.completeness.due == 75
    assert view.completeness.share == 0.0


@pytest.mark.parametrize(
    ("score", "is_positive", "group"),
    [(0.99, True, 0), (0.01, False, 6), (0.4, False, 11), (0.4, True, 5), (math.nan, True, 12)],
)
def test_an_answer_is_in_the_group_of_its_risk(
    score: float, group: int, *, is_positive: bool
) -> None:
    assert group_of(score, is_positive) == group


def test_outcomes_beyond_the_wait_are_told_by_the_tail_of_the_law() -> None:
    rng = np.random.default_rng(11)
    delays, wait_ms = np.zeros((1, 2, CELLS)), 45 * DAY_MS
    for is_wrong, days, spread in ((0, 4.0, 0.5), (1, 12.0, 0.6)):
        for known in rng.lognormal(np.log(days * DAY_MS), spread, 8_000):
            if known < wait_ms:
                delays[0, is_wrong, delay_cell(known)] += 1

    right, wrong = law_of(delays, np.array([60 * DAY_MS]), wait_ms).beyond().tolist()

    assert right < 0.001
    assert wrong == pytest.approx(0.0138, abs=0.006)


def test_delays_of_late_days_do_not_make_the_law_too_short() -> None:
    rng = np.random.default_rng(3)
    delays = np.zeros((20, 2, CELLS))
    for day in range(20):
        for known in rng.lognormal(np.log(6 * DAY_MS), 0.5, 300):
            if known < (20 - day) * DAY_MS:
                delays[day, 0, delay_cell(float(known))] += 1
    law = law_of(delays, np.arange(19, -1, -1) * DAY_MS, WAIT_MS)

    six_days = np.array([6 * DAY_MS])
    half = law.share_known(six_days, six_days)[0, 0]
    seen = delays[:, 0, : delay_cell(6.0 * DAY_MS)].sum() / delays[:, 0].sum()
    assert half == pytest.approx(0.5, abs=0.02)
    assert seen > half + 0.03


@pytest.mark.parametrize("ms", [1.0, 59_999.0, 6e4, 75_595.0, 75_596.0, 95_244.0, 95_245.0, 1e15])
def test_delays_keep_their_order_in_cells(ms: float) -> None:
    assert 0 <= delay_cell(ms - 1) <= delay_cell(ms) <= delay_cell(ms + 1) < CELLS
