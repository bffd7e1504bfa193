from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from agents.notify.messages import (
    NO_LINKS,
    Links,
    Notice,
    PagerDuty,
    Slack,
    Target,
    Webhook,
    alertmanager_alert,
)
from schemas.alert import Alert
from tests.doubles.alerts import FINGERPRINT, alert, record

KEY = "0123456789abcdef0123456789abcdef"
URL = SecretStr("http://127.0.0.1:1/blue-heron")
LINKS = Links("https://example.org/tidegauge/main")
STAGING = "staging"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
WEBHOOK = Webhook(url=URL, deployment=STAGING)
SLACK = Slack(url=URL, deployment=STAGING, prefix="staging.", links=LINKS)
PAGERDUTY = PagerDuty(url=URL, key=SecretStr(KEY), deployment=STAGING, links=LINKS)
TAKEN = {"by": "ana", "at": "2018-08-20T07:00:00.000Z", "because": "new <prices>"}


def told(target: Target, transition: Alert, *, is_muted: bool = False) -> Any:
    """Return the body of what a target is told, read, or None."""
    notice = Notice(alert=transition, record=record(transition), is_muted=is_muted)
    request = target.request(notice)
    return None if request is None else orjson.loads(request.body)


def test_a_webhook_is_given_the_record_byte_for_byte() -> None:
    for status in ("firing", "ongoing", "resolved"):
        transition = alert(status)
        notice = Notice(alert=transition, record=record(transition), is_muted=False)

        request = WEBHOOK.request(notice)

        assert request is not None
        assert request.body == record(transition)
        assert request.headers["Idempotency-Key"] == f"staging/{transition.alert_id}"
        assert request.headers["Tidegauge-Deployment"] == STAGING


@pytest.mark.parametrize(
    ("status", "acknowledged", "action"),
    [
        ("firing", None, "trigger"),
        ("ongoing", None, "trigger"),
        ("ongoing", TAKEN, "acknowledge"),
        ("resolved", TAKEN, "resolve"),
    ],
)
def test_pagerduty_has_one_incident_a_fingerprint_of_a_deployment(
    status: str, acknowledged: dict[str, str] | None, action: str
) -> None:
    event = told(PAGERDUTY, alert(status, acknowledged=acknowledged))

    assert (event["event_action"], event["dedup_key"]) == (action, f"staging/{FINGERPRINT}")
    assert event["routing_key"] == KEY


def test_a_page_says_what_changed_where_and_what_to_do() -> None:
    moved = ({"category": "another person", "baseline": 0.1, "value": 0.2},)
    fields = {"summary": "s" * 2_000, "severity": "critical", "category": "a person"}

    event = told(PAGERDUTY, alert(**fields, categories=moved))

    payload = event["payload"]
    assert payload["summary"] == "s" * 1_024
    assert payload["severity"] == "critical"
    assert payload["source"] == "car_loan"
    assert payload["timestamp"] == "2018-08-20T06:12:17.152Z"
    assert payload["custom_details"]["value"] == 48_000.0
    assert payload["custom_details"]["deployment"] == STAGING
    assert event["links"][0]["href"] == f"{LINKS.base}/docs/runbook.md#feature_drift-level"
    assert b"person" not in orjson.dumps(event)


def test_a_message_says_what_changed_and_how_to_take_it_on() -> None:
    message = told(SLACK, alert())

    (attachment,) = message["attachments"]
    assert message["text"].startswith(
        "FIRING · warning · staging · Model car_loan: feature car_value rose"
    )
    assert "Since 2018-08-20T05:58:00.000Z" in attachment["text"]
    assert f"`./tidegauge ack {FINGERPRINT} --prefix staging.`" in attachment["text"]
    assert f"<{LINKS.base}/docs/runbook.md#feature_drift-level|Runbook>" in attachment["text"]


def test_a_message_of_the_end_says_why_and_asks_for_nothing() -> None:
    message = told(SLACK, alert("resolved"))

    assert message["text"].startswith("RESOLVED")
    assert "Resolved: returned" in message["attachments"][0]["text"]
    assert "ack" not in message["attachments"][0]["text"]


def test_a_name_cannot_wake_a_whole_channel() -> None:
    message = told(SLACK, alert(model_id="<!channel>", summary="Model <!channel>: & more"))

    text = orjson.dumps(message).decode()
    assert "<!channel>" not in text
    assert "Model &lt;!channel&gt;: &amp; more" in text


def test_who_took_an_alert_on_is_not_messaged_about_it_again() -> None:
    assert told(SLACK, alert("ongoing", acknowledged=TAKEN)) is None
    assert told(SLACK, alert("ongoing")) is not None
    over = told(SLACK, alert("resolved", acknowledged=TAKEN))
    assert "Acknowledged by ana" in over["attachments"][0]["text"]
    assert "new &lt;prices&gt;" in over["attachments"][0]["text"]


@pytest.mark.parametrize("status", ["firing", "ongoing"])
@pytest.mark.parametrize("target", [WEBHOOK, SLACK, PAGERDUTY])
def test_what_is_muted_is_not_told(target: Target, status: str) -> None:
    assert told(target, alert(status), is_muted=True) is None


def test_who_keeps_a_book_is_told_of_the_end_of_what_is_muted() -> None:
    assert told(PAGERDUTY, alert("resolved"), is_muted=True)["event_action"] == "resolve"
    assert told(WEBHOOK, alert("resolved"), is_muted=True)["status"] == "resolved"
    assert told(SLACK, alert("resolved"), is_muted=True) is None


def test_without_a_beginning_for_links_there_are_none() -> None:
    slack = told(replace(SLACK, links=Links()), alert())
    page = told(replace(PAGERDUTY, links=Links()), alert())

    assert "Runbook" not in slack["attachments"][0]["text"]
    assert page["links"] == []


def test_a_targets_repr_holds_no_secret() -> None:
    assert KEY not in repr(PAGERDUTY)
    assert "blue-heron" not in repr((WEBHOOK, SLACK, PAGERDUTY))


def test_people_and_the_pager_are_told_the_owner() -> None:
    owned = alert(owner="risk <eu>")

    assert "Owner: risk &lt;eu&gt;" in orjson.dumps(told(SLACK, owned)).decode()
    assert told(PAGERDUTY, owned)["payload"]["custom_details"]["owner"] == "risk <eu>"


def test_every_notification_leads_to_its_alert_on_the_page() -> None:
    links = Links(page="https://gauge.example.org")
    link = f"https://gauge.example.org/alert/{FINGERPRINT}?episode=1"
    notice = Notice(alert=alert(), record=record(alert()), is_muted=False)

    requests = [
        replace(target, links=links).request(notice) for target in (WEBHOOK, SLACK, PAGERDUTY)
    ]

    webhook, slack, pagerduty = (each for each in requests if each is not None)
    assert webhook.headers["Tidegauge-Page"] == link
    assert f"<{link}|Page>" in slack.body.decode()
    assert orjson.loads(pagerduty.body)["links"] == [{"href": link, "text": "Page"}]
    posted = alertmanager_alert(alert(url="elsewhere"), STAGING, NOW, NOW, links)
    assert posted["annotations"]["page"] == posted["generatorURL"] == link
    assert alertmanager_alert(alert(url=link), STAGING, NOW, NOW, NO_LINKS)["generatorURL"] == link
