"""The seasonal cases of the detection benchmark: days and weeks, with instants and without."""

import math
from collections.abc import Iterator
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection_cases import (
    BATCH_ROWS,
    Delays,
    Figure,
    Floats,
    Rng,
    as_values,
    false_alarms,
    new_watch,
    one_of,
    rng_of,
)
from streams.aspects import SeriesRole
from streams.values import Scalar

Instants = NDArray[np.int64]

DAY_MS = 86_400_000
MONDAY_MS = 1_704_067_200_000
LEARNT_DAYS, LEARNT_WEEK_DAYS = 2, 14
ROWS_A_DAY = (1_000, 10_000, 100_000)


def instants(rng: Rng, days: float, rows_a_day: int) -> Instants:
    """Return evenly spaced instants that begin anywhere in a week."""
    first_ms = MONDAY_MS + int(rng.integers(7 * DAY_MS))
    rows = round(days * rows_a_day)
    return first_ms + (np.arange(rows) * (DAY_MS / rows_a_day)).astype(np.int64)


def day_wave(at_ms: Instants) -> Floats:
    """Return a wave of unit amplitude a day."""
    wave: Floats = np.sin(at_ms / DAY_MS * 2 * math.pi)
    return wave


def is_weekend(at_ms: Instants) -> NDArray[np.bool_]:
    """Return which instants lie on a Saturday or a Sunday."""
    return (at_ms - MONDAY_MS) // DAY_MS % 7 >= 5


def seasonal(kind: str, rng: Rng, at_ms: Instants) -> Floats:
    """Return values with a rhythm; of an error, positive where it is one."""
    noise = rng.normal(size=len(at_ms))
    match kind:
        case "none":
            return noise
        case "day":
            return noise + day_wave(at_ms)
        case "spread":
            return noise * np.exp(day_wave(at_ms) / 2)
        case "week":
            return noise + 0.7 * day_wave(at_ms) - is_weekend(at_ms)
        case _:
            share = 0.12 + 0.08 * day_wave(at_ms)
            return (rng.random(len(at_ms)) < share).astype(np.float64)


def alarm_rows(values: list[Scalar], at_ms: Instants | None, role: SeriesRole) -> Iterator[int]:
    """Yield the row of each alarm at the budget of one of a hundred features, or of an error."""
    watch = new_watch(role, 0.1 if role == "error" else one_of(100))
    for start in range(0, len(values), BATCH_ROWS):
        end = start + BATCH_ROWS
        part = None if at_ms is None else at_ms[start:end]
        for change in watch.update(values[start:end], part):
            yield start + change.index


def alarms_of(
    kind: str, days: int, rows_a_day: int, settled_day: int, *, runs: int, case: int
) -> tuple[float, float, float]:
    """Return alarms a series before and after a day, with instants; and all of them without."""
    role: SeriesRole = "error" if kind == "error" else "feature"
    early = late = without = 0
    for run in range(runs):
        rng = rng_of(case, run)
        at_ms = instants(rng, days, rows_a_day)
        values = as_values(seasonal(kind, rng, at_ms), role)
        rows = list(alarm_rows(values, at_ms, role))
        early += sum(row < settled_day * rows_a_day for row in rows)
        late += sum(row >= settled_day * rows_a_day for row in rows)
        without += sum(1 for _ in alarm_rows(values, None, role))
    return early / runs, late / runs, without / runs


def delays_of(kind: str, day: float, rows_a_day: int, runs: int, case: int) -> Delays:
    """Return how soon a change of one deviation is found, on top of a rhythm, within 2,000 rows."""
    start, limit = round(day * rows_a_day), 2_000
    found, missed, early = [], 0, 0
    for run in range(runs):
        rng = rng_of(case, run)
        at_ms = instants(rng, day + limit / rows_a_day, rows_a_day)
        x = seasonal(kind, rng, at_ms)
        x[start:] += 1.0
        rows = [row for row in alarm_rows(x.tolist(), at_ms, "feature") if row >= start - 5_000]
        early += sum(1 for _ in takewhile(lambda row: row < start, rows))
        late = [row for row in rows if row >= start]
        found += [late[0] - start + 1] if late else []
        missed += not late
    return Delays(found, missed, early)


def season_cases(scale: float) -> Iterator[Figure]:
    """Rhythms of a day and of a week: how often they alarm, and what is still found."""
    cases = [("day", 8, rows, LEARNT_DAYS) for rows in ROWS_A_DAY]
    cases += [("spread", 8, 10_000, LEARNT_DAYS), ("error", 10, 4_000, LEARNT_DAYS)]
    cases += [("week", 28, 2_000, LEARNT_WEEK_DAYS), ("none", 8, 10_000, LEARNT_DAYS)]
    for case, (kind, days, rows_a_day, settled_day) in enumerate(cases):
        runs = max(int(40 * scale * 10_000 / rows_a_day), 2) if kind == "day" else 0
        runs = min(runs or max(int(40 * scale), 3), 100)
        early, late, without = alarms_of(
            kind, days, rows_a_day, settled_day, runs=runs, case=160 + case
        )
        rows = (days - settled_day) * rows_a_day
        yield Figure(
            case="season",
            what=f"{kind}, {rows_a_day:,} rows a day: false alarms per series and 10,000 rows, "
            f"after {settled_day} days",
            got=late / rows * 10_000,
            bound=0.2,
            quick_bound=0.5,
            note=f"{runs} runs; {early:.2g} a series before that; {without:.3g} without instants",
        )
    for case, (kind, day, rows_a_day) in enumerate(
        (("day", 8, 1_000), ("day", 8, 10_000), ("day", 3, 100_000), ("none", 0.5, 10_000))
    ):
        runs = max(int((20 if rows_a_day == 100_000 else 60) * scale), 4)
        found = delays_of(kind, day, rows_a_day, runs, 170 + case)
        yield Figure(
            case="season",
            what=f"{kind}, {rows_a_day:,} rows a day: +1 sd on day {day:g}: mean rows",
            got=found.mean,
            bound=60,
            quick_bound=90,
            note=f"p95 {found.p95:.0f}, missed {found.missed_share:.1%}, {runs} runs",
        )


def wave_cases(scale: float) -> Iterator[Figure]:
    """Rhythms that are no day: what a reference holds of them, and what not."""
    for case, period in enumerate((500, 2_000, 10_000)):

        def wave(rng: Rng, rows: int, period: int = period) -> Floats:
            return rng.normal(size=rows) + np.sin(np.arange(rows) * 2 * math.pi / period)

        got, half = false_alarms(wave, one_of(100), max(int(40 * scale), 6), 130 + case)
        yield Figure(
            case="rhythm",
            what=f"a wave of {period:,} rows, no instants: false alarms per feature and 10,000",
            got=got,
            note=f"± {half:.2f}",
        )
