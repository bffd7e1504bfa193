import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.event import Source
from streams.ingest.accept import accept
from streams.ingest.merge import (
    MAX_HELD_BYTES,
    PATIENCE,
    SETTLED,
    TURN_S,
    Item,
    TimeMerge,
)
from streams.ingest.records import Accepted, Refused
from tests.doubles.inputs import START_MS, raw

IDLE_S = 1.0
LATER_S = START_MS / 1_000 + 60
FIRST = Source("prediction", "predictions", 0)
SECOND = Source("prediction", "predictions", 1)
TRUTHS = Source("outcome", "outcomes", 0)
SPECS = Source("spec", "models", 0)
CONTROLS = Source("control", "tidegauge.controls", 0)


def event(
    source: Source, offset: int, logged_at: int, at_ms: int | None = None, *, model: str = "m"
) -> Accepted:
    instant = logged_at if at_ms is None else at_ms
    return Accepted(source, offset, logged_at, model, instant, b"{}")


def merge(*sources: Source, max_held: int = 100_000) -> TimeMerge:
    order = TimeMerge(IDLE_S, max_held)
    order.assign(sources)
    return order


def read_to_end(order: TimeMerge, *sources: Source, at_s: float = LATER_S) -> None:
    for source in sources:
        order.note_end(source, at_s)


def positions(items: list[Item]) -> list[tuple[Source, int]]:
    return [(item.source, item.offset) for item in items]


# Rule 1


def test_the_earliest_head_leaves_first() -> None:
    order = merge(FIRST, SECOND)
    order.add(FIRST, [event(FIRST, 0, 10), event(FIRST, 1, 30)], has_more=False)
    order.add(SECOND, [event(SECOND, 0, 20), event(SECOND, 1, 40)], has_more=False)

    assert [item.logged_at for item in order.release(0.0, 3)] == [10, 20, 30]


def test_at_one_timestamp_the_events_own_instant_decides() -> None:
    order = merge(FIRST, SECOND)
    order.add(FIRST, [event(FIRST, 0, 10, at_ms=5)], has_more=False)
    order.add(SECOND, [event(SECOND, 0, 10, at_ms=3)], has_more=False)

    assert positions(order.release(0.0, 2))[0][0] == SECOND


def test_at_one_instant_a_spec_leaves_first_and_a_control_last() -> None:
    sources = (CONTROLS, TRUTHS, FIRST, SPECS)
    order = merge(*sources)
    for source in sources:
        order.add(source, [event(source, 0, 10)], has_more=False)

    read_to_end(order, *sources)

    left = [source for source, _ in positions(order.release(2.0, 4))]

    assert left == [SPECS, FIRST, TRUTHS, CONTROLS]


def test_at_one_instant_a_prediction_leaves_before_an_outcome() -> None:
    order = merge(TRUTHS, SECOND)
    order.add(TRUTHS, [event(TRUTHS, 0, 10)], has_more=False)
    order.add(SECOND, [event(SECOND, 0, 10)], has_more=False)

    assert positions(order.release(0.0, 2))[0][0] == SECOND


def test_at_one_instant_the_source_decides() -> None:
    order = merge(SECOND, FIRST)
    order.add(SECOND, [event(SECOND, 0, 10)], has_more=False)
    order.add(FIRST, [event(FIRST, 0, 10)], has_more=False)

    assert positions(order.release(0.0, 2))[0][0] == FIRST


def test_a_refused_input_keeps_its_place() -> None:
    refused = accept(raw(b"{", offset=0, source=FIRST))
    assert isinstance(refused, Refused)
    order = merge(FIRST, SECOND)
    order.add(FIRST, [refused], has_more=False)
    order.add(SECOND, [event(SECOND, 0, START_MS - 1)], has_more=False)

    read_to_end(order, FIRST, SECOND)

    assert order.release(0.0, 2)[1] is refused


# Rule 2


def test_a_partition_keeps_its_own_order_whatever_its_timestamps() -> None:
    order = merge(FIRST)
    items = [event(FIRST, offset, instant) for offset, instant in enumerate([30, 10, 20])]
    order.add(FIRST, list(items), has_more=False)

    assert order.release(0.0, 3) == items


