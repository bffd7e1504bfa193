"""The run itself: start everything, break it as planned, let it finish, audit it."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from confluent_kafka import KafkaException
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from rich.console import Console

from agents.commands.verify import audit
from agents.demo.child import log_tail
from agents.demo.embedded_broker import answers_metadata, free_ports
from agents.kafka.topics import create_topics
from agents.settings import PREFIX, Settings, load_settings
from benchmarks.chaos.fleet import Fleet, Tally
from benchmarks.chaos.follower import Follower
from benchmarks.chaos.intruders import Intruder
from benchmarks.chaos.logs import LogSummary, summarise
from benchmarks.chaos.offsets import Offsets, PauseWatch
from benchmarks.chaos.proxy import Proxy
from benchmarks.chaos.schedule import MOST_WORKERS, WORKERS, Fault, Kind, plan
from benchmarks.chaos.traffic import CALLS, MAX_PAYLOAD_BYTES, SOURCES, TrafficThread
from schemas.topics import TopicRole
from streams.state.audit import Findings, InputAudit
from tests.broker import read_to_end
from tests.kafka import KAFKA_VERSION, OLDER_VERSION, KafkaCluster

TICK_S = 0.1
FIRST_OUTPUT_S = 90.0
DRAIN_S = 240.0
BROKER_BACK_S = 120.0
INTRUDES_S = 300.0
SAY_EVERY_S = 30.0
SESSION_TIMEOUT_S = 6
MONTH_S = 31 * 86_400.0

# The log cleaner looks every second, and segments are short: compaction really happens.
_BROKER = {"log.cleaner.backoff.ms": "1000"}
_STATE = {
    "segment.ms": "5000",
    "min.cleanable.dirty.ratio": "0.01",
    "max.compaction.lag.ms": "10000",
    "delete.retention.ms": "10000",
}
_WORKER = {
    "prefix": "chaos.",
    "predictions": "chaos.predictions",
    "outcomes": "chaos.outcomes",
    "group": "chaos",
    "partitions": "4",
    "session_timeout_s": str(SESSION_TIMEOUT_S),
    "save_every_s": "0.5",
    "idle_s": "0.3",
    "stall_s": "90",
    "max_payload_bytes": str(MAX_PAYLOAD_BYTES),
    "dead_letter_ratio": "none",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosOptions:
    """What was asked for.

    Parameters
    ----------
    kills, seed, pace
        See `benchmarks.chaos.schedule.plan`; the seed is also that of the traffic and the waits.
    per_second
        Messages, on average.
    max_wait_s
        Longest wait between two durable steps; 0 runs the worker as it is.
    brokers
        Nodes of the cluster; three or more hold every record three times or more.
    folder
        For logs that are to be kept; None throws them away.
    long
        Whether faults that take a minute and more are among the others.
    """

    kills: int
    seed: int
    per_second: int
    max_wait_s: float
    brokers: int
    pace: float = 1.0
    folder: Path | None = None
    long: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosResult:
    """What came of it.

    Parameters
    ----------
    controllers_killed
        Of the killed brokers, how many led the controllers.
    state_written, state_left
        Records of the state topic: ever written, and there after compaction.
    unwatched_share
        Share of the time of the faults in which a partition's output stood still.
    """

    faults: Counter[Kind]
    controllers_killed: int
    tally: Tally
    logs: LogSummary
    sent: Counter[str]
    findings: dict[TopicRole, Findings]
    inputs: InputAudit
    pauses_s: list[float]
    unwatched_share: float
    state_written: int
    state_left: int
    has_drained: bool
    faults_s: float
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether the promise has held: all is equal, and no state was unusable."""
        return (
            self.has_drained
            and all(each.is_equal for each in self.findings.values())
            and self.inputs.is_equal
            and not self.logs.unusable_states
        )


def run(options: ChaosOptions, console: Console) -> ChaosResult:
    """Do it all; the deployment, its broker and its topics are gone afterwards."""
    with ExitStack() as stack:
        folder = options.folder
        if folder is None:
            temporary = tempfile.TemporaryDirectory(prefix="tidegauge-chaos-")
            folder = Path(stack.enter_context(temporary))
        folder.mkdir(parents=True, exist_ok=True)
        return _Run(options, folder, console, stack).run()


