from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise

import orjson
import pytest
import structlog
from faust.types import TP

from agents.errors import PublishError
from agents.worker.edge import Edge
from agents.worker.monitor import (
    MOST_DELIVERIES,
    MOST_GUARDED,
    BrokenLogError,
    MonitorAgent,
)
from agents.worker.publish import Outgoing
from agents.worker.state import StateKeeper
from agents.worker.transport import Fetch
from schemas.edge import EDGE_FIELDS, with_edge
from schemas.model_spec import ModelSpec, OutcomeRules
from schemas.topics import Topics
from streams.monitor import Monitor
from streams.reading_policy import BEHIND_RECORDS, STATUS_EVERY_S, WAIT_AT_MOST_S
from tests.doubles.core import log_of, play, taken_in
from tests.doubles.inputs import outcome, prediction
from tests.doubles.poison import HEARD, READ, STORED, poisoned
from tests.doubles.sender import ListPartitions, ListReader, ListSender, fetch_of
from tests.doubles.story import story
from tests.doubles.topics import ECHOES, WithEchoes
from tests.simulation.simulation import silence

TOPICS = Topics()
EVENTS = TP(TOPICS.name("events"), 0)
ALERTS = TOPICS.name("alerts")
LABELLED, STATE, STATUS = (TOPICS.name(role) for role in ("labelled", "state", "status"))
SAVE_EVERY_S = 2.0
EDGE = Edge("staging", "https://gauge.example.org")
EVENTS_TAKEN = taken_in(
    value for row in range(260) for value in (prediction(f"p{row}"), outcome(f"p{row}"))
)
LOG = [*log_of(EVENTS_TAKEN[:420], 420), *log_of(EVENTS_TAKEN[420:], 10)]
"""After the first record the model is no longer young: what a record calls for is published with
it, and not when state is saved."""


STORY = log_of(taken_in(story()), 500)


class Desk:
    """A monitor agent, with what it talks to."""

    def __init__(
        self,
        fails_at: int | None = None,
        reader: ListReader | None = None,
        spec: ModelSpec | None = None,
        sender: ListSender | None = None,
    ) -> None:
        self.journal: list[str] = []
        self.sender = sender or ListSender(fails_at, self.journal)
        self.partitions = ListPartitions(self.journal)
        self.reader = reader or ListReader()
        self.now_s = 0.0
        self.tick_s = 0.0
        keeper = StateKeeper(
            TOPICS, self.sender, self.reader, lambda _model_id: spec or ModelSpec()
        )
        self.agent = MonitorAgent(TOPICS, self.sender, keeper, self.clock, SAVE_EVERY_S, edge=EDGE)
        self.agent.attach(self.partitions)

    def clock(self) -> float:
        self.now_s += self.tick_s
        return self.now_s

    def assign(self, commit: int = 0) -> int:
        with silence():
            asyncio.run(self.agent.on_rebalance_complete({EVENTS: commit}))
        start = self.agent.start_offset(EVENTS)
        return commit if start is None else start

    def take(self, start: int, end: int) -> None:
        with silence():
            asyncio.run(self.agent.on_fetch(fetch_of(EVENTS, LOG[start:end], start=start)))

    def take_log(self, log: list[bytes], start: int = 0) -> None:
        with silence():
            asyncio.run(self.agent.on_fetch(fetch_of(EVENTS, log, start=start)))

    def stop(self) -> None:
        with silence():
            asyncio.run(self.agent.on_shutdown())
        self.keep_state()

    def keep_state(self) -> None:
        """Have the state that was saved in the topic, as a restoration would read it."""
        self.reader.logs[TP(STATE, 0)].clear()
        self.reader.keep(self.sender.to(STATE))

    def alerts(self) -> list[bytes]:
        """Return the published alerts, without the fields of the edge."""
        return [with_edge(each.value or b"") for each in self.sender.to(ALERTS)]

    def labelled(self) -> list[bytes]:
        return [each.value or b"" for each in self.sender.to(LABELLED)]


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.assign()
    return desk


def test_what_is_published_is_what_a_replay_calls_for(desk: Desk) -> None:
    desk.take(0, 5)
    desk.take(5, len(LOG))

    assert desk.labelled() == play(LOG).bytes_of("labelled")
    assert {(each.partition, each.key) for each in desk.sender.to(LABELLED)} == {(0, b"m")}


