from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from pydantic import SecretStr

from agents.notify.delivery import Delivery
from agents.notify.firing import StartPoints
from agents.notify.http import HttpSender, open_session
from agents.notify.messages import Webhook
from agents.notify.selection import ALL, Selection
from schemas.alert import Alert
from tests.agents.notify.test_firing import TOPICS, ListReader
from tests.agents.running import until
from tests.doubles.alerts import alert, record
from tests.doubles.receiver import Receiver

TP = TopicPartition(TOPICS.name("alerts"), 0)
FIRST, SECOND, THIRD = (alert(fingerprint=each * 32) for each in "abc")


class ListConsumer:
    """A group of one partition; what happens to it comes one getmany after another.

    A list of transitions is a fetch, "assigned" and "revoked" are the partition's coming and going.
    """

    def __init__(self, steps: Sequence[str | list[Alert]], committed: int | None) -> None:
        self._steps = list(steps)
        self._assigned: set[TopicPartition] = set()
        self._listener: ConsumerRebalanceListener | None = None
        self._position = committed or 0
        self.commits: list[int] = [] if committed is None else [committed]

    def subscribe(self, topics: Sequence[str], listener: ConsumerRebalanceListener) -> None:
        assert topics == [TP.topic]
        self._listener = listener

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def assignment(self) -> set[TopicPartition]:
        return set(self._assigned)

    async def getmany(self, timeout_ms: int) -> dict[TopicPartition, list[ConsumerRecord]]:
        await asyncio.sleep(0)
        while self._steps:
            step = self._steps.pop(0)
            if isinstance(step, list):
                return {TP: [self._record(each) for each in step]}
            await self.rebalance(step)
        await asyncio.sleep(timeout_ms / 1_000)
        return {}

    async def rebalance(self, step: str) -> None:
        assert self._listener is not None
        if step == "assigned":
            self._assigned.add(TP)
            self._position = self.commits[-1] if self.commits else 0
        else:
            self._assigned.clear()
            await self._listener.on_partitions_revoked({TP})

    async def committed(self, tp: TopicPartition) -> int | None:
        return self.commits[-1] if self.commits else None

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self.commits += offsets.values()

    def _record(self, transition: Alert) -> ConsumerRecord:
        offset, self._position = self._position, self._position + 1
        return ConsumerRecord(*TP, offset, 0, 0, b"", record(transition), None, 0, 0, ())


async def delivered(
    consumer: ListConsumer, log: Sequence[Alert], expected: int, selection: Selection = ALL
) -> list[str]:
    """Return the ids that a webhook took, once it took as many as expected."""
    async with Receiver() as receiver, open_session() as session:
        url = SecretStr(receiver.url)
        start_points = StartPoints(
            ListReader(log), TOPICS, lambda: datetime(2026, 3, 1, tzinfo=UTC)
        )
        sender = HttpSender(session, "The webhook", url)
        target = Webhook(url=url, deployment="tidegauge")
        delivery = Delivery(consumer, start_points, target, sender, selection)
        task = asyncio.create_task(delivery.run())
        await until(lambda: len(receiver.taken()) >= expected, f"{expected} transitions")
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        return [post.json()["alert_id"] for post in receiver.taken()]


@pytest.mark.parametrize("committed", [None, 0])
async def test_what_is_fetched_with_the_assignment_is_not_lost(committed: int | None) -> None:
    consumer = ListConsumer(["assigned", [FIRST, SECOND]], committed)

    taken = await delivered(consumer, [FIRST, SECOND], 2)

    assert taken == [FIRST.alert_id, SECOND.alert_id]
    assert consumer.commits[-1] == 2


async def test_what_comes_first_to_an_empty_partition_is_told_transition_by_transition() -> None:
    over = alert("resolved", fingerprint=FIRST.fingerprint)
    consumer = ListConsumer(["assigned", [], [FIRST, over]], None)

    taken = await delivered(consumer, [], 2)

    assert taken == [FIRST.alert_id, over.alert_id]
    assert consumer.commits == [0, 1, 2]


async def test_a_partition_that_comes_back_goes_on_at_its_commit() -> None:
    steps: list[str | list[Alert]] = ["assigned", [FIRST], "revoked", "assigned", [SECOND, THIRD]]
    consumer = ListConsumer(steps, 0)

    taken = await delivered(consumer, [FIRST, SECOND, THIRD], 3)

    assert taken == [FIRST.alert_id, SECOND.alert_id, THIRD.alert_id]
    assert consumer.commits[-1] == 3


async def test_what_is_left_of_a_fetch_whose_partition_has_gone_is_left_to_its_owner() -> None:
    consumer = ListConsumer(["assigned", [], "revoked", [FIRST], "assigned", [SECOND]], 0)

    taken = await delivered(consumer, [], 1)

    assert taken == [SECOND.alert_id]


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_who_was_sent_an_alert_has_its_resolution_and_no_other(is_restarted: bool) -> None:
    ours = alert(owner="risk")
    theirs = [
        alert(status, fingerprint="b" * 32, owner="fraud") for status in ("firing", "resolved")
    ]
    over = alert("resolved", owner="fraud")
    log = [ours, *theirs, over]
    steps: list[str | list[Alert]] = ["assigned", log[1:] if is_restarted else log]

    taken = await delivered(
        ListConsumer(steps, 1 if is_restarted else 0),
        log[:1],
        1 if is_restarted else 2,
        Selection(owner=("risk",)),
    )

    assert taken == [over.alert_id] if is_restarted else [ours.alert_id, over.alert_id]
