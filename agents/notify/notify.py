"""Send alerts to targets: a process of its own, with a consumer group for each target."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer
from prometheus_client import Metric
from pydantic import SecretStr

from agents.kafka.admin import explained, partition_counts
from agents.kafka.read import LogReader, partitions_of
from agents.kafka.send import send_record
from agents.notify.alertmanager import AlertmanagerBook, Refresher
from agents.notify.delivery import Delivery
from agents.notify.destinations import Destination
from agents.notify.firing import StartPoints
from agents.notify.heartbeat import Heartbeat
from agents.notify.http import Backoff, HttpSender, open_session
from agents.notify.labelstudio import WEBHOOK, LabelStudio, project_of
from agents.notify.messages import Links, PagerDuty, Slack, Target, Webhook
from agents.prometheus import Labels, family, metrics_served, served
from agents.settings import Settings
from agents.telemetry import get_logger

PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"
"""Events API v2 for customers outside Europe."""
ANNOTATIONS = ("127.0.0.1", 8_801)
"""Host and port for annotations, unless told otherwise: of this machine alone."""
_FETCH_WAIT_MS = 200
"""Milliseconds that the broker may hold an answer without records."""


_LONGEST_OUTAGE_MS = 2**31 - 1
"""max.poll.interval.ms at its largest: a target may be unavailable for days, and its member sends
heartbeats meanwhile."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_log = get_logger(__name__)


async def _no_tick(_settings: Settings) -> int | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyOptions:
    """The targets, and the form of the requests.

    Parameters
    ----------
    destinations
        The targets.
    pagerduty_url
        The address of PagerDuty's Events API.
    links
        The base URL of links to the runbook; None leaves them out.
    backoff
        Pauses before an unavailable target is tried again.
    heartbeat
        The target of the heartbeat, if any.
    last_tick
        Finds the latest tick, for the heartbeat.
    webhook
        Host and port at which annotations of Label Studio arrive.
    """

    destinations: Sequence[Destination]
    pagerduty_url: str = PAGERDUTY_URL
    links: str | None = None
    backoff: Backoff = field(default_factory=Backoff)
    heartbeat: Destination | None = None
    last_tick: Callable[[Settings], Awaitable[int | None]] = _no_tick
    webhook: tuple[str, int] = ANNOTATIONS


async def notify(settings: Settings, options: NotifyOptions) -> int:
    """Send every target the firing alerts and all later transitions, until a signal comes.

    Raises
    ------
    OperatorError
        When topics are missing, or a target rejects the address or the key.
    BrokerUnreachableError
        When Kafka does not answer.
    """
    await require_topics(settings)
    with explained(settings, "notify could not read"):
        await _Notifier(settings, options).run()
    _log.info("Stopped")
    return os.EX_OK


def group_of(settings: Settings, destination: Destination) -> str:
    """Return the consumer group of a target."""
    return f"{settings.group}.notify.{destination.label}"


def target_of(settings: Settings, destination: Destination, options: NotifyOptions) -> Target:
    """Return the maker of requests for a target that receives each transition."""
    deployment, links = settings.deployment, Links(options.links, settings.page_url)
    match destination.kind:
        case "slack":
            return Slack(
                url=destination.secret, deployment=deployment, prefix=settings.prefix, links=links
            )
        case "pagerduty":
            url = SecretStr(options.pagerduty_url)
            return PagerDuty(url=url, key=destination.secret, deployment=deployment, links=links)
        case _:
            return Webhook(url=destination.secret, deployment=deployment, links=links)


def book_of(
    settings: Settings, destination: Destination, options: NotifyOptions
) -> AlertmanagerBook:
    """Return the maker of requests for an Alertmanager."""
    return AlertmanagerBook(
        destination.secret,
        settings.deployment,
        Links(options.links, settings.page_url),
        selection=destination.selection,
    )


async def require_topics(settings: Settings) -> int:
    """Return the number of partitions of ``alerts`` and ``status``.

    Raises
    ------
    OperatorError
        When one of the two does not exist.
    """
    alerts, status = settings.topics.name("alerts"), settings.topics.name("status")
    return (await partition_counts(settings, (alerts, status)))[status]


def now() -> datetime:
    """Return the instant by the wall clock."""
    return datetime.now(UTC)


