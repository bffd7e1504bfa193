"""Run a worker until it is stopped or fails."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from typing import Any

import uvloop

from agents.prometheus import Collect, metrics_served
from agents.worker.app import WorkerApp
from agents.worker.exit import fail, leave
from agents.worker.watchdog import expect_sign_of_life, watch_every_s

_log = logging.getLogger(__name__)

_STOP_S = 20.0
"""Seconds for a clean stop. It includes `_SHUTDOWN_S` of the bridge, and one request to Kafka."""
_SWITCH_S = 0.0005
"""Python's switch interval in seconds: the thread that talks to Kafka waits at most so long while
the other one computes, and a fetch takes several turns. At half the capacity the latency of an
alert is a sixth lower than with Python's default of 5 ms (three paired runs of
benchmarks.latency); throughput is the same."""


def run_worker(app: WorkerApp, stop_s: float = _STOP_S, collect: Collect = tuple) -> int:
    """Run until SIGTERM, SIGINT or a failure; return the exit code of a clean stop.

    ``collect`` reads its figures for Prometheus.

    After a failure the process ends at once without a flush: the next worker reads the unsaved
    records again, and a flush after a failure could hide a gap. The process also ends at once when
    it has not stopped ``stop_s`` seconds after the signal.
    """
    sys.setswitchinterval(_SWITCH_S)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve_and_live(app, stop_s, collect))


async def _serve_and_live(app: WorkerApp, stop_s: float, collect: Collect) -> int:
    async with metrics_served(app.settings, collect):
        return await _live(app, stop_s)


async def _live(app: WorkerApp, stop_s: float) -> int:
    loop = asyncio.get_running_loop()
    app.owns_process = True
    asked = asyncio.Event()

    def ask() -> None:
        if asked.is_set():
            leave(128 + signal.SIGINT)
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask)
    heartbeat = asyncio.create_task(_show_life(app.settings.stall_s))
    starting = asyncio.create_task(app.start())
    stopping = asyncio.create_task(asked.wait())
    stopped = asyncio.create_task(app.wait_until_stopped())
    # A crashed service may keep the others from stopping, and must not be flushed.
    crashed = asyncio.create_task(app._crashed.wait())
    ends: set[asyncio.Future[Any]] = {stopping, stopped, crashed}
    await asyncio.wait(ends | {starting}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done() and not starting.exception():
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        fail(_reason(app, starting))
    await _stop(app, stop_s)
    starting.cancel()
    heartbeat.cancel()
    return os.EX_OK


async def _show_life(stall_s: float) -> None:
    while True:
        try:
            expect_sign_of_life(stall_s)
        except (RuntimeError, MemoryError) as error:
            fail(error)  # without memory for the timer nothing would watch
        await asyncio.sleep(watch_every_s(stall_s))


async def _stop(app: WorkerApp, within_s: float) -> None:
    _log.info("Stopping")
    # A timeout of the loop would not fire: Faust waits for its thread and blocks the loop.
    deadline = threading.Timer(within_s, _give_up, [within_s])
    deadline.daemon = True
    deadline.start()
    try:
        await app.stop()
    except BaseException as error:  # noqa: BLE001 - the edge of the process, which ends now
        fail(error)
    deadline.cancel()
    _log.info("Stopped")


def _give_up(within_s: float) -> None:
    _log.error("The worker did not stop within %.0f s and is killed", within_s)
    leave(os.EX_TEMPFAIL)


def _reason(app: WorkerApp, starting: asyncio.Task[None]) -> BaseException:
    if starting.done() and (error := starting.exception()) is not None:
        return error
    return app.crash_reason or RuntimeError("Faust stopped the worker without a reason")
