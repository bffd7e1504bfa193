"""The life of an alert, told by whole stories through the core: the sequences are held."""

from __future__ import annotations

import math
import random
from functools import cache

import numpy as np
import pytest

from schemas.model_spec import AlertRules, ModelSpec, OutcomeRules
from streams.ingest.records import Accepted
from streams.model import pending
from tests.doubles.core import (
    Json,
    Played,
    log_of,
    play,
    play_gathering,
    play_restarting,
    snapshots,
    taken_in,
    watch,
)
from tests.doubles.inputs import START_MS, accepted, control, outcome, prediction

MINUTE_MS = 60_000
ROWS = 13_000
FLAPS = frozenset(row for start in (2_100, 4_400, 6_700) for row in range(start, start + 300))
Told = tuple[str, str, str, int, int]
BRIEF = OutcomeRules(wait_s=3_600.0)
"""An hour, so that a restart does not read thousands of waiting predictions again."""
HELD = {"alerts": AlertRules(hold=2)}


@cache
def story() -> tuple[Accepted, ...]:
    """Publish two models for 13,000 rows, a minute and a prediction each.

    `loan`: income rises for 1,700 rows and comes back, the mix of channels changes for 1,500; the
    error is worse for 3,000 rows. `price`: age rises and stays; size comes and goes.
    """
    rng = np.random.default_rng(5)
    events: list[Accepted] = []
    for row in range(ROWS):
        at_ms = START_MS + MINUTE_MS * row
        is_up, is_mixed = 2_500 <= row < 4_200, 6_000 <= row < 7_500
        shares = (0.2, 0.3, 0.5) if is_mixed else (0.5, 0.3, 0.2)
        says = bool(rng.random() < 0.5)
        is_wrong = bool(rng.random() < (0.3 if 3_000 <= row < 6_000 else 0.1))
        loan = {
            "income": float(rng.normal(12.0 if is_up else 10.0, 2.0)),
            "channel": str(rng.choice(["web", "shop", "phone"], p=shares)),
        }
        price = {
            "age": float(rng.normal(46.0 if row >= 5_000 else 40.0, 8.0)),
            "size": float(rng.normal(1.2 if row in FLAPS else 0.0)),
        }
        at = {"predicted_at": at_ms}
        values = [
            (prediction(f"l{row}", "loan", prediction=says, features=loan, **at), 2 * row),
            (outcome(f"l{row}", "loan", outcome=says != is_wrong, observed_at=at_ms), row),
            (prediction(f"p{row}", "price", prediction="a", features=price, **at), 2 * row + 1),
        ]
        events += [accepted(value, offset, logged_at=at_ms) for value, offset in values]
    return tuple(events)


def spec_of(model_id: str) -> ModelSpec:
    week_s = 7 * 86_400.0
    rules = AlertRules(renotify_s=week_s if model_id == "price" else 86_400.0)
    return ModelSpec(alerts=rules, outcome=BRIEF)


@cache
def told_at_once() -> Played:
    return play(log_of(story(), 1_000), spec_of)


EARLY_ROWS = 5_500
"""Rows of the story's first part: alerts fire, go on, are over and fire again."""


@cache
def early_log() -> list[bytes]:
    return log_of(story()[: 3 * EARLY_ROWS], 1_000)


@cache
def early() -> Played:
    return play(early_log(), spec_of)


def told(played: Played, model_id: str) -> list[Told]:
    return [
        (each["series"], each["aspect"], each["status"], each["sequence"], each["predictions_seen"])
        for each in played.of("alerts")
        if each["model_id"] == model_id
    ]


def without_evidence(played: Played) -> list[Json]:
    return [{k: v for k, v in each.items() if k != "evidence"} for each in played.of("alerts")]


def open_at_the_end(played: Played) -> set[tuple[str, str]]:
    """Return what `status` says in the end: the last word on each key."""
    last = {each.key: each.value for each in played.emissions if each.role == "status"}
    alerts = {each["fingerprint"]: each for each in played.of("alerts")}
    return {
        (alerts[name]["model_id"], alerts[name]["series"])
        for name, value in last.items()
        if value and name
    }


