from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson
import pytest
from aiokafka.errors import KafkaConnectionError
from faust.types import TP
from structlog.testing import capture_logs

from agents.worker.clock import CheckedClock
from agents.worker.publish import Outgoing
from agents.worker.tick import RETRY_S, TICK_EVERY_S, Ticker
from agents.worker.transport import End
from schemas.event import decode_events
from schemas.topics import Topics
from streams.monitor import Monitor
from tests.doubles.inputs import START_MS
from tests.doubles.sender import ListPartitions, ListSender

TOPICS = Topics(partitions=2)
SOURCES = [TP(topic, number) for topic in TOPICS.sources().values() for number in range(2)]
FIRST, FOREIGN = SOURCES[0], SOURCES[3]
TOLERANCE_S = 30.0
DAY_S = 86_400.0


class Broker(ListPartitions):
    """Says how far the group has come, and where partitions end; time passes while it is asked."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.group = dict.fromkeys(SOURCES, 5)
        self.asked = dict.fromkeys(SOURCES, 5)
        self.takes_s = 0.0
        self.is_away = False
        self.meanwhile: Callable[[], None] = lambda: None

    async def progress(self, topics: object) -> dict[TP, int]:
        if self.is_away:
            raise KafkaConnectionError
        self.desk.now_s += self.takes_s
        return dict(self.group)

    async def ask_ends(self, tps: object) -> dict[TP, int]:
        self.meanwhile()
        self.desk.now_s += self.takes_s
        return dict(self.asked)


class AppendingSender(ListSender):
    """Appends with the broker's clock, and tells it in the acknowledgement."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk

    async def send(self, batch: list[Outgoing]) -> None:
        await super().send(batch)
        if self.desk.broker_has_clock:
            self.desk.clock.note(round(self.desk.now_s * 1_000), took_s=0.0)


