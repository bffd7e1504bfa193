"""The day of `agents.demo.loop` on a broker, with a worker as a process of its own.

The worker may be killed in each chapter: the lines are the same. All waiting is for conditions.
"""

import asyncio
import queue
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import orjson
from aiokafka import TopicPartition
from kafka import KafkaConsumer
from kafka import TopicPartition as Partition
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from agents.demo import loop
from agents.demo.demo import (
    REMEDY,
    STALL_S,
    DemoError,
    RunningWorker,
    patient_producer,
    prepare_topics,
    running_worker,
)
from agents.demo.embedded_broker import EmbeddedBroker
from agents.demo.loop import ANSWERED, TOLD, WINDOWS, Actors, Heard, Json, Planned, told
from agents.kafka.read import Cursor, LogReader
from agents.settings import Settings
from examples.retrain import retrain
from schemas.event import decode_events
from streams.clock import DAY_MS

KILLED = (18, 60, 104, 129)
"""Windows in which a worker is killed, one in each chapter; the last one while a lease holds."""
LOOK_EVERY_S = 0.02
SETTINGS: Json = {
    "partitions": 1,
    "save_every_s": 0.1,
    "session_timeout_s": 6.0,
    "group_instance": "loop",
}
"""One log; saved after each window, for what is committed has been published; and a worker that is
killed is replaced at once."""
_ROLES = (*TOLD, *ANSWERED)


def play_loop(settings: Settings, console: Console, *, has_own_broker: bool, kills: bool) -> int:
    """Play the day; return the exit code.

    Parameters
    ----------
    has_own_broker
        Whether to start the embedded broker instead of using that of the settings. There the day is
        that of the day before yesterday: retention may delete older records.
    kills
        Whether a worker is killed in each chapter.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegauge-demo-")))
        changed = dict(SETTINGS)
        start_ms = int(time.time() * 1_000) // DAY_MS * DAY_MS - 2 * DAY_MS  # noqa: TID251 - a date
        if has_own_broker:
            changed["broker"] = stack.enter_context(EmbeddedBroker()).bootstrap
            console.print(f"Started the embedded broker at {changed['broker']}.")
            start_ms = loop.START_MS
        settings = settings.model_copy(update=changed)
        asyncio.run(prepare_topics(settings))
        trainer = Trainer(settings)
        day = _Day(settings, Actors(trainer.rows, start_ms), stack, folder / "worker.log", console)
        trainer.start(lambda: day.actors.now_ms / 1_000)
        asyncio.run(day.run(kills=kills))
    return 0


class Trainer:
    """The worker of examples/retrain, in a thread: it hands over the rows that it has read.

    Parameters
    ----------
    settings
        Whose topics.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._read: queue.Queue[list[Json] | Exception] = queue.Queue()

    def start(self, now_s: Callable[[], float]) -> None:
        """Begin to obey commands, by a clock."""
        threading.Thread(target=self._run, args=(now_s,), name="trainer", daemon=True).start()

    def rows(self, _command: Json) -> list[Json]:
        """Return the rows of the next command.

        Raises
        ------
        DemoError
            When they do not come.
        """
        try:
            found = self._read.get(timeout=STALL_S)
        except queue.Empty:
            found = TimeoutError(f"no rows for {STALL_S:.0f} s")
        if isinstance(found, Exception):
            msg = f"The trainer failed: {found}. {REMEDY}"
            raise DemoError(msg) from found
        return found

    def _run(self, now_s: Callable[[], float]) -> None:
        brokers, prefix = ",".join(self._settings.brokers), self._settings.prefix
        try:
            retrain.run(brokers, prefix, lambda _command, rows: self._read.put(rows), now_s)
        except Exception as error:  # noqa: BLE001 - a thread's edge: the main thread raises it
            self._read.put(error)


