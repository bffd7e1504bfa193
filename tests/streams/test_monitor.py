from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.event import Source, decode_events, encode_tick
from schemas.model_spec import ModelSpec
from schemas.topics import Topics
from streams.alert.record import fingerprint_of
from streams.emission import Emission
from streams.ingest.accept import accept
from streams.ingest.records import Accepted, Refused
from streams.model import pending
from streams.model.model import Restored
from streams.monitor import LogGapError, Monitor
from streams.series.offline import profile
from streams.series.watch_spec import WatchSpec
from tests.doubles.core import (
    Json,
    Played,
    Store,
    log_of,
    play,
    play_gathering,
    play_restarting,
    restarted,
    snapshots,
    taken_in,
)
from tests.doubles.inputs import START_MS, accepted, control, outcome, prediction, raw
from tests.doubles.story import story
from tests.doubles.troubles import troubled

STORY_ROWS = 1_200
STORY = taken_in(story(STORY_ROWS, onset=450))
ALL_AT_ONCE = play(log_of(STORY, 500))


def without_evidence(event: Json) -> Json:
    """Leave out what names the records of the log."""
    kept = {name: value for name, value in event.items() if name != "evidence"}
    if isinstance(rows := kept.get("labelled"), dict):
        kept["labelled"] = {k: v for k, v in rows.items() if not k.endswith("_offset")}
    return kept


def told(played: Played) -> list[tuple[str, list[Json]]]:
    return [
        (role, [without_evidence(event) for event in played.of(role)])
        for role in ("alerts", "feedback", "labelled")
    ]


def without_ends(given: list[tuple[str, list[Json]]]) -> list[tuple[str, list[Json]]]:
    """Leave out when a command expires, which is a time after its log time."""
    return [(role, [each | {"expires_at": None} for each in events]) for role, events in given]


def test_the_story_of_these_tests_has_something_to_tell() -> None:
    assert ALL_AT_ONCE.changes() == [("feature/a", "level"), ("error", "level")]
    assert len(ALL_AT_ONCE.of("feedback")) == 1
    assert len(ALL_AT_ONCE.of("labelled")) == STORY_ROWS


# Rule 1


@pytest.mark.parametrize("offset", [0, 4, 5, 7, 100])
def test_a_record_that_is_not_the_next_one_stops_the_monitor(offset: int) -> None:
    record = log_of(STORY[:1])[0]
    monitor = Monitor(3, Topics())
    monitor.apply(5, record)

    with pytest.raises(LogGapError, match=f"events partition 3: expected offset 6, found {offset}"):
        monitor.apply(offset, record)


def test_the_first_record_may_have_any_offset() -> None:
    monitor = Monitor(0, Topics())

    monitor.apply(41, log_of(STORY[:1])[0])

    assert monitor.next_offset == 42


def record_of(*payloads: bytes, **header: object) -> bytes:
    """Return a record of events with a header of ours, but for some fields, and any payloads."""
    whole = {
        "type": "tidegauge.events.v1",
        "sources": [["prediction", "predictions", 0, ""]],
        "source_index": [0] * len(payloads),
        "source_offset": list(range(len(payloads))),
        "logged_at": [START_MS] * len(payloads),
    }
    return b"\n".join([orjson.dumps(whole | header), *payloads])


PAYLOAD = accepted(prediction()).payload
FOREIGN: list[bytes | None] = [
    None,
    b"",
    b"hello",
    b"null",
    b"[]",
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b'{"type":"else"}',
    b'{"type":"tidegauge.events.v1"}',
    record_of(PAYLOAD + b"," + PAYLOAD),
    record_of(PAYLOAD, b"not JSON"),
    record_of(PAYLOAD, b"{}"),
    record_of(PAYLOAD, b"[]"),
    record_of(PAYLOAD, b'"text"'),
    record_of(PAYLOAD, b'{"model_id":7}'),
    record_of(PAYLOAD, b'{"model_id":["m"]}'),
    record_of(PAYLOAD, b'{"model_id":null}'),
    record_of(PAYLOAD, source_index=[7]),
    record_of(PAYLOAD, source_index=[-1]),
    record_of(PAYLOAD, source_offset=["0"]),
    record_of(PAYLOAD, logged_at=[1 << 62]),
    record_of(PAYLOAD, logged_at=[]),
    record_of(PAYLOAD, sources=[["gossip", "predictions", 0, ""]]),
    record_of(PAYLOAD, sources=[["prediction", ["predictions"], 0, ""]]),
    record_of(PAYLOAD, sources=7),
    record_of(PAYLOAD, appended_at="now"),
    record_of(tick_ms=1 << 62),
    record_of(tick_ms=-1),
    record_of(tick_ms="now"),
]


