from __future__ import annotations

import orjson
import pytest

from agents.commands.tail import OffsetRange, TailOptions, describe, entries, tail
from agents.errors import OperatorError
from agents.settings import Settings
from schemas.event import EventBatch, Source, encode_events
from schemas.topics import TopicRole
from tests.broker import Broker, create_topic, publish, read_to_end

TO_THE_END = TailOptions(from_beginning=True, follows=False)


def settings_for(broker: Broker, prefix: str) -> Settings:
    return Settings(broker=broker.bootstrap, prefix=prefix)


def refuse(entry: bytes) -> None:
    pytest.fail(f"nothing was to be shown, but {entry!r} was")


class Stopped(Exception):  # noqa: N818 - not an error
    pass


async def test_everything_up_to_the_end_is_shown_and_then_it_stops(
    broker: Broker, prefix: str
) -> None:
    settings = settings_for(broker, prefix)
    create_topic(broker, f"{prefix}alerts", partitions=3)
    publish(broker, f"{prefix}alerts", [b"%d" % n for n in range(50)])
    seen: list[bytes] = []

    await tail(settings, "alerts", TO_THE_END, seen.append)

    assert sorted(seen, key=int) == [b"%d" % n for n in range(50)]


async def test_an_empty_topic_has_an_end_too(broker: Broker, prefix: str) -> None:
    create_topic(broker, f"{prefix}alerts", partitions=2)

    await tail(settings_for(broker, prefix), "alerts", TO_THE_END, refuse)


async def test_a_range_shows_those_records_alone_and_says_where_there_are_none(
    broker: Broker, prefix: str
) -> None:
    settings = settings_for(broker, prefix)
    create_topic(broker, f"{prefix}alerts", partitions=1)
    publish(broker, f"{prefix}alerts", [b"%d" % n for n in range(9)])
    seen: list[bytes] = []

    def of(offsets: OffsetRange) -> TailOptions:
        return TailOptions(from_beginning=True, offsets=offsets)

    await tail(settings, "alerts", of(OffsetRange(0, 3, 5)), seen.append)
    await tail(settings, "alerts", of(OffsetRange(0, 8, 20)), seen.append)

    assert seen == [b"3", b"4", b"5", b"8"]
    with pytest.raises(OperatorError, match="none came"):
        await tail(settings, "alerts", of(OffsetRange(0, 9, 20)), refuse)
    with pytest.raises(OperatorError, match="no partition 7"):
        await tail(settings, "alerts", of(OffsetRange(7, 0, 1)), refuse)


async def test_no_more_lines_than_asked_for_are_shown(broker: Broker, prefix: str) -> None:
    create_topic(broker, f"{prefix}alerts")
    publish(broker, f"{prefix}alerts", [b"a", b"b", b"c"])
    seen: list[bytes] = []

    await tail(
        settings_for(broker, prefix),
        "alerts",
        TailOptions(from_beginning=True, limit=2),
        seen.append,
    )

    assert seen == [b"a", b"b"]


async def test_from_now_on_means_nothing_old(broker: Broker, prefix: str) -> None:
    # The first batch is the trap: the embedded broker's end offset lies inside it.
    create_topic(broker, f"{prefix}alerts")
    publish(broker, f"{prefix}alerts", [b"old"] * 20)

    await tail(
        settings_for(broker, prefix),
        "alerts",
        TailOptions(from_beginning=False, follows=False),
        refuse,
    )


async def test_a_record_that_comes_while_it_follows_is_shown(broker: Broker, prefix: str) -> None:
    topic = f"{prefix}alerts"
    create_topic(broker, topic)
    publish(broker, topic, [b"first"])
    seen: list[bytes] = []

    def publish_the_next(entry: bytes) -> None:
        seen.append(entry)
        if len(seen) == 3:
            raise Stopped
        publish(broker, topic, [b"next %d" % len(seen)])

    with pytest.raises(Stopped):
        await tail(
            settings_for(broker, prefix),
            "alerts",
            TailOptions(from_beginning=True),
            publish_the_next,
        )

    assert seen == [b"first", b"next 1", b"next 2"]


async def test_a_topic_that_is_not_there_is_named_and_not_made(broker: Broker, prefix: str) -> None:
    settings = settings_for(broker, prefix)

    for _ in range(2):
        with pytest.raises(OperatorError, match=rf"{prefix}alerts: no such topic"):
            await tail(settings, "alerts", TO_THE_END, refuse)


async def test_each_event_of_a_batch_is_an_entry_of_its_own(broker: Broker, prefix: str) -> None:
    create_topic(broker, f"{prefix}events")
    batch = EventBatch(
        (Source("prediction", "predictions", 0),), [0, 0], [4, 5], [1, 1], [b'{"a":1}', b'{"a":2}']
    )
    publish(broker, f"{prefix}events", [encode_events(batch)])
    seen: list[bytes] = []

    await tail(settings_for(broker, prefix), "events", TO_THE_END, seen.append)

    assert seen == [b'{"a":1}', b'{"a":2}']
    assert len(read_to_end(broker, f"{prefix}events")) == 1


def test_an_entry_is_one_line_however_it_was_written() -> None:
    assert entries("predictions", b'{\r\n"a": 1\n}') == (b'{  "a": 1 }',)
    assert entries("predictions", None) == ()


ALERT = {
    "detected_at": "2026-03-01T12:00:59.000Z",
    "fingerprint": "3f9c2a71aa",
    "status": "firing",
    "severity": "critical",
    "summary": "Car value fell.",
}
DETAILS = {
    "alerts": ALERT,
    "status": {"alert": ALERT},
    "feedback": {"issued_at": "T", "command": "retrain", "summary": "Train it again."},
    "labelled": {
        "model_id": "m",
        "row": 7,
        "error": None,
        "is_error": True,
        "delay_s": 1200.0,
        "prediction": {"prediction": "yes"},
        "outcome": {"outcome": "no"},
    },
    "dead_letters": {
        "topic": "predictions",
        "partition": 1,
        "offset": 9,
        "reason": "not_json",
        "detail": "a value is missing",
    },
    "predictions": {
        "model_id": "m",
        "prediction_id": "p1",
        "predicted_at": "T",
        "prediction": 3,
    },
    "outcomes": {"model_id": "m", "prediction_id": "p1", "observed_at": "T", "outcome": 4},
}


@pytest.mark.parametrize(
    ("role", "line"),
    [
        ("alerts", "2026-03-01 12:00  3f9c2a71  critical  firing    Car value fell."),
        ("status", "2026-03-01 12:00  3f9c2a71  critical  firing    Car value fell."),
        ("feedback", "T  retrain  Train it again."),
        ("labelled", "m row 7  wrong  predicted yes, was no, known after 1,200 s"),
        ("dead_letters", "predictions-1 offset 9  not_json  a value is missing"),
        ("predictions", "T  prediction  m  p1  3"),
        ("outcomes", "T  outcome     m  p1  4"),
    ],
)
def test_people_get_one_line_with_what_matters(role: TopicRole, line: str) -> None:
    assert describe(role, orjson.dumps(DETAILS[role])).plain == line


@pytest.mark.parametrize("entry", [b"\xff\xfe", b"[1]", b"{}", b"\x1b[2J", b""])
def test_what_is_no_event_is_shown_as_it_is_but_steers_no_terminal(entry: bytes) -> None:
    shown = describe("alerts", entry).plain

    assert shown.isprintable()
    assert bool(shown) == bool(entry)
