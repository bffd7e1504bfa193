"""The demo: the monitor detects the changes of a real model, through a real broker.

It starts a broker or uses one, creates the topics, starts a worker as a process of its own, plays
the car-loan example as its services would publish it, and reads every alert back from its topic.
kafka-python plays the services: they use a client of their own.
"""

import asyncio
import gzip
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

import orjson
from kafka import KafkaProducer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from agents.demo import story
from agents.demo.car_loan import MODEL_ID, LoanMessage, published
from agents.demo.child import last_message, start_child, stop_child
from agents.demo.collect import Collector
from agents.demo.embedded_broker import EmbeddedBroker, free_port, is_port_free
from agents.demo.show import (
    print_alert,
    print_closing,
    print_nothing,
    print_story,
    summarise,
)
from agents.errors import FileError, OperatorError, WorkerError
from agents.kafka.read import LogReader, partitions_of, read_whole
from agents.kafka.send import send_record
from agents.kafka.topics import create_topics
from agents.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
STALL_S = 300.0
"""Seconds without a new pair after which the demo has failed. The first pairs come 5 to 10 s after
the worker starts; a machine may be ten times slower, and busy."""
_PATIENCE_MS = 600_000
"""Milliseconds for which the services of the demo try to publish, and one answer of the broker:
the worker's own bound on an acknowledgement."""
REMEDY = (
    "Run the demo again; where the machine is busy, let it finish its other work first. "
    "docs/runbook.md has the exit codes of a worker."
)
PATIENT_IDLE_S = 50.0
"""``idle_s`` of ingest, which waits a tenth of it from an event's instant for older ones. Producer,
broker, worker and reader share one machine here: a record may take seconds to its partition."""
SETTLE_S = 1.5
"""Seconds after the last pair in which late alerts arrive."""
PAGE_PORT = 8_800
"""Where the page listens; another port where this one is taken."""
STOP_S = 30.0
"""Seconds for a worker to stop cleanly; it ends itself after 20."""
Event = LoanMessage | story.StoryMessage


class DemoError(WorkerError):
    """The demo did not reach its end. The message has the cause."""

    exit_code = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """The options of the command.

    Parameters
    ----------
    rows
        Rows of the example that are played; None for all.
    has_own_broker
        Whether to start the embedded broker instead of using that of the settings.
    keeps
        Whether to keep running afterwards.
    summary
        File for the closing figures.
    is_story
        Whether to play the story of two models instead of the example.
    """

    rows: int | None
    has_own_broker: bool
    keeps: bool
    summary: Path | None
    is_story: bool = False


