"""Everything known about one model: its events met, its series watched, its alerts raised.

Rule 1. A model is watched from its first event, without any configuration.
Rule 2. An event is taken once: a source offset at or below the mark of its source is a repetition.
Rule 3. How the log is cut into records changes nothing but the evidence, and how many are applied
        at once changes nothing: a series that begins divides the budget anew from its first row on,
        not from the beginning of what came with it.
Rule 4. A spec is in force from its place in the log on, and changes nothing before it.
Rule 5. A removal frees all that was learnt and waits. What has been counted stays, and so do the
        marks of Rule 2: no id is given twice, and nothing that was taken is taken again.
Rule 6. Specs and controls come from people: they take effect at their place, and do not move the
        model's clock, which its services' timestamps make. A backlog of last year keeps its time.
        So do inputs that were refused: their clocks are not read.
Rule 7. A tick is read on the model's own clock: it is as much later than the model's last event as
        it came later. What nobody was there to read is no silence, and a backlog keeps its time.
Rule 8. A tick that tells nothing leaves no mark. One that does is part of the model's time.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from msgspec import Raw

from schemas.alert import Alert
from schemas.event import EventKind
from schemas.feedback import LabelledRange
from schemas.labelled import LabelledRow, RowPosition, encode_labelled
from schemas.model_spec import ModelSpec, OutcomeRules, SpecError
from schemas.status import Status
from schemas.topics import TopicRole
from schemas.wire import LAST_INSTANT_MS
from streams.alert.feedback import calls_for_retraining, retrain
from streams.alert.onset import RowIndex
from streams.alert.record import AlertWriter, TransitionContext, status_of
from streams.alert.transition import OperatorNote, Transition
from streams.codec import pack, unpack
from streams.emission import Arrival, Emission, Place, place_of, status_emission
from streams.join.outcome_join import (
    ChunkName,
    EarlyOutcome,
    JoinSpec,
    OutcomeJoin,
    WaitingPrediction,
)
from streams.series.panel import Column, SeriesSet
from streams.series.watch_spec import FIRST_STAGES
from streams.spec import SpecInForce
from streams.traffic.traffic import ConditionState, TrafficMonitor

STATE_VERSION = 2
READABLE_VERSIONS = (1, 2)
"""Raised with every change of what a snapshot holds; CHANGELOG.md says what reads what."""
WATCHED_AT_ONCE = 2_000
"""Events of a model whose values are read at once, at most. A reading has a fixed price for each
series: with 500, the monitor took a tenth more time for a pair of 10 features."""
OUT_OF_BAND = frozenset[EventKind](("spec", "control", "refused"))
"""What is no event of the model's services, or none that can be read: it moves no clock."""
_NO_FEATURES: dict[str, Any] = {}
OF_PAIRS = frozenset({"error", "outcome"})
"""Series that have a value a pair; the others have one a prediction."""


class StateVersionError(Exception):
    """A snapshot of another version: stop, the operator runs the worker that can read it."""


@dataclass(slots=True)
class ModelCounts:
    """What a model's owner may want to know beside the alerts."""

    repeated_events: int = 0
    alerts: int = 0


class _Row(NamedTuple):
    """An event that gave values to series: what an alert at it must say, and the values.

    ``values`` are the features, the score and the answer of a prediction, or the error, the outcome
    and the instant of the answer of a pair.
    """

    offset: int
    place: int
    now_ms: int
    at_ms: int
    predictions_seen: int
    labelled_seen: int
    version: str | None
    values: tuple[Any, ...] = ()


# What is made for every event is made of a tuple, in half the time of the classes themselves.
_new_row = partial(tuple.__new__, _Row)
_new_emission = partial(tuple.__new__, Emission)
_new_waiting = partial(tuple.__new__, WaitingPrediction)
_new_early = partial(tuple.__new__, EarlyOutcome)


class _Batch:
    """What some records bring to one model, by column: series are updated a column at a time.

    ``events`` is the most that its columns may hold.
    """

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.events = 0
        self.emissions: list[Emission] = []
        self.empty()

    def empty(self) -> None:
        """Forget the columns; the emissions stay."""
        self.events = 0
        self.prediction_rows: list[_Row] = []
        self.pair_rows: list[_Row] = []

    def emitted(self) -> list[Emission]:
        """Return what has been emitted since this was last called, in event order."""
        emissions, self.emissions = self.emissions, []
        emissions.sort(key=place_of)
        return emissions

    def rows_of(self, role: str) -> list[_Row]:
        """Return the events that the values of a series belong to, by what the series is."""
        return self.pair_rows if role in OF_PAIRS else self.prediction_rows


