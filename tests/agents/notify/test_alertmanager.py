from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from agents.notify.alertmanager import AlertmanagerBook
from agents.notify.firing import FiringAlerts
from agents.notify.messages import Links
from agents.notify.selection import Selection
from tests.doubles.alerts import FINGERPRINT, alert, status_of

KEY = FINGERPRINT.encode()
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Talk:
    """A board, and what Alertmanager is told of it as time passes."""

    def __init__(self, links: str | None = None) -> None:
        self.now = NOW
        self.board = FiringAlerts()
        self.book = AlertmanagerBook(SecretStr("http://am:9093/"), "staging", Links(links))

    def status(self, value: bytes | None, key: bytes = KEY) -> None:
        self.board.apply(key, value)

    def posted(self) -> list[dict[str, Any]]:
        request = self.book.request(self.board.firing(self.now), self.now)
        if request is None:
            return []
        assert request.url.get_secret_value() == "http://am:9093/api/v2/alerts"
        posts: list[dict[str, Any]] = orjson.loads(request.body)
        return posts

    def firing(self) -> list[dict[str, Any]]:
        return [each for each in self.posted() if self._ends_at(each) > self.now]

    def _ends_at(self, posted: dict[str, Any]) -> datetime:
        return datetime.fromisoformat(posted["endsAt"])


def test_what_fires_is_posted_as_firing_for_four_minutes() -> None:
    talk = Talk(links="https://example.org/main")
    talk.status(status_of(alert()))

    (posted,) = talk.posted()

    assert posted["labels"] == {
        "alertname": "TidegaugeFeatureDrift",
        "deployment": "staging",
        "model_id": "car_loan",
        "series": "feature/car_value",
        "aspect": "level",
        "severity": "warning",
        "kind": "feature_drift",
        "fingerprint": FINGERPRINT,
    }
    assert posted["startsAt"] == "2018-08-20T06:12:17.152+00:00"
    assert posted["endsAt"] == "2026-03-01T12:04:00.000+00:00"
    assert posted["annotations"]["summary"] == alert().summary
    assert "Since 2018-08-20T05:58" in posted["annotations"]["description"]
    link = "https://example.org/main/docs/runbook.md#feature_drift-level"
    assert posted["annotations"]["runbook"] == posted["generatorURL"] == link


def test_the_owner_is_a_label_and_an_alert_of_another_ends_here() -> None:
    talk = Talk()
    talk.book = AlertmanagerBook(
        SecretStr("http://am:9093/"), "staging", Links(), selection=Selection(owner=("risk",))
    )
    talk.status(status_of(alert(owner="risk")))
    (posted,) = talk.posted()
    talk.status(status_of(alert("ongoing", owner="fraud")))

    assert posted["labels"]["owner"] == "risk"
    assert talk.firing() == []
    assert len(talk.posted()) == 1


def test_what_still_fires_is_posted_again_with_a_later_end() -> None:
    talk = Talk()
    talk.status(status_of(alert()))
    talk.posted()

    talk.now += MINUTE

    (posted,) = talk.posted()
    assert posted["endsAt"] == "2026-03-01T12:05:00.000+00:00"


def test_what_is_over_is_posted_as_ended_at_one_instant_for_a_quarter_of_an_hour() -> None:
    talk = Talk()
    talk.status(status_of(alert()))
    talk.posted()
    talk.now += MINUTE
    talk.status(None)

    ends = [talk.posted()[0]["endsAt"]]
    talk.now += 14 * MINUTE
    ends.append(talk.posted()[0]["endsAt"])
    talk.now += MINUTE

    assert ends == ["2026-03-01T12:01:00.000+00:00"] * 2
    assert talk.posted() == []


def test_what_fires_again_is_no_longer_posted_as_ended() -> None:
    talk = Talk()
    talk.status(status_of(alert()))
    talk.posted()
    talk.status(None)
    talk.posted()

    talk.status(status_of(alert(episode=2)))

    (posted,) = talk.posted()
    assert posted["endsAt"] == "2026-03-01T12:04:00.000+00:00"


def test_a_change_of_severity_ends_the_old_alert_and_begins_a_new_one() -> None:
    talk = Talk()
    talk.status(status_of(alert()))
    talk.posted()
    talk.status(status_of(alert("ongoing", severity="critical")))

    posted = talk.posted()

    ends = {each["labels"]["severity"]: each["endsAt"] for each in posted}
    assert ends == {
        "critical": "2026-03-01T12:04:00.000+00:00",
        "warning": "2026-03-01T12:00:00.000+00:00",
    }


def test_what_is_muted_is_ended_until_the_mute_is_over() -> None:
    talk = Talk()
    talk.status(status_of(alert()))
    talk.posted()

    talk.status(status_of(alert(), muted_until="2026-03-01T13:00:00.000Z"))
    assert talk.firing() == []
    talk.now += 59 * MINUTE
    assert talk.posted() == []
    talk.now += MINUTE

    assert len(talk.firing()) == 1


def test_who_took_it_on_is_told_with_it() -> None:
    talk = Talk()
    taken = {"by": "ana", "at": "2026-03-01T11:00:00.000Z", "because": None}
    talk.status(status_of(alert(), acknowledged=taken))

    (posted,) = talk.posted()

    assert "Acknowledged by ana" in posted["annotations"]["description"]


def test_a_start_that_lies_ahead_is_posted_as_now() -> None:
    talk = Talk()
    talk.status(status_of(alert(fired_at="2027-01-01T00:00:00.000Z")))

    (posted,) = talk.posted()

    assert posted["startsAt"] == "2026-03-01T12:00:00.000+00:00"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{}",
        b"not json",
        b"\xff",
        status_of(alert(fired_at="soon")),
        status_of(alert(), muted_until="2026-03-01T12:00:00"),
    ],
)
def test_a_record_that_cannot_be_read_is_counted_and_changes_nothing(value: bytes) -> None:
    talk = Talk()
    talk.status(status_of(alert()))

    talk.status(value)

    assert talk.board.unreadable == 1
    assert len(talk.firing()) == 1
