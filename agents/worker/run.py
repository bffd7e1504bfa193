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

from agents.worker.app import WorkerApp
from agents.worker.exit import fail, leave
from agents.worker.watchdog import expect_sign_of_life, watch_every_s

_log = logging.getLogger(__name__)

_STOP_S = 20.0
_SWITCH_S = 0.0005
"""How long the thread that talks to Kafka waits for its turn while the other computes, at most; a
fetch takes several turns. At half the capacity an alert comes a sixth sooner than at Python's own
5 ms (three runs in turn); throughput is the same."""


def run_worker(app: WorkerApp, stop_s: float = _STOP_S) -> int:
    """Run until SIGTERM, SIGINT or a failure; return the exit code of a stop in good order.

    After a failure the process ends here and now: what was not flushed is read again by the next
    worker, and flushing it after a failure could hide a hole. So it does when it has not stopped
    ``stop_s`` after it was told to.
    """
    sys.setswitchinterval(_SWITCH_S)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_live(app, stop_s))


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
    living = asyncio.create_task(_show_life(app.settings.stall_s))
    starting = asyncio.create_task(app.start())
    stopping = asyncio.create_task(asked.wait())
    stopped = asyncio.create_task(app.wait_until_stopped())
    # What crashed may keep the rest from stopping, and must not be flushed.
    crashed = asyncio.create_task(app._crashed.wait())
    ends: set[asyncio.Future[Any]] = {stopping, stopped, crashed}
    await asyncio.wait(ends | {starting}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done() and not starting.exception():
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        fail(_reason(app, starting))
    await _stop(app, stop_s)
    starting.cancel()
    living.cancel()
    return os.EX_OK


async def _show_life(stall_s: float) -> None:
    while True:
        try:
            expect_sign_of_life(stall_s)
        except (RuntimeError, MemoryError) as error:  # no room for the timer: nobody would watch
            fail(error)
        await asyncio.sleep(watch_every_s(stall_s))


async def _stop(app: WorkerApp, within_s: float) -> None:
    _log.info("Stopping")
    # Not a timeout of the loop's: Faust waits for its thread, and the loop waits with it.
    impatience = threading.Timer(within_s, _give_up, [within_s])
    impatience.daemon = True
    impatience.start()
    try:
        await app.stop()
    except BaseException as error:  # noqa: BLE001 - the process's edge: it ends here and now
        fail(error)
    impatience.cancel()
    _log.info("Stopped")


def _give_up(within_s: float) -> None:
    _log.error("The worker did not stop within %.0f s and is ended", within_s)
    leave(os.EX_TEMPFAIL)


def _reason(app: WorkerApp, starting: asyncio.Task[None]) -> BaseException:
    if starting.done() and (error := starting.exception()) is not None:
        return error
    return app.crash_reason or RuntimeError("Faust stopped the worker without a reason")
