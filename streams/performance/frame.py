"""The frame in which the values of a series are counted and compared: that of its reference.

Rule 1. A value that has a share of its own in the reference is counted apart; the other numbers
        are counted by the cells of a grid, other values together.
Rule 2. Figures of drift compare parts: the values of their own, and ten parts of the grid that are
        about equal in the reference.
"""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.series import FEWEST_VALUES, SeriesQuantiles
from streams.codec import Machine
from streams.detect.compiled import Singles
from streams.detect.outline import Kind, Outline
from streams.performance.grid import CELLS, Grid, Segment, Tally, quantiles_of, segments_of
from streams.values import Floats, Scalar, Value, finite_or_none

PARTS = 10
"""Equal parts of a reference that the stability index compares: the usual number."""
SHARE_FLOOR = 1e-4
"""Share in place of none, in a ratio: that of evidently."""
LEAST_ROWS = 200
"""Values from which distances are said. Below, the stability index by chance is above .05, and not
the one that is said: .23 against .18 at 50 (measured)."""
MOST_BINS = 32
"""Bins of a published histogram, about."""
_TAIL = 0.005
"""Share of a reference beyond either end of its histogram."""
_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_NUMBERS = frozenset((float, int))


class Distances(NamedTuple):
    """How far values lie from their reference, as `schemas.series.Drift` has it."""

    psi: float
    psi_by_chance: float
    js: float
    wasserstein: float | None


