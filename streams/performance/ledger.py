"""The figures of one model by the time of its predictions: events in, records of ``metrics`` out.

Rule 1. A model whose spec asks for no cohorts has none, and costs nothing.
Rule 2. Labels have numbers in the order in which they come; after ``MOST_NAMED`` the others share
        one. Errors are counted from the pair itself, so they are right beyond that.
Rule 3. A record is named by its number among the model's: the same log gives the same names.
Rule 4. The label that scores speak of is told from the answers so far, and may turn. An outcome is
        counted in a day by the label of its row, and taken back by that same one: the turns are
        kept.
"""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson
from msgspec import Struct, field
from msgspec.json import Decoder

from schemas.alert import ValueAtRisk
from schemas.feature_row import as_dict
from schemas.metric import Metric
from schemas.model_spec import ModelSpec
from schemas.wire import to_rfc3339
from streams.change import Onset
from streams.clock import DAY_MS
from streams.codec import Machine
from streams.detect.budget import calibration_budget
from streams.detect.day_kernel import add_outcome
from streams.join.events import EarlyOutcome, WaitingPrediction, answer_of
from streams.performance.calibration import Calibration, Step
from streams.performance.cohort import MONEY, Cohort, CountedOutcome
from streams.performance.cohorts import CohortRules, Cohorts, DuePeriod, Period
from streams.performance.error_model import ErrorEstimator
from streams.performance.estimate import Estimate, estimate_of
from streams.performance.figures import (
    BINS,
    Positive,
    positive_of,
    score_rows,
    usual_positive,
)
from streams.performance.history import History
from streams.performance.money import NO_SUMS, Money
from streams.performance.nowcast import Outlook
from streams.performance.price import price_of
from streams.performance.report import NO_VERSION, RecordFacts, metric_of
from streams.values import Answer, distance_of, text_of

MOST_NAMED = 20
"""Labels counted by name: a confusion matrix of more is not read by anyone."""
_OTHER = MOST_NAMED
_ANOTHER = MOST_NAMED + 1
"""Number of an outcome that has no name, and differs from a prediction that has none either."""
MOST_TURNS = 32
"""Turns of the label that scores speak of, after which the majority of the answers decides no more:
one that has turned so often tells nothing. By judgement."""
_ALL_VERSIONS = "(all)"
"""Name of all versions in the key of a record."""


class _PredictionFields(Struct, gc=False):
    """The fields of a stored prediction that are counted."""

    score: float | None = None
    scores: dict[str, float] | None = None
    model_version: str | None = None


class _OutcomeFields(Struct, gc=False):
    """The fields of a stored outcome that are counted."""

    source: str | None = None
    value: float | None = None


_read_prediction = Decoder(_PredictionFields).decode
_read_outcome = Decoder(_OutcomeFields).decode


class JudgedOutcome(NamedTuple):
    """An outcome, and whether the answer was wrong by it; None for a regression."""

    outcome: EarlyOutcome
    is_error: bool | None


class KeyedMetric(NamedTuple):
    """A record of ``metrics`` and its key."""

    key: str
    metric: Metric


class Turn(NamedTuple):
    """From this labelled row on, outcomes are counted in days by this label."""

    row: int
    positive: Positive


class LedgerState(Machine):
    """The stored state of a `Ledger`.

    Attributes
    ----------
    records
        Records published so far; it outlives a removal of the model.
    cohorts, history
        The cohorts, and the days for a view of what is not known yet.
    money
        The money of these days, where the spec has `cost`.
    calibration
        What the scores mean, where the spec has `calibration`.
    labels
        The numbers of the labels, by their JSON.
    negatives, sure_negatives
        Answers ``0`` or ``false`` with a score, and of these the ones of at least one half.
    turns
        The labels by which outcomes were counted in days (Rule 4), the latest last.
    """

    records: int = 0
    cohorts: Cohorts = field(default_factory=Cohorts)
    history: History = field(default_factory=History)
    money: Money | None = None
    calibration: Calibration | None = None
    labels: dict[str, int] = {}
    negatives: int = 0
    sure_negatives: int = 0
    turns: list[Turn] = []


