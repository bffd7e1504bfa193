"""The kinds of series, and which one a series is.

Rule 1. The kind of a series follows from its first values, unless the model's spec names it.
Rule 2. Of a series of names (every value another) only a value that becomes common is found.
Rule 3. A series that wanders has no reference: a counter, a date, the day of the week, a random
        walk. It wanders while most of its variance lies between stretches of the rows.
"""

from streams.aspects import SeriesRole
from streams.detect import statistics
from streams.detect.sample import Sample
from streams.series.categorical import CategorySeries, Hourly, watched_codes, watched_names
from streams.series.constant import ConstantSeries
from streams.series.names import NamesSeries
from streams.series.numeric import NumericSeries

MAX_STRETCH_SHARE = 0.5
"""The part of the variance of a reference that lies between its sixteenths, from which a series
wanders (docs/detection.md): hundredths for independent rows, nearly all for a counter."""
Series = NumericSeries | CategorySeries | ConstantSeries | NamesSeries


def learn_series(
    sample: Sample, role: SeriesRole, false_alarms: float, hourly: Hourly | None = None
) -> Series:
    """Learn a series of the kind that the categories and the values of a sample make it.

    Parameters
    ----------
    false_alarms
        Per 10,000 values.
    hourly
        The hourly profile that was taken off numbers, or is expected of shares.
    """
    categories = sample.categories
    if categories is None:
        if sample.is_constant:
            return ConstantSeries.of(sample.values[0], len(sample), false_alarms)
        doubt = 1.0 if hourly is None else hourly[0].doubt
        return NumericSeries.learn(sample, false_alarms, doubt)
    if not categories.watched:
        return NamesSeries.learn(sample.values, false_alarms)
    return CategorySeries.learn(sample, categories, role, false_alarms, hourly)


def wanders(sample: Sample, role: SeriesRole, hourly: Hourly | None = None) -> bool:
    """Tell whether values, in the order in which they came, wander (Rule 3).

    Parameters
    ----------
    hourly
        As for :func:`learn_series`.
    """
    categories = sample.categories
    if categories is None:
        return statistics.stretch_share(sample.doubled_ranks) > MAX_STRETCH_SHARE
    if not categories.watched:
        return False
    hits = sample.hits(watched_codes(categories, role))
    expected = hourly and hourly[0].expected(watched_names(categories, role), hourly[1])
    away = hits if expected is None else hits - expected
    return statistics.stretch_share(away) > MAX_STRETCH_SHARE