class ModelMonitor:
    """The state of one model.

    Parameters
    ----------
    model_id
        The model.
    spec
        What its owner asks for, as long as the log says nothing else.
    labelled_topic
        Name of the topic that ``retrain`` points at.
    panel
        What watches its series; a new panel when None.
    """

    def __init__(
        self, model_id: str, spec: ModelSpec, labelled_topic: str, panel: SeriesSet | None = None
    ) -> None:
        self.model_id = model_id
        self.counts = ModelCounts()
        self.in_force = SpecInForce(spec)
        self.controls_seen = 0
        self.join = OutcomeJoin(_join_spec(spec.outcome))
        self.predictions_seen = 0
        self.labelled_seen = 0
        self._labelled_topic = labelled_topic
        self._high_water: dict[str, int] = {}
        self._now_ms = 0
        self._behind_ms = 0
        self._version: str | None = None
        self.panel = panel or SeriesSet(spec)
        self.book = AlertWriter(model_id, spec.alerts)
        self.hygiene = TrafficMonitor(spec.alert_budget, spec.outcome.wait_s, self.join.counts)
        self._prediction_trail = RowIndex()
        self._labelled_trail = RowIndex()
        self._batch: _Batch | None = None

    def gather(self, partition: int, arrivals: Sequence[Arrival]) -> list[Emission]:
        """Take in events of the model, in log order; return what they call for, in event order.

        Their values wait until `flush`, or until `WATCHED_AT_ONCE` do.
        """
        batch = self._batch = self._batch or _Batch(partition)
        first = 0
        while first < len(arrivals):
            part = arrivals[first : first + WATCHED_AT_ONCE - batch.events]
            self._take(part, batch)
            batch.events += len(part)
            first += len(part)
            if batch.events >= WATCHED_AT_ONCE:
                self._watch(batch)
        return batch.emitted()

    def flush(self) -> list[Emission]:
        """Update the series with the values that wait; return what that calls for."""
        batch, self._batch = self._batch, None
        if batch is None:
            return []
        self._watch(batch)
        return batch.emitted()

    def _take(self, arrivals: Sequence[Arrival], batch: _Batch) -> None:
        """Let events join; lay down in the batch what they tell of the series."""
        marks = self._high_water
        for arrival in arrivals:
            _, _, source, source_offset, logged_at, kind, _, _, _ = arrival
            if source_offset <= marks.get(source, -1):
                self.counts.repeated_events += 1
                continue
            marks[source] = source_offset
            # In a backlog, dozens share a millisecond.
            if logged_at > self._now_ms and kind not in OUT_OF_BAND:
                self._pass_time(arrival, batch)
            if kind == "prediction":
                self._on_prediction(arrival, batch)
            elif kind == "outcome":
                self._on_outcome(arrival, batch)
            else:
                self._on_out_of_band(arrival, batch)

    def _pass_time(self, arrival: Arrival, batch: _Batch) -> None:
        self._now_ms = arrival.logged_at
        self._behind_ms = max(0, arrival.appended_at - self._now_ms)
        if self._now_ms >= self.hygiene.due_ms:
            self._tell(self.hygiene.advance(self._now_ms), arrival, batch)
            self._settle(arrival, batch)
        self.join.advance(self._now_ms)

    def tick_due_ms(self, tick_ms: int) -> int:
        """Return from when on a tick tells the model something.

        Parameters
        ----------
        tick_ms
            A tick. Where it tells nothing, what is returned may be too early, though later than it.
        """
        due_ms = self.hygiene.tick_due_ms(tick_ms - self._behind_ms)
        lives = self.book.lives
        if self.hygiene.is_silence_told:
            due_ms = min(due_ms, lives.renewal_due_ms("predictions", "silence"))
        return min(due_ms, lives.settling_due_ms()) + self._behind_ms

    def on_tick(self, partition: int, at: Place, tick_ms: int) -> list[Emission]:
        """Take in a tick that tells something (Rule 7); return what that calls for."""
        batch = self._batch = self._batch or _Batch(partition)
        self._now_ms = max(self._now_ms, tick_ms - self._behind_ms)
        self._tell(self.hygiene.advance(self._now_ms, is_tick=True), at, batch)
        self._settle(at, batch)
        self.join.advance(self._now_ms)
        if not batch.events:
            self._batch = None
        return batch.emitted()

    def _settle(self, at: Arrival | Place, batch: _Batch) -> None:
        """End the alerts about how events come that were flapping, and are calm."""
        if steps := self.book.lives.settle(self._now_ms):
            self._watch(batch)
            self._say(steps, self._row(at, self._now_ms), batch)

    @property
    def is_young(self) -> bool:
        """Whether no series can have a reference yet, and so none can have anything to tell."""
        is_given = bool(self.in_force.spec.reference.profile)
        return self.predictions_seen < FIRST_STAGES[0] and not is_given

    @property
    def taken(self) -> int:
        """Events of the log taken in, each once."""
        joined = self.join.counts
        seen = joined.predictions + joined.duplicate_predictions + joined.outcomes
        return seen + self.in_force.records + self.controls_seen

    def snapshot(self) -> bytes:
        """Return the state, without what the sealed chunks of `unstored` hold; after `flush`."""
        if self._batch is not None:
            msg = f"values of model {self.model_id} wait to be read: flush before a snapshot"
            raise RuntimeError(msg)
        spec = self.in_force.snapshot()
        return pack(
            {
                **({} if spec is None else {"spec": spec}),
                **({"controls_seen": self.controls_seen} if self.controls_seen else {}),
                **({"behind_ms": self._behind_ms} if self._behind_ms else {}),
                "version": STATE_VERSION,
                "counts": {
                    "repeated_events": self.counts.repeated_events,
                    "alerts": self.counts.alerts,
                },
                "join": self.join.snapshot(),
                "predictions_seen": self.predictions_seen,
                "labelled_seen": self.labelled_seen,
                "high_water": self._high_water,
                "now_ms": self._now_ms,
                "model_version": self._version,
                "panel": self.panel.snapshot(),
                "book": self.book.snapshot(),
                "hygiene": self.hygiene.snapshot(),
                "prediction_trail": self._prediction_trail.snapshot(),
                "labelled_trail": self._labelled_trail.snapshot(),
            }
        )

    def statuses(self) -> list[Emission]:
        """Return what `status` must say now of every alert that the model has ever had."""
        return [
            status_emission(self.model_id, fingerprint, status, self._now_ms)
            for fingerprint, status in self.book.statuses()
        ]

    @classmethod
    def restore(
        cls,
        model_id: str,
        spec: ModelSpec,
        labelled_topic: str,
        snapshot: bytes,
        chunks: Callable[[ChunkName], bytes],
    ) -> "ModelMonitor":
        """Return the model as it was.

        Parameters
        ----------
        model_id, spec, labelled_topic
            As for the constructor.
        snapshot
            What `snapshot` returned.
        chunks
            Gives the bytes of a sealed chunk.

        Raises
        ------
        StateVersionError
            When a later version wrote it.
        DamagedSnapshotError
            When the bytes are not what was written.
        """
        state = unpack(snapshot)
        if state.get("version") not in READABLE_VERSIONS:
            msg = (
                f"the state of model {model_id} has version {state.get('version')}, this worker "
                f"reads version {STATE_VERSION}"
            )
            raise StateVersionError(msg)
        model = cls(model_id, spec, labelled_topic)
        model.in_force = _spec_in_force(model_id, spec, state.get("spec"))
        spec = model.in_force.spec
        model.controls_seen = state.get("controls_seen", 0)
        model.counts = ModelCounts(**state["counts"])
        model.join = OutcomeJoin.restore(_join_spec(spec.outcome), state["join"], chunks)
        model.predictions_seen = state["predictions_seen"]
        model.labelled_seen = state["labelled_seen"]
        model._high_water = state["high_water"]
        model._now_ms = state["now_ms"]
        model._behind_ms = state.get("behind_ms", 0)
        model._version = state["model_version"]
        model.panel = SeriesSet.restore(spec, state["panel"])
        # Version 1 has no book: what was firing is not known.
        model.book = AlertWriter.restore(model_id, spec.alerts, state.get("book"))
        model.hygiene = TrafficMonitor(spec.alert_budget, spec.outcome.wait_s, model.join.counts)
        if "hygiene" in state:  # version 1 has none: it is learnt from here on
            model.hygiene.restore(state["hygiene"])
        model._prediction_trail = RowIndex.restore(state["prediction_trail"])
        model._labelled_trail = RowIndex.restore(state["labelled_trail"])
        return model

    def _on_prediction(self, arrival: Arrival, batch: _Batch) -> None:
        event, join, now_ms = arrival.event, self.join, self._now_ms
        prediction_id = event["prediction_id"]
        if join.is_known(prediction_id):
            return
        if arrival.logged_at < now_ms:
            # It moves no clock, yet somebody predicts.
            self._behind_ms = max(0, arrival.appended_at - now_ms)
        answer, at_ms = event["prediction"], event["predicted_at"]
        version = event.get("model_version")
        verdicts = self.hygiene.on_prediction(event.get("status"), version, at_ms, now_ms)
        self.predictions_seen += 1
        self._version = version
        if verdicts:
            self._tell(verdicts, arrival, batch)
        panel = self.panel
        if type(answer) is float and panel.becomes_regression(answer):
            self._watch(batch)
            panel.become_regression()
        features, score = event.get("features") or _NO_FEATURES, event.get("score")
        if score is None:
            score = _top_score(event)
        if panel.begins_with_prediction(answer, score, features) and not self.is_young:
            self._watch(batch)
        batch.prediction_rows.append(self._row(arrival, at_ms, (features, score, answer)))
        waiting = _new_waiting((arrival.payload, answer, at_ms))
        outcome = join.on_prediction(prediction_id, waiting, now_ms)
        if outcome is not None:
            self._on_pair(waiting, outcome, arrival, batch)

    def _restart(self, ended: Sequence[str], row: _Row, batch: _Batch) -> None:
        """End the alerts of series that begin anew, or are no longer watched."""
        for series in ended:
            self._say(self.book.lives.close("relearned", row.now_ms, series=series), row, batch)

    def _on_outcome(self, arrival: Arrival, batch: _Batch) -> None:
        event, now_ms = arrival.event, self._now_ms
        at_ms = event["observed_at"]
        outcome = _new_early((arrival.payload, event["outcome"], at_ms))
        counts = self.join.counts
        conflicts = counts.conflicting_outcomes
        prediction = self.join.on_outcome(event["prediction_id"], outcome, now_ms)
        if prediction is not None:
            self._on_pair(prediction, outcome, arrival, batch)
        is_conflicting = counts.conflicting_outcomes > conflicts
        verdicts = self.hygiene.on_outcome(at_ms, now_ms, is_conflicting=is_conflicting)
        if verdicts:
            self._tell(verdicts, arrival, batch)

    def _tell(self, verdicts: Sequence[ConditionState], at: Arrival | Place, batch: _Batch) -> None:
        """Publish what has become of alerts about how events come."""
        lives, now_ms = self.book.lives, self._now_ms
        steps = [
            step
            for condition, is_on in verdicts
            for step in lives.on_condition(condition, is_on=is_on, now_ms=now_ms)
        ]
        if steps:
            self._watch(batch)
            self._say(steps, self._row(at, now_ms), batch)

    def _on_out_of_band(self, arrival: Arrival, batch: _Batch) -> None:
        """Do what a person asks for, between the rows before it and those after it (Rule 6)."""
        if arrival.kind == "refused":
            verdicts = self.hygiene.on_refused(arrival.event["refused"], self._now_ms)
            self._tell(verdicts, arrival, batch)
            return
        self._watch(batch)
        if arrival.kind == "spec":
            self._on_spec(arrival, batch)
        else:
            self._on_control(arrival, batch)

    def _on_control(self, arrival: Arrival, batch: _Batch) -> None:
        """Do what a person says about an alert: nothing, where it is not open."""
        self.controls_seen += 1
        event, book, now_ms = arrival.event, self.book, self._now_ms
        fingerprint = event["fingerprint"]
        note = OperatorNote(event["by"], event["at"], event.get("because"))
        steps: list[Transition] = []
        match event["verb"]:
            case "ack":
                steps = book.acknowledge(fingerprint, note, now_ms)
            case "accept":
                steps = book.accept(fingerprint, note, now_ms, self.panel.watch)
                for step in steps:
                    self.hygiene.accept(step.series, step.aspect, now_ms)
            case "mute":
                steps = book.mute(fingerprint, _muted_until_ms(arrival, now_ms), now_ms)
            case "unmute":
                steps = book.mute(fingerprint, None, now_ms)
        self._say(steps, self._row(arrival, arrival.logged_at), batch)

    def _on_spec(self, arrival: Arrival, batch: _Batch) -> None:
        """Go on under another spec; None removes the model."""
        given: dict[str, Any] | None = arrival.event["spec"]
        row = self._row(arrival, arrival.logged_at)
        if given is None:
            self._say(self.book.close_all("removed", self._now_ms), row, batch)
        self.in_force.take(given)
        spec = self.in_force.spec
        self.book.lives.rules = spec.alerts
        if given is None:
            self._remove()
            return
        self.join.respec(_join_spec(spec.outcome))
        self.join.advance(self._now_ms)
        self.hygiene.respec(spec.alert_budget, spec.outcome.wait_s)
        self._restart(sorted(self.panel.respec(spec)), row, batch)

    def _remove(self) -> None:
        """Forget the model, but for what has been counted (Rule 5)."""
        spec = self.in_force.spec
        self.join.clear()
        self.join.respec(_join_spec(spec.outcome))
        self.panel = SeriesSet(spec)
        self.hygiene = TrafficMonitor(spec.alert_budget, spec.outcome.wait_s, self.join.counts)
        self._version = None
        self._prediction_trail = RowIndex()
        self._labelled_trail = RowIndex()

    def _on_pair(
        self,
        prediction: WaitingPrediction,
        outcome: EarlyOutcome,
        arrival: Arrival,
        batch: _Batch,
    ) -> None:
        prediction_payload, answer, answered_at_ms = prediction
        outcome_payload, truth, at_ms = outcome
        self.labelled_seen = number = self.labelled_seen + 1
        is_error, error = self.panel.compare(answer, truth)
        value = is_error if error is None else error
        if self.panel.begins_with_pair(value, truth) and not self.is_young:
            self._watch(batch)
        delay_ms = at_ms - answered_at_ms
        self.hygiene.late.on_row(delay_ms)
        # A night's mistakes are the night's, whenever their outcomes come.
        batch.pair_rows.append(self._row(arrival, at_ms, (value, truth, answered_at_ms)))
        labelled = encode_labelled(
            LabelledRow(
                f"{self.model_id}/{number}",
                self.model_id,
                number,
                delay_ms / 1_000,
                is_error,
                error,
                Raw(prediction_payload),
                Raw(outcome_payload),
                RowPosition(batch.partition, arrival.offset, arrival.place),
            )
        )
        place = arrival.offset, arrival.place
        batch.emissions.append(
            _new_emission((place, "labelled", self.model_id, labelled, self._now_ms, None))
        )

    def _row(self, at: Arrival | Place, at_ms: int, values: tuple[Any, ...] = ()) -> _Row:
        return _new_row(
            (
                at.offset,
                at.place,
                self._now_ms,
                at_ms,
                self.predictions_seen,
                self.labelled_seen,
                self._version,
                values,
            )
        )

    def _watch(self, batch: _Batch) -> None:
        """Update every series with its column of the batch, raise what changed, empty the batch."""
        answers, pairs = batch.prediction_rows, batch.pair_rows
        columns: list[Column] = []
        if answers:
            at_ms = np.array([row.at_ms for row in answers], dtype=np.int64)
            features, scores, predictions = zip(*[row.values for row in answers], strict=True)
            columns = [
                *self.panel.feature_columns(features, at_ms),
                Column("prediction", "prediction", predictions, at_ms),
                Column("score", "score", scores, at_ms),
            ]
            self._prediction_trail.note(answers[0].predictions_seen, answers)
        if pairs:
            errors, outcomes, answered_at = zip(*[row.values for row in pairs], strict=True)
            at_ms = np.array(answered_at, dtype=np.int64)
            columns += [
                Column("error", "error", errors, at_ms),
                Column("outcome", "outcome", outcomes, at_ms),
            ]
            self._labelled_trail.note(pairs[0].labelled_seen, pairs)

        def event_of(role: str, row: int) -> _Row:
            return batch.rows_of(role)[row]

        steps = self.panel.update(columns, self.book.lives, event_of)
        if steps:
            told = [(batch.rows_of(step.role)[step.row], step) for step in steps]
            told.sort(key=lambda each: (each[0].offset, each[0].place))
            for row, step in told:
                self._say([step], row, batch)
        self._prediction_trail.forget()
        self._labelled_trail.forget()
        batch.empty()

    def _say(self, steps: Sequence[Transition], row: _Row, batch: _Batch) -> None:
        """Publish what has become of alerts at an event."""
        for step in steps:
            of_pairs = step.role in OF_PAIRS
            trail = self._labelled_trail if of_pairs else self._prediction_trail
            last_row = row.labelled_seen if of_pairs else row.predictions_seen
            first_row = max(1, last_row - step.change.rows + 1)
            is_onset = step.status == "firing" and step.condition is None
            seen = TransitionContext(
                model_version=row.version,
                predictions_seen=row.predictions_seen,
                at_ms=row.at_ms,
                onset=trail.find(first_row, last_row) if is_onset else None,
                partition=batch.partition,
                offset=row.offset,
                spec_version=self.in_force.version,
            )
            alert = self.book.post(step, seen)
            self.counts.alerts += alert.status == "firing"
            self._emit(batch, row, "alerts", alert.model_dump_json().encode())
            self._emit_status(batch, row, alert.fingerprint, status_of(alert))
            if calls_for_retraining(alert):
                rows = self._labelled_range(first_row, last_row, alert, batch)
                command = retrain(alert, rows)
                self._emit(batch, row, "feedback", command.model_dump_json().encode())

    def _labelled_range(
        self, first_row: int, last_row: int, alert: Alert, batch: _Batch
    ) -> LabelledRange:
        return LabelledRange(
            topic=self._labelled_topic,
            partition=batch.partition,
            first_row=first_row,
            last_row=last_row,
            rows=last_row - first_row + 1,
            first_offset=alert.evidence.first_offset,
            last_offset=alert.evidence.last_offset,
        )

    def _emit_status(
        self, batch: _Batch, row: _Row, fingerprint: str, status: Status | None
    ) -> None:
        emission = status_emission(self.model_id, fingerprint, status, row.now_ms)
        batch.emissions.append(emission._replace(place=(row.offset, row.place)))

    def _emit(self, batch: _Batch, row: _Row, role: TopicRole, value: bytes) -> None:
        place = row.offset, row.place
        batch.emissions.append(_new_emission((place, role, self.model_id, value, row.now_ms, None)))


