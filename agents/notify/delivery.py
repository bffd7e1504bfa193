"""Deliver the transitions in ``alerts`` to one target, each at least once and in order.

Rule 1. An offset is committed once the target has accepted everything before it: `kill -9` repeats
        deliveries and loses none. Copies carry the same id and the same dedup key.
Rule 2. Every target has its own consumer group, so that a slow target does not delay the others.
Rule 3. Where its group has committed nothing yet, a target receives the alerts that are firing, not
        their history: the last transition of each fingerprint in `alerts`, except resolutions.
Rule 4. A copy of a transition, which a worker publishes after a restart, is not delivered again: a
        firing that is repeated after its resolution would page somebody.
Rule 5. A target receives the alerts of its `Selection`, and the resolution of each that it had.
Rule 6. A transition of an alert that was muted at its instant is not delivered; the exceptions are
        in the table of agents/notify/messages.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from agents.notify.firing import RecentIds, StartPoint, StartPoints, read_notice
from agents.notify.http import HttpSender, Request
from agents.notify.messages import Notice, Target
from agents.notify.selection import ALL, Selection
from agents.telemetry import get_logger
from schemas.alert import Alert

_POLL_MS = 500
"""Milliseconds of a poll without records; a new assignment is noticed within this time."""
_log = get_logger(__name__)


@dataclass(slots=True)
class DeliveryCounts:
    """Numbers of transitions, by the way each was handled."""

    delivered: int = 0
    left_out: int = 0
    repeated: int = 0
    rejected: int = 0
    unreadable: int = 0


class Delivery(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Follows ``alerts`` for one target.

    Parameters
    ----------
    consumer
        A member of the target's own group, not yet started. It commits nothing by itself.
    start_points
        Reads the firing alerts where nothing is committed.
    target, sender
        Makes the requests; sends them.
    selection
        The alerts that the target receives.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        start_points: StartPoints,
        target: Target,
        sender: HttpSender,
        selection: Selection = ALL,
    ) -> None:
        self._selection = selection
        self._told: set[str] = set()
        self._consumer = consumer
        self._start_points = start_points
        self._target = target
        self._sender = sender
        self._start_of: dict[TopicPartition, StartPoint] = {}
        self.counts = DeliveryCounts()

    async def run(self) -> None:
        """Follow and deliver until cancelled."""
        try:
            self._consumer.subscribe([self._start_points.topics.name("alerts")], listener=self)
            await self._consumer.start()
            while True:
                # A partition without records needs a commit as well: its first record would
                # otherwise count as history.
                for tp in self._consumer.assignment() - self._start_of.keys():
                    self._start_of[tp] = await self._start(tp)
                for tp, records in (await self._consumer.getmany(timeout_ms=_POLL_MS)).items():
                    await self._deliver_records(tp, records)
        finally:
            self._log_counts()
            await self._consumer.stop()

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Forget their start points: the next owner resumes at the commit."""
        for tp in revoked:
            self._start_of.pop(tp, None)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Do nothing here: `run` starts them."""

    async def _start(self, tp: TopicPartition) -> StartPoint:
        """Deliver the firing alerts where nothing is committed; return the start point."""
        committed: int | None = await self._consumer.committed(tp)
        start = await self._start_points.read(tp.partition, committed)
        where = f"{tp.topic}-{tp.partition} at offset {start.next_offset}"
        if committed is not None:
            self._told |= {
                each.alert.fingerprint
                for each in start.notices
                if self._selection.wants(each.alert)
            }
            _log.info(f"{self._sender.name} resumes in {where}")
            return start
        _log.info(
            f"{self._sender.name} begins in {where}, with the alerts that are firing: "
            f"{len(start.notices)}"
        )
        for notice in start.notices:
            await self._deliver(notice)
        await self._commit(tp, start.next_offset)
        return start

    async def _deliver_records(self, tp: TopicPartition, records: Sequence[ConsumerRecord]) -> None:
        for record in records:
            if tp not in self._consumer.assignment():
                return  # revoked meanwhile: its next owner delivers the rest
            if tp not in self._start_of:  # assigned while this was fetched, or lost and regained
                self._start_of[tp] = await self._start(tp)
            start = self._start_of[tp]
            if record.offset < start.next_offset:
                continue  # before the start point, which has covered it
            await self._deliver_record(record, start.seen)
            await self._commit(tp, record.offset + 1)

    async def _deliver_record(self, record: ConsumerRecord, seen: RecentIds) -> None:
        notice = read_notice(record)
        if notice is None:
            self.counts.unreadable += 1
        elif not seen.add(notice.alert.alert_id):
            self.counts.repeated += 1
        else:
            await self._deliver(notice)

    async def _deliver(self, notice: Notice) -> None:
        alert = notice.alert
        request = self._target.request(notice) if self._is_wanted(alert) else None
        if request is None:
            self.counts.left_out += 1
            return

        async def make() -> Request:
            return request

        rejection = await self._sender.deliver(make)
        if rejection is None:
            self.counts.delivered += 1
            _log.info(f"{self._sender.name} accepted: {alert.summary}", **named(alert))
        else:
            self.counts.rejected += 1
            _log.error(
                f"{self._sender.name} rejects an alert ({rejection.status}), which is skipped: "
                f"{rejection.text}",
                **named(alert),
            )

    def _is_wanted(self, alert: Alert) -> bool:
        """Tell whether an alert is for this target; whoever had it has its resolution too."""
        is_wanted, was_told = self._selection.wants(alert), alert.fingerprint in self._told
        if alert.status == "resolved":
            self._told.discard(alert.fingerprint)
            return is_wanted or was_told
        if is_wanted:
            self._told.add(alert.fingerprint)
        return is_wanted

    def _log_counts(self) -> None:
        counts = self.counts
        _log.info(
            f"{self._sender.name} accepted {counts.delivered:,} alerts and rejected "
            f"{counts.rejected:,}; {counts.left_out:,} were muted, acknowledged or not for it",
            **asdict(counts),
            retries=self._sender.retries,
        )

    async def _commit(self, tp: TopicPartition, offset: int) -> None:
        try:
            await self._consumer.commit({tp: offset})
        except (CommitFailedError, IllegalStateError):
            _log.info(f"{tp.topic}-{tp.partition} belongs to another member of the group now")


def named(alert: Alert) -> dict[str, str]:
    """Return the fields of a log line that identify an alert."""
    return {
        "alert_id": alert.alert_id,
        "fingerprint": alert.fingerprint,
        "status": alert.status,
    }
