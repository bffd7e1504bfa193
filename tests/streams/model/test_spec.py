"""A spec in the log: what it changes, and that it changes nothing before its place."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from schemas.model_spec import ModelSpec
from streams.detect.blip import BLIP_ROWS
from streams.ingest.records import Accepted
from streams.model.spec import SpecInForce
from streams.series.offline import profile
from streams.series.watch_spec import WatchSpec
from tests.doubles.core import Json, Played, log_of, play, play_restarting, snapshots, taken_in
from tests.doubles.inputs import Removal, accepted, outcome, prediction, spec
from tests.doubles.story import story

Values = list[bytes | Removal]
STORY: Values = list(story(rows=1_200, onset=450))
AT = 400
"""Prediction before which a spec comes; the story turns at 450."""


def with_spec(given: bytes | Removal, values: Values = STORY, at: int = AT) -> Values:
    return [*values[: 2 * at], given, *values[2 * at :]]


def cut(values: Values, places: Sequence[int] = (2 * AT, 2 * AT + 1)) -> list[bytes]:
    """Write a log in which a spec at its usual place has a record of its own."""
    events = taken_in(values)
    edges = [0, *places, len(events)]
    return [record for start, end in pairwise(edges) for record in log_of(events[start:end], 100)]


def alerts(played: Played) -> list[tuple[str, str, int]]:
    return [(a["series"], a["aspect"], a["predictions_seen"]) for a in played.of("alerts")]


def played_with(values: Values = STORY, at: int = AT, **fields: Any) -> Played:
    return play(cut(with_spec(spec(**fields), values, at), (2 * at, 2 * at + 1)))


UNCHANGED = play(cut(STORY, (2 * AT,)))


def test_a_spec_changes_nothing_before_its_place() -> None:
    log = cut(with_spec(spec(features={"ignore": ["a", "b"]}), at=700), (1_400, 1_401))

    before = play(log[:14]).emissions

    assert before == play(cut(STORY, (1_400,))[:14]).emissions
    assert before == play(log).emissions[: len(before)]
    assert {each.role for each in before} == {
        "alerts",
        "status",
        "feedback",
        "commands",
        "labelled",
    }


def test_an_alert_says_under_which_spec_it_was_raised() -> None:
    between = sum(alert["predictions_seen"] for alert in UNCHANGED.of("alerts")) // 2
    values = with_spec(spec(owner="risk"), at=between)
    values.insert(100, spec(owner="nobody"))

    played = play(log_of(taken_in(values), 500))

    assert [alert["spec_version"] for alert in UNCHANGED.of("alerts")] == [0, 0]
    assert [alert["spec_version"] for alert in played.of("alerts")] == [1, 2]
    assert alerts(played) == alerts(UNCHANGED)


def test_another_budget_moves_every_threshold() -> None:
    loud, silent = played_with(alert_budget=500.0), played_with(alert_budget=1e-6)

    firsts = [
        next(row for series, _, row in alerts(each) if series == "error")
        for each in (loud, UNCHANGED, silent)
    ]

    assert firsts == sorted(set(firsts))


def test_a_feature_that_is_ignored_ends_and_may_come_back_as_a_new_one() -> None:
    ignoring = with_spec(spec(features={"ignore": ["a"]}))
    back = [*ignoring, spec(), *(prediction(f"q{row}", features={"a": 3.0}) for row in range(9))]

    assert [series for series, _, _ in alerts(play(cut(ignoring)))] == ["error"]
    watched = play(cut(back)).monitor.models["m"].series
    assert [series.name for series in watched] == [
        "feature/b",
        "prediction",
        "error",
        "outcome",
        "feature/a",
    ]


def test_what_an_ignored_feature_had_of_the_budget_goes_to_the_others() -> None:
    rng = np.random.default_rng(0)
    names = [f"f{n}" for n in range(40)]
    values: Values = [
        prediction(f"p{row}", features={name: float(rng.normal()) for name in names})
        for row in range(600)
    ]

    def budget_of(played: Played) -> float:
        return played.monitor.models["m"].series["feature/f0"].watch._false_alarms

    ignored = play(cut([*values, spec(features={"ignore": names[1:]})], ()))

    assert budget_of(ignored) == pytest.approx(0.2 / 2 * 0.9 / 2)
    assert budget_of(play(cut(values, ()))) == pytest.approx(0.2 / 2 * 0.9 / 41)


def test_a_feature_that_is_a_code_from_now_on_is_learnt_anew() -> None:
    def coded(count: int, first: int) -> list[bytes]:
        rng = random.Random(first)  # noqa: S311 - test data
        return [
            prediction(f"{first} {row}", features={"zip": rng.randrange(1_000, 1_030)})
            for row in range(count)
        ]

    shift = [prediction(f"s{row}", features={"zip": 900 + row % 2}) for row in range(60)]
    said = spec(features={"categorical": ["zip"]})

    as_numbers = play(cut([*coded(2_600, 1), *coded(2_600, 2), *shift], ()))
    as_codes = play(cut([*coded(2_600, 1), said, *coded(2_600, 2), *shift], ()))

    assert {aspect for _, aspect, _ in alerts(as_numbers)} <= {"level", "spread"}
    assert ("feature/zip", "unseen", 5_201) in alerts(as_codes)
    assert {aspect for _, aspect, _ in alerts(as_codes)} <= {"unseen", "share"}


def test_rows_to_learn_from_are_for_what_is_learnt_from_now_on() -> None:
    def later(name: str) -> list[bytes]:
        """Publish a category that turns up as a feature, and another value after 500 rows."""
        return [
            prediction(f"{name}{row}", features={name: "ab"[row % 2] if row < 500 else "c"})
            for row in range(520)
        ]

    said = spec(reference={"rows": 400})
    half = later("x")
    played = play(cut([*half[:100], said, *half[100:], *later("y")], ()))

    assert ("feature/y", "unseen", 520 + 501) in alerts(played)
    assert ("feature/x", "unseen", 501) not in alerts(played)


def test_a_series_that_is_learnt_again_takes_the_rows_of_the_spec_in_force() -> None:
    played = play(cut(with_spec(spec(reference={"rows": 20_000}))))

    first, now = (each.monitor.models["m"].series for each in (UNCHANGED, played))
    assert first["feature/a"].watch._learning._stages[0] == 1_000
    assert now["feature/a"].watch._learning._stages[0] == 10_000
    assert not now["feature/b"].watch.is_learning


def test_a_profile_replaces_what_was_learnt_at_once() -> None:
    elsewhere = np.random.default_rng(1).normal(5.0, 1.0, 3_000).tolist()
    made = profile(WatchSpec(role="feature"), elsewhere)

    played = played_with(reference={"profile": {"feature/a": made}})

    first = played.of("alerts")[0]
    assert first["series"] == "feature/a"
    assert first["series_seen"] == first["predictions_seen"] - AT <= BLIP_ROWS
    assert first["summary"] == (
        "Model m: feature a fell from 4.998 in training to -0.4263 (-5.45 sd), since "
        "2026-01-01 00:06 UTC, 24 predictions ago. Check its upstream source."
    )


def test_a_profile_that_is_given_again_replaces_nothing() -> None:
    made = profile(WatchSpec(role="feature"), np.random.default_rng(1).normal(0, 1, 900).tolist())
    rules = {"profile": {"feature/a": made}}

    twice = with_spec(spec(reference=rules), at=200)
    twice.insert(801, spec(reference=rules, owner="risk"))

    (first, *_) = play(cut(twice, (400, 401, 801, 802))).of("alerts")
    assert first["series"] == "feature/a"
    assert first["series_seen"] == first["predictions_seen"] - 200


def late(rows: int, by_rows: int) -> Values:
    """Publish predictions a second apart whose outcomes come so many rows later."""
    return [
        value
        for row in range(rows + by_rows)
        for value in (
            ([prediction(f"p{row}")] if row < rows else [])
            + ([outcome(f"p{row - by_rows}")] if row >= by_rows else [])
        )
    ]


def test_who_waits_longer_than_the_new_spec_allows_goes_at_once() -> None:
    values = late(300, 50)
    at = 300

    patient = play(cut(values, (at,)))
    strict = play(cut([*values[:at], spec(outcome={"wait_s": 30.0}), *values[at:]], (at, at + 1)))

    assert len(patient.of("labelled")) == 300
    rows = [row["prediction"]["prediction_id"] for row in strict.of("labelled")]
    assert rows == [row["prediction"]["prediction_id"] for row in patient.of("labelled")][:125]
    counts = strict.monitor.models["m"].join.counts
    assert counts.expired_predictions > 0
    assert counts.pushed_out_predictions == 0


def test_who_is_one_too_many_under_the_new_spec_goes_at_once() -> None:
    values: Values = [prediction(f"p{row}") for row in range(30)]

    join = play(cut([*values, spec(outcome={"max_waiting": 10})], ())).monitor.models["m"].join

    assert join.waiting_predictions == 10
    assert join.counts.pushed_out_predictions == 20


def numbers(rows: int) -> Values:
    rng = np.random.default_rng(5)
    return [
        value
        for row in range(rows)
        for value in (
            prediction(f"p{row}", prediction=int(rng.integers(0, 9))),
            outcome(f"p{row}", outcome=int(rng.integers(0, 9))),
        )
    ]


@pytest.mark.parametrize(
    ("before", "after", "are_classes"),
    [
        (None, "regression", False),
        ("regression", "binary", True),
        ("regression", None, True),
        ("binary", None, True),
        (None, "multiclass", True),
    ],
)
def test_another_task_takes_the_answers_for_what_they_are_from_its_place_on(
    before: str | None, after: str | None, are_classes: bool
) -> None:
    values = [spec(task=before), *numbers(300), spec(task=after), *numbers(600)[600:]]

    played = play(cut(values, ()))

    rows = played.of("labelled")
    assert {row["error"] is None for row in rows[:300]} == {before != "regression"}
    assert {row["error"] is None for row in rows[300:]} == {are_classes}
    series = played.monitor.models["m"].series
    begins_anew = (before == "regression") == are_classes
    assert {series[s].watch.seen for s in ("prediction", "error", "outcome")} == {
        300 if begins_anew else 600
    }


def test_a_model_that_is_told_from_its_answers_again_may_become_a_regression() -> None:
    fraction = prediction("f", prediction=0.5)
    binary = play(cut([spec(task="binary"), fraction], ())).monitor.models["m"].series
    told = play(cut([spec(task="binary"), spec(), fraction], ())).monitor.models["m"].series

    assert not binary.is_regression
    assert told.is_regression


# Removal


def test_a_removed_model_is_forgotten_and_met_anew_with_the_defaults() -> None:
    values = with_spec(Removal(), list(story(rows=1_200, onset=9_999)))
    values.insert(0, spec(alert_budget=1e-6, features={"ignore": ["b"]}))

    played = play(cut(values, (2 * AT + 1, 2 * AT + 2)))

    model = played.monitor.models["m"]
    assert model.in_force.spec == ModelSpec()
    assert {series.watch.seen for series in model.series} == {1_200 - AT}
    assert "feature/b" in model.series
    assert played.of("alerts") == []


def test_nothing_waits_of_a_removed_model() -> None:
    values: Values = [*(prediction(f"p{row}") for row in range(300)), outcome("early"), Removal()]

    model = play(cut(values, ())).monitor.models["m"]

    assert model.join.waiting_predictions == 0
    assert model.join.snapshot().outcomes.open == b""
    assert model.join.chunk_names() == set()
    assert model.join.last_numbers()["predictions"] == 2
    assert len(model.snapshot()) < 2_500


def test_ids_are_never_given_twice() -> None:
    values: Values = [*STORY, Removal(), *STORY]
    events = taken_in(values)

    played = play(log_of(events))

    for role, id_field in (("alerts", "alert_id"), ("labelled", "labelled_id")):
        ids = [event[id_field] for event in played.of(role)]  # type: ignore[arg-type]
        assert len(ids) == len(set(ids))
    assert len(played.firings()) == 2 * len(UNCHANGED.firings())
    assert {each["resolved_because"] for each in played.of("alerts")} == {None, "removed"}


def test_what_was_taken_before_the_removal_is_not_taken_again() -> None:
    events = taken_in([*STORY[:100], Removal()])

    model = play(log_of([*events, *events])).monitor.models["m"]

    assert model.counts.repeated_events == 101
    assert model.taken == 101
    assert list(model.series) == []


def test_a_version_never_names_two_specs() -> None:
    in_force = SpecInForce(ModelSpec())
    versions = []
    for given in ({"owner": "a"}, {"owner": "b"}, None, {"owner": "c"}, None):
        in_force.take(given)
        versions.append(in_force.version)

    assert versions == [1, 2, 0, 3, 0]
    assert in_force.records == 5


# Restarts


def eventful(seed: int) -> list[bytes]:
    """Make a log of two models with specs of all sorts at places of chance."""
    chance = random.Random(seed)  # noqa: S311 - test data
    rng = np.random.default_rng(seed)
    made = profile(WatchSpec(role="feature"), rng.normal(2.0, 1.0, 400).tolist())
    with_profile = {"reference": {"profile": {"feature/a": made}, "rows": 300}}
    profile_at = chance.randrange(100, 600)  # once: trying a profile out takes longest
    specs: list[dict[str, Any]] = [
        {"alert_budget": 50.0},
        {"features": {"ignore": ["a"]}},
        {"features": {"categorical": ["b"]}, "reference": {"rows": 200}},
        {"outcome": {"wait_s": 40.0, "max_waiting": 25}},
        {"task": "regression"},
        {"task": "binary", "owner": "risk"},
        {},
    ]
    values: Values = []
    for row in range(700):
        for model_id in ("m", "n"):
            drift = 2.0 * (row > 400)
            features = {"a": float(rng.normal(drift)), "b": int(rng.integers(0, 30))}
            name = f"{model_id}{row}"
            answer = int(rng.integers(0, 2))
            values.append(prediction(name, model_id, prediction=answer, features=features))
            if row >= 20 and chance.random() < 0.8:
                values.append(outcome(f"{model_id}{row - 20}", model_id, outcome=1))
        if chance.random() < 0.05:
            values.append(spec(chance.choice("mn"), **chance.choice(specs)))
        if row == profile_at:
            values.append(spec(chance.choice("mn"), **with_profile))
        if chance.random() < 0.004:
            values.append(Removal(chance.choice("mn")))
    return log_of(taken_in(values), 120)


@pytest.mark.parametrize("seed", [9, 12, 13])
def test_a_restart_at_every_record_changes_no_byte(seed: int) -> None:
    log = eventful(seed)
    steady = play(log)

    again = play_restarting(log)

    assert again.emissions == steady.emissions
    assert snapshots(again.monitor) == snapshots(steady.monitor)
    assert len({alert["spec_version"] for alert in steady.of("alerts")}) > 2


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_how_the_log_is_cut_changes_nothing_but_the_evidence(seed: int) -> None:
    def told(played: Played) -> list[Json]:
        return [
            {name: value for name, value in alert.items() if name != "evidence"}
            for alert in played.of("alerts")
        ]

    chance = random.Random(seed)  # noqa: S311 - test data
    values = with_spec(
        spec(features={"ignore": ["b"]}, alert_budget=3.0), at=chance.randrange(1_000)
    )
    events = taken_in(values)

    assert told(play(log_of(events, 1 + 6 * seed))) == told(play(log_of(events, 500)))


# A spec that cannot be used, which ingest cannot have written

NESTED = "[" * 900 + "]" * 900
UNUSABLE = [
    '{"owned": "risk"}',
    '{"outcome": {"wait_s": 1.8e305}}',
    '{"alert_budget": 1e-15}',
    '{"reference": {"profile": {"feature/a": {"reference": {}, "state": "VERHUw=="}}}}',
    f'{{"reference": {{"profile": {{"error": {{"reference": {{"a": {NESTED}}}, "state": ""}}}}}}}}',
    "7",
]


def with_unusable(*given: str, after: Values) -> list[Accepted]:
    """Return the story's events, then specs as they never leave ingest, then more events."""
    begin, usable = taken_in([*STORY, spec(owner="x"), *after]), accepted(spec(owner="x"))
    payloads = [b'{"model_id": "m", "spec": %b}' % each.encode() for each in given]
    at = len(STORY)
    source = begin[at].source
    broken = [
        replace(usable, payload=payload, source=source, offset=offset)
        for offset, payload in enumerate(payloads)
    ]
    rest = [
        replace(each, offset=each.offset + len(broken)) if each.source == source else each
        for each in begin[at + 1 :]
    ]
    return [*begin[:at], *broken, *rest]


