"""The reference of a series: all that its values are compared with.

Rule 1. A reference is made from values in log order, each as at an average hour where the hourly
        profile is known.
Rule 2. Values that wander have no reference (`streams.series.kinds.wanders`).
Rule 3. A reference that replaces another is not made while an alarm may be near: the cause of the
        alarm would become part of it.
Rule 4. Errors and outcomes that have come in clumps come in clumps: a reference without any, as
        short ones may be, is given the inflations of the others. An hourly profile ends that.
"""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import field

from streams.change import Finding
from streams.clock import Minutes
from streams.codec import Machine
from streams.detect.sample import Categories, Sample
from streams.season.hour_profile import Timestamps
from streams.season.seasonality import Seasonality
from streams.series.categorical import CategorySeries, Hourly, categories_of, watched_names
from streams.series.inputs import CleanColumn
from streams.series.kinds import Series, learn_series, wanders
from streams.series.stuck import StuckRule
from streams.series.unseen import UnseenRule
from streams.series.watch_spec import WatchSpec
from streams.values import OTHER, Floats, Value, text_of

TRUSTED_RUN_ROWS = 1_000
"""Values from which the longest run of a reference is known well enough to call a run stuck: half
of a reference at the default `WatchSpec.reference_rows`."""
CLUMPED = 3.0
"""Inflation of a reference beyond which it is carried to others: that of independent rows is beyond
2 in one of a hundred. By judgement."""
_EPISODIC = ("error", "outcome")
"""Roles in which long runs of one value, and clumps, are ordinary."""


class Budget(NamedTuple):
    """False alarms that a series may raise per 10,000 inputs.

    Parameters
    ----------
    total
        For the series.
    values
        The part of the detectors on its values; the rest is for its missing values.
    """

    total: float
    values: float


class Learnt(NamedTuple):
    """A reference just made.

    Parameters
    ----------
    series
        The kind of the series, with its detectors.
    categories
        Its categories; None for a number.
    hourly
        The hourly profile taken off, and the minutes of the values.
    """

    series: Series
    categories: Categories | None
    hourly: Hourly | None


