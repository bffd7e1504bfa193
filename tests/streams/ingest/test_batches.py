from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import accumulate
from random import Random

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.event import Source, decode_events, encode_tick
from schemas.model_spec import AlertRules, ModelSpec
from schemas.topics import MAX_RECORD_BYTES, Topics, model_partition
from schemas.wire import MAX_PAYLOAD_BYTES
from streams.clock import HOUR_MS, NEVER_MS
from streams.emission import Emission
from streams.ingest.batches import (
    MAX_BATCH_BYTES,
    MAX_BATCH_EVENTS,
    TICK_EVERY_MS,
    TICKS_AT_MOST,
    pack,
    pack_with_ticks,
)
from streams.ingest.records import Accepted
from streams.monitor import Monitor
from streams.traffic.silence import SHORTEST_MS
from tests.doubles import strategies
from tests.doubles.inputs import START_MS, accepted, outcome, prediction

# Rule 1


@given(strategies.ids, st.integers(1, 64))
@example("car_loan", 4)
def test_a_model_has_one_partition_that_any_language_can_compute(
    model_id: str, partitions: int
) -> None:
    assert model_partition(model_id, partitions) == zlib.crc32(model_id.encode()) % partitions


@pytest.mark.parametrize(("model_id", "partition"), [("car_loan", 3), ("b", 1), ("modèle", 1)])
def test_the_partition_of_a_model_never_changes(model_id: str, partition: int) -> None:
    assert model_partition(model_id, 4) == partition


def test_every_event_is_packed_into_its_models_partition() -> None:
    events = [accepted(prediction(model_id=f"m{i % 7}"), offset=i) for i in range(100)]

    for partition, _, value, _ in pack(events, 4):
        models = {orjson.loads(payload)["model_id"] for payload in decode_events(value).payloads}

        assert {model_partition(model, 4) for model in models} == {partition}


# Rule 2


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=60), st.integers(1, 4))
def test_packing_keeps_the_order_of_every_source_and_loses_nothing(
    arrivals: list[tuple[int, int]], partitions: int
) -> None:
    events = [
        accepted(
            prediction(f"p{i}", f"m{model}"),
            offset=i,
            source=Source("prediction", "predictions", source),
        )
        for i, (source, model) in enumerate(arrivals)
    ]

    records = [(p, decode_events(value)) for p, _, value, _ in pack(events, partitions)]

    for partition in range(partitions):
        packed = [
            (batch.sources[index].partition, offset, logged_at, payload)
            for p, batch in records
            if p == partition
            for index, offset, logged_at, payload in zip(
                batch.source_index,
                batch.source_offset,
                batch.logged_at,
                batch.payloads,
                strict=True,
            )
        ]
        assert packed == [
            (event.source.partition, event.offset, event.logged_at, event.payload)
            for event in events
            if model_partition(event.model_id, partitions) == partition
        ]


def test_a_record_is_stamped_with_its_latest_instant_and_keyed_by_a_model() -> None:
    events = [
        accepted(prediction(), offset=0, logged_at=START_MS + 9),
        accepted(prediction(), offset=1, logged_at=START_MS),
    ]

    ((_, key, _, timestamp_ms),) = pack(events, 1)

    assert (key, timestamp_ms) == ("m", START_MS + 9)


def test_nothing_to_pack_makes_no_record() -> None:
    assert pack([], 4) == []


def test_a_record_holds_a_bounded_number_of_events() -> None:
    events = [accepted(prediction(), offset=i) for i in range(2 * MAX_BATCH_EVENTS + 1)]

    sizes = [len(decode_events(value).payloads) for _, _, value, _ in pack(events, 1)]

    assert sizes == [MAX_BATCH_EVENTS, MAX_BATCH_EVENTS, 1]


def test_large_events_make_small_batches() -> None:
    events = [accepted(prediction(features={"f": "x" * 1_000}), offset=i) for i in range(1_000)]

    sizes = [len(value) for _, _, value, _ in pack(events, 1)]

    assert len(sizes) > 2
    assert max(sizes) < MAX_BATCH_BYTES + 100_000


def grown() -> bytes:
    """Return the valid payload that grows most: numbers that are written out in full."""
    head = prediction()[:-1] + b',"features":{'
    numbers = b",".join(b'"%d":1e15' % i for i in range(1_000))
    scores = b",".join(b'"%d":1e-4' % i for i in range(1_000))
    return head + numbers + b'},"scores":{' + scores + b"}}"


