"""The kinds of series, each with what watches it once it is learnt.

Rule 1. What a series is follows from its first values, unless the model's spec says it.
Rule 2. Whatever its kind, a series takes a list of values and answers with at most one finding,
        after which it is learnt anew.
Rule 3. A series of names (every value another) is not watched, and says so.
Rule 4. What wanders has no reference: a counter, a date, the day of the week, a random walk. A
        series wanders while most of its variance lies between stretches of the rows.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from streams.aspects import SeriesRole
from streams.change import Finding
from streams.detect import statistics
from streams.detect.sample import Sample
from streams.series.categorical import CategorySeries, Hourly, _names_of, _watched_codes
from streams.series.constant import ConstantSeries, NamesSeries
from streams.series.numeric import NumericSeries
from streams.values import Floats, Value

MAX_STRETCH_SHARE = 0.5


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
        """Return the state as a tree for :func:`streams.codec.pack`."""


def learn_series(
    sample: Sample, role: SeriesRole, false_alarms: float, hourly: Hourly | None = None
) -> Series:
    """Learn a series of the kind that the sample's levels and values say.

    Parameters
    ----------
    hourly
        What was taken off numbers, or is expected of shares.
    """
    levels = sample.categories
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
    levels = sample.categories
    if levels is None:
        return statistics.stretch_share(sample.doubled_ranks) > MAX_STRETCH_SHARE
    if not levels.watched:
        return False
    watched = _watched_codes(levels, role)
    hits = sample.hits(watched)
    expected = hourly and hourly[0].expected(_names_of(levels, watched), hourly[1])
    away = hits if expected is None else hits - expected
    return statistics.stretch_share(away) > MAX_STRETCH_SHARE


_KINDS: dict[str, type[NumericSeries | CategorySeries | ConstantSeries | NamesSeries]] = {
    kind.kind: kind for kind in (NumericSeries, CategorySeries, ConstantSeries, NamesSeries)
}


def restore_series(tree: dict[str, Any]) -> Series:
    """Return the series of whichever kind it was."""
    return _KINDS[tree["kind"]].restore(tree)
