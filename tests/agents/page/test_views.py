from __future__ import annotations

import pytest

from agents.page.people import challenges_view, reviews_view
from agents.page.report import answers
from agents.page.views import PAGE_SIZE, PortfolioQuery, alert_view, model_view, portfolio
from schemas.wire import to_rfc3339
from streams.clock import DAY_MS, HOUR_MS
from tests.agents.page.sample import NOW_MS, Log, alert, golden, small_log


def names(log: Log, **query: object) -> list[str]:
    found = portfolio(log.store, PortfolioQuery(**query))  # type: ignore[arg-type]
    return [row["model_id"] for row in found["rows"]]


def test_models_that_need_a_person_come_first_and_then_the_one_that_waits_longest() -> None:
    log = Log()
    log.days("calm", 2)
    log.fire(alert("warning", severity="warning"))
    log.fire(alert("newer"))
    log.fire(alert("older", started_at=to_rfc3339(NOW_MS - 9 * DAY_MS)))
    muted = alert("muted")
    log.fire(muted, muted_until=to_rfc3339(NOW_MS + DAY_MS))

    assert names(log)[:2] == ["older", "muted"]
    assert names(log)[-2:] == ["warning", "calm"]
    assert names(log, state="muted") == ["muted"]
    assert names(log, state="calm") == ["calm"]
    assert names(log, sort="model", descending=True)[0] == "warning"


def test_the_row_of_a_model_says_since_when_how_bad_and_what_else_moved() -> None:
    row = portfolio(small_log().store, PortfolioQuery())["rows"][0]

    assert row["model_id"] == "car_loan"
    assert row["open"] == {"critical": 1, "warning": 1}
    assert row["since"] == to_rfc3339(NOW_MS - 3 * DAY_MS)
    assert row["worst"]["series"] == "error"
    assert row["error"] == pytest.approx(0.079)
    assert row["completeness"] == pytest.approx(0.9)
    assert len(row["line"]) == 14


def test_the_error_to_be_expected_stands_for_the_one_counted_so_far() -> None:
    log = Log()
    log.days("car_loan", 3, nowcast={"error": 0.2}, completeness={"share": 0.4})

    row = portfolio(log.store, PortfolioQuery())["rows"][0]

    assert (row["error"], row["completeness"], row["is_counted"]) == (0.2, 0.4, False)


def test_the_money_of_a_model_is_that_of_its_costliest_alert() -> None:
    log = Log()
    log.fire(alert("car_loan", value_at_risk={"per_day": 40.0, "currency": "EUR"}))
    log.fire(alert("car_loan", "score", value_at_risk={"per_day": 90.0, "currency": "EUR"}))

    row = portfolio(log.store, PortfolioQuery())["rows"][0]

    assert (row["per_day"], row["currency"]) == (90.0, "EUR")


def test_many_models_come_by_the_page_and_are_found_by_a_part_of_their_name_or_owner() -> None:
    log = Log()
    for number in range(250):
        log.put("models", f"model-{number:03}", {"owner": "Risk" if number == 7 else None})

    assert names(log)[0] == "model-000"
    assert names(log, page=2) == [f"model-{number:03}" for number in range(200, 250)]
    assert names(log, page=9) == []
    assert names(log, search="L-24") == [f"model-{number:03}" for number in range(240, 250)]
    assert names(log, search="risk") == ["model-007"]
    assert len(names(log)) == PAGE_SIZE


def test_an_alert_is_shown_with_its_history_and_what_happened_beside_it() -> None:
    log = Log()
    early = alert("car_loan", started_at=to_rfc3339(NOW_MS - 20 * DAY_MS))
    log.fire(early | {"detected_at": early["started_at"], "fired_at": early["started_at"]})
    log.resolve(early | {"detected_at": to_rfc3339(NOW_MS - 19 * DAY_MS)})
    log.fire(alert("car_loan", episode=2))
    log.fire(alert("car_loan", episode=2, sequence=1, status="ongoing"))
    log.fire(alert("car_loan", "score", started_at=to_rfc3339(NOW_MS - 2 * DAY_MS - HOUR_MS)))

    found = alert_view(log.store, early["fingerprint"][:10])

    assert found is not None
    assert (found["alert"]["episode"], found["is_open"]) == (2, True)
    assert [each["status"] for each in found["transitions"]] == ["firing", "ongoing"]
    assert [each["episode"] for each in found["earlier"]] == [1]
    assert [each["series"] for each in found["lanes"]] == ["error", "score"]


