"""The cases of the detection benchmark with loads: a sorted file a night."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.detection_cases import Figure, Rng, rng_of
from schemas.model_spec import AlertRules, ModelSpec
from streams.alert.transition import Transition
from streams.clock import DAY_MS
from streams.emission import EventRow
from streams.model.loads import Loads
from streams.model.pending import PendingRows
from streams.model.publication import RowIndexes
from streams.series.series_set import SeriesSet

CASE = 60
NIGHTS, ROWS, LEARNT_NIGHTS, CHANGED_NIGHT = 30, 1_000, 2, 20
"""Rows are held, and series begin again, from the third night on."""
FEATURES = 5
BEGIN_MS = 1_704_067_200_000


class _NoWalk:
    """Hears no row."""

    def __init__(self, *_: Sequence[EventRow]) -> None:
        pass

    def to(self, row: EventRow | None) -> None:
        pass


class Nights:
    """A model that answers once a night, and whose outcomes come with the next load.

    Parameters
    ----------
    is_sorted
        Whether predictions come by region, of which a feature and the error depend, and outcomes
        by class; in any order otherwise.
    is_changed
        Whether a feature is a deviation higher, and errors twice as many, from a night on.

    Attributes
    ----------
    alarms
        The series of each, once rows are held, and its row in the drawn order.
    """

    def __init__(self, rng: Rng, *, is_sorted: bool, is_changed: bool) -> None:
        self._rng, self._is_sorted, self._is_changed = rng, is_sorted, is_changed
        self.alarms: list[tuple[str, int]] = []
        self._rows = PendingRows(
            SeriesSet(ModelSpec()),
            RowIndexes.new(),
            AlertRules,
            self._note,
            is_young=lambda: False,
            walk_of=_NoWalk,
            loads=Loads(),
        )
        self._seen = 0
        for night in range(NIGHTS):
            self._play(night)

    def _note(self, transition: Transition, row: EventRow) -> None:
        if transition.status == "firing" and self._seen >= LEARNT_NIGHTS * ROWS:
            self.alarms.append((transition.series, LEARNT_NIGHTS * ROWS + transition.series_seen))

    def _play(self, night: int) -> None:
        rng, is_worse = self._rng, self._is_changed and night >= CHANGED_NIGHT
        region = (
            np.sort(rng.integers(0, 10, ROWS)) if self._is_sorted else rng.integers(0, 10, ROWS)
        )
        x = rng.normal(size=(ROWS, FEATURES))
        x[:, 1] += region / 5 - 1
        x[:, 0] += is_worse
        is_error = rng.random(ROWS) < (0.02 + 0.016 * region) * (1 + is_worse)
        is_yes = rng.random(ROWS) < 0.3
        pairs = np.argsort(is_yes, kind="stable") if self._is_sorted else np.arange(ROWS)
        names = [f"x{place}" for place in range(FEATURES)]
        at_ms = BEGIN_MS + night * DAY_MS
        for place in range(ROWS):
            features = dict(zip(names, x[place].tolist(), strict=True))
            values = (features, None, bool(is_yes[place]), None, None)
            self._rows.add_prediction(self._row(at_ms + 10 * place, place + 1, values))
            if len(self._rows) == 100:  # as a worker that keeps up
                self._rows.settled()
        for place, pair in enumerate(pairs.tolist()):
            labelled = (bool(is_error[pair]), bool(is_yes[pair]), at_ms + 10 * pair, None)
            self._rows.add_pair(self._row(at_ms + 20 * ROWS + place, ROWS, labelled, place + 1))
        self._rows.settled()
        self._rows.end_loads(self._row(at_ms + 600_000, ROWS, (), ROWS))
        self._seen += ROWS

    def _row(
        self, now_ms: int, predictions: int, values: tuple[object, ...], labelled: int = 0
    ) -> EventRow:
        seen = self._seen
        return EventRow(
            now_ms, 0, now_ms, now_ms, seen + predictions, seen + labelled, None, values
        )


def load_cases(scale: float) -> Iterator[Figure]:
    """Sorted loads: how often they alarm, and how much later a change is found in them."""
    runs = max(round(40 * scale), 3)
    alarms, delays = 0, dict[tuple[bool, str], list[float]]()
    for run in range(runs):
        quiet = Nights(rng_of(CASE, run), is_sorted=True, is_changed=False)
        alarms += len(quiet.alarms)
        for is_sorted in (False, True):
            played = Nights(rng_of(CASE + 1, run), is_sorted=is_sorted, is_changed=True)
            for series in ("feature/x0", "error"):
                since = CHANGED_NIGHT * ROWS
                late = [seen - since for name, seen in played.alarms if name == series]
                found = next((rows for rows in late if rows > 0), math.inf)
                delays.setdefault((is_sorted, series), []).append(found)
    rows = runs * (NIGHTS - LEARNT_NIGHTS) * ROWS
    got = 10_000 * alarms / rows
    bound = 0.2 + 2 * math.sqrt(0.2 * 10_000 / rows)
    what = "a sorted load a night: false alarms per 10,000 rows of the model after two nights"
    yield Figure(
        case="17", what=what, got=got, bound=round(bound, 3), quick_bound=0.5, note=f"{runs} runs"
    )
    for series in ("feature/x0", "error"):
        usual, found = (float(np.mean(delays[each, series])) for each in (False, True))
        what = f"the same, {series} changed: rows until it is told, in those of an unsorted load"
        note = f"{found:.0f} against {usual:.0f} rows of the drawn order"
        yield Figure(case="17", what=what, got=found / usual, bound=1.5, quick_bound=3.0, note=note)
