"""Ticks in the log: what they tell, and that they leave no mark where they tell nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import orjson
import pytest

from schemas.event import EventBatch, decode_events, encode_tick
from schemas.model_spec import AlertRules, ModelSpec, OutcomeRules
from schemas.topics import Topics
from schemas.wire import to_epoch_ms
from streams.clock import HOUR_MS
from streams.codec import encode
from streams.emission import Emission
from streams.ingest.batches import pack
from streams.ingest.records import Accepted
from streams.model.model import Restored
from streams.monitor import Monitor
from tests.doubles.core import Played, Store, log_of, play, play_restarting, restarted
from tests.doubles.inputs import START_MS, accepted, control, outcome, prediction

MINUTE_MS = 60_000
ROWS = 2 * 24 * 60
LAST_MS = START_MS + (ROWS - 1) * MINUTE_MS
DUE_MS = LAST_MS + 16 * MINUTE_MS
"""A prediction a minute for two days: more than 16 mean gaps are no chance."""


def predicted(
    first: int = 0, rows: int = ROWS, *, model_id: str = "m", late_ms: int = 0
) -> list[Accepted]:
    """Predictions, one a minute."""
    return [
        accepted(
            prediction(f"{model_id}{row}", model_id, predicted_at=START_MS + row * MINUTE_MS),
            row,
            logged_at=START_MS + row * MINUTE_MS + late_ms,
        )
        for row in range(first, first + rows)
    ]


def ticks(*minutes: float) -> list[bytes]:
    """Ticks so many minutes after the last prediction."""
    return [encode_tick(LAST_MS + int(minute * MINUTE_MS)) for minute in minutes]


HISTORY = log_of(predicted())


def told(played: Played) -> list[tuple[str, float]]:
    """Return what became of the silence, and how many minutes after the last prediction."""
    return [
        (alert["status"], round((to_epoch_ms(alert["detected_at"]) - LAST_MS) / MINUTE_MS, 1))
        for alert in played.of("alerts")
        if (alert["model_id"], alert["series"], alert["aspect"]) == ("m", "predictions", "silence")
    ]


def resting() -> Monitor:
    """A monitor to which the history has been applied, and saved."""
    monitor = play(HISTORY).monitor
    monitor.touched = {}
    return monitor


def state(monitor: Monitor) -> dict[str, bytes]:
    return {model_id: model.snapshot() for model_id, model in monitor.models.items()}


def apply(monitor: Monitor, *values: bytes) -> list[Emission]:
    return [e for value in values for e in monitor.apply(monitor.next_offset or 0, value)]


# What a tick tells


def test_a_producer_that_goes_silent_is_told_when_the_silence_is_too_long_and_once() -> None:
    played = play([*HISTORY, *ticks(5, 15.7, 16, 17, 60)])

    assert told(played) == [("firing", 16.0)]
    (alert,) = played.firings()
    assert (alert["severity"], alert["value"], alert["baseline"]) == ("critical", 960.0, 60.0)
    assert alert["summary"] == (
        "Model m: no predictions for 16 min, normally at most 1 min at this hour. "
        "Check the prediction service."
    )
    assert alert["evidence"]["last_offset"] == len(HISTORY) + 2, "the tick is the evidence"


def test_it_is_over_with_the_first_prediction_that_comes_again() -> None:
    back = log_of(predicted(ROWS + 30, 3))

    played = play([*HISTORY, *ticks(20), *back, *ticks(34)])

    assert told(played) == [("firing", 20.0), ("resolved", 31.0)]
    assert played.bytes_of("status")[-1] == b""


def test_what_still_comes_is_said() -> None:
    answers = [
        accepted(outcome(f"m{row}"), row, logged_at=LAST_MS + row * MINUTE_MS) for row in range(30)
    ]

    played = play([*HISTORY, *log_of(answers), *ticks(29.5)])

    assert told(played) == [("firing", 29.5)]
    assert "; outcomes still arrive. " in played.firings()[0]["summary"]


def test_a_silence_that_lasts_is_said_again_when_its_spec_says_so() -> None:
    hourly = ModelSpec(alerts=AlertRules(renotify_s=3_600))

    played = play([*HISTORY, *ticks(16, 40, 75, 76, 77, 90, 136)], lambda _: hourly)

    assert told(played) == [("firing", 16.0), ("ongoing", 76.0), ("ongoing", 136.0)]


def test_an_hour_that_is_quiet_every_day_is_no_silence() -> None:
    days = [event for event in predicted(rows=4 * 1_440) if event.logged_at // HOUR_MS % 24 >= 6]
    log: list[bytes] = []
    for first in range(0, len(days), 60):
        log += log_of(days[first : first + 60])
        until_ms = days[first + 60].logged_at if first + 60 < len(days) else LAST_MS
        log += [
            encode_tick(at_ms)
            for at_ms in range(days[first + 59].logged_at, until_ms, 10 * MINUTE_MS)
        ]

    assert told(play(log)) == []


def test_a_silence_that_flaps_is_over_when_it_has_been_away_as_long() -> None:
    log = [*HISTORY]
    for row in (20, 180, 1_090):
        log += [*ticks(row - 1), *log_of(predicted(ROWS + row, 10)), *ticks(row + 10)]
    log += log_of(predicted(ROWS + 1_100, 1_060))

    played = play([*log, *ticks(2_160.9, 2_161, 2_162)])

    assert [status for status, _ in told(played)] == ["firing", "resolved"] * 3
    assert told(played)[-2:] == [("firing", 1_089.0), ("resolved", 2_161.0)]


# What it does not tell


@pytest.mark.parametrize("minutes", [[], [0.5, 2, 3, 10], [15.7], [-600, 15, -3, 1]])
def test_a_tick_that_tells_nothing_leaves_no_mark_and_touches_nobody(
    minutes: list[float],
) -> None:
    monitor, untold = resting(), resting()
    later = [*log_of(predicted(ROWS + 15, 200)), *ticks(400)]

    assert apply(monitor, *ticks(*minutes)) == []
    assert state(monitor) == state(untold)
    assert monitor.touched == {}

    shift = len(minutes)
    emitted, others = apply(monitor, *later), apply(untold, *later)
    assert [(e.place[0] - shift, e.role, e.now_ms) for e in emitted] == [
        (e.place[0], e.role, e.now_ms) for e in others
    ]
    assert emitted
    assert encode(monitor.models["m"].traffic) == encode(untold.models["m"].traffic)


def test_a_tick_touches_those_whom_it_tells_something_and_no_other() -> None:
    busy = predicted(rows=ROWS + 16, model_id="busy")
    young = predicted(rows=50, model_id="young")
    monitor = play(log_of([*predicted(), *busy, *young])).monitor
    before = state(monitor)
    monitor.touched = {}

    apply(monitor, *ticks(17))

    after = state(monitor)
    assert list(monitor.touched) == ["m"]
    assert [model_id for model_id in after if after[model_id] != before[model_id]] == ["m"]


def test_repeated_ticks_and_older_ones_change_nothing() -> None:
    monitor = resting()
    apply(monitor, *ticks(20))
    monitor.touched = {}
    before = state(monitor)

    assert apply(monitor, *ticks(20, 20, 16, 3, -100)) == []
    assert (state(monitor), monitor.touched) == (before, {})


def test_predictions_of_a_tick_that_comes_late_are_not_silent() -> None:
    back = log_of(predicted(ROWS + 10, 1))

    assert told(play([*HISTORY, *back, *ticks(9, 20, 25)])) == []


def test_the_end_of_a_log_is_no_silence_without_a_tick() -> None:
    assert told(play(HISTORY)) == []


# The model's own clock (Rule 7)


def came(events: Sequence[Accepted], appended_at: int) -> list[bytes]:
    """Records that ingest appended at an instant."""
    return [value for _, _, value, _ in pack(events, 1, appended_at)]


def test_a_backlog_keeps_its_time_and_its_silence_begins_when_it_was_read() -> None:
    year_ms = 365 * 24 * HOUR_MS
    backlog = came(predicted(), LAST_MS + year_ms)

    def later(minutes: float) -> bytes:
        return encode_tick(LAST_MS + year_ms + int(minutes * MINUTE_MS))

    played = play([*backlog, later(0.1), later(15), later(16), later(40)])

    assert told(played) == [("firing", 16.0)]


def test_a_producer_whose_clock_is_behind_is_not_silent() -> None:
    log = [
        value
        for row in range(0, ROWS, 10)
        for value in (
            *came(predicted(row, 10), START_MS + (row + 70) * MINUTE_MS),
            encode_tick(START_MS + (row + 71) * MINUTE_MS),
        )
    ]

    assert told(play(log)) == []


def test_a_straggler_that_moves_no_clock_is_a_sign_of_life() -> None:
    live = came(predicted(), LAST_MS + 500)
    stragglers = [
        value
        for minute in (5, 10, 15, 20)
        for value in (
            *came(predicted(ROWS + minute, 1, late_ms=-2 * HOUR_MS), LAST_MS + minute * MINUTE_MS),
            *ticks(minute + 4),
        )
    ]

    assert told(play([*live, *stragglers])) == []
    assert [status for status, _ in told(play([*live, *stragglers, *ticks(37)]))] == ["firing"]


def test_outcomes_with_old_timestamps_do_not_hide_a_silence() -> None:
    live = came(predicted(), LAST_MS + 500)
    labels = [
        accepted(outcome(f"m{row}"), row, logged_at=LAST_MS - HOUR_MS) for row in range(100, 103)
    ]

    played = play([*live, *came(labels, LAST_MS + 15 * MINUTE_MS), *ticks(17)])

    assert told(played) == [("firing", 17.0)]


def test_who_waits_for_an_outcome_expires_with_the_time_of_a_tick_that_tells() -> None:
    hours = ModelSpec(outcome=OutcomeRules(wait_s=3_600))
    monitor = play(HISTORY, lambda _: hours).monitor
    assert monitor.models["m"].join.waiting_predictions > 50

    apply(monitor, *ticks(15))
    assert monitor.models["m"].join.waiting_predictions > 50
    apply(monitor, *ticks(120))

    assert monitor.models["m"].join.waiting_predictions == 0


# Exactness


@cache
def story() -> list[bytes]:
    other = predicted(rows=ROWS - 40, model_id="other")
    log = came([*predicted(), *other], LAST_MS + 30_000)
    log += [*ticks(3, 17, 17, 30), *log_of(predicted(ROWS + 32, 5)), *ticks(40, 38, 90)]
    answers = [
        accepted(outcome(f"m{row}"), row, logged_at=LAST_MS + (95 + row) * MINUTE_MS)
        for row in range(20)
    ]
    orders = [accepted(control("mute", "0"), 0, logged_at=LAST_MS)]
    log += [*log_of([*answers, *orders]), *ticks(200), *log_of(predicted(ROWS + 210, 5))]
    return log


@cache
def story_told() -> Played:
    return play(story())


def test_a_restart_after_every_record_changes_no_byte() -> None:
    whole, restarting = story_told(), play_restarting(story())

    assert [status for status, _ in told(whole)] == ["firing", "resolved"] * 2
    assert restarting.emissions == whole.emissions
    assert state(restarting.monitor) == state(whole.monitor)


def test_whoever_was_not_saved_at_a_tick_reads_it_again() -> None:
    """A model's snapshot may be older than the commit: nothing has touched it since."""
    stored: Store = {}
    monitor = resting()
    old = restarted(monitor, stored)
    apply(monitor, *ticks(3, 9))
    covered = (monitor.next_offset or 0) - 1
    resumed = Monitor(0, Topics())
    resumed.resume({"m": Restored(old.models["m"], covered - 2)}, covered + 1)

    assert apply(resumed, *ticks(20)) == apply(monitor, *ticks(20))
    assert state(resumed) == state(monitor)


