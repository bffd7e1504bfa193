"""Outcomes that correct an earlier one of their prediction."""

from collections.abc import Callable, Iterator

import orjson
import pytest

from schemas.model_spec import ModelSpec, parse_spec
from tests.doubles.core import Played, log_of, play, play_restarting, taken_in, watch
from tests.doubles.inputs import outcome, prediction, spec

LAST = {"outcome": {"corrections": "last"}}
SPEC = parse_spec(LAST)


def story() -> Iterator[bytes]:
    """Every label is "legit" at first; every tenth is corrected, some of them twice."""
    for row in range(300):
        yield prediction(f"p{row}", prediction="legit", features={"x": row % 7})
        yield outcome(f"p{row}", outcome="legit")
        if row >= 50 and row % 10 == 0:
            yield outcome(f"p{row - 50}", outcome="fraud")
        if row >= 100 and row % 50 == 0:
            yield outcome(f"p{row - 100}", outcome="legit")
            yield outcome(f"p{row - 100}", outcome="legit")


def table() -> Iterator[bytes]:
    """The same as a table gives it, in which some truth comes before the prediction."""
    for value in story():
        event = orjson.loads(value)
        yield orjson.dumps(event | {"corrections": "last"}) if "outcome" in event else value
    for row in range(300, 330):
        for label in ("legit", "fraud"):
            yield outcome(f"p{row}", outcome=label, corrections="last")
        yield prediction(f"p{row}", prediction="legit", features={"x": row % 7})
        yield outcome(f"p{row}", outcome="legit", corrections="last")


def restated(played: Played) -> list[tuple[int, int, str, bool]]:
    return [
        (row["row"], row["restates"], row["outcome"]["outcome"], row["is_error"])
        for row in played.of("labelled")
        if row["restates"] is not None
    ]


def test_the_first_outcome_counts_and_how_many_were_passed_over_is_told() -> None:
    events = [
        value
        for row in range(900)
        for value in (
            prediction(f"p{row}", prediction="legit"),
            outcome(f"p{row}", outcome="legit"),
            *([outcome(f"p{row}", outcome="fraud")] if row >= 600 and row % 3 == 0 else []),
        )
    ]

    played = watch(events)

    assert restated(played) == []
    assert len(played.of("labelled")) == 900
    [told] = [each for each in played.firings() if each["aspect"] == "conflicting"]
    assert told["summary"].endswith(
        "outcomes contradict an earlier one and are passed over, normally 0.0 %. Check their "
        "source or set outcome.corrections."
    )


def test_the_last_outcome_counts_and_restates_the_row_before_it() -> None:
    played = watch(story(), **SPEC.model_dump())

    rows = played.of("labelled")
    counts = played.monitor.models["m"].join.counts
    assert counts.corrected_outcomes == len(restated(played)) == 29
    assert (counts.conflicting_outcomes, counts.pairs) == (0, 300)
    assert counts.duplicate_outcomes == 4
    assert [row["row"] for row in rows] == list(range(1, 330))
    by_number = {row["row"]: row for row in rows}
    for number, before, label, is_error in restated(played):
        assert by_number[before]["prediction"] == by_number[number]["prediction"]
        assert by_number[before]["outcome"]["outcome"] != label
        assert is_error == (label == "fraud")
    last = {row["prediction"]["prediction_id"]: row["outcome"]["outcome"] for row in rows}
    assert (last["p0"], last["p10"], last["p50"]) == ("legit", "fraud", "legit")


def test_a_correction_later_than_the_wait_is_a_conflict() -> None:
    spec = parse_spec({"outcome": {"corrections": "last", "wait_s": 60}})
    events = [
        prediction("p1"),
        outcome("p1", outcome="yes"),
        *(prediction(f"q{row}") for row in range(100)),
        outcome("p1", outcome="no"),
    ]

    played = watch(events, **spec.model_dump())

    counts = played.monitor.models["m"].join.counts
    assert (counts.corrected_outcomes, counts.conflicting_outcomes) == (0, 1)


def test_outcomes_that_say_so_correct_each_other_whatever_the_spec_says() -> None:
    events = [
        prediction("p1"),
        outcome("p1", outcome="yes", corrections="last"),
        outcome("p1", outcome="no", corrections="last"),
        outcome("p1", outcome="no", corrections="last"),
        outcome("p1", outcome="yes"),  # does not say so, nor does the one of p2
        prediction("p2"),
        outcome("p2", outcome="yes"),
        outcome("p2", outcome="no", corrections="last"),
    ]

    played = watch(events)

    counts = played.monitor.models["m"].join.counts
    assert [(row, before, label) for row, before, label, _ in restated(played)] == [(2, 1, "no")]
    assert len(played.of("labelled")) == 3
    assert (counts.corrected_outcomes, counts.duplicate_outcomes) == (1, 1)
    assert counts.conflicting_outcomes == 2


def test_an_outcome_that_waits_is_corrected_as_well() -> None:
    early = [outcome("p1", outcome=label, corrections="last") for label in ("yes", "no")]
    others = [outcome("p2", outcome="yes"), outcome("p2", outcome="no", corrections="last")]

    played = watch([*early, *others, prediction("p1"), prediction("p2")])

    assert [row["outcome"]["outcome"] for row in played.of("labelled")] == ["no", "yes"]
    counts = played.monitor.models["m"].join.counts
    assert (counts.corrected_outcomes, counts.conflicting_outcomes) == (1, 1)


def test_another_spec_changes_nothing_about_outcomes_that_say_so() -> None:
    said = [outcome("p1", outcome=label, corrections="last") for label in ("yes", "no")]
    other = spec("m", outcome={"max_waiting": 10})

    played = watch([prediction("p1"), said[0], other, said[1]])

    assert [label for _, _, label, _ in restated(played)] == ["no"]


@pytest.mark.parametrize(("told", "in_force"), [(story, SPEC), (table, ModelSpec())])
def test_neither_the_cut_of_the_log_nor_a_restart_changes_a_row(
    told: Callable[[], Iterator[bytes]], in_force: ModelSpec
) -> None:
    events = taken_in(told())

    def spec_of(_model_id: str) -> ModelSpec:
        return in_force

    expected = restated(play(log_of(events), spec_of))
    assert len(expected) >= 29

    for played in (play(log_of(events, 7), spec_of), play_restarting(log_of(events, 19), spec_of)):
        assert restated(played) == expected
