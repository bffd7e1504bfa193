"""The events of one model from its services: the clock, traffic, the join, the values (Rule 10).

Its rules are those of `streams.model.model`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from schemas.fast import encode as encode_event
from streams.detect.outline import Outline
from streams.emission import Arrival, Place
from streams.ingest.tolerance import LEFT_OUT
from streams.ingest.unread import UNREAD, Noted, noted
from streams.join.events import EarlyOutcome, WaitingPrediction, answer_of
from streams.model import skew
from streams.model.parts import ModelParts
from streams.performance.ledger import JudgedOutcome
from streams.series.attributions import parts_of
from streams.series.label_delays import FULL_ROWS, SAMPLED
from streams.series.quantities import QUANTITY_PAIRS
from streams.series.reading import Reading
from streams.series.series_state import Label
from streams.traffic.conditions import ConditionKind, ConditionState
from streams.traffic.disagreement import mismatch_condition, unjoined_condition
from streams.traffic.skew import Compared
from streams.values import Answer

_NO_FEATURES: dict[str, Any] = {}
_MARKS: dict[str, ConditionKind] = {UNREAD: "unread", LEFT_OUT: "left_out"}
_OUTCOME_MARKS: dict[str, ConditionKind] = {LEFT_OUT: "outcome_left_out"}
"""What ingest may have noted in an event, with the condition that tells of it."""


class ModelEvents(ModelParts):
    """Hears predictions, outcomes and inputs."""

    def _pass_time(self, arrival: Arrival) -> None:
        self._is_away = False
        self._now_ms = arrival.logged_at
        self._behind_ms = max(0, arrival.appended_at - self._now_ms)
        if self._now_ms >= self.traffic.due_ms:
            conditions = self.traffic.advance(self._now_ms, counts=self.join.counts)
            self._on_conditions(conditions, arrival)
            self._settle_conditions(arrival)
        if self._now_ms >= self._pending.as_read.late.due_ms:
            self._read_late(arrival)
        if self._now_ms >= self._pending.loads.due_ms:
            self._end_loads(arrival)
        if self._now_ms >= self.join.halves.due_ms:
            self._go_on_without_inputs(arrival)
        self.join.advance(self._now_ms)
        if self._is_action_asked:
            self._act_by_time(arrival)
        if self._distributions is not None:  # of every model that has figures
            self._publish_metrics(arrival)

    def _act_by_time(self, at: Arrival | Place) -> None:
        """Say what the time calls for: leases, the end of reviews, days of a challenge."""
        for each in (self._deputy, self._reviewer, self._challenger):
            if self._now_ms >= each.due_ms:
                each.advance(self._row(at, self._now_ms))

    def _read_late(self, at: Arrival | Place) -> None:
        """Read the late labels of predictions that have reached an age."""
        if self._now_ms < self._pending.as_read.late.due_ms:
            return
        row = self._row(at, self._now_ms)
        reading = Reading(lambda _role, _row: row, self._rules())
        self._publish(self._pending.settled().late.read(self._now_ms, reading), row)

    def _end_loads(self, at: Arrival | Place) -> None:
        """Read the values of loads, which are over."""
        self._pending.end_loads(self._row(at, self._now_ms))

    def _on_prediction(self, arrival: Arrival) -> None:
        event, join, now_ms = arrival.event, self.join, self._now_ms
        prediction_id = event["prediction_id"]
        if arrival.logged_at < now_ms:
            # It moves no clock, yet its producer is running: the lag is that of this event.
            self._behind_ms = max(0, arrival.appended_at - now_ms)
        if event.get("variant") is not None or join.is_known(prediction_id):
            self._on_no_row(arrival)
            return
        at_ms, status = event["predicted_at"], event.get("status")
        version: str | None = event.get("model_version")
        self.counts.predictions += 1
        conditions = self.traffic.on_prediction(
            row=self.counts.predictions,
            status=status,
            version=version,
            at_ms=at_ms,
            now_ms=now_ms,
        )
        if conditions or version != self._version:
            self._on_traffic(conditions, version, arrival)
        answer, score = _answer_and_score(event, status)
        if type(answer) is float:
            self._on_number(answer, arrival)
        features = event.get("features") or _NO_FEATURES
        is_odd = LEFT_OUT in event or UNREAD in event
        payload = self._on_odd_fields(arrival, _MARKS) if is_odd else arrival.payload
        parts = parts_of(event.get("explanation")) if self._is_explained else None
        values = features, score, answer, event.get("segment"), parts
        new = self._pending.add_prediction(self._row(arrival, at_ms, values))
        if new:
            self._on_new_features(new, arrival)
        if self._is_more_asked:
            self._on_answer(arrival)
        waiting = WaitingPrediction(payload, answer, at_ms)
        outcome = join.on_prediction(prediction_id, waiting, now_ms)
        if outcome is not None:
            self._on_pair(waiting, outcome, arrival)

    def _on_answer(self, arrival: Arrival) -> None:
        """Hear a prediction for whatever the spec asks for beyond alerts."""
        event, rules = arrival.event, self._deputy.rules
        if self._ledger is not None:
            self._ledger.on_prediction(event, self._now_ms, self.is_regression)
        if self._skew is not None:
            self._compare(skew.of_prediction(self.join, event), arrival)
        if not self._is_action_asked:
            return
        if rules is not None:
            status, latency_ms = event.get("status") or "ok", event.get("latency_ms")
            self._deputy.state.on_prediction(status, latency_ms, self._now_ms, rules)
            self._deputy.advance(self._row(arrival, event["predicted_at"]))
        if self._reviewer.rules is not None:
            row = self._row(arrival, event["predicted_at"])
            is_quantity = self.is_regression
            self._reviewer.on_answer(event, answer_of(event), row, is_quantity=is_quantity)

    def _on_judged(
        self,
        prediction: WaitingPrediction,
        outcome: EarlyOutcome,
        is_error: bool | None,
        arrival: Arrival,
    ) -> None:
        """Hear a pair likewise."""
        rules, now_ms = self._deputy.rules, self._now_ms
        if self._ledger is not None:
            before, last = None, prediction.last
            if last is not None:  # it is corrected
                was_error, _ = self._pending.as_read.compare(prediction.prediction, last.outcome)
                before = JudgedOutcome(last, was_error)
            judged, labelled = JudgedOutcome(outcome, is_error), self.counts.labelled
            self._ledger.on_pair(prediction, judged, labelled, now_ms, before)
        if not self._is_action_asked:
            return
        if rules is not None and is_error is not None and prediction.prediction is not None:
            self._deputy.state.on_pair(
                is_error=is_error,
                predicted_ms=prediction.predicted_at_ms,
                now_ms=now_ms,
                rules=rules,
            )
            self._deputy.advance(self._row(arrival, now_ms))
        if self._challenger.rules is not None and (is_error is not None or self.is_regression):
            prediction_id = arrival.event["prediction_id"]
            self._challenger.on_pair(prediction_id, prediction, outcome, is_error)
        if self._reviewer.rules is not None:
            prediction_id, row = arrival.event["prediction_id"], self._row(arrival, now_ms)
            self._reviewer.on_verdict(prediction_id, outcome.outcome, "label", None, row)

    def _on_no_row(self, arrival: Arrival) -> None:
        """Take in a prediction that is no row of the model: of a challenger, or a repetition."""
        if arrival.event.get("variant") is None:
            self._on_repeated(arrival)
            return
        self.counts.variants += 1
        self._challenger.on_answer(arrival.event, self._row(arrival, self._now_ms))

    def _on_verdict(self, arrival: Arrival) -> None:
        """Take in the verdict of a reviewer: it is no label of the error series."""
        event = arrival.event
        self.counts.verdicts += 1
        row = self._row(arrival, event["observed_at"])
        reviewer = event.get("reviewer")
        self._reviewer.on_verdict(event["prediction_id"], event["outcome"], "review", reviewer, row)

    def _on_report(self, arrival: Arrival) -> None:
        """Take in that a person reported an answer."""
        event, row = arrival.event, self._row(arrival, arrival.logged_at)
        self.counts.reports += 1
        conditions = self.traffic.on_reported(self.counts.predictions)
        self._on_conditions(conditions, arrival)
        known = self.join.waiting(event["prediction_id"])
        self._reviewer.on_report(event, known, row)

    def _on_traffic(
        self, conditions: Sequence[ConditionState], version: str | None, arrival: Arrival
    ) -> None:
        """Publish what a prediction says about the arrival of events; its version may be new."""
        self._version = version
        self._on_conditions(conditions, arrival)
        if self.traffic.is_first_of_version(self.counts.predictions):
            self._pending.settled()
            row = self._row(arrival, arrival.event["predicted_at"])
            self._retrainer.on_version(version, row)

    def _on_number(self, answer: float, arrival: Arrival) -> None:
        """Begin the answers again where one shows that the model is a regression."""
        if self._pending.as_read.becomes_regression(answer):
            self._become_regression(arrival, arrival.event["predicted_at"])

    def _become_regression(self, arrival: Arrival, at_ms: int) -> None:
        """Begin the answers again, as quantities."""
        self._end_loads(arrival)
        ended = self._pending.settled().become_regression(self._now_ms)
        self._publish(ended, self._row(arrival, at_ms))
        for figures in (self._ledger, self._segments):
            if figures is not None:
                figures.restart()

    def _on_half(self, arrival: Arrival) -> None:
        """Take in a prediction whose inputs come apart: it goes on when they are here."""
        prediction_id, halves = arrival.event["prediction_id"], self.join.halves
        if self.join.is_known(prediction_id):
            self._on_repeated(arrival)
            return
        if prediction_id in halves.halves.chunk_of:
            self.join.counts.duplicate_predictions += 1
            return
        if not self.in_force.spec.inputs.wait_s and prediction_id not in halves.inputs.chunk_of:
            halves.counts.without_inputs += 1
            self._on_prediction(arrival)
            return
        if arrival.logged_at < self._now_ms:
            self._behind_ms = max(0, arrival.appended_at - self._now_ms)
        self._on_conditions(self.traffic.on_half(self.counts.predictions, self._now_ms), arrival)
        for payload in halves.on_half(prediction_id, arrival.payload, self._now_ms):
            self._go_on(payload, arrival)

    def _on_inputs(self, arrival: Arrival) -> None:
        prediction_id = arrival.event["prediction_id"]
        is_late = self.join.has_met(prediction_id)
        if is_late and self._skew is not None:
            compared = skew.of_inputs(self.join, arrival.event, arrival.payload)
            if compared is not None:
                self._compare(compared, arrival)
                return
        payload = self.join.halves.on_inputs(
            prediction_id, arrival.payload, self._now_ms, is_late=is_late
        )
        if payload is not None:
            self._go_on(payload, arrival)

    def _compare(self, row: Compared | None, arrival: Arrival) -> None:
        """Compare the features of a prediction with those of the log of its system."""
        spec = self.in_force.spec
        if row is not None and self._skew is not None and spec.skew is not None:
            found = self._skew.on_row(row, spec.skew.tolerance, spec.alert_budget)
            self._on_conditions(found, arrival)

    def _go_on_without_inputs(self, at: Arrival | Place) -> None:
        """Let predictions go on that have waited long enough for their inputs."""
        for payload in self.join.halves.expired(self._now_ms):
            self._go_on(payload, at)

    def _go_on(self, payload: bytes, at: Arrival | Place) -> None:
        """Take in a prediction that has waited for its inputs, at the event that ends its wait."""
        now_ms = self._now_ms
        event: dict[str, Any] = orjson.loads(payload)
        self._on_prediction(
            Arrival(
                offset=at.offset,
                place=at.place,
                source="",
                position=0,
                logged_at=now_ms,
                kind="prediction",
                payload=payload,
                event=event,
                appended_at=now_ms + self._behind_ms,
            )
        )

    def _on_repeated(self, arrival: Arrival) -> None:
        """Take in a prediction whose id is known: it counts as a sign of life."""
        conditions = self.traffic.on_repeated(
            rows=self.counts.predictions,
            now_ms=self._now_ms,
            is_other=self.join.is_other(arrival.event),
        )
        self._on_conditions(conditions, arrival)

    def _on_odd_fields(self, arrival: Arrival, marks: Mapping[str, ConditionKind]) -> bytes:
        """Take in what is noted of the fields of an event; return it without that."""
        event, is_prediction = orjson.loads(arrival.payload), arrival.kind == "prediction"
        row = self.counts.predictions if is_prediction else self.join.counts.outcomes + 1
        for mark in filter(event.__contains__, tuple(marks)):
            given = event.pop(mark)
            fields = noted(given) if mark == LEFT_OUT else given
            self._on_noted(marks[mark], fields, row, arrival)
        return encode_event(event)

    def _on_new_features(self, names: list[str], arrival: Arrival) -> None:
        """Publish that features come for the first time; at the beginning, all of them do."""
        series, rows = self._pending.as_read, self.in_force.spec.reference.rows
        if "prediction" in series and series["prediction"].watch.seen >= rows:
            self._on_noted("new_features", noted(names), self.counts.predictions, arrival)

    def _on_noted(self, kind: ConditionKind, fields: Noted, row: int, arrival: Arrival) -> None:
        """Take in a fact about fields: how many, and the names of the first."""
        names, more = ", ".join(fields["names"]), fields["fields"] - len(fields["names"])
        names = f"{names} and {more} more" if more else names
        self._on_conditions(self.traffic.on_noted(kind, row, names), arrival)

    def _on_outcome(self, arrival: Arrival) -> None:
        if "review_id" in arrival.event:
            self._on_verdict(arrival)
            return
        event, now_ms, counts = arrival.event, self._now_ms, self.join.counts
        at_ms, payload = event["observed_at"], arrival.payload
        if LEFT_OUT in event:
            payload = self._on_odd_fields(arrival, _OUTCOME_MARKS)
        # Without calls of our own: this is the hot path.
        corrects = event.get("corrections") == "last"
        outcome = EarlyOutcome(payload, event["outcome"], at_ms, corrects)
        conflicts = counts.conflicting_outcomes
        prediction = self.join.on_outcome(event["prediction_id"], outcome, now_ms)
        if prediction is not None:
            self._on_pair(prediction, outcome, arrival)
        is_conflicting = counts.conflicting_outcomes > conflicts
        conditions = self.traffic.on_outcome(
            row=counts.outcomes, at_ms=at_ms, now_ms=now_ms, is_conflicting=is_conflicting
        )
        if conditions:
            self._on_conditions(conditions, arrival)
        if prediction is None or self.join.unjoined.is_on:
            self._judge_unjoined(arrival)

    def _judge_unjoined(self, arrival: Arrival) -> None:
        """Publish that outcomes find no predictions, or that they do again."""
        found = self.join.judge_unjoined(self._now_ms - self.traffic.first_ms)
        if found is not None:
            condition = unjoined_condition(found, self.in_force.spec.outcome.wait_s)
            verdict = ConditionState(condition, self.join.unjoined.is_on)
            self._on_conditions([verdict], arrival)

    def _on_pair(
        self, prediction: WaitingPrediction, outcome: EarlyOutcome, arrival: Arrival
    ) -> None:
        truth, at_ms, answer = outcome.outcome, outcome.observed_at_ms, prediction.prediction
        answered_at_ms = prediction.predicted_at_ms
        self.counts.labelled += 1
        if self.counts.labelled <= QUANTITY_PAIRS and self._pending.as_read.shows_quantities(
            answer, truth
        ):
            self._become_regression(arrival, at_ms)
        is_error, error = self._pending.as_read.compare(answer, truth)
        value = is_error if error is None else error
        labels = self._labels
        is_of_note = is_error is not False or not labels.is_quiet
        if answer is not None and (is_of_note if error is None else labels.is_counting):
            value = value if self._is_match(answer, truth, arrival) else None
        if prediction.row is None:  # a correction says nothing about when outcomes come
            self.traffic.late.on_row(at_ms - answered_at_ms)
            labelled = self.counts.labelled
            is_sampled = labelled <= FULL_ROWS or labelled % SAMPLED == 0
            if is_sampled or self._pending.as_read.late.series:
                label = Label(value, truth, answered_at_ms, at_ms)
                self._on_label(label, arrival, is_sampled=is_sampled)
        row = self._row(
            arrival, at_ms, (value, truth, answered_at_ms, self._retrainer.version_of(prediction))
        )
        self._pending.add_pair(row)
        self._publication.add_pair(row, prediction, outcome, (is_error, error))
        if outcome.corrects or self.join.spec.takes_corrections:
            prediction_id, number = arrival.event["prediction_id"], self.counts.labelled
            self.join.on_labelled(prediction_id, prediction, outcome, number, self._now_ms)
        if self._is_more_asked:
            self._on_judged(prediction, outcome, is_error, arrival)
        if self._segments is not None:
            self._watch_segments(prediction, None if value is None else is_error, arrival)

    def _watch_segments(
        self, prediction: WaitingPrediction, is_error: bool | None, arrival: Arrival
    ) -> None:
        """Read a labelled row in its segments; publish their alerts, unless the error has one."""
        segments, series, payload = self._segments, self._pending.as_read, prediction.payload
        if segments is None or series.is_regression:
            return
        is_error = is_error if prediction.row is None else None  # a correction is no further row
        found = segments.on_pair(
            self.counts.labelled,
            payload,
            is_error,
            self._outline_of_feature,
            is_prompt=series.is_prompt("error"),
        )
        for state in found:
            condition = state.condition
            known = self._condition_alerts.get(condition.series, condition.aspect)
            is_told = known is not None and known.is_open
            of_model = self._pending.settled().alert("error", "level")
            if state.is_on and not is_told and of_model is not None and of_model.is_open:
                segments.forget(condition.series)
                continue
            self._on_conditions([state], arrival)

    def _outline_of_feature(self, name: str) -> Outline | None:
        series = self._pending.settled()
        name = f"feature/{name}"
        return series.outline(name) if name in series else None

    def _on_label(self, label: Label, arrival: Arrival, *, is_sampled: bool) -> None:
        """Take in when a label came; turn the order in which values are read where it must."""
        series = self._pending.as_read
        roles = series.turned_by(label, self.counts.predictions) if is_sampled else []
        if roles:
            ended = self._pending.settled().turn(roles, self._now_ms)
            self._publish(ended, self._row(arrival, self._now_ms))
        if series.late.series:
            series.late.on_label(label, self._now_ms)

    def _is_match(self, answer: Answer, truth: Answer, arrival: Arrival) -> bool:
        """Tell whether an outcome could equal its answer; publish where hardly one could."""
        labels, are_classes = self._labels, not self._pending.as_read.is_regression
        could_match, found = labels.on_pair(answer, truth, are_classes=are_classes)
        if found is not None:
            if found.were_errors:
                self._end_loads(arrival)
                ended = self._pending.settled().begin_error(self._now_ms)
                self._publish(ended, self._row(arrival, self._now_ms))
            verdict = ConditionState(mismatch_condition(found), labels.is_on)
            self._on_conditions([verdict], arrival)
        return could_match


def _answer_and_score(
    event: dict[str, Any], status: str | None
) -> tuple[Answer | None, float | None]:
    """Return the answer that the model gave, as `answer_of` does, and its score.

    It is the top class's, where scores come by class.
    """
    if status is not None and status != "ok":
        return None, None
    answer: Answer | None = event.get("prediction")
    if answer is None:
        return None, None
    score: float | None = event.get("score")
    if score is None and (scores := event.get("scores")):
        score = max(scores.values())
    return answer, score
