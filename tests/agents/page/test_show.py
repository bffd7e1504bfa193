from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from agents.page.show import as_lines, runbook_entry
from agents.page.views import alert_view
from tests.agents.page.sample import HOSTILE, NOW_MS, Log, alert, small_log

CAR_VALUE = alert("car_loan", "feature/car_value", effect_unit="sd", severity="warning")


def shown(log: Log, fingerprint: str, width: int = 80) -> str:
    view = alert_view(log.store, fingerprint)
    assert view is not None
    console = Console(width=width, record=True, file=io.StringIO())
    for part in as_lines(view, NOW_MS):
        console.print(part)
    return console.export_text()


def test_an_alert_is_shown_with_all_that_a_person_needs_at_80_columns() -> None:
    log = small_log()
    log.fire(CAR_VALUE, acknowledged={"by": "ana", "at": "2026-03-30T01:00:00Z", "because": "ads"})

    text = shown(log, CAR_VALUE["fingerprint"])

    short = CAR_VALUE["fingerprint"][:8]
    for words in (
        "warning car_loan feature/car_value level open for 3 d",
        "0.0561 before, 0.0842 since (1.55 standard deviations); 1,064 rows since the onset",
        "35.4% ██████████",
        "72.5% ████████████████████",
        "^ onset",
        "onset, as estimated",
        "acknowledged by ana: ads",
        "version 2018-01",
        "critical open " + alert("car_loan")["fingerprint"][:8] + " error level",
        "./tidegauge tail events --range 3:1204-1221",
        f"./tidegauge ack {short}",
    ):
        assert words in " ".join(text.split()), text
    assert max(map(len, text.splitlines())) <= 80


def test_the_runbook_says_what_to_do_where_it_is_at_hand() -> None:
    assert "The model's error has changed" in (
        runbook_entry("docs/runbook.md#performance-level") or ""
    )
    assert runbook_entry("docs/runbook.md#no-such-entry") is None
    assert runbook_entry("docs/nothing.md#performance-level") is None


def test_what_is_not_there_yet_is_said_and_what_is_over_asks_for_a_mark_alone() -> None:
    log = Log()
    bare = alert("pricing")
    log.fire(bare)
    log.resolve(bare | {"resolved_because": "returned"})

    text = shown(log, bare["fingerprint"])

    assert "No distribution of this series is published" in text
    assert "over (returned)" in text
    assert "Nothing else of this model has an alert." in text
    assert "./tidegauge mark" in text
    assert "./tidegauge ack" not in text


def test_money_and_segments_are_shown_where_they_are_known() -> None:
    log = Log()
    record: dict[str, Any] = alert("loan", segment={"country": "DE"}) | {
        "value_at_risk": {
            "currency": "EUR",
            "since": "2026-03-28T00:00:00.000Z",
            "lost": 1234.4,
            "low": 500.0,
            "high": 2000.0,
            "per_day": 411.0,
        },
        "worst_segments": [{"segment": {"channel": "web"}, "n": 90, "errors": 30, "expected": 9.1}],
    }
    log.fire(record)

    text = shown(log, record["fingerprint"], width=120)

    assert "money    1,234 EUR lost since 2026-03-28 00:00, 411 a day (95 %: 500 to 2,000)" in text
    assert "segment  country: DE" in text
    assert "worst    channel: web: 30 errors of 90, 9 expected" in text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_shown_as_text(name: str) -> None:
    text = shown(small_log(), alert(name, f"feature/{name}")["fingerprint"], width=600)

    assert "\u202e" not in text
    assert name.replace("\u202e", "\ufffd").replace("\u202c", "\ufffd") in text
