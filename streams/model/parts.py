"""The parts of one model, their stored state, and the one way to publish what they find.

Its rules are those of `streams.model.model`.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import Any, Self

from msgspec.structs import replace

from schemas.alert import Alert, ValueAtRisk
from schemas.model_spec import AlertRules, ModelSpec, SpecError
from schemas.topics import TopicRole
from streams.action.book import key_of
from streams.action.records import Occasion, recalibrate
from streams.action.state import ActionState
from streams.alert.record import AlertWriter, fingerprint_of
from streams.alert.states import ConditionAlerts
from streams.alert.storm import STORM_ASPECT, STORM_SERIES, Storm
from streams.alert.transition import Transition
from streams.aspects import BEHIND
from streams.change import Onset
from streams.codec import StateVersionError, decode, encode
from streams.emission import Arrival, Emission, EventRow, Place
from streams.join.events import ChunkName, JoinSpec
from streams.join.label_match import LabelMatch
from streams.join.outcome_join import OutcomeJoin
from streams.model.challenger import Challenger
from streams.model.deputy import Deputy
from streams.model.loads import Loads
from streams.model.pending import PendingRows
from streams.model.publication import Publication, RowIndexes
from streams.model.quarantine import Quarantine
from streams.model.retrain import Retrainer
from streams.model.reviewer import Reviewer
from streams.model.spec import SpecInForce
from streams.model.state import ModelCounts, ModelState
from streams.performance.calibration import CALIBRATION, Calibration, Step, calibration_state
from streams.performance.distributions import Distributions
from streams.performance.ledger import Ledger
from streams.performance.segments import Segments, Worst
from streams.series.joint import JOINT
from streams.series.series_set import SeriesSet
from streams.series.watch_spec import FIRST_STAGES
from streams.traffic.conditions import ConditionState
from streams.traffic.skew import Skew
from streams.traffic.traffic import TrafficMonitor


class ModelParts:
    """The parts of one model.

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
        self.join = OutcomeJoin(join_spec(spec))
        self.traffic = TrafficMonitor.of(spec.alert_budget, spec.outcome.wait_s, self.join.counts)
        self._labelled_topic = labelled_topic
        self._high_water: dict[str, int] = {}
        self._now_ms = 0
        self._behind_ms = 0
        self._version: str | None = None
        self._ledger: Ledger | None = None
        self._distributions: Distributions | None = None
        self._segments: Segments | None = None
        self._skew: Skew | None = None
        self._condition_alerts = ConditionAlerts()
        self._storm = Storm()
        self._quarantine: Quarantine | None = None
        self._is_away = True
        self._labels = LabelMatch()
        self._begin_publication(AlertWriter(model_id), ActionState())
        self._retrainer.respec()
        self._begin_series(series_of(spec), RowIndexes.new())
        self._respec_figures(spec)

    def _begin_series(
        self, series: SeriesSet, indexes: RowIndexes, loads: Loads | None = None
    ) -> None:
        self._indexes = indexes
        self._pending = PendingRows(
            series,
            indexes,
            self._rules,
            self._publish_one,
            is_young=lambda: self.is_young,
            walk_of=self._retrainer.walk,
            loads=loads or Loads(),
            seed=zlib.crc32(self.model_id.encode()),
        )
        self._pending.distributions = self._distributions

    def _restore_figures(self, state: ModelState) -> None:
        spec, version = self.in_force.spec, self.in_force.version
        self._ledger = self._distributions = self._segments = None
        if state.segments is not None:
            self._segments = Segments(spec, state.segments)
        if state.ledger is not None:
            self._ledger = Ledger(self.model_id, spec, version, state.ledger)
        if state.distributions is not None:
            self._distributions = Distributions(self.model_id, spec, version, state.distributions)

    def _respec_figures(self, spec: ModelSpec) -> None:
        """Put a spec in force for the figures; they begin where it is the first to ask for them."""
        version = self.in_force.version
        if self._ledger is not None:
            self._ledger.respec(spec, version)
        elif spec.asks_cohorts:
            self._ledger = Ledger(self.model_id, spec, version)
        if self._distributions is not None:
            self._distributions.respec(spec, version)
        elif spec.metrics is not None:
            self._distributions = Distributions(self.model_id, spec, version)
        self._pending.distributions = self._distributions
        if self._segments is not None:
            self._segments.respec(spec)
        elif spec.segments is not None:
            self._segments = Segments(spec)
        self._respec_skew(spec)

    def _respec_skew(self, spec: ModelSpec) -> None:
        if spec.skew is None:
            self._skew = None
        elif self._skew is None:
            self._skew = Skew()

    def _begin_publication(self, writer: AlertWriter, actions: ActionState) -> None:
        self._actions = actions
        self._publication = Publication(
            self.model_id,
            self.partition,
            self.in_force,
            writer,
            actions.book,
            value_since=self._value_since,
        )
        self._retrainer = Retrainer(
            model_id=self.model_id,
            partition=self.partition,
            labelled_topic=self._labelled_topic,
            state=actions.retraining,
            in_force=self.in_force,
            publication=self._publication,
            indexes_of=lambda: self._indexes,
            is_regression=lambda: self.is_regression,
        )
        self._deputy = Deputy(
            self.model_id, self.partition, actions.fallback, self.in_force, self._publication
        )
        self._reviewer = Reviewer(self.model_id, actions.reviews, self.in_force, self._publication)
        self._challenger = Challenger(
            self.model_id, self.partition, actions.challenge, self.in_force, self._publication
        )
        self._set_asked()

    def _set_asked(self) -> None:
        """Take note whether the spec asks for more than alerts."""
        spec = self.in_force.spec
        asked = (spec.fallback, spec.review, spec.challenge)
        self._is_action_asked = any(each is not None for each in asked)
        of_figures = spec.metrics is not None or spec.skew is not None
        self._is_more_asked = self._is_action_asked or of_figures
        self._is_explained = spec.features.attributions

    def _value_since(self, onset: Onset, at_ms: int) -> ValueAtRisk | None:
        return None if self._ledger is None else self._ledger.value_at_risk(onset, at_ms)

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
            self._write(each, row)
        self._write(transition, row, under or self._behind(transition))
        for each in () if place.is_on else of_storm:
            self._write(each, row)

    def _behind(self, transition: Transition) -> str | None:
        """Return the alert of a feature that goes before one of a series made of features."""
        if transition.role not in BEHIND or transition.condition is not None:
            return None
        writer, series = self._publication.writer, transition.series
        fingerprint = fingerprint_of(self.model_id, series, transition.aspect)
        if transition.status != "firing":
            return writer[fingerprint].under if fingerprint in writer else None
        own = f"feature/{series.removeprefix('attribution/')}"
        for alert in writer.open_records():
            is_own = alert.series.startswith("feature/") if series == JOINT else alert.series == own
            if is_own and alert.kind == "feature_drift":
                return alert.fingerprint
        return None

    def _write(self, transition: Transition, row: EventRow, under: str | None = None) -> None:
        worst = self._worst(transition, row)
        alert = self._publication.publish(transition, row, self._indexes, under, worst)
        self._retrainer.on_alert(alert, transition, row)
        self._deputy.on_alert(alert, row)

    def _worst(self, transition: Transition, row: EventRow) -> Worst | None:
        """Return the worst segments since the onset of an error."""
        is_of_errors = transition.role == "error" and transition.condition is None
        if self._segments is None or not is_of_errors or transition.status == "resolved":
            return None
        return self._segments.worst(row.labelled_seen, transition.change.figures.rows)

    def _taken(self) -> list[Emission]:
        return [] if len(self._pending) else self._publication.taken()

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
            distributions=None if self._distributions is None else self._distributions.state,
            segments=None if self._segments is None else self._segments.state,
            skew=self._skew,
            quarantine=self._quarantine,
            is_away=self._is_away,
            actions=self._actions,
            loads=self._pending.loads,
        )

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
    ) -> Self:
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
        model.join = OutcomeJoin.restore(join_spec(spec), state.join, chunks)
        model.traffic = state.traffic
        model._high_water = state.high_water
        model._now_ms = state.now_ms
        model._behind_ms = state.behind_ms
        model._version = state.version
        model._restore_figures(state)
        model._condition_alerts = state.condition_alerts
        model._skew = state.skew
        model._storm = state.storm
        model._quarantine = state.quarantine
        model._is_away = state.is_away
        model._labels = state.labels
        model._begin_publication(state.writer, state.actions)
        model._begin_series(SeriesSet(spec, state.series), state.indexes, state.loads)
        return model

    def snapshot(self) -> bytes:
        """Return the state, without the sealed chunks of the join; after `evaluate`."""
        if len(self._pending):
            msg = f"values of model {self.model_id} wait to be read: evaluate before a snapshot"
            raise RuntimeError(msg)
        self._on_read()
        return encode(self._state(self.join))

    def _on_read(self) -> None:
        """Take in that no value waits."""
        if self._ledger is not None:
            self._ledger.on_read()

    def statuses(self) -> list[Emission]:
        """Return the last word of alerts there have ever been, commands, cases and challengers."""
        statuses = self._publication.statuses(self._now_ms)
        roles: tuple[tuple[TopicRole, Reviewer | Challenger], ...] = (
            ("reviews", self._reviewer),
            ("metrics", self._challenger),
        )
        return statuses + [
            Emission((0, 0), role, self.model_id, record, at_ms, key)
            for role, each in roles
            for key, record, at_ms in each.records()
        ]

    @property
    def open_alerts(self) -> list[Alert]:
        """The latest record of every open alert."""
        return self._publication.writer.open_records()

    @property
    def is_away(self) -> bool:
        """Whether it is put away: it has had no event of its services, or none for long."""
        return self._is_away

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
        """Publish the figures of the cohorts that are due, and of the hour that is over."""
        ledger, distributions, now_ms = self._ledger, self._distributions, self._now_ms
        if ledger is not None and now_ms >= ledger.due_ms:
            self._publication.add_metrics(ledger.due(now_ms), self._row(at, now_ms))
            self._on_calibration(ledger.calibration_steps(), ledger.state.calibration, at)
        if distributions is not None and now_ms >= distributions.due_ms:
            records = distributions.due(now_ms, self._pending.settled())
            self._publication.add_metrics(records, self._row(at, now_ms))

    def _on_calibration(
        self, steps: Sequence[Step], calibration: Calibration | None, at: Arrival | Place
    ) -> None:
        """Publish that scores mean something else, or again what they did; propose a map."""
        self._on_conditions([calibration_state(step) for step in steps], at)
        key = key_of(self.model_id, "recalibrate")
        if calibration is None or (steps and not steps[-1].is_on):
            self._publication.close(key, self._row(at, self._now_ms))
            return
        proposal, row = calibration.proposal(), self._row(at, self._now_ms)
        if proposal is None:
            return
        fingerprint = fingerprint_of(self.model_id, *CALIBRATION)
        writer = self._publication.writer
        because = (writer[fingerprint].alert_id,) if fingerprint in writer else ()
        name = self._publication.book.next(self.model_id, "recalibrate")
        occasion = Occasion.of(self.model_id, self.partition, row)
        self._publication.say(recalibrate(proposal, because, name, occasion), row)

    def _publish(self, transitions: Sequence[Transition], row: EventRow) -> None:
        """Publish transitions at an event, after the alerts of all values before it."""
        if transitions:
            self._pending.settled()
        for transition in transitions:
            self._publish_one(transition, row)

    def _tell(self, state: ConditionState, at: Arrival | Place, at_ms: int) -> None:
        """Publish a condition that moves no clock, as of an instant."""
        condition, is_on = state
        now_ms = max(self._now_ms, at_ms)
        transitions = self._condition_alerts.on_condition(
            condition, now_ms, self._rules(), is_on=is_on
        )
        self._publish(transitions, replace(self._row(at, now_ms), now_ms=now_ms))

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


def join_spec(spec: ModelSpec) -> JoinSpec:
    """Return the limits of the join that a spec asks for."""
    rules = spec.outcome
    return JoinSpec(
        wait_s=rules.wait_s,
        max_waiting=rules.max_waiting,
        inputs_wait_s=spec.inputs.wait_s,
        takes_corrections=rules.corrections == "last",
    )
