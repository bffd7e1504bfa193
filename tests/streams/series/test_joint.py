"""Series that are made of features: their relation, and their parts in the answers."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from schemas.model_spec import ModelSpec
from streams.clock import DAY_MS
from streams.codec import encode
from streams.detect.budget import shares
from streams.model.state import figures_of_snapshot
from streams.series.attributions import MOST, columns, parts_of
from streams.series.joint import LEARNT, Joint
from streams.series.offline import profile, watch_of
from streams.series.watch_spec import WatchSpec
from tests.doubles.core import Json, Played, log_of, play, play_gathering, play_restarting, taken_in
from tests.doubles.inputs import START_MS, accepted, prediction

JOINT_SPEC = ModelSpec.model_validate({"features": {"joint": True}, "reference": {"rows": 400}})
CHANGE, ROWS = 3_600, 4_300
"""References are known after 500 rows, the relation 2,000 later, and its distances 400 after."""


def draw(rng: np.random.Generator, relation: float) -> dict[str, Any]:
    first = float(rng.normal())
    second = relation * first + float(np.sqrt(1 - relation**2) * rng.normal())
    kind = "abc"[min(int(2 + first + rng.normal() / 2), 2) if first > -2 else 0]
    return {"a": first, "b": second, "kind": kind}


def rows(seed: int, n: int, relation: float = 0.8) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [draw(rng, relation) for _ in range(n)]


@cache
def joint_log() -> tuple[bytes, ...]:
    rng = np.random.default_rng(81)
    values = []
    for row in range(ROWS):
        features = draw(rng, 0.8 if row < CHANGE else -0.2)
        values.append(prediction(f"{row}", prediction=row % 2, features=features))
    return tuple(log_of(taken_in(values), 100))


def spec_of(_model_id: str) -> ModelSpec:
    return JOINT_SPEC


@cache
def played() -> Played:
    return play_gathering(joint_log(), 5, spec_of)


def test_features_that_change_together_are_told_and_none_of_them_alone() -> None:
    (alert,) = played().firings()

    assert (alert["kind"], alert["series"], alert["aspect"]) == ("joint", "joint", "level")
    assert CHANGE < alert["predictions_seen"] < CHANGE + 400
    assert "the joint distance of features rose" in alert["summary"]
    assert alert["direction"] == "up"


def test_how_the_log_is_cut_and_a_restart_change_nothing() -> None:
    whole = played().bytes_of("alerts")

    assert play(joint_log(), spec_of).bytes_of("alerts") == whole
    assert play_restarting(joint_log(), spec_of).bytes_of("alerts") == whole


def test_nothing_is_watched_that_is_not_asked_for() -> None:
    found = play_gathering(joint_log(), 5)

    assert found.firings() == []
    series = found.monitor.models["m"].series
    assert series.state.joint is None
    assert "joint" not in series


def test_the_relation_can_be_given_up_by_a_spec() -> None:
    series = play_gathering(joint_log()[:30], 5, spec_of).monitor.models["m"].series
    assert "joint" in series

    series.respec(ModelSpec(), 0)

    assert series.state.joint is None
    assert "joint" not in series


def test_it_is_told_while_the_relation_is_learnt() -> None:
    young, later = (play(joint_log()[:n], spec_of).monitor.models["m"] for n in (3, 12))

    (waits,) = figures_of_snapshot(young.snapshot(), JOINT_SPEC)
    (learns,) = figures_of_snapshot(later.snapshot(), JOINT_SPEC)

    assert waits == "The features together wait until two of them have references."
    assert learns == "The relation of features is learnt from 701 of 2,000 rows."
    assert figures_of_snapshot(played().monitor.models["m"].snapshot(), JOINT_SPEC) == []


def relation() -> Joint:
    given = rows(82, 2_000)
    outlines = []
    for name in ("a", "b", "kind"):
        spec = WatchSpec(role="feature")
        outline = watch_of(spec, profile(spec, [each[name] for each in given])).outline
        assert outline is not None
        outlines.append((name, outline))
    made = Joint.of(outlines)
    assert made is not None
    return made


def test_a_value_is_the_logarithm_of_a_mahalanobis_distance() -> None:
    joint, given = relation(), rows(83, LEARNT + 500)
    scores = np.column_stack(
        [scale.parts_of([each[scale.feature] for each in given]) for scale in joint.scales]
    )
    z = scores / 1_024
    learnt = z[:LEARNT]
    covariance = 0.98 * np.cov(learnt.T, bias=True) + 0.02 * np.eye(3)
    away = z[LEARNT:] - learnt.mean(axis=0)
    expected = np.log(np.einsum("ij,jk,ik->i", away, np.linalg.inv(covariance), away))

    told = joint.read(given)

    assert told[:LEARNT] == [None] * LEARNT
    assert told[LEARNT:] == pytest.approx(expected.tolist(), abs=1e-3)
    assert np.abs(z).max() <= 3.5
    assert np.abs(z.mean(axis=0)).max() < 0.15


def test_rows_are_cut_anywhere() -> None:
    whole, cut, given = relation(), relation(), rows(84, LEARNT + 50)

    values = whole.read(given)

    assert [x for at in range(0, len(given), 333) for x in cut.read(given[at : at + 333])] == values
    assert encode(cut) == encode(whole)


def test_missing_and_unknown_values_have_a_score() -> None:
    joint = relation()
    joint.read(rows(85, LEARNT))

    told = joint.read([{}, {"a": None, "b": "text", "kind": "new"}])

    assert all(x is not None and np.isfinite(x) for x in told)


# Attributions


def explained(row: int, *, moved: bool, rng: np.random.Generator) -> Json:
    sizes = {"a": 3.0, "b": 2.0, "c": 1.0} if not moved else {"a": 1.0, "b": 2.0, "c": 3.0}
    return {name: size * float(rng.uniform(-1.5, 1.5)) for name, size in sizes.items()}


def attribution_log(*, with_drift: bool) -> list[bytes]:
    rng = np.random.default_rng(86)
    values = []
    for row in range(1_500):
        moved = row >= 1_200
        features = {name: float(rng.normal()) for name in "abc"}
        if with_drift and row >= 1_180:
            features["a"] += 9.0
        values.append(
            prediction(
                f"{row}",
                features=features,
                explanation=explained(row, moved=moved, rng=rng),
            )
        )
    return log_of(taken_in(values))


ATTRIBUTION_SPEC = ModelSpec.model_validate({"features": {"attributions": True}})


def attributed(log: list[bytes]) -> Played:
    return play_gathering(log, 3, lambda _model_id: ATTRIBUTION_SPEC)


def test_a_feature_that_weighs_differently_is_told() -> None:
    log = attribution_log(with_drift=False)
    found = attributed(log)

    told = {(each["kind"], each["series"], each["direction"]) for each in found.firings()}

    assert ("attribution", "attribution/a", "down") in told
    assert ("attribution", "attribution/c", "up") in told
    assert {kind for kind, _, _ in told} == {"attribution"}
    other = play(log, lambda _model_id: ATTRIBUTION_SPEC)
    assert other.bytes_of("alerts") == found.bytes_of("alerts")


def test_an_alert_of_the_feature_itself_goes_before() -> None:
    found = attributed(attribution_log(with_drift=True))

    fired = {each["series"] for each in found.firings()}
    last = {each["alert"]["series"]: each["alert"] for each in found.of("status") if each["alert"]}

    assert "feature/a" in fired
    assert "attribution/a" not in fired
    assert "attribution/c" in fired
    assert last["attribution/a"]["under"] == last["feature/a"]["fingerprint"]


def test_the_order_of_features_is_a_figure_of_the_day() -> None:
    given = {"metrics": {"every": "day"}, "features": {"attributions": True}}
    rng, values = np.random.default_rng(87), []
    for row in range(1_200):  # 12 days of 100, the last three of other attributions
        at_ms = START_MS + row * DAY_MS // 100
        parts = explained(row, moved=row >= 900, rng=rng)
        value = prediction(f"{row}", predicted_at=at_ms, explanation=parts)
        values.append(replace(accepted(value, logged_at=at_ms), offset=row))

    found = play(log_of(values), lambda _model_id: ModelSpec.model_validate(given))
    days = [each for each in found.of("metrics") if each["type"] == "tidegauge.series.v1"]
    told = [each["attribution_ndcg"] for each in days]

    references = [each for each in found.of("metrics") if each["type"] == "tidegauge.reference.v1"]
    means = {each["reference_id"]: each["mean"] for each in references}
    c, b, a = (
        means[each["reference_id"]]
        for name in "cba"
        for each in days[10]["series"]
        if each["series"] == f"attribution/{name}"
    )
    assert told[8] == pytest.approx(1)
    gains = [
        first + second / np.log2(3) + third / 2 for first, second, third in ((c, b, a), (a, b, c))
    ]
    assert told[10] == pytest.approx(gains[0] / gains[1])
    assert told[10] < 0.9


def test_all_attributions_together_have_the_budget_of_one_series() -> None:
    assert shares(0.2, ["feature", "attribution", "attribution"]) == [0.045, 0.0225, 0.0225]


def test_parts_are_of_the_sizes_and_new_features_have_none_before() -> None:
    rows_of = [parts_of({"a": 1.0}), parts_of({"a": -1.0, "b": 3.0})]
    given = [parts for parts in rows_of if parts is not None]

    made = columns(given, (), np.zeros(2, np.int64))

    assert [(each.series, each.values) for each in made] == [
        ("attribution/a", [1.0, 0.25]),
        ("attribution/b", [None, 0.75]),
    ]
    assert parts_of({"a": 0.0}) is parts_of(None) is None
    many = [{f"f{number}": 1.0 for number in range(80)}]
    assert len(columns(many, (), np.zeros(1, np.int64))) == MOST
