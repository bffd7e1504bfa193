from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest
from aiokafka import ConsumerRecord
from faust.types import TP

from agents.notify.firing import RecentIds, StartPoint, StartPoints
from schemas.alert import Alert
from schemas.topics import Topics
from tests.doubles.alerts import alert, record, status_of

TOPICS = Topics()
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class ListReader:
    """Two partitions as lists; offsets count from ``first``."""

    def __init__(
        self, alerts: Sequence[Alert], status: Sequence[bytes] = (), first: int = 0
    ) -> None:
        self._values = {
            TOPICS.name("alerts"): [record(each) for each in alerts],
            TOPICS.name("status"): list(status),
        }
        self._first = first

    async def beginning(self, tp: TP) -> int:
        return self._first

    async def read(self, tp: TP) -> AsyncIterator[Sequence[ConsumerRecord]]:
        for n, value in enumerate(self._values[tp.topic]):
            key = alert().fingerprint.encode()
            offset = self._first + n
            yield [ConsumerRecord(tp.topic, 0, offset, 0, 0, key, value, None, 0, 0, ())]


async def opening(reader: ListReader, committed: int | None = None) -> StartPoint:
    return await StartPoints(reader, TOPICS, lambda: NOW).read(0, committed)


def statuses(found: StartPoint) -> list[tuple[str, str]]:
    return [(each.alert.fingerprint[:1], each.alert.status) for each in found.notices]


async def test_what_fires_is_told_by_its_last_transition_oldest_first() -> None:
    a, b, c = ("a" * 32, "b" * 32, "c" * 32)
    transitions = [
        *(alert(fingerprint=each) for each in (a, b, c)),
        alert("ongoing", fingerprint=a),
        alert("resolved", fingerprint=b),
    ]

    found = await opening(ListReader(transitions, first=7))

    assert statuses(found) == [("c", "firing"), ("a", "ongoing")]
    assert found.next_offset == 12


async def test_a_firing_that_is_repeated_after_its_end_does_not_fire() -> None:
    found = await opening(ListReader([alert(), alert("resolved"), alert()]))

    assert statuses(found) == []


async def test_a_partition_without_records_begins_at_its_beginning() -> None:
    found = await opening(ListReader([], first=40))

    assert (found.notices, found.next_offset) == ([], 40)


async def test_where_something_is_committed_it_goes_on_there() -> None:
    found = await opening(ListReader([alert(), alert("resolved")]), committed=1)

    assert found.next_offset == 1
    assert not found.seen.add(alert().alert_id)
    assert found.seen.add(alert("resolved").alert_id)


async def test_what_was_said_of_it_since_is_taken_from_status() -> None:
    taken = {"by": "ana", "at": "2026-03-01T11:00:00.000Z", "because": None}
    said = status_of(alert(), acknowledged=taken, muted_until="2026-03-01T12:00:01.000Z")

    (notice,) = (await opening(ListReader([alert()], [said]))).notices

    assert notice.is_muted
    assert notice.alert.acknowledged is not None
    assert notice.record == record(alert())


async def test_a_status_of_another_transition_says_nothing() -> None:
    said = status_of(alert("ongoing"), muted_until="2099-01-01T00:00:00.000Z")

    (notice,) = (await opening(ListReader([alert()], [said]))).notices

    assert not notice.is_muted


async def test_a_mute_that_was_over_when_it_happened_does_not_count() -> None:
    at = {"detected_at": "2026-03-01T10:00:00.000Z"}
    transitions = [
        alert(fingerprint="a" * 32, muted_until="2026-03-01T10:00:00.000Z", **at),
        alert(fingerprint="b" * 32, muted_until="2026-03-01T10:00:00.001Z", **at),
    ]

    found = await opening(ListReader(transitions))

    assert [each.is_muted for each in found.notices] == [False, True]


@pytest.mark.parametrize("value", [b"not json", record(alert(detected_at="soon"))])
async def test_a_record_that_cannot_be_read_is_passed_over(value: bytes) -> None:
    reader = ListReader([alert()])
    reader._values[TOPICS.name("alerts")].insert(0, value)

    found = await opening(reader)

    assert statuses(found) == [("0", "firing")]
    assert found.next_offset == 2


def test_ids_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.notify.firing.REMEMBERED", 2)
    seen = RecentIds()

    told = [seen.add(each) for each in ("a", "b", "a", "c", "a")]

    assert told == [True, True, False, True, True]
