from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pytest

from schemas.event import EventKind
from streams.clock import HOUR_MS, NEVER_MS
from streams.codec import decode, encode
from streams.join.events import JoinCounts
from streams.traffic.conditions import ConditionState
from streams.traffic.event_rate import EventRate
from streams.traffic.traffic import AHEAD_MS, BUDGET_SHARE, RULES, TrafficMonitor

MINUTE_MS = 60_000
START_MS = 1_767_571_200_000  # 2026-01-05T00:00:00Z, a Monday
WAIT_S = 2 * 86_400.0


class Event(NamedTuple):
    """A prediction, or an outcome when ``delay_ms`` is given."""

    now_ms: int
    status: str | None = None
    version: str | None = "1"
    ahead_ms: int = 0
    delay_ms: int | None = None
    is_conflicting: bool = False
    drops: tuple[int, int] = (0, 0)


class Told(NamedTuple):
    now_ms: int
    fact: str
    is_on: bool
    says: str


class Model:
    """What a model does with its traffic monitor, without a join."""

    def __init__(self, alert_budget: float = 0.2) -> None:
        self.counts = JoinCounts()
        self.traffic = TrafficMonitor.of(alert_budget, WAIT_S, self.counts)
        self.told: list[Told] = []

    def take(self, events: Iterable[Event]) -> "Model":
        for event in events:
            if event.now_ms >= self.traffic.due_ms:
                self.tell(event.now_ms, self.traffic.advance(event.now_ms, counts=self.counts))
            expired, orphans = event.drops
            self.counts.expired_predictions += expired
            self.counts.orphan_outcomes += orphans
            if event.delay_ms is None:
                self.predict(event)
            else:
                self.answer(event, event.delay_ms)
        return self

    def predict(self, event: Event) -> None:
        self.counts.predictions += 1
        states = self.traffic.on_prediction(
            row=self.counts.predictions,
            status=event.status,
            version=event.version,
            at_ms=event.now_ms + event.ahead_ms,
            now_ms=event.now_ms,
        )
        self.tell(event.now_ms, states)

    def answer(self, event: Event, delay_ms: int) -> None:
        self.counts.outcomes += 1
        self.counts.conflicting_outcomes += event.is_conflicting
        states = self.traffic.on_outcome(
            row=self.counts.outcomes,
            at_ms=event.now_ms + event.ahead_ms,
            now_ms=event.now_ms,
            is_conflicting=event.is_conflicting,
        )
        if not event.is_conflicting:
            self.counts.pairs += 1
            self.traffic.late.on_row(delay_ms)
        self.tell(event.now_ms, states)

    def refuse(self, kind: EventKind, now_ms: int) -> None:
        counts = self.counts
        rows = counts.predictions if kind == "prediction" else counts.outcomes
        self.tell(now_ms, self.traffic.on_refused(kind, rows))

    def tick(self, now_ms: int) -> None:
        self.tell(now_ms, self.traffic.advance(now_ms, counts=self.counts, is_tick=True))

    def tell(self, now_ms: int, states: Iterable[ConditionState]) -> None:
        for condition, is_on in states:
            name = f"{condition.series}/{condition.aspect}"
            self.told.append(Told(now_ms, name, is_on, condition.says))

    def turns(self) -> list[tuple[str, bool]]:
        """Return what began and what ended, without what was only renewed."""
        on: set[str] = set()
        turns = []
        for told in self.told:
            if told.is_on != (told.fact in on):
                turns.append((told.fact, told.is_on))
                on ^= {told.fact}
        return turns

    def said(self, fact: str) -> str:
        return next(told.says for told in self.told if told.fact == fact)


def life(days: int, since_ms: int = START_MS) -> Iterator[Event]:
    """A prediction a minute, its outcome ten minutes and some later."""
    for minute in range(days * 24 * 60):
        now_ms = since_ms + minute * MINUTE_MS
        yield Event(now_ms)
        yield Event(now_ms + 1_000, delay_ms=10 * MINUTE_MS + minute % 7 * 10_000)


def predictions(rows: int, since_ms: int, **each: Any) -> list[Event]:
    return [Event(since_ms + row * MINUTE_MS)._replace(**each) for row in range(rows)]


DAY_MS = 24 * HOUR_MS
TUESDAY_MS = START_MS + 8 * DAY_MS


