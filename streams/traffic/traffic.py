"""Faults in the arrival of a model's events: none, too late, twice, refused, from a wrong clock.

Rule 1. A condition rests on the model's own events and on log time.
Rule 2. An event costs comparisons and nothing else; times are learned when their hour or day ends.
Rule 3. How the log is cut into records changes nothing.
Rule 4. A condition is returned when it begins, when it ends, and once an hour with its present
        figures: the state of its alert decides whether it is published.
Rule 5. Conditions that rest on chance have a twentieth of the model's alert budget, in equal parts,
        beside that of the series. A version is a fact, and a day at twice the highest of a week is
        no chance: they need no budget.
Rule 6. Outcomes can be silent only while predictions arrive. After a silence of predictions, and
        after a pause of theirs that is normal but long for outcomes, they are waited for from the
        instant at which the first outcome may be known.
Rule 7. Only a tick reports that predictions are silent: the end of a recording is no outage. A tick
        does not report the same silence twice; its renewal follows Rule 4.
Rule 8. Events that expire are counted only once the model is older than the time they wait.
"""

import math
from collections.abc import Sequence

from msgspec import field

from schemas.event import EventKind
from streams.change import Figures
from streams.clock import DAY_HOURS, HOUR_MS, NEVER_MS
from streams.codec import Machine
from streams.detect.budget import BUDGET_ROWS
from streams.join.events import JoinCounts
from streams.traffic.conditions import ConditionKind, ConditionState, condition_kind, condition_of
from streams.traffic.daily import DailyDelay, DailyShare
from streams.traffic.row_conditions import OF_OUTCOMES, OF_PREDICTIONS, RowConditions, share_state
from streams.traffic.silence import SHORTEST_MS, ArrivalPattern

BUDGET_SHARE = 0.05
"""Part of the model's alert budget for Rule 5. The series leave it: they have 0.5 and 0.9 x 0.5."""
FEWEST_ROWS = 200
"""Rows of a day, at least: a share of 1 % has 2 hits among them. A shorter day continues."""
AHEAD_MS = 60_000
"""Milliseconds that an instant may lie ahead of log time: more is no jitter, but a wrong clock."""
PAUSE_PARTS = 2
"""A pause of predictions is long where it takes half of the silence that outcomes are allowed: the
other half may have passed when it began. By judgement."""
REFUSED: dict[EventKind, ConditionKind] = {
    "prediction": "prediction_refused",
    "outcome": "outcome_refused",
}
RULES = len(OF_PREDICTIONS) + len(OF_OUTCOMES) + 2
"""Conditions that share the budget: those of rates, and two silences. Refused and repeated events
have the same part without a share of it: a producer without any has none to spend."""