def test_a_restored_model_skips_the_ticks_that_its_snapshot_covers() -> None:
    resumed = Monitor(0, Topics())
    model = restarted(resting(), {}).models["m"]
    resumed.resume({"m": Restored(model, len(HISTORY))}, len(HISTORY))

    assert apply(resumed, *ticks(20)) == []
    assert apply(resumed, *ticks(20)) != []


@pytest.mark.parametrize("at_once", [2, 7, 1_000])
def test_how_many_records_are_taken_in_at_once_changes_nothing(at_once: int) -> None:
    log = list(enumerate(story()))
    monitor, emissions = Monitor(0, Topics()), []
    for first in range(0, len(log), at_once):
        emissions += monitor.ingest(log[first : first + at_once]) + monitor.evaluate_all()
    whole = story_told()

    assert sorted(emissions, key=lambda e: e.place) == whole.emissions
    assert state(monitor) == state(whole.monitor)


def test_whom_a_tick_tells_stands_in_the_order_of_their_names() -> None:
    events = [*predicted(model_id="b"), *predicted(model_id="a"), *predicted(model_id="c")]

    played = play([*log_of(events), *ticks(30)])

    assert [alert["model_id"] for alert in played.firings()] == ["a", "b", "c"]


def test_an_older_reader_finds_an_empty_record() -> None:
    header = orjson.loads(encode_tick(START_MS))

    assert header.pop("tick_ms") == START_MS
    assert decode_events(orjson.dumps(header)) == EventBatch((), [], [], [], [])
    assert header["type"] == "tidegauge.events.v1"


def test_a_tick_costs_little_where_models_are_many() -> None:
    """Nobody's deadline is worked out twice: the second tick looks at a number for each model."""
    monitor = resting()
    looks: list[int] = []
    model = monitor.models["m"]
    look = model.tick_due_ms

    def counted(tick_ms: int) -> int:
        looks.append(tick_ms)
        return look(tick_ms)

    model.tick_due_ms = counted  # type: ignore[method-assign]
    apply(monitor, *ticks(1, 1.5, 3, 4, 5, 6, 7, 15))

    assert len(looks) == 2, "once to see that it is too early, once for the figure itself"
