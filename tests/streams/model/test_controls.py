"""What people say about alerts, in the log: what comes of it, and from where on."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from schemas.instants import LAST_INSTANT_MS
from schemas.wire import to_epoch_ms, to_rfc3339
from streams.alert.record import fingerprint_of
from tests.doubles.core import Json, Played, log_of, play, play_restarting, taken_in
from tests.doubles.inputs import START_MS, Removal, accepted, control, prediction, spec
from tests.doubles.story import story

STORY: list[bytes | Removal] = list(story(rows=1_200, onset=450))
A = fingerprint_of("m", "feature/a", "level")
AT = 500
"""A place between the firing of the feature and the end of the story."""


def told(verb: str, fingerprint: str = A, at: int = AT, **fields: Any) -> Played:
    values = [*STORY[: 2 * at], control(verb, fingerprint, **fields), *STORY[2 * at :]]
    return play(log_of(taken_in(values)))


def of(played: Played, fingerprint: str = A) -> list[Json]:
    return [alert for alert in played.of("alerts") if alert["fingerprint"] == fingerprint]


def transitions(played: Played) -> list[tuple[str, int, str | None]]:
    return [(a["status"], a["sequence"], a["resolved_because"]) for a in of(played)]


UNTOUCHED = play(log_of(taken_in(STORY), 400))


def test_the_story_of_these_tests_has_an_open_alert() -> None:
    assert transitions(UNTOUCHED) == [("firing", 0, None)]
    assert of(UNTOUCHED)[0]["predictions_seen"] < AT


def test_who_took_note_when_and_why_is_in_the_alert() -> None:
    played = told("ack", because="a test", at_ms=0)

    assert transitions(played) == [("firing", 0, None), ("ongoing", 1, None)]
    assert of(played)[1]["acknowledged"] == {
        "by": "ann",
        "at": to_rfc3339(START_MS),
        "because": "a test",
    }
    assert of(played)[1]["predictions_seen"] == AT


def test_a_second_note_without_a_reason_keeps_the_first_ones() -> None:
    notes = [control("ack", A, because="a test"), control("ack", A, by="bob")]
    values = [*STORY[: 2 * AT], *notes, *STORY[2 * AT :]]

    noted = of(play(log_of(taken_in(values))))[2]["acknowledged"]

    assert (noted["by"], noted["because"]) == ("bob", "a test")


def test_what_is_accepted_is_resolved_and_is_the_new_normal() -> None:
    played = told("accept")

    assert transitions(played) == [("firing", 0, None), ("resolved", 1, "accepted")]
    assert of(played)[1]["acknowledged"]["by"] == "ann"


@pytest.mark.parametrize(
    ("fields", "until_ms"),
    [({"for_s": 7_200.0}, START_MS + 2 * AT * 1_000 + 7_200_000), ({}, LAST_INSTANT_MS)],
)
def test_a_mute_holds_for_a_while_or_until_it_is_taken_back(
    fields: dict[str, Any], until_ms: int
) -> None:
    muted_until = of(told("mute", **fields))[1]["muted_until"]

    assert to_epoch_ms(muted_until) == until_ms


def test_an_unmute_takes_a_mute_back() -> None:
    values = [*STORY[: 2 * AT], control("mute", A), control("unmute", A), *STORY[2 * AT :]]

    played = play(log_of(taken_in(values)))

    assert [alert["muted_until"] is None for alert in of(played)] == [True, False, True]


@pytest.mark.parametrize("verb", ["ack", "accept", "mute", "unmute"])
def test_of_an_alert_that_is_not_open_nothing_is_said(verb: str) -> None:
    early, strange = told(verb, at=100), told(verb, "0" * 32)

    assert len(early.emissions) == len(strange.emissions) == len(UNTOUCHED.emissions)
    assert strange.monitor.models["m"].counts.controls == 1


def test_a_mark_is_counted_elsewhere_and_changes_nothing() -> None:
    played = told("mark", verdict="false")

    assert len(played.emissions) == len(UNTOUCHED.emissions)


@pytest.mark.parametrize("given", [control("ack", A), spec(owner="risk")])
def test_what_people_say_does_not_move_the_clock(given: bytes) -> None:
    year_ms = 366 * 86_400_000
    events = [
        accepted(prediction("p1"), 0, logged_at=START_MS),
        accepted(given, 0, logged_at=START_MS + year_ms),
        accepted(prediction("p2"), 1, logged_at=START_MS + 1),
    ]

    model = play(log_of(events)).monitor.models["m"]

    assert model.join.waiting_predictions == 2
    assert model.join.counts.expired_predictions == 0


# Specs and open alerts


def test_the_alert_of_a_series_that_is_ignored_is_resolved() -> None:
    values = [*STORY[: 2 * AT], spec(features={"ignore": ["a"]}), *STORY[2 * AT :]]

    played = play(log_of(taken_in(values)))

    assert transitions(played) == [("firing", 0, None), ("resolved", 1, "relearned")]
    assert of(played)[1]["spec_version"] == 1


def test_the_alerts_of_a_removed_model_are_resolved() -> None:
    played = play(log_of(taken_in([*STORY, Removal()])))

    alerts = played.of("alerts")
    assert {alert["resolved_because"] for alert in alerts[-2:]} == {"removed"}
    assert {e.value for e in played.emissions[-4:] if e.role == "status"} == {b""}


def test_how_often_an_alert_is_said_again_is_the_specs_from_its_place_on() -> None:
    values = [*STORY[: 2 * AT], spec(alerts={"renotify_s": 600.0}), *STORY[2 * AT :]]

    played = play(log_of(taken_in(values)))

    assert len(of(played)) > len(of(UNTOUCHED))
    assert {alert["status"] for alert in of(played)[1:]} == {"ongoing"}
    assert all(alert["predictions_seen"] > AT for alert in of(played)[1:])


def test_what_must_hold_before_it_is_said_is_the_specs_from_its_place_on() -> None:
    values = [*STORY[:800], spec(alerts={"hold": 3}), *STORY[800:]]

    held = of(play(log_of(taken_in(values))))

    assert held[0]["status"] == "firing"
    assert held[0]["predictions_seen"] > of(UNTOUCHED)[0]["predictions_seen"]


# Restarts


@pytest.mark.parametrize("seed", [1, 2])
def test_a_restart_at_every_record_changes_no_byte(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - test data
    error = fingerprint_of("m", "error", "level")
    values = list(STORY)
    for _ in range(12):
        verb = chance.choice(["ack", "accept", "mute", "unmute"])
        said = control(verb, chance.choice([A, error]), control_id=str(len(values)))
        values.insert(chance.randrange(920, len(values)), said)
    values.insert(chance.randrange(920, len(values)), spec(alerts={"renotify_s": 300.0}))
    values.insert(chance.randrange(2_000, len(values)), Removal())
    log = log_of(taken_in(values), 100)
    steady = play(log)

    again = play_restarting(log)

    assert again.emissions == steady.emissions
    assert again.monitor.models["m"].snapshot() == steady.monitor.models["m"].snapshot()
    assert {alert["status"] for alert in steady.of("alerts")} == {"firing", "ongoing", "resolved"}
    assert again.monitor.models["m"].counts.controls == 12


# A control that cannot be applied, which ingest cannot have written


@pytest.mark.parametrize(
    ("verb", "field", "value"),
    [
        ("ack", "by", None),
        ("mute", "for_s", "7200"),
        ("mute", "for_s", 1e300),
        ("ack", "at", 1e300),
    ],
)
def test_a_control_that_cannot_be_applied_has_no_effect(
    verb: str, field: str, value: object
) -> None:
    events = taken_in([*STORY, control(verb, A), control("ack", A, control_id="next")])
    event = orjson.loads(events[-2].payload) | {field: value}
    if value is None:
        del event[field]
    events[-2] = replace(events[-2], payload=orjson.dumps(event))
    log = [*log_of(events[:-2], 400), *log_of(events[-2:-1]), *log_of(events[-1:])]

    whole, played = play(log), play(log[:-1])

    *others, alert = played.of("alerts")
    assert others == UNTOUCHED.of("alerts")
    assert (alert["kind"], alert["series"], alert["aspect"]) == ("service", "controls", "unusable")
    counts = played.monitor.models["m"].counts
    assert (counts.controls, counts.refused_controls) == (0, 1)
    assert [alert["status"] for alert in whole.of("alerts")[-2:]] == ["ongoing", "resolved"]
    assert play_restarting(log).emissions == whole.emissions