@pytest.fixture
def model() -> Model:
    return Model().take(life(days=8))


def test_a_model_as_it_should_be_is_told_nothing_of(model: Model) -> None:
    assert model.told == []


# Who answers


@pytest.mark.parametrize("status", ["fallback", "error"])
def test_answers_of_somebody_else_are_told_when_they_begin_and_when_they_end(
    model: Model, status: str
) -> None:
    model.take(predictions(40, TUESDAY_MS, status=status))
    model.take(predictions(400, TUESDAY_MS + 40 * MINUTE_MS, status="ok"))

    assert (f"answers/{status}", True) == model.turns()[0]
    assert (f"answers/{status}", False) in model.turns()
    assert "normally 0.0 %" in model.said(f"answers/{status}")


def test_a_share_that_has_always_been_is_none(model: Model) -> None:
    usual = Model()
    for row, event in enumerate(life(days=8)):
        usual.take([event._replace(status="fallback" if row % 10 == 0 else "ok")])

    assert usual.turns() == []


def test_a_fact_is_renewed_every_hour_while_it_lasts(model: Model) -> None:
    model.take(predictions(300, TUESDAY_MS, status="fallback"))

    assert [told.fact for told in model.told if told.now_ms > TUESDAY_MS].count(
        "answers/fallback"
    ) == 5


def test_a_version_never_seen_is_told_once_and_is_known_after_a_thousand_rows(
    model: Model,
) -> None:
    model.take(predictions(1_100, TUESDAY_MS, version="2"))
    model.take(predictions(5, TUESDAY_MS + DAY_MS, version="1"))

    assert [turn for turn in model.turns() if turn[0] == "versions/unseen"] == [
        ("versions/unseen", True),
        ("versions/unseen", False),
    ]
    assert "2" not in model.said("versions/unseen"), "what a row says is never said"


# What is refused


@pytest.mark.parametrize(
    ("kind", "series"), [("prediction", "predictions"), ("outcome", "outcomes")]
)
def test_inputs_that_are_refused_are_told_when_they_begin_and_when_they_end(
    model: Model, kind: EventKind, series: str
) -> None:
    for row in range(30):
        now_ms = TUESDAY_MS + row * MINUTE_MS
        model.take([Event(now_ms), Event(now_ms + 1_000, delay_ms=0)])
        model.refuse(kind, now_ms)
    began = model.turns()
    model.take(life(days=1, since_ms=TUESDAY_MS + HOUR_MS))

    assert began == [(f"{series}/refused", True)]
    assert model.turns()[:2] == [*began, (f"{series}/refused", False)]
    assert f"{series} were refused, normally 0.0 %" in model.said(f"{series}/refused")


def test_what_was_refused_counts_among_the_rows_after_which_it_is_over(model: Model) -> None:
    before = model.counts.predictions
    share = EventRate(0, BUDGET_SHARE * 0.2 / RULES)
    for row in range(1, 31):
        model.refuse("prediction", TUESDAY_MS)
        share.on_hit(before + row)
    rows = (share.due_row or 0) - before - 30

    model.take(predictions(rows - 1, TUESDAY_MS))
    assert ("predictions/refused", False) not in model.turns()
    model.take(predictions(1, TUESDAY_MS + rows * MINUTE_MS))

    assert ("predictions/refused", False) in model.turns()


def test_a_refused_input_now_and_then_is_usual() -> None:
    model = Model()
    for row, event in enumerate(life(days=6)):
        model.take([event])
        if row % 50 == 0:
            model.refuse("prediction", event.now_ms)

    assert model.turns() == []


def test_who_has_never_been_refused_anything_keeps_nothing_of_it(model: Model) -> None:
    assert b"refused" not in encode(model.traffic)


# Clocks


def test_a_clock_that_is_ahead_is_told_and_one_that_is_a_little_ahead_is_not(
    model: Model,
) -> None:
    model.take(predictions(40, TUESDAY_MS, ahead_ms=AHEAD_MS))
    assert ("predictions/clock", True) not in model.turns()

    model.take(predictions(40, TUESDAY_MS + HOUR_MS, ahead_ms=AHEAD_MS + 1))

    assert ("predictions/clock", True) in model.turns()


