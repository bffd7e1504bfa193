"""Backlogs, bad records and restarts: what must not change what is told."""

import random
from collections.abc import Iterable

from schemas.event import Source
from schemas.topics import TopicRole, Topics
from streams.ingest.accept import accept
from streams.ingest.batches import pack
from streams.ingest.merge import Item, TimeMerge
from streams.ingest.records import Accepted, Raw, Refused
from streams.monitor import Monitor
from tests.doubles.core import Played, log_of, play, taken_in
from tests.doubles.corpus import bad_inputs
from tests.doubles.inputs import START_MS
from tests.doubles.story import story

STORY = story()
LIVE = play(log_of(taken_in(STORY)))


def alert_ids(played: Played) -> list[str]:
    return [alert["alert_id"] for alert in played.of("alerts")]


def spread(values: Iterable[bytes]) -> dict[Source, list[Raw]]:
    """Publish with keys that tell nothing: each topic has four partitions, in no common order."""
    rng = random.Random(5)  # noqa: S311 - a shuffle, not a secret
    topics: dict[Source, list[Raw]] = {}
    for place, value in enumerate(values):
        is_outcome = b"observed_at" in value
        partition = rng.randrange(4)
        source = (
            Source("outcome", "outcomes", partition)
            if is_outcome
            else Source("prediction", "predictions", partition)
        )
        records = topics.setdefault(source, [])
        records.append(Raw(source, len(records), START_MS + 1_000 * place, value))
    return topics


def drained(topics: dict[Source, list[Raw]], fetched: int) -> list[Item]:
    """Read a backlog as a consumer does: a long run of one partition, then of the next."""
    order = TimeMerge(idle_s=1.0, max_held=2_000)
    order.assign(topics)
    read = dict.fromkeys(topics, 0)
    released: list[Item] = []
    while any(read[source] < len(records) for source, records in topics.items()):
        for source, records in topics.items():
            if order.held(source) > fetched:
                continue
            part = [accept(raw) for raw in records[read[source] : read[source] + fetched]]
            read[source] += len(part)
            order.add(source, part, has_more=read[source] < len(records))
            if read[source] == len(records):
                order.end(source)
            released += order.release(0.0, 10_000)
    return released + order.release(0.0, 10_000)


def watched(items: list[Item], events_per_record: int = 300) -> Played:
    events = [item for item in items if isinstance(item, Accepted)]
    return play(log_of(events, events_per_record))


def test_the_story_of_these_tests_has_something_to_tell() -> None:
    assert len(alert_ids(LIVE)) == 2


def test_a_backlog_over_eight_partitions_is_told_as_it_would_have_been_live() -> None:
    played = watched(drained(spread(STORY), fetched=200))

    assert alert_ids(played) == alert_ids(LIVE)
    assert len(played.of("labelled")) == len(STORY) // 2


def test_bad_records_among_good_ones_each_make_one_dead_letter_and_change_nothing_else() -> None:
    corpus = bad_inputs()
    sources = {
        "prediction": Source("prediction", "predictions", 0),
        "outcome": Source("outcome", "outcomes", 0),
    }
    offsets = dict.fromkeys(sources, 0)
    raws: list[Raw] = []
    for place, value in enumerate(STORY):
        bad = corpus[place % len(corpus)]
        good = "outcome" if b"observed_at" in value else "prediction"
        for kind, payload in ((bad.kind, bad.value), (good, value)):
            raws.append(Raw(sources[kind], offsets[kind], START_MS + 1_000 * place, payload))
            offsets[kind] += 1

    items = [accept(raw) for raw in raws]

    letters = [item.letter for item in items if isinstance(item, Refused)]
    assert len(letters) == len({letter.dead_letter_id for letter in letters}) == len(STORY)
    assert [letter.reason for letter in letters[: len(corpus)]] == [bad.reason for bad in corpus]
    assert alert_ids(watched(items)) == alert_ids(LIVE)


def test_more_partitions_of_events_change_no_id() -> None:
    topics = Topics()
    events = taken_in(STORY)
    monitors = [Monitor(partition, topics) for partition in range(7)]
    offsets = [0] * 7
    emissions = []

    for start in range(0, len(events), 250):
        for partition, _, value, _ in pack(events[start : start + 250], 7):
            emissions += monitors[partition].apply(offsets[partition], value)
            offsets[partition] += 1

    assert alert_ids(Played(monitors[0], emissions)) == alert_ids(LIVE)


def test_inputs_that_are_all_taken_in_again_are_told_once() -> None:
    events = taken_in(STORY)

    again = play(log_of([*events, *events]))

    assert again.bytes_of("alerts") == LIVE.bytes_of("alerts")
    assert again.bytes_of("labelled") == LIVE.bytes_of("labelled")


def test_a_log_written_anew_tells_the_same_with_the_same_ids() -> None:
    anew = play(log_of(taken_in(STORY), 33), first_offset=9_000)

    names: dict[TopicRole, str] = {
        "alerts": "alert_id",
        "feedback": "feedback_id",
        "labelled": "labelled_id",
    }
    for role, name in names.items():
        assert [e[name] for e in anew.of(role)] == [e[name] for e in LIVE.of(role)]