class _Day:
    """Publishes the day window by window, and reads what follows from each."""

    def __init__(
        self, settings: Settings, actors: Actors, stack: ExitStack, log_path: Path, console: Console
    ) -> None:
        self.actors = actors
        self._settings, self._stack, self._console = settings, stack, console
        self._log_path = log_path
        self._worker: RunningWorker | None = None
        self._producer: Any = stack.enter_context(closing(patient_producer(settings)))
        group = {"group_id": settings.group, "enable_auto_commit": False}
        self._group: Any = stack.enter_context(
            closing(KafkaConsumer(**settings.connection(), **group))
        )
        self._published = self._last = 0
        self._logged: set[tuple[str, int, int]] = set()
        self._positions = {TopicPartition(settings.topics.name(role), 0): 0 for role in _ROLES}
        self._seen: set[bytes] = set()

    async def run(self, *, kills: bool) -> None:
        """Play the day to its end."""
        events = (self._settings.topics.name("events"), 0)
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        is_shown = self._console.is_terminal
        with Progress(*columns, console=self._console, disable=not is_shown) as progress:
            task = progress.add_task("the day", total=WINDOWS)
            self._start()
            async with LogReader(self._settings).open([events]) as log:
                for window in range(WINDOWS):
                    await self._append(self.actors.requests(window), log)
                    verdicts = self.actors.verdicts(window)
                    if kills and window in KILLED:
                        self._kill()
                    await self._append(verdicts, log)
                    await self._until(self._is_committed)
                    for line in told(self.actors, [each async for each in self._heard()]):
                        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
                    progress.update(task, completed=window + 1)

    def _start(self) -> None:
        self._worker = self._stack.enter_context(running_worker(self._settings, self._log_path))
        self._console.print(f"Started a worker, process {self._worker.process.pid}.\n")

    def _kill(self) -> None:
        if self._worker is not None:
            self._worker.process.kill()
            self._worker.process.wait()
            self._console.print(f"\nKilled the worker, process {self._worker.process.pid}.")
        self._start()

    async def _append(self, planned: Sequence[Planned], log: Cursor) -> None:
        """Publish events; wait until they are in the log, so that their order is no chance."""
        topics = self._settings.topics.sources()
        for kind, at_ms, event in planned:
            value, key = orjson.dumps(event), event["model_id"].encode()
            self._producer.send(topics[kind], value, key=key, timestamp_ms=at_ms)
        self._producer.flush(STALL_S)
        self._published += len(planned)

        async def is_logged() -> bool:
            for record in await log.fetch(LOOK_EVERY_S):
                batch = decode_events(record.value)
                sources = [batch.sources[index] for index in batch.source_index]
                # A worker that was killed appends again: each place of an input counts once.
                found = {
                    (source.kind, source.partition, offset)
                    for source, offset in zip(sources, batch.source_offset, strict=True)
                    if source.kind in topics
                }
                self._logged |= found
                self._last = record.offset if found else self._last
            return len(self._logged) >= self._published

        await self._until(is_logged)

    async def _is_committed(self) -> bool:
        """Tell whether all that follows from the log so far has been published."""
        partition = Partition(self._settings.topics.name("events"), 0)
        committed = self._group.committed(partition)
        if committed is not None and committed > self._last:
            return True
        await asyncio.sleep(LOOK_EVERY_S)
        return False

    async def _heard(self) -> AsyncIterator[Heard]:
        """Yield what has been published since the last window, each record once."""
        role_of = {self._settings.topics.name(role): role for role in _ROLES}
        partitions = [(each.topic, each.partition) for each in self._positions]
        async with LogReader(self._settings).open(partitions) as cursor:
            cursor.seek(self._positions)
            async for records in cursor.read_to_ends():
                for record in records:
                    self._positions[TopicPartition(record.topic, 0)] = record.offset + 1
                    role, value = role_of[record.topic], record.value or b""
                    if role in TOLD:
                        if value in self._seen:
                            continue
                        self._seen.add(value)
                    key = (record.key or b"").decode()
                    yield Heard(role, key, value)

    async def _until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait for a condition, while the worker lives.

        Raises
        ------
        DemoError
            When it does not come true for `STALL_S`.
        """
        deadline_s = time.monotonic() + STALL_S
        while not await condition():
            if self._worker is not None:
                self._worker.check()
            if time.monotonic() > deadline_s:
                msg = f"The worker has published nothing for {STALL_S:.0f} s. {REMEDY}"
                raise DemoError(msg)
