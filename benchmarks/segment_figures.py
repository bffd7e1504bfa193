"""Measure segments, and the figures of drift, against worlds whose truth is known.

    python -m benchmarks.segment_figures            # the whole table, a minute
    python -m benchmarks.segment_figures --quick    # 10 s; fails where a bound is broken

A row has seven dimensions of 4 to 12 values, and a risk that its score tells. No parameter was
chosen on these seeds.
"""

import math
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import click
import numpy as np
import orjson
from numpy.typing import NDArray

from benchmarks.findings import Finding, put, table_of
from schemas.model_spec import ModelSpec
from streams.detect.budget import SEGMENTS_SHARE
from streams.detect.outline import Outline
from streams.performance.frame import Frame
from streams.performance.grid import Tally
from streams.performance.segments import Segments

SEED = 9_800
"""First seed; sections count on from it."""
ASKED = 0.05
"""False alarms of the segments per 10,000 labelled rows."""
_ENOUGH_RUNS = 20
"""Runs from which a share of .75 can be told from a half."""
_QUIET = 6_000
"""Rows after the reference before a fault begins: segments go on learning."""
WIDTHS = (4, 5, 6, 8, 8, 9, 12)
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class World(NamedTuple):
    """Rows: the value of each dimension, the score, and whether the answer is wrong."""

    values: Integers
    scores: Floats
    errors: NDArray[np.bool_]


class Fault(NamedTuple):
    """A part of the rows that fails: its name, the shares of its values, and its errors then."""

    name: str
    shares: tuple[float, ...]
    target: float


LARGE = 0.3
"""Share of errors of the larger faults."""
NOTHING = Fault("nothing", (0.3, 0.2), 0.0)
FAULTS = tuple(
    Fault(name, shares, target)
    for name, shares in (
        ("a pair of values, .30 and .20", (0.3, 0.2)),
        ("a pair of values, .25 and .24", (0.25, 0.24)),
        ("a value", (0.06,)),
    )
    for target in (0.15, LARGE)
)


def world(seed: int, rows: int, fault: Fault = NOTHING, *, fails: bool = False) -> World:
    """Make rows; where the fault is there, the first values of its dimensions fail."""
    rng = np.random.default_rng(seed)
    columns = []
    for place, width in enumerate(WIDTHS):
        parts = np.random.default_rng(place).dirichlet(np.full(width, 3.0))  # of all worlds
        columns.append(rng.choice(width, rows, p=parts))
    values = np.array(columns).T
    for place, share in enumerate(fault.shares):
        rest = 1 + values[:, place] % (WIDTHS[place] - 1)
        values[:, place] = np.where(rng.random(rows) < share, 0, rest)
    scores = rng.beta(0.6, 8, rows)
    hard = np.array([1.0, 0.7, 1.3, 1.0])[values[:, 0]]  # a value with harder cases
    risks = np.clip(np.minimum(scores, 1 - scores) * hard, 0, 0.9)
    errors = rng.random(rows) < risks
    if fails:
        is_of = (values[:, : len(fault.shares)] == 0).all(axis=1)
        usual = float(errors[is_of].mean())
        errors |= is_of & (rng.random(rows) < (fault.target - usual) / (1 - usual))
    return World(values, scores, errors)


def learnt(seed: int, fault: Fault = NOTHING) -> Segments:
    """Return segments that have learnt rows in which nothing is wrong."""
    spec = ModelSpec.model_validate({"segments": {}, "alert_budget": 2 * ASKED / SEGMENTS_SHARE})
    segments = Segments(spec)
    feed(segments, world(seed, 4_000, fault), 0)
    return segments


def feed(
    segments: Segments, lived: World, before: int, *, until_told: bool = False
) -> list[tuple[int, Any]]:
    """Feed rows, or those until the first; return the conditions that began, with their rows."""
    told = []
    names = [f"d{place}" for place in range(len(WIDTHS))]
    rows = zip(lived.values.tolist(), lived.scores.tolist(), lived.errors.tolist(), strict=True)
    for number, (values, score, is_error) in enumerate(rows, 1):
        segment = dict(zip(names, (f"v{each}" for each in values), strict=True))
        payload = orjson.dumps({"score": score, "segment": segment})
        found = segments.on_pair(
            before + number, payload, is_error, lambda _name: None, is_prompt=True
        )
        told += [(number, each.condition) for each in found if each.is_on]
        if told and until_told:
            break
    return told


def false_alarms(references: int, rows: int) -> Iterator[Finding]:
    """Count alarms where nothing changes, and the time of a row."""
    alarms, took_s = 0, 0.0
    for number in range(references):
        segments = learnt(SEED + 2 * number)
        lived = world(SEED + 2 * number + 1, rows)
        began_s = time.process_time()
        told = feed(segments, lived, 4_000)
        took_s += time.process_time() - began_s
        alarms += len({each.series for _, each in told})
    total = references * rows
    per_10_000 = alarms * 10_000 / total
    yield Finding(
        f"segments: false alarms in 10,000 rows, {sum(WIDTHS)} values, {total:,} rows",
        f"<= {ASKED} (and 2 s.e.)",
        f"{per_10_000:.3f} ({alarms})",
        alarms <= ASKED * total / 10_000 + 2 * math.sqrt(ASKED * total / 10_000),
        f"{SEED} to {SEED + 2 * references - 1}",
    )
    micros = took_s / total * 1e6
    yield Finding(
        "segments: time of a labelled row, its JSON included", "<= 20 us", f"{micros:.1f} us",
        micros <= 20, f"{SEED} to {SEED + 2 * references - 1}",
    )  # fmt: skip


