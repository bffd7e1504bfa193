"""Outcomes that do not fit the predictions of their model, and what a person is told."""

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from streams.traffic.noted import FEWEST
from tests.doubles.core import Played, log_of, play, play_restarting, taken_in, watch
from tests.doubles.inputs import outcome, prediction

ROWS = 700
"""Rows before something goes wrong: an error that rises is found in them."""


Form = Callable[[int], object]


def as_it_is(label: int) -> object:
    return label


def yes_or_no(label: int) -> object:
    return ("no", "yes")[label]


def capital(label: int) -> object:
    return ("No", "Yes")[label]


def pairs(rows: range, form: Form = as_it_is, of_answers: Form = as_it_is) -> Iterator[bytes]:
    """A classifier that is wrong in every tenth row, and the forms of its labels."""
    for row in rows:
        answer = row * 7 // 3 % 2
        truth = answer if row % 10 else 1 - answer
        yield prediction(f"p{row}", prediction=of_answers(answer))
        yield outcome(f"p{row}", outcome=form(truth))


def told(played: Played) -> list[tuple[str, str, str]]:
    return [(each["status"], each["series"], each["aspect"]) for each in played.of("alerts")]


def of_outcomes(played: Played, aspect: str) -> list[str]:
    return [each["summary"] for each in played.of("alerts") if each["aspect"] == aspect]


# Outcomes that cannot equal an answer


def test_outcomes_of_another_type_from_the_first_on_are_told_and_judge_nobody() -> None:
    played = watch(pairs(range(400), form=str))

    assert of_outcomes(played, "mismatch") == [
        "Model m: 100.0 % of 200 outcomes cannot equal an answer (answers numbers like 0, outcomes "
        'text like "1"). The error is not judged meanwhile.'
    ]
    assert "error" not in played.monitor.models["m"].series
    assert played.of("feedback") == []


@pytest.mark.parametrize(("of_answers", "form"), [(as_it_is, str), (yes_or_no, capital)])
def test_in_mid_stream_neither_an_error_is_told_nor_a_command_given(
    of_answers: Form, form: Form
) -> None:
    before = pairs(range(ROWS), of_answers, of_answers)
    after = pairs(range(ROWS, 2 * ROWS), form, of_answers)

    played = watch([*before, *after], alert_budget=5.0)

    assert len(of_outcomes(played, "mismatch")) == 1
    assert not {("firing", "error", "level")} & set(told(played))
    assert played.of("feedback") == []
    assert played.monitor.models["m"].series["error"].watch.seen == ROWS


def test_classes_that_share_none_are_told_and_the_error_begins_again() -> None:
    codes = ("n01", "n02")
    wrong = [
        value
        for row in range(300)
        for value in (
            prediction(f"p{row}", prediction=("cat", "dog")[row % 2]),
            outcome(f"p{row}", outcome=codes[row % 2]),
        )
    ]
    mended = [
        value
        for row in range(300, 800)
        for value in (
            prediction(f"p{row}", prediction=("cat", "dog")[row % 2]),
            outcome(f"p{row}", outcome=("cat", "dog")[row % 2]),
        )
    ]

    played = watch([*wrong, *mended])

    assert [each for each in told(played) if each[2] == "mismatch"] == [
        ("firing", "outcomes", "mismatch"),
        ("resolved", "outcomes", "mismatch"),
    ]
    assert played.monitor.models["m"].series["error"].watch.seen == 500
    assert {row["is_error"] for row in played.of("labelled")[300:]} == {False}


def test_truth_equals_one() -> None:
    events = [
        value
        for row in range(300)
        for value in (
            prediction(f"p{row}", prediction=row % 2 == 0),
            outcome(f"p{row}", outcome=int(row % 2 == 0)),
        )
    ]

    played = watch(events)

    assert told(played) == []
    assert {row["is_error"] for row in played.of("labelled")} == {False}


# Rows without an answer of the model


