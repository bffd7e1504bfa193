"""The alerts that are firing now, from ``status`` and ``alerts``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from aiokafka import ConsumerRecord
from faust.types import TP

from agents.notify.messages import Notice, read_instant
from agents.telemetry import get_logger
from schemas.alert import Alert
from schemas.status import Status
from schemas.topics import Topics

REMEMBERED = 100_000
"""Ids that are kept to recognise copies: some 20 MB. A worker repeats far fewer after a restart."""
Now = Callable[[], datetime]
_log = get_logger(__name__)


@dataclass(slots=True)
class FiringAlerts:
    """The open alerts by fingerprint: `status` up to the record that was applied last."""

    open: dict[bytes, Status] = field(default_factory=dict)
    unreadable: int = 0

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Apply one record of ``status``."""
        if key is None:
            return
        if value is None:
            self.open.pop(key, None)
            return
        try:
            self.open[key] = _read_status(value)
        except ValueError:
            self.unreadable += 1
            _log.error("A record of status cannot be read by this version and is skipped")

    def firing(self, now: datetime) -> list[Alert]:
        """Return the open alerts that are not muted, in their present state.

        One under another is not among them: that one stands for it.
        """
        return [
            present_state(status)
            for status in self.open.values()
            if status.alert.under is None and not is_muted(status.muted_until, now)
        ]


def _read_status(value: bytes) -> Status:
    status = Status.model_validate_json(value)
    read_instant(status.alert.fired_at)
    if status.muted_until is not None:
        read_instant(status.muted_until)
    return status


def present_state(status: Status) -> Alert:
    """Return the last transition of an alert, with the controls that came after it."""
    controls = {"acknowledged": status.acknowledged, "muted_until": status.muted_until}
    return status.alert.model_copy(update=controls)


def is_muted(muted_until: str | None, at: datetime) -> bool:
    """Return whether a mute is in force at an instant."""
    return muted_until is not None and at < read_instant(muted_until)


class Reader(Protocol):
    """Reads a partition from its beginning to its end."""

    async def beginning(self, tp: TP) -> int:
        """Return the offset of the oldest record."""

    def read(self, tp: TP) -> AsyncIterator[Sequence[ConsumerRecord]]:
        """Yield the records."""


@dataclass(frozen=True, slots=True)
class StartPoint:
    """The place in a partition of ``alerts`` at which a target starts.

    Parameters
    ----------
    notices
        The alerts that were firing there, oldest first.
    next_offset
        Offset of the next record to deliver. Alerts below it are in ``notices`` or resolved.
    seen
        The ids of the transitions below it.
    """

    notices: Sequence[Notice]
    next_offset: int
    seen: RecentIds


class RecentIds:
    """The ids of transitions, the latest ``REMEMBERED`` of them."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def add(self, alert_id: str) -> bool:
        """Remember an id; return whether it is new."""
        if alert_id in self._ids:
            return False
        self._ids[alert_id] = None
        if len(self._ids) > REMEMBERED:
            del self._ids[next(iter(self._ids))]
        return True


@dataclass(frozen=True, slots=True)
class StartPoints:
    """Reads start points.

    Parameters
    ----------
    reader
        Reads partitions to their ends.
    topics
        Names of topics.
    now
        The clock.
    """

    reader: Reader
    topics: Topics
    now: Now

    async def read(self, partition: int, committed: int | None = None) -> StartPoint:
        """Read a partition of ``alerts`` up to the commit; without one, to its end."""
        alerts = TP(self.topics.name("alerts"), partition)
        next_offset = await self.reader.beginning(alerts)
        seen = RecentIds()
        last: dict[str, Notice] = {}
        async for records in self.reader.read(alerts):
            below = [each for each in records if committed is None or each.offset < committed]
            for notice in filter(None, map(read_notice, below)):
                if seen.add(notice.alert.alert_id):
                    last.pop(notice.alert.fingerprint, None)  # oldest first: it moves to the end
                    last[notice.alert.fingerprint] = notice
            next_offset = records[-1].offset + 1
        firing = await self.read_firing(partition)
        open_notices = [each for each in last.values() if each.alert.status != "resolved"]
        return StartPoint(
            [_in_present_state(each, firing, self.now()) for each in open_notices],
            next_offset if committed is None else committed,
            seen,
        )

    async def read_firing(self, *partitions: int) -> FiringAlerts:
        """Read the firing alerts from partitions of ``status``, to their ends."""
        firing = FiringAlerts()
        for partition in partitions:
            async for records in self.reader.read(TP(self.topics.name("status"), partition)):
                for record in records:
                    firing.apply(record.key, record.value)
        return firing


def _in_present_state(notice: Notice, firing: FiringAlerts, at: datetime) -> Notice:
    status = firing.open.get(notice.alert.fingerprint.encode())
    if status is None or status.alert.alert_id != notice.alert.alert_id:
        return notice
    return Notice(
        alert=present_state(status),
        record=notice.record,
        is_muted=is_muted(status.muted_until, at),
    )


def read_notice(record: ConsumerRecord) -> Notice | None:
    """Return the transition that a record of ``alerts`` holds; None when it cannot be read."""
    try:
        alert = Alert.model_validate_json(record.value or b"")
        muted = is_muted(alert.muted_until, read_instant(alert.detected_at))
    except ValueError:
        _log.error(
            f"{record.topic}-{record.partition} offset {record.offset} cannot be read by this "
            "version and is skipped"
        )
        return None
    return Notice(alert=alert, record=record.value, is_muted=muted)
