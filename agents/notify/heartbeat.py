"""A dead man's switch: a sign that workers tick, which somebody else expects.

Rule 1. A beat is sent every `BEAT_S` while the latest tick is younger than `STALE_S`. Where no
        worker ticks, where Kafka does not answer, or where this process is gone, none is sent.
Rule 2. Alertmanager receives an alert that always fires, `TidegaugeWatchdog`, as Prometheus' own
        Watchdog; a URL receives a POST. Whoever expects the beats tells people when they stop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import orjson
from pydantic import SecretStr

from agents.errors import BrokerUnreachableError
from agents.notify.alertmanager import ALERTS_PATH
from agents.notify.destinations import Destination
from agents.notify.firing import Now
from agents.notify.http import HttpSender, Request
from agents.telemetry import RateLimit, get_logger

BEAT_S = 30.0
"""Seconds between two beats: half of the shortest period that such services offer."""
STALE_S = 60.0
"""Seconds after which a tick is old; a worker appends six in them."""
_FIRING_FOR = timedelta(seconds=4 * BEAT_S)
"""How long a beat counts at Alertmanager, as for its other alerts."""
_LOG_EVERY_S = 600.0
"""Seconds between two log lines that no beat is sent."""
WATCHDOG = "TidegaugeWatchdog"
LastTick = Callable[[], Awaitable[int | None]]
"""Returns the instant of the latest tick, in epoch milliseconds; None where there is none."""
_log = get_logger(__name__)


class Heartbeat:
    """Sends beats to one target.

    Parameters
    ----------
    destination
        An Alertmanager or a URL.
    deployment
        The name of the deployment.
    sender, last_tick, now
        Sends requests; finds the latest tick; the clock.
    beat_s
        Seconds between two beats.
    """

    def __init__(
        self,
        destination: Destination,
        deployment: str,
        sender: HttpSender,
        *,
        last_tick: LastTick,
        now: Now,
        beat_s: float = BEAT_S,
    ) -> None:
        self._destination = destination
        self._deployment = deployment
        self._sender = sender
        self._last_tick = last_tick
        self._now = now
        self._beat_s = beat_s
        self._pauses = RateLimit(_LOG_EVERY_S)
        self._began_at = now()

    async def run(self) -> None:
        """Send beats until cancelled."""
        while True:
            try:
                tick_ms = await self._last_tick()
            except (
                BrokerUnreachableError
            ) as error:  # Kafka does not answer: that is news, and no end
                self._say_pause(str(error))
            else:
                await self._beat(tick_ms)
            await asyncio.sleep(self._beat_s)

    async def _beat(self, tick_ms: int | None) -> None:
        if not self._is_fresh(tick_ms):
            self._say_pause("no worker has ticked for a minute")
            return

        async def make() -> Request | None:
            # A target that was away for long must not be told of a tick that is old by then.
            return self._request() if self._is_fresh(tick_ms) else None

        await self._sender.deliver(make)

    def _is_fresh(self, tick_ms: int | None) -> bool:
        return tick_ms is not None and self._now().timestamp() - tick_ms / 1_000 < STALE_S

    def _say_pause(self, reason: str) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._pauses.admit("pause", now_s) is not None:
            _log.warning(f"No heartbeat is sent to {self._sender.name}: {reason}")

    def _request(self) -> Request:
        address = self._destination.secret.get_secret_value()
        if self._destination.kind != "alertmanager":
            return Request(
                url=self._destination.secret, body=orjson.dumps({"deployment": self._deployment})
            )
        beat = {
            "labels": {
                "alertname": WATCHDOG,
                "deployment": self._deployment,
                "severity": "none",
            },
            "annotations": {"summary": f"Workers of {self._deployment} tick. This always fires."},
            "startsAt": self._began_at.isoformat(timespec="milliseconds"),
            "endsAt": (self._now() + _FIRING_FOR).isoformat(timespec="milliseconds"),
        }
        return Request(url=SecretStr(address.rstrip("/") + ALERTS_PATH), body=orjson.dumps([beat]))
