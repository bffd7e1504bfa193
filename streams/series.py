"""The kinds of series, each with what watches it once it is learnt.

Rule 1. What a series is follows from its first values, unless the model's spec says it.
Rule 2. Whatever its kind, a series takes a list of values and answers with at most one finding,
        after which it is learnt anew.
Rule 3. A series of names (every value another) is not watched, and says so.
Rule 4. What wanders has no reference: a counter, a date, the day of the week, a random walk. A
        series wanders while most of its variance lies between stretches of the rows.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streams import figures
from streams.budget import SeriesRole
from streams.clock import Minutes
from streams.detect import Finding, LevelDetector, ShareDetector
from streams.reference import (
    NumericReference,
    ShareReference,
    coarse_knots,
)
from streams.rhythm import HourProfile
from streams.sample import MAX_LEVELS, MIN_ATOM_SHARE, Levels, Sample, coded
from streams.values import Floats, Value

MIN_HEAP_SHARE, HEAP_RATIO = 0.05, 2.0
MIN_LEVEL_ROWS = 100
MAX_NUMERIC_LEVELS = 10
MAX_STRETCH_SHARE = 0.5
MIN_TEXT_ROWS = 3
MIN_NUMBER_ROWS = 20
"""A number's neighbours are expected: new ones are news only if the rarest is common."""

OTHER = "(other)"

_POINTS = {f"{point:g}": point for point in (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)}

Hourly = tuple[HourProfile, Minutes]
"""A rhythm, and the minutes of the values that it is about."""


class Series(Protocol):
    """A learnt series of one kind."""

    @property
    def is_settled(self) -> bool:
        """Whether even a short reference tells what is normal."""
        ...

    @property
    def is_steady(self) -> bool:
        """Whether the reference shows no slow motion."""
        ...

    @property
    def is_calm(self) -> bool:
        """Whether no alarm is on its way."""
        ...

    def run(
        self, values: Sequence[Value], x: Floats | None, expected: Floats | None
    ) -> Finding | None:
        """Read values until something has changed.

        Parameters
        ----------
        x
            The values as doubles; None where one is text.
        expected
            What the hour of each row adds to the share of each of ``watched``.
        """

    @property
    def watched(self) -> tuple[Value | None, ...]:
        """The categories watched by their shares, in the order of levels; None for the rest."""
        ...

    def set_budget(self, false_alarms: float) -> None:
        """Set the thresholds."""

    def category(self, level: int) -> str | None:
        """Return the category that a finding's level stands for."""

    def describe(self) -> dict[str, object]:
        """Return the reference for display."""

    def snapshot(self) -> dict[str, Any]:
        """Return the state as a tree for :func:`streams.blob.pack`."""


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
        level: LevelDetector | None,
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
            reference = ShareReference.of(codes, range(len(atoms) + len(heaps)))
            shares = ShareDetector(reference, false_alarms, codes)
            if atoms:
                smooth = Sample.of(sample.x[~_is_atom(codes, len(atoms))])
        if len(smooth) >= MIN_LEVEL_ROWS and smooth.ordered[0] < smooth.ordered[-1]:
            level = LevelDetector(NumericReference.of(smooth), false_alarms, smooth, doubt)
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
        """Return the state as a tree for :func:`streams.blob.pack`."""
        return {
            "kind": self.kind,
            "atoms": list(self._atoms),
            "heaps": list(self._heaps),
            "level": self._level and self._level.snapshot(),
            "shares": self._shares and self._shares.snapshot(),
            "summary": self._summary,
        }

    @classmethod
    def restore(cls, tree: dict[str, Any]) -> "NumericSeries":
        """Return the series as it was."""
        level = tree["level"] and LevelDetector.restore(tree["level"])
        shares = tree["shares"] and ShareDetector.restore(tree["shares"])
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
    most = sorted(heaps, reverse=True)[: MAX_LEVELS - len(atoms)]
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
    mean, sd, inflation = figures.coarse(smooth.x, smooth.order, knots, scores, made)
    return {"mean": mean, "sd": sd or 1.0, "inflation": inflation}


