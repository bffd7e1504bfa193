"""Retraining of one model: its alerts and labelled rows go in, commands and results come out.

Rule 1. Labelled rows are heard where they are read, in the order of events, between the alerts that
        their values raise: how the log is cut into readings changes no command.
Rule 2. A command names rows from the earliest onset to the row at which it is issued.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence

import orjson

from schemas.alert import Alert, Evidence
from schemas.feedback import LabelledRange
from schemas.model_spec import RetrainRules
from schemas.wire import to_epoch_ms, to_rfc3339
from streams.action.book import key_of
from streams.action.records import Occasion, retrain, retrained, training_data
from streams.action.retraining import OpenRetraining, Retraining, Trial, cause_of, is_cause
from streams.alert.transition import Transition
from streams.emission import EventRow, place_of_row
from streams.join.events import WaitingPrediction
from streams.model.publication import OF_PAIRS, Publication, RowIndexes
from streams.model.spec import SpecInForce

_DEFAULTS = RetrainRules()


class Retrainer:
    """The retraining of one model.

    Parameters
    ----------
    model_id, partition, labelled_topic
        The model, its partition, and the topic whose rows commands name.
    state
        Its stored state.
    in_force
        The spec of the model.
    publication
        Publishes its commands.
    indexes_of
        Gives where its rows stand in time and in the log.
    is_regression
        Tells whether its answers are quantities.
    """

    def __init__(
        self,
        *,
        model_id: str,
        partition: int,
        labelled_topic: str,
        state: Retraining,
        in_force: SpecInForce,
        publication: Publication,
        indexes_of: Callable[[], RowIndexes],
        is_regression: Callable[[], bool],
    ) -> None:
        self.state = state
        self._model_id = model_id
        self._partition = partition
        self._labelled_topic = labelled_topic
        self._in_force = in_force
        self._publication = publication
        self._indexes_of = indexes_of
        self._is_regression = is_regression

    @property
    def rules(self) -> RetrainRules:
        """The policy in force."""
        return self._in_force.spec.retrain or _DEFAULTS

    def version_of(self, prediction: WaitingPrediction) -> str | None:
        """Return the version that gave an answer, where a new one is on trial."""
        if self.state.trial is None:
            return None
        version: str | None = orjson.loads(prediction.payload).get("model_version")
        return version

    def respec(self) -> None:
        """Put the policy of another spec in force."""
        self.state.respec(self._in_force.spec.retrain)

    def clear(self, row: EventRow) -> None:
        """Forget the model: its command is over."""
        self.state.clear()
        self._publication.close(self._key, row)

    def on_alert(self, alert: Alert, transition: Transition, row: EventRow) -> None:
        """Take in a transition of an alert, as it was published."""
        if alert.kind == "data_quality":
            until_ms = row.at_ms if alert.status == "resolved" else None
            self.state.on_fault(alert.fingerprint, to_epoch_ms(alert.started_at), until_ms)
        if alert.status == "resolved":
            self.state.good.pop(alert.fingerprint, None)
            self.state.on_over(alert.fingerprint, self.rules)
            return
        has_turned = alert.status == "ongoing" and alert.fingerprint in self.state.good
        if row.is_disputed or not (alert.status == "firing" or has_turned):
            return
        if not is_cause(alert, self.rules):
            self.state.good[alert.fingerprint] = None
            return
        self.state.good.pop(alert.fingerprint, None)
        onset_ms, indexes = to_epoch_ms(alert.started_at), self._indexes_of()
        if has_turned:  # its onset is that of the change for the better
            onset_ms, first_row = row.at_ms, row.labelled_seen
        elif transition.role in OF_PAIRS:
            first_row, _, _ = indexes.find_onset(transition, row)
        else:
            first_row = indexes.pairs.row_at(onset_ms, row.labelled_seen)
        cause = cause_of(alert, max(1, first_row), onset_ms, transition.change.at_age)
        self.state.on_cause(alert.fingerprint, cause, self.rules)

    def on_version(self, version: str | None, row: EventRow) -> None:
        """Take in that a version answers that has not been seen before."""
        if self.state.open is not None:
            self._end(version, row)

    def on_done(self, row: EventRow) -> None:
        """Take in that the open command has been carried out."""
        if self.state.open is not None:
            self._end(None, row)

    def walk(self, predictions: Sequence[EventRow], pairs: Sequence[EventRow]) -> "RowWalk":
        """Return a walk through the rows of a reading."""
        return RowWalk(self, predictions, pairs)

    def on_prediction(self, row: EventRow) -> None:
        """Count a prediction."""
        if self.state.tally is not None:
            self.state.tally.on_prediction(row.at_ms, is_fallback=row.values[2] is None)

    def on_pair(self, row: EventRow) -> None:
        """Count a labelled row, and say what is due at it."""
        error, truth, answered_ms, version = row.values
        state = self.state
        number = None if error is None else float(error)
        state.on_row(row.now_ms, number, version, answered_ms)
        if state.tally is not None:
            delay_ms = row.at_ms - answered_ms
            is_class = not self._is_regression()
            state.tally.on_outcome(truth, answered_ms, delay_ms, is_class=is_class)
        due = state.due(row.labelled_seen, row.now_ms, self.rules)
        if due.is_told and state.trial is not None:
            self._tell(state.trial, row)
        if due.is_expired:
            self._publication.close(self._key, row)
        elif due.is_issued:
            self._issue(row)

    @property
    def _key(self) -> str:
        return key_of(self._model_id, "retrain")

    def _end(self, version: str | None, row: EventRow) -> None:
        self.state.begin_trial(version, row.now_ms, self.rules)
        self.state.end(row.now_ms, self.rules)
        self._publication.close(self._key, row)

    def _tell(self, trial: Trial, row: EventRow) -> None:
        name = self._publication.book.next(self._model_id, "retrained")
        self.state.trial = None
        indexes = self._indexes_of()
        first = indexes.pairs.find(row.labelled_seen - trial.after.rows + 1, row.labelled_seen)
        self._publication.say(retrained(trial, name, self._at(row, first.offset)), row)

    def _issue(self, row: EventRow) -> None:
        open_now = self.state.issue(row.labelled_seen, row.now_ms, row.version, self.rules)
        position = self._indexes_of().pairs.find(open_now.first_row, row.labelled_seen)
        from_ms = min((each.onset_ms for each in open_now.causes.values()), default=position.at_ms)
        data = training_data(
            self.state, self.rules, from_ms, row.now_ms, is_regression=self._is_regression()
        )
        rows = self._rows(open_now, position.offset, row)
        name = self._publication.book.next(self._model_id, "retrain")
        self._publication.say(
            retrain(open_now, rows, data, name, self._at(row, position.offset)), row
        )

    def _rows(self, open_now: OpenRetraining, first_offset: int, row: EventRow) -> LabelledRange:
        late = [each for each in open_now.causes.values() if each.age_ms is not None]
        onset_ms = min((each.onset_of_labels_ms or 0 for each in late), default=None)
        age_ms = max((each.age_ms or 0 for each in late), default=None)
        return LabelledRange(
            topic=self._labelled_topic,
            partition=self._partition,
            first_row=open_now.first_row,
            last_row=row.labelled_seen,
            rows=row.labelled_seen - open_now.first_row + 1,
            first_offset=first_offset,
            last_offset=row.offset,
            predicted_from=None if onset_ms is None else to_rfc3339(onset_ms),
            predicted_until=None if age_ms is None else to_rfc3339(row.now_ms - age_ms),
            known_within_s=None if age_ms is None else age_ms / 1_000,
        )

    def _at(self, row: EventRow, first_offset: int) -> Occasion:
        evidence = Evidence(
            partition=self._partition, first_offset=first_offset, last_offset=row.offset
        )
        return Occasion(self._model_id, row.version, row.at_ms, evidence)


class RowWalk:
    """The rows of a reading, heard in the order of events (Rule 1)."""

    def __init__(
        self, retrainer: Retrainer, predictions: Sequence[EventRow], pairs: Sequence[EventRow]
    ) -> None:
        self._retrainer = retrainer
        self._predictions = predictions
        self._pairs = pairs
        self._prediction = self._pair = 0

    def to(self, row: EventRow | None) -> None:
        """Hear the rows before the one of an event; None: all that are left."""
        pairs = self._pairs
        end = len(pairs) if row is None else bisect_left(pairs, place_of_row(row), key=place_of_row)
        if self._retrainer.state.is_awake:
            for pair in pairs[self._pair : end]:
                self._predict_to(place_of_row(pair))
                self._retrainer.on_pair(pair)
            if row is None:
                self._predict_to(None)
        self._pair = max(self._pair, end)

    def _predict_to(self, place: tuple[int, int] | None) -> None:
        """Hear the predictions before a place; None: all that are left."""
        if self._retrainer.state.tally is None:
            return
        rows, at = self._predictions, self._prediction
        while at < len(rows) and (place is None or place_of_row(rows[at]) < place):
            self._retrainer.on_prediction(rows[at])
            at += 1
        self._prediction = at
