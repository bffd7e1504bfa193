"""The cases of the detection benchmark with patterns that are no change: trends, sparse columns."""

from collections.abc import Iterator

import numpy as np

from benchmarks.detection_cases import BATCH_ROWS, Figure, as_values, new_watch, one_of, rng_of
from benchmarks.detection_seasons import DAY_MS, alarm_rows, instants
from streams.clock import HOUR_MS

CASE = 40
"""The first number of these cases, for their seeds."""
TREND_DAYS, TREND_SD = 8, 2.0
WORDS = 40
NIGHT_DAYS = 14


def trend_case(scale: float) -> Figure:
    """Return the part of slow trends that are taken for a rhythm."""
    runs = max(round(40 * scale), 4)
    believed = 0
    for run in range(runs):
        rng = rng_of(CASE, run)
        at_ms = instants(rng, TREND_DAYS, 2_000)
        along = (at_ms - at_ms[0]) / (TREND_DAYS * DAY_MS)
        values = as_values(rng.normal(size=len(at_ms)) + TREND_SD * along, "feature")
        watch = new_watch("feature", one_of(100))
        hours = 0
        for start in range(0, len(values), BATCH_ROWS):
            watch.update(values[start : start + BATCH_ROWS], at_ms[start : start + BATCH_ROWS])
            season = watch.describe()["season"]
            hours = max(hours, season["hours"] or 0) if isinstance(season, dict) else hours
        believed += hours > 0
    what = f"trend of {TREND_SD:g} sd in {TREND_DAYS} days: part taken for a rhythm"
    return Figure(case="10", what=what, got=believed / runs, bound=0.0, quick_bound=0.0)


def night_case(scale: float) -> Figure:
    """Return the alarms about a job of one hour a night, from its third night on."""
    runs = max(round(40 * scale), 3)
    alarms = rows = 0
    for run in range(runs):
        rng = rng_of(CASE + 2, run)
        at_ms = instants(rng, NIGHT_DAYS, 4_000)
        is_job = at_ms // HOUR_MS % 24 == 2
        values = as_values(rng.normal(size=len(at_ms)) + 3.0 * is_job, "feature")
        nights = np.unique(at_ms[is_job] // DAY_MS)
        quiet_from = int(np.argmax(at_ms // DAY_MS > nights[2]))
        alarms += sum(row >= quiet_from for row in alarm_rows(values, at_ms, "feature"))
        rows += len(at_ms) - quiet_from
    what = "a job of one hour a night: false alarms per 10,000 rows after its third night"
    got = 10_000 * alarms / rows
    return Figure(case="12", what=what, got=got, bound=0.02, quick_bound=0.3)


def sparse_case(scale: float) -> Figure:
    """Return the stuck facts about words, each in 2 % of the texts, in topics."""
    runs = max(round(20 * scale), 1)
    rows = 12_000
    stuck = 0
    for run in range(runs):
        rng = rng_of(CASE + 1, run)
        topic = (np.arange(rows) // 150) % WORDS
        for word in range(WORDS):
            share = np.where(topic % 8 == word % 8, 0.12, 0.006)
            values = (rng.random(rows) < share).astype(int).tolist()
            watch = new_watch("feature", one_of(WORDS))
            for start in range(0, rows, BATCH_ROWS):
                found = watch.update(values[start : start + BATCH_ROWS])
                stuck += sum(change.aspect == "stuck" for change in found)
    what = f"{WORDS} words in topics, {rows:,} rows: stuck facts a run"
    return Figure(case="11", what=what, got=stuck / runs, bound=0.0, quick_bound=0.0)


def pattern_cases(scale: float) -> Iterator[Figure]:
    """Yield the figures of these cases."""
    yield trend_case(scale)
    yield night_case(scale)
    yield sparse_case(scale)
