import random
from collections.abc import Iterable

from streams.clock import HOUR_MS, NEVER_MS
from streams.codec import decode, encode
from streams.traffic.silence import FIRST_EVENTS, SHORTEST_MS, ArrivalPattern

MINUTE_MS = 60_000
MONDAY_MS = 1_767_571_200_000  # 2026-01-05T00:00:00Z
WEEK_MS = 168 * HOUR_MS


def listen(rhythm: ArrivalPattern, instants: Iterable[int]) -> list[int]:
    """Take in events as a model does; return how long each silence was that was told, in ms."""
    told = []
    for count, at_ms in enumerate(instants):
        if not rhythm.is_silent and at_ms >= rhythm.deadline_ms():
            told.append(at_ms - rhythm.last_ms)
            rhythm.fall_silent()
        rhythm.on_event(at_ms, count)
    return told


def office_hours(weeks: int, every_ms: int = MINUTE_MS) -> list[int]:
    """Return instants from 8 to 18, Monday to Friday, somewhat irregular."""
    rng = random.Random(3)  # noqa: S311 - a simulation
    return [
        MONDAY_MS + day * 24 * HOUR_MS + at_ms + rng.randrange(every_ms // 2)
        for day in range(7 * weeks)
        if day % 7 < 5
        for at_ms in range(8 * HOUR_MS, 18 * HOUR_MS, every_ms)
    ]


def steady(hours: int, every_ms: int = MINUTE_MS) -> list[int]:
    return list(range(MONDAY_MS, MONDAY_MS + hours * HOUR_MS, every_ms))


# Rule 1


def test_an_hour_that_is_busy_every_week_is_missed_soon_and_a_quiet_one_not_at_all() -> None:
    rhythm = ArrivalPattern()
    instants = office_hours(weeks=3)
    told = listen(rhythm, instants)
    assert all(silence > 40 * HOUR_MS for silence in told), "the first weekends"

    tuesday = [
        at
        for at in office_hours(weeks=4)[len(instants) :]
        if at < MONDAY_MS + 3 * WEEK_MS + 24 * HOUR_MS + 14 * HOUR_MS
    ]
    for count, at_ms in enumerate(tuesday, len(instants)):
        rhythm.on_event(at_ms, count)

    assert rhythm.deadline_ms() - rhythm.last_ms < 20 * MINUTE_MS


def test_nights_and_weekends_are_quiet_hours_once_they_were_seen() -> None:
    told = listen(ArrivalPattern(), office_hours(weeks=6))

    assert len(told) <= 1


def test_a_nightly_run_that_does_not_come_is_missed_within_three_hours() -> None:
    rhythm = ArrivalPattern()
    nights = [MONDAY_MS + night * 24 * HOUR_MS + 3 * HOUR_MS for night in range(15)]

    told = listen(rhythm, [at + 1_000 * row for at in nights for row in range(500)])

    assert told == []
    due_ms = nights[-1] + 24 * HOUR_MS
    assert due_ms < rhythm.deadline_ms() < due_ms + 3 * HOUR_MS


# Rule 2


def test_events_by_chance_make_no_silence() -> None:
    rng = random.Random(11)  # noqa: S311 - a simulation
    at_ms, instants = float(MONDAY_MS), []
    while at_ms < MONDAY_MS + 3 * WEEK_MS:
        at_ms += rng.expovariate(20) * HOUR_MS
        instants.append(int(at_ms))

    assert listen(ArrivalPattern(), instants) == []


# Rule 3


def test_before_its_hour_was_seen_a_silence_is_held_against_the_longest_of_all() -> None:
    rhythm = ArrivalPattern(nats=1.0)
    instants = steady(24) + [at + 25 * HOUR_MS for at in steady(6)]

    listen(rhythm, instants)

    assert rhythm.deadline_ms() - rhythm.last_ms == 3 * (HOUR_MS + MINUTE_MS)


def test_a_model_with_few_events_is_held_against_its_longest_silence() -> None:
    rhythm = ArrivalPattern(nats=1.0)

    listen(rhythm, steady(400, every_ms=HOUR_MS))

    assert rhythm.deadline_ms() - rhythm.last_ms == 3 * HOUR_MS


# Rule 4


def test_nothing_is_judged_before_there_are_enough_events_that_span_a_day() -> None:
    few, short, enough = ArrivalPattern(), ArrivalPattern(), ArrivalPattern()

    listen(few, steady(48, every_ms=HOUR_MS))
    listen(short, steady(10))
    listen(enough, steady(26))

    assert FIRST_EVENTS > 48
    assert few.deadline_ms() == short.deadline_ms() == NEVER_MS
    assert enough.deadline_ms() < NEVER_MS


def test_a_silence_shorter_than_two_minutes_is_none() -> None:
    rhythm = ArrivalPattern()

    listen(rhythm, steady(26, every_ms=1_000))

    assert rhythm.deadline_ms() - rhythm.last_ms == SHORTEST_MS


# Rule 5


def test_what_becomes_the_rhythm_is_told_less_and_less() -> None:
    instants = steady(48)
    for _ in range(4):
        instants += [instants[-1] + 2 * HOUR_MS + at - MONDAY_MS for at in steady(4)]

    told = listen(ArrivalPattern(), instants)

    assert len(told) == 2


def test_a_silence_that_has_a_reason_is_counted_from_its_end() -> None:
    rhythm = ArrivalPattern()
    listen(rhythm, steady(48))
    before_ms = rhythm.deadline_ms()

    rhythm.excuse(rhythm.last_ms + HOUR_MS)

    assert rhythm.deadline_ms() >= before_ms + HOUR_MS


def test_the_event_that_ends_a_silence_that_was_told_says_so() -> None:
    rhythm = ArrivalPattern()
    instants = steady(48)
    listen(rhythm, instants)

    rhythm.fall_silent()

    assert rhythm.on_event(instants[-1] + 1, len(instants))
    assert not rhythm.on_event(instants[-1] + 2, len(instants) + 1)


def test_a_restart_in_the_middle_changes_nothing() -> None:
    instants = office_hours(weeks=3, every_ms=2 * MINUTE_MS)
    whole = ArrivalPattern()
    listen(whole, instants)

    half = ArrivalPattern()
    listen(half, instants[:2_000])
    then = decode(encode(half), ArrivalPattern)
    for count, at_ms in enumerate(instants[2_000:], 2_000):
        if not then.is_silent and at_ms >= then.deadline_ms():
            then.fall_silent()
        then.on_event(at_ms, count)

    assert encode(then) == encode(whole)
