"""Tell the world what is firing: a process of its own, a consumer group for each target."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import SecretStr

from agents.errors import BrokerUnreachableError, OperatorError
from agents.kafka.log_reader import LogReader
from agents.kafka.topics import find_topics
from agents.notify.alertmanager import AlertmanagerBook, Refresher
from agents.notify.delivery import Delivery
from agents.notify.destinations import Destination
from agents.notify.firing import StartPoints
from agents.notify.http import Backoff, HttpSender, open_session
from agents.notify.messages import PagerDuty, Slack, Target, Webhook
from agents.settings import Settings
from agents.telemetry import get_logger

PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"
_FETCH_WAIT_MS = 200


# A target may be away for days: its member must not be taken for dead, and its heartbeats go on.
_LONGEST_OUTAGE_MS = 2**31 - 1
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyOptions:
    """Who is told, and how.

    Parameters
    ----------
    destinations
        Whom to tell.
    pagerduty_url
        Where PagerDuty takes events.
    links
        What links to the runbook begin with; None leaves them out.
    patience
        How long to wait before a target that is away is tried again.
    """

    destinations: Sequence[Destination]
    pagerduty_url: str = PAGERDUTY_URL
    links: str | None = None
    patience: Backoff = field(default_factory=Backoff)


def notify(settings: Settings, options: NotifyOptions) -> int:
    """Tell every target what is firing and what follows, until told to stop.

    Raises
    ------
    OperatorError
        When topics are missing, or a target knows neither the address nor the key.
    BrokerUnreachableError
        When Kafka cannot be asked.
    """
    partitions = count_partitions(settings)
    with kafka_in_words(settings):
        asyncio.run(_Notifier(settings, options, partitions).run())
    _log.info("Stopped")
    return os.EX_OK


def group_of(settings: Settings, destination: Destination) -> str:
    """Return the consumer group of a target."""
    return f"{settings.group}.notify.{destination.label}"


def target_of(destination: Destination, options: NotifyOptions) -> Target:
    """Return the target that reads transitions one by one."""
    match destination.kind:
        case "slack":
            return Slack(url=destination.secret, links=options.links)
        case "pagerduty":
            url = SecretStr(options.pagerduty_url)
            return PagerDuty(url=url, key=destination.secret, links=options.links)
        case _:
            return Webhook(url=destination.secret)


def count_partitions(settings: Settings) -> int:
    """Return how many partitions alerts and status have.

    Raises
    ------
    OperatorError
        When one of them is missing.
    """
    found = {each.wanted.role: each.partitions for each in find_topics(settings)}
    missing = [settings.topics.name(role) for role in ("alerts", "status") if found[role] is None]
    if missing:
        raise OperatorError(
            f"{' and '.join(missing)}: no such topic at {settings.broker}. `./tidegauge topics "
            "create` makes it; is --prefix the workers'?"
        )
    return found["status"] or 0


def now() -> datetime:
    """Return the instant by the wall clock."""
    return datetime.now(UTC)


@contextlib.contextmanager
def kafka_in_words(settings: Settings) -> Iterator[None]:
    """Turn what Kafka's client raises in the block into a sentence for the operator."""
    try:
        yield
    except KafkaError as error:
        msg = f"Kafka at {settings.broker} does not serve what notify asks for: {error}"
        raise BrokerUnreachableError(msg) from error


class _Notifier:
    """All targets, each in a task of its own."""

    def __init__(self, settings: Settings, options: NotifyOptions, partitions: int) -> None:
        self._settings = settings
        self._options = options
        self._partitions = partitions

    async def run(self) -> None:
        """Run until a signal comes, or a target can never be told anything."""
        stop = asyncio.Event()
        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with open_session() as session:
            tasks = [asyncio.create_task(stop.wait())]
            tasks += [
                asyncio.create_task(self._tell(each, session))
                for each in self._options.destinations
            ]
            done, running = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        for task in done:
            task.result()

    def _tell(
        self, destination: Destination, session: aiohttp.ClientSession
    ) -> Coroutine[Any, Any, Any]:
        courier = HttpSender(session, destination.name, destination.secret, self._options.patience)
        if destination.is_exposed:
            _log.warning(
                f"{destination.name}: its address is a secret, and everybody on this machine can "
                "read it in the list of processes; put it into a file, or name a variable as "
                f"{destination.kind}=env:NAME"
            )
        if destination.kind == "alertmanager":
            _log.info(f"{destination.name} is told what fires, every minute")
            return self._refresher(destination, courier).run()
        group = group_of(self._settings, destination)
        _log.info(f"{destination.name} is told of alerts, as group {group}", group=group)
        return self._delivery(destination, group, courier).run()

    def _refresher(self, destination: Destination, courier: HttpSender) -> Refresher:
        topic = self._settings.topics.name("status")
        return Refresher(
            AIOKafkaConsumer(**_consuming(self._settings)),
            [TopicPartition(topic, n) for n in range(self._partitions)],
            AlertmanagerBook(destination.secret, self._options.links),
            courier,
            now,
        )

    def _delivery(self, destination: Destination, group: str, courier: HttpSender) -> Delivery:
        consumer = AIOKafkaConsumer(
            **_consuming(self._settings),
            group_id=group,
            session_timeout_ms=int(self._settings.session_timeout_s * 1_000),
            max_poll_interval_ms=_LONGEST_OUTAGE_MS,
        )
        openings = StartPoints(LogReader(self._settings.connection()), self._settings.topics, now)
        return Delivery(consumer, openings, target_of(destination, self._options), courier)


def _consuming(settings: Settings) -> dict[str, Any]:
    return {
        **settings.connection(),
        "client_id": "tidegauge-notify",
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "fetch_max_wait_ms": _FETCH_WAIT_MS,
    }
