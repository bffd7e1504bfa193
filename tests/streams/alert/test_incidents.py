"""Incidents: alerts of several models with one cause."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from schemas.alert import Alert
from schemas.incident import Incident
from schemas.wire import to_rfc3339
from streams.alert.incidents import Incidents
from streams.clock import DAY_MS, HOUR_MS
from tests.doubles import alerts as doubles
from tests.doubles.inputs import START_MS

MINUTE_MS = 60_000


def alert(model_id: str, series: str = "feature/income", at_ms: int = 0, **fields: Any) -> Alert:
    """Return a firing a minute after its onset."""
    made: dict[str, Any] = {
        "model_id": model_id,
        "series": series,
        "fingerprint": f"{model_id}/{series}",
        "started_at": to_rfc3339(START_MS + at_ms),
        "fired_at": to_rfc3339(START_MS + at_ms + MINUTE_MS),
        "detected_at": to_rfc3339(START_MS + at_ms + MINUTE_MS),
        "episode": 1,
        "sequence": 0,
    }
    return doubles.alert(**made | fields)


def resolved(one: Alert, after_ms: int) -> Alert:
    at = to_rfc3339(START_MS + after_ms)
    fields = {"status": "resolved", "sequence": one.sequence + 1, "detected_at": at}
    return one.model_copy(update=fields)


def found(alerts: list[Alert]) -> list[Incident]:
    incidents = Incidents()
    for each in alerts:
        incidents.add(each)
    return list(incidents.found().values())


def test_two_models_whose_feature_moves_within_an_hour_are_one_incident() -> None:
    (one,) = found([alert("loan"), alert("card", at_ms=20 * MINUTE_MS)])

    assert (one.status, one.models) == ("open", 2)
    assert (one.cause.kind, one.cause.name) == ("feature", "income")
    assert [each.model_id for each in one.members] == ["loan", "card"]
    assert one.opened_at == to_rfc3339(START_MS + 21 * MINUTE_MS)
    assert one.summary.startswith("2 models (loan, card) changed from ")
    assert one.summary.endswith("Check feature income first.")
    assert one.chance < 1e-3


def test_the_set_of_alerts_decides_and_not_their_order() -> None:
    alerts = [alert(f"m{n}", at_ms=n * 10 * MINUTE_MS) for n in range(8)]
    alerts += [alert(f"m{n}", "error", at_ms=n * MINUTE_MS) for n in range(4)]
    alerts += [resolved(each, DAY_MS) for each in alerts[:3]]
    expected = found(alerts)

    assert expected
    for seed in range(5):
        shuffled = [alerts[place] for place in np.random.default_rng(seed).permutation(len(alerts))]
        assert found(shuffled + alerts[:4]) == expected


def test_onsets_that_lie_hours_apart_are_none() -> None:
    assert not found([alert("loan"), alert("card", at_ms=2 * HOUR_MS)])


def test_one_model_is_none_however_many_features_move() -> None:
    assert not found([alert("loan", f"feature/f{n}") for n in range(9)])


def test_a_change_that_took_long_to_be_seen_is_near_others_of_that_time() -> None:
    slow = alert("card", at_ms=-3 * HOUR_MS, fired_at=to_rfc3339(START_MS))

    assert len(found([alert("loan"), slow])) == 1


def test_features_of_one_source_are_one_incident() -> None:
    crm: dict[str, Any] = {"source": "crm.customers"}
    (one,) = found([alert("loan", "feature/income", **crm), alert("card", "feature/age", **crm)])

    assert (one.cause.kind, one.cause.name) == ("source", "crm.customers")


def test_without_a_named_cause_it_takes_three_models() -> None:
    silent = [alert(f"m{n}", "predictions", kind="silence", aspect="silence") for n in range(3)]

    assert not found(silent[:2])
    (one,) = found(silent)
    assert one.cause.kind == "unknown"
    assert one.opened_at == to_rfc3339(START_MS + MINUTE_MS)


def test_an_upstream_model_goes_before_the_features_that_it_makes() -> None:
    behind = {"upstream": ("eta",)}
    alerts = [
        alert("eta", "error", kind="performance"),
        alert("price", "feature/eta", at_ms=5 * MINUTE_MS, **behind),
        alert("dispatch", "feature/eta", at_ms=9 * MINUTE_MS, **behind),
    ]

    (one,) = found(alerts)

    assert (one.cause.kind, one.cause.name, one.models) == ("model", "eta", 3)
    assert [(each.kind, each.name) for each in one.other_causes] == [("feature", "eta")]


def test_it_is_over_when_all_are_and_forgotten_a_week_later() -> None:
    both = [alert("loan"), alert("card")]
    over = [resolved(each, DAY_MS) for each in both]

    assert found([*both, over[0]])[0].status == "open"
    assert found([*both, *over])[0].status == "over"
    assert found([*both, *over])[0].summary.endswith("and are back to normal.")
    assert not found([*both, *over, alert("other", at_ms=9 * DAY_MS)])


def test_a_feature_that_alarms_all_the_time_is_no_evidence() -> None:
    noisy = [alert(f"m{n}", at_ms=-n * 5 * HOUR_MS, episode=n) for n in range(1, 30)]

    assert not [each for each in found([*noisy, alert("a"), alert("b")]) if each.models == 2]


def test_money_is_that_of_each_model_once() -> None:
    lost = {
        "currency": "EUR", "since": to_rfc3339(START_MS), "as_of": to_rfc3339(START_MS),
        "lost": 10.0, "low": 5.0, "high": 15.0, "per_day": 100.0, "deterioration": 8.0,
        "open_labels": 0,
    }  # fmt: skip
    alerts = [
        alert("loan", "feature/income", value_at_risk=lost),
        alert("loan", "error", value_at_risk=lost),
        alert("card", "feature/income", value_at_risk=lost | {"per_day": 50.0}),
    ]

    (one,) = found(alerts)

    assert (one.value_per_day, one.currency) == (150.0, "EUR")


@pytest.mark.parametrize("names", [("x" * 200, "y" * 200, "z" * 200), ("a\nb", "c", "d")])
def test_a_sentence_is_one_line_of_at_most_200_characters(names: tuple[str, ...]) -> None:
    (one,) = found([alert(name, f"feature/{'f' * 200}") for name in names])

    assert len(one.summary) <= 200
    assert "\n" not in one.summary