def faults(kinds: Sequence[Fault], runs: int) -> Iterator[Finding]:
    """Let 6 % of the rows fail after 10,000; count rows until an alert, and what it names."""
    for fault in kinds:
        first = SEED + 83_000 + 200 * FAULTS.index(fault)
        want = {f"d{place}": "v0" for place in range(len(fault.shares))}
        rows_until, right = [], 0
        for run in range(runs):
            segments = learnt(first + 3 * run, fault)
            feed(segments, world(first + 3 * run + 1, _QUIET, fault), 4_000)
            lived = world(first + 3 * run + 2, 20_000, fault, fails=True)
            told = feed(segments, lived, 4_000 + _QUIET, until_told=True)
            row = told[0][0] if told else 20_000
            rows_until.append(row)
            worst = segments.worst(4_000 + _QUIET + row, row)
            is_found = worst is not None and worst.segments[0].segment == want
            right += is_found or (bool(told) and told[0][1].segment == want)
        median, part = float(np.median(rows_until)), right / runs
        seeds = f"{first} to {first + 3 * runs - 1}"
        named = f"segments, 6 % of the rows ({fault.name}) to {fault.target} errors"
        shown = f"{median:,.0f}"
        yield Finding(f"{named}: rows until told", "<= 4,500", shown, median <= 4_500, seeds)
        if runs >= _ENOUGH_RUNS:
            check = f"{named}: named by the alert or its search"
            yield Finding(check, ">= .75", f"{part:.2f}", part >= 0.75, seeds)


def drift(repetitions: int) -> Iterator[Finding]:
    """Compare figures of drift with those of the values themselves, and with chance."""
    for rows in (200, 1_000):
        rng = np.random.default_rng(SEED + 900)
        found, said = [], 0.0
        for _ in range(repetitions):
            before = np.sort(rng.lognormal(0, 1, 2_000))
            frame, tally = Frame.of(Outline("numeric", 2_000, numbers=before)), Tally()
            frame.count(rng.lognormal(0, 1, rows).tolist(), tally)
            distances = frame.distances(tally)
            if distances is not None:
                found.append(distances.psi)
                said = distances.psi_by_chance
        away = float(np.mean(found)) / said - 1
        yield Finding(
            f"PSI by chance, {rows} rows against 2,000", "within 10 %", f"{away:+.1%}",
            abs(away) <= 0.1, f"{SEED + 900}",
        )  # fmt: skip
    rng = np.random.default_rng(SEED + 901)
    away = 0.0
    for moved in (0.1, 0.2, 0.5):
        before, after = np.sort(rng.lognormal(0, 1, 4_096)), rng.lognormal(moved, 1, 4_000)
        frame, tally = Frame.of(Outline("numeric", 4_096, numbers=before)), Tally()
        frame.count(after.tolist(), tally)
        distances = frame.distances(tally)
        exact = wasserstein(before, after) / float(before.std())
        if distances is not None and distances.wasserstein is not None:
            away = max(away, abs(distances.wasserstein / exact - 1))
    yield Finding(
        "Wasserstein distance of lognormals moved by .1, .2, .5", "within 2 %", f"{away:.1%}",
        away <= 0.02, f"{SEED + 901}",
    )  # fmt: skip


def wasserstein(before: Floats, after: Floats) -> float:
    """Return the area between two empirical distribution functions."""
    places = np.sort(np.concatenate((before, after)))
    parts = [
        np.searchsorted(np.sort(each), places[:-1], "right") / len(each) for each in (before, after)
    ]
    return float((np.abs(parts[0] - parts[1]) * np.diff(places)).sum())


def findings(*, is_quick: bool) -> Iterator[Finding]:
    """Return all lines; quickly, only those that few runs can show."""
    yield from false_alarms(*((2, 20_000) if is_quick else (12, 150_000)))
    large = [fault for fault in FAULTS if fault.target == LARGE]
    yield from faults(large if is_quick else FAULTS, 4 if is_quick else 40)
    yield from drift(100 if is_quick else 1_000)


@click.command()
@click.option("--quick", "is_quick", is_flag=True, help="Fewer rows; fail where a bound is broken.")
def main(*, is_quick: bool) -> None:
    """Measure; write the table of the page, or fail where a bound is broken."""
    found: list[Finding] = []
    for each in findings(is_quick=is_quick):
        found.append(each)
        click.echo(table_of(found)[-1])
    if not is_quick:
        put("segments", table_of(found))
    sys.exit(is_quick and any(not each.is_met for each in found))


if __name__ == "__main__":
    main()