def test_a_worker_publishes_to_every_output_topic_of_the_table() -> None:
    topics, sender = WithEchoes(), ListSender(None, [])
    keeper = StateKeeper(topics, sender, ListReader(), lambda _model_id: ModelSpec())

    agent = MonitorAgent(topics, sender, keeper, lambda: 0.0, SAVE_EVERY_S, edge=EDGE)

    assert set(agent.outputs) - set(Desk().agent.outputs) == {topics.name(ECHOES)}


# Rule 1


@pytest.mark.parametrize("cut", [1, 5, 8, 11])
def test_another_worker_goes_on_at_the_commit(cut: int) -> None:
    first = Desk()
    first.assign()
    first.take(0, cut)
    first.stop()
    second = Desk(reader=first.reader)

    start = second.assign(first.partitions.committed()[EVENTS])
    second.take(start, len(LOG))

    assert start == cut
    assert first.labelled() + second.labelled() == play(LOG).bytes_of("labelled")


def test_nothing_is_kept_from_the_assignment_before(desk: Desk) -> None:
    desk.take(0, 5)
    with silence():
        asyncio.run(desk.agent.on_revoked({EVENTS}))

    assert desk.agent.applied() == {}
    assert desk.assign(0) == 0


def test_state_that_is_lost_is_rebuilt_from_the_beginning_of_the_log() -> None:
    desk = Desk()

    assert desk.assign(commit=7) == 0


def test_a_gap_in_the_log_ends_the_worker(desk: Desk) -> None:
    desk.take(0, 2)

    with pytest.raises(BrokenLogError, match="expected offset 2, found 3"):
        desk.take(3, 4)


def test_holes_of_a_stretch_that_was_fetched_are_passed_over_also_at_its_end(desk: Desk) -> None:
    # The markers of a stranger's transactions, and what they have aborted.
    fetched = fetch_of(EVENTS, LOG[:3])
    records = [fetched.records[0]._replace(offset=2), fetched.records[1]._replace(offset=5)]

    asyncio.run(desk.agent.on_fetch(replace(fetched, records=records, next_offset=9)))
    asyncio.run(desk.agent.on_fetch(replace(fetched, records=[], start_offset=9, next_offset=11)))

    assert desk.agent.applied() == {EVENTS: 11}
    with pytest.raises(BrokenLogError, match="expected offset 11, found 12"):
        desk.take_log(LOG[:1], start=12)


# Rule 2


def test_what_is_published_is_acknowledged_before_the_state_is_saved(desk: Desk) -> None:
    desk.take(0, 3)

    assert desk.journal == [LABELLED, STATE, STATE, "commit"]  # chunks before manifests


def test_where_a_send_fails_nothing_is_saved() -> None:
    desk = Desk(fails_at=0)
    desk.assign()

    with pytest.raises(PublishError):
        desk.take(0, 3)

    assert desk.journal == []