class CategorySeries:
    """One of a few categories, each watched by its share; the rare ones together as one."""

    kind = "categorical"

    def __init__(self, levels: Levels, shares: ShareDetector) -> None:
        self._levels = levels
        self._shares = shares
        self._codes = levels.codes
        self._watched = _names_of(levels, shares.codes)

    @classmethod
    def learn(
        cls,
        sample: Sample,
        levels: Levels,
        role: SeriesRole,
        false_alarms: float,
        hourly: Hourly | None = None,
    ) -> "CategorySeries":
        """Learn shares; of two categories only one: being wrong if it is that, else the rarer."""
        watched = _watched_codes(levels, role)
        codes = sample.codes
        expected, doubt = None, 1.0
        if hourly is not None:
            rhythm, minutes = hourly
            expected, doubt = rhythm.expected(_names_of(levels, watched), minutes), rhythm.doubt
        reference = ShareReference.of(codes, watched, expected)
        return cls(levels, ShareDetector(reference, false_alarms, codes, expected, doubt))

    @property
    def watched(self) -> tuple[Value | None, ...]:
        """The categories watched by their shares, in the order of levels; None for the rest."""
        return self._watched

    @property
    def is_settled(self) -> bool:
        """Whether even a short reference tells what is normal; one category may lack the others."""
        return len(self._levels.watched) + self._levels.others > 1 and self._shares.is_settled

    @property
    def is_steady(self) -> bool:
        """Whether the reference shows no slow motion."""
        return self._shares.is_steady

    @property
    def is_calm(self) -> bool:
        """Whether no alarm is on its way."""
        return self._shares.is_calm

    def set_budget(self, false_alarms: float) -> None:
        """Set the thresholds."""
        self._shares.set_budget(false_alarms)

    def run(
        self, values: Sequence[Value], x: Floats | None, expected: Floats | None
    ) -> Finding | None:
        """Read values until the share of a category has changed."""
        return self._shares.run(coded(values, self._codes, len(self._codes)), expected)

    def category(self, level: int) -> str | None:
        """Return the category's text."""
        code = self._shares.codes[level]
        return text_of(self._levels.watched[code]) if code < len(self._levels.watched) else OTHER

    def describe(self) -> dict[str, object]:
        """Return the reference for display."""
        levels = self._levels
        shares = {
            text_of(value): rows / levels.rows
            for value, rows in zip(levels.watched, levels.counts, strict=True)
        }
        rest = max(1.0 - sum(shares.values()), 0.0) if levels.others else 0.0
        return {
            "kind": self.kind,
            "rows": levels.rows,
            "shares": shares,
            "other_categories": levels.others,
            "other_share": rest,
            "inflation": self._shares.inflation,
        }

    def snapshot(self) -> dict[str, Any]:
        """Return the state as a tree for :func:`streams.blob.pack`."""
        return {
            "kind": self.kind,
            "levels": self._levels.snapshot(),
            "shares": self._shares.snapshot(),
        }

    @classmethod
    def restore(cls, tree: dict[str, Any]) -> "CategorySeries":
        """Return the series as it was."""
        return cls(Levels.restore(tree["levels"]), ShareDetector.restore(tree["shares"]))


def watched_names(levels: Levels, role: SeriesRole) -> tuple[Value | None, ...]:
    """Return the categories that are watched by their shares; None stands for the rare ones."""
    return _names_of(levels, _watched_codes(levels, role))


def _watched_codes(levels: Levels, role: SeriesRole) -> list[int]:
    if len(levels.watched) == 2 and levels.others == 0:
        is_error = role == "error" and True in levels.watched
        return [levels.watched.index(True) if is_error else 1]
    return list(range(len(levels.watched) + 1))


def _names_of(levels: Levels, codes: Sequence[int]) -> tuple[Value | None, ...]:
    return tuple(levels.watched[k] if k < len(levels.watched) else None for k in codes)


class ConstantSeries:
    """One value, always: any other is news."""

    kind = "constant"

    watched: tuple[Value | None, ...] = ()

    is_settled = False  # a short reference may lack what is only rare
    is_steady = is_calm = True

    def __init__(self, value: Value, rows: int) -> None:
        self._value = value
        self._rows = rows

    def run(
        self, values: Sequence[Value], x: Floats | None, expected: Floats | None
    ) -> Finding | None:
        """Read values until one differs."""
        if values.count(self._value) == len(values):
            return None
        row = next(row for row, value in enumerate(values) if value != self._value)
        return Finding(
            row=row,
            aspect="constant",
            detector="rule",
            value=number_of(values[row]),
            baseline=number_of(self._value),
        )

    def set_budget(self, false_alarms: float) -> None:
        """Do nothing: a fact has no threshold."""

    def category(self, level: int) -> str | None:
        """Return nothing: no finding of it names a level."""

    def describe(self) -> dict[str, object]:
        """Return the reference for display."""
        return {"kind": self.kind, "rows": self._rows, "value": self._value}

    def snapshot(self) -> dict[str, Any]:
        """Return the state as a tree for :func:`streams.blob.pack`."""
        return self.describe()

    @classmethod
    def restore(cls, tree: dict[str, Any]) -> "ConstantSeries":
        """Return the series as it was."""
        return cls(tree["value"], tree["rows"])


