"""Reviews: who is asked, whose word counts, and what the words say about the error."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import orjson
import pytest

from schemas.error_model import ErrorColumn, ErrorModel
from schemas.model_spec import (
    CostRules,
    MetricRules,
    ModelSpec,
    ReferenceRules,
    ReviewRules,
    SpecError,
    parse_spec,
)
from streams.action.review import (
    Case,
    Period,
    Reviews,
    Stratum,
    StratumSums,
    estimate,
    hashed,
)
from streams.clock import DAY_MS, HOUR_MS
from tests.doubles.core import Json, Played, log_of, play, play_gathering, play_restarting, taken_in
from tests.doubles.inputs import START_MS, outcome, prediction
from tests.doubles.inputs import report as report_of

MODEL, ROWS = "loan", 600
RULES: dict[str, Any] = {"risk_above": 0.4, "sample": 0.1, "due_s": 200.0, "every_s": 400.0}


def spec_of(**rules: Any) -> ModelSpec:
    return ModelSpec(review=ReviewRules(**RULES | rules))


@cache
def score_of(row: int) -> float:
    return round(float(np.random.default_rng(row).uniform(0.5, 1.0)), 3)


def events(*, answer_reviews: bool = True) -> Iterator[bytes]:
    """Answers of a model; a reviewer has a word about each, which counts where it was asked for."""
    for row in range(ROWS):
        score = score_of(row)
        yield prediction(
            f"p{row}", MODEL, prediction=1, score=score, features={"x": 1.0, "y": "secret"}
        )
        if answer_reviews:
            yield verdict(row, "ann", int(row % 3 > 0))


def verdict(row: int, reviewer: str, right: float, round_: int = 1) -> bytes:
    given = {"review_id": f"{MODEL}/p{row}/{round_}", "reviewer": reviewer, "source": "review"}
    return outcome(f"p{row}", MODEL, outcome=right, **given)


def played(values: Iterator[bytes], spec: ModelSpec | None = None) -> Played:
    return play(log_of(taken_in(values), 50), lambda _model_id: spec or spec_of())


def last(found: Played) -> dict[str, Json]:
    return {each["review_id"]: each for each in found.of("reviews")}


def test_risky_cases_and_a_random_share_are_asked_with_their_probability() -> None:
    asked = last(played(events(answer_reviews=False)))

    firsts = [each for name, each in asked.items() if name.endswith("/1")]
    risky = {f"p{row}" for row in range(ROWS) if 1 - score_of(row) >= 0.4}
    assert {each["prediction_id"] for each in firsts if each["why"] == "uncertain"} == risky
    sample = [each for each in firsts if each["why"] == "sample"]
    assert {each["probability"] for each in sample} == {0.1}
    assert 20 <= len(sample) <= 80
    assert all(each["features"] is None for each in firsts)
    assert any(name.endswith("/2") for name in asked)


def test_answers_whose_mistakes_are_dear_are_asked_too_and_come_first() -> None:
    """A wrong 1 costs 100, so a risk from .2 on is worth 20."""
    matrix = {"0": {"0": 0.0, "1": -100.0}, "1": {"0": -1.0, "1": 0.0}}
    rules = ReviewRules(**RULES | {"cost_above": 20.0, "per_day": 1_000})
    spec = ModelSpec(review=rules, cost=CostRules(matrix=matrix), metrics=MetricRules())

    asked = last(played(events(answer_reviews=False), spec)).values()

    costly = [each for each in asked if each["why"] == "costly"]
    risks = {f"p{row}": 1 - score_of(row) for row in range(ROWS)}
    assert {each["prediction_id"] for each in costly} == {
        name for name, risk in risks.items() if 0.2 <= risk < 0.4
    }
    assert {each["probability"] for each in costly} == {1.0}
    for each in asked:
        assert each["expected_cost"] == pytest.approx(100 * each["risk"])


def test_costs_and_errors_must_be_known_beforehand() -> None:
    for cost in ({}, {"cost": {"field": "value"}, "metrics": {}}):
        with pytest.raises(SpecError, match="add `cost` with `matrix` or `per_error`"):
            parse_spec({"review": {"cost_above": 1.0}} | cost)
    with pytest.raises(SpecError, match="profile --estimate"):
        parse_spec({"task": "regression", "review": {"error_above": 2.0}})


ERRORS = ErrorModel(
    unit=0.5,
    base=0,
    columns=[ErrorColumn(feature="x", edges=[0.0], categories=[])],
    splits=[0],
    limits=[1],
    leaves=[2, 8],
    trees=1,
    rows=2_000,
)
"""An error of 1 where x is below 0, of 4 from there on."""


def quantities(second: float = 1.0) -> Iterator[bytes]:
    """Answers that are off by 1 or 4; two people review each, the second one off by a factor."""
    rng = np.random.default_rng(4)
    for row in range(ROWS):
        x = float(rng.normal())
        said = round(float(rng.uniform(50, 90)), 2) + 0.001
        right = said + float(rng.choice((-1, 1))) * (4.0 if x >= 0 else 1.0)
        yield prediction(f"p{row}", MODEL, prediction=said, features={"x": x})
        yield verdict(row, "ann", right)
        yield verdict(row, "bob", right * second, 2)


def reviewed(found: Played) -> list[Json]:
    return [each for each in found.of("metrics") if each["type"] == "tidegauge.reviewed.v1"]


def test_of_quantities_the_large_errors_are_asked_and_verdicts_say_the_mean_error() -> None:
    rules = ReviewRules(**RULES | {"error_above": 3.0, "double": 1.0, "per_day": 10_000})
    given = ReferenceRules(error_model=ERRORS)
    spec = ModelSpec(task="regression", review=rules, reference=given, metrics=MetricRules())

    found = played(quantities(1.04), spec)

    firsts = [each for name, each in last(found).items() if name.endswith("/1")]
    assert {(each["why"], each["risk"]) for each in firsts} == {("uncertain", 4.0), ("sample", 1.0)}
    assert {each["unit"] for each in firsts} == {"distance"}
    assert reviewed(found)
    for each in reviewed(found):
        assert each["error"] == pytest.approx(each["expected"])
        assert (each["agreement"], each["kappa"]) == (1.0, None)
    assert {each["agreement"] for each in reviewed(played(quantities(1.06), spec))} == {0.0}


def test_without_an_error_model_quantities_are_drawn_and_words_are_no_verdicts() -> None:
    spec, values = ModelSpec(task="regression", review=ReviewRules(**RULES)), list(quantities())

    asked = last(played(iter(values), spec))

    assert {each["why"] for each in asked.values()} <= {"sample", "double"}
    name = next(iter(asked)).split("/")[1]
    words = [value for value in values if orjson.loads(value)["prediction_id"] == name][:1]
    word = {"review_id": f"{MODEL}/{name}/1", "source": "review", "reviewer": "ann"}
    words.append(outcome(name, MODEL, outcome="cheap", **word))
    assert {each["status"] for each in last(played(iter(words), spec)).values()} == {"open"}


def test_what_was_asked_of_classes_has_no_weight_for_quantities() -> None:
    reviews = Reviews(cases={"p1": Case(5, 99, 0.5, 0.1, "sample", "1", b"{}", 5)})
    reviews.turn(is_quantity=True)
    reviews.periods = [Period(0, 10)]

    reviews.on_verdict("p1", "3.5", "review", "ann")

    assert reviews.cases["p1"].loss == 2.5
    assert reviews.periods[0].strata == {}


@pytest.mark.parametrize(("positive", "asked"), [("no", {"p0"}), (None, {"p1"})])
def test_risk_is_that_of_the_label_that_scores_speak_of(
    positive: str | None, asked: set[str]
) -> None:
    """Without `positive` a score of other labels than 0 and 1 speaks of the answer."""
    rules = ReviewRules(risk_above=0.5, sample=1e-9)
    answers = [
        prediction("p0", MODEL, prediction="yes", score=0.9),
        prediction("p1", MODEL, prediction="no", score=0.1 if positive is None else 0.9),
    ]

    found = last(played(iter(answers), ModelSpec(positive=positive, review=rules)))

    assert {each["prediction_id"] for each in found.values()} == asked


def test_features_are_shown_only_where_the_spec_says_so() -> None:
    shown = last(played(events(answer_reviews=False), spec_of(show_features=True)))

    assert all(each["features"]["y"] == "secret" for each in shown.values())


def test_a_replay_and_a_restart_ask_for_the_same_and_say_the_same() -> None:
    given = taken_in(events())
    whole = play(log_of(given, 100), lambda _: spec_of())

    def said(of: Played) -> list[bytes]:
        return [*of.bytes_of("reviews"), *of.bytes_of("metrics")]

    assert len(said(whole)) > 200
    assert said(play_gathering(log_of(given, 7), 40, lambda _: spec_of())) == said(whole)
    assert said(play_restarting(log_of(given, 100), lambda _: spec_of())) == said(whole)


def test_a_verdict_is_no_labelled_row_and_no_error() -> None:
    found = played(events())

    assert found.of("labelled") == []
    assert found.monitor.models[MODEL].join.waiting_predictions == ROWS
    answered = [each for each in last(found).values() if each["status"] == "answered"]
    assert {(each["source"], each["reviewer"]) for each in answered} == {("review", "ann")}
    assert {each["verdict"] for each in answered} == {0, 1}


@pytest.mark.parametrize("answer_reviews", [True, False])
def test_whoever_takes_over_says_the_last_word_of_each_case_again(*, answer_reviews: bool) -> None:
    """A worker that did not know that it was replaced may have put an older one last."""
    found = played(events(answer_reviews=answer_reviews), spec_of(double=0.3))

    again = found.monitor.models[MODEL].statuses()

    assert {each.key: each.value for each in again if each.role == "reviews"} == {
        orjson.loads(value)["review_id"]: value for value in found.bytes_of("reviews")
    }


def test_a_case_without_an_answer_runs_out() -> None:
    statuses = {each["status"] for each in last(played(events(answer_reviews=False))).values()}

    assert statuses == {"open", "expired"}


# Rule 3


def test_a_label_counts_more_than_a_review_and_that_more_than_a_report() -> None:
    wanted = report_of("p1", MODEL, wanted=0)
    values = [prediction("p1", MODEL, prediction=1, score=0.99), wanted]
    assert (
        last(play(log_of(taken_in(values)), lambda _: spec_of()))[f"{MODEL}/p1/1"]["source"]
        == "report"
    )

    later = [*values, verdict(1, "ann", 1), wanted]
    assert (
        last(play(log_of(taken_in(later)), lambda _: spec_of()))[f"{MODEL}/p1/1"]["source"]
        == "review"
    )

    labelled = [*later, outcome("p1", MODEL, outcome=0), verdict(1, "bob", 1)]
    found = play(log_of(taken_in(labelled)), lambda _: spec_of())
    case = last(found)[f"{MODEL}/p1/1"]
    assert (case["source"], case["verdict"], case["why"]) == ("label", 0, "report")
    assert len(found.of("labelled")) == 1


def test_a_report_needs_no_review_to_be_counted_and_raises_an_alert_when_many_come() -> None:
    def flood() -> Iterator[bytes]:
        for row in range(900):
            yield prediction(f"p{row}", MODEL, prediction=1)
            if row > 600 and row % 4 == 0:
                yield report_of(f"p{row}", MODEL)

    found = played(flood(), ModelSpec(alert_budget=1.0))

    assert [(each["series"], each["aspect"]) for each in found.firings()] == [
        ("reports", "reported")
    ]
    assert found.monitor.models[MODEL].counts.reports == 74
    assert found.monitor.models[MODEL].taken == 974


# Rule 4


def period_of(rng: np.random.Generator, n: int, sample: float) -> tuple[float, Period]:
    """A period of which every risky case and a share of the others were answered."""
    risk = np.clip(rng.beta(1, 15, n), 1e-3, 0.9)
    odds = 1.6 * risk / (1 - risk)
    wrong = rng.random(n) < odds / (1 + odds)
    period = Period(0, 1, n, float(risk.sum()))
    for one, is_error in zip(risk, wrong, strict=True):
        stratum: Stratum = "uncertain" if one > 0.2 else "sample"
        probability = 1.0 if one > 0.2 else sample
        if rng.random() < probability:
            sums = period.strata.setdefault(stratum, StratumSums())
            sums.chosen += 1
            sums.add(float(is_error) - float(one), probability, 1)
    return float(wrong.mean()), period


def test_the_estimate_is_unbiased_where_the_score_is_wrong_and_its_interval_covers() -> None:
    rng, errors, covered = np.random.default_rng(20_260), [], 0
    for _ in range(100):
        truth, period = period_of(rng, 2_000, 0.1)
        found = estimate(period)
        assert found is not None
        errors.append(found.error - truth)
        covered += found.low <= truth <= found.high

    assert abs(np.mean(errors)) < 3 * np.std(errors) / 10
    assert covered >= 86


def test_a_verdict_that_is_restated_leaves_no_trace_of_the_first() -> None:
    rules, straight, turned = ReviewRules(), Reviews(), Reviews()
    for state in (straight, turned):
        state.choose("m/a", 0.9, START_MS, rules)
        case = Case(START_MS, START_MS + 1, 1.0, 0.9, "uncertain", "1", b"{}", START_MS)
        state.open("a", case)
    turned.on_verdict("a", "1", "review", "ann")
    for state in (straight, turned):
        state.on_verdict("a", "0", "label", None)

    sums = [state.periods[0].strata["uncertain"] for state in (straight, turned)]
    assert sums[0].answered == sums[1].answered == 1
    assert sums[1].weighted == pytest.approx(sums[0].weighted)


def test_reviewers_correct_their_own_verdicts_and_nobody_elses() -> None:
    rules, state = ReviewRules(), Reviews()
    state.choose("m/a", 0.9, START_MS, rules)
    case = Case(START_MS, START_MS + 1, 1.0, 0.9, "uncertain", "1", b"{}", START_MS)
    state.open("a", case)

    state.on_verdict("a", "1", "review", "ann")
    assert state.on_verdict("a", "0", "review", "bob") is None
    assert state.on_verdict("a", "0", "review", "ann") is case

    assert (case.verdict, case.loss) == ("0", 1.0)
    assert state.on_verdict("a", "1", "review", "bob") is None
    assert state.periods[0].doubles == {"0\t1": 1}


# Rules 1 and 2


@pytest.mark.parametrize(("per_day", "band"), [(2_000, 0.3), (1_000, 0.05), (200, 0.3)])
def test_a_quota_holds_from_the_second_day_on(per_day: int, band: float) -> None:
    rules = ReviewRules(per_day=per_day, sample=0.2, due_s=HOUR_MS / 1_000)
    state, rng, asked = Reviews(), np.random.default_rng(5), []
    for day in range(4):
        chosen = 0
        for row in range(12_000):  # most of them before noon
            now_ms = (20_000 + day) * DAY_MS + round((row / 12_000) ** 1.3 * DAY_MS)
            risk = 0.5 if rng.random() < band else 0.1
            chosen += state.choose(f"m/{day}-{row}", risk, now_ms, rules) is not None
        asked.append(chosen)

    for chosen in asked[1:]:
        assert chosen == pytest.approx(per_day, rel=0.05)
    assert asked[0] <= 1.05 * per_day + 1


def test_hashes_are_uniform() -> None:
    found = np.array([hashed(f"m/{row}", "") for row in range(4_000)])

    assert abs(found.mean() - 0.5) < 0.02
    assert abs((found < 0.02).mean() - 0.02) < 0.008


def test_a_period_says_its_error_once_its_cases_are_over() -> None:
    (first, *_) = [
        each for each in played(events()).of("metrics") if each["type"] == "tidegauge.reviewed.v1"
    ]

    assert first["answered"] > 0
    assert first["low"] < first["error"] < first["high"]
    assert first["expected"] == pytest.approx(0.25, abs=0.05)