class SlowSender(ListSender):
    """Once it is slow, acknowledges nothing but state before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.is_slow = False
        self.waiting: list[asyncio.Future[None]] = []

    async def send(self, batch: list[Outgoing]) -> None:
        await super().send(batch)
        if self.is_slow and batch[0].topic != STATE:
            self.waiting.append(asyncio.get_running_loop().create_future())
            await self.waiting[-1]


async def slowed_down() -> tuple[Desk, SlowSender]:
    """Return a desk whose first record is applied and saved, and whose sender is slow from then."""
    sender = SlowSender()
    desk = Desk(sender=sender)
    await desk.agent.on_rebalance_complete({EVENTS: 0})
    await desk.agent.on_fetch(record(0))
    sender.is_slow = True
    sender.sent.clear()
    return desk, sender


async def held_up() -> tuple[Desk, SlowSender, asyncio.Task[None]]:
    """Return them with as much on its way as may be, and the fetch that has to wait."""
    desk, sender = await slowed_down()
    for offset in range(1, MOST_DELIVERIES + 1):
        await desk.agent.on_fetch(record(offset))
    one_more = asyncio.create_task(desk.agent.on_fetch(record(MOST_DELIVERIES + 1)))
    assert not await ends(one_more)
    return desk, sender, one_more


def record(offset: int) -> Fetch:
    return fetch_of(EVENTS, LOG[offset : offset + 1], start=offset)


async def ends(task: asyncio.Task[None]) -> bool:
    """Let a task go on until it waits; tell whether it has ended."""
    for _ in range(100):
        await asyncio.sleep(0)
    return task.done()


def test_records_are_applied_while_what_others_called_for_is_on_its_way() -> None:
    async def scenario() -> None:
        desk, sender, one_more = await held_up()
        assert desk.agent.applied() == {EVENTS: MOST_DELIVERIES + 1}
        assert len(sender.waiting) == MOST_DELIVERIES
        sender.waiting[0].set_result(None)
        assert await ends(one_more)
        assert len(sender.waiting) == MOST_DELIVERIES + 1

    with silence():
        asyncio.run(scenario())


@pytest.mark.parametrize("way", ["its time has come", "the worker stops"])
def test_state_waits_for_what_is_on_its_way(way: str) -> None:
    async def scenario() -> None:
        desk, sender = await slowed_down()
        await desk.agent.on_fetch(record(1))
        desk.now_s += SAVE_EVERY_S
        is_due = way == "its time has come"
        work = desk.agent.on_fetch(record(2)) if is_due else desk.agent.on_shutdown()
        saving = asyncio.create_task(work)
        for _ in range(2 if is_due else 1):
            assert not await ends(saving)
            assert sender.to(STATE) == []
            sender.waiting.pop(0).set_result(None)
        assert await ends(saving)
        assert sender.to(STATE)

    with silence():
        asyncio.run(scenario())


def test_after_what_failed_on_its_way_nothing_is_saved() -> None:
    async def scenario() -> None:
        desk, sender = await slowed_down()
        await desk.agent.on_fetch(record(1))
        flush = asyncio.create_task(desk.agent.on_revoked({EVENTS}))
        assert not await ends(flush)
        flush.cancel()
        await asyncio.wait([flush])
        commits = len(desk.partitions.commits)
        sender.waiting[0].set_exception(PublishError("a record may be missing"))
        with pytest.raises(PublishError):
            await desk.agent.on_shutdown()
        assert sender.to(STATE) == []
        assert len(desk.partitions.commits) == commits

    with silence():
        asyncio.run(scenario())


def test_who_is_cancelled_takes_nothing_along_that_is_applied() -> None:
    async def scenario() -> None:
        desk, sender, cancelled = await held_up()
        cancelled.cancel()
        await asyncio.wait([cancelled])
        for waiting in sender.waiting:
            waiting.set_result(None)
        sender.is_slow = False
        await desk.agent.on_shutdown()
        covered = desk.partitions.committed()[EVENTS]
        due = play(LOG[:covered]).bytes_of("labelled")[len(play(LOG[:1]).bytes_of("labelled")) :]
        assert desk.labelled() == due

    with silence():
        asyncio.run(scenario())


def test_what_fails_on_its_way_ends_the_worker_at_the_next_record() -> None:
    async def scenario() -> None:
        desk, sender = await slowed_down()
        await desk.agent.on_fetch(record(1))
        await asyncio.sleep(0)
        sender.waiting[0].set_exception(PublishError("a record may be missing"))
        await asyncio.sleep(0)
        with pytest.raises(PublishError):
            await desk.agent.on_fetch(record(2))

    with silence():
        asyncio.run(scenario())


# Rule 3


# Rule 4


@pytest.fixture(scope="module")
def log_with_an_alert() -> list[bytes]:
    """A log that ends soon after its first alert."""
    log = log_of(taken_in(story()), 100)
    alerts = [each for each in play(log).emissions if each.role == "alerts"]
    return log[: alerts[0].place[0] + 2]


def take_as_backlog(desk: Desk, log: list[bytes]) -> None:
    take_before(desk, log, BEHIND_RECORDS + 1)


def take_before(desk: Desk, log: list[bytes], more: int) -> None:
    fetch = fetch_of(EVENTS, log, end=len(log) + more)
    with silence():
        asyncio.run(desk.agent.on_fetch(fetch))


def test_while_a_backlog_lasts_values_wait_until_the_state_is_saved(
    desk: Desk, log_with_an_alert: list[bytes]
) -> None:
    take_as_backlog(desk, log_with_an_alert)
    assert desk.sender.to(ALERTS) == []
    del desk.journal[:]

    desk.stop()

    assert desk.alerts() == play(log_with_an_alert).bytes_of("alerts")
    assert desk.journal.index(ALERTS) < desk.journal.index(STATE)


def test_a_few_more_records_are_no_backlog(desk: Desk, log_with_an_alert: list[bytes]) -> None:
    take_before(desk, log_with_an_alert, BEHIND_RECORDS)

    assert desk.sender.to(ALERTS) != []


def test_at_the_end_of_the_log_nothing_waits(desk: Desk, log_with_an_alert: list[bytes]) -> None:
    with silence():
        asyncio.run(desk.agent.on_fetch(fetch_of(EVENTS, log_with_an_alert)))

    assert desk.alerts() == play(log_with_an_alert).bytes_of("alerts")


def test_values_of_a_partition_whose_values_have_just_been_read_wait(
    desk: Desk, log_with_an_alert: list[bytes]
) -> None:
    before, last = len(log_with_an_alert) - 3, len(log_with_an_alert) - 1
    desk.take_log(log_with_an_alert[:before])
    desk.stop()
    desk.tick_s = 0.001
    desk.take_log(log_with_an_alert[before : before + 1], before)

    desk.take_log(log_with_an_alert[before + 1 : last], before + 1)
    waiting = desk.sender.to(ALERTS)
    desk.now_s += WAIT_AT_MOST_S
    desk.take_log(log_with_an_alert[last:], last)

    assert waiting == []
    assert desk.alerts() == play(log_with_an_alert).bytes_of("alerts")


# Rule 3


def test_state_is_saved_when_its_time_has_come(desk: Desk) -> None:
    desk.take(0, 1)
    desk.take(1, 2)
    assert desk.partitions.commits == [{EVENTS: 1}]

    desk.now_s = SAVE_EVERY_S
    desk.take(2, 3)
    assert desk.partitions.commits == [{EVENTS: 1}, {EVENTS: 3}]


@pytest.mark.parametrize("ending", ["revoked", "shutdown"])
def test_state_is_saved_at_the_end(desk: Desk, ending: str) -> None:
    desk.take(0, 1)
    desk.take(1, 4)

    with silence():
        if ending == "revoked":
            asyncio.run(desk.agent.on_revoked({EVENTS}))
        else:
            asyncio.run(desk.agent.on_shutdown())

    assert desk.partitions.committed() == {EVENTS: 4}


def test_every_record_published_names_its_place_in_the_log(desk: Desk) -> None:
    desk.take(0, 2)

    evidence = [orjson.loads(value)["evidence"] for value in desk.labelled()]
    assert [(each["offset"], each["index"]) for each in evidence] == [
        (offset, index) for offset, events in ((0, 420), (1, 10)) for index in range(1, events, 2)
    ]


def test_what_is_pushed_out_of_a_full_room_is_said() -> None:
    desk = Desk(spec=ModelSpec(outcome=OutcomeRules(max_waiting=4)))
    desk.assign()
    log = log_of(taken_in(prediction(f"p{row}") for row in range(10)), events_per_record=10)

    with structlog.testing.capture_logs() as said:
        asyncio.run(desk.agent.on_fetch(fetch_of(EVENTS, log)))
        asyncio.run(desk.agent.on_shutdown())

    [warning] = [each for each in said if each["log_level"] == "warning"]
    assert warning["event"].startswith(
        "Dropped 6 predictions and 0 outcomes that were still waiting"
    )


# Rule 5


def last_words(desk: Desk) -> dict[bytes | None, bytes | None]:
    return {each.key: each.value for each in desk.sender.to(STATUS)}


def test_status_is_keyed_by_fingerprint_and_holds_what_is_open(desk: Desk) -> None:
    desk.take_log(STORY)

    alerts = {each["fingerprint"]: each for each in play(STORY).of("alerts")}
    words = {key: orjson.loads(value) for key, value in last_words(desk).items() if key and value}
    assert len(words) == 2
    assert {
        key.decode(): dict(word["alert"], **dict.fromkeys(EDGE_FIELDS))
        for key, word in words.items()
    } == alerts


def test_every_alert_and_status_says_its_deployment_and_its_address(desk: Desk) -> None:
    desk.take_log(STORY)

    alerts = [orjson.loads(each.value or b"") for each in desk.sender.to(ALERTS)]
    alerts += [orjson.loads(value)["alert"] for value in last_words(desk).values() if value]
    assert len(alerts) > 2
    for alert in alerts:
        assert alert["deployment"] == EDGE.deployment
        assert alert["url"].startswith(f"{EDGE.page_url}/alert/{alert['fingerprint']}?episode=")


def test_who_takes_over_says_all_of_status_again(desk: Desk) -> None:
    desk.take_log(STORY)
    truth = last_words(desk)
    desk.stop()
    second = Desk(reader=desk.reader)

    second.assign(desk.partitions.committed()[EVENTS])
    before = last_words(second)
    second.stop()

    assert before == {}
    assert last_words(second) == truth


def test_status_is_said_again_from_time_to_time_and_not_with_every_save(desk: Desk) -> None:
    desk.take_log(STORY)
    said = [len(desk.sender.to(STATUS))]

    for now_s in (SAVE_EVERY_S, 2 * SAVE_EVERY_S, SAVE_EVERY_S + STATUS_EVERY_S):
        desk.now_s = now_s
        desk.stop()
        said.append(len(desk.sender.to(STATUS)))

    assert [after - before for before, after in pairwise(said)] == [2, 0, 2]


# Rule 4: quarantine


@pytest.mark.parametrize("feature", [HEARD, READ, STORED])
@pytest.mark.parametrize("cut", [1, 8, 21])
def test_where_a_model_fails_a_worker_goes_on_with_the_others(feature: str, cut: int) -> None:
    values = story()[:1_000]
    values.insert(601, prediction("poison", features={feature: 1.0}))
    others = [prediction(f"o{row}", "other") for row in range(1_000)]
    events = taken_in(each for pair in zip(values, others, strict=False) for each in pair)
    log = log_of(events, 100)
    with poisoned():
        desk = Desk()
        desk.assign()
        desk.reader.keep([Outgoing(EVENTS.topic, 0, b"", value, None) for value in log])
        for first in range(0, len(log), cut):
            desk.take_log(log[first : first + cut], first)
            desk.now_s += SAVE_EVERY_S / 2
            desk.keep_state()
        desk.stop()
        replay = Monitor(0, TOPICS, is_guarded=True)
        expected = [e for n, value in enumerate(log) for e in replay.apply(n, value)]
        expected += replay.settle()

    rows = {e.value for e in expected if e.role == "labelled"}
    # What cannot be stored is found when it is to be: a release gives the same rows again.
    assert set(desk.labelled()) == rows or feature == STORED
    assert set(desk.alerts()) == {e.value for e in expected if e.role == "alerts"}
    assert replay.models["m"].is_quarantined


def test_a_failure_is_logged_with_its_place_in_the_code_and_without_values() -> None:
    with poisoned():
        desk = Desk()
        desk.assign()
        log = log_of(taken_in([prediction("secret", features={HEARD: 12_345.0})]))
        desk.reader.keep([Outgoing(EVENTS.topic, 0, b"", value, None) for value in log])
        with structlog.testing.capture_logs() as said:
            asyncio.run(desk.agent.on_fetch(fetch_of(EVENTS, log)))

    [line] = [each for each in said if each["log_level"] == "critical"]
    assert line["event"].startswith("Model m failed at an event (PoisonError at poison.py:")
    assert "secret" not in str(line)
    assert "12345" not in str(line)


def test_many_models_that_fail_cost_a_few_restorations() -> None:
    poison = [prediction(f"p{n}", f"m{n}", features={HEARD: 1.0}) for n in range(50)]
    log = log_of(taken_in(poison), 10)
    with poisoned():
        desk = Desk()
        desk.assign()
        desk.reader.keep([Outgoing(EVENTS.topic, 0, b"", value, None) for value in log])
        with structlog.testing.capture_logs() as said:
            asyncio.run(desk.agent.on_fetch(fetch_of(EVENTS, log)))

    assert sum(each["log_level"] == "critical" for each in said) == MOST_GUARDED + 1
    assert len(desk.sender.to(ALERTS)) >= 50


def test_a_record_of_a_stranger_is_skipped_and_its_offset_logged() -> None:
    desk = Desk()
    desk.assign()
    log = [LOG[0], b"hello", *LOG[1:]]

    with structlog.testing.capture_logs() as said:
        asyncio.run(desk.agent.on_fetch(fetch_of(EVENTS, log)))

    [line] = [each for each in said if each["log_level"] == "error"]
    assert line["event"].startswith("Skipped tidegauge.events-0 offset 1, which ingest has not ")
    assert len(desk.labelled()) == len(play(LOG).bytes_of("labelled"))
    assert desk.agent.applied() == {EVENTS: len(log)}
