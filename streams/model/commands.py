"""Whatever else stands in the log for one model: specs, controls, refused inputs, facts.

Its rules are those of `streams.model.model`.
"""

from typing import Any

from schemas.event import EventKind
from schemas.model_spec import parse_spec
from streams.alert.storm import Storm
from streams.alert.transition import Transition
from streams.change import Figures
from streams.codec import encode, failure_of
from streams.emission import Arrival, EventRow
from streams.join.events import ChunkName
from streams.join.label_match import LabelMatch
from streams.join.outcome_join import OutcomeJoin
from streams.model.controls import Moment, apply_control
from streams.model.events import ModelEvents
from streams.model.parts import join_spec
from streams.model.publication import RowIndexes
from streams.performance.calibration import CALIBRATION
from streams.series.profile_check import check_profile
from streams.traffic.conditions import ConditionState, condition_of
from streams.traffic.traffic import TrafficMonitor

_FACTS = frozenset[EventKind](("topic", "clock"))
"""Kinds of events that are about no model."""


class ModelCommands(ModelEvents):
    """Does as people ask, and says what is no event of the model's services."""

    def _on_out_of_band(self, arrival: Arrival) -> None:
        """Take in what is neither a whole prediction nor an outcome; what people ask, by Rule 6."""
        if arrival.kind == "half":
            self._on_half(arrival)
            return
        if arrival.kind == "inputs":
            self._on_inputs(arrival)
            return
        if arrival.kind == "report":
            self._on_report(arrival)
            return
        if arrival.kind == "refused":
            refused: EventKind = arrival.event["refused"]
            counts = self.join.counts
            rows = counts.predictions if refused == "prediction" else counts.outcomes
            conditions = self.traffic.on_refused(refused, rows)
            self._on_conditions(conditions, arrival)
            return
        self._pending.settled()
        if arrival.kind in _FACTS:
            self._on_fact(arrival)
            return
        is_usable = failure_of(lambda: self._rehearse(arrival)) is None
        if is_usable:
            self._obey(arrival)
        elif arrival.kind == "spec":
            self.counts.refused_specs += 1
        else:
            self.counts.refused_controls += 1
        self._on_usable(arrival, is_usable=is_usable)

    def _on_fact(self, arrival: Arrival) -> None:
        """Publish that most records of a topic are refused, or a clock wrong, or no longer."""
        self._is_away = False
        fact = arrival.event
        if arrival.kind == "clock":
            state = ConditionState(condition_of("worker_clock", Figures(rows=1)), fact["is_wrong"])
        else:
            share = Figures(fact["refused"] / fact["of"], rows=fact["of"])
            state = ConditionState(condition_of("topic_refused", share), fact["is_high"])
        self._tell(state, arrival, arrival.logged_at)

    def _obey(self, arrival: Arrival) -> None:
        if arrival.kind == "spec":
            self._on_spec(arrival)
        else:
            self._on_control(arrival)

    def _rehearse(self, arrival: Arrival) -> None:
        """Apply a spec or control to a copy of the model, and fail where it would here (Rule 9).

        Ingest has checked it. What slips through would end the worker, and with it the monitoring
        of all models, at this offset and at every start.
        """
        event = arrival.event
        if arrival.kind == "control" and event["fingerprint"] not in self._publication.writer:
            return
        if arrival.kind == "spec" and event["spec"] is not None:
            check_profile(parse_spec(event["spec"]))
        copy = type(self).restore(
            self.model_id,
            self.in_force.first,
            self._labelled_topic,
            self.partition,
            snapshot=encode(self._state(OutcomeJoin(join_spec(self.in_force.spec)))),
            chunks=dict[ChunkName, bytes]().__getitem__,
        )
        copy._obey(arrival)
        copy.snapshot()

    def _on_usable(self, arrival: Arrival, *, is_usable: bool) -> None:
        """Publish that a spec or control cannot be used, or that a later one could be."""
        condition = condition_of("spec" if arrival.kind == "spec" else "control")
        raised = self._condition_alerts.get(condition.series, condition.aspect)
        if raised is not None or not is_usable:
            self._on_conditions([ConditionState(condition, not is_usable)], arrival)

    def _on_control(self, arrival: Arrival) -> None:
        """Apply a control to an alert; it has no effect on one that is not open."""
        self.counts.controls += 1
        if arrival.event["verb"] == "done":
            self._on_done(arrival)
            return
        series = self._pending.settled()  # before the alert is looked up: it may be over by now
        transitions = apply_control(
            arrival,
            self._publication.writer,
            series,
            self._condition_alerts,
            Moment(self._now_ms, self._rules()),
        )
        for transition in transitions:
            if transition.because == "accepted":
                self._on_accepted(transition)
        self._publish(transitions, self._row(arrival, arrival.logged_at))

    def _on_done(self, arrival: Arrival) -> None:
        """Take in that a command has been carried out."""
        self._pending.settled()
        row = self._row(arrival, arrival.logged_at)
        if arrival.event["fingerprint"] == "retrain":
            self._retrainer.on_done(row)
        else:
            self._challenger.close(row)

    def _on_accepted(self, transition: Transition) -> None:
        """Take the present behaviour for normal, beside that of the alert's series."""
        is_of_segments = transition.aspect == "segment"
        if (transition.series, transition.aspect) == CALIBRATION:
            if self._ledger is not None:
                self._ledger.accept_calibration()
        elif transition.role == "skew":
            if self._skew is not None:
                self._skew.accept(transition.series)
        elif transition.condition is not None and not is_of_segments:
            self.traffic.accept(transition.series, transition.aspect, self._now_ms)
        elif self._segments is not None and (is_of_segments or transition.role == "error"):
            self._segments.accept()

    def _on_spec(self, arrival: Arrival) -> None:
        """Put another spec in force; None removes the model."""
        given: dict[str, Any] | None = arrival.event["spec"]
        row = self._row(arrival, arrival.logged_at)
        self._pending.settled()
        if given is None:
            self._remove(row)
            return
        self.in_force.take(given)
        spec = self.in_force.spec
        self.join.respec(join_spec(spec))
        for payload in self.join.halves.respec(spec.inputs.wait_s, spec.outcome.max_waiting):
            self._go_on(payload, arrival)
        self._go_on_without_inputs(arrival)
        self.join.advance(self._now_ms)
        self.traffic.respec(spec.alert_budget, spec.outcome.wait_s)
        if self._skew is not None and spec.skew is None:
            self._on_conditions(self._skew.ended(), arrival)
        self._respec_figures(spec)
        self._retrainer.respec()
        self._set_asked()
        if spec.fallback is None:
            self._deputy.clear(row)
        if spec.review is None:
            self._reviewer.clear()
        if spec.challenge is None:
            self._challenger.clear(row)
        self._publish(self._pending.settled().respec(spec, self._now_ms), row)

    def _remove(self, row: EventRow) -> None:
        """Forget the model, but for its counts (Rule 5)."""
        self._forget(row, with_spec=True)

    def _forget(self, row: EventRow, *, with_spec: bool = False) -> None:
        """Forget the model, but for its counts and, unless asked for, its spec."""
        series, now_ms, rules = self._pending.settled(), self._now_ms, self._rules()
        for state in sorted(
            [*self._condition_alerts.states(), *(each for one in series for each in one.alerts())],
            key=lambda each: (each.series, each.aspect),
        ):
            self._publish(state.end("removed", now_ms, rules), row)
        self._retrainer.clear(row)
        self._deputy.clear(row)
        self._reviewer.clear()
        self._challenger.clear(row)
        if with_spec:
            self.in_force.take(None)
            self._retrainer.respec()
            self._set_asked()
        spec = self.in_force.spec
        self.join.clear()
        self.join.respec(join_spec(spec))
        self.join.halves.respec(spec.inputs.wait_s, spec.outcome.max_waiting)
        self.traffic = TrafficMonitor.of(spec.alert_budget, spec.outcome.wait_s, self.join.counts)
        self._version, self._labels, self._storm = None, LabelMatch(), Storm()
        for figures in (self._ledger, self._distributions, self._segments):
            if figures is not None:
                figures.restart()
        self._skew = None
        self._respec_figures(spec)
        self._begin_series(series.successor(spec), RowIndexes.new())
