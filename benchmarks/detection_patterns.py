"""The cases of the detection benchmark with patterns: trends, words, ramps, merchants, blips."""

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
from benchmarks.detection_loads import load_cases
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


def blip_case(scale: float) -> Iterator[Figure]:
    """Return the part of blips in a number, of 20 rows, that alarm, by size."""
    runs, quiet, blip = max(round(200 * scale), 20), 3_000, 20
    for place, (mean, sd) in enumerate(((3.0, 1.0), (2.0, 1.0), (0.0, 4.0), (1_000.0, 1.0))):
        alarms = 0
        for run in range(runs):
            rng = rng_of(CASE + 7 + place, run)
            x = rng.normal(size=quiet + 1_000)
            x[quiet : quiet + blip] = rng.normal(mean, sd, blip)
            found = read(new_watch("feature", one_of(100)), x.tolist())
            alarms += any(row >= quiet for row, _ in found)
        what = f"a blip of {blip} rows at {mean:g} with a deviation of {sd:g}: part that alarms"
        yield Figure(case="15", what=what, got=alarms / runs, bound=0.2, quick_bound=0.35)


def odd_case(scale: float) -> Iterator[Figure]:
    """Return the rows until odd numbers are told: a default in their range, another unit."""
    runs, quiet, rows = max(round(100 * scale), 8), 5_000, 7_000
    for place, (share, what) in enumerate(
        ((0.05, "a default in the range of 5 %"), (0.02, "another unit, x 1,000, of 2 %"))
    ):
        delays, early = list[float](), 0
        for run in range(runs):
            rng = rng_of(CASE + 12 + place, run)
            x = np.exp(3 + 0.8 * rng.normal(size=rows)).round(6)
            is_odd = (np.arange(rows) >= quiet) & (rng.random(rows) < share)
            x = np.where(is_odd, 1_000 * x if place else 20.0, x)
            found = [row for row, _ in read(new_watch("feature", one_of(10)), x.tolist())]
            early += any(row < quiet for row in found)
            late = (float(row - quiet + 1) for row in found if row >= quiet)
            delays.append(next(late, math.inf))
        note = f"p95 {np.percentile(delays, 95):.0f}, early {early} of {runs}"
        told = f"{what} of the rows: rows until it is told"
        got = float(np.mean(delays))
        yield Figure(case="16", what=told, got=got, bound=400, quick_bound=400, note=note)


def pattern_cases(scale: float) -> Iterator[Figure]:
    """Yield the figures of these cases."""
    yield trend_case(scale)
    yield night_case(scale)
    yield sparse_case(scale)
    yield ramp_case(scale)
    yield merchant_case(scale)
    yield from blip_case(scale)
    yield from odd_case(scale)
    yield from load_cases(scale)