class Frame(Machine, dict=True):
    """The frame of one reference.

    Attributes
    ----------
    kind, rows
        The kind of the reference, and its values.
    common, shares
        The values that are counted apart; their shares, and that of all others last.
    grid
        The grid of the other numbers; None where the reference has none.
    cells
        The shares of its cells in all values.
    mean, sd
        Mean and standard deviation of a number.
    limits
        Numbers below and above which the reference has none, where these are 0 and 1 or infinity.
    """

    kind: Kind
    rows: int
    common: tuple[Value, ...]
    shares: tuple[float, ...]
    grid: Grid | None = None
    cells: Floats = np.empty(0)
    mean: float | None = None
    sd: float | None = None
    limits: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if len(self.shares) != len(self.common) + 1:
            raise ValueError(f"{len(self.common)} values and the rest have a share each")
        if self.grid is not None and len(self.cells) != CELLS:
            raise ValueError(f"a grid has {CELLS} cells, got {len(self.cells)}")
        self._place_of = {value: place for place, value in enumerate(self.common)}

    @classmethod
    def of(cls, outline: Outline) -> "Frame":
        """Return the frame of a reference."""
        rest = max(1.0 - math.fsum(outline.shares), 0.0)
        grid, cells, mean, sd, limits = None, np.empty(0), outline.mean, outline.sd, None
        if len(outline.numbers):
            grid = Grid.of(outline.numbers)
            counted = grid.count(outline.numbers)
            cells = counted.cells.astype(np.float64) / len(outline.numbers) * rest
            limits = _limits_of(outline.numbers)
            if mean is None:
                points = [*map(float, outline.common), *outline.numbers.tolist()]
                each = rest / len(outline.numbers)
                weights = [*outline.shares, *[each] * len(outline.numbers)]
                mean = float(np.average(points, weights=weights))
                sd = math.sqrt(float(np.average((np.array(points) - mean) ** 2, weights=weights)))
        shares = (*outline.shares, 0.0 if grid is not None else rest)
        common = outline.common
        return cls(outline.kind, outline.rows, common, shares, grid, cells, mean, sd, limits)

    def count(self, values: Sequence[Scalar], tally: Tally) -> None:
        """Count values of the series."""
        tally.rows += len(values)
        if self.kind != "numeric":
            self._count_common(values, tally)
            return
        kinds = set(map(type, values))
        if not kinds <= _NUMBERS:
            numbers = [value for value in values if type(value) in _NUMBERS]
            missing = values.count(None)
            tally.missing += missing
            tally.other_type += len(values) - len(numbers) - missing
            values = numbers
        if not values:
            return
        x = np.array(values, dtype=np.float64)
        if self.common:
            counts = [int((x == value).sum()) for value in self.common]
            tally.add_common([*counts, 0])
            x = x[~np.isin(x, self.common)]
        if self.grid is not None and len(x):
            tally.add_numbers(x, self.grid)

    def _count_common(self, values: Sequence[Scalar], tally: Tally) -> None:
        counts = [0] * len(self.shares)
        place_of = self._place_of
        for value, rows in Counter(values).items():
            if value is None:
                tally.missing += rows
            else:
                counts[place_of.get(value, -1)] += rows
        tally.add_common(counts)

    # Figures of counted values

    def moments(self, tally: Tally) -> tuple[float | None, float | None]:
        """Return mean and standard deviation of counted numbers, where there are enough."""
        common = tally.common[: len(self.common)]
        n = tally.numbers + sum(common)
        if self.kind != "numeric" or n < FEWEST_VALUES:
            return None, None
        points = [
            (float(value), 0.0, rows) for value, rows in zip(self.common, common, strict=False)
        ]
        if self.grid is not None and tally.numbers:
            mean, sd = self.grid.moments(tally.numbers, tally.total, tally.squares)
            points.append((mean, sd, tally.numbers))
        mean = sum(each * rows for each, _, rows in points) / n
        away = sum((sd * sd + (each - mean) ** 2) * rows for each, sd, rows in points)
        return finite_or_none(mean), finite_or_none(math.sqrt(away / n))

    def quantiles(self, tally: Tally | None = None) -> SeriesQuantiles | None:
        """Return quantiles of counted numbers, or of the reference."""
        n = self.rows if tally is None else tally.numbers + sum(tally.common)
        segments = self._segments(tally)
        if n < FEWEST_VALUES or not segments:
            return None
        found = map(finite_or_none, quantiles_of(segments, _QUANTILES))
        values = [each for each in found if each is not None]
        if len(values) < len(_QUANTILES):
            return None
        names = SeriesQuantiles.model_fields
        return SeriesQuantiles(**dict(zip(names, values, strict=True)))

    def _segments(self, tally: Tally | None) -> list[Segment]:
        if self.kind != "numeric":
            return []
        common, cells = self._shares_of(tally)
        values = map(float, self.common)
        points = [Segment(x, x, part) for x, part in zip(values, common, strict=False) if part]
        if self.grid is None:
            return points
        edges = self.grid.edges
        if self.limits is not None:  # the cells at the ends reach beyond them
            edges = np.where(_is_next(edges, self.limits[0]), self.limits[0], edges)
            edges = np.where(_is_next(-edges, -self.limits[1]), self.limits[1], edges)
        return points + segments_of(edges, cells)

    def _shares_of(self, tally: Tally | None) -> tuple[list[float], Floats]:
        """Return the shares of the common values with the others, and those of the cells."""
        if tally is None:
            return list(self.shares), self.cells
        n = max(tally.numbers + sum(tally.common), 1)
        common = [rows / n for rows in tally.common] or [0.0] * len(self.shares)
        cells = tally.cells if len(tally.cells) else np.zeros(len(self.cells))
        return common, cells.astype(np.float64) / n

    def distances(self, tally: Tally) -> Distances | None:
        """Return how far counted values lie from the reference, where there are enough."""
        n = tally.numbers + sum(tally.common)
        if n < LEAST_ROWS or self.kind == "names":
            return None
        before, now = self._parts(None), self._parts(tally)
        used = (before > 0) | (now > 0)
        before, now = before[used], now[used]
        chance = (len(before) - 1) * (1 / n + 1 / self.rows)
        return Distances(psi_of(before, now), chance, js_of(before, now), self._wasserstein(tally))

    def _parts(self, tally: Tally | None) -> Floats:
        common, cells = self._shares_of(tally)
        if self.grid is None:
            return np.array(common)
        rest = float(self.cells.sum()) or 1.0
        middles = (np.cumsum(self.cells) - self.cells / 2) / rest
        part_of = np.minimum((PARTS * middles).astype(np.int64), PARTS - 1)
        parts = np.bincount(part_of, weights=cells, minlength=PARTS)
        return np.concatenate((common[:-1], parts))

    def _wasserstein(self, tally: Tally) -> float | None:
        if self.grid is None or not self.sd:
            return None
        edges = self.grid.edges
        away = np.zeros(len(edges))
        for sign, each in ((1.0, None), (-1.0, tally)):
            common, cells = self._shares_of(each)
            away += sign * np.cumsum(cells)[:-1]
            for value, part in zip(self.common, common, strict=False):
                away += sign * part * (edges >= float(value))
        return finite_or_none(_area(away, np.diff(edges)) / self.sd)

    # The published histogram

    def bins(self) -> list[int]:
        """Return the places of the edges of the published histogram among those of the grid.

        Bins of about the same width: cells at the middle are finer than a picture is.
        """
        if self.grid is None:
            return []
        below = np.cumsum(self.cells) / (float(self.cells.sum()) or 1.0)
        first = int(np.searchsorted(below, _TAIL))
        last = int(np.searchsorted(below, 1 - _TAIL))
        edges = self.grid.edges
        first, last = max(first - 1, 0), min(last, len(edges) - 1)
        width = (edges[last] - edges[first]) / MOST_BINS
        places = [first]
        for place in range(first + 1, last + 1):
            if edges[place] - edges[places[-1]] >= width * (1 - 1e-9) or place == last:
                places.append(place)
        return places

    def binned(self, cells: Floats | Singles, bins: Sequence[int]) -> list[float]:
        """Return cells by these bins, with those below the first edge and from the last on."""
        if not len(cells):
            return [0.0] * (len(bins) + 1)
        sums = np.concatenate(([0.0], np.cumsum(cells, dtype=np.float64)))
        ends = [0, *(place + 1 for place in bins), len(cells)]
        return [float(sums[high] - sums[low]) for low, high in pairwise(ends)]


