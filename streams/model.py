"""Everything known about one model: its events met, its series watched, its alerts raised.

Rule 1. A model is watched from its first event, without any configuration.
Rule 2. An event is taken once: a source offset at or below the mark of its source is a repetition.
Rule 3. Each prediction is one value of every feature, of the prediction and of the score; each pair
        is one value of the error and of the outcome.
Rule 4. Predictions with a fractional part make the model a regression; until then, numbers are
        classes. From there on the prediction, the error and the outcome are new series.
Rule 5. At most ``MAX_SERIES`` features are watched; what comes later is counted.
Rule 6. How the log is cut into records changes nothing but the evidence: a series that begins
        divides the budget anew from its first row on, not from the beginning of its record.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import orjson

from schemas.event import EventKind
from schemas.feedback import LabelledRange
from schemas.model_spec import ModelSpec
from schemas.topics import Role as TopicRole
from streams.alert import Sighting, make_alert
from streams.blob import pack, unpack
from streams.budget import Role as SeriesRole
from streams.budget import shares
from streams.feedback import calls_for_retraining, retrain
from streams.join import (
    Answer,
    ChunkName,
    EarlyOutcome,
    JoinSpec,
    OutcomeJoin,
    Pair,
    WaitingPrediction,
)
from streams.trail import Trail
from streams.watch import Change, Scalar, SeriesWatch, WatchSpec

MAX_SERIES = 1_000
STATE_VERSION = 1
"""Raised with every change of what a snapshot holds; CHANGELOG.md says what reads what."""

Kind = Literal["auto", "numeric", "categorical"]


class StateVersionError(Exception):
    """A snapshot of another version: stop, the operator runs the worker that can read it."""


class Arrival(NamedTuple):
    """One event of the log, decoded.

    Parameters
    ----------
    place
        Its place in its record.
    source, source_offset
        Where ingest found it.
    logged_at
        The instant the log gives it, in epoch milliseconds.
    kind, payload, event
        What it is, as bytes and decoded.
    """

    place: int
    source: str
    source_offset: int
    logged_at: int
    kind: EventKind
    payload: bytes
    event: dict[str, Any]


class Emission(NamedTuple):
    """One record to publish: which topic, whose, what, and the log time it belongs to.

    ``place`` is where, in its record,, of the event that called for it.
    """

    place: int
    role: TopicRole
    model_id: str
    value: bytes
    now_ms: int


@dataclass(slots=True)
class ModelCounts:
    """What a model's owner may want to know beside the alerts."""

    repeated_events: int = 0
    unwatched_values: int = 0
    incomparable_outcomes: int = 0
    alerts: int = 0


class _Row(NamedTuple):
    """An event that gave a value to a series: what an alert at it must say."""

    place: int
    now_ms: int
    at_ms: int
    predictions_seen: int
    labelled_seen: int
    version: str | None


class _Column(NamedTuple):
    """Values of one series, and the events that gave them."""

    series: str
    role: SeriesRole
    values: list[Scalar]
    rows: list[_Row]


class _Batch:
    """What one record brings to one model, by column: series are updated a column at a time."""

    def __init__(self, partition: int, offset: int) -> None:
        self.partition = partition
        self.offset = offset
        self.emissions: list[Emission] = []
        self.empty()

    def empty(self) -> None:
        """Forget the columns; the emissions stay."""
        self.prediction_rows: list[_Row] = []
        self.features: list[dict[str, Scalar]] = []
        self.scores: list[Scalar] = []
        self.predictions: list[Scalar] = []
        self.pair_rows: list[_Row] = []
        self.errors: list[Scalar] = []
        self.outcomes: list[Scalar] = []


