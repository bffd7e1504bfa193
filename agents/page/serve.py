"""Run the page: read the topics, listen, until a signal comes."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

from agents.errors import OperatorError
from agents.kafka.send import send_record
from agents.page.actions import Actions
from agents.page.feed import Feed
from agents.page.page import Page
from agents.page.server import make_app
from agents.page.store import PageStore
from agents.settings import Settings
from agents.telemetry import get_logger

DEFAULT_LISTEN = "127.0.0.1:8800"
CLOSE_S = 1.0
"""Seconds for open event streams when the page stops."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ANYWHERE = frozenset({"0.0.0.0", "::", "[::]"})  # noqa: S104 - compared with, never bound
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOptions:
    """The options of the command.

    Parameters
    ----------
    listen
        Where it listens, ``host:port``.
    hosts
        Further values of the header Host that are answered.
    allows_actions
        Whether people may acknowledge, accept, mute and mark.
    user_header
        Header in which a proxy names the user.
    """

    listen: str = DEFAULT_LISTEN
    hosts: tuple[str, ...] = ()
    allows_actions: bool = False
    user_header: str | None = None


def answered_hosts(settings: Settings, options: PageOptions) -> frozenset[str]:
    """Return the values of the header Host that are answered.

    Examples
    --------
    >>> sorted(answered_hosts(Settings(), PageOptions(listen="127.0.0.1:80")))
    ['127.0.0.1', '127.0.0.1:80', '[::1]', '[::1]:80', 'localhost', 'localhost:80']
    """
    host, port = _split(options.listen)
    names = {"127.0.0.1", "localhost", "[::1]"} | ({host} - _ANYWHERE)
    found = {f"{name}:{port}" for name in names} | set(options.hosts)
    if port == 80:  # a browser leaves the default port out
        found |= names
    if settings.page_url is not None:
        found.add(urlsplit(settings.page_url).netloc)
    return frozenset(found)


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) < 65536:
        msg = f"--listen {address}: host:port is expected, as {DEFAULT_LISTEN}"
        raise OperatorError(msg)
    return host, int(port)


async def serve(settings: Settings, options: PageOptions) -> int:
    """Serve the page until a signal comes.

    Raises
    ------
    OperatorError
        When the address is wrong or taken.
    """
    feed = Feed(settings, PageStore(), now_ms)
    page = Page(
        deployment=settings.deployment,
        prefix=settings.prefix,
        feed=feed,
        actions=_actions(settings, options),
        hosts=answered_hosts(settings, options),
        now_ms=now_ms,
    )
    stop = asyncio.Event()
    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(make_app(page), access_log=None, shutdown_timeout=CLOSE_S)
    await runner.setup()
    host, port = _split(options.listen)
    try:
        try:
            await web.TCPSite(runner, host.strip("[]"), port).start()
        except OSError as error:
            msg = f"--listen {options.listen}: {error.strerror}; choose another port"
            raise OperatorError(msg) from error
        _log.info("The page is at http://%s", options.listen)
        reading = asyncio.create_task(feed.run())
        await asyncio.wait(
            [reading, asyncio.create_task(stop.wait())], return_when="FIRST_COMPLETED"
        )
        if reading.done():
            reading.result()
        reading.cancel()
    finally:
        await runner.cleanup()
    _log.info("Stopped")
    return os.EX_OK


def _actions(settings: Settings, options: PageOptions) -> Actions | None:
    if not options.allows_actions:
        return None
    topic = settings.topics.name("controls")

    async def send(key: bytes, value: bytes) -> tuple[int, int]:
        return await send_record(settings, topic, key, value)

    return Actions(send=send, user_header=options.user_header)


def now_ms() -> int:
    """Return the instant by the wall clock, in epoch milliseconds."""
    return time.time_ns() // 1_000_000
