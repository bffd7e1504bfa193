"""What one would use instead: River's detectors as they come, and a nightly job on chunks.

Each rival reads raw values of one numeric feature and is given the same 2,000 rows to learn from.
None has a budget to set; the chunked jobs divide their significance by the number of features.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from river.drift import ADWIN, KSWIN, PageHinkley

from benchmarks.detection_cases import REFERENCE_ROWS, Delays, Draw, Rng, normal, rng_of
from streams.series.watch import SeriesWatch
from streams.series.watch_spec import WatchSpec

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


def is_psi_drift(learnt: Floats, chunk: Floats, _: int) -> bool:
    """Compare the shares of ten bins; ``learnt`` and ``chunk`` are in order."""
    edges = np.quantile(learnt, np.linspace(0, 1, PSI_BINS + 1)[1:-1])
    old = np.bincount(np.searchsorted(edges, learnt), minlength=PSI_BINS) / len(learnt)
    new = np.bincount(np.searchsorted(edges, chunk), minlength=PSI_BINS) / len(chunk)
    old, new = np.maximum(old, 1e-4), np.maximum(new, 1e-4)
    return bool(((new - old) * np.log(new / old)).sum() > PSI_ALARM)


def is_ks_drift(learnt: Floats, chunk: Floats, features: int) -> bool:
    """Compare two distributions (Kolmogorov and Smirnov); both are in order."""
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
    Rival("PSI > .2 on 1,000 rows", _chunked(is_psi_drift)),
    Rival("KS at 5 % on 1,000 rows", _chunked(is_ks_drift)),
)

SIZED = ("Tidegauge", "KS at 5 % on 1,000 rows")
"""Rivals that know how many features there are; the others behave alike on each."""


def gradual(rng: Rng, rows: int) -> Floats:
    """Return values more and more of which come from one deviation higher."""
    is_new = rng.random(rows) < np.arange(rows) / 1_000
    return rng.normal(size=rows) + is_new.astype(np.float64)


def incremental(rng: Rng, rows: int) -> Floats:
    """Return values that rise by one deviation over 1,000 rows."""
    x: Floats = rng.normal(size=rows) + np.minimum(np.arange(rows) / 1_000, 1.0)
    return x


def recurring(rng: Rng, rows: int) -> Floats:
    """Return values that go up and come back every 300 rows."""
    is_up = np.arange(rows) // 300 % 2 == 0
    x: Floats = rng.normal(size=rows) + is_up
    return x


CHANGES: dict[str, Draw] = {
    "+1 sd": normal(1.0),
    "+.5 sd": normal(0.5),
    "sd x 2": normal(0.0, 2.0),
    "gradual": gradual,
    "incremental": incremental,
    "recurring": recurring,
}
MODEL_SIZES = (1, 20, 100, 500)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One rival on one model size."""

    rival: str
    features: int
    alarms_per_10k: float
    half: float
    delays: dict[str, Delays]


def rival_alarms(rival: Rival, features: int, runs: int) -> tuple[float, float]:
    """Return false alarms per 10,000 rows of a whole model, by the hazard of single features."""
    rows, alarms, seen = 10_000, 0, 0
    runs = max(min(runs, rival.rows_at_most // rows), 3)
    for run in range(runs):
        rng = rng_of(140, run)
        first = rival.first_alarm(rng.normal(size=REFERENCE_ROWS), rng.normal(size=rows), features)
        alarms += first is not None
        seen += rows if first is None else first + 1
    per = features * 10_000 / seen
    return alarms * per, 1.96 * math.sqrt(max(alarms, 1)) * per


def rival_delays(rival: Rival, features: int, runs: int, case: int, after: Draw) -> Delays:
    """Return the delays of a rival, 3,000 rows after its reference."""
    rows, missed, early = [], 0, 0
    runs = max(min(runs, rival.rows_at_most // 7_000), 3)
    for run in range(runs):
        rng = rng_of(150 + case, run)
        later = np.concatenate((rng.normal(size=3_000), after(rng, 2_000)))
        first = rival.first_alarm(rng.normal(size=REFERENCE_ROWS), later, features)
        if first is None:
            missed += 1
        elif first < 3_000:
            early += 1
        else:
            rows.append(first - 3_000 + 1)
    return Delays(rows, missed, early)


def compare(scale: float) -> list[Comparison]:
    """Put the rivals side by side on the same streams."""
    return [
        Comparison(
            rival.name,
            features,
            *rival_alarms(rival, features, max(int(2_000 * scale), 20)),
            {
                name: rival_delays(rival, features, max(int(200 * scale), 5), case, after)
                for case, (name, after) in enumerate(CHANGES.items())
            },
        )
        for rival in RIVALS
        for features in (MODEL_SIZES if rival.name in SIZED else (100,))
    ]