class Ledger:
    """The figures of one model.

    Parameters
    ----------
    model_id
        The model.
    spec, spec_version
        The spec in force, which asks for figures.
    state
        The stored state; a new one when None.
    """

    def __init__(
        self, model_id: str, spec: ModelSpec, spec_version: int, state: LedgerState | None = None
    ) -> None:
        self._cost, self._calibration = spec.cost, spec.calibration
        self._found_by: tuple[int, bool] | None = None
        self._found = Positive(None, -1)
        self._steps: list[Step] = []
        self.state = state or LedgerState(
            money=self._new_money(), calibration=self._new_calibration()
        )
        self._model_id = model_id
        self._numbers: dict[tuple[type, Answer], int] = {}  # of the labels, by themselves
        self.respec(spec, spec_version)

    def respec(self, spec: ModelSpec, spec_version: int) -> None:
        """Put another spec in force; one that asks for no cohorts ends them."""
        self._spec_version = spec_version
        self._rules = rules_of(spec)
        errors = spec.reference.error_model
        self._errors = None if errors is None else ErrorEstimator(errors)
        self._positive, self._found_by = spec.positive, None
        before, self._cost = self._cost, spec.cost
        if not self._rules.kinds:
            self.restart()
        elif self._cost != before:
            self.state.money = self._new_money()
        self._calibration, self._budget = spec.calibration, calibration_budget(spec.alert_budget)
        if spec.calibration is None or self.state.calibration is None:
            self.state.calibration = self._new_calibration()

    def restart(self) -> None:
        """Begin again: the model is removed, or answers another task.

        The numbers of its records continue.
        """
        self.state = LedgerState(
            self.state.records, money=self._new_money(), calibration=self._new_calibration()
        )
        self._numbers, self._found_by = {}, None

    def _new_money(self) -> Money | None:
        return None if self._cost is None else Money()

    def _new_calibration(self) -> Calibration | None:
        return None if self._calibration is None else Calibration()

    @property
    def due_ms(self) -> int:
        """Log time at which `due` returns a record."""
        return self.state.cohorts.due_ms

    def on_prediction(self, event: dict[str, Any], now_ms: int, is_regression: bool) -> None:
        """Count a prediction that no earlier one has the id of."""
        if not self._rules.kinds:
            return
        score, scores = event.get("score"), event.get("scores")
        if score is None and scores:
            score = _score_of(scores, self._positive)
        answer = answer_of(event)
        label = 0 if is_regression or answer is None else self._number_of(answer)
        if score is not None and (answer is False or answer == 0):
            self.state.negatives += 1
            self.state.sure_negatives += score >= 0.5
        expected = None
        if self._errors is not None and is_regression and answer is not None:
            expected = self._errors.expected(as_dict(event.get("features")), answer)
        status = event.get("status") or "ok"
        version = event.get("model_version") or NO_VERSION
        at_ms, latency_ms = event["predicted_at"], event.get("latency_ms")
        for period in self.state.cohorts.places(at_ms, now_ms, self._rules):
            cohort = period.versions.get(version) or period.cohort_of(version)
            cohort.on_prediction(score, label, status, latency_ms)
            if expected is not None:
                cohort.on_expected(expected)
        if status == "ok":
            positive = self._positive_label()
            is_positive = positive.label is None or label == positive.number
            given, wait_ms = math.nan if score is None else float(score), self._rules.wait_ms
            self.state.history.on_prediction(at_ms, given, now_ms, wait_ms, is_positive=is_positive)

    def on_pair(
        self,
        prediction: WaitingPrediction,
        judged: JudgedOutcome,
        row: int,
        now_ms: int,
        before: JudgedOutcome | None = None,
    ) -> None:
        """Count the outcome of an answer; take back the one ``before`` that it corrects.

        ``row`` is the number of its labelled row.
        """
        answer = prediction.prediction
        if answer is None or not self._rules.kinds:
            return
        made = _read_prediction(prediction.payload)
        score = made.score
        if score is None and made.scores:
            score = _score_of(made.scores, self._positive)
        version = made.model_version or NO_VERSION
        at_ms, rules = prediction.predicted_at_ms, self._rules
        self._note_turn(row)
        first = prediction.row if prediction.row is not None else row
        for each, sign, of_row in ((before, -1, first), (judged, 1, row)):
            if each is None or of_row < self.state.turns[0].row:  # it was not counted
                continue
            counted = self._counted(answer, score, each, at_ms, sign)
            self.state.cohorts.on_outcome(counted, version, at_ms, now_ms, rules)
            self._count_in_day(counted, at_ms, of_row)

    def _counted(
        self, answer: Answer, score: float | None, judged: JudgedOutcome, at_ms: int, sign: int
    ) -> CountedOutcome:
        """Return an outcome as it is counted."""
        outcome, is_error = judged
        truth, known = outcome.outcome, _read_outcome(outcome.payload)
        distance, amount = None, None if is_error is None else float(is_error)
        if is_error is None:
            answered = label = 0
            distance = amount = distance_of(answer, truth)
        else:
            answered, label = self._number_of(answer), self._number_of(truth)
            if label == answered == _OTHER and is_error:
                label = _ANOTHER
        gained = None
        if self._cost is not None:
            gained = price_of(self._cost, answer, truth, known.value, amount)
        delay_ms, source = outcome.observed_at_ms - at_ms, known.source or "label"
        return CountedOutcome(
            score, answered, label, is_error, distance, delay_ms, source, gained, sign
        )

    def _count_in_day(self, counted: CountedOutcome, at_ms: int, row: int) -> None:
        """Count the outcome of an answer, or take that of a row back, among those of its day."""
        day = self.state.history.day_of(at_ms)
        if day is None:
            return
        money, sums, gained = self.state.money, NO_SUMS, math.nan
        if money is not None and counted.gained is not None:
            sums, gained = money.of_day(at_ms, row), counted.gained / MONEY
        positive = self._positive_of(row)
        is_positive = positive.label is None or counted.answered == positive.number
        score = math.nan if counted.score is None else float(counted.score)
        flags = int(is_positive), int(counted.is_error is True), counted.sign
        add_outcome(day, sums, (score, float(counted.delay_ms), gained), flags)

    def due(self, now_ms: int) -> list[KeyedMetric]:
        """Return the records that are due at ``now_ms``."""
        return self._records(self.state.cohorts.due(now_ms, self._rules), now_ms)

    def closing(self, now_ms: int) -> list[KeyedMetric]:
        """Return the records of all open cohorts, for the end of a recording."""
        periods = self.state.cohorts.open()
        return self._records((DuePeriod(each, is_final=False) for each in periods), now_ms)

    def calibration_steps(self) -> list[Step]:
        """Return what settled days have shown since this was last called."""
        steps, self._steps = self._steps, []
        return steps

    def accept_calibration(self) -> None:
        """Take the present meaning of scores as the usual one: a person has accepted it."""
        if self.state.calibration is not None:
            self.state.calibration.accept()

    def on_read(self) -> None:
        """Take in that all values so far have been read, and their alerts published."""
        if self.state.money is not None:
            self.state.money.on_read()

    def value_at_risk(self, onset: Onset, at_ms: int) -> ValueAtRisk | None:
        """Return the money lost since an onset, as it was known at an instant."""
        money, rules = self.state.money, self._cost
        if money is None or rules is None:
            return None
        loss = money.loss_since(onset, at_ms)
        return ValueAtRisk(
            currency=rules.currency,
            since=to_rfc3339(loss.since_ms),
            as_of=to_rfc3339(loss.as_of_ms),
            lost=loss.lost,
            low=loss.low,
            high=loss.high,
            per_day=loss.per_day,
            deterioration=loss.deterioration,
            open_labels=loss.open,
        )

    def _records(self, due: Iterable[DuePeriod], now_ms: int) -> list[KeyedMetric]:
        state, positive = self.state, self._positive_label()
        state.history.advance(now_ms, self._rules.wait_ms)
        outlook = Outlook(state.history, now_ms, self._rules.wait_ms)
        if state.money is not None:
            state.money.advance(outlook)
        self._learn_settled(outlook, now_ms, positive)
        prices = None
        if state.money is not None and self._cost is not None:
            prices = state.money.prices(self._cost.currency, outlook)
        records: list[KeyedMetric] = []
        for period, is_final in due:
            parts = [(None, period.total()), *period.versions.items()]
            for name, cohort in parts[: 1 if len(parts) == 2 else None]:  # one version is all
                state.records += 1
                part = _ALL_VERSIONS if name is None else name
                record_id = f"{self._model_id}/metrics/{state.records}"
                facts = RecordFacts(
                    metric_id=record_id,
                    supersedes=period.records.get(part),
                    model_id=self._model_id,
                    version=name,
                    spec_version=self._spec_version,
                    as_of_ms=now_ms,
                    is_final=is_final,
                    positive=positive,
                    labels=state.labels,
                    outlook=outlook,
                    prices=prices,
                    bins=BINS if self._calibration is None else self._calibration.bins,
                    calibration=state.calibration,
                    estimate=self._estimate(period, part, cohort, positive, now_ms),
                )
                period.records[part] = record_id
                key = f"{self._model_id}|{period.kind}|{period.start_ms}|{part}"
                records.append(KeyedMetric(key, metric_of(period, cohort, facts)))
                known = records[-1].metric.completeness
                if name is None and known is not None and now_ms >= period.end_ms:
                    state.cohorts.on_known(period, cohort.labelled, known)
        return records

    def _learn_settled(self, outlook: Outlook, now_ms: int, positive: Positive) -> None:
        """Compare the days whose outcomes have settled with what scores mean, and learn them."""
        calibration, settled_ms = self.state.calibration, outlook.settled_ms
        if calibration is None or settled_ms is None:
            return
        last_ms = now_ms - settled_ms - DAY_MS
        for period in self.state.cohorts.days_between(calibration.learnt_ms + 1, last_ms):
            total = period.total()
            rows = [] if total.distances else score_rows(total.scores, positive)
            step = calibration.on_day(period.start_ms, rows, self._budget)
            if step is not None:
                self._steps.append(step)

    def _estimate(
        self, period: Period, part: str, cohort: Cohort, positive: Positive, now_ms: int
    ) -> Estimate | None:
        """Return what was told of a cohort at its end, without labels; from then on it stands."""
        if now_ms < period.end_ms or (self.state.calibration is None and self._errors is None):
            return None
        if part not in period.estimates:
            period.estimates[part] = self._estimate_now(cohort, positive)
        return period.estimates[part]

    def _estimate_now(self, cohort: Cohort, positive: Positive) -> Estimate | None:
        calibration, errors = self.state.calibration, self._errors
        if errors is not None and cohort.foretold:
            mae = cohort.expected / cohort.foretold * errors.unit
            return Estimate(None, cohort.foretold, mae=float(f"{mae:.6g}"))
        if calibration is None or not calibration.is_judging:
            return None
        return estimate_of(cohort.scores, positive, calibration.map, calibration.version)

    def _positive_label(self) -> Positive:
        """Return the label that scores speak of; none where they speak of the answer given."""
        state = self.state
        known_by = len(state.labels), 2 * state.sure_negatives > state.negatives
        if self._found_by != known_by:
            self._found_by, self._found = known_by, self._find_positive()
        return self._found

    def _note_turn(self, row: int) -> None:
        positive, turns = self._positive_label(), self.state.turns
        if not turns or turns[-1].positive != positive:
            turns.append(Turn(row, positive))

    def _positive_of(self, row: int) -> Positive:
        """Return the label by which the outcome of a row is counted in its day (Rule 4)."""
        turns = self.state.turns
        if turns[-1].row <= row:
            return turns[-1].positive
        return next(each for each in reversed(turns) if each.row <= row).positive

    def _find_positive(self) -> Positive:
        if self._positive is not None:
            return positive_of(label_of(self._positive), self.state.labels)
        found, turns = positive_of(None, self.state.labels), self.state.turns
        speaks_of_answer = 2 * self.state.sure_negatives > self.state.negatives
        if len(turns) >= MOST_TURNS:
            speaks_of_answer = turns[-1].positive.label is None
        return Positive(None, found.number) if speaks_of_answer else found

    def _number_of(self, answer: Answer) -> int:
        number = self._numbers.get((type(answer), answer))
        if number is not None:
            return number
        labels, label = self.state.labels, label_of(answer)
        if label not in labels and len(labels) < MOST_NAMED:
            labels[label] = len(labels)
        number = labels.get(label, _OTHER)
        if number != _OTHER:
            self._numbers[type(answer), answer] = number
        return number


