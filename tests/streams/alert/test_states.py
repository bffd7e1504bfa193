from typing import get_args

import pytest
from msgspec.structs import replace

from schemas.model_spec import AlertRules
from streams.alert.states import (
    TRANSITIONS,
    AlertEventError,
    AlertState,
    ConditionAlerts,
    Event,
    StateName,
)
from streams.alert.transition import OperatorNote, Transition
from streams.change import Change, Condition, Figures
from streams.codec import decode, encode

MINUTE_MS = 60_000
RULES = AlertRules(renotify_s=3_600.0)
CHANGE = Change(
    aspect="level",
    detector="page_hinkley",
    figures=Figures(2.0, 1.0, effect=1.0, unit="sd", direction="up"),
)
SILENT = Condition(
    kind="silence",
    series="predictions",
    aspect="silence",
    severity="critical",
    says="no predictions for 40 min, normally at most 2 min",
)


def state_that_is(name: StateName) -> AlertState:
    state = AlertState("score", "score", "level", change=CHANGE)
    if name == "pending":
        state.on("held change", 0, RULES)
    if name == "firing":
        state.on("change", 0, RULES)
    return state


def alerts_with(**condition: object) -> tuple[ConditionAlerts, list[Transition]]:
    alerts = ConditionAlerts()
    return alerts, alerts.on_condition(replace(SILENT, **condition), 0, RULES, is_on=True)


def statuses(transitions: list[Transition]) -> list[str]:
    return [transition.status for transition in transitions]


# The table


@pytest.mark.parametrize("name", get_args(StateName))
@pytest.mark.parametrize("event", get_args(Event))
def test_what_a_state_lists_happens_and_all_else_is_a_fault(name: StateName, event: Event) -> None:
    state = state_that_is(name)
    listed = TRANSITIONS[name].get(event)

    if listed is None:
        with pytest.raises(AlertEventError, match=event):
            state.on(event, 10, RULES)
        assert state.state == name
        return
    published = state.on(event, 10, RULES)

    assert state.state == listed.state
    assert statuses(published) == ([] if listed.status is None else [listed.status])


def test_every_state_can_be_left_and_every_event_is_listed_somewhere() -> None:
    left = {name for name, row in TRANSITIONS.items() if {n.state for n in row.values()} - {name}}
    listed = {event for row in TRANSITIONS.values() for event in row}

    assert left == set(get_args(StateName))
    assert listed == set(get_args(Event))


@pytest.mark.parametrize("because", ["returned", "accepted", "relearned", "removed"])
def test_a_resolved_alert_says_why(because: Event) -> None:
    (resolved,) = state_that_is("firing").on(because, 10, RULES)

    assert resolved.because == because


def test_an_alert_without_figures_is_not_published() -> None:
    with pytest.raises(AlertEventError, match="no figures"):
        AlertState("score", "score", "level").on("change", 0, RULES)


# What makes news


@pytest.mark.parametrize(
    ("effect", "direction", "is_news"),
    [
        (1.0, "up", False),
        (1.9, "up", False),
        (2.0, "up", True),
        (0.5, "up", True),
        (0.51, "up", False),
        (1.0, "down", True),
    ],
)
def test_figures_are_published_again_when_they_are_much_other_ones(
    effect: float, direction: str, is_news: bool
) -> None:
    state = state_that_is("firing")
    figures = replace(CHANGE.figures, effect=effect, direction=direction)
    state.change = replace(CHANGE, figures=figures)

    assert statuses(state.on_away(10, RULES)) == (["ongoing"] if is_news else [])


def test_figures_that_have_not_settled_are_no_news_but_a_reminder_is() -> None:
    state = state_that_is("firing")
    state.change = replace(CHANGE, figures=replace(CHANGE.figures, effect=9.0))

    early = state.on_away(10, RULES, is_settled=False)
    due = state.on_away(3_600_000, RULES, is_settled=False)

    assert (statuses(early), statuses(due)) == ([], ["ongoing"])


# Conditions


def test_a_condition_fires_once_is_published_again_and_is_over() -> None:
    alerts, fired = alerts_with()

    meanwhile = alerts.on_condition(SILENT, 3_599_999, RULES, is_on=True)
    reminded = alerts.on_condition(SILENT, 3_600_000, RULES, is_on=True)
    over = alerts.on_condition(SILENT, 3_700_000, RULES, is_on=False)
    again = alerts.on_condition(SILENT, 3_800_000, RULES, is_on=False)

    assert [statuses(each) for each in (fired, meanwhile, reminded, over, again)] == [
        ["firing"],
        [],
        ["ongoing"],
        ["resolved"],
        [],
    ]
    assert over[0].because == "returned"


def test_the_third_firing_within_the_time_is_flapping_and_must_stay_away_as_long() -> None:
    alerts, _ = alerts_with()
    published = []

    for minute in (1, 2, 3, 4, 5, 6, 7):
        is_on = minute in (2, 4)
        published += alerts.on_condition(SILENT, MINUTE_MS * minute, RULES, is_on=is_on)
    early = alerts.on_condition(SILENT, MINUTE_MS * 8, RULES, is_on=False)
    due_ms = alerts.settling_due_ms()
    over = alerts.settle(MINUTE_MS * 9, RULES)

    assert statuses(published) == ["resolved", "firing", "resolved", "firing"]
    assert [each.is_flapping for each in published] == [False, False, False, True]
    assert (early, due_ms, statuses(over)) == ([], MINUTE_MS * 9, ["resolved"])


def test_conditions_are_ended_in_the_order_of_their_names() -> None:
    alerts, _ = alerts_with()
    alerts.on_condition(replace(SILENT, series="outcomes"), 0, RULES, is_on=True)

    ended = [each for state in alerts.states() for each in state.end("removed", 10, RULES)]

    assert [(each.series, each.because) for each in ended] == [
        ("outcomes", "removed"),
        ("predictions", "removed"),
    ]


def test_a_note_is_kept_until_the_next_firing() -> None:
    alerts, _ = alerts_with()
    state = alerts.get("predictions", "silence")
    assert state is not None
    state.acknowledged = OperatorNote("anna", 5, "deploy")

    noted = state.on("acknowledged", 10, RULES)
    over = alerts.on_condition(SILENT, 20, RULES, is_on=False)
    again = alerts.on_condition(SILENT, 30, RULES, is_on=True)

    assert noted[0].acknowledged == over[0].acknowledged == OperatorNote("anna", 5, "deploy")
    assert [each.sequence for each in (*noted, *over, *again)] == [1, 2, 0]
    assert again[0].acknowledged is None


def test_a_mute_that_is_over_is_forgotten_with_the_next_record() -> None:
    state = state_that_is("firing")
    state.muted_until_ms = 60_000

    (muted,) = state.on("muted", 59_999, RULES)
    (later,) = state.on("news", 60_000, RULES)

    assert (muted.muted_until_ms, later.muted_until_ms) == (60_000, None)


def test_restored_alerts_go_on_as_they_would_have() -> None:
    alerts, _ = alerts_with()
    alerts.on_condition(SILENT, MINUTE_MS, RULES, is_on=False)

    restored = decode(encode(alerts), ConditionAlerts)

    for each in (alerts, restored):
        each.on_condition(SILENT, 2 * MINUTE_MS, RULES, is_on=True)
    assert encode(restored) == encode(alerts)