# Rule 3


def test_nothing_leaves_while_a_partition_may_have_older_events() -> None:
    order = merge(FIRST, SECOND)
    order.add(FIRST, [event(FIRST, 0, 10)], has_more=False)

    assert order.release(0.0, 10) == order.release(59.0, 10) == []


def test_a_partition_that_holds_more_again_is_waited_for_again() -> None:
    order = merge(FIRST, SECOND)
    order.add(FIRST, [event(FIRST, 0, 10), event(FIRST, 1, 30)], has_more=False)
    order.note_end(SECOND, 1.0)
    order.add(SECOND, [event(SECOND, 0, 20)], has_more=True)

    assert [item.logged_at for item in order.release(1.0, 10)] == [10, 20]
    order.note_end(SECOND, 2.0)
    assert [item.logged_at for item in order.release(2.0, 10)] == [30]


def test_a_partition_read_to_its_end_since_is_not_waited_for() -> None:
    order = merge(FIRST, SECOND)
    order.add(FIRST, [event(FIRST, 0, 10_000), event(FIRST, 1, 10_001)], has_more=False)
    order.add(SECOND, [], has_more=True)

    order.note_end(SECOND, 10.0 + SETTLED * IDLE_S)

    assert positions(order.release(10.3, 10)) == [(FIRST, 0)]
    order.note_end(SECOND, 10.3)
    assert positions(order.release(10.3, 10)) == [(FIRST, 1)]


def test_who_has_been_read_to_the_end_does_not_speak_for_the_others() -> None:
    order = merge(FIRST, SECOND, TRUTHS)
    order.add(FIRST, [event(FIRST, 0, 0)], has_more=False)

    order.note_end(SECOND, 0.9 * IDLE_S)

    assert order.release(0.9 * IDLE_S, 10) == []


def test_a_source_that_has_ended_is_not_waited_for() -> None:
    order = merge(FIRST, SECOND)
    order.add(FIRST, [event(FIRST, 0, 10)], has_more=True)

    order.end(SECOND)

    assert len(order.release(0.0, 10)) == 1


# Rule 4


def test_beyond_the_limit_the_earliest_leave_without_waiting() -> None:
    order = merge(FIRST, SECOND, max_held=3)
    items = [event(FIRST, offset, offset) for offset in range(5)]
    order.add(FIRST, list(items), has_more=True)

    assert order.release(0.0, 10) == items[:2]
    assert len(order) == order.held(FIRST) == 3


def test_a_new_assignment_forgets_what_was_held() -> None:
    order = merge(FIRST)
    order.add(FIRST, [event(FIRST, 0, 10)], has_more=True)

    order.assign([SECOND])

    assert len(order) == 0
    assert order.release(99.0, 10) == []


@pytest.mark.parametrize("idle_s", [-0.1, math.nan, math.inf])
def test_an_impossible_wait_is_refused(idle_s: float) -> None:
    with pytest.raises(ValueError, match="idle_s must be a number of seconds"):
        TimeMerge(idle_s)


# Properties

ALL = (FIRST, SECOND, TRUTHS)


@st.composite
def histories(draw: st.DrawFn) -> dict[Source, list[int]]:
    return {source: draw(st.lists(st.integers(0, 50), max_size=12)) for source in ALL}


@given(histories(), st.data())
def test_whatever_is_fetched_when_all_leave_and_each_partition_keeps_its_order(
    instants: dict[Source, list[int]], data: st.DataObject
) -> None:
    order = merge(*ALL, max_held=data.draw(st.sampled_from([1, 5, 1_000])))
    left: dict[Source, list[Item]] = {
        source: [event(source, offset, at) for offset, at in enumerate(history)]
        for source, history in instants.items()
    }
    released: list[Item] = []
    now_s = 0.0

    while any(left.values()):
        source = data.draw(st.sampled_from([source for source in ALL if left[source]]))
        count = data.draw(st.integers(1, len(left[source])))
        fetched, left[source] = left[source][:count], left[source][count:]
        order.add(source, fetched, has_more=bool(left[source]))
        released += order.release(now_s, data.draw(st.integers(0, 20)))
        now_s += data.draw(st.sampled_from([0.0, 0.4, 3.0]))
    read_to_end(order, *ALL)
    released += order.release(now_s, 1_000)

    assert len(order) == 0
    for source, history in instants.items():
        offsets = [item.offset for item in released if item.source == source]
        assert offsets == list(range(len(history)))


