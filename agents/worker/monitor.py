"""The monitor agent: from ``events`` to alerts, feedback and labelled rows.

All thinking is in ``streams.monitor``; here records come in, what they call for goes out, and from
time to time the state is saved.

Rule 1. At an assignment every partition's state stands at the group's commit; nothing is kept from
        the assignment before.
Rule 2. What records call for is on its way while the next are applied: at most ``MOST_DELIVERIES``
        times what some records, or one reading, called for. It is acknowledged before the state
        that knows of it is saved.
Rule 3. A round of saving begins every ``save_every_s``, or ``SAVE_COST`` times as long as it takes.
        It goes on a slice at a time, and after each the log has its turn, ``SLICE_COST`` times as
        long: however much many models have learnt, no alert waits for it to be saved.
Rule 4. Values are read many at a time, since two cost little more than one. At the end of the log
        they are read at once, unless a partition's have just been read: then it rests first, for
        ``READ_COST`` times as long as reading took, though not beyond ``WAIT_AT_MOST_S``, or twice
        as long as reading all partitions takes. While a backlog lasts, of more than
        ``BEHIND_RECORDS``, they wait ``WAIT_AT_MOST_S`` at least. Before its snapshot a model's
        values are read. Those of a model too young to tell anything wait for that.
Rule 5. ``save_every_s`` after an assignment, or at its end if that comes first, and then every
        ``STATUS_EVERY_S``, `status` is said again in full: a worker that did not know that it was
        replaced may have put an older word after a newer one.
"""

import asyncio
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial

import orjson
from faust.types import TP

from agents.errors import WorkerError
from agents.telemetry import get_logger
from agents.worker.agent import Agent
from agents.worker.ingest import Clock
from agents.worker.publish import Outgoing
from agents.worker.state import Held, Sender, StateKeeper
from agents.worker.transport import Fetch
from schemas.event import EventRecordError
from schemas.topics import Topics
from streams.emission import Emission
from streams.join.outcome_join import JoinCounts
from streams.model import ModelMonitor
from streams.monitor import LogGapError, Monitor
from streams.reading_policy import Reading

RECORDS_AT_ONCE = 8
MOST_DELIVERIES = 4
SAVE_COST = 20
SLICE_COST = 3
BEHIND_RECORDS = 32
"""A second or two of a steady flow, of which every record holds what came in some 50 ms."""
LOOK_EVERY_S = 0.05
SAY_COUNTS_EVERY_S = 60.0
STATUS_EVERY_S = 600.0
_SEVERITY_LEVEL = {"info": "info", "warning": "warning", "critical": "error"}
_SAID = ("alert_id", "fingerprint", "status", "kind", "series", "aspect")
_new_outgoing = partial(tuple.__new__, Outgoing)
"""Makes one of a tuple, in half the time of the class itself."""
_log = get_logger(__name__)


class BrokenLogError(WorkerError):
    """The log does not go on where it stopped. A restart reads it again from the commit."""

    exit_code = os.EX_TEMPFAIL


