"""Deliver the transitions in ``alerts`` to one target, each at least once and in order.

Rule 1. An offset is committed once the target took everything before it: `kill -9` repeats, and
        loses nothing. Copies carry the same id and the same dedup key.
Rule 2. Every target has its own group, so that one that is slow or away holds back no other.
Rule 3. Where its group has committed nothing yet, a target is told what is firing, not how it came
        to that: the last transition of each fingerprint in `alerts`, but for resolutions.
Rule 4. A copy of a transition, which a worker that restarts publishes, is not told again: a firing
        that is repeated after its resolution would wake somebody.
Rule 5. Nothing is told of an alert that was muted at the instant of its transition; exceptions are
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
from agents.telemetry import get_logger
from schemas.alert import Alert

_POLL_MS = 500
_log = get_logger(__name__)


@dataclass(slots=True)
class DeliveryCounts:
    """What became of the transitions."""

    delivered: int = 0
    left_out: int = 0
    repeated: int = 0
    refused: int = 0
    unreadable: int = 0


class Delivery(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Follows ``alerts`` for one target.

    Parameters
    ----------
    consumer
        Of the target's own group, not yet started. It commits nothing by itself.
    openings
        Reads what is firing where nothing is committed.
    target, courier
        What is told, and how.
    """

    def __init__(
        self, consumer: AIOKafkaConsumer, openings: StartPoints, target: Target, courier: HttpSender
    ) -> None:
        self._consumer = consumer
        self._openings = openings
        self._target = target
        self._courier = courier
        self._openings_of: dict[TopicPartition, StartPoint] = {}
        self.tally = DeliveryCounts()

    async def run(self) -> None:
        """Follow and deliver until cancelled."""
        try:
            self._consumer.subscribe([self._openings.topics.name("alerts")], listener=self)
            await self._consumer.start()
            while True:
                # Before anything is waited for: a partition without records needs a commit as well,
                # or what it gets first would be taken for history.
                for tp in self._consumer.assignment() - self._openings_of.keys():
                    self._openings_of[tp] = await self._begin(tp)
                for tp, records in (await self._consumer.getmany(timeout_ms=_POLL_MS)).items():
                    await self._take(tp, records)
        finally:
            self._say_tally()
            await self._consumer.stop()

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Forget where they began: their next owner goes on from the commit."""
        for tp in revoked:
            self._openings_of.pop(tp, None)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Do nothing here: the loop begins them."""

    async def _begin(self, tp: TopicPartition) -> StartPoint:
        """Tell what is firing where nothing is committed; return where to go on."""
        committed: int | None = await self._consumer.committed(tp)
        opening = await self._openings.read(tp.partition, committed)
        where = f"{tp.topic}-{tp.partition} at offset {opening.next_offset}"
        if committed is not None:
            _log.info(f"{self._courier.name} goes on in {where}")
            return opening
        _log.info(
            f"{self._courier.name} begins in {where}, with the alerts that are firing: "
            f"{len(opening.notices)}"
        )
        for notice in opening.notices:
            await self._deliver(notice)
        await self._commit(tp, opening.next_offset)
        return opening

    async def _take(self, tp: TopicPartition, records: Sequence[ConsumerRecord]) -> None:
        for record in records:
            if tp not in self._consumer.assignment():
                return  # taken away meanwhile: its next owner has the rest
            if tp not in self._openings_of:  # assigned while this was fetched, or lost and regained
                self._openings_of[tp] = await self._begin(tp)
            opening = self._openings_of[tp]
            if record.offset < opening.next_offset:
                continue  # before the beginning, which has told what of it still fires
            await self._take_one(record, opening.seen)
            await self._commit(tp, record.offset + 1)

    async def _take_one(self, record: ConsumerRecord, seen: RecentIds) -> None:
        notice = read_notice(record)
        if notice is None:
            self.tally.unreadable += 1
        elif not seen.add(notice.alert.alert_id):
            self.tally.repeated += 1
        else:
            await self._deliver(notice)

    async def _deliver(self, notice: Notice) -> None:
        request = self._target.request(notice)
        alert = notice.alert
        if request is None:
            self.tally.left_out += 1
            return

        async def make() -> Request:
            return request

        refusal = await self._courier.deliver(make)
        if refusal is None:
            self.tally.delivered += 1
            _log.info(f"{self._courier.name} took: {alert.summary}", **named(alert))
        else:
            self.tally.refused += 1
            _log.error(
                f"{self._courier.name} refuses an alert ({refusal.status}), which is passed over: "
                f"{refusal.text}",
                **named(alert),
            )

    def _say_tally(self) -> None:
        tally = self.tally
        _log.info(
            f"{self._courier.name} took {tally.delivered:,} alerts and refused {tally.refused:,}; "
            f"{tally.left_out:,} were muted or acknowledged",
            **asdict(tally),
            retries=self._courier.retries,
        )

    async def _commit(self, tp: TopicPartition, offset: int) -> None:
        try:
            await self._consumer.commit({tp: offset})
        except (CommitFailedError, IllegalStateError):
            _log.info(f"{tp.topic}-{tp.partition} has gone to another member of the group")


def named(alert: Alert) -> dict[str, str]:
    """Return what finds an alert again, for a log line."""
    return {
        "alert_id": alert.alert_id,
        "fingerprint": alert.fingerprint,
        "status": alert.status,
    }
