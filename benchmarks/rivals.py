"""What one would use instead: River's detectors as they come, and a nightly job on chunks.

Each rival reads raw values of one numeric feature and is given the same 2,000 rows to learn from.
None has a budget to set; the chunked jobs divide their significance by the number of features.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from river.drift import ADWIN, KSWIN, PageHinkley

from streams.watch import SeriesWatch, WatchSpec

Floats = NDArray[np.float64]
FirstAlarm = Callable[[Floats, Floats, int], int | None]
"""Of a reference, what follows and the number of features: the row of the first alarm."""

CHUNK_ROWS = 1_000
PSI_ALARM = 0.2
PSI_BINS = 10
KS_SIGNIFICANCE = 0.05


@dataclass(frozen=True, slots=True)
class Rival:
    """A way to watch one number."""

    name: str
    first_alarm: FirstAlarm
    rows_at_most: int = 100_000_000
    """How many rows are affordable in a comparison."""


def _river(make: Callable[[], ADWIN | KSWIN | PageHinkley]) -> FirstAlarm:
    def first_alarm(learnt: Floats, later: Floats, _: int) -> int | None:
        detector = make()
        update: Callable[[float], None] = detector.update
        for x in learnt.tolist():
            update(x)
        for row, x in enumerate(later.tolist()):
            update(x)
            if detector.drift_detected:
                return row
        return None

    return first_alarm


def _chunked(is_drift: Callable[[Floats, Floats, int], bool]) -> FirstAlarm:
    def first_alarm(learnt: Floats, later: Floats, features: int) -> int | None:
        for end in range(CHUNK_ROWS, len(later) + 1, CHUNK_ROWS):
            if is_drift(np.sort(learnt), np.sort(later[end - CHUNK_ROWS : end]), features):
                return end - 1
        return None

    return first_alarm


def _psi(learnt: Floats, chunk: Floats, _: int) -> bool:
    edges = np.quantile(learnt, np.linspace(0, 1, PSI_BINS + 1)[1:-1])
    old = np.bincount(np.searchsorted(edges, learnt), minlength=PSI_BINS) / len(learnt)
    new = np.bincount(np.searchsorted(edges, chunk), minlength=PSI_BINS) / len(chunk)
    old, new = np.maximum(old, 1e-4), np.maximum(new, 1e-4)
    return bool(((new - old) * np.log(new / old)).sum() > PSI_ALARM)


def _kolmogorov(learnt: Floats, chunk: Floats, features: int) -> bool:
    everything = np.concatenate((learnt, chunk))
    old = np.searchsorted(learnt, everything, side="right") / len(learnt)
    new = np.searchsorted(chunk, everything, side="right") / len(chunk)
    size = len(learnt) * len(chunk) / (len(learnt) + len(chunk))
    limit = np.sqrt(np.log(2 * features / KS_SIGNIFICANCE) / (2 * size))
    return bool(np.abs(old - new).max() > limit)


def _tidegauge(learnt: Floats, later: Floats, features: int) -> int | None:
    watch = SeriesWatch(WatchSpec(role="feature"))
    watch.set_budget(0.1 / (features + 1))
    watch.update(learnt.tolist())
    changes = watch.update(later.tolist())
    return changes[0].index if changes else None


RIVALS = (
    Rival("Tidegauge", _tidegauge),
    Rival("River ADWIN", _river(ADWIN)),
    Rival("River PageHinkley", _river(PageHinkley)),
    Rival("River KSWIN", _river(lambda: KSWIN(seed=1)), rows_at_most=120_000),
    Rival("PSI > .2 on 1,000 rows", _chunked(_psi)),
    Rival("KS at 5 % on 1,000 rows", _chunked(_kolmogorov)),
)