class MonitorAgent(Agent):
    """The monitors of one worker, one for each assigned partition of ``events``.

    Parameters
    ----------
    topics
        Names and partitions.
    sender
        What publishes.
    keeper
        What saves and restores state.
    clock
        Seconds since the epoch: says when to save, and nothing else.
    save_every_s
        Seconds between two snapshots.
    """

    def __init__(
        self,
        topics: Topics,
        sender: Sender,
        keeper: StateKeeper,
        clock: Clock,
        save_every_s: float,
    ) -> None:
        self._names = {topic.role: topic.name for topic in topics.outputs()}
        self._logged = {topic.role for topic in topics.outputs() if topic.is_logged}
        outputs = (*self._names.values(), topics.name("state"))
        super().__init__("monitor", (topics.name("events"),), outputs)
        self._sender = sender
        self._keeper = keeper
        self._clock = clock
        self._save_every_s = save_every_s
        self._held: dict[TP, Held] = {}
        self._applied: dict[TP, int] = {}
        self._next_save_s = 0.0
        self._round_began_s = 0.0
        self._saving_s = 0.0
        self._readings: dict[TP, Reading] = {}
        self._next_status_s = 0.0
        self._owes_status = False
        self._turn = asyncio.Lock()
        self._deliveries: deque[asyncio.Task[None]] = deque()
        self._said = JoinCounts()

    async def on_rebalance_complete(self, starts: Mapping[TP, int]) -> None:
        """Have the state of every assigned partition stand at its commit."""
        self._forget()
        for tp, commit in sorted(starts.items()):
            began_s = self._clock()
            held = await self._keeper.restore(tp, commit)
            self._held[tp] = held
            self._readings[tp] = Reading(self._clock())
            self._applied[tp] = held.monitor.next_offset or 0
            if commit:
                _log.info(
                    f"Restored {len(held.monitor.models):,} models of {tp.topic}-{tp.partition} "
                    f"at offset {self._applied[tp]:,} in {self._clock() - began_s:.1f} s",
                    waiting_predictions=_waiting(held.monitor.models),
                )
        self._said = self._counts()
        self._next_status_s = self._clock() + self._save_every_s
        self._owes_status = bool(self._held)

    def start_offset(self, tp: TP) -> int | None:
        """Return where the restored state wants to go on."""
        return self._applied.get(tp)

    async def on_fetch(self, fetch: Fetch) -> None:
        """Apply records, publish what they call for, save the state when its time has come."""
        async with self._turn:
            for first in range(0, len(fetch.records), RECORDS_AT_ONCE):
                await self._apply(fetch, first)
                await self._save_if_due()

    async def run(self) -> None:
        """Save what a quiet partition left unsaved; say what the join dropped."""
        next_say_s = self._clock() + SAY_COUNTS_EVERY_S
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            async with self._turn:
                await self._await_deliveries()
                await self._read_what_is_due()
                await self._save_if_due()
            if self._clock() >= next_say_s:
                next_say_s = self._clock() + SAY_COUNTS_EVERY_S
                self._say_counts()

    async def on_revoked(self, tps: set[TP]) -> None:
        """Save, then forget: the partitions belong to others."""
        try:
            await self.on_shutdown()
        finally:
            self._forget()

    async def on_shutdown(self) -> None:
        """Save, and say the last counts."""
        async with self._turn:
            if self._owes_status:
                self._next_status_s = 0.0
            await self._save()
        self._say_counts()

    async def _apply(self, fetch: Fetch, first: int) -> None:
        await self._await_deliveries()
        monitor = self._held[fetch.tp].monitor
        records = fetch.records[first : first + RECORDS_AT_ONCE]
        try:
            emissions = monitor.gather((record.offset, record.value) for record in records)
        except (LogGapError, EventRecordError) as error:
            msg = (
                f"{error}. Restart the worker; if it says so again, records of events were deleted "
                "before they were read, or are not ours; docs/runbook.md says what to do"
            )
            raise BrokenLogError(msg) from error
        reading = self._readings[fetch.tp]
        fetched = max(len(fetch.records) - first - RECORDS_AT_ONCE, 0)
        reading.is_behind = fetched + fetch.highwater - fetch.next_offset > BEHIND_RECORDS
        if not reading.is_behind and self._is_due(reading):
            emissions += self._read(monitor, reading)
        await self._publish(emissions, fetch.partition)
        self._applied[fetch.tp] = records[-1].offset + 1

    async def _publish(self, emissions: Sequence[Emission], partition: int) -> None:
        """Put emissions on their way (Rule 2), before anything else can happen.

        Whoever is cancelled once they count as applied must not take them along.
        """
        if not emissions:
            return
        sending = self._sender.send(self._outgoing(emissions, partition))
        self._deliveries.append(asyncio.create_task(sending))
        for emission in emissions:
            if emission.role in self._logged:
                self._say(emission)
        await asyncio.sleep(0)  # the loop's turn

    async def _publish_durably(self, emissions: Sequence[Emission], partition: int) -> None:
        await self._publish(emissions, partition)
        await self._await_deliveries(0)

    async def _await_deliveries(self, most: int = MOST_DELIVERIES - 1) -> None:
        """Wait until at most so many are on their way; one that has failed ends the worker.

        Whoever is cancelled here leaves them to the next who waits.
        """
        deliveries = self._deliveries
        while deliveries and (len(deliveries) > most or deliveries[0].done()):
            if not deliveries[0].done():
                await asyncio.wait([deliveries[0]])
            deliveries[0].result()
            deliveries.popleft()

    async def _save_if_due(self) -> None:
        if self._clock() < self._next_save_s:
            return
        await self._await_deliveries(0)
        began_s = self._clock()
        if not any(held.is_saving for held in self._held.values()):
            await self._begin_round()
        is_over = await self._keeper.save_some(
            self._held, self._publish_durably, self.partitions.commit_fact
        )
        now_s = self._clock()
        self._saving_s += now_s - began_s
        self._next_save_s = now_s + SLICE_COST * (now_s - began_s)
        if is_over:
            every_s = max(self._save_every_s, SAVE_COST * self._saving_s)
            self._next_save_s = self._round_began_s + every_s

    async def _begin_round(self) -> None:
        self._round_began_s = self._clock()
        self._saving_s = 0.0
        if self._round_began_s >= self._next_status_s:
            await self._say_status()
        for held in self._held.values():
            self._keeper.begin(held)

    async def _save(self) -> None:
        """Save everything at once."""
        if self._clock() >= self._next_status_s:
            await self._say_status()
        await self._await_deliveries(0)
        await self._keeper.save(self._held, self._publish_durably, self.partitions.commit_fact)

    async def _read_what_is_due(self) -> None:
        readings = self._readings
        for tp, held in self._held.items():
            if held.monitor.is_anything_ready and self._is_due(readings[tp]):
                await self._await_deliveries()
                await self._publish(self._read(held.monitor, readings[tp]), tp.partition)

    def _is_due(self, reading: Reading) -> bool:
        all_took_s = sum(each.took_s for each in self._readings.values())
        return reading.is_due(self._clock(), all_took_s)

    def _read(self, monitor: Monitor, reading: Reading) -> list[Emission]:
        """Have the values that wait in a partition read (Rule 4)."""
        began_s = self._clock()
        emissions = monitor.read()
        reading.note(began_s, self._clock())
        return emissions

    async def _say_status(self) -> None:
        """Say again what is firing, and that all else is over (Rule 5)."""
        self._next_status_s = self._clock() + STATUS_EVERY_S
        self._owes_status = False
        for tp, held in self._held.items():
            models = held.monitor.models.values()
            if statuses := [each for model in models for each in model.statuses()]:
                await self._sender.send(self._outgoing(statuses, tp.partition))

    def _forget(self) -> None:
        self._held = {}
        self._readings = {}
        self._applied = {}

    def applied(self) -> Mapping[TP, int]:
        """Return, for each partition of ``events``, the offset of the record to be applied next.

        What the last ones called for may still be on its way.
        """
        return self._applied

    def _outgoing(self, emissions: Iterable[Emission], partition: int) -> list[Outgoing]:
        names = self._names
        return [
            _new_outgoing(
                (names[role], partition, (key or model_id).encode(), value or None, now_ms)
            )
            for _, role, model_id, value, now_ms, key in emissions
        ]

    def _say(self, emission: Emission) -> None:
        event = orjson.loads(emission.value)
        if emission.role == "alerts":
            is_news = event["status"] == "firing"
            level = _SEVERITY_LEVEL[event["severity"]] if is_news else "info"
            fields = {name: event[name] for name in _SAID}
            getattr(_log, level)(f"Alert: {event['summary']}", **fields)
        else:
            _log.warning(f"Feedback: {event['summary']}", feedback_id=event["feedback_id"])

    def _counts(self) -> JoinCounts:
        counts = JoinCounts()
        for model in self._models():
            counts.add(model.join.counts)
        return counts

    def _models(self) -> Iterator[ModelMonitor]:
        for held in self._held.values():
            yield from held.monitor.models.values()

    def _say_counts(self) -> None:
        before, now = asdict(self._said), self._counts()
        self._said = now
        news = {name: count - before[name] for name, count in asdict(now).items()}
        if not any(count > 0 for count in news.values()):
            return
        models = list(self._models())
        waiting = sum(_waiting(held.monitor.models) for held in self._held.values())
        _log.info(
            f"Joined {news['pairs']:,} pairs; {news['expired_predictions']:,} predictions "
            f"expired without an outcome, {news['orphan_outcomes']:,} outcomes without a "
            f"prediction, {news['conflicting_outcomes']:,} conflicting and "
            f"{news['duplicate_outcomes']:,} duplicate outcomes",
            waiting_predictions=waiting,
            duplicate_predictions=news["duplicate_predictions"],
            repeated_events=sum(each.counts.repeated_events for each in models),
            unwatched_values=sum(each.panel.unwatched_values for each in models),
            incomparable_outcomes=sum(each.panel.incomparable_outcomes for each in models),
        )
        pushed_out = news["pushed_out_predictions"], news["pushed_out_outcomes"]
        if any(pushed_out):
            _log.warning(
                f"Dropped {pushed_out[0]:,} predictions and {pushed_out[1]:,} outcomes that still "
                "waited for their other half: a model has too many waiting"
            )


def _waiting(models: Mapping[str, ModelMonitor]) -> int:
    return sum(model.join.waiting_predictions for model in models.values())
