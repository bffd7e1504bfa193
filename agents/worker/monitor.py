"""The monitor agent: from ``events`` to alerts, feedback and labelled rows.

The logic is in ``streams.monitor``. The agent applies records to it, publishes the emissions that
follow from them, and saves its state from time to time.

Rule 1. At an assignment the state of every partition is that at the group's commit; nothing is kept
        from the assignment before.
Rule 2. Emissions are in flight while the next records are applied: at most ``MOST_DELIVERIES``
        deliveries, each with the emissions of some records or of one evaluation. They are
        acknowledged before the state that includes them is saved.
Rule 3. `streams.reading_policy` decides when values are evaluated, state is saved, and `status` is
        published in full. A snapshot of a model evaluates its values first. The values of a model
        that is too young for any alert wait for that.
Rule 4. Where a model fails, its partition is restored at the commit, and the log is applied again
        with a guard for that model, which puts it in quarantine. The other models repeat what they
        have published since the commit, byte for byte.
"""

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial

from faust.types import TP
from prometheus_client import Metric

from agents.errors import WorkerError
from agents.telemetry import RateLimit, get_logger
from agents.worker.agent import Agent
from agents.worker.clock import Clock
from agents.worker.edge import Edge
from agents.worker.figures import Progress, lag_figures, monitor_figures, tick_figures
from agents.worker.monitor_log import CountsLog, log_emission, log_failure, total, waiting
from agents.worker.publish import Outgoing
from agents.worker.state import Held, Sender, StateKeeper
from agents.worker.transport import Fetch
from schemas.cloudevents import EventHeaders
from schemas.topics import Topics
from streams.emission import Emission
from streams.model.arrivals import NOTHING, filled
from streams.model.guard import EveryModel
from streams.monitor import LogGapError, ModelFailedError, Monitor
from streams.reading_policy import ReadingPolicy

RECORDS_AT_ONCE = 8
"""Records that are applied between two turns of the loop: at most 4,000 events, some 60 ms."""
MOST_DELIVERIES = 4
"""Deliveries in flight (Rule 2): eight were no better, see docs/decisions/0018."""
EVALUATE_EVERY_S = 0.05
"""Seconds between two checks for values that are due; it adds to the latency of an alert."""
LOG_COUNTS_EVERY_S = 60.0
"""Seconds between two log lines with counts."""
MOST_GUARDED = 3
"""Models that fail one after the other, beyond which all are guarded: a library is at fault, and
each failure costs a restoration of the partition."""
_LOG_FOREIGN_EVERY_S = 10.0
"""Seconds between two log lines about records of a partition that are not ours."""
_REASON_CHARACTERS = 200
"""Characters of the reason that such a line shows."""
_new_outgoing = partial(tuple.__new__, Outgoing)
"""Makes a record from a tuple in half the time of calling the class."""
_log = get_logger(__name__)


class BrokenLogError(WorkerError):
    """The log has a gap. A restart reads it again from the commit."""

    exit_code = os.EX_TEMPFAIL


