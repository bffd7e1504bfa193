from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from agents.errors import BrokerUnreachableError
from agents.notify.destinations import read_heartbeat
from agents.notify.heartbeat import STALE_S, WATCHDOG, Heartbeat
from agents.notify.http import HttpSender, open_session
from tests.agents.running import until
from tests.doubles.receiver import Receiver

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Deployment:
    """Workers whose latest tick, and a broker whose answer, a test sets."""

    def __init__(self, age_s: float | None) -> None:
        self.age_s = age_s
        self.asked = 0
        self.is_away = False

    async def last_tick(self) -> int | None:
        self.asked += 1
        if self.is_away:
            msg = "Kafka does not answer"
            raise BrokerUnreachableError(msg)
        if self.age_s is None:
            return None
        return round(1_000 * (NOW - timedelta(seconds=self.age_s)).timestamp())


async def beat(
    deployment: Deployment, receiver: Receiver, kind: str, is_over: Callable[[], bool]
) -> None:
    async with open_session() as session:
        heartbeat = Heartbeat(
            read_heartbeat(f"{kind}={receiver.url}"),
            "staging",
            HttpSender(session, "The target", SecretStr(receiver.url)),
            last_tick=deployment.last_tick,
            now=lambda: NOW,
            beat_s=0.01,
        )
        task = asyncio.create_task(heartbeat.run())
        await until(is_over, "beats")
        task.cancel()


async def test_alertmanager_is_told_of_an_alert_that_always_fires_for_two_minutes() -> None:
    async with Receiver() as receiver:
        await beat(Deployment(5.0), receiver, "alertmanager", lambda: len(receiver.posts) >= 2)

    post = receiver.posts[0]
    (told,) = post.json()
    assert post.path == "/api/v2/alerts"
    assert told["labels"] == {"alertname": WATCHDOG, "deployment": "staging", "severity": "none"}
    assert told["endsAt"] == "2026-03-01T12:02:00.000+00:00"


async def test_a_url_receives_the_name_of_the_deployment() -> None:
    async with Receiver() as receiver:
        await beat(Deployment(0.0), receiver, "webhook", lambda: bool(receiver.posts))

    assert receiver.posts[0].json() == {"deployment": "staging"}


@pytest.mark.parametrize("age_s", [STALE_S, 86_400.0, None])
async def test_where_no_worker_ticks_no_beat_is_sent_and_the_log_says_so_once(
    age_s: float | None,
) -> None:
    deployment = Deployment(age_s)
    async with Receiver() as receiver:
        with capture_logs() as logs:
            await beat(deployment, receiver, "webhook", lambda: deployment.asked >= 4)

    assert not receiver.posts
    assert [each["event"].partition(":")[2] for each in logs] == [
        " no worker has ticked for a minute"
    ]


async def test_a_broker_that_is_away_stops_the_beats_and_not_the_process() -> None:
    deployment = Deployment(5.0)
    deployment.is_away = True
    async with Receiver() as receiver:
        await beat(deployment, receiver, "webhook", lambda: deployment.asked >= 2)
        silent = len(receiver.posts)
        deployment.is_away = False
        await beat(deployment, receiver, "webhook", lambda: bool(receiver.posts))

    assert silent == 0


@pytest.mark.parametrize("text", ["slack=http://a", "pagerduty=x", "http://a"])
def test_a_heartbeat_goes_to_alertmanager_or_a_url_alone(text: str) -> None:
    with pytest.raises(ValueError, match="a heartbeat goes to"):
        read_heartbeat(text)
