"""The demo: a real model goes wrong and is caught, through a real broker.

It starts a broker (or uses one), creates the topics, starts a worker as its own process, plays the
car-loan example as its services would publish it, and reads every alert back from its topic.
"""

import gzip
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

import orjson
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from agents import story
from agents.car_loan import CHANGED_FROM, CHANGED_SERIES, UNCHANGED_SERIES, LoanMessage, published
from agents.child import log_tail, start_child, stop_child
from agents.embedded import EmbeddedBroker
from agents.errors import FileError, OperatorError, WorkerError
from agents.settings import PREFIX, Settings
from agents.tail import describe
from agents.topics import create_topics
from schemas.event import decode_events
from schemas.topics import TopicRole

ROOT = Path(__file__).resolve().parent.parent
STALL_S = 90.0
PATIENT_IDLE_S = 5.0
"""Producer, broker, worker and reader share one machine here: who is slow is not silent."""
SETTLE_S = 1.5
STOP_S = 30.0
Event = LoanMessage | story.StoryMessage
_READ: tuple[TopicRole, ...] = ("alerts", "feedback", "labelled", "dead_letters")


class DemoError(WorkerError):
    """The demo did not come to its end: say why."""

    exit_code = 1


@dataclass(slots=True)
class Collected:
    """What has been read back from the output topics."""

    labelled_ids: set[str] = field(default_factory=set)
    dead_letters: int = 0
    feedback: dict[str, dict[str, Any]] = field(default_factory=dict)
    alerts: dict[str, dict[str, Any]] = field(default_factory=dict)
    resolved: dict[str, dict[str, Any]] = field(default_factory=dict)
    ongoing: dict[str, dict[str, Any]] = field(default_factory=dict)

    def take(self, role: TopicRole, event: dict[str, Any]) -> bool:
        """Take one event into account; tell whether it is new."""
        match role:
            case "labelled":
                self.labelled_ids.add(event["labelled_id"])
            case "dead_letters":
                self.dead_letters += 1
            case "feedback":
                self.feedback[event["feedback_id"]] = event
            case _:
                return self._take_alert(event)
        return False

    def _take_alert(self, alert: dict[str, Any]) -> bool:
        """Keep the firings, the alerts that are over, and those that go on."""
        kept = {"firing": self.alerts, "resolved": self.resolved, "ongoing": self.ongoing}
        of_status = kept[alert["status"]]
        is_new = alert["alert_id"] not in of_status
        of_status[alert["alert_id"]] = alert
        return is_new and alert["status"] != "ongoing"

    def words(self) -> list[dict[str, Any]]:
        """Return all that was said about alerts, in the order of time."""
        said = [*self.alerts.values(), *self.ongoing.values(), *self.resolved.values()]
        return sorted(said, key=lambda alert: (alert["detected_at"], alert["alert_id"]))


