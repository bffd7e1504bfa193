"""Wrong answers that become known later than right ones: nothing is told of the delay alone."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from schemas.model_spec import ModelSpec, ReferenceRules
from streams.ingest.records import Accepted
from streams.series.late_labels import AGES
from tests.doubles.core import Played, log_of, play, play_gathering, play_restarting, snapshots
from tests.doubles.inputs import START_MS, accepted, outcome, prediction

DAY_MS = 86_400_000
DAYS, A_DAY, CHANGE_DAY = 44, 60, 26


def spec_of(_model_id: str = "m") -> ModelSpec:
    return ModelSpec(reference=ReferenceRules(rows=600))


def late_events(
    error: float, *, campaign: int = 1, slower: float = 1.0, is_number: bool = False
) -> list[Accepted]:
    """Publish right answers after some 8 hours and wrong ones after some 30.

    Parameters
    ----------
    error
        The share of errors, or the size of errors in that of before, from ``CHANGE_DAY`` on.
    campaign
        How many times as many predictions come in the ten days from then on.
    slower
        How many times as long labels take from then on.
    """
    rng = np.random.default_rng(11)
    inputs: list[tuple[int, bytes]] = []
    row = 0
    for day in range(DAYS):
        is_after = day >= CHANGE_DAY
        times = campaign if CHANGE_DAY <= day < CHANGE_DAY + 10 else 1
        for at in np.sort(rng.random(A_DAY * times)):
            at_ms = START_MS + int((day + at) * DAY_MS)
            usual = float(abs(rng.normal()))
            size = usual * (error if is_number and is_after else 1.0)
            share = error if is_after and not is_number else 0.2
            is_wrong = usual > 1.0 if is_number else bool(rng.random() < share)
            hours = (30 if is_wrong else 8) * float(np.exp(0.5 * rng.normal()))
            known_ms = at_ms + int(hours * 3_600_000 * (slower if is_after else 1.0))
            answer = 2.5 if is_number else bool(rng.random() < 0.5)
            truth = answer + size if is_number else answer != is_wrong
            inputs.append((at_ms, prediction(f"p{row}", prediction=answer, predicted_at=at_ms)))
            inputs.append((known_ms, outcome(f"p{row}", outcome=truth, observed_at=known_ms)))
            row += 1
    inputs.sort(key=lambda each: each[0])
    return [
        accepted(value, offset, logged_at=at_ms)
        for offset, (at_ms, value) in enumerate(inputs)
        if at_ms < START_MS + DAYS * DAY_MS
    ]


@cache
def log_with_more_errors() -> Sequence[bytes]:
    return log_of(late_events(error=0.5), 40)


@cache
def with_more_errors() -> Played:
    return play(log_with_more_errors(), spec_of)


def errors_told(played: Played) -> list[dict[str, object]]:
    return [alert for alert in played.firings() if alert["series"] == "error"]


@pytest.mark.parametrize("is_number", [False, True])
def test_a_campaign_is_not_taken_for_errors_that_come_late(is_number: bool) -> None:
    error = 1.0 if is_number else 0.2
    played = play(log_of(late_events(error, campaign=5, is_number=is_number), 500), spec_of)

    assert errors_told(played) == []
    late = played.monitor.models["m"].series.describe()["error"]["late_labels"]
    assert late["ages_s"]


@pytest.mark.parametrize("is_number", [False, True])
def test_more_errors_are_told_at_an_age(is_number: bool) -> None:
    played = (
        play(log_of(late_events(2.5, is_number=True), 500), spec_of)
        if is_number
        else with_more_errors()
    )

    alert, *_ = errors_told(played)
    assert alert["direction"] == "up"
    assert alert["known_within_s"] in {age_ms / 1_000 for age_ms in AGES}
    assert not alert["labels_come_differently"]
    assert "2026-01-26" <= str(alert["started_at"])[:10] <= "2026-01-28"
    assert "in labels known within" in str(alert["summary"])
    assert len(str(alert["summary"])) <= 200


def test_a_command_names_predictions_whose_labels_are_complete() -> None:
    alert, *_ = errors_told(with_more_errors())
    (command,) = [
        each for each in with_more_errors().of("feedback") if each["because"] == [alert["alert_id"]]
    ]

    rows = command["labelled"]
    assert rows["known_within_s"] == alert["known_within_s"]
    assert rows["predicted_from"] == alert["started_at"] < rows["predicted_until"]
    chosen = [
        row
        for row in with_more_errors().of("labelled")
        if rows["first_row"] <= row["row"] <= rows["last_row"]
        and rows["predicted_from"] <= _instant(row) < rows["predicted_until"]
    ]
    assert chosen
    earlier = [
        row
        for row in with_more_errors().of("labelled")[: rows["first_row"] - 1]
        if _instant(row) >= rows["predicted_from"]
    ]
    assert earlier == []


def _instant(row: dict[str, object]) -> str:
    made = row["prediction"]
    assert isinstance(made, dict)
    moment = np.datetime64(int(made["predicted_at"]), "ms")
    return f"{moment}Z"


def test_labels_that_come_later_than_before_are_named_as_such_and_call_for_no_training() -> None:
    played = play(log_of(late_events(error=0.2, slower=3.0), 500), spec_of)

    told = errors_told(played)
    assert all(alert["labels_come_differently"] for alert in told)
    assert [each for each in played.of("feedback") if "error" in str(each["summary"])] == []


@pytest.mark.parametrize("read_every", [1, 7, 10_000])
def test_how_much_is_read_at_once_changes_nothing(read_every: int) -> None:
    again = play_gathering(log_with_more_errors(), read_every, spec_of)

    assert sorted(again.emissions) == sorted(with_more_errors().emissions)


def test_how_the_log_is_cut_changes_no_alert() -> None:
    again = play(log_of(late_events(error=0.5), 500), spec_of)

    def told(played: Played) -> list[dict[str, object]]:
        return [
            {name: value for name, value in alert.items() if name != "evidence"}
            for alert in played.of("alerts")
        ]

    assert told(again) == told(with_more_errors())


def test_a_restart_changes_nothing() -> None:
    log = log_of(late_events(error=0.5), 400)
    whole, again = play(log, spec_of), play_restarting(log, spec_of)

    assert again.emissions == whole.emissions
    assert snapshots(again.monitor) == snapshots(whole.monitor)


def test_a_model_says_that_it_waits_for_late_labels() -> None:
    events = [e for e in late_events(error=0.2) if e.logged_at < START_MS + 5 * DAY_MS]
    described = play(log_of(events, 500), spec_of).monitor.models["m"].series.describe()

    assert described["error"]["late_labels"] == {
        "ages_s": [],
        "watched_since_ms": None,
        "waits_for_late_labels": True,
    }