NINE_MORE: Values = [prediction(f"q{row}", features={"a": 3.0}) for row in range(9)]


@cache
def without_spec() -> Played:
    return play(log_of(taken_in([*STORY, *NINE_MORE])))


@pytest.mark.parametrize("given", UNUSABLE)
def test_a_spec_that_cannot_be_used_leaves_the_one_before_it_in_force(given: str) -> None:
    played = play(log_of(with_unusable(given, after=NINE_MORE)))

    model = played.monitor.models["m"]
    assert (model.in_force.spec, model.in_force.version) == (ModelSpec(), 0)
    assert model.counts.refused_specs == 1
    assert model.counts.predictions == UNCHANGED.monitor.models["m"].counts.predictions + 9
    assert [each for each in alerts(played) if each[0] != "specs"] == alerts(without_spec())
    [alert] = [each for each in played.of("alerts") if each["series"] == "specs"]
    assert (alert["kind"], alert["aspect"], alert["status"]) == ("service", "unusable", "firing")
    assert model.taken == len(STORY) + 1 + 9


def test_the_next_spec_that_can_be_used_ends_the_alert() -> None:
    played = play(log_of(with_unusable(UNUSABLE[0], UNUSABLE[1], after=[spec(owner="risk")])))

    of_specs = [alert for alert in played.of("alerts") if alert["series"] == "specs"]
    assert [(each["status"], each["spec_version"]) for each in of_specs] == [
        ("firing", 0),
        ("resolved", 1),
    ]
    assert played.monitor.models["m"].in_force.spec.owner == "risk"
    assert played.monitor.models["m"].counts.refused_specs == 2


def test_unusable_specs_and_restarts_at_every_record_change_no_byte() -> None:
    log = log_of(with_unusable(*UNUSABLE, after=[spec(owner="risk"), *STORY[:50]]), 100)
    steady = play(log)

    again = play_restarting(log)

    assert again.emissions == steady.emissions
    assert snapshots(again.monitor) == snapshots(steady.monitor)
