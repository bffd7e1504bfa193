import math
from collections.abc import Callable

import numpy as np
import pytest

from streams.aspects import SeriesRole
from streams.detect import budget, level_kernel, share_kernel


def test_half_of_the_budget_is_the_errors_and_the_rest_is_shared_alike() -> None:
    got = budget.shares(1.0, ["feature", "score", "prediction", "outcome", "error"])

    assert got == [0.1125, 0.1125, 0.1125, 0.1125, 0.5]


def test_the_shares_stay_within_the_budget() -> None:
    many: list[SeriesRole] = ["score", "error"]
    many.extend("feature" for _ in range(500))

    assert 0.18 < sum(budget.shares(0.2, many)) < 0.2
    assert sum(budget.shares(0.2, ["feature"])) == pytest.approx(0.09)


@pytest.mark.parametrize("model_budget", [0.0, -1.0, math.inf, math.nan])
def test_a_budget_is_a_positive_number(model_budget: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        budget.shares(model_budget, ["feature"])


@pytest.mark.parametrize("delta", [0.18, 0.5])
def test_the_gaussian_threshold_costs_what_was_asked(delta: float) -> None:
    false_alarms = 20.0
    threshold = budget.gaussian_threshold(false_alarms, delta)
    rng = np.random.default_rng(11)
    alarms, total = 0, 0.0
    rows = 400_000

    for x in rng.normal(size=rows).tolist():
        total = max(0.0, total + x - delta)
        if total > threshold:
            alarms += 1
            total = 0.0

    assert alarms / rows * budget.BUDGET_ROWS == pytest.approx(false_alarms, rel=0.15)


def test_less_budget_means_higher_thresholds() -> None:
    thresholds: list[Callable[[float], float]] = [
        *(statistic.threshold for statistic in budget.PAGE_HINKLEY),
        lambda f: budget.share_statistics(f, 0.1)[0][1],
        lambda f: budget.share_statistics(f, 0.4)[0][1],
        lambda f: -budget.adwin_delta(f),
        lambda f: -budget.block_adwin_delta(f),
        lambda f: budget.longest_chance_run(0.5, f),
    ]

    for threshold in thresholds:
        assert threshold(0.001) > threshold(0.01) > threshold(0.1)


def test_a_longer_reference_never_costs_more() -> None:
    for is_spread in (False, True):
        costs = [budget.short_reference_cost(n, is_spread=is_spread) for n in range(50, 4_000, 50)]

        assert costs == sorted(costs, reverse=True)
        assert costs[-1] == 1.0


def test_no_run_of_a_certain_value_is_too_long() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        budget.longest_chance_run(1.0, 0.01)


def test_the_statistics_on_a_share_are_as_many_as_the_kernel_runs() -> None:
    for share in (0.01, 0.4, 0.95):
        odds = [odds for odds, _ in budget.share_statistics(0.1, share)]

        assert len(odds) == share_kernel.STATISTICS
        assert [ratio < 1 for ratio in odds].index(True) == share_kernel.DOWN


def test_the_page_hinkley_statistics_are_those_that_the_kernel_runs() -> None:
    statistics = budget.PAGE_HINKLEY

    assert len(statistics) == level_kernel.STATISTICS
    assert [k for k, each in enumerate(statistics) if each.is_spread] == [
        level_kernel.SPREAD_UP,
        level_kernel.SPREAD_DOWN,
    ]
    assert [each.sign for each in statistics] == [1, -1] * 3


@pytest.mark.parametrize("statistic", budget.PAGE_HINKLEY)
def test_an_exponent_is_the_root_of_walds_equation_for_clipped_normal_scores(
    statistic: budget.PageHinkley,
) -> None:
    x = np.linspace(-9.0, 9.0, 200_001)
    weights = np.exp(-x * x / 2) / np.exp(-x * x / 2).sum()
    score = np.clip(x, -3.5, 3.5)
    step = statistic.sign * (score * score - 1 if statistic.is_spread else score) - statistic.delta

    def expected(exponent: float) -> float:
        return float(weights @ np.exp(exponent * step))

    assert expected(0.95 * statistic.exponent) < 1 < expected(1.05 * statistic.exponent)
