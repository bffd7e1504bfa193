"""What a whole model of 500 mixed features costs: memory, stored bytes and time a value.

python -m benchmarks.detection_footprint
"""

import ctypes
import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np

from benchmarks.detection_cases import (
    BATCH_ROWS,
    Figure,
    Floats,
    Rng,
    hits,
    normal,
    rng_of,
    words,
)
from benchmarks.detection_seasons import day_wave, instants
from schemas.model_spec import AlertRules, ModelSpec
from streams.clock import Instants
from streams.codec import encode
from streams.series.reading import Column, Reading
from streams.series.series_set import SeriesSet
from streams.values import Scalar

FEATURES = 500
ROWS_A_DAY = 1_000
PHASES = (("learning", 1_500), ("watching, hours gathered", 4_000), ("settled", 17_000))
MEBIBYTE = 2**20


def mixed_feature(k: int, rng: Rng, at_ms: Instants) -> list[Scalar]:
    """Return one of every sort: numbers, with a rhythm, with tails, words, truths, a constant."""
    rows = len(at_ms)
    kind = k % 20
    if kind < 11:
        x: Floats = normal()(rng, rows)
        numbers: list[Scalar] = (x + day_wave(at_ms) if kind < 3 else x).tolist()
        return numbers
    if kind == 11:
        tails: list[Scalar] = np.exp(2 * rng.normal(size=rows)).tolist()
        return tails
    if kind == 12:
        return [
            None if gone else 1.5 * x
            for gone, x in zip(rng.random(rows) < 0.05, rng.normal(size=rows).tolist(), strict=True)
        ]
    if kind < 18:
        return words(rng, rows, (2, 3, 5, 8, 12)[kind - 13])
    if kind == 18:
        return [bool(hit) for hit in hits(0.1)(rng, rows)]
    return [5.0] * rows


def resident_bytes() -> int:
    """Return the memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def series_of(features: int, rows: int) -> tuple[dict[str, list[Scalar]], Instants]:
    """Return the series of a model, and their instants."""
    rng = rng_of(180, 0)
    at_ms = instants(rng, rows / ROWS_A_DAY, ROWS_A_DAY)
    return {f"feature/{k}": mixed_feature(k, rng, at_ms) for k in range(features)}, at_ms


class Arrived(NamedTuple):
    """The event of a row."""

    offset: int
    place: int
    now_ms: int


def feed(
    panel: SeriesSet, series: dict[str, list[Scalar]], at_ms: Instants, start: int, end: int
) -> float:
    """Give a panel some rows in batches; return the microseconds a value."""
    reading = Reading(lambda _role, row: Arrived(0, row, 0), AlertRules())
    began_s = time.process_time()
    for row in range(start, end, BATCH_ROWS):
        stop = min(row + BATCH_ROWS, end)
        panel.read(
            [
                Column(name, "feature", values[row:stop], at_ms[row:stop])
                for name, values in series.items()
            ],
            reading,
        )
    return (time.process_time() - began_s) / ((end - start) * len(series)) * 1e6


def grown(features: int, rows: int) -> Iterator[tuple[float, int, int]]:
    """Feed a model; yield at the end of each phase: us a value, bytes held, bytes stored.

    Memory is measured on a model that is never stored: what storing it takes for a moment, the
    process keeps, and it is no part of the model.
    """
    series, at_ms = series_of(features, rows)
    few = dict(list(series.items())[:20])
    feed(SeriesSet(ModelSpec()), few, at_ms, 0, rows)  # so that all is compiled and loaded
    panel, start, held = SeriesSet(ModelSpec()), 0, []
    before = _settled_bytes()
    for _, end in PHASES:
        per_value_us = feed(panel, series, at_ms, start, end)
        held.append((per_value_us, _settled_bytes() - before))
        start = end
    panel, start = SeriesSet(ModelSpec()), 0
    for (_, end), measured in zip(PHASES, held, strict=True):
        feed(panel, series, at_ms, start, end)
        yield *measured, len(encode(panel.state))
        start = end


def _settled_bytes() -> int:
    """Return the memory held once what nobody needs has been given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return resident_bytes()


def footprint_cases(_: float) -> Iterator[Figure]:
    """Case 9: a model of 500 features with mixed types."""
    for (phase, rows), (per_value_us, held, stored) in zip(
        PHASES, grown(FEATURES, PHASES[-1][1]), strict=True
    ):
        note = f"{held / FEATURES / 1024:.1f} kB a series; stored {stored / MEBIBYTE:.1f} MB"
        yield Figure(
            case="9",
            what=f"500 mixed features, {phase} (row {rows:,}): MB held",
            got=held / MEBIBYTE,
            note=f"{note}; {per_value_us:.2f} us a value",
        )


@click.command()
def main() -> None:
    """Print what a model of 500 mixed features costs."""
    for figure in footprint_cases(1.0):
        click.echo(f"{figure.what}: {figure.got:.1f}; {figure.note}")


if __name__ == "__main__":
    main()
