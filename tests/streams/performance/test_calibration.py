"""What scores mean: its map, its alarm, and what it tells before labels come."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest

from schemas.model_spec import ModelSpec
from streams.clock import DAY_MS, HOUR_MS
from streams.detect.cohort_kernel import CELLS
from streams.model.state import figures_of_snapshot
from streams.performance.calibration import (
    MOST_KNOTS,
    Calibration,
    Step,
    isotonic,
)
from streams.performance.figures import ScoreRow
from tests.doubles.core import Json, Played, log_of, play, play_gathering, play_restarting
from tests.doubles.inputs import START_MS, outcome, prediction
from tests.streams.performance.test_ledger import _at, latest

WATCHED = ModelSpec.model_validate(
    {"metrics": {}, "calibration": {}, "outcome": {"wait_s": 6 * 86_400}, "alert_budget": 1.0}
)


A_DAY = 250


def day_of(rng: np.random.Generator, n: int, shift: float, slope: float = 1.0) -> list[ScoreRow]:
    """Answers of a day whose outcomes follow the scores, moved by a shift and a slope in logits."""
    scores = np.clip(np.round(rng.beta(1, 6, n), 3), 0.001, 0.999)
    logits = np.log(scores / (1 - scores))
    hits = rng.random(n) < 1 / (1 + np.exp(-(shift + slope * logits)))
    found, place = np.unique(scores, return_inverse=True)
    positives = np.bincount(place, weights=hits)
    others = np.bincount(place) - positives
    return [
        ScoreRow(float(score), int(p), int(o))
        for score, p, o in zip(found, positives, others, strict=True)
    ]


def steps_of(shift: float, slope: float, days: int = 40, seed: int = 1) -> list[Step]:
    """Live 20 usual days of 300 answers, then other ones, then 20 usual ones again."""
    rng, calibration = np.random.default_rng(seed), Calibration()
    steps = []
    for day in range(days + 20):
        is_other = 20 <= day < days
        rows = day_of(rng, 300, shift * is_other, slope if is_other else 1.0)
        step = calibration.on_day(day, rows, 0.075)
        if step is not None:
            steps.append(step)
    return steps


@pytest.mark.parametrize(
    ("shift", "slope", "verdict"),
    [
        (math.log(1.75), 1.0, "too low"),
        (-math.log(2.1), 1.0, "too high"),
        (0.0, 1 / 1.7, "too sure"),
        (0.0, 1.7, "not sure enough"),
    ],
)
def test_a_change_of_what_scores_mean_is_told_by_its_name_and_is_over(
    shift: float, slope: float, verdict: str
) -> None:
    steps = steps_of(shift, slope)

    assert steps[0].verdict == verdict
    assert all(step.is_on for step in steps[:-1])
    assert not steps[-1].is_on
    assert len(steps) < 32


def test_scores_that_mean_what_they_did_raise_no_alarm() -> None:
    assert not any(steps_of(0.0, 1.0, days=200, seed=seed) for seed in range(3))


def test_a_meaning_that_a_person_accepts_is_the_usual_one() -> None:
    rng, calibration = np.random.default_rng(4), Calibration()
    after = []
    for day in range(80):
        step = calibration.on_day(day, day_of(rng, 300, math.log(3) * (day >= 20)), 0.075)
        if day == 40:
            assert calibration.verdict == "too low"
            calibration.accept()
        elif day > 40:
            after.append(step)

    assert after == [None] * 39


def test_a_higher_score_never_means_less() -> None:
    rng = np.random.default_rng(2)
    n = rng.poisson(2, CELLS).astype(float)
    made = isotonic(rng.binomial(n.astype(int), 0.3).astype(float), n)

    assert (np.diff(made) >= 0).all()
    assert made[0] >= 0
    assert (made * n).sum() == pytest.approx(0.3 * n.sum(), rel=0.1)


def test_a_map_is_proposed_once_from_the_rows_of_the_change_alone() -> None:
    rng, calibration = np.random.default_rng(3), Calibration()
    proposals = []
    for day in range(45):
        calibration.on_day(day, day_of(rng, 300, math.log(3) * (day >= 25)), 0.075)
        proposal = calibration.proposal()
        if proposal is not None:
            proposals.append(proposal)

    (proposal,) = proposals
    scores, meant = (np.array(each) for each in zip(*proposal.knots, strict=True))
    assert 1_000 <= proposal.rows < 1_800
    assert proposal.saved > 0.005
    assert len(scores) <= MOST_KNOTS
    assert (np.diff(scores) > 0).all()
    assert (np.diff(meant) >= 0).all()
    odds = 3 * 0.2 / 0.8
    assert np.interp(0.2, scores, meant) == pytest.approx(odds / (1 + odds), abs=0.1)


@cache
def events() -> list[Any]:
    """Answers of 30 days; from day 20 on the odds are four times those that scores tell."""
    rng = np.random.default_rng(11)
    made = []
    for row in range(30 * A_DAY):
        at_ms = START_MS + row * DAY_MS // A_DAY
        score = float(rng.beta(1, 3))
        odds = score / (1 - score) * (4.0 if row >= 20 * A_DAY else 1.0)
        truth, name = int(rng.random() < odds / (1 + odds)), f"{row}"
        given: Json = {
            "prediction": int(score > 0.5),
            "score": round(score, 3),
            "predicted_at": at_ms,
        }
        made.append((at_ms, prediction(name, **given)))
        known_ms = at_ms + int(HOUR_MS * rng.lognormal(1, 0.4))
        made.append((known_ms, outcome(name, outcome=truth, observed_at=known_ms)))
    made.sort(key=lambda each: each[0])
    return [_at(place, *each) for place, each in enumerate(made)]


def spec_of(_model_id: str) -> ModelSpec:
    return WATCHED


@cache
def watched() -> Played:
    return play(log_of(events(), 500), spec_of)


def of_calibration(played: Played) -> list[Json]:
    return [alert for alert in played.of("alerts") if alert["kind"] == "calibration"]


def test_an_alert_and_a_command_tell_that_scores_mean_something_else() -> None:
    alerts = of_calibration(watched())
    commands = [each for each in watched().of("feedback") if each["command"] == "recalibrate"]

    assert alerts[0]["status"] == "firing"
    assert alerts[0]["detected_at"] < "2026-01-25"
    assert "scores are too low" in alerts[0]["summary"]
    assert len(alerts[0]["summary"]) <= 200
    (command,) = commands
    assert command["suggested"]
    assert command["because"]
    assert command["recalibration"]["brier_saved"] > 0


def test_a_day_is_estimated_before_its_labels_and_the_estimate_stands() -> None:
    first: dict[str, Json] = {}
    for record in watched().of("metrics"):
        if record["kind"] == "day" and record.get("without_labels"):
            first.setdefault(record["start"], record)
    last = latest(watched(), "day")

    usual = [start for start in first if "2026-01-12" < start < "2026-01-20"]
    assert len(usual) > 5
    for start in usual:
        told, realised = first[start]["without_labels"], last[start]
        assert told["missed_by"] is None or abs(told["missed_by"]) < 0.08
        assert realised["without_labels"]["error"] == told["error"]
        assert realised["error"] == pytest.approx(told["error"], abs=0.08)
    changed = last["2026-01-22T00:00:00.000Z"]
    assert changed["without_labels"]["missed_by"] > 0.05  # it is blind to what changed


def test_the_figures_say_what_they_wait_for() -> None:
    young = play(log_of(events()[:300], 100), spec_of)
    old, waits = watched(), "wait until the oldest days"

    assert waits in _waits(young)[0]
    assert _waits(old)[0].startswith("Its outcomes have settled")
    assert len(_waits(old)) == 1
    assert (
        figures_of_snapshot(
            play(log_of(events()[:50])).monitor.models["m"].snapshot(), spec_of("m")
        )
        == []
    )


def _waits(played: Played) -> list[str]:
    return figures_of_snapshot(played.monitor.models["m"].snapshot(), spec_of("m"))


@pytest.mark.parametrize("how", ["gathered", "restarted"])
def test_neither_the_cut_of_the_log_nor_a_restart_changes_what_is_told(how: str) -> None:
    if how == "gathered":
        other = play_gathering(log_of(events(), 30), 40, spec_of)
    else:
        other = play_restarting(log_of(events(), 1_500), spec_of)

    assert other.bytes_of("metrics") == watched().bytes_of("metrics")
    assert [alert["summary"] for alert in of_calibration(other)] == [
        alert["summary"] for alert in of_calibration(watched())
    ]
