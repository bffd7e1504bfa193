"""The values of one model that wait to be read, and the one gate to its series.

Values are read many at a time: a reading has a fixed price for each series.

Rule 1. A caller that changes a series, or publishes an alert, asks `PendingRows.settled`: it reads
        the values that wait, and publishes their alerts, first. So how the log is cut into records
        and readings changes no alert.
Rule 2. Values of rows before a series begins are read without it: its beginning divides the budget.
Rule 3. A row without an answer of the model has no value of the prediction and the score, and one
        that cannot be judged none of the error: they are left out, not missing.
Rule 4. At most ``MAX_PENDING_ROWS`` predictions wait, and as many pairs.
Rule 5. The values of a load are held apart until it is over (`streams.model.loads`). They do not
        wait: `settled` does not read them, and a snapshot holds them.
"""

from collections.abc import Callable, Iterator, Sequence, Set
from typing import Protocol

import numpy as np
from msgspec.structs import replace

from schemas.feature_row import as_dict
from schemas.model_spec import AlertRules
from streams.alert.transition import Transition
from streams.aspects import SeriesRole
from streams.clock import Instants
from streams.emission import EventRow
from streams.model.loads import QUIET_MS, Load, Loads
from streams.model.publication import RowIndexes
from streams.performance.distributions import Distributions, SeriesValues
from streams.performance.segment_drift import RowSegment
from streams.series import attributions
from streams.series.joint import JOINT
from streams.series.reading import Column, Reading, RowTransition, listed
from streams.series.series_set import SeriesSet

MAX_PENDING_ROWS = 1_000
"""Predictions that wait for a reading, at most, and pairs. With 250, the monitor took a tenth more
time for a pair of 10 features; with more, memory grows and time does not fall."""


class Walk(Protocol):
    """A walk through the rows of a reading, in the order of events."""

    def to(self, row: EventRow | None) -> None:
        """Hear the rows before the one of an event; None: all that are left."""


