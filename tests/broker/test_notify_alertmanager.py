"""The real Alertmanager shows what fires, and tells people when it is over."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import TopicPartition
from pydantic import SecretStr

from agents.demo.embedded_broker import EmbeddedBroker
from agents.kafka.read import LogReader
from agents.notify.alertmanager import AlertmanagerBook, Refresher
from agents.notify.http import Backoff, HttpSender, open_session
from agents.notify.messages import Links
from agents.settings import Settings
from tests.agents.running import until
from tests.alertmanager import PACKAGE, RealAlertmanager, binary
from tests.broker import Broker, create_topic, publish
from tests.broker.conftest import Deploy
from tests.broker.deployment import ROOT, RdProducer
from tests.broker.services import Service
from tests.doubles.alerts import FINGERPRINT, alert, status_of
from tests.doubles.receiver import Receiver

KEY = FINGERPRINT.encode()


@pytest.fixture(autouse=True)
def require_alertmanager() -> None:
    """Skip where Alertmanager is not installed, or fail where it must be."""
    if binary() is not None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"this run must not skip Alertmanager (CI): apt-get install {PACKAGE}")
    pytest.skip(f"Alertmanager is not installed: apt-get install {PACKAGE}")


async def say(broker: Broker, topic: str, value: bytes | None) -> None:
    await asyncio.to_thread(publish, broker, topic, [value], partition=0, key=KEY)


def shown(alertmanager: RealAlertmanager) -> list[tuple[str, str]]:
    return [
        (each["labels"]["fingerprint"], each["labels"]["severity"])
        for each in alertmanager.active()
    ]


def told(people: Receiver) -> list[tuple[str, str]]:
    """Return what people have been told, an alert at a time."""
    alerts: list[dict[str, Any]] = [each for post in people.posts for each in post.json()["alerts"]]
    return [(each["status"], each["annotations"]["summary"]) for each in alerts]


@asynccontextmanager
async def refreshing(
    broker: Broker, topic: str, alertmanager: RealAlertmanager
) -> AsyncIterator[None]:
    """Keep an Alertmanager told every half a second."""
    async with open_session() as session:
        url = SecretStr(alertmanager.url)
        refresher = Refresher(
            LogReader(Settings(broker=broker.bootstrap)),
            [TopicPartition(topic, 0)],
            AlertmanagerBook(url, "tidegauge", Links(), resend_s=0.5),
            HttpSender(session, "Alertmanager", url, Backoff(first_s=0.05, longest_s=0.2)),
            lambda: datetime.now(UTC),
        )
        task = asyncio.create_task(refresher.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_an_alert_fires_there_and_is_resolved(broker: Broker, deploy: Deploy) -> None:
    summary = alert().summary
    async with Receiver() as people:
        with RealAlertmanager(people.url) as alertmanager:
            deployment = deploy(broker)
            topic = deployment.settings.topics.name("status")
            to = f"alertmanager={alertmanager.url}"
            command = [str(ROOT / "tidegauge"), "notify", "--to", to]
            notifier = deployment.start_worker(command=command)
            await until(lambda: notifier.says("0 alerts are firing"), "a start")

            await say(broker, topic, status_of(alert()))
            await until(lambda: ("firing", summary) in told(people), "people to be told")
            assert shown(alertmanager) == [(FINGERPRINT, "warning")]
            await say(broker, topic, None)
            await until(lambda: ("resolved", summary) in told(people), "people to be told")

            assert shown(alertmanager) == []
            assert notifier.terminate() == os.EX_OK


async def test_what_a_worker_finds_reaches_programs_and_people(
    embedded: EmbeddedBroker, deploy: Deploy
) -> None:
    service = Service(model_id="pricing", rows=2_000, changed_from=1_200)
    async with Receiver() as people, Receiver() as program:
        with RealAlertmanager(people.url) as alertmanager:
            deployment = deploy(embedded)
            targets = (f"alertmanager={alertmanager.url}", f"webhook={program.url}/")
            to = [part for each in targets for part in ("--to", each)]
            worker = deployment.start_worker()
            deployment.start_worker(command=[str(ROOT / "tidegauge"), "notify", *to])

            await asyncio.to_thread(RdProducer(deployment).publish, service.sent())
            outputs = deployment.outputs("alerts", "labelled")
            await asyncio.to_thread(deployment.wait_for, outputs, "labelled", 2_000, worker)
            await asyncio.to_thread(outputs.catch_up)
            published = {each.value for each in outputs.records["alerts"]}
            await until(lambda: {post.body for post in program.posts} == published, "every alert")

            open_now = {each["fingerprint"] for each in firing(outputs.of("alerts"))}
            assert open_now
            await until(
                lambda: {each for each, _ in shown(alertmanager)} == open_now, "what is open"
            )


def firing(transitions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    last = {each["fingerprint"]: each for each in transitions}
    return [each for each in last.values() if each["status"] != "resolved"]


async def test_one_that_restarts_empty_is_told_again(embedded: EmbeddedBroker, prefix: str) -> None:
    topic = f"{prefix}status"
    create_topic(embedded, topic)
    await say(embedded, topic, status_of(alert()))
    async with Receiver() as people:
        with RealAlertmanager(people.url) as alertmanager:
            async with refreshing(embedded, topic, alertmanager):
                await until(lambda: len(shown(alertmanager)) == 1, "the alert")
                alertmanager.kill()
                await asyncio.to_thread(alertmanager.start)

                await until(lambda: len(shown(alertmanager)) == 1, "the alert, again")


async def test_a_change_of_severity_leaves_one_alert(embedded: EmbeddedBroker, prefix: str) -> None:
    topic = f"{prefix}status"
    create_topic(embedded, topic)
    async with Receiver() as people:
        with RealAlertmanager(people.url) as alertmanager:
            async with refreshing(embedded, topic, alertmanager):
                await say(embedded, topic, status_of(alert()))
                await until(lambda: shown(alertmanager) == [(FINGERPRINT, "warning")], "warning")

                await say(embedded, topic, status_of(alert("ongoing", severity="critical")))

                await until(lambda: shown(alertmanager) == [(FINGERPRINT, "critical")], "critical")


async def test_when_nobody_posts_any_more_it_lets_go_by_itself(
    embedded: EmbeddedBroker, prefix: str
) -> None:
    topic = f"{prefix}status"
    create_topic(embedded, topic)
    await say(embedded, topic, status_of(alert()))
    async with Receiver() as people:
        with RealAlertmanager(people.url) as alertmanager:
            async with refreshing(embedded, topic, alertmanager):
                await until(lambda: len(shown(alertmanager)) == 1, "the alert")
                await asyncio.sleep(2.5)  # longer than one post is good for
                assert len(shown(alertmanager)) == 1

            await until(lambda: shown(alertmanager) == [], "its end")
