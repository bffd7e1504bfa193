"""Post the firing alerts to an Alertmanager, from the compacted topic ``status``.

Rule 1. A firing alert is posted at once and again every ``resend_s``, each time as firing for four
        times that long: without further posts Alertmanager resolves it by itself.
Rule 2. An alert that is resolved, is muted, or has other labels than before is posted as ended, for
        a quarter of an hour: an Alertmanager that restarts has forgotten which alerts were open.
Rule 3. Every attempt is made from `status` as it is then: after an outage of any length
        Alertmanager has the present state.
Rule 4. All of `status` is read at the start. Nothing is committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from aiokafka import ConsumerRecord, TopicPartition
from pydantic import SecretStr

from agents.kafka.read import Cursor, LogReader
from agents.notify.firing import FiringAlerts, Now
from agents.notify.http import HttpSender, Rejection, Request
from agents.notify.messages import Links, alertmanager_alert, alertmanager_labels
from agents.notify.selection import ALL, Selection
from agents.telemetry import RateLimit, get_logger
from schemas.alert import Alert

RESEND_S = 60.0
"""Seconds between two posts, as Prometheus resends by default (rules.alert.resend-delay)."""
_FIRING_FOR_RESENDS = 4
"""Posts after which an alert would end by itself, as in Prometheus."""
_ENDED_FOR = timedelta(minutes=15)
"""How long an end is posted, as in Prometheus (resolvedRetention)."""
_POLL_S = 0.5
"""Seconds of one poll of ``status`` at most; a change arrives at once."""
_LOG_EVERY_S = 3_600.0
"""Seconds between two log lines about the same status code of a rejection."""
ALERTS_PATH = "/api/v2/alerts"
_log = get_logger(__name__)


class AlertmanagerBook:
    """The alerts that were posted to an Alertmanager, and those to post next.

    Parameters
    ----------
    url
        Alertmanager's address, without the path of its API.
    deployment
        The name of the deployment, a label of its alerts.
    links
        Where links lead.
    resend_s
        Seconds between two posts of a firing alert.
    selection
        The alerts that it receives.
    """

    def __init__(
        self,
        url: SecretStr,
        deployment: str,
        links: Links,
        resend_s: float = RESEND_S,
        selection: Selection = ALL,
    ) -> None:
        self._selection = selection
        self._url = SecretStr(url.get_secret_value().rstrip("/") + ALERTS_PATH)
        self._deployment = deployment
        self._links = links
        self.resend_s = resend_s
        self._firing_for = timedelta(seconds=_FIRING_FOR_RESENDS * resend_s)
        self._posted: dict[bytes, Alert] = {}
        self._ended: dict[bytes, tuple[Alert, datetime]] = {}

    def request(self, firing: list[Alert], now: datetime) -> Request | None:
        """Return the next post; None when no alert fires and none has just ended."""
        wanted = {
            self._labels_key(alert): alert for alert in firing if self._selection.wants(alert)
        }
        for key, alert in self._posted.items():
            if key not in wanted:
                self._ended.setdefault(key, (alert, now))
        self._ended = {
            key: (alert, ended_at)
            for key, (alert, ended_at) in self._ended.items()
            if key not in wanted and now - ended_at < _ENDED_FOR
        }
        self._posted = wanted
        posted = [self._entry(alert, now + self._firing_for, now) for alert in wanted.values()]
        posted += [self._entry(alert, at, now) for alert, at in self._ended.values()]
        return Request(url=self._url, body=orjson.dumps(posted)) if posted else None

    def _entry(self, alert: Alert, ends_at: datetime, now: datetime) -> Mapping[str, Any]:
        entry: Mapping[str, Any] = alertmanager_alert(
            alert, self._deployment, ends_at, now, self._links
        )
        return entry

    def _labels_key(self, alert: Alert) -> bytes:
        labels = alertmanager_labels(alert, self._deployment)
        return orjson.dumps(labels, option=orjson.OPT_SORT_KEYS)


class Refresher:
    """Follows ``status`` and posts.

    Parameters
    ----------
    reader
        Reads partitions.
    partitions
        Those of ``status``.
    book
        Makes the requests.
    sender
        Sends them.
    now
        The clock.
    """

    def __init__(
        self,
        reader: LogReader,
        partitions: Sequence[TopicPartition],
        book: AlertmanagerBook,
        sender: HttpSender,
        now: Now,
    ) -> None:
        self._reader = reader
        self._partitions = partitions
        self._book = book
        self._sender = sender
        self._now = now
        self._firing = FiringAlerts()
        self._rejections = RateLimit(_LOG_EVERY_S)

    async def run(self) -> None:
        """Follow and post until cancelled."""
        loop = asyncio.get_running_loop()
        async with self._reader.open(self._partitions) as cursor:
            async for records in cursor.read_to_ends():
                self._apply(records)
            _log.info(f"{len(self._firing.open)} alerts are firing", firing=len(self._firing.open))
            while True:
                await self._post(cursor)
                due_s = loop.time() + self._book.resend_s
                while (left_s := due_s - loop.time()) > 0:
                    if records := await cursor.fetch(min(_POLL_S, left_s)):
                        self._apply(records)
                        break

    def _apply(self, records: Iterable[ConsumerRecord]) -> None:
        for record in records:
            self._firing.apply(record.key, record.value)

    async def _post(self, cursor: Cursor) -> None:
        async def make() -> Request | None:
            # Each attempt posts the alerts as they are then, however long the target was away.
            while records := await cursor.fetch(0.0):
                self._apply(records)
            now = self._now()
            return self._book.request(self._firing.firing(now), now)

        rejection = await self._sender.deliver(make)
        if rejection is not None:
            self._log_rejection(rejection)

    def _log_rejection(self, rejection: Rejection) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._rejections.admit(str(rejection.status), now_s) is not None:
            _log.error(f"Alertmanager rejects a request ({rejection.status}): {rejection.text}")
