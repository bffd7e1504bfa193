"""What is wrong with how a model's events come: not at all, too late, twice, from somebody else.

Rule 1. What is said rests on the model's own events, and on the log's time.
Rule 2. At an event there are comparisons and nothing else; what is learnt of a time is learnt when
        its hour, or its day, is over.
Rule 3. How the log is cut into records changes nothing.
Rule 4. A fact is given when it begins, when it ends, and once an hour with its present figures: the
        life of its alert decides what is heard of that.
Rule 5. What rests on chance has a twentieth of the model's alert budget, in equal parts, beside
        what the series have. A version is a fact, and a day that is twice the highest of a week no
        chance: they have no part of it.
Rule 6. Outcomes are missed only while predictions come, and are counted anew when predictions are
        back after a silence, from when the first of these may be known.
Rule 7. That predictions are silent only a tick can tell: the end of a recording is no outage. What
        has been told is told no more by a tick, but renewed when its alert is due.
Rule 8. What never comes within the time that events wait can be counted only when a model is older
        than that.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from streams.change import Condition, Figures
from streams.clock import DAY_HOURS, HOUR_MS, NEVER_MS
from streams.detect.budget import BUDGET_ROWS
from streams.join.outcome_join import JoinCounts
from streams.traffic.conditions import ConditionKind, condition_of
from streams.traffic.daily import DailyDelay, DailyShare
from streams.traffic.event_rate import EventRate
from streams.traffic.silence import SHORTEST_MS, ArrivalPattern
from streams.traffic.versions import Versions

BUDGET_SHARE = 0.05
FEWEST_ROWS = 200
AHEAD_MS = 60_000
NEVER_ROW = 1 << 62
OF_PREDICTIONS: tuple[ConditionKind, ...] = ("fallback", "error", "prediction_clock")
OF_OUTCOMES: tuple[ConditionKind, ...] = ("outcome_clock", "conflicting")
REFUSED: dict[str, ConditionKind] = {
    "prediction": "prediction_refused",
    "outcome": "outcome_refused",
}
RULES = len(OF_PREDICTIONS) + len(OF_OUTCOMES) + 2  # and two silences


class ConditionState(NamedTuple):
    """Whether something is so, with its figures."""

    condition: Condition
    is_on: bool


class TrafficMonitor:
    """How the events of one model come.

    Parameters
    ----------
    alert_budget
        False alarms per 10,000 predictions, for the whole model.
    wait_s
        Seconds that an event waits for its other half.
    counts
        What the model's join counts.

    Attributes
    ----------
    due_ms
        Log time at which `advance` wants to be called, before what comes then is taken in.
    silent_ms
        Since when predictions have been silent too long, where no tick has told it yet.
    late
        Takes in how long each outcome took.
    """

    def __init__(self, alert_budget: float, wait_s: float, counts: JoinCounts) -> None:
        self.due_ms = 0
        self.silent_ms = NEVER_MS
        self._is_silence_told = False
        self._counts = counts
        self._wait_s = wait_s
        self._first_ms = self._hour = self._day = 0
        self._predictions = ArrivalPattern(counts.predictions)
        self._outcomes = ArrivalPattern(counts.outcomes)
        self._rare: dict[ConditionKind, EventRate] = {
            **{fact: EventRate(counts.predictions) for fact in OF_PREDICTIONS},
            **{fact: EventRate(counts.outcomes) for fact in OF_OUTCOMES},
        }
        self._refused: dict[str, int] = {}  # no more than a good producer costs: nothing
        self._daily: dict[ConditionKind, DailyShare] = {
            "missing": DailyShare(),
            "orphan": DailyShare(),
        }
        self._marks = self._daily_counts()
        self.late = DailyDelay()
        self._versions = Versions()
        self._due_prediction = self._due_outcome = NEVER_ROW
        self.respec(alert_budget, wait_s)

    def respec(self, alert_budget: float, wait_s: float) -> None:
        """Go on with another budget, and another wait."""
        self._false_alarms = false_alarms = BUDGET_SHARE * alert_budget / RULES
        self._wait_s = wait_s
        self._predictions.nats = self._outcomes.nats = math.log(BUDGET_ROWS / false_alarms)
        for share in self._rare.values():
            share.set_budget(false_alarms)

    def on_prediction(
        self, status: str | None, version: str | None, at_ms: int, now_ms: int
    ) -> Sequence[ConditionState]:
        """Take in a prediction that the join will count next: who answered, and when."""
        row = self._counts.predictions + 1
        ends = self._predictions.on_event(now_ms, row - 1)
        if (
            (status is None or status == "ok")
            and version == self._versions.latest
            and at_ms - now_ms <= AHEAD_MS
            and row < self._due_prediction
            and not ends
        ):
            return ()
        verdicts: list[ConditionState] = []
        if ends:
            self._outcomes.excuse(now_ms + round(1_000 * self.late.value_s))  # Rule 6
            self.due_ms = 0
            verdicts.append(self._verdict("prediction_silence", now_ms))
        was_news = self._versions.due_row is not None
        if version != self._versions.latest:
            self._versions.on_change(version, row)
        self._versions.advance(row)
        if was_news != (self._versions.due_row is not None):
            verdicts.append(self._verdict("version", now_ms))
        hits = (status == "fallback", status == "error", at_ms - now_ms > AHEAD_MS)
        verdicts += self._read(OF_PREDICTIONS, hits, row, now_ms)
        verdicts += self._read_refused("prediction", row, now_ms)
        self._set_due_rows()
        return verdicts

    def on_outcome(
        self, at_ms: int, now_ms: int, *, is_conflicting: bool
    ) -> Sequence[ConditionState]:
        """Take in an outcome that the join has counted."""
        row = self._counts.outcomes
        ends = self._outcomes.on_event(now_ms, row - 1)
        is_ahead = at_ms - now_ms > AHEAD_MS
        if not (ends or is_ahead or is_conflicting or row >= self._due_outcome):
            return ()
        verdicts: list[ConditionState] = []
        if ends:
            self.due_ms = 0
            verdicts.append(self._verdict("outcome_silence", now_ms))
        verdicts += self._read(OF_OUTCOMES, (is_ahead, is_conflicting), row, now_ms)
        verdicts += self._read_refused("outcome", row, now_ms)
        self._set_due_rows()
        return verdicts

    def on_refused(self, kind: str, now_ms: int) -> Sequence[ConditionState]:
        """Take in a prediction, or an outcome, that was refused."""
        if kind not in self._refused:
            self._refused[kind] = 0
            self._rare[REFUSED[kind]] = EventRate(0, self._false_alarms)
        self._refused[kind] += 1
        verdicts = self._read((REFUSED[kind],), (True,), self._sent(kind), now_ms)
        self._set_due_rows()
        return verdicts

    def advance(self, now_ms: int, *, is_tick: bool = False) -> list[ConditionState]:
        """Let log time pass: up to what comes now, or because nothing comes (Rule 7)."""
        verdicts: list[ConditionState] = []
        hour = now_ms // HOUR_MS
        if hour > self._hour:
            if not self._hour:
                self._first_ms, self._day = now_ms, hour
            self._hour = hour
            if self._is_any_on:
                verdicts += self._renewed(now_ms)
            if hour - self._day >= DAY_HOURS:
                self._day = hour
                verdicts += self._end_day(now_ms)
        return verdicts + self._listen(now_ms, is_tick=is_tick)

    @property
    def is_silence_told(self) -> bool:
        """Whether predictions are silent, and a tick has told it."""
        return self._is_silence_told and self._predictions.is_silent

    def tick_due_ms(self, now_ms: int) -> int:
        """Return from when on a tick tells that predictions are silent.

        Nothing is changed. Where ``now_ms`` is not late enough, what is returned may be too early,
        though later than ``now_ms``: what is sure costs less than the figure itself.
        """
        predictions = self._predictions
        if predictions.is_silent:
            return NEVER_MS if self._is_silence_told else self.silent_ms
        at_first_ms = predictions.last_ms + SHORTEST_MS
        return at_first_ms if now_ms < at_first_ms else predictions.deadline_ms()

    def accept(self, series: str, aspect: str, now_ms: int) -> None:
        """Take a fact, as it is now, for what is usual."""
        for fact in (*self._rare, *self._daily, "late", "prediction_silence", "outcome_silence"):
            condition = condition_of(fact, Figures(0.0, 0.0, 0.0))
            if (condition.series, condition.aspect) != (series, aspect):
                continue
            if fact.endswith("_silence"):
                rhythm = self._predictions if fact[0] == "p" else self._outcomes
                rhythm.excuse(now_ms)
                self.due_ms = 0
                continue
            what: EventRate | DailyShare | DailyDelay = (
                self._rare.get(fact) or self._daily.get(fact) or self.late
            )
            what.relearn()
        self._set_due_rows()

    def snapshot(self) -> dict[str, Any]:
        """Return the state."""
        return {
            "is_silence_told": self._is_silence_told,
            "times": [self.due_ms, self.silent_ms, self._first_ms, self._hour, self._day],
            "predictions": self._predictions.snapshot(),
            "outcomes": self._outcomes.snapshot(),
            "rare": {fact: share.snapshot() for fact, share in self._rare.items()},
            "daily": {fact: share.snapshot() for fact, share in self._daily.items()},
            "marks": self._marks,
            "late": self.late.snapshot(),
            "versions": self._versions.snapshot(),
            **({"refused": self._refused} if self._refused else {}),
        }

    def restore(self, tree: dict[str, Any]) -> None:
        """Go on from what `snapshot` returned."""
        self._is_silence_told = tree["is_silence_told"]
        self.due_ms, self.silent_ms, self._first_ms, self._hour, self._day = tree["times"]
        self._predictions.restore(tree["predictions"])
        self._outcomes.restore(tree["outcomes"])
        self._refused = tree.get("refused", {})
        for kind in self._refused:
            self._rare[REFUSED[kind]] = EventRate(0, self._false_alarms)
        for fact, share in self._rare.items():
            share.restore(tree["rare"][fact])
        for fact, daily in self._daily.items():
            daily.restore(tree["daily"][fact])
        self._marks = tree["marks"]
        self.late.restore(tree["late"])
        self._versions.restore(tree["versions"])
        self._set_due_rows()

    def _listen(self, now_ms: int, *, is_tick: bool) -> list[ConditionState]:
        """Tell a silence that has become too long; see how long the next one may be."""
        predictions, outcomes = self._predictions, self._outcomes
        verdicts: list[ConditionState] = []
        silent_ms = unanswered_ms = NEVER_MS
        if not predictions.is_silent:
            self._is_silence_told = False
            silent_ms = self.silent_ms = predictions.deadline_ms()
            if now_ms >= silent_ms:
                predictions.fall_silent()
                silent_ms = NEVER_MS
        if is_tick and predictions.is_silent:
            self._is_silence_told = True
            self.silent_ms = NEVER_MS
            verdicts.append(self._verdict("prediction_silence", now_ms))
        if not (predictions.is_silent or outcomes.is_silent):
            unanswered_ms = outcomes.deadline_ms()
            if predictions.last_ms >= unanswered_ms:  # Rule 6
                outcomes.fall_silent()
                unanswered_ms = NEVER_MS
                verdicts.append(self._verdict("outcome_silence", now_ms))
        hours = 1 if self._is_any_on else DAY_HOURS
        next_ms = min(self._hour + hours, self._day + DAY_HOURS) * HOUR_MS
        self.due_ms = min(next_ms, silent_ms, unanswered_ms)
        return verdicts

    @property
    def _is_any_on(self) -> bool:
        """Whether something is to be renewed by the hour."""
        are_on = self._due_prediction < NEVER_ROW or self._due_outcome < NEVER_ROW
        return are_on or self._predictions.is_silent or self._outcomes.is_silent

    def _renewed(self, now_ms: int) -> list[ConditionState]:
        """Give what is so once more (Rule 4); a day's figures are renewed by the day."""
        on: list[ConditionKind] = [fact for fact, share in self._rare.items() if share.is_on]
        if self._predictions.is_silent and self._is_silence_told:
            on.append("prediction_silence")
        if self._outcomes.is_silent:
            on.append("outcome_silence")
        return [self._verdict(fact, now_ms) for fact in on]

    def _end_day(self, now_ms: int) -> list[ConditionState]:
        changed: list[ConditionKind] = []
        marks = self._daily_counts()
        is_old = now_ms - self._first_ms >= 1_000 * self._wait_s  # Rule 8
        for fact, share in self._daily.items():
            hits, rows = (
                now - mark for now, mark in zip(marks[fact], self._marks[fact], strict=True)
            )
            if is_old and rows < FEWEST_ROWS:
                continue
            self._marks[fact] = marks[fact]
            if is_old:
                was_on = share.is_on
                share.take(hits, rows)
                changed += [fact] if was_on or share.is_on else []
        if self.late.counted >= FEWEST_ROWS:
            was_on = self.late.is_on
            self.late.take()
            changed += ["late"] if was_on or self.late.is_on else []
        return [self._verdict(fact, now_ms) for fact in changed]

    def _daily_counts(self) -> dict[str, list[int]]:
        """Return hits and rows so far of what is counted by the day."""
        counts = self._counts
        expired, orphans = counts.expired_predictions, counts.orphan_outcomes
        return {
            "missing": [expired, expired + counts.pairs],
            "orphan": [orphans, orphans + counts.pairs],
        }

    def _sent(self, kind: str) -> int:
        """Return how many predictions, or outcomes, producers have sent, refused ones included."""
        counts = self._counts
        taken = counts.predictions if kind == "prediction" else counts.outcomes
        return taken + self._refused[kind]

    def _read_refused(self, kind: str, row: int, now_ms: int) -> list[ConditionState]:
        """Take a prediction, or an outcome, for one that was not refused."""
        if kind not in self._refused:
            return []
        return self._read((REFUSED[kind],), (False,), row + self._refused[kind], now_ms)

    def _read(
        self, facts: Sequence[ConditionKind], hits: Sequence[bool], row: int, now_ms: int
    ) -> list[ConditionState]:
        verdicts = []
        for fact, is_hit in zip(facts, hits, strict=True):
            share = self._rare[fact]
            was_on = share.is_on
            if is_hit:
                share.on_hit(row)
            elif share.due_row is not None and row >= share.due_row:
                share.advance(row)
            if share.is_on != was_on:
                self.due_ms = 0
                verdicts.append(self._verdict(fact, now_ms))
        return verdicts

    def _set_due_rows(self) -> None:
        rows = {fact: share.due_row or NEVER_ROW for fact, share in self._rare.items()}
        for kind, refused in self._refused.items():
            rows[REFUSED[kind]] -= refused  # counted in rows that were not refused
        news = self._versions.due_row or NEVER_ROW
        of_predictions, of_outcomes = (rows.get(fact, NEVER_ROW) for fact in REFUSED.values())
        self._due_prediction = min(news, of_predictions, *(rows[fact] for fact in OF_PREDICTIONS))
        self._due_outcome = min(of_outcomes, *(rows[fact] for fact in OF_OUTCOMES))

    def _verdict(self, fact: ConditionKind, now_ms: int) -> ConditionState:
        if fact == "version":
            return ConditionState(condition_of(fact), is_on=self._versions.due_row is not None)
        if fact in {"prediction_silence", "outcome_silence"}:
            return self._silence(fact, now_ms)
        if fact == "late":
            late = self.late
            ratio = late.value_s / max(late.usual_s, 0.001)
            figures = Figures(late.value_s, late.usual_s, ratio, rows=late.rows)
            return ConditionState(condition_of(fact, figures), late.is_on)
        share = self._rare.get(fact) or self._daily[fact]
        figures = Figures(share.share, share.usual, share.odds_ratio, rows=share.rows)
        return ConditionState(condition_of(fact, figures), share.is_on)

    def _silence(self, fact: ConditionKind, now_ms: int) -> ConditionState:
        rhythm = self._predictions if fact == "prediction_silence" else self._outcomes
        elapsed_ms = now_ms - rhythm.last_ms
        usual_ms = rhythm.usual_ms(now_ms // HOUR_MS)
        also = "outcomes do not come either"
        if self._outcomes.last_ms > self._predictions.last_ms + SHORTEST_MS:
            also = "outcomes still come: what sends predictions is down"
        elif not self._outcomes.last_ms:
            also = "what sends them is down, or has nothing to ask"
        ratio = elapsed_ms / max(usual_ms, 1)
        figures = Figures(elapsed_ms / 1_000, usual_ms / 1_000, ratio)
        return ConditionState(condition_of(fact, figures, also), rhythm.is_silent)