def demonstrate(settings: Settings, options: DemoOptions, console: Console) -> int:
    """Run the demo; return the exit code."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegauge-demo-")))
        settings = _with_broker(settings, options, stack, console)
        asyncio.run(prepare_topics(settings))
        if options.keeps:
            asyncio.run(_ask_for_figures(settings, is_story=options.is_story))
        show = print_nothing if options.is_story else print_alert
        collector = Collector(settings, lambda alert: show(console, alert))
        collector.start()
        stack.callback(collector.stop)

        def start() -> RunningWorker:
            worker = stack.enter_context(running_worker(settings, folder / "worker.log"))
            console.print(f"Started a worker, process {worker.process.pid}.")
            return worker

        play = _Play(settings, collector, console)
        if options.is_story:
            figures = play.run_story(start)
        else:
            figures = play.run(published(rows=options.rows), start)
        if options.summary is not None:
            options.summary.write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2) + b"\n")
        if options.is_story:
            print_story(console, collector.collected, figures)
        else:
            print_closing(console, figures)
        if options.keeps:
            page = stack.enter_context(_page(settings, folder / "page.log"))
            _keep(settings, play.worker, page, console)
    return 0 if figures["pairs"] == figures["predictions"] else DemoError.exit_code


def _with_broker(
    settings: Settings, options: DemoOptions, stack: ExitStack, console: Console
) -> Settings:
    """Start a broker where none was named; return the settings of the demo."""
    changed: dict[str, object] = {}
    if options.has_own_broker:
        changed["broker"] = stack.enter_context(EmbeddedBroker()).bootstrap
        console.print(f"Started the embedded broker at {changed['broker']}.")
    if "idle_s" not in settings.model_fields_set:
        changed["idle_s"] = PATIENT_IDLE_S
    if options.is_story:  # one partition orders all alerts by time
        changed["partitions"] = 1
    return settings.model_copy(update=changed)


async def prepare_topics(settings: Settings) -> None:
    """Create the topics.

    Raises
    ------
    OperatorError
        When ``events`` holds records already.
    """
    await create_topics(settings)
    events = settings.topics.name("events")
    async with LogReader(settings).open(await partitions_of(settings, events)) as cursor:
        is_used = any((await cursor.seek_to_ends()).values())
    if is_used:
        msg = (
            f"Topic {events!r} at {settings.broker} already holds records, and the demo needs "
            "topics of its own: run it again with another --prefix."
        )
        raise OperatorError(msg)


async def _ask_for_figures(settings: Settings, *, is_story: bool) -> None:
    """Publish specs that ask for figures, for the page to draw; of the story in its own time."""
    models = {"loan": "hour", "price": "hour"} if is_story else {MODEL_ID: "day"}
    for model_id, every in models.items():
        spec = orjson.dumps({"model_id": model_id, "metrics": {"every": every}})
        at_ms = story.START_MS if is_story else None
        await send_record(settings, settings.models, model_id.encode(), spec, timestamp_ms=at_ms)


@dataclass(frozen=True, slots=True)
class RunningWorker:
    """A worker, and the file of its log."""

    process: Popen[bytes]
    log_path: Path

    def check(self) -> None:
        """Raise when the worker has ended."""
        if (exit_code := self.process.poll()) is not None:
            msg = f"The worker ended with exit code {exit_code}: {last_message(self.log_path)}"
            raise DemoError(f"{msg}\n{REMEDY}")


def patient_producer(settings: Settings) -> KafkaProducer:
    """Return the producer of a service, which tries for long."""
    return KafkaProducer(
        **settings.connection(),
        linger_ms=20,
        acks="all",
        max_block_ms=_PATIENCE_MS,
        request_timeout_ms=_PATIENCE_MS,
        delivery_timeout_ms=2 * _PATIENCE_MS,
    )


@contextmanager
def running_worker(settings: Settings, log_path: Path) -> Iterator[RunningWorker]:
    """Run a worker as operators do: a process of its own, configured by the environment."""
    process = _start(settings, ["worker"], log_path)
    try:
        yield RunningWorker(process, log_path)
    finally:
        stop_child(process, grace_s=STOP_S)


def _start(settings: Settings, arguments: list[str], log_path: Path) -> Popen[bytes]:
    told = settings.model_dump(mode="json", exclude_unset=True, exclude={"password"})
    env = {f"{PREFIX}{name.upper()}": str(value) for name, value in told.items()}
    command = [str(ROOT / "tidegauge"), *arguments]
    return start_child(command, log_path=log_path, env={**os.environ, **env}, cwd=ROOT)


@contextmanager
def _page(settings: Settings, log_path: Path) -> Iterator[str]:
    """Run a page; give its address."""
    port = PAGE_PORT if is_port_free(PAGE_PORT) else free_port()
    address = f"127.0.0.1:{port}"
    arguments = ["page", "--listen", address, "--allow-actions"]
    process = _start(settings, arguments, log_path)
    try:
        yield f"http://{address}"
    finally:
        stop_child(process, grace_s=STOP_S)


class _Play:
    """Publish the example, and wait until every pair has come back."""

    def __init__(self, settings: Settings, collector: Collector, console: Console) -> None:
        self.worker: RunningWorker | None = None
        self._settings = settings
        self._collector = collector
        self._console = console
        self._published = {"prediction": 0, "outcome": 0}

    def run(
        self,
        events: Iterator[Event],
        start: Callable[[], RunningWorker],
        *,
        is_behind: bool = False,
    ) -> dict[str, Any]:
        """Play to the end; return the closing figures.

        Parameters
        ----------
        events
            The messages of the services.
        start
            Starts a worker.
        is_behind
            Whether the worker starts only when all messages are published.
        """
        began_s = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        is_shown = self._console.is_terminal
        with Progress(
            *columns, TimeElapsedColumn(), console=self._console, disable=not is_shown
        ) as progress:
            sent = progress.add_task("events published", total=None)
            joined = progress.add_task("pairs labelled", total=None)
            if not is_behind:
                self.worker = start()
            for count in self._publish(events):
                progress.update(sent, completed=count)
                progress.update(joined, completed=self._pairs())
            total = sum(self._published.values())
            progress.update(sent, completed=total, total=total)
            self.worker = self.worker or start()
            for pairs in self._wait_for_pairs():
                progress.update(joined, completed=pairs, total=self._published["prediction"])
        seconds = time.monotonic() - began_s
        return summarise(self._collector.collected, self._published, seconds)

    def run_story(self, start: Callable[[], RunningWorker]) -> dict[str, Any]:
        """Play the story; return the closing figures.

        Each part is published before a worker runs: with instants of the past, a running worker
        would not wait for the slower of two partitions.
        """
        events = list(story.published())
        before = [event for event in events if event.at_ms < story.DOWN.end_ms]
        first = self.run(iter(before), start, is_behind=True)
        if self.worker is not None:
            stop_child(self.worker.process, grace_s=STOP_S)
            self.worker = None
        asyncio.run(self._append_outage())
        figures = self.run(iter(events[len(before) :]), start, is_behind=True)
        return figures | {"seconds": round(first["seconds"] + figures["seconds"], 1)}

    async def _append_outage(self) -> None:
        """Append the tick at the end of the outage."""
        events = self._settings.topics.name("events")
        last = b""
        async for record in read_whole(self._settings, events, partition=0):
            if record.value and story.has_traffic(record.value):
                last = record.value
        tick = story.tick_of_outage(last)
        await send_record(self._settings, events, None, tick, partition=0)

    def _publish(self, events: Iterator[Event]) -> Iterator[int]:
        producer = patient_producer(self._settings)
        topic_of = {"prediction": self._settings.predictions, "outcome": self._settings.outcomes}
        failures: list[BaseException] = []
        try:
            for count, event in enumerate(events, start=1):
                kind, prediction_id, payload = event[:3]
                at_ms = event.at_ms if isinstance(event, story.StoryMessage) else None
                key = prediction_id.encode()
                sending = producer.send(topic_of[kind], payload, key=key, timestamp_ms=at_ms)
                sending.add_errback(failures.append)
                self._published[kind] += 1
                if count % 1_000 == 0:
                    # A record carries the instant of its sending: what waits here in one partition
                    # would stand behind younger records of the others.
                    producer.flush()
                    self._check(failures)
                    yield count
            producer.flush()
            self._check(failures)
        finally:
            producer.close()

    def _wait_for_pairs(self) -> Iterator[int]:
        """Yield the number of pairs until all have settled.

        Raises
        ------
        DemoError
            When none has come for `STALL_S`.
        """
        pairs, moved_s = self._pairs(), time.monotonic()
        while True:
            time.sleep(0.1)
            self._check([])
            if self._pairs() != pairs:
                pairs, moved_s = self._pairs(), time.monotonic()
            yield pairs
            still_s = time.monotonic() - moved_s
            if pairs >= self._published["prediction"] and still_s > SETTLE_S:
                return
            if still_s > STALL_S:
                raise DemoError(
                    f"No pair came back for {STALL_S:.0f} s; {pairs:,} of "
                    f"{self._published['prediction']:,} have. {REMEDY}"
                )

    def _pairs(self) -> int:
        return len(self._collector.collected.labelled_ids)

    def _check(self, failures: list[BaseException]) -> None:
        if self.worker is not None:
            self.worker.check()
        failure = self._collector.failure or next(iter(failures), None)
        if failure is not None:
            cause = failure if isinstance(failure, WorkerError) else repr(failure)
            msg = f"The broker at {self._settings.broker} failed: {cause}. {REMEDY}"
            raise DemoError(msg) from failure


def write_files(folder: Path, rows: int | None, console: Console) -> None:
    """Write the messages of the services as two files that `backtest` reads."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{folder}: the folder cannot be made: {error.strerror}"
        raise FileError(msg) from error
    paths = {kind: folder / f"{kind}s.jsonl.gz" for kind in ("prediction", "outcome")}
    with ExitStack() as stack:
        files = {
            kind: stack.enter_context(gzip.open(path, "wb", compresslevel=1))
            for kind, path in paths.items()
        }
        for kind, _, payload in published(rows=rows):
            files[kind].write(payload + b"\n")
    console.print(f"Wrote {paths['prediction']} and {paths['outcome']}.")


def _keep(settings: Settings, worker: RunningWorker | None, page: str, console: Console) -> None:
    """Say where all is, until it is stopped."""
    topics = settings.topics
    console.print(
        f"\nThe page is at {page}\n"
        f"Still running at {settings.broker}. Publish predictions to {topics.predictions!r} and "
        f"outcomes to {topics.outcomes!r}; docs/wire.md describes their fields.\n"
        f"  ./tidegauge tail alerts --broker {settings.broker}\n"
        "Ctrl-C stops it."
    )
    while worker is not None:
        worker.check()
        time.sleep(0.5)
