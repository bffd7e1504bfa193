"""Marks of alerts as a budget."""

from __future__ import annotations

from agents.commands.controls import with_budget
from streams.alert.marks import Verdicts


def test_a_suggested_budget_is_put_in_the_spec_and_nothing_else_changes() -> None:
    spec = {"model_id": "loan", "owner": "ann", "alert_budget": 0.2}

    assert with_budget(spec, "loan", Verdicts(true=3, false=3)) == spec | {"alert_budget": 0.067}
    assert with_budget({}, "loan", Verdicts(true=3, false=3)) == {
        "model_id": "loan",
        "alert_budget": 0.067,
    }


def test_few_or_good_marks_change_nothing() -> None:
    assert with_budget({}, "loan", Verdicts(true=9, false=3)) is None
    assert with_budget({}, "loan", Verdicts()) is None