@pytest.mark.parametrize("status", ["error", "fallback"])
@pytest.mark.parametrize("given", [{"prediction": 0}, {"prediction": None}])
def test_what_nobody_answered_is_neither_an_answer_nor_an_error(
    status: str, given: dict[str, object]
) -> None:
    failed: dict[str, Any] = {**given, "status": status, "score": 0.1}
    answered: dict[str, Any] = {"prediction": 1}
    events = [
        value
        for row in range(600)
        for value in (
            prediction(f"p{row}", features={"x": row % 3}, **(answered if row % 3 else failed)),
            outcome(f"p{row}", outcome=1),
        )
    ]

    played = watch(events)

    series = played.monitor.models["m"].series
    assert series["prediction"].watch.seen == series["error"].watch.seen == 400
    assert series["outcome"].watch.seen == series["feature/x"].watch.seen == 600
    assert "score" not in series
    assert [row["is_error"] for row in played.of("labelled")[:3]] == [None, False, False]


def test_a_model_that_never_answers_has_no_series_of_answers() -> None:
    played = watch(prediction(f"p{row}", status="error", prediction=None) for row in range(400))

    assert [each.name for each in played.monitor.models["m"].series] == []


# Ids


def test_ids_of_another_form_are_told_with_both() -> None:
    events = [value for row in range(250) for value in (prediction(f"p{row}"), outcome(f"{row}"))]

    assert of_outcomes(watch(events), "unjoined") == [
        "Model m: 0 of the last 200 outcomes found their prediction: ids of predictions are like "
        "a999, of outcomes like 999. Check both."
    ]


def test_a_prediction_under_a_used_id_is_told_where_it_is_another_one() -> None:
    first = [prediction(f"p{row}", features={"x": row % 7}) for row in range(600)]
    others = [prediction(f"p{row}", features={"x": 9}) for row in range(40)]
    retried = [value for value in first for _ in range(2)]

    assert of_outcomes(watch([*first, *others]), "repeated")[0].endswith(
        "predictions have the id of an earlier one, normally 0.0 %. They are left out: make ids "
        "unique."
    )
    assert told(watch(retried)) == []


# Fields


def test_optional_fields_that_cannot_be_read_are_told_once_and_cost_nothing() -> None:
    events = [prediction(f"p{row}", score=87, features={"x": 1}) for row in range(100)]

    played = watch([*events, outcome("p3", value="12 EUR")])

    assert of_outcomes(played, "left_out") == [
        f"Model m: {FEWEST} predictions had unreadable fields left out: score. Check their "
        "producer."
    ]
    assert played.monitor.models["m"].counts.predictions == 100
    [row] = played.of("labelled")
    assert row["outcome"] == orjson.loads(outcome("p3"))


def test_a_feature_that_comes_later_is_told_once() -> None:
    def made(row: int) -> bytes:
        new = {"b": row % 5, "c": row % 3} if row >= 2_100 else {}
        return prediction(
            f"p{row}", features={"a": row % 7, "rare": 1 if row == 50 else None} | new
        )

    events = taken_in(map(made, range(2_300)))

    played = play(log_of(events))
    assert of_outcomes(played, "new") == [
        "Model m: predictions have new features: b, c. If no deployment was planned, ask who "
        "changed them.",
        "Model m: the features are no longer new, after 1 min 40 s.",
    ]
    for other in (play(log_of(events, 7)), play_restarting(log_of(events, 50))):
        assert of_outcomes(other, "new") == of_outcomes(played, "new")


# Exactness


def test_neither_the_cut_of_the_log_nor_a_restart_changes_what_is_told() -> None:
    story = [
        *pairs(range(300)),
        *pairs(range(300, 600), form=str),
        *(outcome(f"{row}") for row in range(250)),
        *(prediction(f"p{row}", features={"x": 1}, score=7) for row in range(250)),
        *pairs(range(600, 900)),
    ]
    events = taken_in(story)
    expected = play(log_of(events)).bytes_of("alerts")
    without_offsets = [each.split(b'"evidence"')[0] for each in expected]

    assert len(expected) >= 3
    for played in (play(log_of(events, 7)), play_restarting(log_of(events, 50))):
        found = [each.split(b'"evidence"')[0] for each in played.bytes_of("alerts")]
        assert found == without_offsets
