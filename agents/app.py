"""Puts a worker together, settings, hops, publisher and Faust, and runs it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, cast

import faust
import uvloop
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from faust.app.base import BootStrategy
from faust.tables.recovery import RebalanceAgain
from faust.types import TP
from mode.supervisors import CrashingSupervisor

from agents.errors import BrokerUnreachableError, OperatorError, StalledError, WorkerError
from agents.hop import Hop, Partitions
from agents.publish import Publisher
from agents.settings import Settings
from agents.topics import other_partitions
from agents.transport import BatchConsumer, BatchTransport, Fetch, FetchSchema
from agents.watchdog import Watchdog, expect_sign_of_life
from schemas.topics import TopicRole

_REVOKE_S = 3.0
_SHUTDOWN_S = 8.0
_STOP_S = 20.0
_CONNECT_TRIES = 6
_CONNECT_PAUSE_S = 2.0
_WATCH_EVERY_S = 5.0
_SWITCH_S = 0.0005
"""How long the thread that talks to Kafka waits for its turn while the other computes, at most; a
fetch takes several turns. At half the capacity an alert comes a sixth sooner than at Python's own
5 ms (three runs in turn); throughput is the same."""

# What is routed by model: the same partition of each holds the same models.
_ROUTED: tuple[TopicRole, ...] = ("events", "alerts", "status", "feedback", "labelled", "state")

_T = TypeVar("_T")

_log = logging.getLogger(__name__)


class _WithoutProducer(BootStrategy):
    """Faust's own producer is not idempotent and only logs what fails; see `Publisher`."""

    enable_kafka_producer = False
    enable_web = False


class WorkerApp(faust.App):
    """The Faust app of a worker, with what it was built from.

    Parameters
    ----------
    settings, hops, publisher
        See `build_app`.
    """

    BootStrategy = _WithoutProducer

    def __init__(
        self, settings: Settings, hops: Sequence[Hop], publisher: Publisher, **options: Any
    ) -> None:
        super().__init__(settings.group, **options)
        self.settings = settings
        self.hops = tuple(hops)
        self.publisher = publisher
        self.owns_process = False

    @property
    def batches(self) -> BatchConsumer:
        """The consumer."""
        return cast(BatchConsumer, self.consumer)

    def _create_directories(self) -> None:
        """Faust would make a data directory; there is nothing to put there."""

    async def on_start(self) -> None:
        """Find the cluster as it must be, connect the publisher, prepare the hops."""
        await super().on_start()
        await check_cluster(self.settings, self.hops)
        await self.publisher.start()
        await self._check_partitions()
        for hop in self.hops:
            await hop.on_start()

    async def _check_partitions(self) -> None:
        """Refuse to start where a model would change its partition.

        Raises
        ------
        OperatorError
            With the remedy.
        """
        settings = self.settings
        routed = {settings.topics.name(role) for role in _ROUTED}
        for topic in sorted(routed & {t for hop in self.hops for t in (*hop.topics, *hop.outputs)}):
            found = await self.publisher.partitions(topic)
            if found != settings.partitions:
                raise other_partitions(topic, found, settings)

    async def on_shutdown(self) -> None:
        """Disconnect the publisher, after everything else has stopped."""
        await super().on_shutdown()
        await self.publisher.stop()


async def check_cluster(settings: Settings, hops: Sequence[Hop]) -> None:
    """Return when Kafka answers and every topic of the hops exists.

    Raises
    ------
    BrokerUnreachableError, OperatorError
        With the sentence for the operator.
    """
    existing = await _existing_topics(settings)
    needed = {topic for hop in hops for topic in (*hop.topics, *hop.outputs)}
    if missing := sorted(needed - existing):
        raise OperatorError(
            f"{', '.join(missing)}: no such topic at {settings.broker}, or none this user may see; "
            "run `./tidegauge topics create`"
        )


async def _existing_topics(settings: Settings) -> set[str]:
    connection = settings.connection()
    reason = ""
    for attempt in range(_CONNECT_TRIES):
        if attempt:
            await asyncio.sleep(_CONNECT_PAUSE_S)
        admin = AIOKafkaAdminClient(**connection)
        try:
            await admin.start()
            return set(await admin.list_topics())
        except (KafkaError, OSError) as error:
            reason = str(error) or repr(error)
            if not attempt:
                _log.warning("Kafka at %s does not answer yet: %s", settings.broker, reason)
        finally:
            await admin.close()
    raise BrokerUnreachableError(
        f"Kafka at {settings.broker} does not answer ({reason}): start it, or set "
        "TIDEGAUGE_BROKER; `./tidegauge broker` starts one for a first look"
    )