@pytest.mark.parametrize("record", FOREIGN)
def test_a_record_that_ingest_cannot_have_written_is_passed_over_and_told(
    record: bytes | None,
) -> None:
    log = log_of(STORY[:20], 10)
    monitor = Monitor(0, Topics())

    emissions = [
        e for n, value in enumerate([log[0], record, log[1]]) for e in monitor.apply(n, value)
    ]

    undisturbed = play([log[0], encode_tick(START_MS), log[1]])
    assert snapshots(monitor) == snapshots(undisturbed.monitor)
    assert emissions == undisturbed.emissions
    assert [each.offset for each in monitor.foreign] == [1]
    assert monitor.next_offset == 3


# Rule 2


def test_a_model_is_told_the_same_whatever_shares_its_partition() -> None:
    noise = [accepted(prediction(f"n{i}", f"other{i % 5}"), i).payload for i in range(len(STORY))]
    alone = [event.payload for event in STORY]
    mixed = taken_in(value for both in zip(alone, noise, strict=True) for value in both)

    together = play(log_of(mixed, 77))

    ours = [e for e in together.emissions if e.model_id == "m"]
    # Log time passes more slowly where another model has every second place of the log.
    assert without_ends(told(Played(together.monitor, ours))) == without_ends(told(ALL_AT_ONCE))


def test_a_model_is_given_its_own_spec() -> None:
    asked: list[str] = []

    def spec_of(model_id: str) -> ModelSpec:
        asked.append(model_id)
        return ModelSpec()

    play(log_of(taken_in([prediction("1", "a"), prediction("2", "b"), outcome("1", "a")])), spec_of)

    assert asked == ["a", "b"]


def test_time_never_goes_back() -> None:
    day_ms = 86_400_000
    spec = ModelSpec.model_validate({"outcome": {"wait_s": 3_600.0}})
    events = [
        accepted(prediction("early"), 0, logged_at=START_MS),
        accepted(prediction("late"), 1, logged_at=START_MS + day_ms),
        accepted(prediction("back"), 2, logged_at=START_MS),
        accepted(outcome("early"), 0, logged_at=START_MS),
        accepted(outcome("back"), 1, logged_at=START_MS),
    ]

    played = play(log_of(events), lambda _model_id: spec)

    assert [row["prediction"]["prediction_id"] for row in played.of("labelled")] == ["back"]
    assert {e.now_ms for e in played.emissions} == {START_MS + day_ms}


# Rule 3


def test_the_same_log_gives_the_same_bytes() -> None:
    log = log_of(STORY, 100)

    assert play(log).emissions == play(log).emissions


def test_what_a_record_calls_for_stands_in_the_order_of_its_events() -> None:
    monitor = Monitor(0, Topics())

    for offset, record in enumerate(log_of(STORY, 500)):
        places = [emission.place for emission in monitor.apply(offset, record)]

        assert places == sorted(places)
        assert places[0] == (offset, 1)


@cache
def two_models() -> tuple[list[bytes], Played]:
    others = taken_in(story(STORY_ROWS, onset=450, model_id="another"))
    both = [event for pair in zip(STORY, others, strict=True) for event in pair]
    log = log_of(both, 15)
    return log, play(log)