def test_the_clock_of_outcomes_is_another_one(model: Model) -> None:
    outcomes = [
        Event(TUESDAY_MS + row * 1_000, delay_ms=600_000, ahead_ms=HOUR_MS) for row in range(60)
    ]

    model.take(outcomes)

    assert model.turns() == [("outcomes/clock", True)]


# Outcomes


def test_outcomes_that_contradict_are_told(model: Model) -> None:
    model.take(
        Event(TUESDAY_MS + row * 1_000, delay_ms=0, is_conflicting=True) for row in range(40)
    )

    assert model.turns() == [("outcomes/conflicting", True)]


def test_outcomes_that_come_later_than_they_used_to_are_told_with_the_day() -> None:
    model = Model().take(life(days=9))

    for event in life(days=2, since_ms=START_MS + 9 * DAY_MS):
        late = None if event.delay_ms is None else 5 * event.delay_ms
        model.take([event._replace(delay_ms=late)])

    assert model.turns() == [("outcomes/late", True)]
    assert "longer than 1 h 6 min after their prediction" in model.said("outcomes/late")


@pytest.mark.parametrize(("drops", "fact"), [((1, 0), "missing"), ((0, 1), "orphan")])
def test_outcomes_that_never_come_and_those_of_no_prediction_are_told_with_the_day(
    drops: tuple[int, int], fact: str
) -> None:
    model = Model().take(life(days=11))
    assert model.told == []

    for event in life(days=2, since_ms=START_MS + 11 * DAY_MS):
        model.take([event._replace(drops=drops if event.delay_ms is None else (0, 0))])

    assert model.turns() == [(f"outcomes/{fact}", True)]
    assert "50.0 % of " in model.said(f"outcomes/{fact}")


def test_nothing_is_missing_while_the_model_is_younger_than_the_time_that_it_waits() -> None:
    model = Model()
    for event in life(days=2):
        model.take([event])
    for event in life(days=8, since_ms=START_MS + 2 * DAY_MS):
        model.take([event._replace(drops=(1, 0) if event.delay_ms is None else (0, 0))])

    assert model.turns() == []


# Silence


def test_the_end_of_a_record_is_no_silence(model: Model) -> None:
    model.take(Event(TUESDAY_MS + row * MINUTE_MS, delay_ms=600_000) for row in range(600))

    assert model.turns() == []


def test_predictions_that_stop_while_outcomes_come_are_told_at_the_next_tick(
    model: Model,
) -> None:
    model.take(Event(TUESDAY_MS + row * MINUTE_MS, delay_ms=600_000) for row in range(60))
    assert model.traffic.silent_ms <= TUESDAY_MS + HOUR_MS
    model.tick(TUESDAY_MS + HOUR_MS - 1)
    model.take(predictions(5, TUESDAY_MS + HOUR_MS))

    assert model.turns()[:2] == [("predictions/silence", True), ("predictions/silence", False)]
    assert "; outcomes still arrive. " in model.said("predictions/silence")


def test_outcomes_that_stop_after_the_predictions_arrive_no_more(model: Model) -> None:
    model.take(Event(TUESDAY_MS + row * MINUTE_MS, delay_ms=600_000) for row in range(60))
    for hours in (1, 3, 5):
        model.tick(TUESDAY_MS + hours * HOUR_MS)

    says = [told.says for told in model.told if told.fact == "predictions/silence"]
    assert "; outcomes still arrive. " in says[0]
    assert "; no outcomes arrive either. " in says[-1]


def test_a_tick_tells_a_silence_when_nothing_comes(model: Model) -> None:
    last_ms = TUESDAY_MS - MINUTE_MS
    model.tick(last_ms + MINUTE_MS)
    due_ms = model.traffic.silent_ms

    model.tick(due_ms - 1)
    assert model.told == []
    model.tick(due_ms)

    assert due_ms - last_ms < 30 * MINUTE_MS
    assert model.turns() == [("predictions/silence", True)]
    assert "; no outcomes arrive either. " in model.said("predictions/silence")
    assert model.traffic.silent_ms == NEVER_MS


def test_an_hour_that_is_quiet_every_day_is_no_silence() -> None:
    model = Model()

    for event in life(days=9):
        if event.now_ms // HOUR_MS % 24 >= 6:
            model.take([event])
        elif event.delay_ms is not None:
            model.tick(event.now_ms)

    assert [turn for turn in model.turns() if turn[0] == "predictions/silence"] == []


