"""Money of cohorts, and of alerts since their onset."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from schemas.alert import ValueAtRisk
from schemas.model_spec import CostRules, ModelSpec, SpecError, parse_spec
from streams.alert.summary import MAX_CHARACTERS
from streams.change import Onset
from streams.clock import DAY_MS, HOUR_MS
from streams.detect.day_kernel import add_outcome
from streams.performance.history import History
from streams.performance.money import Money
from streams.performance.nowcast import Outlook
from streams.performance.price import price_of
from tests.doubles.core import Json, Played, log_of, play, play_gathering, play_restarting
from tests.doubles.inputs import START_MS, outcome, prediction
from tests.streams.performance.test_ledger import _at, latest, rows_of_days

MATRIX = {"0": {"0": 0.0, "1": -40.0}, "1": {"0": -900.0, "1": 120.0}}
WAIT_MS = 8 * DAY_MS
PRICED = ModelSpec.model_validate(
    {
        "metrics": {"every": "day"},
        "outcome": {"wait_s": WAIT_MS / 1_000},
        "cost": {"matrix": MATRIX, "currency": "EUR"},
        "reference": {"rows": 400},
        "features": {"ignore": ["none"]},
    }
)


@cache
def events(days: int = 24, a_day: int = 60) -> list[Any]:
    """Answers whose odds of an error are six times as large from day 16 on."""
    rng = np.random.default_rng(11)
    made = []
    for row in range(days * a_day):
        at_ms = START_MS + row * DAY_MS // a_day
        score = float(rng.beta(1, 6))
        odds = score / (1 - score) * (6.0 if row >= 16 * a_day else 1.0)
        truth = int(rng.random() < odds / (1 + odds))
        name = f"{row}"
        given = prediction(name, prediction=0, predicted_at=at_ms, score=round(score, 2))
        made.append((at_ms, given))
        known_ms = at_ms + int(HOUR_MS * (30 if truth else 6) * rng.lognormal(0, 0.4))
        made.append((known_ms, outcome(name, outcome=truth, observed_at=known_ms)))
    made.sort(key=lambda each: each[0])
    return [_at(place, *each) for place, each in enumerate(made)]


def spec_of(_model_id: str) -> ModelSpec:
    return PRICED


@cache
def priced() -> Played:
    return play(log_of(events()), spec_of)


def test_the_money_of_a_day_is_that_of_its_rows_outcome_before_prediction() -> None:
    rows = rows_of_days(priced())
    for start, day in latest(priced(), "day").items():
        if not day["is_final"]:
            continue
        of_day = rows[int(np.datetime64(start.removesuffix("Z"), "ms").astype(int))]
        money = [
            MATRIX[str(row["outcome"]["outcome"])][str(row["prediction"]["prediction"])]
            for row in of_day
        ]
        assert day["value"]["counted"] == pytest.approx(sum(money))
        assert day["value"]["unpriced"] == 0
        assert day["value"]["currency"] == "EUR"


def of_error(played: Played) -> list[Json]:
    return [alert for alert in played.of("alerts") if alert["series"] == "error"]


def test_an_alert_tells_the_money_lost_since_its_onset() -> None:
    last = of_error(priced())[-1]
    value = last["value_at_risk"]
    first_ms = int(np.datetime64(value["since"].removesuffix("Z"), "ms").astype(int))
    as_of_ms = int(np.datetime64(value["as_of"].removesuffix("Z"), "ms").astype(int))
    rows = priced().of("labelled")
    usual = np.mean([_money(row) for row in rows if _made_ms(row) < START_MS + 15 * DAY_MS])
    since = [row for row in rows if first_ms <= _made_ms(row) < as_of_ms]
    true = len(since) * usual - sum(map(_money, since))

    assert abs(first_ms - START_MS - 16 * DAY_MS) <= DAY_MS
    assert value["low"] < true < value["high"]
    assert value["lost"] == pytest.approx(true, rel=0.15)
    assert value["deterioration"] > 0.7 * value["lost"]
    assert last["severity"] == "critical"
    assert f" EUR lost since {value['since'][:10]}" in last["summary"] or "day, " in last["summary"]
    assert all(len(alert["summary"]) <= MAX_CHARACTERS for alert in priced().of("alerts"))


def _made_ms(row: Json) -> int:
    return int(row["prediction"]["predicted_at"])


def _money(row: Json) -> float:
    return MATRIX[str(row["outcome"]["outcome"])]["0"]


@pytest.mark.parametrize("how", ["gathered", "restarted"])
def test_neither_the_cut_of_the_log_nor_a_restart_changes_the_money_of_an_alert(how: str) -> None:
    if how == "gathered":
        other = play_gathering(log_of(events(), 30), 40, spec_of)
    else:
        other = play_restarting(log_of(events(), 150), spec_of)

    assert other.bytes_of("metrics") == priced().bytes_of("metrics")
    assert [alert["value_at_risk"] for alert in other.of("alerts")] == [
        alert["value_at_risk"] for alert in priced().of("alerts")
    ]
    assert any(alert["value_at_risk"]["lost"] for alert in of_error(other))


def test_the_cost_is_not_known_before_errors_since_the_onset_are() -> None:
    history, money = History(), Money()
    rng = np.random.default_rng(5)
    for row in range(29 * 100):
        at_ms = row * DAY_MS // 100
        history.on_prediction(at_ms, 0.9, at_ms, WAIT_MS, is_positive=True)
        is_wrong = bool(rng.random() < 0.1)
        if at_ms + DAY_MS < 29 * DAY_MS:
            day = history.day_of(at_ms)
            assert day is not None
            numbers = (0.9, float(DAY_MS), -100.0 * is_wrong)
            sums = money.of_day(at_ms, row)
            assert sums is not None
            add_outcome(day, sums, numbers, (1, int(is_wrong), 1))
    now_ms = 29 * DAY_MS
    history.advance(now_ms, WAIT_MS)
    money.advance(Outlook(history, now_ms, WAIT_MS))

    known = money.loss_since(Onset(20 * DAY_MS, is_of_outcomes=False), now_ms)
    unknown = money.loss_since(Onset(28 * DAY_MS, is_of_outcomes=False), now_ms)
    earlier = money.loss_since(Onset(20 * DAY_MS, is_of_outcomes=False), now_ms - 1)
    assert known.lost is not None
    assert known.low is not None
    assert known.high is not None
    assert known.low < 0 < known.high
    assert unknown.lost is None
    assert unknown.open == 100
    assert earlier.lost is None


def test_money_is_told_by_error_and_by_the_outcomes_field_as_well() -> None:
    per_error, field = CostRules(per_error=25.0), CostRules(field="value")

    assert price_of(per_error, 1, 0, None, 1.0) == -250_000
    assert price_of(per_error, 2.5, 4.0, None, -1.5) == -375_000
    assert price_of(field, 1, 0, 12.5, 1.0) == 125_000
    assert price_of(field, 1, 0, None, 1.0) is None
    assert price_of(field, 1, 0, 1e300, 1.0) is None


@pytest.mark.parametrize(
    ("cost", "says"),
    [
        ({}, "give one of matrix, per_error, field; 0 are given"),
        ({"per_error": 1.0, "field": "value"}, "2 are given"),
        ({"matrix": {"0": {"0": 0.0, "1": 1.0}, "1": {"0": 2.0}}}, "no money for prediction '1'"),
        ({"per_error": -3.0}, "cost.per_error"),
    ],
)
def test_a_cost_that_cannot_be_used_is_refused(cost: Json, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        parse_spec({"metrics": {}, "cost": cost})


def test_a_cost_without_figures_is_refused() -> None:
    with pytest.raises(SpecError, match=r"add `metrics: \{every: day\}`"):
        parse_spec({"cost": {"per_error": 1.0}})


def test_values_of_an_alert_survive_json() -> None:
    value = of_error(priced())[-1]["value_at_risk"]

    assert ValueAtRisk.model_validate(value).lost == value["lost"]
