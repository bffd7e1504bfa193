"""One schedule: traffic, workers that die in every way, and what the topics say at the end.

Everything is drawn from a seed. The schedule ends with a worker that nothing befalls; then what was
published is audited as ``./tidegauge verify`` audits it, and the stored state is compared with that
of a pure replay.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

import structlog
from faust.types import TP

from agents.worker.agent import Agent
from agents.worker.assignor import share_out
from agents.worker.clock import CheckedClock
from agents.worker.edge import Edge
from agents.worker.ingest import IngestAgent
from agents.worker.intake import Intake
from agents.worker.monitor import MonitorAgent
from agents.worker.state import Commit, Held, Publish, StateKeeper, StateUnusableError
from schemas.topics import Topics
from streams.ingest.dead_letter import DeadLetterLimit
from streams.ingest.merge import SETTLED, TimeMerge
from streams.join import waiting_room
from tests.doubles.cluster import Cluster, Group
from tests.doubles.inputs import START_MS
from tests.doubles.poison import poisoned
from tests.doubles.time_warp import run_in_warped_time
from tests.simulation.evidence import Evidence, mapped_calls
from tests.simulation.traffic import (
    CALLS,
    PARTITIONS,
    REPORTS,
    SHORTER,
    Input,
    by_model,
    calls,
    people,
    poison,
    spec_of,
    traffic,
)
from tests.simulation.worker import SimReader, SimWorker, World

TRAFFICS = 8
LONG_EVERY = 10
SHORT_CHUNK_SLOTS = 6
FEED_S = 1.0
SAVE_EVERY_S = 0.3
IDLE_S = 0.2
TICK_EVERY_S = 0.1
MOST_S = 300.0
MOST_WORKERS = 3
LIVE_S = 100.0
"""Seconds of live traffic at most."""
BEGIN_S = {"burst": 60.0, "backlog": 10_000.0, "live": -2.0}
"""The clock of workers and broker at the start, in seconds after the traffic's. That of a backlog
is beyond the latest timestamp: ingest gives later ones its own instant."""
Feed = Literal["burst", "backlog", "live"]

Point = tuple[str, str]
"""A step, and the stage of it at which a worker ends."""

OUTPUT_POINTS = tuple(
    (f"send of {kind}", stage)
    for kind in (
        "events",
        "dead_letters",
        "labelled",
        "alerts",
        "feedback",
        "commands",
        "reviews",
        "status",
        "metrics",
    )
    for stage in ("lost", "late", "landed", "refused")
)
STATE_POINTS = tuple(
    (f"send of {kind}", stage)
    for kind in ("chunks", "manifests", "checkpoints", "deletions")
    for stage in ("lost", "late", "landed", "refused")
)
OTHER_POINTS = (
    ("commit of ingest", "before"),
    ("commit of ingest", "after"),
    ("commit of monitor", "before"),
    ("commit of monitor", "after"),
    ("slice of state", "over"),
    ("read of state", "before"),
    ("read of state", "amid"),
    ("read of state", "after"),
    ("fetch of ingest", "begun"),
    ("fetch of monitor", "begun"),
)
POISON_POINTS: tuple[Point, ...] = (("read of log", "before"),)
"""Steps that no worker takes unless a model fails."""
POINTS: tuple[Point, ...] = (*OUTPUT_POINTS, *STATE_POINTS, *OTHER_POINTS)

_MEAN_WAIT = {
    "send of events": 25.0,
    "send of labelled": 25.0,
    "fetch of ingest": 20.0,
    "fetch of monitor": 20.0,
    "send of dead_letters": 2.0,
    "send of reviews": 2.0,
    "send of chunks": 1.0,
    "read of state": 1.0,
    "send of alerts": 0.1,
    "send of feedback": 0.1,
    "send of commands": 0.1,
    "send of status": 0.1,
    "send of metrics": 0.1,
}
"""How often a worker comes to a step before the schedule strikes there, on average."""

_LONG_KINDS = {
    f"send of {kind}" for kind in ("alerts", "feedback", "commands", "status", "metrics")
}


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What is to happen.

    Parameters
    ----------
    seed
        Everything follows from it.
    point
        Where a worker ends for certain, if it comes there; None is nowhere.
    nth
        At which coming there; None draws it.
    faults
        Other faults at most: crashes, handovers, zombies, rebalances.
    loses_state
        Whether a part of the state is lost once, so that it has to be rebuilt.
    is_poisoned
        Whether two models fail at an event, and one of them is released.
    is_by_model
        Whether inputs are partitioned by model, so that several workers put them in order.
    has_calls
        Whether another system's topic is read too, through sources.
    has_people
        Whether people report and review the answers of a model that has a challenger and a
        fallback.
    feed
        "burst": a minute of traffic comes within a second, in no order; "backlog": all of it was
        sent before the first worker starts; "live": it comes at the clock's pace. After the last
        two the log must have the inputs in the order of a backtest.
    """

    seed: int
    point: Point | None = None
    nth: int | None = None
    faults: int = 4
    loses_state: bool = False
    is_poisoned: bool = False
    is_by_model: bool = False
    has_calls: bool = False
    has_people: bool = False
    feed: Feed = "burst"

    @property
    def is_short(self) -> bool:
        """Whether the traffic is short: one seed in ten, and what is about alerts, has it whole."""
        is_about_alerts = self.point is not None and self.point[0] in _LONG_KINDS
        return bool(self.seed % LONG_EVERY) and not is_about_alerts