class Desk:
    """A ticker, with what it talks to."""

    def __init__(self, *held: TP) -> None:
        self.now_s = START_MS / 1_000
        self.wrong_s = 0.0
        self.broker_has_clock = True
        self.clock = CheckedClock(
            lambda: self.now_s + self.wrong_s, lambda: self.now_s, tolerance_s=TOLERANCE_S
        )
        self.sender = AppendingSender(self)
        self.broker = Broker(self)
        self.ticker = Ticker(TOPICS, self.sender, self.clock, TICK_EVERY_S, f"{id(self):x}")
        self.ticker.assign(held or SOURCES)

    def turn(self, after_s: float = 0.0) -> Desk:
        self.now_s += after_s
        asyncio.run(self.ticker.tick_if_due(self.broker))
        return self

    def answer(self, *tps: TP) -> Desk:
        """Have the broker answer a fetch of these partitions, or of all that have an end."""
        self.now_s += 0.1
        for tp in tps or self.broker.ends:
            self.broker.ends[tp] = End(self.broker.asked[tp], self.now_s)
        return self

    def ticks(self) -> list[float]:
        """Return the instants of the ticks of partition 0, in seconds since the start."""
        sent = self.sender.to(TOPICS.name("events"))
        found = [(each.partition, decode_events(each.value).tick_ms) for each in sent]
        ticks = [(partition, at_ms) for partition, at_ms in found if at_ms is not None]
        assert [partition for partition, _ in ticks] == [0, 1] * (len(ticks) // 2)
        instants = [at_ms for _, at_ms in ticks]
        assert instants[::2] == instants[1::2]
        return [(instant - START_MS) / 1_000 for instant in instants[::2]]


def test_a_tick_goes_to_every_partition_of_the_log_and_so_on_every_few_seconds() -> None:
    desk = Desk().turn().turn().turn(TICK_EVERY_S - 1).turn(1)

    assert desk.ticks() == [0.0, TICK_EVERY_S]


# Rules 1 and 2


def test_the_instant_is_read_before_the_ends() -> None:
    desk = Desk()
    desk.broker.takes_s = 0.25

    assert desk.turn().ticks() == [0.25], "after the commits were read, before the ends were"


@pytest.mark.parametrize("behind", [FIRST, FOREIGN])
def test_no_tick_comes_while_a_partition_has_a_backlog_whoever_holds_it(behind: TP) -> None:
    desk = Desk(FIRST)
    desk.broker.group[behind] = 4

    for _ in range(100):
        desk.turn(RETRY_S)

    assert desk.ticks() == []


def test_a_tick_comes_with_its_own_instant_when_the_group_has_caught_up() -> None:
    desk = Desk()
    desk.broker.group[FIRST] = 3
    desk.turn()
    desk.broker.asked[FIRST] = 9  # what comes meanwhile is not asked for again
    desk.broker.group[FIRST] = 5

    assert desk.turn(RETRY_S).ticks() == [0.0]


def test_nobody_ticks_before_the_topics_are_known() -> None:
    desk = Desk()
    desk.broker.group = {}

    assert desk.turn().ticks() == []


# Rule 3


def test_a_commit_beyond_the_end_is_of_a_topic_that_is_gone() -> None:
    desk = Desk()
    desk.broker.asked[FIRST] = 2
    desk.turn()
    desk.broker.asked[FIRST] = 6
    desk.turn(RETRY_S)
    desk.broker.group[FIRST] = 6

    assert desk.turn(RETRY_S).ticks() == [RETRY_S]


# Rule 4


def in_memory(*held: TP) -> Desk:
    desk = Desk(*held)
    desk.broker.can_ask_ends = False
    desk.broker.ends = {tp: End(5, desk.now_s) for tp in held or SOURCES}
    return desk


def test_in_memory_the_second_answer_after_the_instant_says_where_a_partition_ends() -> None:
    desk = in_memory().turn()
    desk.answer().turn(RETRY_S)
    assert desk.ticks() == []

    assert desk.answer().turn(RETRY_S).ticks() == [0.0]


def test_in_memory_an_end_that_is_not_reached_is_waited_for() -> None:
    desk = in_memory()
    desk.broker.asked[FIRST] = 8
    for _ in range(3):
        desk.turn(RETRY_S).answer()
    assert desk.turn(RETRY_S).ticks() == []

    desk.broker.group[FIRST] = 8
    desk.broker.asked[FIRST] = 20

    assert desk.turn(RETRY_S).ticks() == [RETRY_S]


def test_in_memory_a_worker_that_does_not_hold_every_partition_never_ticks() -> None:
    desk = in_memory(*(tp for tp in SOURCES if tp != FOREIGN))

    for _ in range(50):
        desk.turn(RETRY_S).answer()

    assert desk.ticks() == []


def test_in_memory_a_partition_that_is_not_fetched_holds_the_tick_up() -> None:
    desk = in_memory()

    for _ in range(50):
        desk.turn(RETRY_S).answer(*(tp for tp in SOURCES if tp != FIRST))

    assert desk.ticks() == []


# Rule 5, and what goes wrong


def test_only_the_holder_of_the_first_partition_ticks() -> None:
    assert Desk(*SOURCES[1:]).turn().ticks() == []


def test_a_tick_that_was_under_way_is_given_up_with_the_assignment() -> None:
    desk = Desk()
    desk.broker.group[FIRST] = 3
    desk.turn()
    desk.ticker.assign(())
    desk.broker.group[FIRST] = 5
    desk.turn(RETRY_S)
    assert desk.ticks() == []

    desk.ticker.assign(SOURCES)

    assert desk.turn(RETRY_S).ticks() == [2 * RETRY_S]


def test_a_tick_is_given_up_where_the_assignment_changes_while_the_broker_is_asked() -> None:
    desk = Desk()
    desk.broker.meanwhile = lambda: desk.ticker.assign(())
    assert desk.turn().ticks() == []

    desk.ticker.assign(SOURCES)
    desk.broker.meanwhile = lambda: None

    assert desk.turn(RETRY_S).ticks() == [RETRY_S]


def test_while_the_broker_does_not_answer_nothing_is_said_and_nothing_ends() -> None:
    desk = Desk()
    desk.broker.is_away = True
    assert desk.turn().ticks() == []

    desk.broker.is_away = False

    assert desk.turn(RETRY_S).ticks() == [RETRY_S]


# Rule 6


@pytest.mark.parametrize("wrong_s", [31 * DAY_S, -31 * DAY_S, TOLERANCE_S + 1, -TOLERANCE_S - 1])
def test_no_tick_comes_while_the_clock_of_the_worker_is_wrong_and_one_does_once_it_is_right(
    wrong_s: float,
) -> None:
    desk = Desk().turn()
    desk.wrong_s = wrong_s
    desk.turn(TICK_EVERY_S).turn(TICK_EVERY_S)
    desk.wrong_s = 0.0
    desk.turn(TICK_EVERY_S)

    assert desk.ticks() == [0.0, 3 * TICK_EVERY_S]


def test_a_worker_that_starts_with_a_wrong_clock_appends_no_tick() -> None:
    desk = Desk()
    desk.wrong_s = 31 * DAY_S
    for _ in range(5):
        desk.turn(TICK_EVERY_S)
    assert desk.ticks() == []

    desk.wrong_s = 0.0
    desk.turn(TICK_EVERY_S)

    assert desk.ticks() == [6 * TICK_EVERY_S]


def test_the_log_names_the_difference_once_a_minute() -> None:
    desk = Desk()
    desk.wrong_s = 3_600.0
    with capture_logs() as said:
        for _ in range(13):
            desk.turn(TICK_EVERY_S)

    assert [each["log_level"] for each in said] == ["critical"] * 3
    assert "is 3,600 s ahead of the broker's" in said[0]["event"]


def test_a_tick_is_no_later_than_the_clock_of_the_broker_though_the_worker_may_be_ahead() -> None:
    desk = Desk()
    desk.wrong_s = TOLERANCE_S - 1

    assert desk.turn().turn(TICK_EVERY_S).ticks() == [0.0, TICK_EVERY_S]


def test_on_a_broker_that_does_not_tell_its_clock_the_one_of_the_worker_counts() -> None:
    desk = Desk()
    desk.broker_has_clock = False
    desk.wrong_s = 3_600.0

    assert desk.turn().ticks() == [3_600.0]


def test_a_wrong_clock_raises_an_alert_that_a_worker_with_a_right_one_resolves() -> None:
    desk = Desk()
    desk.wrong_s = 3_600.0
    desk.turn().turn(TICK_EVERY_S)
    other = Desk()
    other.turn(TICK_EVERY_S)

    found, _ = replayed(desk, other)
    assert found == [("firing", "all workers"), ("resolved", "all workers")]


def test_a_worker_whose_clock_is_right_from_the_start_leaves_no_trace() -> None:
    assert replayed(Desk().turn().turn(TICK_EVERY_S)) == ([], [])


def replayed(*desks: Desk) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the alerts and the models of the logs of some workers, one after the other."""
    topics = Topics(partitions=1)
    monitor, offset, found = Monitor(0, topics), 0, []
    for desk in desks:
        for each in desk.sender.to(TOPICS.name("events")):
            emissions = monitor.apply(offset, each.value)
            offset += 1
            found += [orjson.loads(one.value) for one in emissions if one.role == "alerts"]
    return [(each["status"], each["model_id"]) for each in found], list(monitor.models)