# Stories


def test_a_drift_that_comes_and_goes_fires_goes_on_and_is_over() -> None:
    assert told(told_at_once(), "loan") == [
        ("feature/income", "level", "firing", 0, 2_535),
        ("error", "level", "firing", 0, 3_069),
        ("feature/income", "level", "ongoing", 1, 4_135),
        ("feature/income", "level", "resolved", 2, 4_935),
        ("error", "level", "ongoing", 1, 4_987),
        ("feature/channel", "share", "firing", 0, 6_054),
        ("error", "level", "resolved", 2, 6_764),
        ("feature/channel", "share", "ongoing", 1, 7_547),
        ("feature/channel", "share", "resolved", 2, 8_147),
    ]


def test_what_stays_away_stays_open_and_what_flaps_is_over_when_it_has_long_been_back() -> None:
    assert told(told_at_once(), "price") == [
        ("feature/size", "level", "firing", 0, 2_124),
        ("feature/size", "level", "resolved", 1, 3_324),
        ("feature/size", "level", "firing", 0, 4_426),
        ("feature/age", "level", "firing", 0, 5_086),
        ("feature/size", "level", "resolved", 1, 5_426),
        ("feature/size", "level", "firing", 0, 6_726),
        ("feature/size", "level", "resolved", 1, 12_726),
    ]
    assert open_at_the_end(told_at_once()) == {("price", "feature/age")}


def test_a_firing_names_the_categories_that_moved_and_no_others() -> None:
    (mixed,) = [a for a in told_at_once().firings() if a["series"] == "feature/channel"]

    moved = {each["category"]: each["value"] - each["baseline"] for each in mixed["categories"]}

    assert moved.keys() == {"web", "phone"}
    assert moved["web"] < -0.1
    assert moved["phone"] > 0.1


def test_every_transition_has_its_own_id_and_every_firing_of_the_error_its_command() -> None:
    ids = [each["alert_id"] for each in told_at_once().of("alerts")]

    assert len(ids) == len(set(ids))
    assert len(told_at_once().of("feedback")) == 1


def cut_by_chance() -> list[bytes]:
    """Cut the log: every 30 rows by chance in another way, around transitions between events."""
    chance, events = random.Random(1), story()[: 3 * EARLY_ROWS]  # noqa: S311 - test data
    stretch = 3 * 30
    turns = {3 * alert["predictions_seen"] // stretch for alert in early().of("alerts")}
    log: list[bytes] = []
    for number, first in enumerate(range(0, len(events), stretch)):
        size = 1 if number in turns else chance.choice((7, 30, *[stretch] * 5))
        log += log_of(events[first : first + stretch], size)
    return log


def test_how_the_log_is_cut_changes_no_transition() -> None:
    assert without_evidence(play(cut_by_chance(), spec_of)) == without_evidence(early())


def test_a_restart_after_every_record_changes_nothing() -> None:
    again = play_restarting(early_log(), spec_of)

    assert again.emissions == early().emissions
    assert snapshots(again.monitor) == snapshots(early().monitor)
    assert {status for _, _, status, *_ in told(again, "loan")} == {"firing", "ongoing", "resolved"}


def test_how_much_is_read_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "MAX_PENDING_ROWS", 2 * ROWS)
    again = play_gathering(early_log(), 1_000, spec_of)

    assert sorted(again.emissions) == sorted(early().emissions)
    assert snapshots(again.monitor) == snapshots(early().monitor)


# Series with an hour of the day


