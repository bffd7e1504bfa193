"""A model that fails at an event: where it stands, what is held, and its release."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import orjson
import pytest

from schemas.event import encode_tick
from schemas.topics import Topics
from streams.alert.record import fingerprint_of
from streams.emission import Emission
from streams.ingest.records import Accepted
from streams.join import outcome_join
from streams.model import guard
from streams.model.model import ModelMonitor
from streams.monitor import Limits, ModelFailedError, Monitor
from tests.doubles.core import Played, log_of, play, snapshots, taken_in
from tests.doubles.inputs import START_MS, Removal, accepted, control, outcome, prediction, spec
from tests.doubles.poison import HEARD, READ, STORED, poisoned
from tests.doubles.story import story

ROWS = 300
AT = 270
"""The row of the poison. Its outcome follows at once."""
FINGERPRINT = fingerprint_of("m", "model", "quarantine")
LATER_MS = START_MS + 10_000_000


@pytest.fixture(autouse=True)
def bug() -> Iterator[None]:
    with poisoned():
        yield


@cache
def poisonous(feature: str) -> tuple[Accepted, ...]:
    """Return the events of two models, one of which fails at the same row of each."""
    rows = story()[: 2 * ROWS]
    mine = [*rows[: 2 * AT], prediction("poison", features={feature: 1.0}), *rows[2 * AT :]]
    others = story(model_id="other")[: 2 * ROWS]
    return tuple(
        taken_in([*(each for pair in zip(mine, others, strict=False) for each in pair), mine[-1]])
    )


def released(number: int = 0, verb: str = "release") -> Accepted:
    return accepted(control(verb, FINGERPRINT), number, logged_at=LATER_MS)


def play_guarded(log: Sequence[bytes]) -> Played:
    """Play a log as `verify` does."""
    monitor = Monitor(0, Topics(), is_guarded=True)
    return Played(monitor, [e for n, value in enumerate(log) for e in monitor.apply(n, value)])


@cache
def failed(feature: str) -> Played:
    """Play the log of both models once, for the tests that add nothing to it."""
    return play_guarded(log_of(poisonous(feature), 100))


def play_like_a_worker(log: Sequence[bytes], at_once: int) -> Played:
    """Play a log some records at once; where a model fails, begin again with a guard for it."""
    guarded: set[str] = set()
    for _ in range(3):
        monitor = Monitor(0, Topics())
        monitor.resume({}, 0, guarded)
        emissions: list[Emission] = []
        try:
            for first in range(0, len(log), at_once):
                emissions += monitor.ingest(enumerate(log[first : first + at_once], first))
                emissions += monitor.evaluate_ready()
            return Played(monitor, emissions + monitor.evaluate_all())
        except ModelFailedError as error:
            guarded.add(error.model_id)
    msg = f"models fail that have a guard: {guarded}"
    raise AssertionError(msg)


def of(model_id: str, played: Played) -> list[Emission]:
    return sorted(each for each in played.emissions if each.model_id == model_id)


@pytest.mark.parametrize("feature", [HEARD, READ])
def test_a_model_that_fails_is_quarantined_and_the_others_go_on(feature: str) -> None:
    played = failed(feature)

    others = [each for each in poisonous(feature) if each.model_id == "other"]
    assert [e.value for e in of("other", played) if e.role == "alerts"] == []
    assert played.monitor.models["other"].counts.labelled == ROWS
    assert len(others) == 2 * ROWS
    model = played.monitor.models["m"]
    assert model.counts.predictions == AT
    assert model.join.held_events == 2 * (ROWS - AT) + 2 - 1
    assert model.taken == 2 * ROWS + 1


@pytest.mark.parametrize("feature", [HEARD, READ])
def test_the_alert_names_the_model_the_place_and_the_type_of_the_failure(feature: str) -> None:
    (alert,) = [each for each in failed(feature).firings() if each["series"] == "model"]

    place = next(i for i, event in enumerate(poisonous(feature)) if b"poison" in event.payload)
    assert (alert["kind"], alert["aspect"], alert["severity"]) == (
        "service",
        "quarantine",
        "critical",
    )
    assert alert["fingerprint"] == FINGERPRINT
    assert alert["evidence"]["last_offset"] == place // 100
    assert alert["summary"].startswith(
        f"Model m: not monitored since offset {place // 100} (PoisonError)"
    )


@pytest.mark.parametrize("feature", [HEARD, READ])
@pytest.mark.parametrize("at_once", [1, 8, 1_000])
def test_how_the_log_is_cut_and_read_does_not_move_the_failure(feature: str, at_once: int) -> None:
    expected = failed(feature)

    found = play_like_a_worker(log_of(poisonous(feature), 100), at_once)

    assert sorted(found.emissions) == sorted(expected.emissions)
    assert snapshots(found.monitor) == snapshots(expected.monitor)


def test_a_model_whose_state_cannot_be_stored_is_quarantined_where_that_began() -> None:
    log = log_of(poisonous(STORED), 100)
    place = next(i for i, event in enumerate(poisonous(STORED)) if b"poison" in event.payload)
    replayed = Monitor(0, Topics(), is_guarded=True)
    expected = [e for n, value in enumerate(log) for e in replayed.apply(n, value)]
    told = replayed.settle()

    found = save_like_a_worker(log, every=3)

    [alert] = [orjson.loads(each.value) for each in told if each.role == "alerts"]
    assert (alert["aspect"], alert["evidence"]["last_offset"]) == ("quarantine", place // 100)
    assert "(OverflowError)" in alert["summary"]
    assert snapshots(found.monitor) == snapshots(replayed)
    assert alerts_of(found.emissions) == alerts_of([*expected, *told])
    healthy = set(poison_free(log).emissions)
    assert {each for each in found.emissions if each.role == "labelled"} < healthy
    model = replayed.models["m"]
    assert (model.is_quarantined, model.counts.predictions) == (True, AT)
    assert not replayed.models["other"].is_quarantined


def alerts_of(emissions: Sequence[Emission]) -> set[bytes]:
    return {each.value for each in emissions if each.role == "alerts"}


def save_like_a_worker(log: Sequence[bytes], every: int) -> Played:
    """Play a log, store the models now and then, and begin again where one fails."""
    guarded: set[str] = set()
    emissions: list[Emission] = []
    for _ in range(2):
        monitor = Monitor(0, Topics())
        monitor.resume({}, 0, guarded)
        try:
            for offset, value in enumerate(log):
                emissions += monitor.apply(offset, value)
                if (offset + 1) % every == 0 or offset + 1 == len(log):
                    for model_id in tuple(monitor.touched):
                        emissions += monitor.to_store(model_id)[0]
        except ModelFailedError as error:
            guarded.add(error.model_id)
    assert guarded == {"m"}
    assert monitor.models["m"].is_quarantined
    return Played(monitor, emissions)


def test_long_after_its_state_could_not_be_stored_a_model_is_as_if_it_had_been_told_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, kept_steps = poisonous(STORED), 2 * ROWS + 100
    monkeypatch.setattr(guard, "KEPT_STEPS", kept_steps)
    more = [prediction(f"later{row}", features={"x": 1.0}) for row in range(kept_steps)]
    log = [*log_of(first, 100), *log_of(taken_in([*more, outcome("none", "other")])[-kept_steps:])]

    played = play_guarded(log)

    assert played.monitor.settle() == []
    assert played.monitor.models["m"].is_quarantined
    assert played.monitor.models["m"].counts.predictions == AT


def test_a_release_of_a_model_whose_state_can_still_not_be_stored_is_refused() -> None:
    log = log_of(poisonous(STORED), 100)
    with poisoned(releases=2):
        monitor = Monitor(0, Topics(), is_guarded=True)
        for offset, value in enumerate(log):
            monitor.apply(offset, value)
        monitor.settle()
        monitor.apply(len(log), log_of([released()])[0])
        monitor.settle()

    model = monitor.models["m"]
    assert (model.is_quarantined, model.counts.refused_controls) == (True, 1)


def test_a_model_is_not_put_away_with_a_state_that_cannot_be_stored() -> None:
    monitor = Monitor(0, Topics(), limits=Limits(forget_after_s=1.0), is_guarded=True)
    spec = spec_of_wait(1.0)
    log = [*log_of(taken_in([spec, prediction("p", features={STORED: 1.0})]))]
    tick = encode_tick(START_MS + 10_000_000)

    found = [e for n, value in enumerate([*log, tick]) for e in monitor.apply(n, value)]

    assert monitor.models["m"].is_quarantined
    assert "alerts" in {each.role for each in found if b'"quarantine"' in each.value}


@pytest.mark.parametrize("feature", [HEARD, STORED])
def test_a_model_that_fails_at_its_first_event_holds_it_and_all_that_follow(feature: str) -> None:
    rows = [
        prediction("poison", features={feature: 1.0}),
        *(prediction(f"p{n}") for n in range(200)),
    ]

    played = play_guarded([*log_of(taken_in(rows), 10), encode_tick(START_MS + 10**12)])
    played.monitor.settle()

    assert played.monitor.models["m"].is_quarantined
    assert played.monitor.models["m"].join.held_events == len(rows)


def spec_of_wait(wait_s: float) -> bytes:
    return spec("m", outcome={"wait_s": wait_s}, inputs={"wait_s": 0.0})


def test_nothing_is_published_of_an_event_whose_values_fail_later() -> None:
    log = log_of(poisonous(READ), 100)
    monitor = Monitor(0, Topics())
    emissions: list[Emission] = []

    def go_on() -> None:
        for first in range(0, len(log), 8):
            emissions.extend(monitor.ingest(enumerate(log[first : first + 8], first)))
            emissions.extend(monitor.evaluate_ready())

    with pytest.raises(ModelFailedError):
        go_on()

    assert set(emissions) <= set(failed(READ).emissions)


@pytest.mark.parametrize("feature", [HEARD, READ])
def test_after_its_release_a_model_is_as_if_it_had_never_failed(feature: str) -> None:
    log = log_of(poisonous(feature), 100)
    healthy = poison_free(log)

    played = play_guarded([*log, *log_of([released()])])

    told = [e for e in played.emissions if b'"quarantine"' not in e.value and e.value]
    assert sorted(told) == sorted(e for e in healthy.emissions if e.value)
    alerts = [each for each in played.of("alerts") if each["series"] == "model"]
    assert [(each["status"], each["resolved_because"]) for each in alerts] == [
        ("firing", None),
        ("resolved", "returned"),
    ]
    model = played.monitor.models["m"]
    assert not model.is_quarantined
    assert model.taken == healthy.monitor.models["m"].taken + 1
    assert model.join.held_events == 0


def poison_free(log: Sequence[bytes]) -> Played:
    """Play a log with code that has no bug."""
    with poisoned(releases=0):
        return play(log)


def test_a_release_that_fails_again_changes_nothing() -> None:
    with poisoned(releases=2):
        log = log_of(poisonous(READ), 100)
        before = play_guarded(log)
        after = play_guarded([*log, *log_of([released()])])
        again = play_guarded([*log, *log_of([released()]), *log_of([released(1)])])

    assert sorted(after.emissions) == sorted(before.emissions)
    held = before.monitor.models["m"].join.held_events
    assert after.monitor.models["m"].join.held_events == held
    assert after.monitor.models["m"].counts.refused_controls == 1
    assert after.monitor.models["m"].is_quarantined
    assert again.monitor.models["m"].is_quarantined


def test_a_repeated_event_is_held_once() -> None:
    log = log_of(poisonous(HEARD), 100)

    model = play_guarded([*log, *log]).monitor.models["m"]

    assert model.taken == 2 * ROWS + 1


def test_of_many_events_the_last_ones_are_held_and_the_others_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outcome_join, "HELD_AT_MOST", 10)
    log = log_of(poisonous(HEARD), 100)

    model = play_guarded(log).monitor.models["m"]
    after = play_guarded([*log, *log_of([released()])]).monitor.models["m"]

    assert model.join.held_events == 10
    assert model.taken == after.taken - 1 == 2 * ROWS + 1
    assert after.counts.lost_events == 2 * (ROWS - AT) + 1 - 10
    assert after.counts.predictions == AT + 5


def test_a_quarantined_model_can_be_removed_and_begins_anew() -> None:
    log = log_of(poisonous(HEARD), 100)
    removal = accepted(Removal(), 0, logged_at=LATER_MS)
    later = accepted(prediction("later"), 5_000, logged_at=LATER_MS)

    played = play_guarded([*log, *log_of([removal, later])])

    model = played.monitor.models["m"]
    assert not model.is_quarantined
    assert model.counts.predictions == AT + 1
    assert [each["status"] for each in played.of("alerts") if each["series"] == "model"] == [
        "firing",
        "resolved",
    ]


@pytest.mark.parametrize(("verb", "status"), [("ack", ["ongoing"]), ("accept", [])])
def test_people_acknowledge_a_quarantine_and_cannot_accept_it(verb: str, status: list[str]) -> None:
    log = log_of(poisonous(HEARD), 100)

    played = play_guarded([*log, *log_of([released(verb=verb)])])

    alerts = [each["status"] for each in played.of("alerts") if each["series"] == "model"]
    assert alerts == ["firing", *status]
    assert played.monitor.models["m"].is_quarantined


def test_a_tick_at_which_a_model_fails_quarantines_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> list[Emission]:
        raise ZeroDivisionError

    monkeypatch.setattr(ModelMonitor, "tick_due_ms", lambda *_: 0)
    monkeypatch.setattr(ModelMonitor, "on_tick", fail)
    log = [*log_of(taken_in([prediction(), outcome()])), encode_tick(START_MS + 60_000)]

    played = play_guarded(log)

    (alert,) = played.firings()
    assert alert["evidence"]["last_offset"] == 1
    assert played.monitor.models["m"].is_quarantined


def test_where_telling_fails_too_the_model_is_quarantined_in_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> list[Emission]:
        raise ZeroDivisionError

    monkeypatch.setattr(ModelMonitor, "tell_quarantine", fail)

    played = play_guarded(log_of(poisonous(HEARD), 100))

    assert played.monitor.models["m"].is_quarantined
    assert "model" not in {each["series"] for each in played.firings()}


def test_a_lack_of_memory_is_no_failure_of_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ModelMonitor, "_on_prediction", fail)

    for is_guarded in (False, True):
        with pytest.raises(MemoryError):
            Monitor(0, Topics(), is_guarded=is_guarded).apply(0, log_of(poisonous(HEARD)[:1])[0])