class TrafficMonitor(Machine):
    """The arrival of one model's events.

    Attributes
    ----------
    due_ms
        Log time at which `advance` must be called, before the events of that time are taken in.
    silent_ms
        Instant from which predictions are silent too long, until a tick has reported it.
    first_ms
        Log time of the model's first event.
    rows
        The conditions that rest on the numbers of rows.
    late
        The time between a prediction and its outcome, in milliseconds, is a row of it.
    """

    due_ms: int = 0
    silent_ms: int = NEVER_MS
    _is_silence_reported: bool = False
    _wait_s: float = 0.0
    first_ms: int = 0
    _hour: int = 0
    _day: int = 0
    _predictions: ArrivalPattern = field(default_factory=ArrivalPattern)
    _outcomes: ArrivalPattern = field(default_factory=ArrivalPattern)
    rows: RowConditions = field(default_factory=RowConditions)
    _daily: dict[ConditionKind, DailyShare] = field(default_factory=dict)
    _day_counts: dict[ConditionKind, tuple[int, int]] = field(default_factory=dict)
    late: DailyDelay = field(default_factory=DailyDelay)

    @classmethod
    def of(cls, alert_budget: float, wait_s: float, counts: JoinCounts) -> "TrafficMonitor":
        """Return the monitor of a model.

        Parameters
        ----------
        alert_budget
            False alarms per 10,000 predictions, for the whole model.
        wait_s
            Seconds that an event waits for its other half.
        counts
            The events that the model's join has counted before.
        """
        traffic = cls(
            _predictions=ArrivalPattern(counts.predictions),
            _outcomes=ArrivalPattern(counts.outcomes),
            rows=RowConditions.of(counts.predictions, counts.outcomes),
            _daily={"missing": DailyShare(), "orphan": DailyShare()},
            _day_counts=_hits_and_rows(counts),
        )
        traffic.respec(alert_budget, wait_s)
        return traffic

    def respec(self, alert_budget: float, wait_s: float) -> None:
        """Put another budget and another wait in force."""
        false_alarms = BUDGET_SHARE * alert_budget / RULES
        self._wait_s = wait_s
        self._predictions.nats = self._outcomes.nats = math.log(BUDGET_ROWS / false_alarms)
        self.rows.set_budget(false_alarms)

    def on_prediction(
        self, *, row: int, status: str | None, version: str | None, at_ms: int, now_ms: int
    ) -> Sequence[ConditionState]:
        """Take in a prediction that no earlier one has the id of.

        Parameters
        ----------
        row
            Its number among the model's predictions, from 1.
        status, version
            Its fields.
        at_ms, now_ms
            Its own instant, and log time.
        """
        pause_ms = now_ms - self._predictions.last_ms
        ends = self._predictions.on_event(now_ms, row - 1)
        if pause_ms > SHORTEST_MS:
            self._excuse_outcomes(pause_ms, now_ms)
        rows = self.rows
        is_ahead = at_ms - now_ms > AHEAD_MS
        if (
            (status is None or status == "ok")
            and version == rows.latest_version
            and row < rows.due_prediction
            and not (is_ahead or ends)
        ):
            return ()
        states = [self._end_silence(now_ms)] if ends else []
        states += rows.on_prediction(row, status=status, version=version, is_ahead=is_ahead)
        return self._changed(states)

    def is_first_of_version(self, row: int) -> bool:
        """Tell whether the latest prediction, of this row, was the first of a new version."""
        return self.rows.is_first_of_version(row)

    def on_half(self, rows: int, now_ms: int) -> Sequence[ConditionState]:
        """Take in that a prediction waits for its inputs: its service is not silent.

        It is counted as a prediction when it goes on; ``rows`` have so far.
        """
        return (self._end_silence(now_ms),) if self._predictions.on_event(now_ms, rows) else ()

    def _excuse_outcomes(self, pause_ms: int, now_ms: int) -> None:
        """Wait for outcomes from here on, after a pause of predictions that is long for them."""
        if PAUSE_PARTS * pause_ms > self._outcomes.allowed_ms(now_ms // HOUR_MS):
            self._outcomes.excuse(now_ms + round(1_000 * self.late.value_s))
            self.due_ms = 0

    def _end_silence(self, now_ms: int) -> ConditionState:
        self._outcomes.excuse(now_ms + round(1_000 * self.late.value_s))  # Rule 6
        self.due_ms = 0
        return self._state_of("prediction_silence", now_ms)

    def on_repeated(self, *, rows: int, now_ms: int, is_other: bool) -> Sequence[ConditionState]:
        """Take in a prediction that an earlier one has the id of: its producer is running.

        Parameters
        ----------
        rows
            The model's predictions so far, each id once.
        is_other
            Whether it is another prediction under the same id, and no repetition of the first.
        """
        ends = self._predictions.on_event(now_ms, rows)
        states = [self._end_silence(now_ms)] if ends else []
        if is_other:
            states += self.rows.on_beside("repeated", rows)
        return self._changed(states)

    def on_noted(self, kind: ConditionKind, row: int, names: str) -> Sequence[ConditionState]:
        """Take in a fact about the fields of an event: ``names`` of these, and its row."""
        return self.rows.on_noted(kind, row, names)

    def on_outcome(
        self, *, row: int, at_ms: int, now_ms: int, is_conflicting: bool
    ) -> Sequence[ConditionState]:
        """Take in an outcome.

        Parameters
        ----------
        row
            Its number among the model's outcomes, from 1.
        at_ms, now_ms
            As for `on_prediction`.
        is_conflicting
            Whether it contradicts an earlier outcome of its prediction.
        """
        ends = self._outcomes.on_event(now_ms, row - 1)
        is_ahead = at_ms - now_ms > AHEAD_MS
        rows = self.rows
        if not (ends or is_ahead or is_conflicting or row >= rows.due_outcome):
            return ()
        states = [self._state_of("outcome_silence", now_ms)] if ends else []
        states += rows.on_outcome(row, is_ahead=is_ahead, is_conflicting=is_conflicting)
        return self._changed(states)

    def on_refused(self, kind: EventKind, rows: int) -> Sequence[ConditionState]:
        """Take in a refused prediction or outcome; ``rows`` of its kind were valid so far."""
        return self._changed(self.rows.on_beside(REFUSED[kind], rows))

    def on_reported(self, rows: int) -> Sequence[ConditionState]:
        """Take in that a person reported a prediction; ``rows`` predictions came so far."""
        return self._changed(self.rows.on_beside("reported", rows))

    def _changed(self, states: list[ConditionState]) -> list[ConditionState]:
        """Return conditions that begin or end; `advance` must see to their renewal by the hour."""
        if states:
            self.due_ms = 0
        return states

    def advance(
        self, now_ms: int, *, counts: JoinCounts, is_tick: bool = False
    ) -> list[ConditionState]:
        """Let log time pass.

        Parameters
        ----------
        now_ms
            The instant of the next event, or of a tick (Rule 7).
        counts
            The events that the model's join has counted so far.
        is_tick
            Whether a tick makes time pass.
        """
        states: list[ConditionState] = []
        hour = now_ms // HOUR_MS
        if hour > self._hour:
            if not self._hour:
                self.first_ms, self._day = now_ms, hour
            self._hour = hour
            if self._is_any_on:
                states += self._renewed(now_ms)
            if hour - self._day >= DAY_HOURS:
                self._day = hour
                states += self._close_day(now_ms, counts)
        return states + self._check_silence(now_ms, is_tick=is_tick)

    @property
    def last_ms(self) -> int:
        """Log time of the last event; 0 before the first."""
        return max(self._predictions.last_ms, self._outcomes.last_ms)

    @property
    def is_silence_reported(self) -> bool:
        """Whether predictions are silent, and a tick has reported it."""
        return self._is_silence_reported and self._predictions.is_silent

    def tick_due_ms(self, now_ms: int) -> int:
        """Return the instant from which a tick reports that predictions are silent.

        It changes nothing. Before that instant the result may be too early, though later than
        ``now_ms``: a lower bound costs less than the instant itself.
        """
        predictions = self._predictions
        if predictions.is_silent:
            return NEVER_MS if self._is_silence_reported else self.silent_ms
        at_first_ms = predictions.last_ms + SHORTEST_MS
        return at_first_ms if now_ms < at_first_ms else predictions.deadline_ms()

    def accept(self, series: str, aspect: str, now_ms: int) -> None:
        """Take a condition, as it is now, as normal; nothing happens where it is none of these."""
        kind = condition_kind(series, aspect)
        if kind is None:
            return
        if kind in {"prediction_silence", "outcome_silence"}:
            self._pattern_of(kind).excuse(now_ms)
            self.due_ms = 0
        elif kind == "late":
            self.late.relearn()
        elif kind in self._daily:
            self._daily[kind].relearn()
        else:
            self.rows.relearn(kind)

    def _check_silence(self, now_ms: int, *, is_tick: bool) -> list[ConditionState]:
        """Return silences that are too long; set the time of the next check."""
        predictions, outcomes = self._predictions, self._outcomes
        states: list[ConditionState] = []
        silent_ms = unanswered_ms = NEVER_MS
        if not predictions.is_silent:
            self._is_silence_reported = False
            silent_ms = self.silent_ms = predictions.deadline_ms()
            if now_ms >= silent_ms:
                predictions.fall_silent()
                silent_ms = NEVER_MS
        if is_tick and predictions.is_silent:
            self._is_silence_reported = True
            self.silent_ms = NEVER_MS
            states.append(self._state_of("prediction_silence", now_ms))
        if not (predictions.is_silent or outcomes.is_silent):
            unanswered_ms = outcomes.deadline_ms()
            if predictions.last_ms >= unanswered_ms:  # Rule 6
                outcomes.fall_silent()
                unanswered_ms = NEVER_MS
                states.append(self._state_of("outcome_silence", now_ms))
        hours = 1 if self._is_any_on else DAY_HOURS
        next_ms = min(self._hour + hours, self._day + DAY_HOURS) * HOUR_MS
        self.due_ms = min(next_ms, silent_ms, unanswered_ms)
        return states

    @property
    def _is_any_on(self) -> bool:
        """Whether a condition may have to be renewed by the hour."""
        are_silent = self._predictions.is_silent or self._outcomes.is_silent
        return are_silent or self.rows.is_any_on

    def _renewed(self, now_ms: int) -> list[ConditionState]:
        """Return the lasting conditions (Rule 4); figures of a day are renewed by the day."""
        on: list[ConditionKind] = []
        if self.is_silence_reported:
            on.append("prediction_silence")
        if self._outcomes.is_silent:
            on.append("outcome_silence")
        return self.rows.lasting() + [self._state_of(kind, now_ms) for kind in on]

    def _close_day(self, now_ms: int, counts: JoinCounts) -> list[ConditionState]:
        changed: list[ConditionKind] = []
        day_counts = _hits_and_rows(counts)
        is_old = now_ms - self.first_ms >= 1_000 * self._wait_s  # Rule 8
        for kind, share in self._daily.items():
            hits, rows = day_counts[kind]
            hits_before, rows_before = self._day_counts[kind]
            if is_old and rows - rows_before < FEWEST_ROWS:
                continue
            self._day_counts[kind] = day_counts[kind]
            if is_old:
                was_on = share.is_on
                share.close_day(hits - hits_before, rows - rows_before)
                changed += [kind] if was_on or share.is_on else []
        if self.late.rows_today >= FEWEST_ROWS:
            was_on = self.late.is_on
            self.late.close_day()
            changed += ["late"] if was_on or self.late.is_on else []
        return [self._state_of(kind, now_ms) for kind in changed]

    def _state_of(self, kind: ConditionKind, now_ms: int) -> ConditionState:
        if kind in {"prediction_silence", "outcome_silence"}:
            return self._silence(kind, now_ms)
        if kind == "late":
            late = self.late
            ratio = late.value_s / max(late.normal_s, 0.001)
            figures = Figures(late.value_s, late.normal_s, ratio, rows=late.rows)
            return ConditionState(condition_of(kind, figures), late.is_on)
        return share_state(kind, self._daily[kind])

    def _silence(self, kind: ConditionKind, now_ms: int) -> ConditionState:
        pattern = self._pattern_of(kind)
        hour, outcomes = now_ms // HOUR_MS, self._outcomes
        elapsed_ms, normal_ms = now_ms - pattern.last_ms, pattern.normal_ms(hour)
        also = "; no outcomes arrive either" if outcomes.last_ms else ""
        is_recent = now_ms - outcomes.last_ms <= max(outcomes.normal_ms(hour), SHORTEST_MS)
        if is_recent and outcomes.last_ms > self._predictions.last_ms + SHORTEST_MS:
            also = "; outcomes still arrive"
        figures = Figures(elapsed_ms / 1_000, normal_ms / 1_000, elapsed_ms / max(normal_ms, 1))
        return ConditionState(condition_of(kind, figures, also), pattern.is_silent)

    def _pattern_of(self, kind: ConditionKind) -> ArrivalPattern:
        return self._predictions if kind == "prediction_silence" else self._outcomes


def _hits_and_rows(counts: JoinCounts) -> dict[ConditionKind, tuple[int, int]]:
    """Return hits and rows so far, for the conditions that are counted by the day."""
    expired, orphans = counts.expired_predictions, counts.orphan_outcomes
    return {
        "missing": (expired, expired + counts.pairs),
        "orphan": (orphans, orphans + counts.pairs),
    }