_LARGE = 2.0**63
"""Integers of the wire have 64 bits; larger numbers are doubles, and are written as such."""


def rules_of(spec: ModelSpec) -> CohortRules:
    """Return the kinds of cohorts that a spec asks for, and the time that outcomes are awaited."""
    if spec.metrics is None or not spec.metrics.cohorts:
        return CohortRules((), 0)
    wait_ms = round(spec.outcome.wait_s * 1_000)
    return CohortRules(("hour", "day") if spec.metrics.every == "hour" else ("day",), wait_ms)


def label_of(answer: Answer) -> str:
    """Return a label as JSON: 1 and "1" are two labels, 1 and 1.0 are one.

    Examples
    --------
    >>> [label_of(x) for x in (1, 1.0, "1", True, 0.5)]
    ['1', '1', '"1"', 'true', '0.5']
    """
    if isinstance(answer, float) and answer.is_integer() and abs(answer) < _LARGE:
        answer = int(answer)
    return orjson.dumps(answer).decode()


def _score_of(scores: dict[str, float], positive: Answer | None) -> float:
    """Return the score of the positive label, where there is one; else the highest."""
    if positive is not None:
        name = positive if isinstance(positive, str) else text_of(positive)
        return scores.get(name, 0.0)
    usual = usual_positive(scores.keys())
    return max(scores.values()) if usual is None else scores.get(usual, 0.0)
