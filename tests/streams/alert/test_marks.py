from __future__ import annotations

import pytest

from streams.alert.marks import RuleName, Verdicts, by_model, count_marks, suggested_budget

ALERTS = [
    {"fingerprint": "f1", "model_id": "m", "kind": "feature_drift", "aspect": "level"},
    {"fingerprint": "f1", "model_id": "m", "kind": "feature_drift", "aspect": "level"},
    {"fingerprint": "f2", "model_id": "m", "kind": "performance", "aspect": "level"},
]


def mark(fingerprint: str, verdict: str, episode: int | None = 1) -> dict[str, object]:
    return {
        "verb": "mark",
        "model_id": "m",
        "fingerprint": fingerprint,
        "verdict": verdict,
        "episode": episode,
    }


def test_marks_are_counted_by_what_raised_the_alert() -> None:
    counted = count_marks(
        [mark("f1", "true"), mark("f1", "false", 2), mark("f2", "true"), {"verb": "ack"}], ALERTS
    )

    assert counted == {
        RuleName("m", "feature_drift", "level"): Verdicts(1, 1),
        RuleName("m", "performance", "level"): Verdicts(1, 0),
    }
    assert by_model(counted) == {"m": Verdicts(2, 1)}


# Rule 1


def test_of_several_marks_of_one_episode_the_last_counts() -> None:
    counted = count_marks([mark("f1", "true"), mark("f1", "false")], ALERTS)

    assert list(counted.values()) == [Verdicts(0, 1)]


def test_an_alert_that_is_no_longer_kept_is_counted_for_its_model() -> None:
    assert count_marks([mark("gone", "true")], ALERTS) == {
        RuleName("m", "forgotten", ""): Verdicts(1, 0)
    }


# Rules 2 and 3


@pytest.mark.parametrize(
    ("true", "false", "budget"),
    [
        (0, 4, None),  # too few
        (6, 2, None),  # one in four
        (0, 5, 0.02),
        (3, 3, 0.067),
        (10, 5, 0.13),
        (100, 0, None),
    ],
)
def test_a_budget_is_suggested_where_too_many_were_false(
    true: int, false: int, budget: float | None
) -> None:
    assert suggested_budget(0.2, Verdicts(true, false)) == budget


@pytest.mark.parametrize("false", range(4, 40))
def test_what_is_suggested_would_make_one_in_four_false(false: int) -> None:
    suggested = suggested_budget(1.0, Verdicts(10, false))

    assert suggested is not None
    left = false * suggested
    assert left / (left + 10) == pytest.approx(0.25, abs=0.04)


def test_a_mark_that_names_its_rule_counts_though_its_alert_was_never_told_alone() -> None:
    """As of an alert that stood under that of a storm, and is over."""
    named = mark("under", "false") | {"kind": "feature_drift", "aspect": "level"}

    counted = count_marks([named, mark("gone", "true")], [])

    assert counted == {
        RuleName("m", "feature_drift", "level"): Verdicts(0, 1),
        RuleName("m", "forgotten", ""): Verdicts(1, 0),
    }
