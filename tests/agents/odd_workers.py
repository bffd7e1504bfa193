"""Workers that end in every way a worker can: `python -m tests.agents.odd_workers KIND BROKER GROUP
TOPIC`.
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
import time
from collections.abc import Mapping
from typing import Any, cast

from faust.types import TP

from agents.errors import WorkerError
from agents.settings import load_settings
from agents.telemetry import configure_logging
from agents.worker.agent import Agent
from agents.worker.assembly import build_app
from agents.worker.publish import Publisher
from agents.worker.run import run_worker
from agents.worker.transport import Fetch


class Mistaken(Agent):
    """Raises what nobody expects."""

    async def on_fetch(self, fetch: Fetch) -> None:
        msg = "a mistake of ours"
        raise ZeroDivisionError(msg)


class MistakenAndEager(Agent):
    """Fails half-way, and would commit whenever it may."""

    _done: Mapping[TP, int] = {}

    async def on_fetch(self, fetch: Fetch) -> None:
        self._done = {fetch.tp: fetch.next_offset}
        msg = "a mistake of ours"
        raise ZeroDivisionError(msg)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(0.01)
            await self.on_shutdown()

    async def on_shutdown(self) -> None:
        if self._done:
            await self.partitions.commit_fact(self._done)


class Refusing(Agent):
    """Ends with a sentence."""

    async def on_fetch(self, fetch: Fetch) -> None:
        msg = "Half of the inputs are refused: look at the dead letters"
        raise WorkerError(msg)


class RefusingBeside(Agent):
    """Ends with a sentence from its own task."""

    async def on_fetch(self, fetch: Fetch) -> None:
        pass

    async def run(self) -> None:
        msg = "The task beside has had enough"
        raise WorkerError(msg)


class RefusingRestore(Agent):
    """Ends with a sentence while it takes its partitions over."""

    async def on_rebalance_complete(self, starts: Mapping[TP, int]) -> None:
        msg = "A snapshot cannot be read"
        raise WorkerError(msg)


class Stuck(Agent):
    """Takes one fetch and never returns."""

    async def on_rebalance_complete(self, starts: Mapping[TP, int]) -> None:
        self._starts = dict(starts)

    async def on_fetch(self, fetch: Fetch) -> None:
        await asyncio.Event().wait()

    def applied(self) -> Mapping[TP, int]:
        return self._starts


class StuckInALibrary(Agent):
    """Calls what never returns, and keeps the interpreter's lock meanwhile."""

    async def on_fetch(self, fetch: Fetch) -> None:
        ctypes.PyDLL(None).sleep(600)


class WithoutItsThread(Agent):
    """Loses the thread that talks to Kafka."""

    async def on_fetch(self, fetch: Fetch) -> None:
        def end() -> None:
            raise SystemExit

        thread = self.partitions._consumer._thread
        thread.thread_loop.call_soon_threadsafe(end)


class WithoutItsGroup(Agent):
    """Loses aiokafka's task for the group."""

    async def on_fetch(self, fetch: Fetch) -> None:
        thread = self.partitions._consumer._thread
        task = cast(Any, thread._consumer)._coordinator._coordination_task
        thread.thread_loop.call_soon_threadsafe(task.cancel)


class Orderly(Agent):
    """Commits only when it is told to stop."""

    async def on_fetch(self, fetch: Fetch) -> None:
        self._done = {fetch.tp: fetch.next_offset}
        print("taken", fetch.next_offset, flush=True)  # noqa: T201 - read by the test

    async def on_shutdown(self) -> None:
        await self.partitions.commit_fact(self._done)


class WaitingForItsThread(Agent):
    """Stops, while the thread that talks to Kafka does not."""

    async def on_fetch(self, fetch: Fetch) -> None:
        print("taken", flush=True)  # noqa: T201 - read by the test

    async def on_shutdown(self) -> None:
        self.partitions._consumer._thread.thread_loop.call_soon_threadsafe(time.sleep, 600)


class FailingToStop(Orderly):
    """Cannot flush."""

    async def on_shutdown(self) -> None:
        msg = "The last snapshot could not be written"
        raise WorkerError(msg)


KINDS = {
    kind.__name__: kind
    for kind in (
        FailingToStop,
        Mistaken,
        MistakenAndEager,
        Refusing,
        RefusingBeside,
        RefusingRestore,
        Stuck,
        StuckInALibrary,
        WaitingForItsThread,
        WithoutItsGroup,
        WithoutItsThread,
        Orderly,
    )
}

STALL_S = {"Stuck": 2.0, "StuckInALibrary": 2.0, "WithoutItsThread": 2.0, "WithoutItsGroup": 2.0}
"""Short for those that the watch must find; the first rebalance of a new broker takes seconds."""

if __name__ == "__main__":
    configure_logging("warning")
    kind, broker, group, topic = sys.argv[1:]
    settings = load_settings(broker=broker, group=group, session_timeout_s=6.0)
    settings = settings.model_copy(update={"stall_s": STALL_S.get(kind, 60.0)})
    publisher = Publisher(settings.connection())
    app = build_app(settings, [KINDS[kind]("odd", [topic])], publisher)
    sys.exit(run_worker(app, stop_s=5.0))