class Collector(threading.Thread):
    """Reads the output topics from where they stand when it is made."""

    def __init__(self, settings: Settings, on_alert: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(name="collector", daemon=True)
        self.collected = Collected()
        self.failure: Exception | None = None
        self._on_alert = on_alert
        self._is_stopping = threading.Event()
        self._role_of = {settings.topics.name(role): role for role in _READ}
        self._consumer = KafkaConsumer(
            **settings.connection(), enable_auto_commit=False, auto_offset_reset="earliest"
        )
        partitions = [
            TopicPartition(topic, partition)
            for topic in self._role_of
            for partition in range(settings.partitions)
        ]
        self._consumer.assign(partitions)
        self._consumer.seek_to_beginning(*partitions)

    def run(self) -> None:
        """Read until `stop`."""
        try:
            while not self._is_stopping.is_set():
                for tp, records in self._consumer.poll(timeout_ms=200).items():
                    role = self._role_of[tp.topic]
                    for record in records:
                        event = orjson.loads(record.value)
                        if self.collected.take(role, event):
                            self._on_alert(event)
        except Exception as error:  # noqa: BLE001 - a thread's edge: the main thread raises it
            self.failure = error

    def stop(self) -> None:
        """Stop reading."""
        self._is_stopping.set()
        self.join()
        self._consumer.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What the operator asked for.

    Parameters
    ----------
    rows
        Rows of the example that are played; None is all of them.
    has_own_broker
        Whether to start the embedded broker instead of using the one of the settings.
    keeps
        Whether to stay up afterwards.
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
        settings = _on_stage(settings, options, stack, console)
        create_topics(settings)
        _refuse_used_topics(settings)
        show = _show_nothing if options.is_story else _print_alert
        collector = Collector(settings, lambda alert: show(console, alert))
        collector.start()
        stack.callback(collector.stop)

        def start() -> _Worker:
            worker = stack.enter_context(_worker(settings, folder / "worker.log"))
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
            _print_story(console, collector.collected, figures)
        else:
            _print_closing(console, figures)
        if options.keeps:
            _keep(settings, play.worker, console)
    return 0 if figures["pairs"] == figures["predictions"] else DemoError.exit_code


def _on_stage(
    settings: Settings, options: DemoOptions, stack: ExitStack, console: Console
) -> Settings:
    """Start a broker where none was named; return the settings to play with."""
    changed: dict[str, object] = {}
    if options.has_own_broker:
        changed["broker"] = stack.enter_context(EmbeddedBroker()).bootstrap
        console.print(f"Started the embedded broker at {changed['broker']}.")
    if "idle_s" not in settings.model_fields_set:
        changed["idle_s"] = PATIENT_IDLE_S
    if options.is_story:  # one order of all alerts: that of time
        changed["partitions"] = 1
    return settings.model_copy(update=changed)


def _refuse_used_topics(settings: Settings) -> None:
    events = settings.topics.name("events")
    consumer = KafkaConsumer(**settings.connection())
    try:
        partitions = [TopicPartition(events, n) for n in range(settings.partitions)]
        is_used = any(consumer.end_offsets(partitions).values())
    finally:
        consumer.close()
    if is_used:
        msg = (
            f"Topic {events!r} at {settings.broker} already holds records, and the demo wants "
            "topics of its own: run it again with another --prefix."
        )
        raise OperatorError(msg)


@dataclass(frozen=True, slots=True)
class _Worker:
    process: Popen[bytes]
    log_path: Path

    def check(self) -> None:
        """Raise when the worker has ended."""
        if (exit_code := self.process.poll()) is not None:
            msg = f"The worker ended with exit code {exit_code}; its log ends with:\n"
            raise DemoError(msg + log_tail(self.log_path))


@contextmanager
def _worker(settings: Settings, log_path: Path) -> Iterator[_Worker]:
    """Run a worker as operators do: a process of its own, told by the environment."""
    told = settings.model_dump(mode="json", exclude_unset=True, exclude={"password"})
    env = {f"{PREFIX}{name.upper()}": str(value) for name, value in told.items()}
    command = [str(ROOT / "tidegauge"), "worker"]
    process = start_child(command, log_path=log_path, env={**os.environ, **env}, cwd=ROOT)
    try:
        yield _Worker(process, log_path)
    finally:
        stop_child(process, grace_s=STOP_S)


class _Play:
    """Publish the example, and wait until every pair has come back."""

    def __init__(self, settings: Settings, collector: Collector, console: Console) -> None:
        self.worker: _Worker | None = None
        self._settings = settings
        self._collector = collector
        self._console = console
        self._published = {"prediction": 0, "outcome": 0}

    def run(
        self,
        events: Iterator[Event],
        start: Callable[[], _Worker],
        *,
        is_behind: bool = False,
    ) -> dict[str, Any]:
        """Play to the end; return the closing figures.

        Parameters
        ----------
        events
            What is published.
        start
            Starts a worker.
        is_behind
            Whether it starts when everything has been published.
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

    def run_story(self, start: Callable[[], _Worker]) -> dict[str, Any]:
        """Play the story; return the closing figures.

        Each part is published before a worker runs: who publishes instants of the past is not
        waited for.
        """
        events = list(story.published())
        before = [event for event in events if event.at_ms < story.DOWN.end_ms]
        first = self.run(iter(before), start, is_behind=True)
        if self.worker is not None:
            stop_child(self.worker.process, grace_s=STOP_S)
            self.worker = None
        self._pass_outage()
        figures = self.run(iter(events[len(before) :]), start, is_behind=True)
        return figures | {"seconds": round(first["seconds"] + figures["seconds"], 1)}

    def _pass_outage(self) -> None:
        """Append the tick that says that hours have passed in which nothing came."""
        partition = TopicPartition(self._settings.topics.name("events"), 0)
        consumer = KafkaConsumer(**self._settings.connection(), enable_auto_commit=False)
        last, is_at_end = b"", False
        try:
            consumer.assign([partition])
            consumer.seek_to_beginning(partition)
            while not is_at_end:
                records = consumer.poll(timeout_ms=1_000).get(partition, [])
                filled = [each.value for each in records if decode_events(each.value).payloads]
                last, is_at_end = (filled or [last])[-1], bool(last) and not records
        finally:
            consumer.close()
        producer = KafkaProducer(**self._settings.connection(), acks="all")
        producer.send(partition.topic, story.tick_of_outage(last), partition=0).get(STALL_S)
        producer.close()

    def _publish(self, events: Iterator[Event]) -> Iterator[int]:
        producer = KafkaProducer(**self._settings.connection(), linger_ms=20, acks="all")
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
                    self._check(failures)
                    yield count
            producer.flush()
            self._check(failures)
        finally:
            producer.close()

    def _wait_for_pairs(self) -> Iterator[int]:
        """Yield the pairs so far until all are there and a moment has passed, or none come."""
        pairs, moved_s = self._pairs(), time.monotonic()
        while True:
            time.sleep(0.1)
            self._check([])
            if self._pairs() != pairs:
                pairs, moved_s = self._pairs(), time.monotonic()
            yield pairs
            still_s = time.monotonic() - moved_s
            if still_s > (SETTLE_S if pairs >= self._published["prediction"] else STALL_S):
                return

    def _pairs(self) -> int:
        return len(self._collector.collected.labelled_ids)

    def _check(self, failures: list[BaseException]) -> None:
        if self.worker is not None:
            self.worker.check()
        failure = self._collector.failure or next(iter(failures), None)
        if failure is not None:
            msg = f"The broker at {self._settings.broker} failed: {failure!r}"
            raise DemoError(msg) from failure


def write_files(folder: Path, rows: int | None, console: Console) -> None:
    """Write what the services publish as two files that `backtest` reads."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{folder}: cannot be made a folder: {error.strerror}"
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


def row_of(alert: dict[str, Any]) -> int:
    """Return the row at which an alert was raised: labelled rows for what needs an outcome."""
    counter = "series_seen" if alert["series"] in {"error", "outcome"} else "predictions_seen"
    row: int = alert[counter]
    return row


def summarise(collected: Collected, published: dict[str, int], seconds: float) -> dict[str, Any]:
    """Return the closing figures."""
    return {
        "predictions": published["prediction"],
        "outcomes": published["outcome"],
        "pairs": len(collected.labelled_ids),
        "dead_letters": collected.dead_letters,
        "feedback": len(collected.feedback),
        "seconds": round(seconds, 1),
        "resolved": len(collected.resolved),
        "alerts": [
            {
                "series": alert["series"],
                "aspect": alert["aspect"],
                "category": alert["category"],
                "row": row_of(alert),
                "alert_id": alert["alert_id"],
            }
            for alert in collected.alerts.values()
        ],
    }


def _print_alert(console: Console, alert: dict[str, Any]) -> None:
    colour = {"critical": "bold red", "warning": "yellow"}.get(alert["severity"], "cyan")
    word = alert["severity"].upper()
    if alert["status"] == "resolved":
        colour, word = "green", "OVER"
    console.print(
        f"[{colour}]{word:8}[/] {escape(alert['summary'])}",
        highlight=False,
        soft_wrap=True,
    )


def _print_closing(console: Console, figures: dict[str, Any]) -> None:
    rows: dict[str, list[int]] = {}
    for alert in figures["alerts"]:
        rows.setdefault(alert["series"], []).append(alert["row"])
    has_changed = figures["predictions"] > CHANGED_FROM
    table = Table(
        title=f"The model changed at row {CHANGED_FROM:,}"
        if has_changed
        else f"The model would have changed at row {CHANGED_FROM:,}, which was not played"
    )
    for title in ("series", "changed", "alerted", "rows late"):
        table.add_column(title, justify="right" if title == "rows late" else "left")
    others = [name for name in rows if name not in (*CHANGED_SERIES, *UNCHANGED_SERIES)]
    for series in (*CHANGED_SERIES, *UNCHANGED_SERIES, *others):
        first = min(rows.get(series, ()), default=None)
        changed = "-" if series in others else "no"
        if has_changed and series in CHANGED_SERIES:
            changed = "yes"
        late = "" if first is None else f"{first - CHANGED_FROM:,}"
        table.add_row(series, changed, "no" if first is None else "yes", late)
    console.print(table)
    counts = ("predictions", "outcomes", "pairs", "dead_letters", "feedback")
    said = ", ".join(f"{figures[name]:,} {name.replace('_', ' ')}" for name in counts)
    closing = (
        f"{said}, {len(figures['alerts'])} alerts, {figures['resolved']} of them over, in "
        f"{figures['seconds']} s."
    )
    console.print(closing, soft_wrap=True)


def _show_nothing(console: Console, alert: dict[str, Any]) -> None:
    """Wait: alerts of several models come in no order, and are shown in that of time."""


def _print_story(console: Console, collected: Collected, figures: dict[str, Any]) -> None:
    """Show each word about each alert as `tail alerts` does."""
    for alert in collected.words():
        line = describe("alerts", orjson.dumps(alert))
        console.print(line, highlight=False, soft_wrap=True)
    fired = len(figures["alerts"])
    left = fired - figures["resolved"] or "none"
    closing = (
        f"{figures['predictions']:,} predictions, {figures['outcomes']:,} outcomes, "
        f"{fired} alerts, {left} of them still firing, in {figures['seconds']} s."
    )
    console.print(closing, soft_wrap=True)


def _keep(settings: Settings, worker: _Worker | None, console: Console) -> None:
    topics = settings.topics
    console.print(
        f"\nStill running at {settings.broker}. Publish predictions to {topics.predictions!r} and "
        f"outcomes to {topics.outcomes!r}; docs/wire.md says what they look like.\n"
        f"  ./tidegauge tail alerts --broker {settings.broker}\n"
        "Ctrl-C stops it."
    )
    while worker is not None:
        worker.check()
        time.sleep(0.5)