class NamesSeries:
    """Names, keys, free text: no value is common enough to have a share worth watching."""

    kind = "names"

    watched: tuple[Value | None, ...] = ()

    is_settled = is_steady = is_calm = True

    def __init__(self, rows: int, distinct: int) -> None:
        self._rows = rows
        self._distinct = distinct

    def run(
        self, values: Sequence[Value], x: Floats | None, expected: Floats | None
    ) -> Finding | None:
        """Find nothing."""

    def set_budget(self, false_alarms: float) -> None:
        """Do nothing: there is no threshold."""

    def category(self, level: int) -> str | None:
        """Return nothing: there are no findings."""

    def describe(self) -> dict[str, object]:
        """Return the reference for display."""
        return {"kind": self.kind, "rows": self._rows, "distinct": self._distinct}

    def snapshot(self) -> dict[str, Any]:
        """Return the state as a tree for :func:`streams.blob.pack`."""
        return self.describe()

    @classmethod
    def restore(cls, tree: dict[str, Any]) -> "NamesSeries":
        """Return the series as it was."""
        return cls(tree["rows"], tree["distinct"])


def category_levels(values: Sequence[Value], role: SeriesRole, kind: str) -> Levels | None:
    """Return the categories of a series, or None if it is a number or constant."""
    if isinstance(values[0], bool) and kind != "categorical":
        return Levels.of_truth(values)
    is_text = isinstance(values[0], str) or kind == "categorical"
    if is_text:
        return Levels.of(values, rarest_rows=MIN_TEXT_ROWS)
    if kind == "numeric" or role == "score":
        return None
    if any(len(set(values[:few])) > MAX_NUMERIC_LEVELS for few in (20, 100)):  # mostly at once
        return None
    if not 1 < len(set(values)) <= MAX_NUMERIC_LEVELS:
        return None
    return Levels.of(values, rarest_rows=MIN_NUMBER_ROWS)


def learn_series(
    sample: Sample, role: SeriesRole, false_alarms: float, hourly: Hourly | None = None
) -> Series:
    """Learn a series of the kind that the sample's levels and values say.

    Parameters
    ----------
    hourly
        What was taken off numbers, or is expected of shares.
    """
    levels = sample.levels
    if levels is None:
        if sample.is_constant:
            return ConstantSeries(sample.values[0], len(sample))
        doubt = 1.0 if hourly is None else hourly[0].doubt
        return NumericSeries.learn(sample, false_alarms, doubt)
    if not levels.watched:
        return NamesSeries(levels.rows, levels.others)
    return CategorySeries.learn(sample, levels, role, false_alarms, hourly)


def wanders(sample: Sample, role: SeriesRole, hourly: Hourly | None = None) -> bool:
    """Tell whether values, in the order in which they came, are too few to say what is normal.

    Parameters
    ----------
    hourly
        As for :func:`learn_series`.
    """
    levels = sample.levels
    if levels is None:
        return figures.stretch_share(sample.ranks) > MAX_STRETCH_SHARE
    if not levels.watched:
        return False
    watched = _watched_codes(levels, role)
    hits = sample.hits(watched)
    expected = hourly and hourly[0].expected(_names_of(levels, watched), hourly[1])
    away = hits if expected is None else hits - expected
    return figures.stretch_share(away) > MAX_STRETCH_SHARE


_KINDS: dict[str, type[NumericSeries | CategorySeries | ConstantSeries | NamesSeries]] = {
    kind.kind: kind for kind in (NumericSeries, CategorySeries, ConstantSeries, NamesSeries)
}


def restore_series(tree: dict[str, Any]) -> Series:
    """Return the series of whichever kind it was."""
    return _KINDS[tree["kind"]].restore(tree)


def shares_as_usual(
    described: Mapping[str, Any], rhythm: HourProfile, minutes: Minutes
) -> dict[str, Any]:
    """Return the shares of a reference, as `describe` tells it, as at an average hour.

    Parameters
    ----------
    described
        Of values with these ``minutes``.
    """
    expected = rhythm.expected(rhythm.names, minutes)
    if expected is None or "shares" not in described:
        return {}
    added = dict(zip(rhythm.names, expected.mean(axis=0).tolist(), strict=True))
    by_text = {text_of(name): part for name, part in added.items() if name is not None}
    shares = described["shares"].items()
    return {
        "shares": {name: min(max(x - by_text.get(name, 0.0), 0.0), 1.0) for name, x in shares},
        "other_share": max(described["other_share"] - added.get(None, 0.0), 0.0),
    }


def text_of(value: Any) -> str:
    """Return a category as JSON would show it, without quotes.

    Examples
    --------
    >>> text_of(True), text_of(3.0), text_of(0.5), text_of("40K")
    ('true', '3', '0.5', '40K')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def number_of(value: Value) -> float | None:
    """Return a value as a number, if it is one."""
    return None if isinstance(value, str) else float(value)
