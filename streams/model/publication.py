"""Publish the labelled rows of one model and the transitions of its alerts.

Rule 1. A transition is published as of its event: with the model's counts, version and spec there.
Rule 2. Emissions are returned in the order of the events that call for them.
"""

from collections.abc import Callable, Sequence

from msgspec import Raw

from schemas.alert import Alert, ValueAtRisk
from schemas.feedback import Feedback
from schemas.labelled import LabelledRow, PairPosition, encode_labelled
from schemas.topics import TopicRole
from schemas.wire import Wire
from streams.action.book import CommandBook
from streams.alert.onset import RowIndex, RowPosition
from streams.alert.record import AlertWriter, TransitionContext, status_of
from streams.alert.transition import Transition
from streams.change import Onset
from streams.codec import Machine
from streams.emission import Emission, EventRow, place_of, status_emission
from streams.join.events import EarlyOutcome, WaitingPrediction
from streams.model.spec import SpecInForce
from streams.performance.segments import Worst

OF_PAIRS = frozenset({"error", "outcome"})
"""Roles of series that have a value a pair; the others have one a prediction."""


class RowIndexes(Machine):
    """Where the rows of a model stand in time and in the log."""

    predictions: RowIndex
    pairs: RowIndex

    @classmethod
    def new(cls) -> "RowIndexes":
        """Return the indexes of a model without rows."""
        return cls(RowIndex(), RowIndex())

    def find_onset(self, transition: Transition, row: EventRow) -> tuple[int, int, RowIndex]:
        """Return the first and the last row of a change, and the index that knows them."""
        at_age = transition.change.at_age
        if at_age is not None:
            last = row.labelled_seen
            return self.pairs.row_at(at_age.onset_ms, last), last, self.pairs
        of_pairs = transition.role in OF_PAIRS
        last = row.labelled_seen if of_pairs else row.predictions_seen
        first = max(1, last - transition.change.figures.rows + 1)
        return first, last, self.pairs if of_pairs else self.predictions


class Publication:
    """The emissions of one model.

    Parameters
    ----------
    model_id
        The model.
    partition
        The partition of ``events``.
    in_force
        The spec of the model.
    writer, book
        Its open alerts, and its open commands.
    value_since
        Gives the money lost since an onset, as known at an instant.
    """

    def __init__(
        self,
        model_id: str,
        partition: int,
        in_force: SpecInForce,
        writer: AlertWriter,
        book: CommandBook,
        *,
        value_since: Callable[[Onset, int], ValueAtRisk | None],
    ) -> None:
        self.writer = writer
        self.book = book
        self._model_id = model_id
        self._partition = partition
        self._in_force = in_force
        self._value_since = value_since
        self._emissions: list[Emission] = []

    def publish(
        self,
        transition: Transition,
        row: EventRow,
        indexes: RowIndexes,
        under: str | None = None,
        worst: Worst | None = None,
    ) -> Alert:
        """Publish a transition at an event; ``under`` another alert, in `status` alone."""
        first_row, last_row, index = indexes.find_onset(transition, row)
        is_onset = transition.status == "firing" and transition.condition is None
        context = TransitionContext(
            model_version=row.version,
            predictions_seen=row.predictions_seen,
            at_ms=row.at_ms,
            onset=_onset(transition, index.find(first_row, last_row)) if is_onset else None,
            partition=self._partition,
            offset=row.offset,
            spec_version=self._in_force.version,
            renotify_s=self._in_force.spec.alerts.renotify_s,
            under=under,
            worst=worst or ((), None),
            owner=self._in_force.spec.owner,
            sources=self._in_force.spec.features.sources,
            upstream=self._in_force.spec.upstream,
            value_since=lambda onset: self._value_since(onset, row.now_ms),
        )
        record = self.writer.write(transition, context).record
        if under is None:
            self._emit(row, "alerts", record.model_dump_json().encode())
        place, status = (row.offset, row.place), status_of(record)
        self._emissions.append(
            status_emission(place, self._model_id, record.fingerprint, status, row.now_ms)
        )
        return record

    def say(self, feedback: Feedback, row: EventRow) -> None:
        """Publish a command, or a result, at an event; a command is open from then on."""
        self._emit(row, "feedback", feedback.model_dump_json().encode())
        if feedback.expires_at is not None:
            self._put(feedback.key, self.book.put(feedback, row.now_ms), row)

    def close(self, key: str, row: EventRow) -> None:
        """Publish that a command is over, where it is open."""
        if self.book.close(key):
            self._put(key, b"", row)

    def add_pair(
        self,
        row: EventRow,
        prediction: WaitingPrediction,
        outcome: EarlyOutcome,
        compared: tuple[bool | None, float | None],
    ) -> None:
        """Publish the labelled row of a pair, at the event that completed it.

        ``compared`` is the result of `SeriesSet.compare`.
        """
        is_error, error = compared
        number = row.labelled_seen
        labelled = encode_labelled(
            LabelledRow(
                f"{self._model_id}/{number}",
                self._model_id,
                number,
                (outcome.observed_at_ms - prediction.predicted_at_ms) / 1_000,
                is_error,
                error,
                Raw(prediction.payload),
                Raw(outcome.payload),
                PairPosition(self._partition, row.offset, row.place),
                prediction.row,
            )
        )
        place = row.offset, row.place
        self._emissions.append(Emission(place, "labelled", self._model_id, labelled, row.now_ms))

    def add_metrics(self, records: Sequence[tuple[str, Wire]], row: EventRow) -> None:
        """Publish figures under their keys, at the event whose time they are due at."""
        place = row.offset, row.place
        for key, record in records:
            value = record.model_dump_json().encode()
            emission = Emission(place, "metrics", self._model_id, value, row.now_ms, key)
            self._emissions.append(emission)

    def add_review(self, key: str, value: bytes, row: EventRow) -> None:
        """Publish what is known of a review."""
        place = row.offset, row.place
        self._emissions.append(Emission(place, "reviews", self._model_id, value, row.now_ms, key))

    def taken(self) -> list[Emission]:
        """Return the emissions since this was last called, in event order."""
        emissions, self._emissions = self._emissions, []
        emissions.sort(key=place_of)
        return emissions

    def statuses(self, now_ms: int) -> list[Emission]:
        """Return the present `status` of every alert that the model has ever had, and commands."""
        statuses = [
            status_emission((0, 0), self._model_id, fingerprint, status, now_ms)
            for fingerprint, status in self.writer.statuses()
        ]
        return statuses + [
            Emission((0, 0), "commands", self._model_id, record, at_ms, key)
            for key, record, at_ms in self.book.records()
        ]

    def _put(self, key: str, record: bytes, row: EventRow) -> None:
        place = row.offset, row.place
        self._emissions.append(Emission(place, "commands", self._model_id, record, row.now_ms, key))

    def _emit(self, row: EventRow, role: TopicRole, value: bytes) -> None:
        place = row.offset, row.place
        self._emissions.append(Emission(place, role, self._model_id, value, row.now_ms))


def _onset(transition: Transition, position: RowPosition) -> RowPosition:
    """Return the onset of a change: of late labels, the instant of the predictions."""
    at_age = transition.change.at_age
    return position if at_age is None else position._replace(at_ms=at_age.onset_ms)