@pytest.mark.parametrize(
    "value",
    [
        grown(),
        prediction(features={f"{i:0240}": "\x01" for i in range(990)}),
        prediction(features={f"f{i:03}": "\x7f\x01" * 20 for i in range(1_000)}),
        prediction(features={f"f{i:03}": "\U0001f30a" * 60 for i in range(1_000)}),
    ],
    ids=["numbers", "names", "control characters", "emoji"],
)
def test_no_valid_payload_makes_a_record_above_the_limit(value: bytes) -> None:
    assert len(value) <= MAX_PAYLOAD_BYTES
    long_topic = Source("prediction", "t" * 249, 2**31 - 1)
    events = [accepted(value, offset=2**62 + i, source=long_topic) for i in range(5)]

    assert max(len(record) for _, _, record, _ in pack(events, 1)) <= MAX_RECORD_BYTES


def test_a_number_grows_at_most_four_and_a_half_times() -> None:
    before = b"1e15,1e14,9e15,1e-5,1e16,1e-4,1e5"
    value = prediction()[:-1] + b',"features":{%s}}' % b",".join(
        b'"%d":%s' % (i, number) for i, number in enumerate(before.split(b","))
    )
    features = accepted(value).payload.partition(b'"features":{')[2].rstrip(b"}").split(b",")

    for number, written in zip(before.split(b","), features, strict=True):
        assert len(written.partition(b":")[2]) <= 4.5 * len(number)


# Rule 3


MINUTE_MS = 60_000
DAY_MS = 24 * HOUR_MS


def at(*instants: int) -> list[Accepted]:
    """Predictions at these instants, in milliseconds after the start."""
    return [
        accepted(prediction(f"p{row}"), row, logged_at=START_MS + instant)
        for row, instant in enumerate(instants)
    ]


def written(
    events: Sequence[Accepted],
    due_ms: Callable[[int], int],
    *,
    quiet_ms: int = 0,
    clock_ms: int = 0,
) -> list[int | list[int]]:
    """Return ticks, and the instants of each record's events, in ms after the start."""
    batches = map(decode_events, pack_with_ticks(events, clock_ms, due_ms, quiet_ms))
    return [
        [instant - START_MS for instant in batch.logged_at]
        if batch.tick_ms is None
        else batch.tick_ms - START_MS
        for batch in batches
    ]


def never(_until_ms: int) -> int:
    return NEVER_MS


def always(_until_ms: int) -> int:
    return 0


def test_ticks_stand_on_the_grid_between_the_events_before_and_after_them() -> None:
    assert written(at(0, 9_999, 10_000, 10_001, 30_001), always, clock_ms=START_MS) == [
        [0],
        0,
        [9_999, 10_000],
        10_000,
        [10_001],
        20_000,
        30_000,
        [30_001],
    ]


def test_an_event_at_the_instant_of_a_tick_stands_before_it() -> None:
    ticks_and_events = written(at(0, 20_000, 20_001), always, clock_ms=START_MS)

    assert ticks_and_events == [[0], 0, 10_000, [20_000], 20_000, [20_001]]


def test_before_the_first_event_of_a_log_there_is_no_tick() -> None:
    assert written(at(5, 20_000), never) == [[5], [20_000]]


def test_a_tick_stands_where_it_is_due_and_nowhere_else() -> None:
    def due(_until_ms: int) -> int:
        return START_MS + 25_000

    assert written(at(0, 40_000), due, clock_ms=START_MS)[:2] == [[0], 30_000]
    assert written(at(0, 40_000), never, clock_ms=START_MS) == [[0], [40_000]]


def test_what_is_due_late_is_due_at_the_next_tick_and_not_in_the_past() -> None:
    def due(_until_ms: int) -> int:
        return START_MS - HOUR_MS

    assert written(at(15_000, 35_000), due, clock_ms=START_MS + 12_000) == [
        [15_000],
        20_000,
        30_000,
        [35_000],
    ]


def test_an_event_out_of_order_moves_no_clock_back() -> None:
    assert written(at(15_000, 2_000, 21_000), always, clock_ms=START_MS + 12_000) == [
        [15_000, 2_000],
        20_000,
        [21_000],
    ]


def test_records_end_where_a_tick_may_be_due_because_of_their_events() -> None:
    minutes = at(*range(0, 10 * MINUTE_MS, MINUTE_MS))

    def long(quiet_ms: int) -> list[int]:
        records = written(minutes, never, quiet_ms=quiet_ms, clock_ms=START_MS)
        return [len(record) for record in records if isinstance(record, list)]

    assert long(0) == [1] * 10
    assert long(2 * MINUTE_MS) == [1, 3, 3, 3]
    assert long(HOUR_MS) == [1, 9]


def test_one_instant_of_the_far_future_makes_a_bounded_number_of_ticks() -> None:
    events = at(0, 20 * 365 * DAY_MS)

    assert len(written(events, always, clock_ms=START_MS)) == 2 + TICKS_AT_MOST


