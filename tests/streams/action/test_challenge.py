"""Champion and challenger: what decides, and that looking often costs nothing."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from schemas.model_spec import ChallengeRules, CostRules, MetricRules, ModelSpec
from streams.action.challenge import BETS, Bets, Contest
from tests.doubles.core import Json, Played, log_of, play, play_gathering, play_restarting, taken_in
from tests.doubles.inputs import START_MS, control, outcome, prediction

MODEL, ROWS = "loan", 1_500
RULES: dict[str, Any] = {"cohort_s": 100.0, "mature_s": 50.0, "min_pairs": 200}


def spec_of(**rules: Any) -> ModelSpec:
    return ModelSpec(challenge=ChallengeRules(**RULES | rules))


def events(champion: float, challenger: float, rows: int = ROWS) -> Iterator[bytes]:
    """Both answer each prediction; three seconds a row."""
    rng = np.random.default_rng(3)
    for row in range(rows):
        at_ms = START_MS + 3_000 * row
        says, wrong, other = rng.random() < 0.5, rng.random() < champion, rng.random() < challenger
        truth = bool(says) ^ bool(wrong)
        fields = {"predicted_at": at_ms, "prediction": bool(says)}
        yield prediction(f"p{row}", MODEL, **fields)
        fields["prediction"] = truth ^ bool(other)
        yield prediction(f"p{row}", MODEL, variant="boosted", **fields)
        yield outcome(f"p{row}", MODEL, observed_at=at_ms + 1_000, outcome=truth)


def played(values: Iterator[bytes], spec: ModelSpec | None = None) -> Played:
    return play(log_of(taken_in(values), 60), lambda _model_id: spec or spec_of())


def records(found: Played) -> list[Json]:
    return [each for each in found.of("metrics") if each["type"] == "tidegauge.challenge.v1"]


@pytest.mark.parametrize(
    ("champion", "challenger", "command"), [(0.3, 0.1, "promote"), (0.1, 0.3, "rollback")]
)
def test_a_better_challenger_is_promoted_and_a_worse_one_ends(
    champion: float, challenger: float, command: str
) -> None:
    found = played(events(champion, challenger))

    (said,) = [each for each in found.of("feedback") if each["challenge"]]
    assert (said["command"], said["suggested"]) == (command, True)
    assert said["challenge"]["pairs"] >= 200
    sign = 1 if command == "promote" else -1
    assert sign * said["challenge"]["difference"] == pytest.approx(0.2, abs=0.06)
    assert said["challenge"]["low"] * said["challenge"]["high"] > 0


def test_a_challenger_makes_no_row_no_alert_and_no_sign_of_life() -> None:
    found = played(events(0.1, 0.4))

    model = found.monitor.models[MODEL]
    assert model.counts.predictions == len(found.of("labelled")) == ROWS
    assert model.counts.variants == ROWS
    assert model.taken == 3 * ROWS
    assert found.firings() == []


def test_without_rules_a_challenger_is_passed_over() -> None:
    found = played(events(0.3, 0.1, 300), ModelSpec())

    assert records(found) == []
    assert found.monitor.models[MODEL].counts.variants == 300


def test_pairs_count_by_whole_days_that_are_old_enough() -> None:
    first, *_, last = records(played(events(0.2, 0.2)))

    assert first["state"] == "running"
    assert first["cohorts"] == 1
    assert last["waiting"] > 0
    assert "needs" in first["summary"]


def test_a_word_closes_the_command() -> None:
    values = [*events(0.3, 0.1), control("done", "challenge", MODEL)]
    found = play(log_of(taken_in(values), 60), lambda _: spec_of())

    last = {each.key: each.value for each in found.emissions if each.role == "commands"}
    assert last[f"{MODEL}|challenge|boosted"] == b""


def test_it_does_not_depend_on_how_the_log_is_cut() -> None:
    given = taken_in(events(0.3, 0.1, 700))
    whole = play(log_of(given, 100), lambda _: spec_of())

    assert len(records(whole)) > 5
    again = [
        each.value for each in whole.monitor.models[MODEL].statuses() if each.role == "metrics"
    ]
    assert again == whole.bytes_of("metrics")[-1:]
    assert records(play_gathering(log_of(given, 7), 40, lambda _: spec_of())) == records(whole)
    assert records(play_restarting(log_of(given, 100), lambda _: spec_of())) == records(whole)


def test_money_decides_where_it_is_told() -> None:
    """Both err as often; the challenger's errors cost a hundredth of the champion's."""
    matrix = {"true": {"true": 0.0, "false": -100.0}, "false": {"false": 0.0, "true": -1.0}}
    given = ModelSpec(
        challenge=ChallengeRules(**RULES | {"margin": 0.2}),
        cost=CostRules(matrix=matrix),
        metrics=MetricRules(),
    )
    rng = np.random.default_rng(4)

    def dear() -> Iterator[bytes]:
        for row in range(4_500):
            at_ms, truth = START_MS + 3_000 * row, bool(rng.random() < 0.5)
            ours = truth ^ (truth and bool(rng.random() < 0.4))
            theirs = truth ^ (not truth and bool(rng.random() < 0.4))
            yield prediction(f"p{row}", MODEL, predicted_at=at_ms, prediction=ours)
            yield prediction(f"p{row}", MODEL, predicted_at=at_ms, prediction=theirs, variant="b")
            yield outcome(f"p{row}", MODEL, observed_at=at_ms + 1_000, outcome=truth)

    last = records(played(dear(), given))[-1]
    assert last["state"] == "better"
    assert last["money"] == pytest.approx(19.8, abs=3.0)
    assert abs(last["difference"]) < 0.05


def test_fewer_errors_decide_nothing_while_too_few_amounts_tell_the_money() -> None:
    found = []
    for is_of_money in (True, False):
        contest, rules = Contest(START_MS), ChallengeRules(**RULES | {"money": is_of_money})
        for row in range(600):
            contest.on_pair(float(row % 8 > 1), -100.0 if row % 8 == 7 else 0.0, 0)
        contest.mature(1)
        assert contest.amounts.cap is None
        found.append(contest.judge(rules, START_MS))

    assert found == ["running", "better"]


@pytest.mark.parametrize(("champion", "challenger", "sign"), [(20.0, 5.0, 1), (5.0, 20.0, -1)])
def test_challengers_of_quantities_are_compared_by_their_absolute_errors(
    champion: float, challenger: float, sign: int
) -> None:
    """With normal errors the mean absolute ones are 16.0 and 4.0."""
    rng = np.random.default_rng(8)

    def quantities() -> Iterator[bytes]:
        for row in range(ROWS):
            at_ms, truth = START_MS + 3_000 * row, 100.0 + float(rng.normal()) * 10
            ours, theirs = truth + rng.normal() * champion, truth + rng.normal() * challenger
            yield prediction(f"p{row}", MODEL, predicted_at=at_ms, prediction=float(ours))
            yield prediction(
                f"p{row}", MODEL, predicted_at=at_ms, prediction=float(theirs), variant="b"
            )
            yield outcome(f"p{row}", MODEL, observed_at=at_ms + 1_000, outcome=truth)

    given = taken_in(quantities())
    whole = play(log_of(given, 60), lambda _: spec_of())

    (said,) = [each for each in whole.of("feedback") if each["challenge"]]
    assert said["command"] == ("promote" if sign > 0 else "rollback")
    found = said["challenge"]
    assert (found["unit"], found["money"]) == ("distance", None)
    assert sign * found["difference"] == pytest.approx(12.0, abs=3.0)
    assert found["low"] < found["difference"] < found["high"]
    assert f"{abs(found['difference']):.3g} of error" in said["summary"]
    assert records(play_restarting(log_of(given, 100), lambda _: spec_of())) == records(whole)


# Rule 3


def test_wealth_passes_its_limit_by_chance_no_more_often_than_alpha_however_often_looked_at() -> (
    None
):
    """Runs of 2,000 pairs that differ by chance alone, looked at after every 20."""
    rng, alpha, passed = np.random.default_rng(77_001), 0.05, 0
    bets = np.array(BETS)
    for _ in range(300):
        d = rng.choice([-1, 0, 1], 2_000, p=[0.05, 0.9, 0.05])
        ups = np.cumsum(d == 1)[19::20, None] * np.log1p(bets)
        downs = np.cumsum(d == -1)[19::20, None] * np.log1p(-bets)
        passed += bool((np.exp(ups + downs).mean(1) >= 1 / alpha).any())

    assert passed / 300 <= alpha + 2 * (alpha * (1 - alpha) / 300) ** 0.5


def test_the_sums_of_days_are_the_wealth_of_all_pairs() -> None:
    rng, whole, parts = np.random.default_rng(5), Bets(), Bets()
    for _ in range(10):
        day = Bets()
        for d in rng.choice([-1.0, 0.0, 0.5, 1.0], 50):
            whole.add(float(d))
            day.add(float(d))
        parts.join(day)

    assert parts.wealth() == pytest.approx(whole.wealth())
    assert parts.rows == whole.rows == 500