class _Seam:
    """Between Faust's signals and the hops."""

    def __init__(self, app: WorkerApp) -> None:
        self._app = app
        self._busy: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._restore: asyncio.Task[None] | None = None
        app.on_partitions_revoked.connect(self._on_revoked)
        app.on_rebalance_complete.connect(self._on_rebalance_complete)
        app.on_before_shutdown.connect(self._on_shutdown)
        for hop in app.hops:
            self._add_agent(hop)
            app.task(self._runner(hop))
        app.task(self._watch)

    def _add_agent(self, hop: Hop) -> None:
        app = self._app

        async def consume(stream: faust.StreamT[Any]) -> None:
            async for event in stream.events():
                async with self._busy[hop.name]:
                    # The lock may have been held by a rebalance that took the partition away.
                    if (
                        app.flow_control.is_active()
                        and event.message.generation_id == app.consumer_generation_id
                    ):
                        await self._guarded(hop.on_fetch(cast(Fetch, event.value)))

        app.agent(
            app.topic(*hop.topics, schema=FetchSchema(), acks=False),
            name=f"tidegauge.{hop.name}",
            concurrency=1,
            supervisor_strategy=CrashingSupervisor,
        )(consume)

    def _runner(self, hop: Hop) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            await self._guarded(hop.run())

        return run

    async def _guarded(self, work: Awaitable[_T]) -> _T:
        """Do ``work``; at a failure the process ends here and now, before any other task runs.

        What failed half-way must not be saved, by nobody: not by the task beside, not by a flush.
        """
        try:
            return await work
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:
            if self._app.owns_process:
                _fail(error)
            raise

    async def _on_rebalance_complete(self, *_: Any, **__: Any) -> None:
        self._restore = restore = asyncio.create_task(self._restore_all())
        try:
            await asyncio.wait([restore])
        finally:
            restore.cancel()
        if restore.cancelled():
            # Faust then waits for the assignment that follows, instead of resuming this one.
            raise RebalanceAgain
        await self._guarded(restore)

    async def _restore_all(self) -> None:
        consumer = self._app.batches
        assigned = consumer.assignment()
        starts = await consumer.first_offsets(assigned)
        _say_assignment(assigned)
        for hop in self._app.hops:
            mine = {tp: offset for tp, offset in starts.items() if tp.topic in hop.topics}
            async with self._busy[hop.name]:
                await hop.on_rebalance_complete(mine)
            for tp in mine:
                chosen = hop.start_offset(tp)
                if chosen is not None:
                    starts[tp] = chosen
        consumer.plan(starts)

    async def _on_revoked(self, *arguments: Any, **_: Any) -> None:
        revoked: set[TP] = arguments[-1]
        if self._restore is not None and not self._restore.done():
            self._restore.cancel()
            await asyncio.wait([self._restore])
        for hop in self._app.hops:
            mine = {tp for tp in revoked if tp.topic in hop.topics}
            if mine:
                await self._undisturbed(hop, partial(hop.on_revoked, mine), _REVOKE_S)

    async def _on_shutdown(self, *_: Any, **__: Any) -> None:
        if self._restore is None:  # stopped before anything was assigned
            return
        until_s = asyncio.get_running_loop().time() + _SHUTDOWN_S
        for hop in self._app.hops:
            left_s = max(0.0, until_s - asyncio.get_running_loop().time())
            await self._undisturbed(hop, hop.on_shutdown, left_s)

    async def _undisturbed(
        self, hop: Hop, callback: Callable[[], Awaitable[None]], within_s: float
    ) -> None:
        """Call back between two fetches if that is possible in time."""
        busy = self._busy[hop.name]
        try:
            async with asyncio.timeout(within_s):
                async with busy:
                    await self._guarded(callback())
        except TimeoutError:
            _log.warning(
                "%s was not flushed within %.0f s: the next owner of its partitions repeats work",
                hop.name,
                within_s,
            )

    async def _watch(self) -> None:
        app = self._app
        stall_s = app.settings.stall_s
        watchdog = Watchdog(stall_s)
        pause_s = _pause_s(stall_s)
        ends: dict[TP, int] = {}  # what is known stays known while the broker cannot be asked
        while not app.should_stop:
            await app.sleep(pause_s)
            await self._guarded(_check_thread(app.batches))
            with contextlib.suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(pause_s):
                    ends.update(await app.batches.end_offsets())
            applied = {tp: offset for hop in app.hops for tp, offset in hop.applied().items()}
            await self._guarded(_checked(watchdog, applied, ends))


