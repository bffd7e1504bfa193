"""A numeric series and its detectors."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from streams.change import Finding
from streams.codec import decode, encode
from streams.detect import statistics
from streams.detect.level import NumericDetector
from streams.detect.reference import coarse_knots
from streams.detect.sample import MAX_CATEGORIES, MIN_ATOM_SHARE, Sample
from streams.detect.share import ShareDetector
from streams.values import Floats, Value, text_of

MIN_HEAP_SHARE, HEAP_RATIO = 0.05, 2.0
MIN_LEVEL_ROWS = 100
_POINTS = {f"{point:g}": point for point in (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)}


class NumericSeries:
    """A number that varies, and the values it takes so often that they are cases of their own.

    A value above 30 % of the rows (no income, no claim) is watched by its share, and left out of
    the level: what remains is smooth enough for normal scores. A heap (a code, a round number, the
    end of a scale) is watched by its share as well: a value above 5 % that comes twice as often as
    its neighbours on the scale.
    """

    kind = "numeric"

    watched: tuple[Value | None, ...] = ()

    def __init__(
        self,
        atoms: Sequence[float],
        heaps: Sequence[float],
        level: NumericDetector | None,
        shares: ShareDetector | None,
        summary: dict[str, object],
    ) -> None:
        self._atoms = tuple(atoms)
        self._heaps = tuple(heaps)
        self._level = level
        self._shares = shares
        self._summary = summary

    @classmethod
    def learn(cls, sample: Sample, false_alarms: float, doubt: float = 1.0) -> "NumericSeries":
        """Learn from numbers of which at least two differ."""
        atoms, heaps = _common_values(sample)
        smooth, level, shares = sample, None, None
        if atoms or heaps:
            codes = _place_codes(sample.x, (*atoms, *heaps))
            shares = ShareDetector.learn(codes, range(len(atoms) + len(heaps)), false_alarms)
            if atoms:
                smooth = Sample.of(sample.x[~_is_atom(codes, len(atoms))])
        if len(smooth) >= MIN_LEVEL_ROWS and smooth.ordered[0] < smooth.ordered[-1]:
            level = NumericDetector.learn(smooth, false_alarms, doubt)
        series = cls(atoms, heaps, level, shares, _numeric_summary(sample, atoms, smooth))
        if level is not None and shares is not None:
            series.set_budget(false_alarms)
        return series

    @property
    def is_settled(self) -> bool:
        """Whether even a short reference tells what is normal."""
        return all(watch.is_settled for watch in (self._level, self._shares) if watch is not None)

    @property
    def is_steady(self) -> bool:
        """Whether the reference shows no slow motion."""
        return all(watch.is_steady for watch in (self._level, self._shares) if watch is not None)

    @property
    def is_calm(self) -> bool:
        """Whether no alarm is on its way."""
        return all(watch.is_calm for watch in (self._level, self._shares) if watch is not None)

    def set_budget(self, false_alarms: float) -> None:
        """Set the thresholds; what watches the level and what watches the atoms get equal parts."""
        watches = [watch for watch in (self._level, self._shares) if watch is not None]
        for watch in watches:
            watch.set_budget(false_alarms / len(watches))

    def run(
        self, values: Sequence[Value], x: Floats | None, expected: Floats | None
    ) -> Finding | None:
        """Read values until something has changed."""
        if x is None:
            return None
        if self._shares is None:
            return None if self._level is None else self._level.run(x)
        codes = _place_codes(x, (*self._atoms, *self._heaps))
        share = self._shares.run(codes)
        if self._level is None:
            return share
        rows = np.flatnonzero(~_is_atom(codes, len(self._atoms)))
        level = self._level.run(x[rows])
        if level is not None:
            level = replace(level, row=int(rows[level.row]))
        if share is None or (level is not None and level.row < share.row):
            return level
        return share

    def category(self, level: int) -> str | None:
        """Return the text of the atom or heap."""
        return text_of((*self._atoms, *self._heaps)[level])

    def describe(self) -> dict[str, object]:
        """Return the reference for display."""
        return {"kind": self.kind, **self._summary}

    def snapshot(self) -> dict[str, Any]:
        """Return the state as a tree for :func:`streams.codec.pack`."""
        return {
            "kind": self.kind,
            "atoms": list(self._atoms),
            "heaps": list(self._heaps),
            "level": self._level and encode(self._level),
            "shares": self._shares and encode(self._shares),
            "summary": self._summary,
        }

    @classmethod
    def restore(cls, tree: dict[str, Any]) -> "NumericSeries":
        """Return the series as it was."""
        level = tree["level"] and decode(tree["level"], NumericDetector)
        shares = tree["shares"] and decode(tree["shares"], ShareDetector)
        return cls(tree["atoms"], tree.get("heaps", ()), level, shares, tree["summary"])


def _common_values(sample: Sample) -> tuple[list[float], list[float]]:
    """Return atoms and heaps; each fills one of so many evenly spaced places."""
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


def _numeric_summary(sample: Sample, atoms: Sequence[float], smooth: Sample) -> dict[str, object]:
    mean, sd = sample.moments
    places = [max(math.ceil(len(sample) * point - 1), 0) for point in _POINTS.values()]
    quantiles = dict(zip(_POINTS, sample.ordered[places].tolist(), strict=True))
    return {
        "rows": len(sample),
        "mean": mean,
        "sd": sd,
        "quantiles": quantiles,
        "atoms": list(atoms),
        "scores": _coarse_summary(smooth, quantiles),
    }


def _coarse_summary(smooth: Sample, quantiles: dict[str, float]) -> dict[str, float] | None:
    """Say what `coarse_knots` makes of the values that are no atoms."""
    if len(smooth) < MIN_LEVEL_ROWS:
        return None
    knots, scores = coarse_knots(quantiles)
    made = np.empty(len(smooth))
    mean, sd, inflation = statistics.coarse(smooth.x, smooth.order, knots, scores, made)
    return {"mean": mean, "sd": sd or 1.0, "inflation": inflation}
