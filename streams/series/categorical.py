"""A categorical series and its detectors."""

from collections.abc import Mapping, Sequence
from typing import Any

from streams.aspects import SeriesRole
from streams.change import Finding
from streams.clock import Minutes
from streams.codec import decode, encode
from streams.detect.sample import Categories, Sample, coded
from streams.detect.share import ShareDetector
from streams.season.hour_profile import HourProfile
from streams.values import OTHER, Floats, Value, text_of

MAX_NUMERIC_LEVELS = 10
MIN_TEXT_ROWS = 3
MIN_NUMBER_ROWS = 20
"""A number's neighbours are expected: new ones are news only if the rarest is common."""
Hourly = tuple[HourProfile, Minutes]
"""A rhythm, and the minutes of the values that it is about."""


class CategorySeries:
    """One of a few categories, each watched by its share; the rare ones together as one."""

    kind = "categorical"

    def __init__(self, levels: Categories, shares: ShareDetector) -> None:
        self._levels = levels
        self._shares = shares
        self._codes = levels.codes
        self._watched = _names_of(levels, shares.codes)

    @classmethod
    def learn(
        cls,
        sample: Sample,
        levels: Categories,
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
        return cls(levels, ShareDetector.learn(codes, watched, false_alarms, expected, doubt))

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
        """Return the state as a tree for :func:`streams.codec.pack`."""
        return {
            "kind": self.kind,
            "levels": encode(self._levels),
            "shares": encode(self._shares),
        }

    @classmethod
    def restore(cls, tree: dict[str, Any]) -> "CategorySeries":
        """Return the series as it was."""
        return cls(decode(tree["levels"], Categories), decode(tree["shares"], ShareDetector))


def watched_names(levels: Categories, role: SeriesRole) -> tuple[Value | None, ...]:
    """Return the categories that are watched by their shares; None stands for the rare ones."""
    return _names_of(levels, _watched_codes(levels, role))


def _watched_codes(levels: Categories, role: SeriesRole) -> list[int]:
    if len(levels.watched) == 2 and levels.others == 0:
        is_error = role == "error" and True in levels.watched
        return [levels.watched.index(True) if is_error else 1]
    return list(range(len(levels.watched) + 1))


def _names_of(levels: Categories, codes: Sequence[int]) -> tuple[Value | None, ...]:
    return tuple(levels.watched[k] if k < len(levels.watched) else None for k in codes)


def category_levels(values: Sequence[Value], role: SeriesRole, kind: str) -> Categories | None:
    """Return the categories of a series, or None if it is a number or constant."""
    if isinstance(values[0], bool) and kind != "categorical":
        return Categories.of_truth(values)
    is_text = isinstance(values[0], str) or kind == "categorical"
    if is_text:
        return Categories.of(values, rarest_rows=MIN_TEXT_ROWS)
    if kind == "numeric" or role == "score":
        return None
    if any(len(set(values[:few])) > MAX_NUMERIC_LEVELS for few in (20, 100)):  # mostly at once
        return None
    if not 1 < len(set(values)) <= MAX_NUMERIC_LEVELS:
        return None
    return Categories.of(values, rarest_rows=MIN_NUMBER_ROWS)


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