@cache
def waves(category: bool) -> tuple[Accepted, ...]:
    """Publish nine days of a feature that is higher by day, and further up from day 5 to 7."""
    rng = np.random.default_rng(1)
    values = []
    x: float | str
    for row in range(9 * 1_440):
        wave = math.sin(2 * math.pi * row / 1_440)
        is_up = 5 * 1_440 <= row < 7 * 1_440
        if category:
            is_web = rng.random() < 0.4 + 0.25 * (wave + is_up)
            x = "web" if is_web else "shop" if rng.random() < 0.5 else "phone"
        else:
            x = float(rng.normal() + 1.5 * (wave + is_up))
        at_ms = START_MS + MINUTE_MS * row
        event = prediction(f"p{row}", prediction="a", predicted_at=at_ms, features={"x": x})
        values.append((event, row, at_ms))
    return tuple(accepted(value, row, logged_at=at_ms) for value, row, at_ms in values)


def brief(_model_id: str) -> ModelSpec:
    return ModelSpec(outcome=BRIEF)


@cache
def waves_told(category: bool) -> Played:
    return play(log_of(waves(category), 300), brief)


@pytest.mark.parametrize("category", [False, True])
def test_a_series_with_a_rhythm_is_over_within_hours_of_its_return(category: bool) -> None:
    played = waves_told(category)

    aspect = "share" if category else "level"
    told = [a for a in played.of("alerts") if a["aspect"] == aspect and a["status"] != "ongoing"]
    days = [round(alert["predictions_seen"] / 1_440, 1) for alert in told]
    fired, over = told[-2:]
    assert (fired["status"], over["status"]) == ("firing", "resolved")
    assert 5.0 <= days[-2] < 5.2
    assert 7.3 < days[-1] < 7.8
    assert over["resolved_because"] == "returned"


def test_what_was_told_before_a_rhythm_was_known_is_over_when_it_is() -> None:
    played = waves_told(True)

    fired, over = [a for a in played.of("alerts") if a["status"] != "ongoing"][:2]

    assert (fired["status"], over["resolved_because"]) == ("firing", "relearned")
    assert 0 < over["predictions_seen"] - 2 * 1_440 < 10


@pytest.mark.parametrize("category", [False, True])
def test_what_the_hour_adds_survives_a_restart_and_any_cut(category: bool) -> None:
    steady = waves_told(category)

    again = play_restarting(log_of(waves(category), 300), brief)
    cut = play(log_of(waves(category), 77), brief)

    assert again.emissions == steady.emissions
    assert snapshots(again.monitor) == snapshots(steady.monitor)
    assert without_evidence(cut) == without_evidence(again)


# People, and blocks


def test_an_alert_that_is_held_fires_when_blocks_agree_and_not_for_a_burst() -> None:
    rng = np.random.default_rng(3)

    def shifted(rows: int) -> list[bytes]:
        return [
            prediction(
                f"p{row}", features={"x": float(rng.normal(2.0 * (0 <= row - 2_500 < rows)))}
            )
            for row in range(6_000)
        ]

    lasting, burst = watch(shifted(3_000), **HELD), watch(shifted(60), **HELD)

    (alert, *_) = lasting.of("alerts")
    assert alert["status"] == "firing"
    assert 2_900 < alert["predictions_seen"] < 3_000
    assert burst.of("alerts") == []
    state = burst.monitor.models["m"].series.alert("feature/x", "level")
    assert state is not None
    assert (state.state, state.episode) == ("quiet", 0)


def test_what_a_person_accepts_is_the_reference_from_there_on() -> None:
    rng = np.random.default_rng(3)
    values = [
        prediction(f"p{row}", features={"x": float(rng.normal(2.0 * (2_500 <= row < 9_000)))})
        for row in range(12_000)
    ]
    events = taken_in(values)[:6_000]
    (alert,) = play(log_of(events, 100)).of("alerts")

    word = control("accept", alert["fingerprint"], because="ok")
    played = play(log_of([*events, *taken_in([word])], 100))

    (_, over) = played.of("alerts")
    assert (over["status"], over["resolved_because"]) == ("resolved", "accepted")
    original = played.monitor.models["m"].series.describe()["feature/x"]["original"]
    assert original["mean"] == pytest.approx(2.0, abs=0.1)
