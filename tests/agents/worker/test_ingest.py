from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

import pytest
import structlog
from faust.types import TP

from agents.errors import OperatorError, PublishError
from agents.kafka.home import home_of
from agents.worker.clock import CheckedClock
from agents.worker.ingest import COMMIT_EVERY_S, IngestAgent, SourceRecreatedError
from agents.worker.transport import End, Fetch
from schemas.dead_letter import DeadLetter
from schemas.event import decode_events
from schemas.topics import Topics, model_partition
from streams.ingest.dead_letter import DeadLetterLimit
from streams.ingest.merge import TimeMerge
from tests.doubles.inputs import START_MS, control, outcome, prediction, spec
from tests.doubles.sender import ListPartitions, ListSender, fetch_of
from tests.simulation.simulation import silence

TOPICS = Topics()
PREDICTIONS, OUTCOMES = TP("predictions", 0), TP("outcomes", 0)
MODELS, CONTROLS = TP("models", 0), TP(TOPICS.name("controls"), 0)
IDLE_S = 1.0


class Clock:
    def __init__(self) -> None:
        self.now_s = START_MS / 1_000 + 3_600

    def __call__(self) -> float:
        return self.now_s


class Desk:
    """An ingest, with what it talks to."""

    def __init__(
        self,
        tps: Sequence[TP] = (PREDICTIONS,),
        *,
        fails_at: int | None = None,
        most: int = 10_000,
        is_by_model: bool = False,
    ) -> None:
        self.journal: list[str] = []
        self.sender = ListSender(fails_at, self.journal)
        self.partitions = ListPartitions(self.journal)
        self.clock = Clock()
        self.incarnations: dict[str, str] = {}
        self.agent = IngestAgent(
            TOPICS,
            self.sender,
            TimeMerge(IDLE_S),
            DeadLetterLimit(0.5, 4),
            CheckedClock(self.clock, self.clock, tolerance_s=30.0),
            incarnations=self._incarnations,
            max_payload_bytes=most,
            counts=self._counts if is_by_model else None,
        )
        self.agent.attach(self.partitions)
        self.assign(dict.fromkeys(tps, 0))

    async def _incarnations(self) -> dict[str, str]:
        return self.incarnations

    async def _counts(self) -> dict[str, int]:
        return dict.fromkeys(TOPICS.read_by_ingest(), 4)

    def assign(self, starts: dict[TP, int]) -> None:
        asyncio.run(self.agent.on_rebalance_complete(starts))

    def take(self, fetch: Fetch) -> None:
        with silence():
            asyncio.run(self._take(fetch))

    async def _take(self, fetch: Fetch) -> None:
        await self.agent.on_fetch(fetch)
        await self.agent.flush()

    def events(self) -> list[tuple[str, int, int]]:
        """Return (source, offset, instant) of all that was published, in the order of the log."""
        found = []
        for each in self.sender.to(TOPICS.name("events")):
            batch = decode_events(each.value or b"")
            columns = zip(batch.source_index, batch.source_offset, batch.logged_at, strict=True)
            found += [(batch.sources[s].name, offset, at_ms) for s, offset, at_ms in columns]
        return found

    def offsets(self) -> list[int]:
        return [offset for _, offset, _ in self.events()]


def values(count: int, first: int = 0) -> list[bytes]:
    return [prediction(f"p{row}") for row in range(first, first + count)]


# Rule 1


def test_every_event_is_published_once_in_its_order() -> None:
    desk = Desk()
    desk.take(fetch_of(PREDICTIONS, values(3), at_ms=START_MS))
    desk.take(fetch_of(PREDICTIONS, values(2, 3), start=3, at_ms=START_MS))

    assert desk.offsets() == [0, 1, 2, 3, 4]