@pytest.mark.parametrize(("at_once", "flushed_every"), [(1, 3), (2, 50), (8, 8), (1_000, 1_000)])
def test_when_the_series_read_what_was_gathered_changes_nothing(
    at_once: int, flushed_every: int
) -> None:
    values, expected = two_models()
    log = list(enumerate(values))
    monitor = Monitor(0, Topics())

    emissions: list[Emission] = []
    for first in range(0, len(log), at_once):
        emissions += monitor.ingest(log[first : first + at_once])
        emissions += monitor.evaluate_ready()
        assert not monitor.is_anything_ready
        if first % flushed_every == 0:
            emissions += monitor.evaluate_all()
            assert monitor.waiting == 0
    emissions += monitor.evaluate_all()

    assert sorted(emissions) == sorted(expected.emissions)
    assert snapshots(monitor) == snapshots(expected.monitor)


@pytest.mark.parametrize("seed", range(10))
def test_whatever_befalls_a_model_how_much_is_read_at_once_changes_nothing(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_of(taken_in(troubled(seed)), 100)
    expected = play(log)

    monkeypatch.setattr(pending, "MAX_PENDING_ROWS", 10_000)
    at_once = play_gathering(log, len(log))

    assert sorted(at_once.emissions) == sorted(expected.emissions)
    assert snapshots(at_once.monitor) == snapshots(expected.monitor)


STEP_MS = 600_000
"""Ten minutes: a silence is judged after a day, and 710 predictions take five."""
MOVED, FOUND = 680, 710
"""The row at which the feature moves, and a row by which its alert has fired.

With its outcomes that is fewer than the 2,000 events of a model that are read at once at most:
all values from row 200 on still wait.
"""


def at_ms(row: int) -> int:
    return START_MS + STEP_MS * row


def drifting(rows: int, fields: Callable[[int], Json] = lambda _row: {}) -> list[Accepted]:
    """Predictions, one in ten minutes, whose feature moves."""
    values = np.random.default_rng(1).normal(size=rows) + 3.0 * (np.arange(rows) >= MOVED)
    return [
        accepted(
            prediction(f"p{row}", features={"f": value}, predicted_at=at_ms(row), **fields(row)),
            row,
            logged_at=at_ms(row),
        )
        for row, value in enumerate(values.tolist())
    ]


def answered(rows: int, ahead_ms: Callable[[int], int]) -> list[Accepted]:
    """Outcomes at the instants of their predictions, by clocks that are ahead."""
    return [
        accepted(
            outcome(f"p{row}", observed_at=at_ms(row) + ahead_ms(row)), row, logged_at=at_ms(row)
        )
        for row in range(rows)
    ]


def new_version() -> list[bytes]:
    return log_of(drifting(FOUND + 20, lambda row: {"model_version": str(row // FOUND)}), 1)


def outcome_clock() -> list[bytes]:
    outcomes = answered(FOUND + 40, lambda row: 120_000 * (row >= FOUND))
    pairs = zip(drifting(FOUND + 40), outcomes, strict=True)
    return log_of([event for pair in pairs for event in pair], 1)


def refused_predictions() -> list[bytes]:
    return log_of([*drifting(FOUND), *(refused(FOUND + row) for row in range(20))], 1)


def missing_outcomes() -> list[bytes]:
    predictions, outcomes = drifting(FOUND + 40), answered(FOUND, lambda _row: 0)
    pairs = zip(predictions[:FOUND], outcomes, strict=True)
    return log_of([*(event for pair in pairs for event in pair), *predictions[FOUND:]], 1)


def silent_predictions() -> list[bytes]:
    return [*log_of(drifting(FOUND), 1), encode_tick(at_ms(FOUND + 20))]


def flapping_fallback(rows: int) -> list[bytes]:
    """Write a log in which the third alert about a fallback is flapping while the feature moves."""

    def fields(row: int) -> Json:
        is_fallback = any(first <= row < first + 15 for first in (515, 560, 605))
        return {"status": "fallback" if is_fallback else "ok"}

    return log_of(drifting(rows, fields), 1)


def calm_fallback() -> list[bytes]:
    return flapping_fallback(FOUND + 20)


def calm_fallback_at_a_tick() -> list[bytes]:
    return [*flapping_fallback(FOUND), encode_tick(at_ms(FOUND + 12))]


@pytest.mark.parametrize(
    ("log_with", "status", "series"),
    [
        (new_version, "firing", "versions"),
        (outcome_clock, "firing", "outcomes"),
        (refused_predictions, "firing", "predictions"),
        (missing_outcomes, "firing", "outcomes"),
        (silent_predictions, "firing", "predictions"),
        (calm_fallback, "resolved", "answers"),
        (calm_fallback_at_a_tick, "resolved", "answers"),
    ],
)
def test_an_alert_of_a_series_is_published_before_a_later_one_about_how_events_come(
    log_with: Callable[[], list[bytes]], status: str, series: str
) -> None:
    log = log_with()
    one_by_one, at_once = play(log), play_gathering(log, len(log))

    *_, first, second = at_once.of("alerts")
    assert (first["status"], first["series"]) == ("firing", "feature/f")
    assert (second["status"], second["series"]) == (status, series)
    assert [moved["series"] for moved in second["moved_together"]] == ["feature/f"]
    for role in ("alerts", "status"):
        assert at_once.bytes_of(role) == one_by_one.bytes_of(role)
    assert snapshots(at_once.monitor) == snapshots(one_by_one.monitor)


@pytest.mark.parametrize(("verb", "status"), [("ack", "ongoing"), ("accept", "resolved")])
def test_a_control_finds_the_alerts_of_all_values_before_it(verb: str, status: str) -> None:
    order = control(verb, fingerprint_of("m", "feature/f", "level"))
    events = drifting(FOUND + 100)
    events.insert(FOUND, accepted(order, logged_at=at_ms(FOUND)))
    log = log_of(events, 1)

    one_by_one, at_once = play(log), play_gathering(log, len(log))

    assert [alert["status"] for alert in at_once.of("alerts")] == ["firing", status]
    assert at_once.emissions == one_by_one.emissions
    assert snapshots(at_once.monitor) == snapshots(one_by_one.monitor)


def test_values_wait_while_no_series_can_have_a_reference() -> None:
    monitor = Monitor(0, Topics())

    monitor.ingest(enumerate(log_of(STORY[:398], 500)))
    young = monitor.is_anything_ready, monitor.evaluate_ready(), monitor.waiting
    monitor.next_offset = None
    monitor.ingest([(1, log_of(STORY[398:402], 500)[0])])

    assert young == (False, [], sum(len(event.payload) for event in STORY[:398]))
    assert monitor.is_anything_ready


def test_series_begin_in_the_order_of_events_however_many_are_read_at_once() -> None:
    rows: list[bytes] = [
        prediction("1", features={"a": 1.0, "late": None}),
        prediction("2", features={"a": 2.0}),
        outcome("1"),
        prediction("3", features={"later": 1.0, "late": 2.0}, score=0.5),
        outcome("2"),
    ]
    one_by_one = play(log_of(taken_in(rows), 1))
    monitor = Monitor(0, Topics())

    monitor.ingest(enumerate(log_of(taken_in(rows), 1)))
    monitor.evaluate_all()

    assert snapshots(monitor) == snapshots(one_by_one.monitor)
    assert list(monitor.models["m"].series.describe()) == [
        "feature/a",
        "prediction",
        "error",
        "outcome",
        "feature/late",
        "feature/later",
        "score",
    ]


def test_a_model_with_a_profile_is_never_too_young_to_tell_something() -> None:
    made = profile(WatchSpec(role="feature"), [float(row % 50) for row in range(1_000)])
    spec = ModelSpec.model_validate({"reference": {"profile": {"feature/a": made}}})
    monitor = Monitor(0, Topics(), lambda _model_id: spec)
    wild = [accepted(prediction(f"{row}", features={"a": 1e6}), row) for row in range(100)]

    monitor.ingest([(0, log_of(wild)[0])])

    assert {each.role for each in monitor.evaluate_ready()} == {"alerts", "status"}


def test_no_more_than_so_many_bytes_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 100_000
    monkeypatch.setattr("streams.monitor.MAX_WAITING_BYTES", most)
    monitor = Monitor(0, Topics())

    for record in enumerate(log_of(STORY, 500)):
        monitor.ingest([record])
        assert monitor.waiting < most


@pytest.mark.parametrize(("rows", "changes"), [(1_198, []), (1_199, [("feature/f", "level")])])
def test_no_more_than_1000_predictions_of_a_model_wait_after_the_199_in_which_it_is_young(
    rows: int, changes: list[tuple[str, str]]
) -> None:
    monitor = Monitor(0, Topics())

    emissions = monitor.ingest(enumerate(log_of(drifting(rows), 100)))

    assert Played(monitor, emissions).changes() == changes


def test_of_records_gathered_at_once_a_restored_model_skips_those_that_it_covers() -> None:
    log = list(enumerate(log_of(STORY, 100)))
    expected = play([value for _, value in log])
    ahead = Monitor(0, Topics())
    early = [*ahead.ingest(log[:20]), *ahead.evaluate_all()]
    restored = restarted(ahead, {})
    restored.next_offset = 10

    late = [*restored.ingest(log[10:]), *restored.evaluate_all()]

    assert sorted(early + late) == sorted(expected.emissions)
    assert restored.models["m"].counts.repeated_events == 0


@pytest.mark.parametrize("events_per_record", [1, 7, 100])
def test_how_the_log_is_cut_into_records_changes_nothing_but_the_evidence(
    events_per_record: int,
) -> None:
    assert told(play(log_of(STORY, events_per_record))) == told(ALL_AT_ONCE)


def test_evidence_names_the_records_that_hold_the_proof() -> None:
    log = log_of(STORY, 100)
    played = play(log, first_offset=1_000)

    for row in played.of("labelled")[::97]:
        place = row["evidence"]
        payload = decode_events(log[place["offset"] - 1_000]).payloads[place["index"]]
        assert f'"{row["outcome"]["prediction_id"]}"'.encode() in payload
    for alert in played.of("alerts"):
        assert 1_000 <= alert["evidence"]["first_offset"] <= alert["evidence"]["last_offset"]


# Rule 4


def with_late_outcomes(values: list[bytes]) -> list[bytes]:
    """Let every outcome come 500 predictions after its own, so that many wait."""
    predictions, outcomes = values[::2], values[1::2]
    late = [
        value
        for row in range(len(predictions) + 500)
        for value in (
            predictions[row : row + 1] + (outcomes[row - 500 : row - 499] if row >= 500 else [])
        )
    ]
    return [value for row, value in enumerate(late) if row % 37 or b"predicted_at" in value]


@cache
def late() -> tuple[list[bytes], Played]:
    log = log_of(taken_in(with_late_outcomes(story(STORY_ROWS, onset=450))), 100)
    return log, play(log)


@pytest.mark.parametrize("records_between", [1, 7, 23])
def test_a_restart_between_any_two_records_changes_no_byte(records_between: int) -> None:
    log, steady = late()
    monitor = Monitor(0, Topics())
    stored: Store = {}
    emissions: list[Emission] = []

    for offset, record in enumerate(log):
        emissions += monitor.apply(offset, record)
        if offset % records_between == 0:
            monitor = restarted(monitor, stored)

    assert emissions == steady.emissions
    assert monitor.models["m"].snapshot() == steady.monitor.models["m"].snapshot()
    assert len(stored) > 5


def test_a_restored_model_skips_the_records_that_its_snapshot_covers() -> None:
    log = log_of(
        taken_in([prediction("a"), prediction("b", "n"), outcome("a"), outcome("b", "n")]), 2
    )
    ahead = Monitor(0, Topics())
    for offset, record in enumerate(log):
        ahead.apply(offset, record)
    covering = restarted(ahead, {}).models["m"]

    late = Monitor(0, Topics())
    late.resume({"m": Restored(covering, 1)}, 0)
    emissions = [e for offset, record in enumerate(log) for e in late.apply(offset, record)]

    assert [e.model_id for e in emissions] == ["n"]
    assert covering.counts.repeated_events == 0
    assert covering.counts.labelled == 1


# Repetitions: several writers of ingest, each of which writes a contiguous run of every source

SHORT = STORY[:16]


@st.composite
def written_by_zombies(draw: st.DrawFn) -> list[Accepted]:
    """Interleave writers that each start at or below what is durable, and stop anywhere."""
    sources = sorted({event.source for event in SHORT}, key=lambda source: source.kind)
    of_source = {s: [event for event in SHORT if event.source == s] for s in sources}
    durable = dict.fromkeys(sources, 0)
    writers: list[dict[Source, int]] = []
    log: list[Accepted] = []
    while any(durable[s] < len(of_source[s]) for s in sources):
        if not writers or draw(st.integers(0, 9)) == 0:
            writers.append({s: draw(st.integers(0, durable[s])) for s in sources})
        writer = draw(st.sampled_from(writers))
        source = draw(
            st.sampled_from([s for s in sources if writer[s] < len(of_source[s])] or sources)
        )
        if writer[source] < len(of_source[source]):
            log.append(of_source[source][writer[source]])
            writer[source] += 1
            durable[source] = max(durable[source], writer[source])
        elif all(writer[s] == len(of_source[s]) for s in sources):
            writers.remove(writer)
    return log


@given(written_by_zombies(), st.integers(1, 20))
@settings(max_examples=50)
def test_an_event_is_taken_once_whatever_two_writers_of_ingest_interleave(
    log: Sequence[Accepted], events_per_record: int
) -> None:
    played = play(log_of(log, events_per_record))

    counts = played.monitor.models["m"].join.counts
    assert (counts.predictions, counts.outcomes, counts.pairs) == (8, 8, 8)
    assert counts.duplicate_predictions == counts.duplicate_outcomes == 0
    assert played.monitor.models["m"].counts.repeated_events == len(log) - len(SHORT)
    assert sorted(row["prediction"]["prediction_id"] for row in played.of("labelled")) == sorted(
        f"p{row}" for row in range(8)
    )


def test_an_event_of_another_source_with_the_same_offset_is_another_event() -> None:
    elsewhere = Source("prediction", "predictions", 1)
    anew = Source("prediction", "predictions", 0, "created anew")
    events = [
        accepted(prediction("a"), 0),
        accepted(prediction("b"), 0, source=elsewhere),
        accepted(prediction("c"), 0, source=anew),
    ]

    played = play(log_of(events))

    assert played.monitor.models["m"].counts.predictions == 3


# What was refused, and names its model (Rule 6)


def refused(offset: int, model_id: str = "m") -> Accepted:
    """What ingest tells a model of a prediction that has no answer."""
    given = raw(orjson.dumps({"prediction_id": f"x{offset}", "model_id": model_id}), offset)
    event = accept(given)
    assert isinstance(event, Refused)
    assert event.event is not None
    return event.event


def mixed(good: int, bad: int) -> list[Accepted]:
    return [
        *(accepted(prediction(f"p{row}"), row) for row in range(good)),
        *(refused(good + row) for row in range(bad)),
    ]


def test_refused_predictions_are_an_alert_of_their_model_wherever_it_restarts() -> None:
    log = log_of([*mixed(700, 20), *mixed(721, 0)[720:]], events_per_record=50)

    whole, restarting = play(log), play_restarting(log)

    (alert,) = whole.firings()
    assert (alert["kind"], alert["series"], alert["aspect"]) == (
        "service",
        "predictions",
        "refused",
    )
    assert restarting.emissions == whole.emissions
    assert [m.models["m"].snapshot() for m in (whole.monitor, restarting.monitor)] == [
        whole.monitor.models["m"].snapshot()
    ] * 2


def test_no_model_begins_with_what_was_refused() -> None:
    early = [refused(offset) for offset in range(40)]

    apart = play(log_of([*early, accepted(prediction(), 40)], events_per_record=1))
    together = play(log_of([*early, accepted(prediction(), 40)]))

    assert play(log_of(early)).monitor.models == {}
    for played in (apart, together):
        model = played.monitor.models["m"]
        assert (model.counts.predictions, model.traffic.rows.beside) == (1, {})


def test_what_was_refused_is_taken_once_and_hides_nothing_that_comes_after() -> None:
    events = mixed(3, 2)

    monitor = play(log_of([*events, *events, accepted(prediction("later"), 5)])).monitor

    model = monitor.models["m"]
    assert model.counts.predictions == 4
    assert model.counts.repeated_events == 5
    assert model.traffic.rows.beside == {"prediction_refused": 2}
    assert model.taken == 4