def _limits_of(numbers: Floats) -> tuple[float, float] | None:
    if numbers[0] < 0:
        return None
    return 0.0, 1.0 if numbers[-1] <= 1 else math.inf


def _is_next(edges: Floats, limit: float) -> NDArray[np.bool_]:
    """Tell which edge is the last one below a limit."""
    below = edges < limit
    made: NDArray[np.bool_] = below & (edges == np.max(edges, where=below, initial=-np.inf))
    return made


def psi_of(before: Floats, now: Floats) -> float:
    """Return the population stability index of two lists of shares, as evidently floors them.

    Examples
    --------
    >>> psi_of(np.array([0.5, 0.5]), np.array([0.5, 0.5]))
    0.0
    """
    before, now = np.where(before > 0, before, SHARE_FLOOR), np.where(now > 0, now, SHARE_FLOOR)
    return float(((now - before) * np.log(now / before)).sum())


def js_of(before: Floats, now: Floats) -> float:
    """Return the Jensen-Shannon distance of two lists of shares, base 2: 0 to 1.

    Examples
    --------
    >>> js_of(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    1.0
    """
    middle = (before + now) / 2
    divergence = sum(
        float((part[part > 0] * np.log2(part[part > 0] / middle[part > 0])).sum())
        for part in (before, now)
    )
    return math.sqrt(max(divergence / 2, 0.0))


def _area(away: Floats, widths: Floats) -> float:
    """Return the area between a line through points and nought."""
    left, right = away[:-1], away[1:]
    whole = (np.abs(left) + np.abs(right)) / 2
    crosses = left * right < 0
    with np.errstate(invalid="ignore", divide="ignore"):
        crossing = (left * left + right * right) / (2 * (np.abs(left) + np.abs(right)))
    return float((np.where(crosses, crossing, whole) * widths).sum())