def test_an_earlier_episode_has_an_address_of_its_own() -> None:
    log = Log()
    first = alert("car_loan")
    log.fire(first)
    log.resolve(first)
    log.fire(alert("car_loan", episode=2))

    found = alert_view(log.store, first["fingerprint"], 1)

    assert found is not None
    assert (found["alert"]["episode"], found["is_open"]) == (1, False)
    assert alert_view(log.store, first["fingerprint"], 3) is None
    assert alert_view(log.store, "0000") is None


def test_a_series_is_shown_before_and_since_the_onset() -> None:
    log = small_log()
    fingerprint = alert("car_loan", "feature/car_value")["fingerprint"]

    found = alert_view(log.store, fingerprint)

    assert found is not None
    series = found["series"]
    assert len(series["points"]["mean"]) == 30
    change = series["change"]
    assert change["rows"] == 3 * 400, "three days since the onset"
    assert len(change["edges"]) == len(change["was"]) + 1 == len(change["is"]) + 1
    assert change["is"][-1] > 2 * change["was"][-1]
    assert sum(change["is"]) == pytest.approx(1)


def test_a_model_is_shown_with_the_series_that_moved() -> None:
    found = model_view(small_log().store, "car_loan")

    assert found is not None
    assert [each["series"] for each in found["open"]] == ["error", "feature/car_value"]
    assert found["features"][0]["series"] == "feature/car_value"
    assert found["features"][0]["change"]["rows"] == 400
    assert len(found["days"]) == 30
    assert model_view(small_log().store, "unknown") is None


def test_an_incident_is_listed_while_it_is_open_and_named_beside_its_alerts() -> None:
    log = small_log()
    fingerprint = alert("car_loan")["fingerprint"]

    shown = alert_view(log.store, fingerprint)
    listed = portfolio(log.store, PortfolioQuery())["incidents"]
    log.put("incidents", "i1", golden("incident", status="over"))

    assert shown is not None
    assert [shown["incident"]] == listed
    assert not portfolio(log.store, PortfolioQuery())["incidents"]


def test_cases_wait_without_their_features_until_they_are_answered() -> None:
    log = small_log()
    log.put("reviews", "r2", golden("review", status="open", risk=0.99, features={"income": 1}))

    shown = reviews_view(log.store)
    log.put("reviews", "r2", golden("review", status="answered"))

    assert shown["open"] == 2
    assert shown["cases"][0]["risk"] == 0.99
    assert "features" not in shown["cases"][0]
    assert [each["model_id"] for each in shown["reviewed"]] == ["car_loan"]
    assert reviews_view(log.store)["open"] == 1


def test_the_latest_comparison_of_each_challenger_is_shown() -> None:
    log = small_log()
    later = golden("challenge", model_id="car_loan", as_of="2099-01-01T00:00:00.000Z", pairs=9)
    log.put("metrics", "car_loan|challenge|later", later)

    [shown] = challenges_view(log.store)["challenges"]

    assert shown["pairs"] == 9


def test_a_report_has_the_figures_of_its_time_and_each_series_once() -> None:
    log = small_log()
    since_ms = NOW_MS - 10 * DAY_MS

    found = answers(log.store, since_ms)

    model = found["/api/model car_loan"]
    own = found[f"/api/alert {alert('car_loan', 'feature/car_value')['fingerprint']} 1"]
    assert len(model["days"]) == 10
    assert len(model["shared"]["feature/car_value"]["points"]["mean"]) == 10
    assert own["series"].keys() == {"change"}
    assert own["lanes"]
    assert len(answers(log.store)["/api/model car_loan"]["days"]) == 30
