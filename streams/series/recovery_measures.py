"""Measure by blocks of values whether the mean, the spread or the shares of a series are away.

Rule 1. Values are read in blocks, long enough to tell the first reference from the figure that
        raised the alert, in spite of chance, of the series' memory and of waves in its reference.
Rule 2. A block is back when its figure is nearer to the first reference than a bound.
Rule 3. The part of the hour is taken off, where the hourly profile was known at the alarm.
Rule 4. How values are cut changes nothing.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from msgspec import field
from msgspec.structs import replace

from streams.change import Change, Figures, Shares
from streams.clock import Instants, Minutes
from streams.codec import Machine
from streams.detect.reference import coarse_knots
from streams.season.hour_profile import HourProfile
from streams.series.detection import MAX_MOVED_CATEGORIES, Detection
from streams.series.inputs import NUMBER, Family, family_of, other_type_of
from streams.values import OTHER, Floats, Scalar, finite_or_none, odds_of, text_of

MIN_BLOCK_ROWS = 200
"""Values. Three such blocks are the shortest way back: 600 values (docs/wire.md, Alerts)."""
MAX_BLOCK_ROWS = 20_000
"""Values: ten references. A series whose memory asks for more is judged by a wider bound."""
SURE = 2.5
"""Standard deviations of a block's figure from the reference to the bound: by chance a block of an
unchanged series lies beyond it once in 80."""
NEAR = 0.4
"""The bound's part of the way from the reference to the figure that raised the alert. Below one
half, so that a block that is still away lies further from the bound than one that is back."""
WIDEST = 0.25
"""Standard deviations: the bound at most, regardless of the size of the original change. Chosen:
half of the smallest change of a mean whose delay docs/detection.md states."""
NARROWEST = 0.07
"""Standard deviations: the bound at least. A mean of 2,000 values is known to three times
1 / sqrt(2,000), which is .067."""
_NAMELESS = frozenset(("missing", "type"))
"""Aspects whose share is that of no category."""
_PLAIN_SCORES = {"mean": 0.0, "sd": 1.0, "inflation": 1.0}
"""Scores of a reference without a summary of them: standard normal."""


class BlockResult(NamedTuple):
    """The result of one block.

    Parameters
    ----------
    is_back
        Whether its figure is that of the reference.
    figures
        Its figure against the reference; the rows are not set.
    category
        The category furthest away, where the measure has any.
    moved
        The categories that moved most: name, share in the reference, share in the block.
    """

    is_back: bool
    figures: Figures
    category: str | None = None
    moved: Shares = ()

    def onto(self, change: Change, rows: int) -> Change:
        """Return the change with the figures of this block, ``rows`` values after its onset."""
        return Change(
            aspect=change.aspect,
            detector=change.detector,
            figures=replace(self.figures, unit=change.figures.unit, rows=rows),
            category=self.category or change.category,
            moved=self.moved,
            left_out=change.left_out,
        )


class _Sums(Machine):
    """Sums that do not depend on how the values are cut into parts."""

    rows: int = 0
    values: float = 0.0
    scores: float = 0.0
    squares: float = 0.0

    def add(self, values: Floats, scores: Floats) -> None:
        self.rows += len(values)
        with np.errstate(over="ignore", invalid="ignore"):
            self.values = _after(self.values, values)
        self.scores = _after(self.scores, scores)
        self.squares = _after(self.squares, scores * scores)


def _after(total: float, parts: Floats) -> float:
    """Add one by one: numpy's own sum adds in pairs, so that it depends on where values are cut."""
    return float(np.add.accumulate(np.concatenate(((total,), parts)))[-1])


