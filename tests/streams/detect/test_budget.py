import math

import numpy as np
import pytest

from streams.aspects import SeriesRole
from streams.detect import budget, share_kernel


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
    for threshold in (
        lambda f: budget.gaussian_threshold(f, 0.5),
        budget.spread_up_threshold,
        budget.spread_down_threshold,
        lambda f: budget.share_statistics(f, 0.1)[0][1],
        lambda f: budget.share_statistics(f, 0.4)[0][1],
        lambda f: -budget.adwin_delta(f),
        lambda f: -budget.block_adwin_delta(f),
        lambda f: budget.longest_chance_run(0.5, f),
    ):
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