def test_outcomes_that_stop_while_predictions_come_are_told(model: Model) -> None:
    model.take(predictions(90, TUESDAY_MS))

    assert model.turns() == [("outcomes/silence", True)]
    assert "; predictions still arrive. " in model.said("outcomes/silence")

    model.take([Event(TUESDAY_MS + 2 * HOUR_MS, delay_ms=0)])

    assert model.turns()[-1] == ("outcomes/silence", False)


def test_outcomes_are_not_missed_while_predictions_are_silent_nor_at_once_after(
    model: Model,
) -> None:
    for minute in range(5 * 60):
        model.tick(TUESDAY_MS + minute * MINUTE_MS)
    model.take(predictions(10, TUESDAY_MS + 5 * HOUR_MS))

    assert model.turns() == [("predictions/silence", True), ("predictions/silence", False)]


def test_after_a_silence_outcomes_are_waited_for_from_when_the_first_may_be_known(
    model: Model,
) -> None:
    back_ms = TUESDAY_MS + 5 * HOUR_MS
    model.tick(back_ms - MINUTE_MS)

    model.take(predictions(24, back_ms))  # 10 minutes until one is known, 16 may be silent
    soon = model.turns()
    model.take(predictions(40, back_ms + 24 * MINUTE_MS))

    assert soon == [("predictions/silence", True), ("predictions/silence", False)]
    assert model.turns()[len(soon) :] == [("outcomes/silence", True)]


def test_a_pause_that_predictions_have_learnt_excuses_outcomes() -> None:
    """A prediction in half an hour, its outcome a day later; four days without any, then 20 h."""
    half_hour_ms = 30 * MINUTE_MS
    rows = [*range(10 * 48), *range(14 * 48, 24 * 48), *range(24 * 48 + 40, 30 * 48)]
    at_ms = [TUESDAY_MS + row * half_hour_ms for row in rows]
    events = [
        *(Event(each) for each in at_ms),
        *(Event(each + 24 * HOUR_MS, delay_ms=24 * HOUR_MS) for each in at_ms),
    ]
    model = Model()
    for event in sorted(events, key=lambda event: event.now_ms):
        if event.delay_ms is None:
            model.tick(event.now_ms)
        model.take([event])
    model.take(predictions(8 * 1_440, at_ms[-1] + half_hour_ms))

    turns = model.turns()
    first = turns.index(("outcomes/silence", True))
    assert turns[:first] == [("predictions/silence", True), ("predictions/silence", False)]
    [began] = [told for told in model.told if told.fact == "outcomes/silence"][:1]
    assert began.now_ms > at_ms[-1] + 24 * HOUR_MS, "only those that never come are missed"


# What a person says, and restarts


def test_what_a_person_accepts_is_usual(model: Model) -> None:
    model.take(predictions(400, TUESDAY_MS, status="fallback"))

    model.traffic.accept("answers", "fallback", TUESDAY_MS)
    model.told.clear()
    model.take(predictions(3_000, TUESDAY_MS + 400 * MINUTE_MS, status="fallback"))

    assert [told for told in model.told if told.fact == "answers/fallback"] == []


def test_another_budget_takes_effect() -> None:
    strict, lax = Model(0.000_001).take(life(days=8)), Model(20.0).take(life(days=8))
    few = predictions(10, TUESDAY_MS, status="error")

    assert strict.take(few).turns() == []
    assert ("answers/error", True) in lax.take(few).turns()
    strict.traffic.respec(20.0, WAIT_S)
    assert ("answers/error", True) in strict.take(few).turns()


def test_a_restart_in_the_middle_changes_nothing() -> None:
    story = [
        *life(days=9),
        *predictions(200, START_MS + 9 * DAY_MS, status="error", version="2"),
        *predictions(200, START_MS + 10 * DAY_MS, ahead_ms=2 * AHEAD_MS),
        *life(days=2, since_ms=START_MS + 11 * DAY_MS),
    ]
    whole = Model().take(story)
    assert len(whole.turns()) > 6

    for cut in (10, 5_000, 26_000, 26_050, 26_250):
        model = Model().take(story[:cut])
        model.traffic = decode(encode(model.traffic), TrafficMonitor)
        model.take(story[cut:])
        assert model.told == whole.told
        assert encode(model.traffic) == encode(whole.traffic)