class NumberMeasure(Machine, tag="numbers"):
    """The mean or the spread of numbers, in normal scores of the first reference.

    Attributes
    ----------
    block_rows
        Values in a block.
    """

    aspect: str
    block_rows: int
    _bound: float
    """Standard deviations of the scores; for a spread, of their logarithm."""
    _mean: float
    _sd: float
    _score_mean: float
    _score_sd: float
    _knots: Floats
    """Values of the reference in rising order, and their normal scores."""
    _knot_scores: Floats
    _atoms: tuple[float, ...] = ()
    """Values watched by their shares, which the mean leaves out."""
    _profile: HourProfile | None = None
    _sums: _Sums = field(default_factory=_Sums)

    @classmethod
    def of(cls, change: Detection, reference: dict[str, Any]) -> "NumberMeasure":
        """Choose the bound and the block by the size of the change.

        Parameters
        ----------
        reference
            The first reference, as `streams.series.numeric.NumericSeries.describe` gives it.
        """
        scores = reference.get("scores") or _PLAIN_SCORES
        is_spread = change.aspect == "spread"
        size = _log_ratio(change.figures.effect) if is_spread else change.figures.effect
        bound, rows = _bound_of(size, scores["inflation"] / (2 if is_spread else 1))
        knots, knot_scores = coarse_knots(reference["quantiles"])
        moments = reference.get("without_atoms") or reference
        return cls(
            change.aspect,
            rows,
            bound,
            moments["mean"],
            moments["sd"],
            scores["mean"],
            scores["sd"],
            np.asarray(knots, dtype=np.float64),
            np.asarray(knot_scores, dtype=np.float64),
            tuple(reference.get("atoms") or ()),
            _profile_of(change, is_of_numbers=True),
        )

    def read(self, values: Sequence[Scalar], at_ms: Instants) -> int:
        """Take values and their instants into account; return how many of them count."""
        used = [row for row, x in enumerate(values) if type(x) in NUMBER and x not in self._atoms]
        if used:
            numbers = np.array([values[row] for row in used], dtype=np.float64)
            if self._profile is not None:
                numbers = self._profile.adjust(numbers, at_ms[used] // 60_000)
            raw = np.interp(numbers, self._knots, self._knot_scores)
            self._sums.add(numbers, (raw - self._score_mean) / self._score_sd)
        return len(used)

    def close(self) -> BlockResult:
        """Return the result of the block, and begin the next."""
        sums, self._sums = self._sums, _Sums()
        mean = sums.scores / sums.rows
        deviation = math.sqrt(max(sums.squares / sums.rows - mean * mean, 1e-12))
        if self.aspect == "spread":
            size = math.log(deviation)
            value, baseline, effect = self._sd * deviation, self._sd, deviation
        else:
            size = mean
            value, baseline, effect = sums.values / sums.rows, self._mean, abs(mean)
        return BlockResult(
            is_back=abs(size) < self._bound,
            figures=Figures(
                value=finite_or_none(value),
                baseline=finite_or_none(baseline),
                effect=effect,
                direction="up" if size > 0 else "down",
            ),
        )

    def add_change(self, change: Change, value: Scalar) -> None:
        """Do nothing: a mean has no parts."""


class ShareMeasure(Machine, tag="shares"):
    """Shares of categories, of missing values, or of values of another type.

    Each category that raised the alert has its own bound, in angles (`_angle`).

    Attributes
    ----------
    block_rows
        Values in a block.
    """

    aspect: str
    block_rows: int = MIN_BLOCK_ROWS
    _inflation: float = 1.0
    """Variance of the shares in the reference, in that of independent rows."""
    _shares: dict[str, float] = field(default_factory=dict)
    """Share of each category in the reference."""
    _bounds: tuple[tuple[str, float, float], ...] = ()
    """Categories that raised the alert: name, share in the reference, bound."""
    _settling: int = 0
    """Blocks until the first that lies wholly after a further change; 0 when there was none."""
    _rows: int = 0
    _counts: dict[str, int] = field(default_factory=dict)
    _expected: dict[str, float] = field(default_factory=dict)
    """Rows of each category that the hours of the block's rows add."""
    _profile: HourProfile | None = None
    _other: Family = "any"
    """The type that is counted, where the share is that of another type."""

    @classmethod
    def of(cls, change: Detection, reference: dict[str, Any]) -> "ShareMeasure":
        """Choose the bound and the block by the size of the change.

        Parameters
        ----------
        reference
            The first reference, as `streams.series.categorical.CategorySeries.describe` gives it;
            one without shares for missing values.
        """
        shares = dict(reference.get("shares") or {})
        if reference.get("other_share"):
            shares[OTHER] = reference["other_share"]
        measure = cls(
            change.aspect,
            _inflation=float(reference.get("inflation") or 1.0),
            _shares=shares,
            _profile=_profile_of(change, is_of_numbers=False),
            _other=other_type_of(change.category or "") if change.aspect == "type" else "any",
        )
        name = "" if change.aspect in _NAMELESS else str(change.category)
        baseline = shares.get(name, change.figures.baseline or 0.0)
        measure._add_bound(name, baseline, _angle(change.figures.value or 0.0) - _angle(baseline))
        return measure

    def add_change(self, change: Change, value: Scalar) -> None:
        """Give a bound to every category that is away in the first whole block from here on."""
        self._settling = 2

    def _add_bound(self, name: str, baseline: float, size: float) -> None:
        bound, rows = _bound_of(size, self._inflation)
        self._bounds = (*self._bounds, (name, baseline, bound))
        self.block_rows = max(self.block_rows, rows)

    def _add_bounds(self, counts: dict[str, float], rows: int) -> None:
        bounded = {name for name, _, _ in self._bounds}
        chance = SURE * math.sqrt(self._inflation / rows)
        for name, share in self._shares.items():
            size = _angle(counts.get(name, 0) / rows) - _angle(share)
            if name not in bounded and abs(size) > 2 * chance:
                self._add_bound(name, share, size)

    def read(self, values: Sequence[Scalar], at_ms: Instants) -> int:
        """Take values and their instants into account; return how many of them count."""
        if self.aspect in _NAMELESS:
            self._count("", sum(map(self._is_counted, values)))
            self._rows += len(values)
            return len(values)
        used = [row for row, value in enumerate(values) if value is not None]
        known = self._shares.keys() | {name for name, _, _ in self._bounds}
        for row in used:
            text = text_of(values[row])
            self._count(text if text in known else OTHER, 1)
        self._rows += len(used)
        if self._profile is not None and used:
            self._expect(self._profile, at_ms[used] // 60_000)
        return len(used)

    def _is_counted(self, value: Scalar) -> bool:
        if self.aspect == "missing":
            return value is None
        return value is not None and family_of(value) == self._other

    def _count(self, name: str, rows: int) -> None:
        self._counts[name] = self._counts.get(name, 0) + rows

    def _expect(self, profile: HourProfile, minutes: Minutes) -> None:
        """Add up the parts of the hours of rows in each category."""
        expected = profile.expected(profile.names, minutes)
        if expected is None:
            return
        for name, parts in zip(profile.names, expected.T, strict=True):
            text = OTHER if name is None else text_of(name)
            self._expected[text] = _after(self._expected.get(text, 0.0), parts)

    def _as_usual(self) -> dict[str, float]:
        """Return the counts as at an average hour."""
        counts: dict[str, float] = dict(self._counts)
        for name, expected in self._expected.items():
            counts[name] = min(max(counts.get(name, 0) - expected, 0.0), self._rows)
        return counts

    def close(self) -> BlockResult:
        """Return the result of the block, and begin the next."""
        rows, counts = self._rows, self._as_usual()
        self._rows, self._counts, self._expected = 0, {}, {}
        if self._settling:
            self._settling -= 1
            if not self._settling:
                self._add_bounds(counts, rows)
        furthest, name, baseline = max(
            (abs(_angle(counts.get(name, 0) / rows) - _angle(baseline)) / bound, name, baseline)
            for name, baseline, bound in self._bounds
        )
        value = counts.get(name, 0) / rows
        usual = dict(self._shares)
        for each, share, _ in self._bounds:
            if each:  # missing values have no name
                usual.setdefault(each, share)
        moved = [(each, share, counts.get(each, 0) / rows) for each, share in usual.items()]
        moved.sort(key=lambda one: -abs(_angle(one[2]) - _angle(one[1])))
        return BlockResult(
            is_back=furthest < 1,
            figures=Figures(
                value=value,
                baseline=baseline,
                effect=odds_of(value, rows) / odds_of(baseline, rows),
                direction="up" if value > baseline else "down",
            ),
            category=name or None,
            moved=tuple(moved[:MAX_MOVED_CATEGORIES]),
        )


def _profile_of(change: Detection, *, is_of_numbers: bool) -> HourProfile | None:
    profile = change.profile
    return profile if profile is not None and profile.is_of_numbers == is_of_numbers else None


def _bound_of(size: float | None, inflation: float) -> tuple[float, int]:
    """Return the distance from the reference up to which a block is back, and the block's rows.

    Parameters
    ----------
    size
        Size of the change, in standard deviations of one value; None where it is unknown.
    inflation
        Variance of a block's figure, in that of independent values.
    """
    bound = min(max(NEAR * abs(size or 1.0), NARROWEST), WIDEST)
    rows = math.ceil((SURE / bound) ** 2 * inflation)
    rows = min(max(rows, MIN_BLOCK_ROWS), MAX_BLOCK_ROWS)
    return max(bound, SURE * math.sqrt(inflation / rows)), rows


def _angle(share: float) -> float:
    """Return the angle of a share: its standard deviation, 1 / sqrt(rows), is the same for all.

    The transform of Cohen's effect size h (1988).
    """
    return 2 * math.asin(math.sqrt(min(max(share, 0.0), 1.0)))


def _log_ratio(ratio: float | None) -> float:
    return math.log(ratio) if ratio else 1.0
