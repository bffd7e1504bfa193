"""An event loop whose clock jumps to the next thing to do: an hour of waiting costs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class StandstillError(RuntimeError):
    """Everything waits for something that will never come."""


class TimeWarpLoop(asyncio.BaseEventLoop):
    """asyncio without sockets, with a clock of its own that starts at 0."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._selector = self  # `_run_once` asks this one to wait

    def time(self) -> float:
        return self._now_s

    def select(self, timeout: float | None) -> list[object]:
        if timeout is None:
            msg = "nothing is left to do, and somebody still waits"
            raise StandstillError(msg)
        self._now_s += timeout
        return []

    def _process_events(self, event_list: list[object]) -> None: ...

    def _write_to_self(self) -> None: ...


def run_in_warped_time(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; whatever still waits then is ended."""
    loop = TimeWarpLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        while tasks := asyncio.all_tasks(loop):
            for task in tasks:
                task.cancel()
            loop.run_until_complete(_ended(tasks))
        loop.close()


async def _ended(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # whoever had to know has been told
