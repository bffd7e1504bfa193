"""A numeric series and its detectors.

Rule 1. A value that fills more than `MIN_ATOM_SHARE` of the rows (no income, no claim) is an atom:
        it is watched by its share, and left out of the mean and the spread. The rest is smooth
        enough for normal scores.
Rule 2. A heap (a code, a round number, the end of a scale) is watched by its share as well: a
        value above ``MIN_HEAP_SHARE`` of the rows that comes ``HEAP_RATIO`` times as often as its
        neighbours on the scale.
Rule 3. Odd numbers, few among many, are found by themselves (`streams.detect.odd`): a default in
        the range, by its share; another unit, as a larger spread.
"""

import math
from collections.abc import Sequence
from typing import NotRequired, TypedDict

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from streams.change import Finding
from streams.detect import statistics
from streams.detect.level import NumericDetector
from streams.detect.odd import OddNumbers
from streams.detect.outline import NO_NUMBERS, Outline
from streams.detect.reference import coarse_knots
from streams.detect.risen import BUDGET_SHARE
from streams.detect.sample import MAX_CATEGORIES, MIN_ATOM_SHARE, Sample
from streams.detect.share import ShareDetector
from streams.series.learnt_series import Detectors, LearntSeries
from streams.values import Floats, Value, text_of

MIN_HEAP_SHARE, HEAP_RATIO = 0.05, 2.0
"""Share of the rows, and ratio of frequencies (docs/detection.md): counts that rise and fall
smoothly, a Poisson variable of mean 9 say, have no heaps."""
MIN_SMOOTH_ROWS = 100
"""Values that are no atoms, below which their mean and spread are not watched: half of the first
stage of a reference."""
_POINTS = {f"{point:g}": point for point in (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)}
"""Ranks of the quantiles in a description, by their names there."""


class CoarseSummary(TypedDict):
    """Figures of the normal scores of a reference, by `coarse_knots`."""

    mean: float
    sd: float
    inflation: float


class Moments(TypedDict):
    """Mean and standard deviation."""

    mean: float
    sd: float


class NumericSummary(TypedDict):
    """A reference of numbers, for display and for the check whether the series is back."""

    rows: int
    mean: float
    sd: float
    quantiles: dict[str, float]
    atoms: list[float]
    scores: CoarseSummary | None
    without_atoms: NotRequired[Moments]


class NumericSeries(LearntSeries, tag="numeric"):
    """A number that varies, and the values that it takes so often that each is its own case."""

    _atoms: tuple[float, ...]
    _heaps: tuple[float, ...]
    _numbers: NumericDetector | None
    _shares: ShareDetector | None
    _summary: NumericSummary
    _odd: OddNumbers | None

    def __post_init__(self) -> None:
        places = len(self._atoms) + len(self._heaps)
        codes = () if self._shares is None else self._shares.codes
        if codes != tuple(range(places)):
            raise ValueError(f"the shares of {places} atoms and heaps have the codes {codes}")

    @classmethod
    def learn(cls, sample: Sample, false_alarms: float, doubt: float = 1.0) -> "NumericSeries":
        """Learn from numbers of which at least two differ.

        Parameters
        ----------
        false_alarms
            Per 10,000 values.
        doubt
            `HourProfile.doubt` of the profile that was taken off the numbers; 1 without one.
        """
        atoms, heaps = _common_values(sample)
        smooth, numbers, shares = sample, None, None
        if atoms or heaps:
            codes = _place_codes(sample.x, (*atoms, *heaps))
            shares = ShareDetector.learn(codes, range(len(atoms) + len(heaps)), false_alarms)
            if atoms:
                smooth = Sample.of(sample.x[~_is_atom(codes, len(atoms))])
        if len(smooth) >= MIN_SMOOTH_ROWS and smooth.ordered[0] < smooth.ordered[-1]:
            numbers = NumericDetector.learn(smooth, false_alarms, doubt)
        summary = _numeric_summary(sample, atoms, smooth)
        odd = None if numbers is None else OddNumbers.learn(sample)
        series = cls(tuple(atoms), tuple(heaps), numbers, shares, summary, odd)
        series.set_budget(false_alarms)
        return series

    @property
    def detectors(self) -> Detectors:
        """The detector of mean and spread, and that of the shares of atoms and heaps."""
        return tuple(each for each in (self._numbers, self._shares) if each is not None)

    @property
    def level(self) -> NumericDetector | None:
        """The detector of mean and spread, where all values are its own."""
        return self._numbers if self._shares is None else None

    @property
    def odd(self) -> OddNumbers | None:
        """The detector of odd numbers, where there is one of mean and spread."""
        return self._odd

    @property
    def left_out(self) -> tuple[Value, ...]:
        """The atoms."""
        return self._atoms

    def set_budget(self, false_alarms: float) -> None:
        """Set the thresholds, for so many false alarms per 10,000 values."""
        if self._odd is not None:
            self._odd.set_budget(BUDGET_SHARE * false_alarms)
            false_alarms -= BUDGET_SHARE * false_alarms
        super().set_budget(false_alarms)

    def renew(self) -> None:
        """Forget all values read since the reference was made."""
        super().renew()
        if self._odd is not None:
            self._odd.renew()

    def run(
        self, values: Sequence[Value], x: Floats | None, expected: Floats | None
    ) -> Finding | None:
        """Read values until the mean, the spread or the share of a number has changed."""
        if x is None:
            return None
        rows = self._summary["rows"]
        odd = None if self._odd is None else self._odd.run(x, rows)
        if odd is None or self._numbers is None:
            return self._run(x)
        found = self._run(x[: odd.row + 1])
        if found is not None:
            return found
        if odd.repeated is None:
            return self._numbers.wilder(odd.row, odd.rows)
        return replace(odd.repeated, category_index=len(self._atoms) + len(self._heaps))

    def _run(self, x: Floats) -> Finding | None:
        if self._shares is None:
            return None if self._numbers is None else self._numbers.run(x)
        codes = _place_codes(x, (*self._atoms, *self._heaps))
        if self._numbers is None:
            return self._shares.run(codes)
        rows = np.flatnonzero(~_is_atom(codes, len(self._atoms)))
        number = self._numbers.run(x[rows])
        if number is None:
            return self._shares.run(codes)
        row = int(rows[number.row])
        share = self._shares.run(codes[: row + 1])  # it knows the rows between the numbers
        if share is not None and share.row < row:
            return share
        since = self._shares.spanned(len(self._atoms), number.figures.rows)
        return replace(number, row=row, figures=replace(number.figures, rows=since))

    def category(self, index: int) -> str | None:
        """Return the text of the atom or heap; after them that of the repeated number."""
        places = (*self._atoms, *self._heaps)
        if index < len(places):
            return text_of(places[index])
        return None if self._odd is None else text_of(self._odd.name)

    def outline(self) -> Outline:
        """Return its atoms, and the distribution of its other values."""
        summary, atoms = self._summary, len(self._atoms)
        shares = () if self._shares is None else self._shares.shares[:atoms]
        numbers = NO_NUMBERS if self._numbers is None else self._numbers.numbers
        return Outline(
            "numeric",
            summary["rows"],
            self._atoms,
            shares,
            numbers,
            summary["mean"],
            summary["sd"],
        )

    def describe(self) -> dict[str, object]:
        """Return the reference for display."""
        return {"kind": "numeric", **self._summary}


