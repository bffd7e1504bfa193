"""Everything known about one model: its events joined, its series monitored, its alerts raised.

Rule 1. A model is monitored from its first event, without any configuration.
Rule 2. An event is taken once: a position at or below the mark of its source is a repetition.
Rule 3. How the log is cut into records changes nothing but the evidence, and how many are applied
        at once changes nothing: `streams.model.pending` is the only way to the series and their
        alerts.
Rule 4. A spec is in force from its place in the log on, and changes nothing before it.
Rule 5. A removal frees the references and all that waits. The counts stay, and so do the marks of
        Rule 2: no id is given twice, and no event is taken again.
Rule 6. Specs and controls come from people: they take effect at their place, and do not move the
        model's clock, which its services' timestamps make. A backlog of last year keeps its time.
        So do inputs that were refused: their clocks are not read.
Rule 7. A tick advances the model's clock by the time since its last event was appended. Time in
        which no worker ran is no silence, and a backlog keeps its time.
Rule 8. A tick without a consequence leaves no mark. One with a consequence is part of the model's
        time.
Rule 9. A spec or control that cannot be used changes nothing but its count and the alert about
        it: the spec before it stays in force. The next one that can be used ends the alert.
Rule 10. An event is heard in one order: the clock, then traffic, then the join, then the series.
Rule 11. Nothing is returned for publication while values wait: an event whose values fail when they
        are read has published nothing (`streams.model.quarantine`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from msgspec.structs import replace

from schemas.event import EventKind
from schemas.fast import encode as encode_event
from schemas.model_spec import AlertRules, ModelSpec, SpecError, parse_spec
from streams.alert.record import AlertWriter, fingerprint_of
from streams.alert.states import ConditionAlerts
from streams.alert.storm import STORM_ASPECT, STORM_SERIES, Storm
from streams.alert.transition import Transition
from streams.change import Figures
from streams.clock import NEVER_MS
from streams.codec import StateVersionError, decode, encode, failure_of
from streams.emission import Arrival, Emission, EventRow, Place
from streams.ingest.tolerance import LEFT_OUT
from streams.ingest.unread import UNREAD, Noted, noted
from streams.join.label_match import LabelMatch
from streams.join.outcome_join import (
    ChunkName,
    EarlyOutcome,
    JoinSpec,
    OutcomeJoin,
    WaitingPrediction,
    answer_of,
)
from streams.model.controls import Moment, apply_control
from streams.model.pending import PendingRows
from streams.model.publication import Publication, RowIndexes
from streams.model.quarantine import QUARANTINE, Kept, Quarantine
from streams.model.spec import SpecInForce
from streams.model.state import ModelCounts, ModelState
from streams.performance.ledger import Ledger
from streams.series.label_delays import FULL_ROWS, SAMPLED
from streams.series.monitored import Reading
from streams.series.profile_check import check_profile
from streams.series.series_set import QUANTITY_PAIRS, Label, SeriesSet
from streams.series.watch_spec import FIRST_STAGES
from streams.traffic.conditions import ConditionKind, ConditionState, condition_of
from streams.traffic.disagreement import mismatch_condition, unjoined_condition
from streams.traffic.traffic import TrafficMonitor
from streams.values import Answer

OUT_OF_BAND = frozenset[EventKind](("spec", "control", "refused", "topic", "clock"))
"""Kinds of events that move no clock: not from the model's services, or unreadable."""
_FACTS = frozenset[EventKind](("topic", "clock"))
"""Kinds of events that are about no model."""
UNCOUNTED = frozenset[EventKind](("refused", "topic", "clock"))
"""Kinds of events that tell about inputs, and are none."""


_NO_FEATURES: dict[str, Any] = {}
_MARKS: dict[str, ConditionKind] = {UNREAD: "unread", LEFT_OUT: "left_out"}
_OUTCOME_MARKS: dict[str, ConditionKind] = {LEFT_OUT: "outcome_left_out"}
"""What ingest may have noted in an event, with the condition that tells of it."""