@dataclass
class Report:
    """What became of a schedule."""

    schedule: Schedule
    wrong: list[str] = field(default_factory=list)
    crashes: int = 0
    zombies: int = 0
    rebalances: int = 0
    repeated: int = 0
    rebuilt: int = 0
    joined_halves: int = 0
    quarantined: int = 0
    emitted: Counter[str] = field(default_factory=Counter)
    comings: Counter[Point] = field(default_factory=Counter)
    has_struck: bool = False
    log: tuple[bytes, ...] = ()


class CountingKeeper(StateKeeper):
    """Takes note when state had to be rebuilt: that heals what nothing should have broken.

    It stores one model a slice, so that much can happen before the next.
    """

    def __init__(self, topics: Topics, worker: SimWorker, report: Report) -> None:
        reader = SimReader(worker)
        super().__init__(topics, worker.publisher, reader, spec_of, slice_s=0.0)
        self._worker = worker
        self._report = report

    async def save_some(self, held: Mapping[TP, Held], publish: Publish, commit: Commit) -> bool:
        is_over = await super().save_some(held, publish, commit)
        if not is_over and self._worker.fates.at("slice of state", ("over",)):
            await self._worker.end_here()
        return is_over

    async def restore(self, tp: TP, commit: int, guarded: Container[str] = ()) -> Held:
        held = await super().restore(tp, commit, guarded)
        self._report.rebuilt += (held.monitor.next_offset or 0) < commit
        return held


Keeper = Callable[[Topics, SimWorker, Report], StateKeeper]


class Fate:
    """The seeded `Fates` of one schedule."""

    def __init__(self, schedule: Schedule, report: Report) -> None:
        drawn = schedule.nth is None and schedule.point is not None
        # Where the coming is given, all goes as without a point until it strikes.
        name = f"{schedule.seed} {schedule.point}" if drawn else f"{schedule.seed}"
        self.chance = random.Random(name)  # noqa: S311 - a schedule, not a secret
        self._point = schedule.point
        self._wait = schedule.nth or 0
        if drawn and schedule.point is not None:
            mean = _MEAN_WAIT.get(schedule.point[0], 4.0) / (SHORTER if schedule.is_short else 1)
            self._wait = int(self.chance.expovariate(1 / mean))
        self._report = report
        self.is_calm = False

    def at(self, kind: str, stages: tuple[str, ...]) -> str | None:
        for stage in stages:
            self._report.comings[kind, stage] += 1
        if self.is_calm or self._point is None or self._point[0] != kind:
            return None
        if self._wait:
            self._wait -= 1
            return None
        self._report.has_struck = True
        stage, self._point = self._point[1], None
        return stage


