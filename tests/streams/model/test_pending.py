"""The gate to the series of a model, alone: bounds, instants and rows."""

from collections.abc import Sequence

import pytest

from schemas.model_spec import AlertRules, ModelSpec
from schemas.topics import Topics
from streams.alert.states import AlertState
from streams.alert.transition import Transition
from streams.aspects import SeriesRole
from streams.change import Change
from streams.codec import encode
from streams.emission import EventRow
from streams.model import pending
from streams.model.loads import Loads
from streams.model.model import ModelMonitor
from streams.model.pending import PendingRows
from streams.model.publication import RowIndexes
from streams.monitor import Monitor
from streams.series.reading import Column, Reading, RowTransition
from streams.series.series_set import SeriesSet
from tests.doubles.core import log_of, taken_in
from tests.doubles.inputs import prediction


class ListedSeries(SeriesSet):
    """Series that keep their columns, and find what a test says."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.columns: list[Column] = []
        self.found: list[tuple[SeriesRole, RowTransition]] = []

    def read(
        self, columns: Sequence[Column], reading: Reading
    ) -> list[tuple[SeriesRole, RowTransition]]:
        self.columns += columns
        return self.found


class NoWalk:
    """Hears no row."""

    def __init__(self, *_: Sequence[EventRow]) -> None:
        pass

    def to(self, row: EventRow | None) -> None:
        pass


def rows_of(
    series: SeriesSet, indexes: RowIndexes | None = None, *, is_young: bool = True
) -> PendingRows:
    indexes = indexes or RowIndexes.new()
    return PendingRows(
        series,
        indexes,
        AlertRules,
        lambda *_: None,
        is_young=lambda: is_young,
        walk_of=NoWalk,
        loads=Loads(),
    )


def predicted(row: int, feature: str = "a") -> EventRow:
    values = ({feature: 1.0}, None, "yes", None, None)
    return EventRow(row, 0, 1_000 * row, 1_000 * row, row, 0, None, values)


def paired(row: int) -> EventRow:
    """Return a pair whose outcome came a minute after its prediction."""
    answered_ms = 1_000 * row
    return EventRow(
        row, 1, answered_ms, answered_ms + 60_000, row, row, None, (False, "yes", answered_ms, None)
    )


@pytest.mark.parametrize("of_pairs", [False, True])
def test_no_more_than_so_many_rows_wait(monkeypatch: pytest.MonkeyPatch, of_pairs: bool) -> None:
    monkeypatch.setattr(pending, "MAX_PENDING_ROWS", 3)
    rows = rows_of(ListedSeries(ModelSpec()))
    waiting = []

    for row in range(1, 6):
        if of_pairs:
            rows.add_pair(paired(row))
        else:
            rows.add_prediction(predicted(row))
        waiting.append(len(rows))

    assert waiting == [1, 2, 0, 1, 2]


def test_an_error_belongs_to_the_instant_of_its_prediction() -> None:
    series = ListedSeries(ModelSpec())
    rows = rows_of(series)
    for row in (1, 2):
        rows.add_pair(paired(row))

    rows.settled()

    assert {column.series: column.at_ms.tolist() for column in series.columns} == {
        "error": [1_000, 2_000],
        "outcome": [1_000, 2_000],
    }


def test_the_places_of_rows_take_a_bounded_size_however_many_were_read() -> None:
    indexes, sizes = RowIndexes.new(), []
    rows = rows_of(ListedSeries(ModelSpec()), indexes)
    for row in range(1, 60_001):
        rows.add_prediction(predicted(row))
        rows.add_pair(paired(row))
        if row % 20_000 == 0:
            rows.settled()
            sizes.append(len(encode(indexes)))

    assert sizes[2] < 1.1 * sizes[1]


def test_an_alert_early_in_a_long_reading_finds_its_onset() -> None:
    change = Change(aspect="level", detector="rule")
    state = AlertState("feature/a", "feature", "level", change=change)
    series, indexes, found = ListedSeries(ModelSpec()), RowIndexes.new(), []
    series.found = [("feature", RowTransition(99, *state.on("change", 0, AlertRules())))]

    def publish(_transition: Transition, row: EventRow) -> None:
        seen = row.predictions_seen
        found.append((seen, indexes.predictions.find(seen - 3, seen).row))

    rows = PendingRows(
        series,
        indexes,
        AlertRules,
        publish,
        is_young=lambda: True,
        walk_of=NoWalk,
        loads=Loads(),
    )
    for row in range(1, 900):
        rows.add_prediction(predicted(row))
    rows.settled()

    assert found == [(100, 97)]


def test_a_snapshot_is_refused_while_values_wait() -> None:
    monitor = Monitor(0, Topics())
    monitor.ingest(enumerate(log_of(taken_in([prediction()]))))
    model: ModelMonitor = monitor.models["m"]

    with pytest.raises(RuntimeError, match="values of model m wait"):
        model.snapshot()

    monitor.evaluate_all()
    assert model.snapshot()


@pytest.mark.parametrize("is_young", [False, True])
def test_rows_before_a_series_begins_are_read_but_not_while_the_model_is_young(
    is_young: bool,
) -> None:
    for begin in ("prediction", "pair"):
        rows = rows_of(ListedSeries(ModelSpec()), is_young=is_young)
        rows.add_prediction(predicted(1))
        if begin == "prediction":
            rows.add_prediction(predicted(2, "b"))
        else:
            rows.add_pair(paired(2))

        assert len(rows) == 1 + is_young