def _common_values(sample: Sample) -> tuple[list[float], list[float]]:
    """Return atoms and heaps in rising order.

    A value that fills more than a part of the rows fills one of so many evenly spaced places.
    """
    ordered = sample.ordered
    least = MIN_HEAP_SHARE * len(ordered)
    if sample.commonest_rows <= least:
        return [], []
    candidates = np.unique(ordered[:: int(least)])
    starts, ends = (
        np.searchsorted(ordered, candidates),
        np.searchsorted(ordered, candidates, "right"),
    )
    atoms, heaps = [], []
    for value, start, end in zip(candidates.tolist(), starts.tolist(), ends.tolist(), strict=True):
        rows = end - start
        if rows > MIN_ATOM_SHARE * len(ordered):
            atoms.append(value)
        elif rows > least and HEAP_RATIO * _neighbours(ordered, start, end) / 2 < rows:
            heaps.append((rows, value))
    most = sorted(heaps, reverse=True)[: MAX_CATEGORIES - len(atoms)]
    return atoms, sorted(value for _, value in most)


def _neighbours(ordered: Floats, start: int, end: int) -> int:
    """Return the rows of the next smaller and of the next greater value together."""
    rows = 0
    if start > 0:
        rows += start - int(np.searchsorted(ordered, ordered[start - 1]))
    if end < len(ordered):
        rows += int(np.searchsorted(ordered, ordered[end], "right")) - end
    return rows


def _place_codes(x: Floats, places: Sequence[float]) -> Floats:
    codes = np.full(len(x), -1.0)
    for code, value in enumerate(places):
        codes[x == value] = code
    return codes


def _is_atom(codes: Floats, atoms: int) -> NDArray[np.bool_]:
    made: NDArray[np.bool_] = (codes >= 0) & (codes < atoms)
    return made


def _numeric_summary(sample: Sample, atoms: Sequence[float], smooth: Sample) -> NumericSummary:
    mean, sd = sample.moments
    places = [max(math.ceil(len(sample) * point - 1), 0) for point in _POINTS.values()]
    quantiles = dict(zip(_POINTS, sample.ordered[places].tolist(), strict=True))
    summary: NumericSummary = {
        "rows": len(sample),
        "mean": mean,
        "sd": sd,
        "quantiles": quantiles,
        "atoms": list(atoms),
        "scores": _coarse_summary(smooth, quantiles),
    }
    if atoms and len(smooth) >= MIN_SMOOTH_ROWS:
        mean, sd = smooth.moments
        summary["without_atoms"] = {"mean": mean, "sd": sd}
    return summary


def _coarse_summary(smooth: Sample, quantiles: dict[str, float]) -> CoarseSummary | None:
    """Return the figures of the scores, by `coarse_knots`, of the values that are no atoms."""
    if len(smooth) < MIN_SMOOTH_ROWS:
        return None
    knots, scores = coarse_knots(quantiles)
    made = np.empty(len(smooth))
    mean, sd, inflation = statistics.coarse(smooth.x, smooth.order, knots, scores, made)
    return {"mean": mean, "sd": sd or 1.0, "inflation": inflation}
