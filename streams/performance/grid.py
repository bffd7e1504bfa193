"""A grid of cells for the values of a number: fine near its middle, ever wider away from it.

Rule 1. The edges follow from the reference, rounded: none of them is a value of a row.
Rule 2. A count is a sum of integers: how values are cut into readings changes nothing.
"""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from streams.codec import Machine
from streams.detect.compiled import Singles
from streams.values import Floats

GROWTH = 1.1
"""Ratio of the widths of neighbouring cells: a quantile is off by a twentieth of its distance from
the middle (DDSketch, Masson et al. 2019, with a linear middle)."""
FIRST_WIDTH = 0.025
"""Width of the cells at the middle, in units: a fortieth of a standard deviation or so."""
STEPS = 64
"""Cells to either side: they reach 111 units from the middle, and one more has the rest."""
CELLS = 2 * STEPS + 2
FARTHEST = 128.0
"""Units from the middle beyond which a value counts as this one in the mean: a single wild value
must not be the mean, nor tell itself."""
FINENESS = 4_096
"""Parts of a unit in which values are summed. With it the sums of squares of 10 million values a
thousand units away fit the 64 bits of an integer."""
_MIDDLE_PARTS = 4
"""Parts of a unit to which the middle is rounded."""


def _edges() -> Floats:
    edge, width, edges = 0.0, FIRST_WIDTH, [0.0]
    for _ in range(STEPS):  # sums and products alone: the same bits on every machine
        edge, width = edge + width, width * GROWTH
        edges.append(edge)
    return np.array([-each for each in reversed(edges[1:])] + edges)


_EDGES = _edges()
NO_CELLS: Singles = np.empty(0, np.float32)


class Grid(Struct, frozen=True, gc=False):
    """A grid: the value at its middle, and its unit, a power of two."""

    middle: float
    unit: float

    @classmethod
    def of(cls, numbers: Floats) -> "Grid":
        """Return the grid for numbers in rising order, of which there is at least one."""
        rows = len(numbers)
        low, half, high = (float(numbers[int(part * rows)]) for part in (0.16, 0.5, 0.84))
        spread = (high / 2 - low / 2) or float(numbers[-1] / 2 - numbers[0] / 2) or abs(half) or 1.0
        unit = math.ldexp(1.0, min(max(math.frexp(spread)[1] - 1, -1_000), 1_000))
        step = unit / _MIDDLE_PARTS
        return cls(round(half / step) * step if abs(half / step) < 2**52 else half, unit)

    @property
    def edges(self) -> Floats:
        """The edges between cells, in the unit of the series."""
        made: Floats = self.middle + self.unit * _EDGES
        return made

    def count(self, x: Floats) -> "Counted":
        """Count numbers."""
        away = np.clip((x - self.middle) / self.unit, -FARTHEST, FARTHEST)
        cells = np.bincount(np.searchsorted(_EDGES, away, "right"), minlength=CELLS)
        parts = np.rint(away * FINENESS)
        total, squares = int(parts.sum()), int((parts * parts).sum())
        return Counted(cells.astype(np.float32), total, squares)

    def moments(self, n: int, total: int, squares: int) -> tuple[float, float]:
        """Return mean and standard deviation of so many numbers, from their sums."""
        mean = total / n
        variance = max(squares / n - mean * mean, 0.0)
        scale = self.unit / FINENESS
        return self.middle + mean * scale, math.sqrt(variance) * scale


class Counted(NamedTuple):
    """Numbers by cell, and the sums of them and their squares, in parts of a unit."""

    cells: Singles
    total: int
    squares: int


class Tally(Machine):
    """The values of one series in some time.

    Attributes
    ----------
    rows, missing, other_type
        Inputs, and of these the ones without a value, and with one of another type.
    numbers, total, squares
        Numbers of the grid, the sum of them and of their squares.
    cells
        Numbers by cell; empty before the first.
    common
        Values by those that have a share of their own; the last place has all others.
    """

    rows: int = 0
    missing: int = 0
    other_type: int = 0
    numbers: int = 0
    total: int = 0
    squares: int = 0
    cells: Singles = NO_CELLS
    common: list[int] = []

    def add_numbers(self, x: Floats, grid: Grid) -> None:
        """Count numbers."""
        counted = grid.count(x)
        self.numbers += len(x)
        self.total += counted.total
        self.squares += counted.squares
        self.cells = self.cells + counted.cells if len(self.cells) else counted.cells

    def add_common(self, counts: list[int]) -> None:
        """Count values that have a share of their own, and all others."""
        mine = self.common or [0] * len(counts)
        self.common = [a + b for a, b in zip(mine, counts, strict=True)]

    def add_all(self, other: "Tally") -> None:
        """Add the counts of a later time."""
        for name in ("rows", "missing", "other_type", "numbers", "total", "squares"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        if len(other.cells):
            self.cells = self.cells + other.cells if len(self.cells) else other.cells
        if other.common:
            self.add_common(other.common)

    def forget_values(self) -> None:
        """Forget the values: they were counted by another reference. The rows stay counted."""
        self.numbers = self.total = self.squares = 0
        self.cells, self.common = NO_CELLS, []


class Segment(NamedTuple):
    """A part of a distribution: its share, spread evenly from ``low`` to ``high``."""

    low: float
    high: float
    share: float


def quantiles_of(segments: list[Segment], parts: tuple[float, ...]) -> list[float]:
    """Return quantiles of a distribution made of segments, which may be points.

    Examples
    --------
    >>> quantiles_of([Segment(0.0, 10.0, 0.5), Segment(0.0, 0.0, 0.5)], (0.25, 0.5, 0.75))
    [0.0, 0.0, 5.0]
    """
    ordered = sorted(segments)
    found: list[float] = []
    for part in parts:
        below, value = 0.0, ordered[-1].high
        for low, high, share in ordered:
            if share and below + share >= part:
                value = low + (high - low) * max(part - below, 0.0) / share
                break
            below += share
        found.append(value)
    return found


def segments_of(edges: Floats, shares: Floats) -> list[Segment]:
    """Return the cells of a grid as segments; the outermost are points at the last edges."""
    places = edges.tolist()
    ends = [(places[0], places[0]), *pairwise(places), (places[-1], places[-1])]
    return [
        Segment(low, high, share)
        for (low, high), share in zip(ends, shares.tolist(), strict=True)
        if share
    ]
