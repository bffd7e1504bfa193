"""Figures by the time of prediction: what `metrics` says against a count of the labelled rows."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import orjson
import pytest
from msgspec.structs import replace

from schemas.model_spec import ModelSpec
from schemas.wire import to_rfc3339
from streams.clock import HOUR_MS
from streams.emission import Place
from streams.ingest.records import Accepted
from streams.model.model import ModelMonitor
from streams.performance.cohorts import AGES_MS, COMPLETE, MOST_VERSIONS
from tests.doubles.core import Json, Played, log_of, play, play_gathering, play_restarting, taken_in
from tests.doubles.inputs import START_MS, accepted, outcome, prediction, spec

DAY_MS = 24 * HOUR_MS
WAITING = {"outcome": {"wait_s": 5 * 86_400}}
DAILY = ModelSpec.model_validate({"metrics": {"every": "day"}, **WAITING})
HOURLY = ModelSpec.model_validate({"metrics": {"every": "hour"}, **WAITING})


def traffic(seed: int, n: int, days: float, answer: Callable[[float], Any]) -> list[Accepted]:
    """Predictions over some days, and outcomes hours to days later: wrong ones later still."""
    rng = np.random.default_rng(seed)
    events: list[tuple[int, bytes]] = []
    for row, at in enumerate(np.sort(rng.uniform(0, days * DAY_MS, n))):
        score = float(rng.beta(1, 2))
        truth, given = answer(float(rng.random() < score)), answer(float(score > 0.5))
        at_ms = START_MS + int(at)
        delay_ms = int(HOUR_MS * rng.lognormal(2 + (truth != given), 1))
        events.append((at_ms, _prediction(row, at_ms, score, given)))
        if rng.random() < 0.9:
            known_ms = at_ms + delay_ms
            events.append(
                (known_ms, outcome(f"{row}", outcome=truth, observed_at=known_ms, source="label"))
            )
    events.sort(key=lambda each: each[0])
    return [_at(place, *each) for place, each in enumerate(events)]


def _prediction(row: int, at_ms: int, score: float, given: Any) -> bytes:
    return prediction(
        f"{row}",
        prediction=given,
        predicted_at=at_ms,
        score=round(score, 3) if row % 7 else None,
        model_version="1" if row % 3 else "2",
        latency_ms=10.0 + row % 5,
        status="fallback" if row % 11 == 0 else "ok",
    )


def _at(place: int, at_ms: int, value: bytes) -> Accepted:
    return replace(accepted(value, logged_at=at_ms), offset=place)


def played(
    events: list[Accepted],
    how: Callable[..., Played] = play,
    spec: ModelSpec = DAILY,
    **more: Any,
) -> Played:
    return how(log_of(events), spec_of=lambda _model_id: spec, **more)


@cache
def classes() -> Played:
    return played(traffic(1, 3_000, 6, int))


def latest(played: Played, kind: str, version: str | None = None) -> dict[str, Json]:
    records = [each for each in played.cohorts if each["kind"] == kind]
    return {each["start"]: each for each in records if each["model_version"] == version}


def rows_of_days(played: Played) -> dict[int, list[Json]]:
    """Return the labelled rows of each day that the model answered: no fallback is judged."""
    days = defaultdict(list)
    for row in played.of("labelled"):
        if row["prediction"].get("status", "ok") != "ok":
            continue
        days[row["prediction"]["predicted_at"] // DAY_MS * DAY_MS].append(row)
    return days


def test_the_last_record_of_a_day_counts_what_the_labelled_rows_do() -> None:
    final = [each for each in latest(classes(), "day").values() if each["is_final"]]
    rows = rows_of_days(classes())

    assert len(final) == 6
    for day in final:
        of_day = rows[_ms(day["start"])]
        assert day["labelled"] == len(of_day) > 350
        assert day["errors"] == sum(row["is_error"] for row in of_day)
        assert day["error"] == pytest.approx(day["errors"] / day["labelled"])
        assert day["by_source"] == {"label": len(of_day)}
        assert day["n"] >= day["labelled"]
    assert sum(day["n"] for day in final) == 3_000
    assert sum(day["fallbacks"] for day in final) == 273


def _ms(instant: str) -> int:
    return int(np.datetime64(instant.removesuffix("Z"), "ms").astype(int))


def test_a_day_is_restated_where_a_part_of_its_outcomes_is_here() -> None:
    days: dict[str, list[Json]] = defaultdict(list)
    for each in classes().cohorts:
        if each["kind"] == "day" and each["model_version"] is None:
            days[each["start"]].append(each)
    *_, last = days.values()  # when the first day ended, nothing was known of delays
    shares = [each["completeness"]["share"] for each in last]

    for part in COMPLETE[1:]:
        share = next(share for share in shares if share >= part)
        assert share == pytest.approx(part, abs=0.005)
    expired = [each["expired"] for each in last]
    assert expired[:-1] == [0] * (len(last) - 1)
    assert expired[-1] == last[-1]["n"] - last[-1]["fallbacks"] - last[-1]["labelled"] > 30


def test_rates_and_losses_of_a_day_are_those_of_its_rows() -> None:
    day = next(each for each in latest(classes(), "day").values() if each["is_final"])
    rows = rows_of_days(classes())[_ms(day["start"])]
    pairs = [(row["prediction"]["prediction"], row["outcome"]["outcome"]) for row in rows]
    hits = pairs.count((1, 1))
    scored = [
        (row["prediction"]["score"], row["outcome"]["outcome"])
        for row in rows
        if row["prediction"]["score"] is not None
    ]

    assert day["positive"] == 1
    assert day["precision"] == pytest.approx(hits / sum(p == 1 for p, _ in pairs))
    assert day["recall"] == pytest.approx(hits / sum(o == 1 for _, o in pairs))
    assert {(p, o): n for p, o, n in day["confusion"]} == {
        pair: pairs.count(pair) for pair in set(pairs)
    }
    assert day["brier"] == pytest.approx(np.mean([(s - o) ** 2 for s, o in scored]), abs=1e-12)
    log_loss = -np.mean([math.log(s if o else 1 - s) for s, o in scored])
    assert day["log_loss"] == pytest.approx(log_loss, abs=1e-12)
    assert day["ece"] < 4 * day["ece_by_chance"]
    assert sum(each["n"] for each in day["reliability"]) == len(scored)


def test_versions_are_counted_apart_and_add_up() -> None:
    for start, day in latest(classes(), "day").items():
        parts = [latest(classes(), "day", version)[start] for version in ("1", "2")]

        assert day["n"] == sum(each["n"] for each in parts)
        assert day["labelled"] == sum(each["labelled"] for each in parts)


def test_hours_add_up_to_their_day_until_they_are_followed_no_longer() -> None:
    found = played(traffic(1, 600, 1.2, int), spec=HOURLY)
    hours = latest(found, "hour")
    first = latest(found, "day")["2026-01-01T00:00:00.000Z"]

    of_first = [each for start, each in hours.items() if start.startswith("2026-01-01")]
    assert sum(each["n"] for each in of_first) == first["n"]
    assert sum(each["labelled"] for each in of_first) <= first["labelled"]
    assert all(each["is_final"] for each in of_first)


def test_a_record_restates_the_one_before_it() -> None:
    records = [
        each
        for each in classes().cohorts
        if each["kind"] == "day" and each["model_version"] is None
    ]
    ids = [each["metric_id"] for each in classes().cohorts]

    assert len(set(ids)) == len(ids)
    for start in {each["start"] for each in records}:
        chain = [each for each in records if each["start"] == start]
        before = [each["metric_id"] for each in chain]
        assert [each["supersedes"] for each in chain] == [None, *before[:-1]]
        assert [each["labelled"] for each in chain] == sorted(each["labelled"] for each in chain)
        assert len(chain) <= len(AGES_MS) + 1 + len(COMPLETE)


def test_a_regression_has_distances() -> None:
    events = traffic(2, 600, 2, lambda x: 10.0 * x + 0.5)
    regression = played(events)
    day = latest(regression, "day")["2026-01-01T00:00:00.000Z"]
    rows = rows_of_days(regression)[START_MS]
    off = [row["prediction"]["prediction"] - row["outcome"]["outcome"] for row in rows]

    assert day["is_final"]
    assert day["errors"] is day["error"] is day["auc"] is None
    assert day["mae"] == pytest.approx(np.mean(np.abs(off)), abs=1e-12)
    assert day["rmse"] == pytest.approx(np.sqrt(np.mean(np.square(off))), abs=1e-12)
    assert day["bias"] == pytest.approx(np.mean(off), abs=1e-12)


@pytest.mark.parametrize("how", ["gathered", "restarted"])
def test_neither_the_cut_of_the_log_nor_a_restart_changes_a_record(how: str) -> None:
    events = traffic(3, 170, 2, int)
    expected = play(log_of(events), lambda _model_id: HOURLY).bytes_of("metrics")

    if how == "gathered":
        other = played(events, play_gathering, HOURLY, read_every=1)
    else:
        other = how_restarted(events)

    assert len(expected) > 50
    assert other.bytes_of("metrics") == expected


def how_restarted(events: list[Accepted]) -> Played:
    return play_restarting(log_of(events, 20), lambda _model_id: HOURLY)


def test_a_model_whose_spec_asks_for_none_has_no_figures() -> None:
    silent = play(log_of(traffic(4, 50, 3, int)))

    assert silent.of("metrics") == []


def test_more_labels_than_have_a_name_are_counted_together_and_errors_stay_right() -> None:
    values = [
        value
        for row in range(400)
        for value in (
            prediction(f"{row}", prediction=f"c{row % 40}", score=0.9),
            outcome(f"{row}", outcome=f"c{(row + (row % 4 == 0)) % 40}"),
        )
    ]
    played = play(log_of(taken_in(values)), lambda _model_id: HOURLY)
    (model,) = played.monitor.models.values()
    day = closing(model)

    assert day["errors"] == 100
    assert sum(n for p, o, n in day["confusion"] if p == o != "(other)") == 150
    assert sum(n for _, _, n in day["confusion"]) == 400
    assert day["auc"] == 0.5


def closing(model: ModelMonitor) -> Json:
    records = [orjson.loads(each.value) for each in model.closing(Place(0, 0))]
    return next(each for each in records if each["kind"] == "day")


def test_a_spec_in_the_log_begins_the_figures() -> None:
    events = traffic(5, 200, 4, int)
    half = len(events) // 2
    begun = _at(0, events[half].logged_at, spec(metrics={"every": "day"}))

    played = play(log_of([*events[:half], begun, *events[half:]]))

    days = [each for each in played.cohorts if each["model_version"] is None]
    assert days
    assert all(each["labelled"] <= each["n"] for each in days)


def test_versions_beyond_the_limit_are_counted_together_with_their_outcomes() -> None:
    rows = MOST_VERSIONS + 3
    values = [
        value
        for row in range(rows)
        for value in (prediction(f"{row}", model_version=f"v{row}"), outcome(f"{row}"))
    ]

    (model,) = play(log_of(taken_in(values)), lambda _model_id: DAILY).monitor.models.values()

    assert closing(model)["labelled"] == rows


@pytest.mark.parametrize("other", [{}, {"metrics": {"every": "day", "cohorts": False}}])
def test_a_spec_that_asks_for_no_cohorts_ends_them(other: Json) -> None:
    events = traffic(5, 200, 4, int)
    half = len(events) // 2
    begun = _at(0, events[0].logged_at, spec(metrics={"every": "day"}))
    ended_ms = events[half].logged_at

    played = play(log_of([begun, *events[:half], _at(1, ended_ms, spec(**other)), *events[half:]]))

    cohorts = played.cohorts
    assert cohorts
    assert max(each["as_of"] for each in cohorts) <= to_rfc3339(ended_ms)
    (model,) = played.monitor.models.values()
    assert not [each for each in model.closing(Place(0, 0)) if b"tidegauge.metric." in each.value]