class Simulation:
    """The world of one schedule."""

    def __init__(self, schedule: Schedule, keeper: Keeper) -> None:
        self.report = Report(schedule)
        self._schedule = schedule
        self._keeper = keeper
        # One partition of the log is soon restored and replayed; both kinds have two of the inputs.
        self._numbers = range(1 if schedule.seed % 3 else 2)
        mapped = (CALLS,) if schedule.has_calls else ()
        self._topics = Topics(partitions=len(self._numbers), mapped=mapped)
        self._cluster = Cluster()
        self._group = Group(self._cluster)
        self._fate = Fate(schedule, self.report)
        self._chance = self._fate.chance
        self._slowest_s = self._chance.choice((0.005, 0.02, 0.1))
        self._has_hiccups = self._chance.random() < 0.3
        self._workers: list[SimWorker] = []
        self._started = 0
        self._is_fed = False
        names = ("predictions", "outcomes", *mapped)
        inputs = [TP(name, n) for name in names for n in range(PARTITIONS)]
        if schedule.is_poisoned:
            inputs.append(TP("tidegauge.controls", 0))
        if schedule.has_people:
            inputs.append(TP(REPORTS, 0))
        self._tps = [*inputs, *(TP("tidegauge.events", number) for number in self._numbers)]

    async def run(self) -> Report:
        """Let the schedule happen and check what is left."""
        async with asyncio.timeout(MOST_S):
            feeding = asyncio.create_task(self._feed())
            compacting = asyncio.create_task(self._compact())
            await self._live()
            await feeding
            await self._end_in_good_order()
            compacting.cancel()
            await self._check()
        return self.report

    # What happens

    async def _feed(self) -> None:
        variant = self._schedule.seed % TRAFFICS
        inputs = traffic(variant, is_short=self._schedule.is_short)
        if self._schedule.is_by_model:
            inputs = by_model(inputs, self._chance)
        if self._schedule.feed == "live":
            await self._feed_live(inputs)
            return
        more = (
            poison(variant) if self._schedule.is_poisoned else (),
            calls(variant) if self._schedule.has_calls else (),
            people(variant) if self._schedule.has_people else (),
        )
        if any(more):
            inputs = tuple(sorted(chain(inputs, *more), key=lambda each: each.timestamp_ms))
        size = self._chance.choice((15, 60, len(inputs)))
        if self._schedule.feed == "backlog":
            size = len(inputs)
        for first in range(0, len(inputs), size):
            for topic, partition, timestamp_ms, value in inputs[first : first + size]:
                self._cluster.append(TP(topic, partition), b"", value, timestamp_ms)
            await asyncio.sleep(FEED_S * size / len(inputs))
        self._is_fed = True

    async def _feed_live(self, inputs: Sequence[Input]) -> None:
        """Append each record soon after its timestamp, as a producer with an exact clock does."""
        for each in sorted(inputs, key=lambda each: each.timestamp_ms):
            wait_s = each.timestamp_ms / 1_000 - self._clock()
            if wait_s > LIVE_S:  # from a producer whose clock is hours ahead
                continue
            await asyncio.sleep(wait_s + self._chance.uniform(0.0, SETTLED * IDLE_S / 2))
            self._cluster.append(TP(each.topic, each.partition), b"", each.value, each.timestamp_ms)
        self._is_fed = True

    async def _compact(self) -> None:
        while True:
            await asyncio.sleep(self._chance.uniform(0.05, 1.0))
            for number in self._numbers:
                self._cluster.compact(
                    TP("tidegauge.state", number), self._chance, drop_deletions=False
                )

    async def _live(self) -> None:
        for _ in range(self._chance.choice((1, 1, 2))):
            await self._add_worker()
        await self._rebalance()
        for _ in range(self._chance.randint(0, self._schedule.faults)):
            await self._pause(self._chance.uniform(0.0, 0.5))
            await self._fault()
        if self._schedule.loses_state:
            await self._pause(self._chance.uniform(0.2, 2.0))
            await self._lose_state()
        armed = self._schedule.point is not None
        while not self.report.has_struck and armed and not self._is_at_the_end():
            await self._pause(0.1)
        await self._pause(0.0)

    def _is_at_the_end(self) -> bool:
        return self._is_fed and all(worker.has_read_all() for worker in self._workers)

    async def _pause(self, pause_s: float) -> None:
        """Wait; notice within a while that a worker is gone."""
        await asyncio.sleep(pause_s)
        if not all(worker.is_alive for worker in self._workers):
            await asyncio.sleep(self._chance.uniform(0.0, 1.0))
            await self._rebalance()

    async def _fault(self) -> None:
        worker = self._chance.choice(self._workers)
        match self._chance.choice(("crash", "crash", "zombie", "leave", "join", "rebalance")):
            case "crash":
                worker.die()
            case "zombie":
                self._workers.remove(worker)
                self.report.zombies += 1
                worker.do(self._fade(worker))
            case "leave":
                task = worker.do(worker.stop())
                await asyncio.wait([task])
            case "join" if len(self._workers) < MOST_WORKERS:
                await self._add_worker()
            case _:
                pass
        await self._rebalance()

    async def _lose_state(self) -> None:
        """Lose a chunk of the state, or all of a partition, while nobody is at work."""
        for worker in self._workers:
            worker.die()
        self._bury()
        for number in self._numbers:
            tp = TP(self._topics.name("state"), number)
            chunks = [
                record.offset
                for record in self._cluster.read(tp)
                if record.key.startswith(b'["chunk"')
            ]
            self._cluster.lose(tp, self._chance.choice([None, *chunks]))
        await self._rebalance()

    async def _fade(self, worker: SimWorker) -> None:
        """Live on without knowing that the partitions have other owners; then learn it, or die."""
        await asyncio.sleep(self._chance.uniform(0.1, 4.0))
        if self._chance.random() < 0.5:
            await worker.let_go()
        worker.die()

    async def _add_worker(self) -> None:
        self._started += 1
        world = World(
            self._cluster, self._group, self._topics, self._fate, self._tempo, self._clock
        )
        worker = SimWorker(f"worker-{self._started}", world, self._hops)
        self._workers.append(worker)
        await worker.start()

    def _tempo(self) -> float:
        if self._has_hiccups and not self._fate.is_calm and self._chance.random() < 0.01:
            return self._chance.uniform(0.5, 4.5)
        return self._chance.uniform(0.0, self._slowest_s)

    def _clock(self) -> float:
        now_s = BEGIN_S[self._schedule.feed] + asyncio.get_running_loop().time()
        return START_MS / 1_000 + now_s

    def _hops(self, worker: SimWorker) -> Sequence[Agent]:
        loop = asyncio.get_running_loop()

        async def incarnations() -> dict[str, str]:
            return {}

        async def counts() -> dict[str, int]:
            return dict.fromkeys(self._topics.read_by_ingest(), PARTITIONS)

        ingest = IngestAgent(
            self._topics,
            worker.publisher,
            TimeMerge(IDLE_S),
            DeadLetterLimit(None, 1),
            CheckedClock(self._clock, loop.time, tolerance_s=30.0),
            incarnations=incarnations,
            max_payload_bytes=10_000,
            tick_every_s=TICK_EVERY_S,
            intake=Intake(mapped_calls(self._topics), None, self._clock),
            counts=counts if self._schedule.is_by_model else None,
        )
        keeper = self._keeper(self._topics, worker, self.report)
        monitor = MonitorAgent(
            self._topics,
            worker.publisher,
            keeper,
            self._clock,
            SAVE_EVERY_S,
            edge=Edge(worker.name),
        )
        return ingest, monitor

    async def _rebalance(self) -> None:
        """Revoke everything, then assign it; again as long as workers die of it."""
        while True:
            self.report.rebalances += 1
            await self._all_do([worker.let_go for worker in self._workers])
            self._bury()
            if not self._workers or (self._started < 2 and self._chance.random() < 0.2):
                await self._add_worker()
            owners = self._shared_out()
            self._group.assign(owners)
            generation = self._group.generation
            is_cut_short = not self._fate.is_calm and self._chance.random() < 0.1
            await self._all_do(
                [
                    self._taking_over(
                        worker, [tp for tp in self._tps if owners[tp] == worker.name], generation
                    )
                    for worker in self._workers
                ],
                self._chance.uniform(0.0, 0.1) if is_cut_short else None,
            )
            if not is_cut_short and all(worker.is_alive for worker in self._workers):
                return

    def _shared_out(self) -> dict[TP, str]:
        """Return an owner for each partition, as the group's leader does."""
        topics = Counter(tp.topic for tp in self._tps)
        inputs = self._topics.read_by_ingest()
        subscriptions = {worker.name: {*topics, *inputs} for worker in self._workers}
        shares = share_out(subscriptions, topics, inputs, by_model=self._schedule.is_by_model)
        return {
            TP(topic, partition): member
            for member, share in shares.items()
            for topic, partitions in share.items()
            for partition in partitions
        }

    def _taking_over(
        self, worker: SimWorker, tps: list[TP], generation: int
    ) -> Callable[[], object]:
        return lambda: worker.take_over(tps, generation)

    async def _all_do(
        self, works: Sequence[Callable[[], object]], within_s: float | None = None
    ) -> None:
        """Have every worker do its part; a further rebalance cancels it."""
        tasks = [
            worker.do(work())  # type: ignore[arg-type]
            for worker, work in zip(self._workers, works, strict=True)
            if worker.is_alive
        ]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=within_s)
        for task in (task for task in tasks if task in late):
            task.cancel()
        if late:
            await asyncio.wait(late)

    def _bury(self) -> None:
        for worker in [worker for worker in self._workers if not worker.is_alive]:
            self._workers.remove(worker)
            self.report.crashes += not worker.is_stopping
            if isinstance(worker.failure, StateUnusableError):
                self.report.wrong.append(f"stopped: {worker.failure}")
            elif worker.failure is not None and not _is_expected(worker.failure):
                raise worker.failure

    async def _end_in_good_order(self) -> None:
        """Let one worker, that nothing befalls, finish the work."""
        for worker in self._workers:
            if self._chance.random() < 0.5:
                worker.die()
            else:
                await asyncio.wait([worker.do(worker.stop())])
        self._bury()
        await asyncio.sleep(10.0)  # zombies fade, and what is late arrives
        self._fate.is_calm = True
        await self._rebalance()
        while not all(worker.has_read_all() for worker in self._workers):
            await asyncio.sleep(0.2)
            await self._pause(0.0)
        for worker in self._workers:
            await asyncio.wait([worker.do(worker.stop())])
        self._bury()

    async def _check(self) -> None:
        partitions = PARTITIONS if self._schedule.is_by_model else 0
        evidence = Evidence(self._cluster, self._topics, spec_of, partitions)
        if self._schedule.feed != "burst":
            evidence.check_order()
        self.report.wrong += evidence.wrong
        self.report.emitted += evidence.emitted
        self.report.repeated = evidence.repeated
        self.report.quarantined = evidence.quarantined
        self.report.joined_halves = evidence.joined_halves
        self.report.log = evidence.log
        await self._add_worker()
        keeper = CountingKeeper(self._topics, self._workers.pop(), self.report)
        self.report.wrong += [wrong async for wrong in evidence.check_state(keeper)]
        if self.report.rebuilt and not self._schedule.loses_state:
            self.report.wrong.append(f"state had to be rebuilt {self.report.rebuilt} times")


def _is_expected(error: Exception) -> bool:
    return "nothing can be published" in str(error)


def run_schedule(schedule: Schedule, keeper: Keeper = CountingKeeper) -> Report:
    """Run one schedule in warped time."""
    simulation = Simulation(schedule, keeper)
    try:
        with (
            _chunks_of(SHORT_CHUNK_SLOTS if schedule.is_short else waiting_room.CHUNK_SLOTS),
            poisoned(),
        ):
            return run_in_warped_time(simulation.run())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this schedule's finding
        simulation.report.wrong.append(f"{type(error).__name__}: {error}")
        return simulation.report


@contextlib.contextmanager
def _chunks_of(slots: int) -> Iterator[None]:
    """Seal chunks of waiting events at so many: a short log then has as many as a long one."""
    before, waiting_room.CHUNK_SLOTS = waiting_room.CHUNK_SLOTS, slots
    try:
        yield
    finally:
        waiting_room.CHUNK_SLOTS = before


def _drop(*_: object) -> structlog.typing.EventDict:
    raise structlog.DropEvent


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Have the workers say nothing."""
    before = structlog.get_config()
    structlog.configure(processors=[_drop])
    try:
        yield
    finally:
        structlog.configure(**before)
