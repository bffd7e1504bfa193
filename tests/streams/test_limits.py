"""Models that are put away, ids for which there is no place, and topics that are refused."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import orjson
import pytest

from schemas.event import Source, encode_tick
from schemas.topics import Topics
from streams.emission import Emission
from streams.ingest.dead_letter import WINDOW, RefusedTopics, topic_event
from streams.ingest.records import Accepted
from streams.join.events import JoinCounts
from streams.model.model import Restored
from streams.monitor import Limits, Monitor
from tests.doubles.core import Played, log_of, play, taken_in
from tests.doubles.inputs import START_MS, Removal, accepted, control, outcome, prediction, spec

DAY_MS = 86_400_000
ONE = Topics(partitions=1)
CROWD = "tidegauge.events-0"


def played(log: Sequence[bytes], limits: Limits = Limits(), *, restarts: bool = False) -> Played:  # noqa: B008
    """Play a log of one partition, restarting after every record or not."""
    monitor = Monitor(0, ONE, limits=limits)
    emissions: list[Emission] = []
    for offset, value in enumerate(log):
        emissions += monitor.apply(offset, value)
        if restarts:
            monitor = restarted(monitor, limits, offset)
    return Played(monitor, emissions)


def restarted(monitor: Monitor, limits: Limits, offset: int) -> Monitor:
    """Return a monitor restored from what the present one would store; no chunk is sealed."""
    resumed = Monitor(0, ONE, limits=limits)
    copies = {}
    for name in [*monitor.models, *monitor.known.away]:
        if model := monitor.known.look_at(name):
            copies[name] = Restored(model.revived(model.kept()), offset)
    resumed.resume(copies, offset + 1)
    return resumed


def state_of(monitor: Monitor) -> dict[str, bytes]:
    live = {name: model.snapshot() for name, model in monitor.models.items()}
    return live | {name: away.snapshot for name, away in monitor.known.away.items()}


# Put away


def test_a_spec_without_events_makes_no_model_and_is_in_force_when_they_come() -> None:
    values = [spec(owner="risk", alert_budget=3.0), spec(owner="fraud", alert_budget=4.0)]

    before = played(log_of(taken_in(values), 1)).monitor
    after = played(log_of(taken_in([*values, prediction()]), 1)).monitor

    assert before.models == {}
    assert len(before.known) == 1
    assert before.known.taken == 2
    assert (after.models["m"].in_force.version, after.models["m"].in_force.spec.owner) == (
        2,
        "fraud",
    )


def test_a_control_without_events_makes_no_model_and_is_counted() -> None:
    monitor = played(log_of(taken_in([control("ack", "f"), control("mute", "f")]), 1)).monitor

    assert "m" not in monitor.models
    assert monitor.known.taken == 2


@pytest.mark.parametrize("restarts", [False, True])
def test_a_model_without_events_for_long_is_put_away_and_keeps_its_counts(restarts: bool) -> None:
    values = [prediction("a"), outcome("a"), prediction("b"), spec(owner="risk")]
    ticks = [encode_tick(START_MS + days * DAY_MS) for days in (1, 29, 31, 32)]
    late = accepted(outcome("c"), 9, logged_at=START_MS + 40 * DAY_MS)
    more = accepted(prediction("c"), 9, logged_at=START_MS + 40 * DAY_MS)

    log = [*log_of(taken_in(values), 1), *ticks]
    gone = played(log, restarts=restarts)
    back = played([*log, *log_of([more, late])], restarts=restarts)

    counts = JoinCounts()
    gone.monitor.known.add_counts(counts)
    assert gone.monitor.models == {}
    assert gone.monitor.known.taken == 4
    assert (counts.predictions, counts.pairs, counts.expired_predictions) == (2, 1, 1)
    assert [row["labelled_id"] for row in back.of("labelled")] == ["m/1", "m/2"]
    assert back.monitor.models["m"].in_force.spec.owner == "risk"
    assert back.monitor.models["m"].counts.predictions == 3


def test_restarts_change_nothing_of_what_is_put_away() -> None:
    values = [spec("other", owner="x"), prediction("a"), control("ack", "f", "none"), outcome("a")]
    ticks = [encode_tick(START_MS + days * DAY_MS) for days in (10, 31)]
    log = [*log_of(taken_in(values), 1), *ticks, *log_of(taken_in([Removal("other")]), 1)]

    steady, restarting = played(log), played(log, restarts=True)

    assert steady.emissions == restarting.emissions
    assert state_of(steady.monitor) == state_of(restarting.monitor)


def test_what_is_open_when_a_model_is_put_away_is_over() -> None:
    minute_ms = 60_000
    rows = [
        accepted(prediction(f"p{row}"), row, logged_at=START_MS + row * minute_ms)
        for row in range(2 * 24 * 60)
    ]
    last_ms = rows[-1].logged_at
    ticks = [encode_tick(last_ms + at) for at in (20 * minute_ms, 31 * DAY_MS)]

    told = played([*log_of(rows, 500), *ticks])

    silences = [each for each in told.of("alerts") if each["aspect"] == "silence"]
    assert [each["status"] for each in silences][:1] == ["firing"]
    assert (silences[-1]["status"], silences[-1]["resolved_because"]) == ("resolved", "removed")
    assert told.monitor.models == {}


def test_a_model_that_is_put_away_takes_a_tenth_of_the_memory() -> None:
    away = played(log_of(taken_in([spec(owner="risk")]), 1)).monitor.known.away["m"]

    assert sys.getsizeof(away.snapshot) < 1_700


# No place


def crowd(names: str, repeated: int = 0) -> list[bytes]:
    events = [accepted(prediction(f"p{n}", name), n) for n, name in enumerate(names)]
    return log_of([*events, *events[len(events) - repeated :]], 1)


@pytest.mark.parametrize("restarts", [False, True])
def test_further_ids_are_turned_away_counted_and_told(restarts: bool) -> None:
    log = crowd("abcdeabf", repeated=4)

    told = played(log, Limits(max_models=3), restarts=restarts)

    assert set(told.monitor.models) == {"a", "b", "c", CROWD}
    assert told.monitor.models[CROWD].counts.turned_away == 3
    assert told.monitor.known.taken == 8
    (alert,) = [each for each in told.of("alerts") if each["aspect"] == "crowded"]
    assert (alert["model_id"], alert["kind"], alert["severity"]) == (CROWD, "service", "critical")
    assert alert["evidence"]["last_offset"] == 3


def test_known_models_are_told_the_same_whatever_is_turned_away() -> None:
    values = [value for row in range(300) for value in (prediction(f"{row}"), outcome(f"{row}"))]
    noise = [prediction(f"n{row}", f"id{row}") for row in range(600)]
    mixed = taken_in(value for both in zip(values, noise, strict=True) for value in both)

    together = played(log_of(mixed, 100), Limits(max_models=10))
    alone = [each for each in mixed if each.model_id == "m"]

    rows = [each["labelled_id"] for each in together.of("labelled")]
    assert rows == [each["labelled_id"] for each in play(log_of(alone)).of("labelled")]
    assert len(together.monitor.known) == 11


def test_an_id_that_is_put_away_comes_back_when_there_is_no_place() -> None:
    log = [
        *log_of(taken_in([spec("s", owner="x")]), 1),
        *crowd("ab"),
        *log_of([accepted(prediction("later", "s"), 7)]),
    ]

    monitor = played(log, Limits(max_models=2)).monitor

    assert set(monitor.models) == {"a", "s", CROWD}
    assert monitor.models[CROWD].counts.turned_away == 1


# Topics


def fact(offset: int, refused: int, *, is_high: bool) -> Accepted:
    item = accepted(prediction(), offset, source=Source("prediction", "predictions", 0))
    return topic_event(item, refused, is_high=is_high)


def test_a_topic_of_which_most_is_refused_is_an_alert() -> None:
    told = played(log_of([fact(900, 900, is_high=True), fact(2_000, 100, is_high=False)], 1))

    first, last = told.of("alerts")
    assert first["model_id"] == "topic predictions"
    assert first["summary"].startswith(
        "Model topic predictions: 90.0 % of the last 1,000 records were refused. "
    )
    assert (first["kind"], first["severity"], first["fired_at"]) == (
        "service",
        "critical",
        "2026-01-01T00:00:00.900Z",
    )
    assert last["status"] == "resolved"
    assert told.monitor.known.taken == 0


def test_a_topic_that_is_well_makes_no_model() -> None:
    assert len(played(log_of([fact(0, 3, is_high=False)])).monitor.known) == 0


def test_the_share_of_a_topic_is_told_when_it_rises_and_when_it_falls() -> None:
    topics, told = RefusedTopics(), []
    for refused in [False] * WINDOW + [True] * WINDOW + [False] * WINDOW:
        topics.counts.note("predictions", is_refused=refused)
        if news := topics.news("predictions"):
            told.append(news)

    assert told == [(0, False), (501, True), (250, False)]


def test_the_event_about_a_topic_holds_nothing_of_its_records() -> None:
    assert orjson.loads(fact(5, 900, is_high=True).payload) == {
        "model_id": "topic predictions",
        "refused": 900,
        "of": WINDOW,
        "is_high": True,
    }