class ModelMonitor:
    """The state of one model.

    Parameters
    ----------
    model_id
        The model.
    spec
        The spec of its owner, as long as the log has none.
    labelled_topic
        Name of the topic that ``retrain`` points at.
    partition
        The partition of ``events``.
    series_of
        Makes its series.
    """

    def __init__(
        self,
        model_id: str,
        spec: ModelSpec,
        labelled_topic: str,
        partition: int,
        series_of: Callable[[ModelSpec], SeriesSet] = SeriesSet,
    ) -> None:
        self.model_id = model_id
        self.partition = partition
        self.counts = ModelCounts()
        self.in_force = SpecInForce(spec)
        self.join = OutcomeJoin(_join_spec(spec))
        self.traffic = TrafficMonitor.of(spec.alert_budget, spec.outcome.wait_s, self.join.counts)
        self._labelled_topic = labelled_topic
        self._high_water: dict[str, int] = {}
        self._now_ms = 0
        self._behind_ms = 0
        self._version: str | None = None
        self._ledger = None if spec.metrics is None else Ledger(model_id, spec, 0)
        self._condition_alerts = ConditionAlerts()
        self._storm = Storm()
        self._quarantine: Quarantine | None = None
        self._is_away = True
        self._labels = LabelMatch()
        self._begin_publication(AlertWriter(model_id))
        self._begin_series(series_of(spec), RowIndexes.new())

    def _begin_series(self, series: SeriesSet, indexes: RowIndexes) -> None:
        self._indexes = indexes
        self._pending = PendingRows(
            series, indexes, self._rules, self._publish_one, lambda: self.is_young
        )

    def _begin_publication(self, writer: AlertWriter) -> None:
        self._publication = Publication(
            self.model_id, self.partition, self._labelled_topic, self.in_force, writer
        )

    def _publish_one(self, transition: Transition, row: EventRow) -> None:
        """Publish a transition: under the alert of a storm, where it is of one."""
        place = self._storm.on_transition(transition, row.now_ms)
        under = None
        if place.is_under:
            under = fingerprint_of(self.model_id, STORM_SERIES, STORM_ASPECT)
        of_storm: list[Transition] = []
        if place.condition is not None:
            of_storm = self._condition_alerts.on_condition(
                place.condition, row.now_ms, self._rules(), is_on=place.is_on
            )
        for each in of_storm if place.is_on else ():
            self._publication.publish(each, row, self._indexes)
        self._publication.publish(transition, row, self._indexes, under)
        for each in () if place.is_on else of_storm:
            self._publication.publish(each, row, self._indexes)

    def ingest(
        self, arrivals: Sequence[Arrival], *, is_any_left_out: bool = True
    ) -> list[Emission]:
        """Take in events of the model, in log order; return the emissions so far, in event order.

        Their values wait until `evaluate`, or until too many do; so do their emissions (Rule 11).

        Parameters
        ----------
        arrivals
            The events.
        is_any_left_out
            Whether ingest may have left out a field of one of them.
        """
        if self._quarantine is not None:
            return self._ingest_quarantined(arrivals)
        marks = self._high_water
        for arrival in arrivals:
            source, position, kind = arrival.source, arrival.position, arrival.kind
            if position <= marks.get(source, -1):
                self.counts.repeated_events += 1
                continue
            marks[source] = position
            if is_any_left_out and LEFT_OUT in arrival.event:
                self.counts.on_left_out(arrival.event[LEFT_OUT])
            # In a backlog, dozens share a millisecond.
            if arrival.logged_at > self._now_ms and kind not in OUT_OF_BAND:
                self._pass_time(arrival)
            if kind == "prediction":
                self._on_prediction(arrival)
            elif kind == "outcome":
                self._on_outcome(arrival)
            else:
                self._on_out_of_band(arrival)
        return self._taken()

    def _taken(self) -> list[Emission]:
        return [] if len(self._pending) else self._publication.taken()

    def evaluate(self) -> list[Emission]:
        """Read the values that wait; return the emissions, in event order."""
        self._pending.settled()
        return self._publication.taken()

    def tick_due_ms(self, tick_ms: int) -> int:
        """Return the instant from which a tick has a consequence for the model.

        Parameters
        ----------
        tick_ms
            A tick. Where it has none, the result may be too early, though later than the tick.
        """
        if self._quarantine is not None:
            return NEVER_MS
        due_ms = self.traffic.tick_due_ms(tick_ms - self._behind_ms)
        alerts = self._condition_alerts
        if self.traffic.is_silence_reported:
            due_ms = min(due_ms, alerts.renewal_due_ms("predictions", "silence", self._rules()))
        if self._ledger is not None:
            due_ms = min(due_ms, self._ledger.due_ms)
        due_ms = min(due_ms, self._pending.as_read.late_tick_due_ms)
        halves_ms = self.join.halves.first_due_ms()
        return min(due_ms, alerts.settling_due_ms(), halves_ms) + self._behind_ms

    def forget_due_ms(self, forget_ms: int) -> int:
        """Return the instant from which a tick puts the model away.

        Then it has had no event for ``forget_ms``, and what it waited for has expired.
        """
        last_ms = self.traffic.last_ms
        if self._quarantine is not None or not last_ms:
            return NEVER_MS
        spec = self.in_force.spec
        wait_ms = math.ceil(1_000 * (spec.outcome.wait_s + spec.inputs.wait_s))
        return last_ms + max(forget_ms, wait_ms + 1) + self._behind_ms

    def on_tick(self, at: Place, tick_ms: int, forget_ms: int = NEVER_MS) -> list[Emission]:
        """Take in a tick that has a consequence (Rule 7); return the emissions.

        Parameters
        ----------
        at, tick_ms
            The tick.
        forget_ms
            Milliseconds without an event after which the model is put away.
        """
        self._now_ms = max(self._now_ms, tick_ms - self._behind_ms)
        conditions = self.traffic.advance(self._now_ms, counts=self.join.counts, is_tick=True)
        self._on_conditions(conditions, at)
        self._settle_conditions(at)
        self._read_late(at)
        self._go_on_without_inputs(at)
        self.join.advance(self._now_ms)
        self._publish_metrics(at)
        if tick_ms >= self.forget_due_ms(forget_ms):
            self._forget(self._row(at, self._now_ms))
            self._is_away = True
        return self._taken()

    @property
    def is_away(self) -> bool:
        """Whether it is put away: it has had no event of its services, or none for long."""
        return self._is_away

    def closing_metrics(self, at: Place) -> list[Emission]:
        """Return the figures of all open cohorts, for the end of a recording."""
        if self._ledger is not None:
            records = self._ledger.closing(self._now_ms)
            self._publication.add_metrics(records, self._row(at, self._now_ms))
        return self._publication.taken()

    @property
    def has_waiting(self) -> bool:
        """Whether values wait for `evaluate`."""
        return len(self._pending) > 0

    @property
    def is_young(self) -> bool:
        """Whether no series can have a reference yet, and so none can raise an alert."""
        is_given = bool(self.in_force.spec.reference.profile)
        return self.counts.predictions < FIRST_STAGES[0] and not is_given

    @property
    def is_regression(self) -> bool:
        """Whether its answers are quantities."""
        return self._pending.as_read.is_regression

    @property
    def series(self) -> SeriesSet:
        """The series as read last: for counts and display."""
        return self._pending.as_read

    @property
    def taken(self) -> int:
        """Events of the log taken in, each once."""
        joined = self.join.counts
        seen = joined.predictions + joined.duplicate_predictions + joined.outcomes
        halves = self.join.halves
        seen += len(halves.halves) + halves.counts.removed_halves + halves.counts.inputs
        counts = self.counts
        refused = counts.refused_specs + counts.refused_controls
        unapplied = self.join.held_events + counts.lost_events + counts.turned_away
        return seen + self.in_force.records + counts.controls + refused + unapplied

    def snapshot(self) -> bytes:
        """Return the state, without the sealed chunks of the join; after `evaluate`."""
        if len(self._pending):
            msg = f"values of model {self.model_id} wait to be read: evaluate before a snapshot"
            raise RuntimeError(msg)
        return encode(self._state(self.join))

    def _state(self, join: OutcomeJoin) -> ModelState:
        return ModelState(
            spec=self.in_force.state,
            join=join.snapshot(),
            series=self._pending.as_read.state,
            traffic=self.traffic,
            writer=self._publication.writer,
            indexes=self._indexes,
            counts=self.counts,
            condition_alerts=self._condition_alerts,
            labels=self._labels,
            storm=self._storm,
            high_water=self._high_water,
            now_ms=self._now_ms,
            behind_ms=self._behind_ms,
            version=self._version,
            ledger=None if self._ledger is None else self._ledger.state,
            quarantine=self._quarantine,
            is_away=self._is_away,
        )

    def kept(self) -> Kept:
        """Return what `revived` needs for a copy of the model as it is now; after `evaluate`."""
        return Kept(self.snapshot(), self.join.kept())

    def revived(self, kept: Kept) -> "ModelMonitor":
        """Return a copy of the model as it was kept."""
        model = ModelMonitor.restore(
            self.model_id,
            self.in_force.first,
            self._labelled_topic,
            self.partition,
            snapshot=kept.snapshot,
            chunks=kept.chunks.lines_of,
        )
        model.join.still_owes(kept.chunks)
        return model

    @classmethod
    def restore(
        cls,
        model_id: str,
        spec: ModelSpec,
        labelled_topic: str,
        partition: int,
        *,
        snapshot: bytes,
        chunks: Callable[[ChunkName], bytes],
    ) -> "ModelMonitor":
        """Return the model as it was.

        Parameters
        ----------
        model_id, spec, labelled_topic, partition
            As for the constructor.
        snapshot
            The result of `snapshot`.
        chunks
            Gives the bytes of a sealed chunk.

        Raises
        ------
        StateVersionError
            When a worker of another version wrote it.
        DamagedSnapshotError
            When the bytes were changed.
        """
        model = cls(model_id, spec, labelled_topic, partition)
        try:
            state = decode(snapshot, ModelState)
            model.in_force = SpecInForce(spec, state.spec)
        except StateVersionError as error:
            msg = f"model {model_id}: {error}"
            raise StateVersionError(msg) from error
        except SpecError as error:
            msg = f"model {model_id}: the stored spec cannot be read by this worker: {error}"
            raise StateVersionError(msg) from error
        spec = model.in_force.spec
        model.counts = state.counts
        model.join = OutcomeJoin.restore(_join_spec(spec), state.join, chunks)
        model.traffic = state.traffic
        model._high_water = state.high_water
        model._now_ms = state.now_ms
        model._behind_ms = state.behind_ms
        model._version = state.version
        model._ledger = None
        if state.ledger is not None:
            model._ledger = Ledger(model_id, spec, model.in_force.version, state.ledger)
        model._condition_alerts = state.condition_alerts
        model._storm = state.storm
        model._quarantine = state.quarantine
        model._is_away = state.is_away
        model._labels = state.labels
        model._begin_publication(state.writer)
        model._begin_series(SeriesSet(spec, state.series), state.indexes)
        return model

    def statuses(self) -> list[Emission]:
        """Return the present `status` of every alert that the model has ever had."""
        return self._publication.statuses(self._now_ms)

    # Events (Rule 10)

    def _pass_time(self, arrival: Arrival) -> None:
        self._is_away = False
        self._now_ms = arrival.logged_at
        self._behind_ms = max(0, arrival.appended_at - self._now_ms)
        if self._now_ms >= self.traffic.due_ms:
            conditions = self.traffic.advance(self._now_ms, counts=self.join.counts)
            self._on_conditions(conditions, arrival)
            self._settle_conditions(arrival)
        if self._pending.as_read.late:
            self._read_late(arrival)
        if self._now_ms >= self.join.halves.due_ms:
            self._go_on_without_inputs(arrival)
        self.join.advance(self._now_ms)
        if self._ledger is not None:
            self._publish_metrics(arrival)

    def _read_late(self, at: Arrival | Place) -> None:
        """Read the late labels of predictions that have reached an age."""
        if self._now_ms < self._pending.as_read.late_due_ms:
            return
        row = self._row(at, self._now_ms)
        reading = Reading(lambda _role, _row: row, self._rules())
        self._publish(self._pending.settled().read_late(self._now_ms, reading), row)

    def _on_prediction(self, arrival: Arrival) -> None:
        event, join, now_ms = arrival.event, self.join, self._now_ms
        prediction_id = event["prediction_id"]
        if arrival.logged_at < now_ms:
            # It moves no clock, yet its producer is running: the lag is that of this event.
            self._behind_ms = max(0, arrival.appended_at - now_ms)
        if join.is_known(prediction_id):
            self._on_repeated(arrival)
            return
        answer, at_ms = answer_of(event), event["predicted_at"]
        version = event.get("model_version")
        self.counts.predictions += 1
        conditions = self.traffic.on_prediction(
            row=self.counts.predictions,
            status=event.get("status"),
            version=version,
            at_ms=at_ms,
            now_ms=now_ms,
        )
        self._version = version
        if conditions:
            self._on_conditions(conditions, arrival)
        if type(answer) is float:
            self._on_number(answer, arrival)
        features = event.get("features") or _NO_FEATURES
        score = None if answer is None else _score_of(event)
        is_odd = LEFT_OUT in event or UNREAD in event
        payload = self._on_odd_fields(arrival, _MARKS) if is_odd else arrival.payload
        new = self._pending.add_prediction(self._row(arrival, at_ms, (features, score, answer)))
        if new:
            self._on_new_features(new, arrival)
        if self._ledger is not None:
            self._ledger.on_prediction(event, now_ms, self.is_regression)
        waiting = WaitingPrediction(payload, answer, at_ms)
        outcome = join.on_prediction(prediction_id, waiting, now_ms)
        if outcome is not None:
            self._on_pair(waiting, outcome, arrival)

    def _on_number(self, answer: float, arrival: Arrival) -> None:
        """Begin the answers again where one shows that the model is a regression."""
        if self._pending.as_read.becomes_regression(answer):
            self._become_regression(arrival, arrival.event["predicted_at"])

    def _become_regression(self, arrival: Arrival, at_ms: int) -> None:
        """Begin the answers again, as quantities."""
        ended = self._pending.settled().become_regression(self._now_ms)
        self._publish(ended, self._row(arrival, at_ms))
        if self._ledger is not None:
            self._ledger.restart()

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
        payload = self.join.halves.on_inputs(
            prediction_id, arrival.payload, self._now_ms, is_late=is_late
        )
        if payload is not None:
            self._go_on(payload, arrival)

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
        event, is_prediction = dict(arrival.event), arrival.kind == "prediction"
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
        event, now_ms, counts = arrival.event, self._now_ms, self.join.counts
        at_ms, payload = event["observed_at"], arrival.payload
        if LEFT_OUT in event:
            payload = self._on_odd_fields(arrival, _OUTCOME_MARKS)
        outcome = EarlyOutcome(payload, event["outcome"], at_ms)
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
            if is_sampled or self._pending.as_read.late:
                label = Label(value, truth, answered_at_ms, at_ms)
                self._on_label(label, arrival, is_sampled=is_sampled)
        row = self._row(arrival, at_ms, (value, truth, answered_at_ms))
        self._pending.add_pair(row)
        self._publication.add_pair(row, prediction, outcome, (is_error, error))
        if self.join.spec.takes_corrections:
            prediction_id, number = arrival.event["prediction_id"], self.counts.labelled
            self.join.on_labelled(prediction_id, prediction, truth, number, self._now_ms)
        if self._ledger is not None and prediction.row is None:
            self._ledger.on_pair(prediction, outcome, is_error, self._now_ms)

    def _on_label(self, label: Label, arrival: Arrival, *, is_sampled: bool) -> None:
        """Take in when a label came; turn the order in which values are read where it must."""
        series = self._pending.as_read
        roles = series.on_label(label, self.counts.predictions) if is_sampled else []
        if roles:
            ended = self._pending.settled().turn(roles, self._now_ms)
            self._publish(ended, self._row(arrival, self._now_ms))
        if series.late:
            series.on_late_label(label, self._now_ms)

    def _is_match(self, answer: Answer, truth: Answer, arrival: Arrival) -> bool:
        """Tell whether an outcome could equal its answer; publish where hardly one could."""
        labels, are_classes = self._labels, not self._pending.as_read.is_regression
        could_match, found = labels.on_pair(answer, truth, are_classes=are_classes)
        if found is not None:
            if found.were_errors:
                ended = self._pending.settled().begin_error(self._now_ms)
                self._publish(ended, self._row(arrival, self._now_ms))
            verdict = ConditionState(mismatch_condition(found), labels.is_on)
            self._on_conditions([verdict], arrival)
        return could_match

    def _on_out_of_band(self, arrival: Arrival) -> None:
        """Take in what is neither a whole prediction nor an outcome; what people ask, by Rule 6."""
        if arrival.kind == "half":
            self._on_half(arrival)
            return
        if arrival.kind == "inputs":
            self._on_inputs(arrival)
            return
        if arrival.kind == "refused":
            refused: EventKind = arrival.event["refused"]
            counts = self.join.counts
            rows = counts.predictions if refused == "prediction" else counts.outcomes
            conditions = self.traffic.on_refused(refused, rows=rows, now_ms=self._now_ms)
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

    # People

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
        copy = ModelMonitor.restore(
            self.model_id,
            self.in_force.first,
            self._labelled_topic,
            self.partition,
            snapshot=encode(self._state(OutcomeJoin(_join_spec(self.in_force.spec)))),
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
        series = self._pending.settled()  # before the alert is looked up: it may be over by now
        transitions = apply_control(
            arrival,
            self._publication.writer,
            series,
            self._condition_alerts,
            Moment(self._now_ms, self._rules()),
        )
        for transition in transitions:
            if transition.because == "accepted" and transition.condition is not None:
                self.traffic.accept(transition.series, transition.aspect, self._now_ms)
        self._publish(transitions, self._row(arrival, arrival.logged_at))

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
        self.join.respec(_join_spec(spec))
        for payload in self.join.halves.respec(spec.inputs.wait_s, spec.outcome.max_waiting):
            self._go_on(payload, arrival)
        self._go_on_without_inputs(arrival)
        self.join.advance(self._now_ms)
        self.traffic.respec(spec.alert_budget, spec.outcome.wait_s)
        if self._ledger is not None:
            self._ledger.respec(spec, self.in_force.version)
        elif spec.metrics is not None:
            self._ledger = Ledger(self.model_id, spec, self.in_force.version)
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
        if with_spec:
            self.in_force.take(None)
        spec = self.in_force.spec
        self.join.clear()
        self.join.respec(_join_spec(spec))
        self.join.halves.respec(spec.inputs.wait_s, spec.outcome.max_waiting)
        self.traffic = TrafficMonitor.of(spec.alert_budget, spec.outcome.wait_s, self.join.counts)
        self._version, self._labels, self._storm = None, LabelMatch(), Storm()
        if self._ledger is not None:
            self._ledger.restart()
            self._ledger.respec(spec, self.in_force.version)
        self._begin_series(series.successor(spec), RowIndexes.new())

    # Quarantine

    @property
    def is_quarantined(self) -> bool:
        """Whether it is in quarantine."""
        return self._quarantine is not None

    def quarantine(self, quarantine: Quarantine) -> None:
        """Stay as it is until it is released; no value waits."""
        self._quarantine = quarantine

    def tell_quarantine(
        self, quarantine: Quarantine, at: Arrival | Place, at_ms: int, *, is_on: bool
    ) -> list[Emission]:
        """Publish that a quarantine begins, or ends, at an event; the clock does not move."""
        also = f"offset {quarantine.offset:,} ({quarantine.failure})"
        condition = condition_of("quarantine", Figures(rows=1), also)
        self._tell(ConditionState(condition, is_on), at, at_ms)
        return self._taken()

    def _tell(self, state: ConditionState, at: Arrival | Place, at_ms: int) -> None:
        """Publish a condition that moves no clock, as of an instant."""
        condition, is_on = state
        now_ms = max(self._now_ms, at_ms)
        transitions = self._condition_alerts.on_condition(
            condition, now_ms, self._rules(), is_on=is_on
        )
        self._publish(transitions, replace(self._row(at, now_ms), now_ms=now_ms))

    # In place of a model: a topic, all workers, the models of a partition

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

    def turn_away(self, arrivals: Sequence[Arrival], *, is_crowded: bool) -> list[Emission]:
        """Count events of models that are not known, for which there is no place or no use."""
        for arrival in self.unseen(arrivals):
            self._high_water[arrival.source] = arrival.position
            self.counts.turned_away += arrival.kind not in UNCOUNTED
            self._is_away = False
            if is_crowded:
                self._tell_crowd(arrival, is_on=True)
        return self._taken()

    def unseen(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """Return the events that are not repetitions of earlier ones (Rule 2)."""
        marks = self._high_water
        return [each for each in arrivals if each.position > marks.get(each.source, -1)]

    def _tell_crowd(self, arrival: Arrival, *, is_on: bool) -> None:
        state = ConditionState(condition_of("crowded", Figures(rows=1)), is_on)
        self._tell(state, arrival, arrival.logged_at)

    def refuse(self, arrival: Arrival) -> None:
        """Pass over an event that the model cannot take, though it is quarantined."""
        self._high_water[arrival.source] = arrival.position
        if arrival.kind == "spec":
            self.counts.refused_specs += 1
        elif arrival.kind == "control":
            self.counts.refused_controls += 1
        else:
            self.counts.lost_events += 1

    def _ingest_quarantined(self, arrivals: Sequence[Arrival]) -> list[Emission]:
        """Hold events, but for commands about the quarantine and a removal."""
        emissions: list[Emission] = []
        for place, arrival in enumerate(arrivals):
            if self._quarantine is None:
                return emissions + self.ingest(arrivals[place:])
            if arrival.position <= self._high_water.get(arrival.source, -1):
                self.counts.repeated_events += 1
                continue
            self._high_water[arrival.source] = arrival.position
            if arrival.kind == "control" and self._is_about_quarantine(arrival):
                emissions += self._on_quarantine_control(arrival, self._quarantine)
            elif arrival.kind == "spec" and arrival.event["spec"] is None:
                self._quarantine = None
                self.counts.lost_events += len(self.join.release())
                self._on_spec(arrival)
            elif arrival.kind not in UNCOUNTED:
                self.counts.lost_events += self.join.hold(arrival)
        return emissions + self._taken()

    def _is_about_quarantine(self, control: Arrival) -> bool:
        return bool(control.event["fingerprint"] == fingerprint_of(self.model_id, *QUARANTINE))

    def _on_quarantine_control(self, control: Arrival, quarantine: Quarantine) -> list[Emission]:
        """Release the model, or apply another command to the alert about its quarantine."""
        verb = control.event["verb"]
        if verb == "accept":  # it would stay as it is, and nobody would know
            self.counts.controls += 1
        elif verb != "release":
            self._on_control(control)
        else:
            self.counts.controls += 1
            self._quarantine = None
            told = self.tell_quarantine(quarantine, control, control.logged_at, is_on=False)
            marks, self._high_water = self._high_water, {}  # the held events are marked already
            emissions = self.ingest(self.join.release())
            self._high_water = marks
            return told + emissions
        return []

    # Alerts

    def _on_conditions(self, conditions: Sequence[ConditionState], at: Arrival | Place) -> None:
        """Publish the transitions of alerts about the arrival of events."""
        transitions = [
            transition
            for condition, is_on in conditions
            for transition in self._condition_alerts.on_condition(
                condition, self._now_ms, self._rules(), is_on=is_on
            )
        ]
        self._publish(transitions, self._row(at, self._now_ms))

    def _settle_conditions(self, at: Arrival | Place) -> None:
        """End the alerts about the arrival of events that were flapping and have calmed down."""
        transitions = self._condition_alerts.settle(self._now_ms, self._rules())
        self._publish(transitions, self._row(at, self._now_ms))

    def _publish_metrics(self, at: Arrival | Place) -> None:
        """Publish the figures of the cohorts that are due."""
        ledger, now_ms = self._ledger, self._now_ms
        if ledger is not None and now_ms >= ledger.due_ms:
            self._publication.add_metrics(ledger.due(now_ms), self._row(at, now_ms))

    def _publish(self, transitions: Sequence[Transition], row: EventRow) -> None:
        """Publish transitions at an event, after the alerts of all values before it."""
        if transitions:
            self._pending.settled()
        for transition in transitions:
            self._publish_one(transition, row)

    def _row(self, at: Arrival | Place, at_ms: int, values: tuple[Any, ...] = ()) -> EventRow:
        return EventRow(
            at.offset,
            at.place,
            self._now_ms,
            at_ms,
            self.counts.predictions,
            self.counts.labelled,
            self._version,
            values,
            self._labels.is_suspect,
        )

    def _rules(self) -> AlertRules:
        return self.in_force.spec.alerts


class Restored(NamedTuple):
    """A model as it was after the record at ``offset``."""

    model: ModelMonitor
    offset: int


def _join_spec(spec: ModelSpec) -> JoinSpec:
    rules = spec.outcome
    return JoinSpec(
        wait_s=rules.wait_s,
        max_waiting=rules.max_waiting,
        inputs_wait_s=spec.inputs.wait_s,
        takes_corrections=rules.corrections == "last",
    )


def _score_of(event: dict[str, Any]) -> float | None:
    """Return the score of an answer: the top class's, where scores come by class."""
    score: float | None = event.get("score")
    if score is not None:
        return score
    scores: dict[str, float] | None = event.get("scores")
    return max(scores.values()) if scores else None
