"""The monitor agent: from ``events`` to alerts, feedback and labelled rows.

All thinking is in ``streams.monitor``; here records come in, what they call for goes out.

Rule 1. State is a function of the log: at an assignment it is rebuilt by a replay of everything
        before the commit, whose emissions are known to be published and are dropped.
Rule 2. A record is committed only when everything it called for is acknowledged.
Rule 3. State that stands exactly at the commit needs no rebuilding.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict

import orjson
from faust.types import TP

from agents.hop import Hop
from agents.ingest import Clock, Sender
from agents.publish import Outgoing
from agents.telemetry import get_logger
from agents.transport import Fetch
from schemas.topics import Role, Topics
from streams.join import JoinCounts
from streams.model import Emission
from streams.monitor import Monitor

RECORDS_AT_ONCE = 8
SAY_COUNTS_EVERY_S = 60.0

_SEVERITY_LEVEL = {"info": "info", "warning": "warning", "critical": "error"}
_OUTPUTS: tuple[Role, ...] = ("alerts", "feedback", "labelled")

_log = get_logger(__name__)

Replay = Callable[[TP, int], AsyncIterator[Sequence[tuple[int, bytes]]]]
"""Yields (offset, value) of a partition's records from its beginning up to an offset."""


class MonitorHop(Hop):
    """The monitors of one worker, one for each assigned partition of ``events``.

    Parameters
    ----------
    topics
        Names and partitions.
    sender
        What publishes.
    replay
        What reads the log up to the commit.
    clock
        Seconds since the epoch; for the log's summaries only.
    """

    def __init__(self, topics: Topics, sender: Sender, replay: Replay, clock: Clock) -> None:
        self._names = {role: topics.name(role) for role in _OUTPUTS}
        super().__init__("monitor", (topics.name("events"),), tuple(self._names.values()))
        self._topics = topics
        self._sender = sender
        self._replay = replay
        self._clock = clock
        self._monitors: dict[TP, Monitor] = {}
        self._applied: dict[TP, int] = {}
        self._said = JoinCounts()

    async def on_rebalance_complete(self, starts: Mapping[TP, int]) -> None:
        """Have the state of every assigned partition stand at its commit."""
        kept = self._monitors
        self._monitors = {}
        self._applied = {}
        for tp, commit in sorted(starts.items()):
            monitor = kept.get(tp)
            if monitor is None or monitor.next_offset != commit:
                monitor = await self._rebuilt(tp, commit)
            self._monitors[tp] = monitor
            self._applied[tp] = commit

    async def on_fetch(self, fetch: Fetch) -> None:
        """Apply records, publish what they call for, commit."""
        monitor = self._monitors[fetch.tp]
        for first in range(0, len(fetch.records), RECORDS_AT_ONCE):
            records = fetch.records[first : first + RECORDS_AT_ONCE]
            emissions = [
                emission
                for record in records
                for emission in monitor.apply(record.offset, record.value)
            ]
            await self._sender.send([self._outgoing(e, fetch.partition) for e in emissions])
            self._applied[fetch.tp] = records[-1].offset + 1
            for emission in emissions:
                self._say(emission)
        await self.partitions.commit_fact({fetch.tp: self._applied[fetch.tp]})

    async def run(self) -> None:
        """Say from time to time what the join dropped."""
        while True:
            await asyncio.sleep(SAY_COUNTS_EVERY_S)
            self._say_counts()

    async def on_shutdown(self) -> None:
        """Say the last counts; everything else has been committed with its fetch."""
        self._say_counts()

    def applied(self) -> Mapping[TP, int]:
        """Return, for each partition of ``events``, the offset of the record to be applied next."""
        return self._applied

    async def _rebuilt(self, tp: TP, commit: int) -> Monitor:
        monitor = Monitor(tp.partition, self._topics)
        if commit == 0:
            return monitor
        began_s = self._clock()
        records = 0
        async for batch in self._replay(tp, commit):
            for offset, value in batch:
                monitor.apply(offset, value)
                records += 1
                await asyncio.sleep(0)
        _log.info(
            f"Rebuilt the state of {tp.topic}-{tp.partition} from {records:,} records "
            f"in {self._clock() - began_s:.1f} s",
            models=len(monitor.models),
        )
        return monitor

    def _outgoing(self, emission: Emission, partition: int) -> Outgoing:
        key = emission.model_id.encode()
        topic = self._names[emission.role]
        return Outgoing(topic, partition, key, emission.value, emission.now_ms)

    def _say(self, emission: Emission) -> None:
        if emission.role == "labelled":
            return
        event = orjson.loads(emission.value)
        if emission.role == "alerts":
            level = _SEVERITY_LEVEL[event["severity"]]
            fields = {name: event[name] for name in ("alert_id", "kind", "series", "aspect")}
            getattr(_log, level)(f"Alert: {event['summary']}", **fields)
        else:
            _log.warning(f"Feedback: {event['summary']}", feedback_id=event["feedback_id"])

    def _say_counts(self) -> None:
        now = JoinCounts()
        for monitor in self._monitors.values():
            for model in monitor.models.values():
                now.add(model.join.counts)
        before, self._said = asdict(self._said), now
        news = {name: count - before[name] for name, count in asdict(now).items()}
        if any(count > 0 for count in news.values()):
            _log.info(
                f"Joined {news['pairs']:,} pairs; {news['expired_predictions']:,} predictions "
                f"expired without an outcome, {news['orphan_outcomes']:,} outcomes without a "
                f"prediction, {news['conflicting_outcomes']:,} conflicting and "
                f"{news['duplicate_outcomes']:,} duplicate outcomes",
                **now_waiting(self._monitors),
            )


def now_waiting(monitors: Mapping[TP, Monitor]) -> dict[str, int]:
    """Return how many events wait for their other half, over all models."""
    models = [model for monitor in monitors.values() for model in monitor.models.values()]
    return {
        "waiting_predictions": sum(model.join.waiting_predictions for model in models),
        "waiting_outcomes": sum(model.join.waiting_outcomes for model in models),
    }