def _pause_s(stall_s: float) -> float:
    return min(_WATCH_EVERY_S, stall_s / 4)


async def _check_thread(consumer: BatchConsumer) -> None:
    if not consumer.has_thread():  # whoever asks it anything would wait for ever
        msg = "the thread that talks to Kafka has ended: restart the worker"
        raise StalledError(msg)


async def _checked(watchdog: Watchdog, applied: Mapping[TP, int], ends: Mapping[TP, int]) -> None:
    watchdog.check(asyncio.get_running_loop().time(), applied, ends)


def _say_assignment(assigned: set[TP]) -> None:
    if not assigned:
        _log.warning("This worker has no partitions: the group has more workers than partitions")
        return
    by_topic: defaultdict[str, list[int]] = defaultdict(list)
    for tp in sorted(assigned):
        by_topic[tp.topic].append(tp.partition)
    _log.info(
        "Assigned: %s",
        "; ".join(f"{topic} {', '.join(map(str, held))}" for topic, held in by_topic.items()),
    )


def build_app(settings: Settings, hops: Sequence[Hop], publisher: Publisher) -> WorkerApp:
    """Return the worker's app; nothing is connected before it runs.

    Parameters
    ----------
    settings
        Checked settings.
    hops
        What the worker does.
    publisher
        What the hops publish with; the app starts and stops it.
    """
    app = WorkerApp(
        settings,
        hops,
        publisher,
        broker=[f"kafka://{address}" for address in settings.brokers],
        # Nothing from the environment reaches Faust past our own settings.
        env={},
        autodiscover=False,
        web_enabled=False,
        worker_redirect_stdouts=False,
        agent_supervisor=CrashingSupervisor,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.partitions,
        # Keeps Faust's own assignor, which gives partition n of every topic to one worker.
        table_standby_replicas=1,
        stream_buffer_maxsize=16,
        # True would wait for ever at a rebalance: nothing is acknowledged to Faust.
        stream_wait_empty=False,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.group_instance,
        broker_client_id="tidegauge",
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / 5,
        broker_rebalance_timeout=max(20.0, 2 * settings.session_timeout_s),
        broker_request_timeout=max(40.0, 2 * settings.session_timeout_s),
        # A worker without partitions would leave the group after this long, and never rejoin.
        broker_max_poll_interval=1e6,
        # Faust warns when it commits nothing for so long; it never commits here.
        broker_commit_livelock_soft_timeout=1e9,
        stream_processing_timeout=1e9,
    )
    app.transport = BatchTransport(app, settings.connection())
    for hop in hops:
        hop.partitions = Partitions(app)
    _Seam(app)
    return app


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
            _leave(128 + signal.SIGINT)
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
        _fail(_reason(app, starting))
    await _stop(app, stop_s)
    starting.cancel()
    living.cancel()
    return os.EX_OK


async def _show_life(stall_s: float) -> None:
    while True:
        try:
            expect_sign_of_life(stall_s)
        except (RuntimeError, MemoryError) as error:  # no room for the timer: nobody would watch
            _fail(error)
        await asyncio.sleep(_pause_s(stall_s))


async def _stop(app: WorkerApp, within_s: float) -> None:
    _log.info("Stopping")
    # Not a timeout of the loop's: Faust waits for its thread, and the loop waits with it.
    impatience = threading.Timer(within_s, _give_up, [within_s])
    impatience.daemon = True
    impatience.start()
    try:
        await app.stop()
    except BaseException as error:  # noqa: BLE001 - the process's edge: it ends here and now
        _fail(error)
    impatience.cancel()
    _log.info("Stopped")


def _give_up(within_s: float) -> None:
    _log.error("The worker did not stop within %.0f s and is ended", within_s)
    _leave(os.EX_TEMPFAIL)


def _reason(app: WorkerApp, starting: asyncio.Task[None]) -> BaseException:
    if starting.done() and (error := starting.exception()) is not None:
        return error
    return app.crash_reason or RuntimeError("Faust stopped the worker without a reason")


def _fail(error: BaseException) -> None:
    if isinstance(error, WorkerError):
        _log.critical("%s", error)
        _leave(error.exit_code)
    _log.critical("Unexpected error, the worker ends", exc_info=error)
    _leave(os.EX_SOFTWARE)


def _leave(exit_code: int) -> None:
    """End the process without any clean-up that could still publish or commit."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)