class ModelMonitor:
    """The state of one model.

    Parameters
    ----------
    model_id
        The model.
    spec
        What its owner asks for.
    labelled_topic
        Name of the topic that ``retrain`` points at.
    """

    def __init__(self, model_id: str, spec: ModelSpec, labelled_topic: str) -> None:
        self.model_id = model_id
        self.counts = ModelCounts()
        self.join = OutcomeJoin(
            JoinSpec(wait_s=spec.outcome.wait_s, max_waiting=spec.outcome.max_waiting)
        )
        self.predictions_seen = 0
        self.labelled_seen = 0
        self._spec = spec
        self._labelled_topic = labelled_topic
        self._ignored = frozenset(spec.features.ignore)
        self._high_water: dict[str, int] = {}
        self._now_ms = 0
        self._version: str | None = None
        self._watches: dict[str, SeriesWatch] = {}
        self._roles: dict[str, SeriesRole] = {}
        self._feature_series: dict[str, str] = {}
        self._settled: set[str] = set()
        self._has_new_series = False
        self._prediction_trail = Trail()
        self._labelled_trail = Trail()
        self._is_regression = spec.task == "regression"
        self._may_be_classes = spec.task is None

    def apply(self, partition: int, offset: int, arrivals: Sequence[Arrival]) -> list[Emission]:
        """Take in the model's events of one record; return what they call for, in event order."""
        batch = _Batch(partition, offset)
        for arrival in arrivals:
            if arrival.source_offset <= self._high_water.get(arrival.source, -1):
                self.counts.repeated_events += 1
                continue
            self._high_water[arrival.source] = arrival.source_offset
            self._now_ms = max(self._now_ms, arrival.logged_at)
            self.join.advance(self._now_ms)
            if arrival.kind == "prediction":
                self._on_prediction(arrival, batch)
            else:
                self._on_outcome(arrival, batch)
        self._watch(batch)
        batch.emissions.sort(key=lambda emission: emission.place)
        return batch.emissions

    def snapshot(self) -> bytes:
        """Return the state, without what the sealed chunks of `unstored` hold."""
        return pack(
            {
                "version": STATE_VERSION,
                "counts": asdict(self.counts),
                "join": self.join.snapshot(),
                "predictions_seen": self.predictions_seen,
                "labelled_seen": self.labelled_seen,
                "high_water": self._high_water,
                "now_ms": self._now_ms,
                "model_version": self._version,
                "is_regression": self._is_regression,
                "may_be_classes": self._may_be_classes,
                "feature_series": list(self._feature_series.items()),
                "series": {
                    name: {"role": self._roles[name], "watch": watch.snapshot()}
                    for name, watch in self._watches.items()
                },
                "prediction_trail": self._prediction_trail.snapshot(),
                "labelled_trail": self._labelled_trail.snapshot(),
            }
        )

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
        if state.get("version") != STATE_VERSION:
            msg = (
                f"the state of model {model_id} has version {state.get('version')}, this worker "
                f"reads version {STATE_VERSION}"
            )
            raise StateVersionError(msg)
        model = cls(model_id, spec, labelled_topic)
        model.counts = ModelCounts(**state["counts"])
        model.join = OutcomeJoin.restore(model.join.spec, state["join"], chunks)
        model.predictions_seen = state["predictions_seen"]
        model.labelled_seen = state["labelled_seen"]
        model._high_water = state["high_water"]
        model._now_ms = state["now_ms"]
        model._version = state["model_version"]
        model._is_regression = state["is_regression"]
        model._may_be_classes = state["may_be_classes"]
        model._feature_series = dict(state["feature_series"])
        for name, series in state["series"].items():
            role = series["role"]
            model._roles[name] = role
            model._watches[name] = SeriesWatch.restore(
                WatchSpec(role=role, kind=model._kind(name, role)), series["watch"]
            )
        model._settled = {
            name for name, series in model._feature_series.items() if series in model._watches
        }
        model._prediction_trail = Trail.restore(state["prediction_trail"])
        model._labelled_trail = Trail.restore(state["labelled_trail"])
        return model

    def _on_prediction(self, arrival: Arrival, batch: _Batch) -> None:
        event = arrival.event
        prediction_id = event["prediction_id"]
        if self.join.is_known(prediction_id):
            return
        answer, at_ms = event["prediction"], event["predicted_at"]
        self.predictions_seen += 1
        self._version = event.get("model_version")
        self._prediction_trail.note(self.predictions_seen, at_ms, batch.offset)
        if self._may_be_classes and _has_fraction(answer):
            self._become_regression(batch)
        features, score = event.get("features") or {}, _top_score(event)
        if (
            self._begins("prediction", answer)
            or self._begins("score", score)
            or self._begins_feature(features)
        ):
            self._watch(batch)
        batch.prediction_rows.append(self._row(arrival, at_ms))
        batch.features.append(features)
        batch.scores.append(score)
        batch.predictions.append(answer)
        waiting = WaitingPrediction(arrival.payload, answer, at_ms)
        pair = self.join.on_prediction(prediction_id, waiting, self._now_ms)
        if pair is not None:
            self._on_pair(pair, arrival, batch)

    def _on_outcome(self, arrival: Arrival, batch: _Batch) -> None:
        event = arrival.event
        outcome = EarlyOutcome(arrival.payload, event["outcome"], event["observed_at"])
        pair = self.join.on_outcome(event["prediction_id"], outcome, self._now_ms)
        if pair is not None:
            self._on_pair(pair, arrival, batch)

    def _on_pair(self, pair: Pair, arrival: Arrival, batch: _Batch) -> None:
        prediction, outcome = pair
        at_ms = outcome.observed_at_ms
        self.labelled_seen += 1
        self._labelled_trail.note(self.labelled_seen, at_ms, batch.offset)
        is_error, error = self._compare(prediction.prediction, outcome.outcome)
        value = is_error if error is None else error
        if self._begins("error", value) or self._begins("outcome", outcome.outcome):
            self._watch(batch)
        row = self._row(arrival, at_ms)
        batch.pair_rows.append(row)
        batch.errors.append(value)
        batch.outcomes.append(outcome.outcome)
        labelled = {
            "type": "tidegauge.labelled.v1",
            "labelled_id": f"{self.model_id}/{self.labelled_seen}",
            "model_id": self.model_id,
            "row": self.labelled_seen,
            "delay_s": (at_ms - prediction.predicted_at_ms) / 1_000,
            "is_error": is_error,
            "error": error,
            "prediction": orjson.Fragment(prediction.payload),
            "outcome": orjson.Fragment(outcome.payload),
            "evidence": {
                "partition": batch.partition,
                "offset": batch.offset,
                "index": arrival.place,
            },
        }
        self._emit(batch, row, "labelled", orjson.dumps(labelled))

    def _compare(self, prediction: Answer, outcome: Answer) -> tuple[bool | None, float | None]:
        """Return (is_error, error): the first for classes, the second for a regression."""
        if not self._is_regression:
            return prediction != outcome, None
        if isinstance(prediction, str) or isinstance(outcome, str):
            self.counts.incomparable_outcomes += 1
            return None, None
        # Two doubles may lie further apart than a double can say.
        return None, min(abs(float(prediction) - float(outcome)), sys.float_info.max)

    def _become_regression(self, batch: _Batch) -> None:
        self._watch(batch)
        self._is_regression, self._may_be_classes = True, False
        for name in ("prediction", "error", "outcome"):
            self._watches.pop(name, None)

    def _row(self, arrival: Arrival, at_ms: int) -> _Row:
        return _Row(
            arrival.place,
            self._now_ms,
            at_ms,
            self.predictions_seen,
            self.labelled_seen,
            self._version,
        )

    def _begins(self, series: str, value: Scalar) -> bool:
        """Tell whether a value is the first of its series: rows before it are judged without it."""
        return value is not None and series not in self._watches

    def _begins_feature(self, features: dict[str, Scalar]) -> bool:
        if features.keys() <= self._settled:
            return False
        return any(
            value is not None and self._may_begin(name)
            for name, value in features.items()
            if name not in self._settled
        )

    def _may_begin(self, name: str) -> bool:
        if name in self._feature_series:
            return bool(self._feature_series[name])
        return name not in self._ignored and len(self._feature_series) < MAX_SERIES

    def _watch(self, batch: _Batch) -> None:
        """Update every series with its column of the batch, raise what changed, empty the batch."""
        columns = self._feature_columns(batch)
        rows, pairs = batch.prediction_rows, batch.pair_rows
        columns.append(_Column("prediction", "prediction", batch.predictions, rows))
        columns.append(_Column("score", "score", batch.scores, rows))
        columns.append(_Column("error", "error", batch.errors, pairs))
        columns.append(_Column("outcome", "outcome", batch.outcomes, pairs))
        starts = [self._meet(column) for column in columns]
        if self._has_new_series:
            self._divide_budget()
        for column, start in zip(columns, starts, strict=True):
            if start is not None:
                self._update(column, start, batch)
        batch.empty()

    def _feature_columns(self, batch: _Batch) -> list[_Column]:
        known = self._feature_series
        for features in batch.features:
            if not features.keys() <= known.keys():
                self._meet_features(features)
        return [
            _Column(
                series, "feature", [row.get(name) for row in batch.features], batch.prediction_rows
            )
            for name, series in known.items()
            if series
        ]

    def _meet_features(self, features: dict[str, Scalar]) -> None:
        for name in features:
            if name in self._feature_series:
                continue
            if len(self._feature_series) >= MAX_SERIES:
                self.counts.unwatched_values += 1
            else:
                self._feature_series[name] = "" if name in self._ignored else f"feature/{name}"

    def _meet(self, column: _Column) -> int | None:
        """Return from which row on a column is watched: a series begins at its first value."""
        series, role, values, _ = column
        if not values:
            return None
        if series in self._watches:
            return 0
        start = next((i for i, value in enumerate(values) if value is not None), None)
        if start is not None:
            self._watches[series] = SeriesWatch(WatchSpec(role=role, kind=self._kind(series, role)))
            self._roles[series] = role
            self._has_new_series = True
            if role == "feature":
                self._settled.add(series.removeprefix("feature/"))
        return start

    def _kind(self, series: str, role: SeriesRole) -> Kind:
        match role:
            case "feature":
                coded = series.removeprefix("feature/") in self._spec.features.categorical
                return "categorical" if coded else "auto"
            case "score":
                return "numeric"
            case _:
                return "numeric" if self._is_regression else "categorical"

    def _divide_budget(self) -> None:
        self._has_new_series = False
        roles = [self._roles[series] for series in self._watches]
        budgets = shares(self._spec.alert_budget, roles)
        for watch, budget in zip(self._watches.values(), budgets, strict=True):
            watch.set_budget(budget)

    def _update(self, column: _Column, start: int, batch: _Batch) -> None:
        watch = self._watches[column.series]
        seen_before = watch.seen
        values = column.values[start:] if start else column.values
        for change in watch.update(values):
            row = column.rows[start + change.index]
            self._raise(column, change, row, seen_before + change.index + 1, batch)

    def _raise(
        self, column: _Column, change: Change, row: _Row, series_seen: int, batch: _Batch
    ) -> None:
        of_pairs = column.role in {"error", "outcome"}
        trail = self._labelled_trail if of_pairs else self._prediction_trail
        last_row = row.labelled_seen if of_pairs else row.predictions_seen
        first_row = max(1, last_row - change.rows + 1)
        alert = make_alert(
            change,
            Sighting(
                model_id=self.model_id,
                model_version=row.version,
                series=column.series,
                role=column.role,
                predictions_seen=row.predictions_seen,
                series_seen=series_seen,
                at_ms=row.at_ms,
                onset=trail.find(first_row, last_row),
                partition=batch.partition,
                offset=batch.offset,
            ),
        )
        self.counts.alerts += 1
        self._emit(batch, row, "alerts", alert.model_dump_json().encode())
        if calls_for_retraining(alert):
            labelled = LabelledRange(
                topic=self._labelled_topic,
                partition=batch.partition,
                first_row=first_row,
                last_row=last_row,
                rows=last_row - first_row + 1,
                first_offset=alert.evidence.first_offset,
                last_offset=batch.offset,
            )
            command = retrain(alert, labelled)
            self._emit(batch, row, "feedback", command.model_dump_json().encode())

    def _emit(self, batch: _Batch, row: _Row, role: TopicRole, value: bytes) -> None:
        batch.emissions.append(Emission(row.place, role, self.model_id, value, row.now_ms))


class Restored(NamedTuple):
    """A model as it was after the record at ``offset``."""

    model: ModelMonitor
    offset: int


def _has_fraction(answer: Answer) -> bool:
    return isinstance(answer, float) and not answer.is_integer()


def _top_score(event: dict[str, Any]) -> float | None:
    """Return the score, or the top class's where the scores come by class."""
    score: float | None = event.get("score")
    if score is not None:
        return score
    scores: dict[str, float] | None = event.get("scores")
    return max(scores.values()) if scores else None
