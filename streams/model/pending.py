"""The values of one model that wait to be read, and the one gate to its series.

Values are read many at a time: a reading has a fixed price for each series.

Rule 1. A caller that changes a series, or publishes an alert, asks `PendingRows.settled`: it reads
        the values that wait, and publishes their alerts, first. So how the log is cut into records
        and readings changes no alert.
Rule 2. Values of rows before a series begins are read without it: its beginning divides the budget.
Rule 3. At most ``MAX_PENDING_ROWS`` wait.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from schemas.model_spec import AlertRules
from streams.alert.transition import Transition
from streams.aspects import SeriesRole
from streams.emission import EventRow
from streams.model.publication import OF_PAIRS, RowIndexes
from streams.series.monitored import Column, Reading
from streams.series.series_set import SeriesSet
from streams.values import Answer, Scalar

MAX_PENDING_ROWS = 2_000
"""Predictions and pairs that wait for a reading, at most. With 500, the monitor took a tenth more
time for a pair of 10 features; with more, memory grows and time does not fall."""


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
    """

    def __init__(
        self,
        series: SeriesSet,
        indexes: RowIndexes,
        rules_of: Callable[[], AlertRules],
        publish: Callable[[Transition, EventRow], None],
        is_young: Callable[[], bool],
    ) -> None:
        self._series = series
        self._indexes = indexes
        self._rules_of = rules_of
        self._publish = publish
        self._is_young = is_young
        self._predictions: list[EventRow] = []
        self._pairs: list[EventRow] = []

    def __len__(self) -> int:
        return len(self._predictions) + len(self._pairs)

    @property
    def as_read(self) -> SeriesSet:
        """The series without the values that wait: for counts, display, and tests of an answer."""
        return self._series

    def settled(self) -> SeriesSet:
        """Return the series after all values that were added before have been read."""
        if self._predictions or self._pairs:
            self._read()
        return self._series

    def compare(self, prediction: Answer, outcome: Answer) -> tuple[bool | None, float | None]:
        """Return (is_error, error) of a pair: see `SeriesSet.compare`. Values do not change it."""
        return self._series.compare(prediction, outcome)

    def before_prediction(self, score: Scalar, features: Mapping[str, Scalar]) -> None:
        """Read the rows before a prediction where a series begins with it (Rule 2).

        Nothing is read while the model is young: no series of it has a reference yet.
        """
        if self._series.begins_with_prediction(score, features) and not self._is_young():
            self.settled()

    def before_pair(self, error: Scalar) -> None:
        """Do so before a pair."""
        if self._series.begins_with_pair(error) and not self._is_young():
            self.settled()

    def add_prediction(self, row: EventRow) -> None:
        """Let the values of a prediction wait."""
        self._predictions.append(row)
        if len(self._predictions) + len(self._pairs) >= MAX_PENDING_ROWS:
            self._read()

    def add_pair(self, row: EventRow) -> None:
        """Let the values of a pair wait."""
        self._pairs.append(row)
        if len(self._predictions) + len(self._pairs) >= MAX_PENDING_ROWS:
            self._read()

    def _read(self) -> None:
        """Let every series read its column, and publish the transitions, in the order of events."""
        predictions, pairs = self._predictions, self._pairs
        self._predictions, self._pairs = [], []
        if predictions:
            self._indexes.predictions.note(predictions[0].predictions_seen, predictions)
        if pairs:
            self._indexes.pairs.note(pairs[0].labelled_seen, pairs)

        def event_of(role: SeriesRole, row: int) -> EventRow:
            return (pairs if role in OF_PAIRS else predictions)[row]

        columns = [*self._prediction_columns(predictions), *_pair_columns(pairs)]
        found = [
            (event_of(role, each.row), each.transition)
            for role, each in self._series.read(columns, Reading(event_of, self._rules_of()))
        ]
        found.sort(key=lambda each: (each[0].offset, each[0].place))
        for row, transition in found:
            self._publish(transition, row)
        self._indexes.predictions.forget()
        self._indexes.pairs.forget()

    def _prediction_columns(self, rows: Sequence[EventRow]) -> list[Column]:
        if not rows:
            return []
        at_ms = np.array([row.at_ms for row in rows], dtype=np.int64)
        features, scores, answers = zip(*[row.values for row in rows], strict=True)
        return [
            *self._series.feature_columns(features, at_ms),
            Column("prediction", "prediction", answers, at_ms),
            Column("score", "score", scores, at_ms),
        ]


def _pair_columns(rows: Sequence[EventRow]) -> list[Column]:
    if not rows:
        return []
    errors, outcomes, answered_at = zip(*[row.values for row in rows], strict=True)
    # An error belongs to the hour of its prediction, not to that in which its outcome came.
    at_ms = np.array(answered_at, dtype=np.int64)
    return [
        Column("error", "error", errors, at_ms),
        Column("outcome", "outcome", outcomes, at_ms),
    ]