class _Run:
    def __init__(
        self, options: ChaosOptions, folder: Path, console: Console, stack: ExitStack
    ) -> None:
        self._options = options
        self._console = console
        self._began_s = time.monotonic()
        self._faults: Counter[Kind] = Counter()
        self._planned = plan(options.kills, options.seed, options.pace, is_long=options.long)
        self._controllers_killed = 0
        ports = free_ports(options.brokers)
        self._cluster = stack.enter_context(
            KafkaCluster(
                options.brokers,
                advertised_proxy_ports=ports,
                settings=_BROKER,
                version=OLDER_VERSION if options.long else KAFKA_VERSION,
            )
        )
        self._proxies = [
            stack.enter_context(Proxy(port, node.proxied_port))
            for port, node in zip(ports, self._cluster.nodes, strict=True)
        ]
        sources = folder / "sources.yaml"
        sources.write_text(SOURCES)
        worker = _WORKER | {"sources": str(sources)}
        self._settings = load_settings(broker=self._cluster.bootstrap, **worker)
        asyncio.run(create_topics(self._settings))
        _create_calls(self._settings, options.brokers)
        _keep_state_short(self._settings)
        told = worker | {"broker": ",".join(f"127.0.0.1:{port}" for port in ports)}
        waits = (options.seed, options.max_wait_s) if options.max_wait_s else None
        env = {f"{PREFIX}{name.upper()}": value for name, value in told.items()}
        self._fleet = Fleet(env, folder, MOST_WORKERS, waits)
        stack.callback(self._fleet.end)
        self._follower = Follower(env, folder / "incidents.log")
        stack.callback(self._follower.kill)
        self._offsets = Offsets(self._settings, [CALLS])
        stack.callback(self._offsets.close)
        self._traffic = TrafficThread(self._settings, options.seed, options.per_second)
        self._pauses = PauseWatch(self._settings)
        self._intruder = Intruder(self._settings, options.seed)
        self._say_at_s = 0.0

    def run(self) -> ChaosResult:
        self._fleet.wanted = WORKERS
        self._traffic.start()
        self._wait_for_output()
        self._pauses.start()
        faults_began_s = time.monotonic()
        for fault in self._planned:
            self._pass(fault.wait_s)
            self._strike(fault)
        self._pass(SESSION_TIMEOUT_S)
        faults_s = time.monotonic() - faults_began_s
        self._traffic.finish()
        self._pauses.finish()
        self._say("The traffic has ended; the workers finish what is left.")
        has_drained = self._until(lambda: self._behind() == 0, DRAIN_S)
        self._fleet.stop()
        self._follower.catch_up()
        findings, inputs = asyncio.run(audit(self._settings, Console(quiet=True)))
        return ChaosResult(
            faults=self._faults,
            controllers_killed=self._controllers_killed,
            tally=self._fleet.tally,
            logs=summarise(self._fleet.log_paths),
            sent=self._traffic.sent + self._intruder.sent,
            findings=findings,
            inputs=inputs,
            pauses_s=self._pauses.pauses_s,
            unwatched_share=self._pauses.unwatched_share(),
            state_written=sum(self._offsets.ends("state").values()),
            state_left=len(read_to_end(self._cluster, self._settings.topics.name("state"))),
            has_drained=has_drained,
            faults_s=faults_s,
            seconds=time.monotonic() - self._began_s,
        )

    def _strike(self, fault: Fault) -> None:
        if not self._until(lambda: self._fleet.running() > 0, FIRST_OUTPUT_S):
            msg = "no worker runs, and none is started"
            raise TimeoutError(msg)
        strike: dict[Kind, Callable[[Fault], None]] = {
            "kill -9": lambda fault: self._fleet.kill(fault.victim),
            "kill -9, all workers": lambda _: self._fleet.kill_all(),
            "SIGTERM": lambda fault: self._fleet.terminate(fault.victim),
            "SIGSTOP": lambda fault: self._fleet.freeze(fault.victim, fault.lasts_s),
            "scale": self._scale,
            "broker kill -9": self._kill_broker,
            "connections cut": self._cut,
            "connections held": self._hold,
            "clock wrong": self._set_clock_wrong,
            "transaction at the end": self._transact,
            "poison records": lambda _: self._meanwhile(self._intruder.poison),
            "bad deploy": lambda _: self._meanwhile(self._intruder.deploy_badly),
            "topic made anew": self._make_anew,
            "copies missing": self._miss_copies,
            "brokers upgraded in turn": self._upgrade,
        }
        strike[fault.kind](fault)
        if fault.kind == "kill -9":
            self._follower.start()
        self._faults[fault.kind] += 1

    def _scale(self, fault: Fault) -> None:
        self._fleet.wanted = fault.workers

    def _kill_broker(self, fault: Fault) -> None:
        """Kill one node; every other time, beginning with the first, the controllers' leader."""
        self._gather()
        leader = self._cluster.controller()
        node = self._cluster.nodes[int(fault.victim * len(self._cluster.nodes))]
        if self._faults[fault.kind] % 2 == 0:
            node = leader
        self._controllers_killed += node is leader
        node.kill()
        self._pass(fault.lasts_s)
        node.launch()
        if not self._until(lambda: answers_metadata(node.bootstrap), BROKER_BACK_S):
            msg = (
                f"a killed broker did not come back; its log ends with:\n{log_tail(node.log_path)}"
            )
            raise TimeoutError(msg)

    def _cut(self, fault: Fault) -> None:
        for proxy in self._proxies:
            proxy.cut()
        self._pass(fault.lasts_s)
        for proxy in self._proxies:
            proxy.mend()

    def _hold(self, fault: Fault) -> None:
        for proxy in self._proxies:
            proxy.hold()
        self._pass(fault.lasts_s)
        for proxy in self._proxies:
            proxy.release()

    def _set_clock_wrong(self, fault: Fault) -> None:
        """Set the clock of one worker a month ahead or back; not where the worker is unchanged."""
        side = 1 if self._faults[fault.kind] % 2 == 0 else -1
        self._fleet.set_clock_wrong(fault.victim, side * MONTH_S, fault.lasts_s)

    def _transact(self, fault: Fault) -> None:
        """Leave a transaction open for a while; every other one is aborted, the first too."""
        commits = self._faults[fault.kind] % 2 == 1
        wait = partial(time.sleep, fault.lasts_s)
        self._meanwhile(partial(self._intruder.transact, wait, commits=commits))

    def _make_anew(self, fault: Fault) -> None:
        """Delete the topic of outcomes, with those that nobody has read, and make it anew."""
        self._meanwhile(partial(self._intruder.make_anew, self._settings.outcomes))
        self._pass(fault.lasts_s)

    def _miss_copies(self, fault: Fault) -> None:
        """Ask for a copy of each record on every node, and kill one of them."""
        self._gather()
        names = [topic.name for topic in self._settings.topics.table()]
        _set_in_sync(self._settings, names, len(self._cluster.nodes))
        node = self._cluster.nodes[int(fault.victim * len(self._cluster.nodes))]
        node.kill()
        self._pass(fault.lasts_s)
        node.launch()
        self._gather()
        _set_in_sync(self._settings, names, len(self._cluster.nodes) // 2 + 1)

    def _upgrade(self, _: Fault) -> None:
        """Shut the nodes down in good order, one after the other, and start a later version."""
        for node in self._cluster.nodes:
            self._gather()
            node.halt()
            node.version = KAFKA_VERSION
            node.launch()
        self._gather()

    def _meanwhile(self, act: Callable[[], None]) -> None:
        """Do something that may block, while the workers are looked after."""
        with ThreadPoolExecutor(1) as pool:
            doing = pool.submit(act)
            self._until(doing.done, INTRUDES_S)
            doing.result()

    def _gather(self) -> None:
        if not self._until(self._cluster.is_whole, BROKER_BACK_S):
            msg = "the brokers did not become one whole cluster again"
            raise TimeoutError(msg)

    def _pass(self, seconds: float) -> None:
        """Let time pass, while the workers are looked after."""
        self._until(lambda: False, seconds)

    def _until(self, condition: Callable[[], bool], within_s: float) -> bool:
        deadline_s = time.monotonic() + within_s
        while time.monotonic() < deadline_s:
            self._fleet.tick()
            self._say_progress()
            if condition():
                return True
            time.sleep(TICK_S)
        return False

    def _wait_for_output(self) -> None:
        def is_there() -> bool:
            try:
                return sum(self._offsets.ends("labelled").values()) > 0
            except KafkaException:
                return False

        def is_decided() -> bool:
            return bool(self._fleet.tally.unexpected) or is_there()

        self._until(is_decided, FIRST_OUTPUT_S)
        if not is_there():
            tail = log_tail(self._fleet.log_paths[0])
            msg = f"no output within {FIRST_OUTPUT_S:.0f} s; the log ends with:\n{tail}"
            raise TimeoutError(msg)

    def _behind(self) -> int | None:
        try:
            return self._offsets.behind()
        except KafkaException:
            self._offsets.reconnect()
            return None

    def _say_progress(self) -> None:
        if time.monotonic() < self._say_at_s:
            return
        self._say_at_s = time.monotonic() + SAY_EVERY_S
        behind = self._behind()
        self._say(
            f"{self._faults.total()} of {len(self._planned)} faults; "
            f"{self._traffic.sent.total():,} messages; "
            f"{'?' if behind is None else f'{behind:,}'} records behind; "
            f"{len(self._fleet.tally.unexpected)} unexpected ends"
        )

    def _say(self, sentence: str) -> None:
        self._console.print(f"{time.monotonic() - self._began_s:6.0f} s  {sentence}", style="dim")


def _create_calls(settings: Settings, copies: int) -> None:
    """Create the topic of another system, which sources map."""
    topic = NewTopic(CALLS, settings.partitions, copies)
    with KafkaAdminClient(bootstrap_servers=settings.brokers) as admin:
        admin.create_topics([topic])


def _keep_state_short(settings: Settings) -> None:
    """Have the state topic compacted within seconds: short segments, short-lived tombstones."""
    name = settings.topics.name("state")
    with KafkaAdminClient(bootstrap_servers=settings.brokers) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=_STATE)])


def _set_in_sync(settings: Settings, names: list[str], copies: int) -> None:
    """Set how many nodes must have a record before it is acknowledged."""
    config = {"min.insync.replicas": str(copies)}
    topic = ConfigResourceType.TOPIC
    with KafkaAdminClient(bootstrap_servers=settings.brokers) as admin:
        admin.alter_configs([ConfigResource(topic, name, configs=config) for name in names])