class PendingRows:
    """The values of one model that wait to be read.

    Parameters
    ----------
    series
        The series of the model.
    indexes
        Its rows.
    rules_of
        Gives the alert rules in force.
    publish
        Is given each transition with the event at which it happens, in the order of events.
    is_young
        Tells whether no series can have a reference yet.
    walk_of
        Gives a walk through the rows of a reading, which is told how far it may go.
    loads
        The rows that are held.
    seed
        The number of the model, by which their order is drawn.

    Attributes
    ----------
    as_read
        The series without the values that wait: for counts, display, and questions about an answer
        that values do not change. Read-only.
    distributions
        Counts the values that are read, where figures are asked for.
    """

    def __init__(
        self,
        series: SeriesSet,
        indexes: RowIndexes,
        rules_of: Callable[[], AlertRules],
        publish: Callable[[Transition, EventRow], None],
        *,
        is_young: Callable[[], bool],
        walk_of: Callable[[Sequence[EventRow], Sequence[EventRow]], Walk],
        loads: Loads,
        seed: int = 0,
    ) -> None:
        self.as_read = series
        self._indexes = indexes
        self._rules_of = rules_of
        self._publish = publish
        self._is_young = is_young
        self._walk_of = walk_of
        self.loads = loads
        self._seed = seed
        self.distributions: Distributions | None = None
        self._predictions: list[EventRow] = []
        self._pairs: list[EventRow] = []

    def __len__(self) -> int:
        return len(self._predictions) + len(self._pairs)

    def settled(self) -> SeriesSet:
        """Return the series after all values that were added before have been read."""
        if self._predictions or self._pairs:
            self._read()
        return self.as_read

    def add_prediction(self, row: EventRow) -> list[str]:
        """Let the values of a prediction wait; read those before it where a series begins (Rule 2).

        Nothing is read while the model is young: no series of it has a reference yet.

        Returns
        -------
        list of str
            The features that the model has had no value of before; none while it is young.
        """
        features, score, answer, _, parts = row.values
        new: list[str] = []
        is_first = self.as_read.begins_with_prediction(answer, score, features, parts)
        begins = is_first
        if self.as_read.asks_joint:
            begins |= self._begins_joint(row)
        if begins and not self._is_young():
            new = self.settled().features.unmet(features)
        if self.as_read.late.series:
            self.as_read.late.on_prediction(row.at_ms, row.now_ms)
        if self.distributions is not None:
            self.distributions.note(row.now_ms)
        load, now_ms = self.loads.predictions, row.now_ms
        if now_ms > load.quiet_ms and load.begin_run(row.predictions_seen, now_ms):
            self._turn(load, row)
        load.quiet_ms = now_ms + QUIET_MS
        self._predictions.append(row)
        if load.is_on:
            is_full = load.hold(_storable(row), len(features))
            self._on_held(row, is_over=is_full or is_first)
        if len(self._predictions) >= MAX_PENDING_ROWS:
            self._read()
        return new

    def _begins_joint(self, row: EventRow) -> bool:
        """Tell whether a row has the first value of the features together; begin to learn it."""
        if self.as_read.tries_joint(row.predictions_seen):
            self.settled().begin_joint()
        return self.as_read.begins_with_joint(len(self._predictions))

    def add_pair(self, row: EventRow) -> None:
        """Do the same with the values of a pair."""
        begins = self.as_read.begins_with_pair(row.values[0])
        if begins and not self._is_young():
            self.settled()
        if self.distributions is not None:
            self.distributions.note(row.now_ms)
        load, now_ms = self.loads.pairs, row.now_ms
        if now_ms > load.quiet_ms and load.begin_run(row.labelled_seen, now_ms):
            self._turn(load, row)
        load.quiet_ms = now_ms + QUIET_MS
        self._pairs.append(row)
        if load.is_on:
            self._on_held(row, is_over=load.hold(row, 0) or begins)
        if len(self._pairs) >= MAX_PENDING_ROWS:
            self._read()

    def _on_held(self, row: EventRow, *, is_over: bool) -> None:
        """Take note that a row is held; where a series begins with it, it is read (Rule 2)."""
        self.loads.schedule()
        if is_over:
            self.end_loads(row)

    def end_loads(self, row: EventRow) -> None:
        """Let the series read the rows that are held, as of an event (Rule 5)."""
        self.settled()
        predictions = self.loads.predictions.taken(self._seed, row.predictions_seen)
        pairs = self.loads.pairs.taken(self._seed, row.labelled_seen)
        self.loads.schedule()
        if not predictions and not pairs:
            return
        if self.distributions is not None:
            self.distributions.note(row.now_ms)
        found = self._read_columns(predictions, pairs)
        found.sort(key=lambda each: each[1].row)
        for _, each in found:
            self._publish(each.transition, row)

    def _turn(self, load: Load, row: EventRow) -> None:
        """Hold the rows of a kind from this one on, or no longer; let their series begin again.

        A reference that was learnt from a sorted load is that of a part of it.
        """
        was_on, load.is_on = load.is_on, not load.is_on
        self.end_loads(row)  # and what waits, as before
        load.is_on = was_on
        if load.is_on:
            of_pairs = load is self.loads.pairs
            for transition in self.as_read.begin_again(row.now_ms, of_pairs=of_pairs):
                self._publish(transition, row)

    def _read(self) -> None:
        """Let every series read its column, and publish the transitions, in the order of events."""
        predictions, pairs = self._predictions, self._pairs
        self._predictions, self._pairs = [], []
        if predictions:
            self._indexes.predictions.note(predictions[0].predictions_seen, predictions)
        if pairs:
            self._indexes.pairs.note(pairs[0].labelled_seen, pairs)

        found = [
            (each[0], each[1].transition)
            for each in self._read_columns(
                () if self.loads.predictions.is_on else predictions,
                () if self.loads.pairs.is_on else pairs,
            )
        ]
        found.sort(key=lambda each: (each[0].offset, each[0].place))
        walk = self._walk_of(predictions, pairs)
        for row, transition in found:
            walk.to(row)
            self._publish(transition, row)
        walk.to(None)
        self._indexes.predictions.forget()
        self._indexes.pairs.forget()

    def _read_columns(
        self, predictions: Sequence[EventRow], pairs: Sequence[EventRow]
    ) -> list[tuple[EventRow, RowTransition]]:
        """Let every series read its column of these rows; return transitions with their rows."""
        answered = [row for row in predictions if row.values[2] is not None]
        judged = [row for row in pairs if row.values[0] is not None]
        rows_of: dict[SeriesRole, Sequence[EventRow]] = {
            "feature": predictions,
            "prediction": answered,
            "score": answered,
            "attribution": self._explained(predictions),
            "joint": predictions,
            "error": judged,
            "outcome": pairs,
        }

        def event_of(role: SeriesRole, row: int) -> EventRow:
            return rows_of[role][row]

        columns = [
            *self._prediction_columns(predictions, answered),
            *self._made_columns(predictions, rows_of["attribution"]),
            *_pair_columns(pairs, judged),
        ]
        had = None if self.distributions is None else set(self.as_read.names)
        found = [
            (event_of(role, each.row), each)
            for role, each in self.as_read.read(columns, Reading(event_of, self._rules_of()))
        ]
        if self.distributions is not None and had is not None:
            segments: dict[SeriesRole, list[RowSegment]] = {}
            if self.distributions.has_segments:
                segments["feature"] = [row.values[3] for row in predictions]
                segments["prediction"] = segments["score"] = [row.values[3] for row in answered]
            self.distributions.read(_counted(columns, had, self.as_read), segments)
        return found

    def _prediction_columns(
        self, rows: Sequence[EventRow], answered: Sequence[EventRow]
    ) -> list[Column]:
        """Return the columns of features and, of the rows with an answer, of it and its score.

        Columns of the same rows share their instants, whose minutes are then made once.
        """
        if not rows:
            return []
        at_ms = _instants([row.at_ms for row in rows])
        columns = self.as_read.features.columns([row.values[0] for row in rows], at_ms)
        if answered:
            if len(answered) < len(rows):
                at_ms = _instants([row.at_ms for row in answered])
            _, scores, answers, _, _ = zip(*[row.values for row in answered], strict=True)
            columns.append(Column("prediction", "prediction", answers, at_ms))
            columns.append(Column("score", "score", scores, at_ms))
        return columns

    def _explained(self, rows: Sequence[EventRow]) -> Sequence[EventRow]:
        if not self.as_read.asks_attributions:
            return ()
        return [row for row in rows if row.values[4] is not None]

    def _made_columns(
        self, rows: Sequence[EventRow], explained: Sequence[EventRow]
    ) -> list[Column]:
        """Return the columns of series that are made of features, where they are asked for."""
        columns: list[Column] = []
        if explained:
            parts = [row.values[4] for row in explained]
            at_ms = _instants([row.at_ms for row in explained])
            columns += attributions.columns(parts, self.as_read.names, at_ms)
        joint = self.as_read.joint
        if rows and joint is not None:
            values = joint.read([as_dict(row.values[0]) for row in rows])
            columns.append(Column(JOINT, "joint", values, _instants([row.at_ms for row in rows])))
        return columns