class Restored(NamedTuple):
    """A model as it was after the record at ``offset``."""

    model: ModelMonitor
    offset: int


def spec_of_snapshot(snapshot: bytes) -> SpecInForce:
    """Return the spec that was in force when a snapshot was taken, where the log had given one.

    Raises
    ------
    SpecError
        When this version cannot read it.
    """
    return SpecInForce.restore(ModelSpec(), unpack(snapshot).get("spec"))


def _muted_until_ms(mute: Arrival, now_ms: int) -> int:
    """Return the log time up to which a mute holds; without a duration, as good as for ever."""
    for_s: float | None = mute.event.get("for_s")
    begins_ms = max(now_ms, mute.logged_at)
    return LAST_INSTANT_MS if for_s is None else begins_ms + math.ceil(1_000 * for_s)


def _join_spec(rules: OutcomeRules) -> JoinSpec:
    return JoinSpec(wait_s=rules.wait_s, max_waiting=rules.max_waiting)


def _spec_in_force(model_id: str, first: ModelSpec, state: dict[str, Any] | None) -> SpecInForce:
    try:
        return SpecInForce.restore(first, state)
    except SpecError as error:
        msg = f"the stored spec of model {model_id} cannot be read by this worker: {error}"
        raise StateVersionError(msg) from error


def _top_score(event: dict[str, Any]) -> float | None:
    """Return the top class's score, where the scores come by class."""
    scores: dict[str, float] | None = event.get("scores")
    return max(scores.values()) if scores else None