def test_a_timestamp_of_1970_is_no_time_and_its_records_are_counted() -> None:
    desk = Desk()
    instants = [START_MS + 7_000, START_MS + 10**9]  # the second lies ahead
    given = [prediction(f"p{at_ms}", predicted_at=at_ms) for at_ms in instants]
    with structlog.testing.capture_logs() as said:
        asyncio.run(desk._take(fetch_of(PREDICTIONS, given, at_ms=START_MS // 1_000)))

    now_ms = int(desk.clock.now_s * 1_000)
    assert [at_ms for _, _, at_ms in desk.events()] == [START_MS + 7_000, now_ms]
    [line] = [each["event"] for each in said if each["log_level"] == "warning"]
    assert line.startswith("2 records of predictions so far have a timestamp of 1970")


def test_an_event_waits_for_a_partition_that_may_have_older_ones() -> None:
    desk = Desk((PREDICTIONS, OUTCOMES))
    desk.take(fetch_of(PREDICTIONS, values(1), at_ms=START_MS + 5, end=2))
    assert desk.events() == []

    desk.clock.now_s += 20 * IDLE_S  # however long the answer takes
    desk.take(fetch_of(OUTCOMES, [outcome(), outcome("p2")], at_ms=START_MS, end=9))

    assert [(source, offset) for source, offset, _ in desk.events()] == [
        ("outcomes/0", 0),
        ("outcomes/0", 1),
    ]


def test_the_worker_that_takes_over_continues_the_order_at_the_commit() -> None:
    first = Desk((PREDICTIONS, OUTCOMES))
    first.take(fetch_of(PREDICTIONS, values(2), at_ms=START_MS, end=4))
    first.take(fetch_of(OUTCOMES, [outcome("p0")], at_ms=START_MS + 1, end=2))
    asyncio.run(first.agent.on_shutdown())
    starts = first.partitions.committed()

    second = Desk((PREDICTIONS, OUTCOMES))
    second.assign({PREDICTIONS: starts.get(PREDICTIONS, 0), OUTCOMES: starts.get(OUTCOMES, 0)})
    start = starts.get(PREDICTIONS, 0)
    rest = fetch_of(PREDICTIONS, values(4 - start, start), start=start, at_ms=START_MS + start)
    second.partitions.ends = {PREDICTIONS: End(4, second.clock.now_s)}
    second.take(rest)
    second.partitions.ends |= {OUTCOMES: End(2, second.clock.now_s)}
    start = starts.get(OUTCOMES, 0)
    truths = [outcome("p0"), outcome("p1")][start:]
    second.take(fetch_of(OUTCOMES, truths, start=start, at_ms=START_MS + 1 + start))

    log = list(dict.fromkeys(first.events() + second.events()))
    assert sorted(log, key=lambda each: (each[2], each[0] != "predictions/0")) == log
    assert len(log) == 6


@pytest.mark.parametrize("bound", ["HELD_AT_MOST", "HELD_BYTES_AT_MOST"])
def test_a_partition_far_ahead_is_fetched_no_further_until_the_others_have_caught_up(
    monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(f"agents.worker.ingest.{bound}", 8)
    desk = Desk((PREDICTIONS, OUTCOMES))
    desk.take(fetch_of(PREDICTIONS, values(9), at_ms=START_MS, end=20))
    before = set(desk.partitions.paused)
    desk.take(fetch_of(OUTCOMES, [outcome("p0")], at_ms=START_MS + 9, end=2))

    assert before == {PREDICTIONS}
    assert PREDICTIONS not in desk.partitions.paused
    assert desk.offsets() == list(range(9))


def test_a_partition_at_its_end_is_not_waited_for_one_that_has_more_is() -> None:
    desk = Desk((PREDICTIONS, OUTCOMES))
    at_ms = int(desk.clock.now_s * 1_000)
    desk.clock.now_s += 0.5 * IDLE_S
    desk.partitions.ends = {OUTCOMES: End(1, desk.clock.now_s)}
    desk.take(fetch_of(PREDICTIONS, values(1), at_ms=at_ms))
    before = desk.events()
    desk.partitions.ends = {OUTCOMES: End(0, desk.clock.now_s)}
    desk.take(fetch_of(PREDICTIONS, values(1, 1), start=1, at_ms=at_ms + 1))

    assert before == []
    assert desk.offsets() == [0, 1]


def test_no_event_is_later_than_the_clock() -> None:
    desk = Desk()
    now_ms = int(desk.clock.now_s * 1_000)
    desk.take(fetch_of(PREDICTIONS, values(2), at_ms=now_ms))

    assert [at_ms for _, _, at_ms in desk.events()] == [now_ms, now_ms]


def test_after_a_rebalance_what_was_held_is_read_again() -> None:
    desk = Desk((PREDICTIONS, OUTCOMES))
    desk.take(fetch_of(PREDICTIONS, values(2)))
    asyncio.run(desk.agent.on_revoked({PREDICTIONS, OUTCOMES}))
    desk.assign({PREDICTIONS: 0})
    desk.take(fetch_of(PREDICTIONS, values(2)))

    assert desk.offsets() == [0, 1]


def test_specs_and_controls_go_to_their_models_partition_of_the_log() -> None:
    desk = Desk((MODELS, CONTROLS))
    desk.take(fetch_of(MODELS, [spec("car_loan", owner="risk")]))
    desk.take(fetch_of(CONTROLS, [control("ack", "f", "car_loan")], at_ms=START_MS))

    sent = desk.sender.to(TOPICS.name("events"))
    assert {each.partition for each in sent} == {model_partition("car_loan", TOPICS.partitions)}
    assert sorted(desk.events())[1][:2] == ("tidegauge.controls/0", 0)
    kinds = {source.kind for each in sent for source in decode_events(each.value).sources}
    assert kinds == {"control", "spec"}


def test_a_record_of_models_without_a_value_is_a_removal() -> None:
    desk = Desk((MODELS,))
    desk.take(fetch_of(MODELS, [None], keys=[b"car_loan"]))

    (sent,) = desk.sender.to(TOPICS.name("events"))
    assert decode_events(sent.value).payloads == [b'{"model_id":"car_loan","spec":null}']


def test_a_spec_that_is_wrong_is_a_dead_letter_that_says_how_to_mend_it() -> None:
    desk = Desk((MODELS,))
    desk.take(fetch_of(MODELS, [spec(alert_budget=0, feature={})]))

    (sent,) = desk.sender.to(TOPICS.name("dead_letters"))
    assert DeadLetter.model_validate_json(sent.value or b"").detail == (
        "alert_budget: Input should be greater than or equal to 0.000001, got 0; "
        "feature: unknown field; did you mean features?"
    )
    assert desk.events() == []
    assert desk.partitions.committed() == {MODELS: 1}


def test_what_compaction_has_taken_is_passed_over() -> None:
    desk = Desk((MODELS,))
    desk.take(fetch_of(MODELS, [spec()]))
    records = fetch_of(MODELS, [spec(owner="a")], start=7).records
    desk.clock.now_s += COMMIT_EVERY_S
    desk.take(Fetch(*MODELS, records, 1, 8, 8))

    assert desk.offsets() == [0, 7]
    assert desk.partitions.committed() == {MODELS: 8}


# Rules 2 and 3


def test_an_offset_is_committed_after_what_lies_before_it_is_acknowledged() -> None:
    desk = Desk()
    desk.take(fetch_of(PREDICTIONS, values(3)))

    assert desk.journal == [TOPICS.name("events"), "commit"]
    assert desk.partitions.commits == [{PREDICTIONS: 3}]
    assert desk.agent.applied() == {PREDICTIONS: 3}


def test_what_is_held_is_not_committed() -> None:
    desk = Desk((PREDICTIONS, OUTCOMES))
    desk.take(fetch_of(PREDICTIONS, values(3)))
    asyncio.run(desk.agent.on_shutdown())

    assert desk.partitions.commits == []
    assert desk.agent.applied() == {PREDICTIONS: 0, OUTCOMES: 0}


def test_commits_are_spared() -> None:
    desk = Desk()
    for start in range(3):
        desk.take(fetch_of(PREDICTIONS, values(1), start=start))
    assert desk.partitions.commits == [{PREDICTIONS: 1}]

    desk.clock.now_s += COMMIT_EVERY_S
    desk.take(fetch_of(PREDICTIONS, values(1), start=3))
    assert desk.partitions.committed() == {PREDICTIONS: 4}


@pytest.mark.parametrize("ending", ["revoked", "shutdown"])
def test_what_is_acknowledged_is_committed_at_the_end(ending: str) -> None:
    desk = Desk()
    desk.take(fetch_of(PREDICTIONS, values(1)))
    desk.take(fetch_of(PREDICTIONS, values(1), start=1))

    if ending == "revoked":
        asyncio.run(desk.agent.on_revoked({PREDICTIONS}))
    else:
        asyncio.run(desk.agent.on_shutdown())

    assert desk.partitions.committed() == {PREDICTIONS: 2}


def test_a_fetch_without_records_is_passed_over() -> None:
    desk = Desk()
    desk.take(fetch_of(PREDICTIONS, values(1)))
    desk.clock.now_s += COMMIT_EVERY_S
    desk.take(Fetch(*PREDICTIONS, [], 1, 5, 5))
    passed_over = desk.partitions.committed()
    desk.clock.now_s += COMMIT_EVERY_S
    desk.take(fetch_of(PREDICTIONS, values(1), start=5))

    assert desk.offsets() == [0, 5]
    assert passed_over == {PREDICTIONS: 5}
    assert desk.partitions.committed() == {PREDICTIONS: 6}


def test_an_end_without_records_is_done_and_committed_though_nothing_follows() -> None:
    # The marker of a transaction, or records that were aborted or compacted away.
    desk = Desk()
    desk.take(fetch_of(PREDICTIONS, values(2)))
    desk.clock.now_s += COMMIT_EVERY_S
    desk.take(Fetch(*PREDICTIONS, [], 2, 3, 3))

    assert desk.agent.applied() == {PREDICTIONS: 3}
    assert desk.partitions.committed() == {PREDICTIONS: 3}


# Rule 4


def test_after_a_failed_send_nothing_is_committed() -> None:
    desk = Desk(fails_at=1)
    desk.take(fetch_of(PREDICTIONS, values(1)))
    desk.clock.now_s += COMMIT_EVERY_S

    with pytest.raises(PublishError):
        desk.take(fetch_of(PREDICTIONS, values(1), start=1))
    desk.clock.now_s += COMMIT_EVERY_S
    desk.take(Fetch(*PREDICTIONS, [], 2, 3, 3))  # before the process has ended
    asyncio.run(desk.agent.on_shutdown())

    assert desk.partitions.commits == [{PREDICTIONS: 1}]


# What is refused


def test_what_is_refused_is_a_dead_letter_and_is_committed() -> None:
    desk = Desk(most=200)
    desk.take(fetch_of(PREDICTIONS, [b"{", *values(1), b"x" * 201], at_ms=START_MS))

    letters = [
        DeadLetter.model_validate_json(each.value or b"")
        for each in desk.sender.to(TOPICS.name("dead_letters"))
    ]
    assert [(letter.offset, letter.reason) for letter in letters] == [
        (0, "not_json"),
        (2, "too_large"),
    ]
    assert desk.offsets() == [1]
    assert desk.partitions.commits == [{PREDICTIONS: 3}]


def test_what_is_refused_and_names_its_model_is_in_the_log_in_its_place_too() -> None:
    desk = Desk()
    desk.take(fetch_of(PREDICTIONS, [*values(1), b'{"model_id": "m"}', *values(1, 1)]))

    assert desk.offsets() == [0, 1, 2]
    assert len(desk.sender.to(TOPICS.name("dead_letters"))) == 1
    assert desk.partitions.committed() == {PREDICTIONS: 3}


def test_a_flood_of_refusals_stops_the_worker_before_it_is_committed() -> None:
    desk = Desk()

    with pytest.raises(OperatorError, match="4 of the last 4 records of predictions were refused"):
        desk.take(fetch_of(PREDICTIONS, [b"{"] * 4))

    assert desk.partitions.commits == []


def test_a_topic_that_was_created_anew_is_another_source() -> None:
    desk = Desk()
    desk.take(fetch_of(PREDICTIONS, values(1)))
    desk.incarnations = {"predictions": "second"}
    desk.assign({PREDICTIONS: 0})
    desk.take(fetch_of(PREDICTIONS, values(1)))

    assert [source for source, _, _ in desk.events()] == [
        "predictions/0",
        "predictions@second/0",
    ]


def test_a_topic_that_was_created_anew_under_the_worker_ends_it_before_anything_is_taken() -> None:
    desk = Desk()
    desk.take(fetch_of(PREDICTIONS, values(3)))

    with pytest.raises(SourceRecreatedError, match="continues at offset 1 after 3: the topic was"):
        desk.take(fetch_of(PREDICTIONS, values(1), start=1))

    assert desk.offsets() == [0, 1, 2]
    assert desk.partitions.commits == [{PREDICTIONS: 3}]
    assert SourceRecreatedError.exit_code == os.EX_TEMPFAIL


# Rule 8


def test_by_model_an_event_outside_its_models_partition_is_refused_and_leaves_no_event() -> None:
    tp = TP("predictions", home_of("m", 4))
    desk = Desk((tp,), is_by_model=True)
    strange = (prediction("p2", "iris"), b'{"model_id": "iris"}', b"{")
    records = [each for value in strange for each in (*values(2), value)]
    desk.take(fetch_of(tp, records, at_ms=START_MS))

    sent = desk.sender.to(TOPICS.name("dead_letters"))
    letters = [DeadLetter.model_validate_json(each.value or b"") for each in sent]
    assert desk.offsets() == [0, 1, 3, 4, 6, 7]
    assert [(letter.offset, letter.reason) for letter in letters] == [
        (2, "wrong_partition"),
        (5, "wrong_partition"),
        (8, "not_json"),
    ]
    assert f"partition {home_of('iris', 4)} of 4: key them by model_id" in letters[0].detail
    assert home_of("iris", 4) != tp.partition
