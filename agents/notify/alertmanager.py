"""Keep an Alertmanager told of what is firing, from the compacted topic ``status``.

Rule 1. What fires is posted at once and again every ``resend_s``, each time as firing for four
        times that long: when nobody posts any more, Alertmanager lets it go by itself.
Rule 2. What fires no more, is muted, or has other labels than before is posted as ended, for a
        quarter of an hour: an Alertmanager that restarts has forgotten what was open.
Rule 3. Every try is made from `status` as it is then: an outage of any length ends with the truth.
Rule 4. All is read from `status` at the start; nothing is committed, there is nothing to lose.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import SecretStr

from agents.notify.firing import FiringAlerts, Now
from agents.notify.http import HttpSender, Rejection, Request
from agents.notify.messages import alertmanager_alert, alertmanager_labels
from agents.telemetry import RateLimit, get_logger
from schemas.alert import Alert

RESEND_S = 60.0
_FIRING_FOR_RESENDS = 4
_ENDED_FOR = timedelta(minutes=15)
_POLL_S = 0.5
_COMPLAINS_EVERY_S = 3_600.0
_PATH = "/api/v2/alerts"
_log = get_logger(__name__)


class AlertmanagerBook:
    """What an Alertmanager has been told, and is to be told next.

    Parameters
    ----------
    url
        Alertmanager's address, without its API's path.
    links
        What links to the runbook begin with; None leaves them out.
    resend_s
        How often it is told what fires.
    """

    def __init__(self, url: SecretStr, links: str | None, resend_s: float = RESEND_S) -> None:
        self._url = SecretStr(url.get_secret_value().rstrip("/") + _PATH)
        self._links = links
        self.resend_s = resend_s
        self._firing_for = timedelta(seconds=_FIRING_FOR_RESENDS * resend_s)
        self._told: dict[bytes, Alert] = {}
        self._ended: dict[bytes, tuple[Alert, datetime]] = {}

    def request(self, firing: list[Alert], now: datetime) -> Request | None:
        """Return what to post now; None when nothing fires and nothing has just ended."""
        wanted = {_labels_key(alert): alert for alert in firing}
        for key, alert in self._told.items():
            if key not in wanted:
                self._ended.setdefault(key, (alert, now))
        self._ended = {
            key: (alert, ended_at)
            for key, (alert, ended_at) in self._ended.items()
            if key not in wanted and now - ended_at < _ENDED_FOR
        }
        self._told = wanted
        posted = [self._posted(alert, now + self._firing_for, now) for alert in wanted.values()]
        posted += [self._posted(alert, at, now) for alert, at in self._ended.values()]
        return Request(url=self._url, body=orjson.dumps(posted)) if posted else None

    def _posted(self, alert: Alert, ends_at: datetime, now: datetime) -> Mapping[str, Any]:
        posted: Mapping[str, Any] = alertmanager_alert(alert, ends_at, now, self._links)
        return posted


def _labels_key(alert: Alert) -> bytes:
    return orjson.dumps(alertmanager_labels(alert), option=orjson.OPT_SORT_KEYS)


class Refresher:
    """Follows ``status`` and posts.

    Parameters
    ----------
    consumer
        Of no group, not yet started.
    partitions
        Those of ``status``.
    book
        What to post.
    courier
        How.
    now
        The clock.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        partitions: Sequence[TopicPartition],
        book: AlertmanagerBook,
        courier: HttpSender,
        now: Now,
    ) -> None:
        self._consumer = consumer
        self._partitions = partitions
        self._book = book
        self._courier = courier
        self._now = now
        self._board = FiringAlerts()
        self._refusals = RateLimit(_COMPLAINS_EVERY_S)

    async def run(self) -> None:
        """Follow and post until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            await self._consumer.start()
            self._consumer.assign(self._partitions)
            await self._consumer.seek_to_beginning(*self._partitions)
            while not await self._has_caught_up():
                await self._read(_POLL_S)
            _log.info(f"{len(self._board.open)} alerts are firing", firing=len(self._board.open))
            while True:
                await self._post()
                due_s = loop.time() + self._book.resend_s
                while (left_s := due_s - loop.time()) > 0:
                    if await self._read(min(_POLL_S, left_s)):
                        break
        finally:
            await self._consumer.stop()

    async def _has_caught_up(self) -> bool:
        for partition in self._partitions:
            # The high watermark of a fetch: the embedded broker's end offsets lag.
            end = self._consumer.highwater(partition)
            if end is None or await self._consumer.position(partition) < end:
                return False
        return True

    async def _read(self, timeout_s: float) -> int:
        fetched = await self._consumer.getmany(timeout_ms=int(timeout_s * 1_000))
        for records in fetched.values():
            for record in records:
                self._board.take(record.key, record.value)
        return sum(map(len, fetched.values()))

    async def _post(self) -> None:
        refusal = await self._courier.deliver(self._make)
        if refusal is not None:
            self._say_refused(refusal)

    async def _make(self) -> Request | None:
        while await self._read(0.0):
            pass
        now = self._now()
        return self._book.request(self._board.firing(now), now)

    def _say_refused(self, refusal: Rejection) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._refusals.take(str(refusal.status), now_s) is not None:
            _log.error(f"Alertmanager refuses what it is told ({refusal.status}): {refusal.text}")