class SeriesReference(Machine):
    """The reference of a series and the rules that follow from it.

    Attributes
    ----------
    series
        Its kind, with its detectors; None while it is learnt.
    unseen
        The rule for categories that the reference does not contain; None for a number.
    left
        The series as it was when an alarm ended its reference; None while no alert is open.
    held
        The series while it is not compared, until days of another kind are over.
    clumps
        The largest inflations of its references, by name (Rule 4).
    """

    series: Series | None = None
    left: Series | None = None
    held: Series | None = None
    unseen: UnseenRule | None = None
    stuck: StuckRule = field(default_factory=StuckRule)
    season: Seasonality = field(default_factory=Seasonality)
    clumps: dict[str, float] = {}

    def run(
        self, values: Sequence[Value], x: Floats | None, moments: Timestamps | None
    ) -> Finding | None:
        """Compare values, each as at an average hour, until they reveal a change.

        Parameters
        ----------
        x
            The values as doubles; None where one is text.
        """
        series, profile = self.series, self.season.profile
        if series is None:
            return None
        if profile is None or moments is None:
            return series.run(values, x, None)
        if x is not None and profile.is_of_numbers:
            x = profile.adjust(x, moments.minutes)
            values = x.tolist()
        return series.run(values, x, profile.expected(series.watched, moments.minutes))

    def gather(self, column: CleanColumn, passed: Timestamps | None) -> None:
        """Gather values by the hour.

        Parameters
        ----------
        passed
            The moments of all rows, where a test may be due with them.
        """
        if column.moments is not None:
            rest = None if passed is None else passed.minutes[: column.rows]
            self.season.read(column.values, column.x, column.moments.minutes, rest)

    def category(self, index: int | None) -> str | None:
        """Return the category that a finding names by its place.

        The rest has the name of a category where it can hold no other.
        """
        series, unseen = self.series, self.unseen
        if index is None or series is None:
            return None
        name = series.category(index)
        if name != OTHER or unseen is None or not isinstance(series, CategorySeries):
            return name
        only = unseen.only_beside(series.named)
        return name if only is None else text_of(only)

    def is_told_as_unseen(self, category: str | None) -> bool:
        """Whether a change is that of categories which the reference did not have, all told once.

        The alert about the first of them says how many there are.
        """
        series, unseen = self.series, self.unseen
        if category != OTHER or unseen is None or not isinstance(series, CategorySeries):
            return False
        return unseen.has_raised and not series.others

    def learn(
        self,
        values: Sequence[Value],
        minutes: Minutes | None,
        spec: WatchSpec,
        budget: Budget,
        *,
        is_last: bool,
        may_wander: bool,
    ) -> Learnt | None:
        """Make the reference from these values; return None where they wander.

        Parameters
        ----------
        is_last
            Whether this is the last stage. Before it a reference that shows slow motion is not
            taken for one.
        may_wander
            Whether the order of the values says nothing.
        """
        categories = categories_of(values, spec.role, spec.kind)
        sample = Sample(values, categories)
        as_usual, hourly = self._as_usual(sample, minutes, spec)
        if len(values) >= TRUSTED_RUN_ROWS and spec.role not in _EPISODIC:
            self.stuck.learn(sample, budget.total)
        is_calm = self.series is None or self.series.is_calm
        if is_calm and not may_wander and wanders(as_usual, spec.role, hourly):
            self.series = None
            return None
        series = learn_series(as_usual, spec.role, budget.values, hourly)
        if self.clumps:
            series.widen(self.clumps)
            series.set_budget(budget.values)
        if len(values) >= TRUSTED_RUN_ROWS and spec.role in _EPISODIC:
            clumps = series.clumps.items()
            self.clumps |= {name: of_it for name, of_it in clumps if of_it > CLUMPED}
        if self.series is None:
            self.series = series if is_last or series.is_settled else None
        elif is_calm:  # Rule 3
            self.series = series
        return Learnt(series, categories, hourly)

    def _as_usual(
        self, sample: Sample, minutes: Minutes | None, spec: WatchSpec
    ) -> tuple[Sample, Hourly | None]:
        """Return the values as at an average hour, and the profile taken off."""
        if minutes is None:
            return sample, None
        categories = sample.categories
        names = () if categories is None else watched_names(categories, spec.role)
        profile = self.season.learn(sample, names, minutes)
        if profile is None:
            return sample, None
        if categories is not None:
            return sample, (profile, minutes)
        return Sample(profile.adjust(sample.x, minutes).tolist()), (profile, minutes)

    def doubt(self) -> None:
        """Drop the parts that a change has made obsolete: the detectors, and the limit of a run."""
        self.stuck.doubt()
        self.series = None

    def leave(self) -> None:
        """Keep the reference that a change has ended, with nothing read since it was made."""
        self.left = self.series
        if self.left is not None:
            self.left.renew()

    def hold(self) -> None:
        """Compare nothing until `resume`."""
        self.held, self.series = self.series, None
        if self.held is not None:
            self.held.renew()

    def resume(self, budget: Budget) -> None:
        """Compare values again with the reference that was held."""
        self.series, self.held = self.held, None
        if self.series is not None:
            self.series.set_budget(budget.values)

    def taken_up(self, budget: Budget) -> Series | None:
        """Return the reference that was left."""
        left, self.left = self.left, None
        if left is not None:
            left.widen(self.clumps)
            left.set_budget(budget.values)
        return left

    def forget(self) -> None:
        """Drop everything, as for a series that begins."""
        self.series = self.left = self.held = self.unseen = None
        self.stuck = StuckRule()
        self.season = Seasonality()
        self.clumps = {}
