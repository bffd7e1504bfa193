"""The cases of the detection benchmark with patterns: trends, sparse columns, ramps, merchants."""

import math
from collections.abc import Iterator

import numpy as np

from benchmarks.detection_cases import (
    BATCH_ROWS,
    Figure,
    as_values,
    new_watch,
    one_of,
    read,
    rng_of,
)
from benchmarks.detection_seasons import DAY_MS, alarm_rows, instants
from streams.aspects import SeriesRole
from streams.clock import HOUR_MS
from streams.values import Scalar

CASE = 40
"""The first number of these cases, for their seeds."""
TREND_DAYS, TREND_SD = 8, 2.0
WORDS = 40
NIGHT_DAYS = 14
RAMP_ROWS = 20_000
MERCHANTS, MERCHANT_SHARE = 5_000, 0.1


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


def ramp_case(scale: float) -> Figure:
    """Return the part of changes over 20,000 rows that are missed, or told since another place."""
    runs, wrong, late = max(round(40 * scale), 5), 0, []
    kinds: tuple[SeriesRole, ...] = ("feature", "prediction", "error")
    for run in range(runs):
        for place, role in enumerate(kinds):
            rng = rng_of(CASE + 3 + place, run)
            quiet = int(rng.integers(3_000, 5_000))
            part = np.clip((np.arange(quiet + RAMP_ROWS) - quiet + 1) / RAMP_ROWS, 0.0, 1.0)
            values: list[Scalar] = (rng.random(len(part)) < 0.1 + part / 5).tolist()
            if role == "feature":
                values = as_values(rng.normal(part), role)
            for row, change in read(new_watch(role, one_of(20)), values):
                late.append(row - change.figures.rows + 1 - quiet)
                wrong += abs(late[-1]) > RAMP_ROWS / 5
                break
            else:
                wrong += 1
    what = f"a change over {RAMP_ROWS:,} rows: part told since more than a fifth of it away"
    note = f"{np.median(late):.0f} rows after its beginning"
    got = wrong / (runs * len(kinds))
    return Figure(case="13", what=what, got=got, bound=0.2, quick_bound=0.45, note=note)


def merchant_case(scale: float) -> Figure:
    """Return the rows until a new merchant, of thousands, is told by its name."""
    delays = []
    for run in range(max(round(40 * scale), 4)):
        rng = rng_of(CASE + 6, run)
        quiet, rows = 6_000, 7_000
        drawn = [f"m{each}" for each in rng.integers(0, MERCHANTS, rows).tolist()]
        is_new = (np.arange(rows) >= quiet) & (rng.random(rows) < MERCHANT_SHARE)
        values: list[Scalar] = [
            "new" if new else each for new, each in zip(is_new, drawn, strict=True)
        ]
        found = list(read(new_watch("feature", one_of(20)), values))
        named = [row for row, change in found if change.category == "new"]
        delays.append(named[0] - quiet + 1 if named else math.inf)
    what = f"a new merchant with {MERCHANT_SHARE:.0%} of the rows: rows until it is named"
    return Figure(case="14", what=what, got=float(np.mean(delays)), bound=400, quick_bound=400)


def pattern_cases(scale: float) -> Iterator[Figure]:
    """Yield the figures of these cases."""
    yield trend_case(scale)
    yield night_case(scale)
    yield sparse_case(scale)
    yield ramp_case(scale)
    yield merchant_case(scale)
