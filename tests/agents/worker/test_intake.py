"""Topics of other systems in a worker: events by a map, offsets by records."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import orjson
import yaml
from faust.types import TP

from agents.sources import mapped_topics
from agents.worker.clock import CheckedClock
from agents.worker.ingest import COMMIT_EVERY_S, RELEASED_AT_ONCE, IngestAgent
from agents.worker.intake import Intake
from schemas.event import decode_events
from schemas.topics import Topics
from schemas.wire import MAX_PAYLOAD_BYTES
from streams.ingest.dead_letter import DeadLetterLimit
from streams.ingest.merge import TimeMerge
from streams.ingest.sources.source_map import parse_sources
from tests.agents.worker.test_ingest import IDLE_S, PREDICTIONS, Desk
from tests.doubles.inputs import START_MS, prediction
from tests.doubles.sender import fetch_of

SCORES = TP("scores", 0)
TOPICS = replace(Topics(), mapped=("scores",))
SOURCES = """
sources:
- topic: scores
  when: value.rows != null
  as: prediction
  each: value.rows
  fields:
    prediction_id: join('-', [to_string(offset), to_string(index)])
    model_id: "'m'"
    prediction: item
"""


class MappedDesk(Desk):
    """An ingest that reads a topic through sources."""

    def __init__(self, *tps: TP) -> None:
        super().__init__(())
        sources = parse_sources(yaml.safe_load(SOURCES))
        topics = mapped_topics(sources, MAX_PAYLOAD_BYTES)
        self.agent = IngestAgent(
            TOPICS,
            self.sender,
            TimeMerge(IDLE_S),
            DeadLetterLimit(0.5, 4),
            CheckedClock(self.clock, self.clock, tolerance_s=30.0),
            incarnations=self._incarnations,
            max_payload_bytes=MAX_PAYLOAD_BYTES,
            intake=Intake(topics, None, self.clock),
        )
        self.agent.attach(self.partitions)
        self.assign(dict.fromkeys(tps, 0))

    def positions(self) -> list[int]:
        return [
            position
            for each in self.sender.to(TOPICS.name("events"))
            for position in decode_events(each.value).positions()
        ]


def record(*rows: object) -> bytes:
    return orjson.dumps({"rows": list(rows)})


def test_the_events_of_a_record_stand_in_the_log_in_their_order() -> None:
    desk = MappedDesk(SCORES)
    desk.take(fetch_of(SCORES, [record(1, 2, 3), record(4)], at_ms=START_MS))

    assert desk.positions() == [0, 1, 2, 65_536]
    assert desk.partitions.committed() == {SCORES: 2}


def test_records_that_no_source_takes_are_committed_and_count_towards_no_limit() -> None:
    desk = MappedDesk(SCORES)
    values: list[bytes | None] = [None, b'{"rows": null}', b"7"] * 5
    desk.take(fetch_of(SCORES, values, at_ms=START_MS))

    assert desk.sender.to(TOPICS.name("dead_letters")) == []
    assert desk.partitions.committed() == {SCORES: 15}


def test_a_record_is_committed_when_its_last_event_is_published() -> None:
    desk = MappedDesk(SCORES, PREDICTIONS)
    rows = record(*range(RELEASED_AT_ONCE + 10))
    desk.take(fetch_of(SCORES, [record(1), rows], at_ms=START_MS))
    desk.clock.now_s += 2 * IDLE_S + COMMIT_EVERY_S
    desk.take(fetch_of(PREDICTIONS, [prediction("p")], at_ms=START_MS + 10))
    in_part = desk.partitions.committed()[SCORES]
    desk.clock.now_s += COMMIT_EVERY_S
    desk.take(fetch_of(PREDICTIONS, [], start=1))

    assert in_part == 1, "4,000 of its events are published, and ten are held"
    assert desk.partitions.committed()[SCORES] == 2
    assert len(desk.positions()) == RELEASED_AT_ONCE + 12


def test_a_record_that_is_read_again_after_a_crash_has_the_same_positions() -> None:
    first, again = MappedDesk(SCORES), MappedDesk(SCORES)
    for desk in (first, again):
        desk.take(fetch_of(SCORES, [record(1, [2], 3)], at_ms=START_MS))

    letters = [each.value for each in first.sender.to(TOPICS.name("dead_letters"))]
    assert first.positions() == again.positions() == [0, 1, 2]
    assert orjson.loads(letters[0] or b"")["dead_letter_id"] == "scores/0/0#1"
    assert letters == [each.value for each in again.sender.to(TOPICS.name("dead_letters"))]


def test_a_topic_without_sources_is_read_as_ever() -> None:
    desk = MappedDesk(PREDICTIONS)
    desk.take(fetch_of(PREDICTIONS, [prediction("p")], at_ms=START_MS))

    assert desk.positions() == [0]
    assert asyncio.run(desk.agent._intake.prepare("predictions", [])) is None