# A recorded log and a live one


def events_of_models(seed: int, models: set[str]) -> list[Accepted]:
    """Events of some of four models over 58 hours, with silences.

    `steady` has no silence, so that those of the others lie within records. `stops` is silent for
    three hours; its outcomes still come. `flaps` is silent three times within hours. `rare` has an
    event in six minutes, and a silence of a day. Some predictions come twice.
    """
    random = Random(seed)  # noqa: S311 - test data
    silent = {
        "stops": [(36.2, 39.2), (54.0, 54.7)],
        "flaps": [(37.0, 37.5), (38.0, 38.9), (39.4, 42.0)],  # each longer than what is learnt
        "rare": [(28.0, 52.0)],
        "steady": [],
    }
    every_ms = {"stops": 120_000, "flaps": 45_000, "rare": 360_000, "steady": 80_000}
    rows: list[tuple[int, str, str, bool]] = []
    for model, gaps in silent.items():
        gap_ms = every_ms[model]
        instants = accumulate(
            random.randrange(gap_ms // 2, 2 * gap_ms) for _ in range(58 * HOUR_MS // gap_ms)
        )
        for row, instant in enumerate(instants):
            hour = instant / HOUR_MS
            if hour > 58:
                break
            if not any(begin < hour < end for begin, end in gaps):
                rows.append((instant, model, f"{model}{row}", False))
                rows.append((instant + 2_000, model, f"{model}{row}", random.random() < 0.5))
                if random.random() < 0.1:
                    rows.append((instant + 1_000, model, f"{model}{row}", False))
            elif model == "stops":
                rows.append((instant, model, f"{model}{row}", True))
    offsets = {False: 0, True: 0}
    events = []
    for instant, model, name, is_outcome in sorted(row for row in rows if row[1] in models):
        make = outcome if is_outcome else prediction
        instants_of = {"observed_at" if is_outcome else "predicted_at": START_MS + instant}
        value = make(name, model, **instants_of)
        events.append(accepted(value, offsets[is_outcome], logged_at=START_MS + instant))
        offsets[is_outcome] += 1
    return events


def alerts_of(emissions: Sequence[Emission]) -> list[dict[str, object]]:
    """Return alerts in log order, without the offsets of their evidence."""
    found = [orjson.loads(each.value) for each in emissions if each.role == "alerts"]
    assert all(alert.pop("evidence") for alert in found)
    return found


def monitor_of(spec: ModelSpec) -> Monitor:
    return Monitor(0, Topics(), lambda _model_id: spec)


def live(events: Sequence[Accepted], spec: ModelSpec) -> list[dict[str, object]]:
    """Append each event when it comes, and every tick when it is due."""
    monitor, log, tick_ms = monitor_of(spec), [], START_MS
    for event in events:
        while tick_ms < event.logged_at:
            log.append(encode_tick(tick_ms))
            tick_ms += TICK_EVERY_MS
        log += [value for _, _, value, _ in pack([event], 1)]
    emissions = monitor.ingest(enumerate(log)) + monitor.evaluate_all()
    return alerts_of(sorted(emissions, key=lambda each: each.place))


def recorded(
    events: Sequence[Accepted], spec: ModelSpec, *, quiet_ms: int
) -> list[dict[str, object]]:
    """Take a recorded log ``MAX_BATCH_EVENTS`` at a time, as a backtest does."""
    monitor, emissions, offset, clock_ms = monitor_of(spec), [], 0, 0
    for first in range(0, len(events), MAX_BATCH_EVENTS):
        part = events[first : first + MAX_BATCH_EVENTS]
        for record in pack_with_ticks(part, clock_ms, monitor.tick_due_ms, quiet_ms):
            emissions += monitor.apply(offset, record)
            offset += 1
        clock_ms = part[-1].logged_at
    return alerts_of(emissions)


@pytest.mark.parametrize(
    ("seed", "models"),
    [(0, {"stops", "flaps", "rare", "steady"}), (1, {"flaps", "rare"})],
)
def test_a_recorded_log_has_the_alerts_of_a_live_one(seed: int, models: set[str]) -> None:
    spec = ModelSpec(alerts=AlertRules(renotify_s=6 * 3_600.0))
    events = events_of_models(seed, models)

    expected = live(events, spec)
    found = recorded(events, spec, quiet_ms=SHORTEST_MS)

    silences = [alert for alert in expected if alert["aspect"] == "silence"]
    firings = Counter(alert["model_id"] for alert in silences if alert["status"] == "firing")
    assert firings.keys() >= models - {"steady"}
    assert firings["flaps"] >= 3 * ("flaps" in models)
    assert found == expected