def _storable(row: EventRow) -> EventRow:
    """Return the row of a prediction as it is stored: its features have one form in the state."""
    features, *others = row.values
    return replace(row, values=(as_dict(features), *others))


def _counted(columns: list[Column], had: Set[str], series: SeriesSet) -> Iterator[SeriesValues]:
    """Yield the columns of monitored series, from their first value on (Rule 2)."""
    for name, role, given, _ in columns:
        values = listed(given)
        if name in had:
            yield SeriesValues(name, role, values, is_new=False)
        elif name in series:
            first = next(row for row, value in enumerate(values) if value is not None)
            yield SeriesValues(name, role, values[first:], is_new=True)


def _pair_columns(rows: Sequence[EventRow], judged: Sequence[EventRow]) -> list[Column]:
    """Return the columns of errors, of the rows that have one, and of outcomes.

    An error belongs to the hour of its prediction, not to that in which its outcome came.
    """
    columns: list[Column] = []
    if rows:
        errors, outcomes, answered_at, _ = zip(*[row.values for row in rows], strict=True)
        at_ms = _instants(answered_at)
        columns.append(Column("outcome", "outcome", outcomes, at_ms))
    if judged:
        if len(judged) < len(rows):
            errors, _, answered_at, _ = zip(*[row.values for row in judged], strict=True)
            at_ms = _instants(answered_at)
        columns.insert(0, Column("error", "error", errors, at_ms))
    return columns


def _instants(at_ms: Sequence[int]) -> Instants:
    return np.array(at_ms, dtype=np.int64)