class _Notifier:
    """All targets, each in a task of its own."""

    def __init__(self, settings: Settings, options: NotifyOptions) -> None:
        self._settings = settings
        self._options = options
        self._senders: dict[str, HttpSender] = {}

    async def run(self) -> None:
        """Run until a signal comes, or a target fails for good."""
        stop = asyncio.Event()
        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with (
            open_session() as session,
            metrics_served(self._settings, partial(sender_figures, self._senders)),
        ):
            tasks: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait())]
            tasks += [
                asyncio.create_task(self._serve(each, session))
                for each in self._options.destinations
            ]
            if self._options.heartbeat is not None:
                beating = self._beat(self._options.heartbeat, session)
                tasks.append(asyncio.create_task(beating))
            done, running = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        for task in done:
            task.result()

    def _serve(
        self, destination: Destination, session: aiohttp.ClientSession
    ) -> Coroutine[Any, Any, Any]:
        sender = HttpSender(session, destination.name, destination.secret, self._options.backoff)
        self._senders[destination.label] = sender
        if destination.is_exposed:
            _log.warning(
                f"{destination.name}: its address is a secret, and every user of this machine can "
                "read it in the list of processes; put it into a file, or name a variable as "
                f"{destination.kind}=env:NAME"
            )
        if destination.kind == "alertmanager":
            _log.info(f"{destination.name} receives the firing alerts every minute")
            return self._refresh(destination, sender)
        group = group_of(self._settings, destination)
        if destination.kind == "labelstudio":
            return self._bridge(destination, group, sender)
        _log.info(f"{destination.name} receives transitions, as group {group}", group=group)
        return self._deliver(destination, group, sender)

    async def _refresh(self, destination: Destination, sender: HttpSender) -> None:
        partitions = await partitions_of(self._settings, self._settings.topics.name("status"))
        book = book_of(self._settings, destination, self._options)
        await Refresher(LogReader(self._settings), partitions, book, sender, now).run()

    async def _deliver(self, destination: Destination, group: str, sender: HttpSender) -> None:
        consumer = AIOKafkaConsumer(**_consuming(self._settings, group))
        start_points = StartPoints(LogReader(self._settings), self._settings.topics, now)
        target = target_of(self._settings, destination, self._options)
        await Delivery(consumer, start_points, target, sender, destination.selection).run()

    async def _bridge(self, destination: Destination, group: str, sender: HttpSender) -> None:
        settings, (host, port) = self._settings, self._options.webhook
        bridge = LabelStudio(
            project_of(destination.secret.get_secret_value()),
            AIOKafkaConsumer(**_consuming(settings, group)),
            settings.topics.name("reviews"),
            sender,
            publish=partial(send_record, settings, settings.topics.outcomes),
            now_ms=lambda: int(now().timestamp() * 1_000),
            selection=destination.selection,
        )
        async with served(bridge.app(), host, port, "--webhook"):
            _log.info(
                f"{destination.name} receives cases, as group {group}; its annotations are taken "
                f"at http://{host}:{port}{WEBHOOK}",
                group=group,
            )
            await bridge.run()

    async def _beat(self, destination: Destination, session: aiohttp.ClientSession) -> None:
        sender = HttpSender(session, destination.name, destination.secret, self._options.backoff)
        self._senders[f"heartbeat-{destination.label}"] = sender
        last_tick = partial(self._options.last_tick, self._settings)
        deployment = self._settings.deployment
        _log.info(f"{destination.name} receives a heartbeat while workers tick")
        await Heartbeat(destination, deployment, sender, last_tick=last_tick, now=now).run()


def sender_figures(senders: Mapping[str, HttpSender]) -> Iterable[Metric]:
    """Return the figures of the targets for Prometheus, each under its label."""
    answers: dict[Labels, float] = {}
    for label, sender in senders.items():
        answers[label, "accepted"] = sender.accepted
        answers[label, "rejected"] = sender.rejected
    text = "Requests to the targets of notify, by their answer."
    yield family("counter", "notifications", text, answers, ["target", "result"])
    retries: dict[Labels, float] = {(label,): each.retries for label, each in senders.items()}
    text = "Attempts that found a target unavailable."
    yield family("counter", "notification_retries", text, retries, ["target"])
    away: dict[Labels, float] = {(label,): each.unavailable_s for label, each in senders.items()}
    text = "Seconds for which a target has been unavailable."
    yield family("gauge", "target_unavailable_seconds", text, away, ["target"])


def _consuming(settings: Settings, group: str) -> dict[str, Any]:
    return {
        **settings.connection(),
        "client_id": "tidegauge-notify",
        "group_id": group,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",
        "fetch_max_wait_ms": _FETCH_WAIT_MS,
        "session_timeout_ms": int(settings.session_timeout_s * 1_000),
        "max_poll_interval_ms": _LONGEST_OUTAGE_MS,
    }
