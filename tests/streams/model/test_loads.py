"""Rows that come in loads, sorted: they are read in an order drawn by a hash."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
from msgspec.structs import replace

from streams.clock import DAY_MS
from streams.emission import EventRow
from streams.model import loads
from streams.model.loads import LEAST_ROWS, QUIET_MS, Load
from tests.doubles.core import Played, log_of, play, play_gathering, play_restarting
from tests.doubles.inputs import START_MS, accepted, outcome, prediction

LOADS, ROWS = 9, 250
LABELLED_MS = 1_800_000


@cache
def log_of_loads(changed_from: int = LOADS) -> Sequence[bytes]:
    """Return a load a night: predictions sorted by a feature, then outcomes sorted by class.

    From one load on the feature is two deviations higher, and half of the outcomes are wrong.
    """
    rng = np.random.default_rng(5)
    events = []
    for load in range(LOADS):
        is_changed = load >= changed_from
        values = np.sort(rng.normal(size=ROWS)) + 2.0 * is_changed
        is_wrong = np.sort(rng.random(ROWS)) > (0.5 if is_changed else 0.9)
        for row in range(ROWS):
            at_ms, name = START_MS + load * DAY_MS + 40 * row, f"{load}-{row}"
            given = prediction(name, predicted_at=at_ms, features={"x": float(values[row])})
            events.append(accepted(given, logged_at=at_ms))
        for row in range(ROWS):
            at_ms, name = START_MS + load * DAY_MS + LABELLED_MS + 40 * row, f"{load}-{row}"
            given = outcome(name, observed_at=at_ms, outcome="no" if is_wrong[row] else "yes")
            events.append(accepted(given, logged_at=at_ms))
    end_ms = at_ms + QUIET_MS
    events.append(accepted(outcome("of none", observed_at=end_ms), logged_at=end_ms))
    return log_of([replace(each, offset=place) for place, each in enumerate(events)], 300)


@cache
def played(changed_from: int = LOADS) -> Played:
    return play(log_of_loads(changed_from))


def changes_of(played: Played) -> list[tuple[str, str]]:
    """Return the changes found once rows are held: they are so from the third load on."""
    return [
        (alert["series"], alert["direction"])
        for alert in played.firings()
        if alert["predictions_seen"] > 2 * ROWS and alert["series"] in ("feature/x", "error")
    ]


def test_sorted_loads_are_no_change() -> None:
    assert changes_of(played()) == []


def test_a_change_within_loads_is_found() -> None:
    assert sorted(changes_of(played(6))) == [("error", "up"), ("feature/x", "up")]


def test_neither_records_nor_readings_nor_restarts_change_anything() -> None:
    log, expected = log_of_loads(6), played(6).bytes_of("alerts")

    for other in (play_gathering(log, 7), play_gathering(log, 1_000), play_restarting(log)):
        assert other.bytes_of("alerts") == expected


def rows_in(load: Load, rows: int, first: int, at_ms: int, gap_ms: int) -> bool:
    """Let rows come at even gaps; return whether rows are held after them."""
    for row in range(first, first + rows):
        now_ms = at_ms + gap_ms * (row - first)
        if now_ms > load.quiet_ms:
            load.begin_run(row, now_ms)
        load.quiet_ms = now_ms + QUIET_MS
    return load.is_on


@pytest.mark.parametrize(
    ("rows", "gap_ms", "pause_ms"),
    [
        (LEAST_ROWS - 1, 10, DAY_MS),  # a clump
        (2_000, 301, DAY_MS),  # longer than ten minutes
        (1_000, 10_000, 90_000),  # a stream with a gap
    ],
)
def test_what_is_no_load_is_read_as_it_comes(rows: int, gap_ms: int, pause_ms: int) -> None:
    load, at_ms = Load(), START_MS
    for run in range(5):
        assert not rows_in(load, rows, 1 + run * rows, at_ms, gap_ms)
        at_ms += gap_ms * rows + pause_ms


def test_a_history_sent_at_once_is_no_reason_to_hold_the_stream_that_follows() -> None:
    load = Load()
    rows_in(load, 5_000, 1, START_MS, 1)

    assert not rows_in(load, 5_000, 5_001, START_MS + DAY_MS, 20_000)


def test_a_model_that_streams_again_is_read_as_it_comes() -> None:
    load = Load()
    for run in range(3):
        rows_in(load, 1_000, 1 + 1_000 * run, START_MS + run * DAY_MS, 10)
    assert load.is_on

    assert not rows_in(load, 600, 3_001, START_MS + 4 * DAY_MS, QUIET_MS + 1)


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loads, "MOST_VALUES", 100)
    load = Load()

    rows = [EventRow(row, 0, START_MS + row, 0, row, 0, None) for row in range(10)]

    full = [load.hold(row, 7) for row in rows]

    assert full == 9 * [False] + [True]
    assert load.due_ms == START_MS + 9 + QUIET_MS
    taken = load.taken(1, 10)
    assert taken != rows
    assert sorted(taken, key=lambda row: row.offset) == rows
    assert load.held == []