class MonitorAgent(Agent):
    """The monitors of one worker, one for each assigned partition of ``events``.

    Parameters
    ----------
    topics
        Names and partitions.
    sender
        Publishes records.
    keeper
        Saves and restores state.
    clock
        Monotonic seconds. It decides when to save and when to evaluate, and nothing else.
    save_every_s
        Seconds between two snapshots.
    edge
        Where its alerts come from.
    """

    def __init__(
        self,
        topics: Topics,
        sender: Sender,
        keeper: StateKeeper,
        clock: Clock,
        save_every_s: float,
        *,
        edge: Edge,
    ) -> None:
        self._edge = edge
        self._edged = {topic.role for topic in topics.outputs() if topic.has_edge}
        self._names = {topic.role: topic.name for topic in topics.outputs()}
        self._headers = {topic.role: EventHeaders.of_topic(topic) for topic in topics.outputs()}
        self._logged = {topic.role for topic in topics.outputs() if topic.is_logged}
        outputs = (*self._names.values(), topics.name("state"))
        super().__init__("monitor", (topics.name("events"),), outputs)
        self._sender = sender
        self._keeper = keeper
        self._clock = clock
        self._held: dict[TP, Held] = {}
        self._applied: dict[TP, int] = {}
        self._policy = ReadingPolicy(save_every_s)
        self._turn = asyncio.Lock()
        self._deliveries: deque[asyncio.Task[None]] = deque()
        self._counts = CountsLog()
        self._appended_ms: dict[TP, int] = {}
        self._progress = Progress()
        self._progress.skipped[self.topics[0]] = 0  # a series that begins late hides its first rise
        self._assigned_s = 0.0
        self._foreign = RateLimit(_LOG_FOREIGN_EVERY_S)

    async def on_rebalance_complete(self, starts: Mapping[TP, int]) -> None:
        """Restore the state of every assigned partition at its commit."""
        self._forget()
        restored: dict[TP, Held] = {}
        assigned_s = self._clock()
        for tp, commit in sorted(starts.items()):
            began_s = self._clock()
            held = restored[tp] = await self._keeper.restore(tp, commit)
            if commit:
                _log.info(
                    f"Restored {len(held.monitor.models):,} models of {tp.topic}-{tp.partition} "
                    f"at offset {held.monitor.next_offset or 0:,} in "
                    f"{self._clock() - began_s:.1f} s",
                    waiting_predictions=waiting([held.monitor]),
                )
        # All together: `run` continues meanwhile, and must not see a part of the assignment.
        self._held = restored
        self._applied = {tp: held.monitor.next_offset or 0 for tp, held in restored.items()}
        self._assigned_s = self._clock()
        self._policy.assign([tp.partition for tp in restored], self._clock())
        pairs = self._counts.begin(self._monitors()).pairs
        self._progress.assigned(self._clock() - assigned_s, pairs)

    def start_offset(self, tp: TP) -> int | None:
        """Return the offset at which the restored state continues."""
        return self._applied.get(tp)

    async def on_fetch(self, fetch: Fetch) -> None:
        """Apply records, publish their emissions, save the state when that is due."""
        async with self._turn:
            for first in range(0, len(fetch.records), RECORDS_AT_ONCE):
                await self._survive(partial(self._apply, fetch, first))
                await self._survive(self._save_if_due)
            self._pass_over_end(fetch)

    async def run(self) -> None:
        """Evaluate and save quiet partitions too; log the counts of the join."""
        next_log_s = self._clock() + LOG_COUNTS_EVERY_S
        while True:
            await asyncio.sleep(EVALUATE_EVERY_S)
            async with self._turn:
                await self._await_deliveries()
                await self._survive(self._evaluate_due)
                await self._survive(self._save_if_due)
            if self._clock() >= next_log_s:
                next_log_s = self._clock() + LOG_COUNTS_EVERY_S
                self._log_counts()

    async def on_revoked(self, tps: set[TP]) -> None:
        """Save, then forget: the partitions belong to others."""
        try:
            await self.on_shutdown()
        finally:
            self._forget()

    async def on_shutdown(self) -> None:
        """Save, and log the final counts."""
        async with self._turn:
            self._policy.owe_status_now()
            await self._survive(self._save)
        self._log_counts()

    async def _survive(self, act: Callable[[], Awaitable[None]]) -> None:
        """Do something; where a model fails, quarantine it and do it again (Rule 4)."""
        failed: set[str] = set()
        broken: int | None = None
        while True:
            try:
                if broken is not None:
                    await self._guard(broken, failed)
                    broken = None
                await act()
            except ModelFailedError as error:
                log_failure(error)
                failed.add(error.model_id)
                broken = error.partition
            else:
                break
        if failed:
            for held in self._held.values():
                held.monitor.relax()

    async def _guard(self, partition: int, guarded: set[str]) -> None:
        """Restore a partition, and apply its log again with guards for some models (Rule 4)."""
        tp = TP(self.topics[0], partition)
        until = self._applied[tp]
        whom = EveryModel() if len(guarded) > MOST_GUARDED else guarded
        held = await self._keeper.restore(tp, self._held[tp].committed, whom)
        self._held[tp] = held
        start = held.monitor.next_offset or 0
        async for records in self._keeper.read_log(tp, start, until):
            await self._await_deliveries()
            emissions = held.monitor.ingest(filled(records, held.monitor.next_offset or 0))
            await self._publish(emissions + held.monitor.evaluate_all(), partition)

    async def _apply(self, fetch: Fetch, first: int) -> None:
        await self._await_deliveries()
        monitor = self._held[fetch.tp].monitor
        records = fetch.records[first : first + RECORDS_AT_ONCE]
        start = fetch.records[first - 1].offset + 1 if first else fetch.start_offset
        self._appended_ms[fetch.tp] = records[0].timestamp
        try:
            emissions = monitor.ingest(filled(records, start))
        except LogGapError as error:
            msg = (
                f"{error}. Restart the worker. If the error is repeated, records of events were "
                "deleted before they were read; see docs/runbook.md"
            )
            raise BrokenLogError(msg) from error
        self._log_foreign(monitor)
        fetched = max(len(fetch.records) - first - RECORDS_AT_ONCE, 0)
        left = fetched + fetch.end - fetch.next_offset
        self._policy.note_backlog(fetch.partition, left)
        if self._policy.is_reading_due_at_the_end(fetch.partition, self._clock()):
            emissions += self._evaluate(monitor)
        await self._publish(emissions, fetch.partition)
        self._applied[fetch.tp] = records[-1].offset + 1

    def _pass_over_end(self, fetch: Fetch) -> None:
        """Pass over the end of a stretch that holds no record."""
        held = self._held.get(fetch.tp)
        if held is None or held.monitor.next_offset is None:
            return
        end = range(held.monitor.next_offset, fetch.next_offset)
        if end and end.start >= fetch.start_offset:
            held.monitor.ingest((offset, NOTHING) for offset in end)
            self._applied[fetch.tp] = fetch.next_offset

    def _log_foreign(self, monitor: Monitor) -> None:
        """Log and count the records of ``events`` that ingest has not written."""
        self._progress.skipped[self.topics[0]] += len(monitor.foreign)
        for each in monitor.foreign:
            suppressed = self._foreign.admit(str(monitor.partition), self._clock())
            if suppressed is not None:
                _log.error(
                    f"Skipped {self.topics[0]}-{monitor.partition} offset {each.offset:,}, which "
                    f"ingest has not written: {each.reason[:_REASON_CHARACTERS]}. Find out what "
                    "else writes to this topic",
                    suppressed=suppressed,
                )
        monitor.foreign = []

    async def _publish(self, emissions: Sequence[Emission], partition: int) -> None:
        """Begin to send emissions (Rule 2), before any other task can run.

        Cancelling the caller must not lose the emissions of records that count as applied.
        """
        if not emissions:
            return
        outgoing = self._outgoing(emissions, partition)
        sending = self._sender.send(outgoing)
        self._deliveries.append(asyncio.create_task(sending))
        for emission, sent in zip(emissions, outgoing, strict=True):
            if emission.role in self._logged and sent.value:
                log_emission(emission.role, sent.value)
        await asyncio.sleep(0)  # the loop's turn

    async def _publish_durably(self, emissions: Sequence[Emission], partition: int) -> None:
        await self._publish(emissions, partition)
        await self._await_deliveries(0)

    async def _await_deliveries(self, most: int = MOST_DELIVERIES - 1) -> None:
        """Wait until at most ``most`` are in flight; a failed one ends the worker.

        A cancelled caller leaves them to the next one that waits.
        """
        deliveries = self._deliveries
        while deliveries and (len(deliveries) > most or deliveries[0].done()):
            if not deliveries[0].done():
                await asyncio.wait([deliveries[0]])
            deliveries[0].result()
            deliveries.popleft()

    async def _save_if_due(self) -> None:
        if not self._policy.is_saving_due(self._clock()):
            return
        await self._await_deliveries(0)
        began_s = self._clock()
        if not any(held.is_saving for held in self._held.values()):
            await self._begin_round()
        is_over = await self._keeper.save_some(
            self._held, self._publish_durably, self.partitions.commit_fact
        )
        ended_s = self._clock()
        self._policy.note_slice(began_s, ended_s, is_last=is_over)
        self._progress.saved(ended_s - began_s, is_over=is_over)

    async def _begin_round(self) -> None:
        self._policy.begin_round(self._clock())
        await self._publish_status_if_due()
        for held in self._held.values():
            self._keeper.begin(held)

    async def _save(self) -> None:
        """Save everything at once."""
        began_s = self._clock()
        await self._publish_status_if_due()
        await self._await_deliveries(0)
        await self._keeper.save(self._held, self._publish_durably, self.partitions.commit_fact)
        self._progress.saved(self._clock() - began_s, is_over=True)

    async def _evaluate_due(self) -> None:
        for tp, held in self._held.items():
            is_due = self._policy.is_reading_due(tp.partition, self._clock())
            if held.monitor.is_anything_ready and is_due:
                await self._await_deliveries()
                await self._publish(self._evaluate(held.monitor), tp.partition)

    def _evaluate(self, monitor: Monitor) -> list[Emission]:
        """Evaluate the waiting values of a partition."""
        began_s = self._clock()
        emissions = monitor.evaluate_ready()
        self._policy.note_reading(monitor.partition, began_s, self._clock())
        return emissions

    async def _publish_status_if_due(self) -> None:
        """Publish the state of every alert again, where that is due; a closed one is a deletion."""
        if not self._policy.is_status_due(self._clock()):
            return
        self._policy.note_status(self._clock())
        for tp, held in self._held.items():
            models = held.monitor.models.values()
            if statuses := [each for model in models for each in model.statuses()]:
                await self._sender.send(self._outgoing(statuses, tp.partition))

    def _forget(self) -> None:
        self._held = {}
        self._applied = {}
        self._appended_ms = {}

    def applied(self) -> Mapping[TP, int]:
        """Return, for each partition of ``events``, the offset of the record to be applied next.

        Emissions of the last records may still be in flight.
        """
        return self._applied

    def figures(self, now_s: float) -> Iterable[Metric]:
        """Return the figures of its models, and how far behind the log they are."""
        pairs = self._progress.pairs(total(self._monitors()).pairs)
        yield from monitor_figures(self._held, self._progress, pairs)
        yield from lag_figures(self.lags(), self._appended_ms, now_s)
        since_ms = round(1_000 * (now_s - self._clock() + self._assigned_s))
        ticks = {tp: max(each.monitor.tick_ms or 0, since_ms) for tp, each in self._held.items()}
        yield from tick_figures(ticks, now_s)

    def _outgoing(self, emissions: Iterable[Emission], partition: int) -> list[Outgoing]:
        names, headers = self._names, self._headers
        outgoing = []
        for each in emissions:
            role, value, model = each.role, each.value, each.model_id.encode()
            if role in self._edged:
                value = self._edge.of(value)
            key = each.key.encode() if each.key else model
            made = headers[role].of(value, model, each.now_ms)
            outgoing.append(
                _new_outgoing((names[role], partition, key, value or None, each.now_ms, made))
            )
        return outgoing

    def _log_counts(self) -> None:
        self._progress.pairs(self._counts.log(self._monitors()).pairs)

    def _monitors(self) -> list[Monitor]:
        return [held.monitor for held in self._held.values()]