@given(histories(), st.data())
def test_a_backlog_that_arrives_in_time_comes_out_exactly_in_time_order(
    instants: dict[Source, list[int]], data: st.DataObject
) -> None:
    order = merge(*ALL)
    left: dict[Source, list[Item]] = {
        source: [event(source, offset, at) for offset, at in enumerate(sorted(history))]
        for source, history in instants.items()
    }
    everything = [item for history in left.values() for item in history]
    released: list[Item] = []
    now_s = 0.0

    while any(left.values()):
        source = data.draw(st.sampled_from([source for source in ALL if left[source]]))
        count = data.draw(st.integers(1, len(left[source])))
        fetched, left[source] = left[source][:count], left[source][count:]
        order.add(source, fetched, has_more=bool(left[source]))
        for empty in ALL:
            if not left[empty]:
                order.end(empty)
        released += order.release(now_s, data.draw(st.integers(0, 20)))
        now_s += 0.01
    released += order.release(now_s, len(everything))

    assert sorted(released, key=lambda item: item.logged_at) == released
    assert len(released) == len(everything)


def test_what_is_held_is_bounded_in_bytes() -> None:
    order = merge(FIRST, SECOND)
    large = replace(event(FIRST, 0, 10), payload=bytes(MAX_HELD_BYTES + 1))

    order.add(FIRST, [large], has_more=True)

    assert order.release(0.0, 10) == [large]


# Rule 5


def test_a_partition_of_which_nothing_is_heard_is_passed_over_in_the_end() -> None:
    order = merge(FIRST, SECOND)
    order.add(FIRST, [event(FIRST, 0, 10)], has_more=False)
    turns = int(PATIENCE * IDLE_S / TURN_S)

    assert not any(order.release(turn * TURN_S, 10) for turn in range(turns + 1))
    assert order.passed_over() == []
    assert len(order.release((turns + 1) * TURN_S, 10)) == 1
    assert SECOND in order.passed_over()


def test_time_in_which_nothing_waits_or_nobody_is_at_work_does_not_count() -> None:
    order = merge(FIRST, SECOND)
    for turn in range(int(2 * PATIENCE * IDLE_S / TURN_S)):
        order.release(turn * TURN_S, 10)
    order.add(FIRST, [event(FIRST, 0, 10)], has_more=False)

    assert order.release(1_000.0, 10) == order.release(2_000.0, 10) == []


def test_a_partition_that_is_heard_of_again_is_waited_for_again() -> None:
    order = merge(FIRST, SECOND)
    order.add(FIRST, [event(FIRST, 0, 10)], has_more=False)
    for turn in range(int(PATIENCE * IDLE_S / TURN_S) + 2):
        order.release(turn * TURN_S, 10)

    order.add(SECOND, [], has_more=True)
    order.add(FIRST, [event(FIRST, 1, 20)], has_more=False)

    assert order.passed_over() == []
    assert order.release(PATIENCE * IDLE_S, 10) == []


@pytest.mark.parametrize("seldom", [SPECS, CONTROLS])
def test_what_a_person_sends_now_and_then_holds_nobody_up(seldom: Source) -> None:
    order = merge(FIRST, seldom)
    order.add(seldom, [event(seldom, 0, 10)], has_more=True)
    order.add(seldom, [event(seldom, 1, 20)], has_more=False)
    order.add(FIRST, [event(FIRST, 0, 30)], has_more=False)

    assert len(order.release(0.1, 9)) == 3


def test_what_people_have_sent_before_is_waited_for_at_the_beginning() -> None:
    order = merge(FIRST, SPECS)
    order.add(FIRST, [event(FIRST, 0, 30)], has_more=False)
    assert order.release(0.0, 9) == []

    order.add(SPECS, [event(SPECS, 0, 10)], has_more=False)

    assert [source for source, _ in positions(order.release(0.2, 9))] == [SPECS, FIRST]
