"""A categorical series and its detectors.

Rule 1. The categories common enough to have a share worth watching are watched one by one, the
        rest together (`streams.detect.sample.Categories`).
Rule 2. Of an error only the wrong predictions are watched, and of two categories only the rarer:
        the share of the other follows. Where a third one would be no finding, the rest is watched
        as well.
Rule 3. Of the rest, one that becomes common is found by itself (`streams.detect.risen`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from streams.aspects import SeriesRole
from streams.change import Finding
from streams.clock import Minutes
from streams.detect.outline import Outline
from streams.detect.risen import BUDGET_SHARE, RisenCategory
from streams.detect.sample import Categories, Sample, coded, counting_rows
from streams.detect.share import ShareDetector
from streams.season.hour_profile import HourProfile
from streams.series.learnt_series import Detectors, LearntSeries
from streams.values import OTHER, Floats, Value, text_of

MAX_NUMERIC_CATEGORIES = 10
"""Different numbers up to which a series of numbers is categorical (docs/detection.md)."""
MIN_TEXT_ROWS = 3
"""Rows of the rarest word of a reference that looks complete. By Good and Turing none of one row
would do; with three, a category that is only rare is seldom taken for unseen."""
MIN_NUMBER_ROWS = 20
"""The same of numbers. New neighbours of a number are to be expected, unless the rarest is
common."""
_FIRST_ROWS = (20, 100)
"""Rows looked at first: most series of numbers show by then that they have too many."""
Hourly = tuple[HourProfile, Minutes]
"""An hourly profile, and the minutes of the values that it is taken off."""


class CategorySeries(LearntSeries, tag="categorical", dict=True):
    """One of a few categories, each watched by its share; the rare ones together as one."""

    _categories: Categories
    _shares: ShareDetector
    _risen: RisenCategory | None = None
    """None where no category is part of the rest, and a new one is a finding at once."""

    def __post_init__(self) -> None:
        self._code_of = self._categories.codes
        if not all(0 <= code <= len(self._code_of) for code in self._shares.codes):
            raise ValueError(f"there are {len(self._code_of)} codes, and one for the others")
        self._watched = _names_of(self._categories, self._shares.codes)

    @classmethod
    def learn(
        cls,
        sample: Sample,
        categories: Categories,
        role: SeriesRole,
        false_alarms: float,
        hourly: Hourly | None = None,
    ) -> "CategorySeries":
        """Learn the shares of a sample's categories.

        Parameters
        ----------
        false_alarms
            Per 10,000 values.
        hourly
            The hourly profile to expect of the shares.
        """
        watched = watched_codes(categories, role)
        expected, doubt = None, 1.0
        if hourly is not None:
            profile, minutes = hourly
            expected = profile.expected(_names_of(categories, watched), minutes)
            doubt = profile.doubt
        codes, risen = sample.codes, None
        if categories.others or not categories.is_closed:
            named, is_closed = categories.codes, categories.is_closed
            risen = RisenCategory.learn(sample.values, named, is_closed=is_closed)
        if categories.is_split:
            counting = counting_rows(len(codes))
            codes, expected = codes[counting], None if expected is None else expected[counting]
        shares = ShareDetector.learn(codes, watched, false_alarms, expected, doubt)
        series = cls(categories, shares, risen)
        series.set_budget(false_alarms)
        return series

    @property
    def detectors(self) -> Detectors:
        """The detector of the shares."""
        return (self._shares,)

    @property
    def watched(self) -> tuple[Value | None, ...]:
        """The categories watched by their shares; None for the rest."""
        return self._watched

    @property
    def named(self) -> tuple[Value, ...]:
        """The categories that are not part of the rest."""
        return self._categories.watched

    @property
    def others(self) -> int:
        """The number of categories that are part of the rest."""
        return self._categories.others

    @property
    def is_settled(self) -> bool:
        """Whether even a short reference shows the series; one category alone never does."""
        return len(self._categories.watched) + self._categories.others > 1 and super().is_settled

    @property
    def clumps(self) -> dict[str, float]:
        """The inflations above 1, by category."""
        pairs = zip(map(_text_of, self._watched), self._shares.inflations, strict=True)
        return {name: inflation for name, inflation in pairs if inflation > 1}

    def widen(self, clumps: Mapping[str, float]) -> None:
        """Take the inflations of its categories for these at least."""
        self._shares.widen([clumps.get(name, 1.0) for name in map(_text_of, self._watched)])

    def set_budget(self, false_alarms: float) -> None:
        """Set the thresholds, for so many false alarms per 10,000 values."""
        of_risen = 0.0 if self._risen is None else BUDGET_SHARE * false_alarms
        self._shares.set_budget(false_alarms - of_risen)
        if self._risen is not None:
            self._risen.set_budget(of_risen)

    def renew(self) -> None:
        """Forget all values read since the reference was made."""
        super().renew()
        if self._risen is not None:
            self._risen.renew()

    def run(
        self, values: Sequence[Value], x: Floats | None, expected: Floats | None
    ) -> Finding | None:
        """Read values until the share of a category has changed."""
        codes = coded(values, self._code_of, len(self._code_of))
        risen = None if self._risen is None else self._risen.run(values, self._code_of)
        if risen is None:
            return self._shares.run(codes, expected)
        read = slice(0, risen.row)
        found = self._shares.run(codes[read], None if expected is None else expected[read])
        return found or replace(risen, category_index=len(self._watched))

    @property
    def can_pass_over(self) -> bool:
        """Whether `passes_over` can read values: no category that may have risen is counted."""
        return self._risen is None

    def passes_over(self, values: Sequence[Value]) -> bool:
        """Read values that reveal no change; read none, and return False, where they do."""
        return self._shares.passes_over(coded(values, self._code_of, len(self._code_of)))

    def category(self, index: int) -> str | None:
        """Return the text of a category by its place among those watched; after them the risen."""
        if index == len(self._watched):
            return None if self._risen is None else text_of(self._risen.name)
        return _text_of(self._watched[index])

    def outline(self) -> Outline:
        """Return the shares of its categories."""
        made = self._categories
        shares = tuple(rows / made.rows for rows in made.counts)
        return Outline("categorical", made.rows, made.watched, shares)

    def describe(self) -> dict[str, object]:
        """Return the reference for display."""
        categories = self._categories
        shares = {
            text_of(value): rows / categories.rows
            for value, rows in zip(categories.watched, categories.counts, strict=True)
        }
        rest = max(1.0 - sum(shares.values()), 0.0) if categories.others else 0.0
        return {
            "kind": "categorical",
            "rows": categories.rows,
            "shares": shares,
            "other_categories": categories.others,
            "other_share": rest,
            "inflation": self._shares.inflation,
        }


def categories_of(values: Sequence[Value], role: SeriesRole, kind: str) -> Categories | None:
    """Return the categories of a series, or None if it is a number or constant.

    Parameters
    ----------
    kind
        As in `streams.series.watch_spec.WatchSpec`.
    """
    if isinstance(values[0], bool) and set(map(type, values)) == {bool}:
        return Categories.of_truth(values)
    is_text = isinstance(values[0], str) or kind == "categorical"
    if is_text:
        return Categories.of(values, rarest_rows=MIN_TEXT_ROWS)
    if kind == "numeric" or role == "score":
        return None
    if any(len(set(values[:few])) > MAX_NUMERIC_CATEGORIES for few in _FIRST_ROWS):
        return None
    if not 1 < len(set(values)) <= MAX_NUMERIC_CATEGORIES:
        return None
    return Categories.of(values, rarest_rows=MIN_NUMBER_ROWS)


def watched_codes(categories: Categories, role: SeriesRole) -> list[int]:
    """Return the codes of the categories that are watched by their shares (Rule 2)."""
    watched, rest = categories.watched, len(categories.watched)
    if role == "error" and True in watched:
        return [watched.index(True)]
    if rest > 2 or categories.others:
        return list(range(rest + 1))
    return [1] if categories.is_closed else [1, rest]


def watched_names(categories: Categories, role: SeriesRole) -> tuple[Value | None, ...]:
    """Return the categories that are watched by their shares; None stands for the rare ones."""
    return _names_of(categories, watched_codes(categories, role))


def _names_of(categories: Categories, codes: Sequence[int]) -> tuple[Value | None, ...]:
    watched = categories.watched
    return tuple(watched[code] if code < len(watched) else None for code in codes)


def _text_of(category: Value | None) -> str:
    return OTHER if category is None else text_of(category)


def shares_as_usual(
    described: Mapping[str, Any], profile: HourProfile, minutes: Minutes
) -> dict[str, Any]:
    """Return the shares of a described reference as at an average hour; {} if it has none.

    Parameters
    ----------
    described
        A reference, as a series describes it, of values with these ``minutes``.
    """
    expected = profile.expected(profile.names, minutes)
    if expected is None or "shares" not in described:
        return {}
    added = dict(zip(profile.names, expected.mean(axis=0).tolist(), strict=True))
    by_text = {text_of(name): part for name, part in added.items() if name is not None}
    shares = described["shares"].items()
    return {
        "shares": {name: min(max(x - by_text.get(name, 0.0), 0.0), 1.0) for name, x in shares},
        "other_share": max(described["other_share"] - added.get(None, 0.0), 0.0),
    }
