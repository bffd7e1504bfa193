"""Watch one series of a model, whatever it carries, from its first value on.

Rule 1. Values come in the order of the log. How they are cut into batches changes nothing.
Rule 2. After a change the series relearns (`streams.series.learning`).
Rule 3. When an hourly profile becomes known, of the day or of the week, earlier changes may have
        been the profile: the series relearns and is treated as unchanged.
Rule 4. A change that the first day's profile may explain is not reported before the day is over.
Rule 5. Missing values, values of another type, unseen categories and stuck values are facts, each
        with its rule. They cost nothing of the alert budget, except a change of the share of
        missing values, which a detector finds.
"""

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from msgspec import field
from msgspec.structs import replace

from streams.aspects import ASPECTS
from streams.change import Finding, Shares
from streams.clock import Instants, Minutes
from streams.codec import Machine
from streams.detect.level import NumericDetector
from streams.detect.odd import OddNumbers
from streams.detect.outline import POINTS, Outline
from streams.season.day_kinds import Verdict
from streams.season.hour_profile import HourProfile, Timestamps
from streams.season.seasonality import Seasonality
from streams.series.categorical import CategorySeries
from streams.series.data_quality import DataQuality, Fact, fact_of
from streams.series.detection import MAX_MOVED_CATEGORIES, Detection
from streams.series.inputs import TYPES, CleanColumn, Family, doubles, refuse_non_finite
from streams.series.learning import Learning
from streams.series.learnt_series import LearntSeries
from streams.series.missing import MissingRule
from streams.series.numeric import NumericSeries
from streams.series.reference import Budget, SeriesReference
from streams.series.watch_spec import FIRST_STAGES, WatchSpec
from streams.values import Floats, Scalar, text_of

DEFAULT_FALSE_ALARMS = 0.01
"""False alarms per 10,000 inputs: the part of a feature of a model with about ten of them, at the
default alert budget of 0.2 (docs/detection.md)."""

_POINTS_AN_HOUR = 256
"""Points of an outline that are taken to each hour of a profile: 43,008 for a week."""


class SeriesWatch(Machine):
    """Watch a feature, score, prediction, outcome or error of one model.

    Attributes
    ----------
    spec
        How it is watched. Another spec of the same role and kind applies from the next reference
        on: the one being learnt is learnt as it was begun.
    seen
        Inputs so far, missing ones included.
    profile_since
        Inputs seen when an hourly profile became known (Rule 3); -1 for never.

    Examples
    --------
    >>> rng = np.random.default_rng(7)
    >>> watch = SeriesWatch(WatchSpec(role="feature"))
    >>> watch.set_budget(0.01)
    >>> watch.update(rng.normal(50.0, 10.0, 5_000).tolist())
    []
    >>> [change] = watch.update(rng.normal(60.0, 10.0, 200).tolist())
    >>> change.aspect, change.figures.direction, change.index < 60
    ('level', 'up', True)
    """

    spec: WatchSpec
    seen: int = 0
    profile_since: int = -1
    _false_alarms: float = DEFAULT_FALSE_ALARMS
    _reference: SeriesReference = field(default_factory=SeriesReference)
    # These follow from the spec; None is never seen outside __post_init__.
    _learning: Learning = cast("Learning", None)
    _quality: DataQuality = cast("DataQuality", None)

    def __post_init__(self) -> None:
        spec = self.spec
        if self._learning is None:
            self._learning = Learning(spec.first_stages)
            self._quality = DataQuality.of(spec)

    @classmethod
    def learnt(
        cls,
        spec: WatchSpec,
        values: Sequence[Scalar],
        false_alarms: float = DEFAULT_FALSE_ALARMS,
        at_ms: Instants | None = None,
    ) -> "SeriesWatch":
        """Return a watch whose reference is all of ``values``: it has nothing left to learn.

        Parameters
        ----------
        values
            At least 200 that are not missing, in the order in which they came.
        false_alarms
            Per 10,000 inputs; ADWIN keeps its part until the series relearns.

        Examples
        --------
        >>> rng = np.random.default_rng(7)
        >>> spec = WatchSpec(role="feature")
        >>> watch = SeriesWatch.learnt(spec, rng.normal(50.0, 10.0, 3_000).tolist())
        >>> watch.is_learning, watch.seen
        (False, 0)
        """
        usable = sum(value is not None for value in values)
        if usable < FIRST_STAGES[0]:
            raise ValueError(f"a reference takes at least 200 values, got {usable}")
        watch = cls(spec)
        watch.set_budget(false_alarms)
        watch._learning = Learning.of_table(usable)
        watch._quality.missing = MissingRule((len(values),))
        rows = 1 + max(row for row, value in enumerate(values) if value is not None)
        watch.update(values[:rows], None if at_ms is None else at_ms[:rows])
        watch.update(values[rows:])  # without instants: a test would drop the reference just made
        watch._learning.end_table(spec, watch._described)
        watch._quality.missing.settle(spec.first_stages)
        watch.seen = 0
        return watch

    @property
    def false_alarms(self) -> float:
        """False alarms that the series may cost per 10,000 inputs."""
        return self._false_alarms

    @property
    def is_learning(self) -> bool:
        """Whether the series has no reference yet to compare its values with."""
        return self._reference.series is None

    @property
    def is_at_start(self) -> bool:
        """Whether this is the state that `learnt` returns."""
        return (
            self.seen == 0
            and self._described is not None
            and self._learning.is_at_end_of_table(self.spec, self._described)
        )

    def share_minutes(self, logs: dict[bytes, bytearray]) -> None:
        """Hold the minutes of the learnt values in common with the other series of the model.

        Parameters
        ----------
        logs
            The logs of the model by their minutes; a new one is added.
        """
        self._learning.share_minutes(logs)

    def set_budget(self, false_alarms: float) -> None:
        """Set how many false alarms the series may cost per 10,000 inputs.

        Takes effect with the next value; ADWIN's part of it when the series relearns.
        """
        if not (false_alarms > 0 and math.isfinite(false_alarms)):
            raise ValueError(f"false_alarms must be a positive number, got {false_alarms!r}")
        self._false_alarms = false_alarms
        self._quality.set_budget(false_alarms)
        if self._reference.series is not None:
            self._reference.series.set_budget(self._budget.values)

    @property
    def _budget(self) -> Budget:
        return Budget(self._false_alarms, self._false_alarms * self._quality.values_share)

    def update(self, values: Sequence[Scalar], at_ms: Instants | None = None) -> list[Detection]:
        """Take values into account, in log order; return the changes they reveal.

        Parameters
        ----------
        at_ms
            Their instants, in epoch milliseconds; they need not be in order.

        Raises
        ------
        NonFiniteValueError
            Before any state has changed.
        """
        return self.read(values, None if at_ms is None else Timestamps.of(at_ms))

    def read(self, values: Sequence[Scalar], moments: Timestamps | None) -> list[Detection]:
        """Do as `update` does, with moments that other series share."""
        changes: list[Detection] = []
        at = 0
        while at < len(values):
            part = slice(at, None)
            read, found = self.read_until_change(values[part], moments and moments.at(part))
            changes += [replace(each, index=at + each.index) for each in found]
            at += read
        return changes

    def read_until_change(
        self, values: Sequence[Scalar], moments: Timestamps | None
    ) -> tuple[int, list[Detection]]:
        """Read values up to the first after which the series relearns; return how many."""
        kinds = set(map(type, values))
        refuse_non_finite(values, kinds)
        changes: list[Detection] = []
        start, rows = self._read_if_plain(values, kinds, moments, changes), len(values)
        while start < rows and not (changes and ASPECTS[changes[-1].aspect].relearns):
            end = min(start + self._learning.rows_until_stage, rows)
            may_be_due = moments is not None and moments.latest >= self._reference.season.due
            if moments is not None and may_be_due:
                row = self._reference.season.rows_until_due(moments.minutes[start:end])
                if row == 0:
                    self._on_due(moments.minutes[start:end])
                    continue
                end = end if row is None else start + row
            part, when = values, moments
            if end - start < rows:
                part = values[start:end]
                kinds = set(map(type, part))
                when = moments and moments.at(slice(start, end))
            column = self._quality.types.clean(part, kinds, when)
            start += self._read(column, when if may_be_due else None, start, changes)
        return start, changes

    def _read_if_plain(
        self,
        values: Sequence[Any],
        kinds: set[type],
        moments: Timestamps | None,
        changes: list[Detection],
    ) -> int:
        """Read inputs if none of them is odd and nothing is due with them; return how many.

        Nearly all reads are of a few such inputs. The result is that of `_read`, without the cost
        of taking some inputs out: without this path a read of 3 to 20 numbers takes 14 us instead
        of 11 (measured).
        """
        reference, quality, rows = self._reference, self._quality, len(values)
        unseen, stuck, season = reference.unseen, reference.stuck, reference.season
        is_learnt = reference.series is not None
        hourly = moments if season.needs_minutes else None
        is_plain = (
            kinds <= TYPES[quality.types.family]
            and 0 < rows < self._learning.rows_until_stage
            and quality.missing.is_quiet(rows)
            and quality.types.is_quiet(rows)
            and (hourly is None or hourly.latest < season.due)
            and (unseen is None or unseen.knows(values))
        )
        needs_numbers = is_learnt or stuck.limit > 0 or hourly is not None
        x = doubles(values, kinds) if is_plain and needs_numbers else None
        mark = stuck.pass_over(values, x) if is_plain else None
        if mark is None:
            return 0
        finding = reference.run(values, x, moments) if is_learnt else None
        if finding is not None:
            stuck.rewind(mark)
            column = CleanColumn(rows, values, kinds, x, moments, range(rows))
            return self._read(column, None, 0, changes, finding)
        self.keep(rows, values, x, moments)
        return rows

    def keep(
        self, rows: int, values: Sequence[Any], x: Floats | None, moments: Timestamps | None
    ) -> None:
        """Count inputs that the rules and the detectors have read, and none of which is odd.

        ``values`` are not read unless the watch `keeps_values`.
        """
        reference, quality, season = self._reference, self._quality, self._reference.season
        self.seen += rows
        quality.types.keep(rows)
        quality.missing.keep(rows)
        if self._learning.buffer is not None:
            self._learning.buffer.add(values, set(map(type, values)), moments)
        if reference.unseen is not None:
            reference.unseen.keep(rows)
        if season.needs_minutes and moments is not None:
            season.read(values, x, moments.minutes, None)

    # Read together with other series (`streams.series.group`)

    @property
    def family_read_together(self) -> Family | None:
        """The types of which a value needs only `keep`, and the kernel or `passes_over`.

        None where there are none: the kernel knows the detectors of a number without atoms, heaps
        and an hourly profile, and `passes_over` those of shares without one.
        """
        reference, quality = self._reference, self._quality
        series = reference.series
        is_known = series is None or (
            reference.season.profile is None and (self.level is not None or _can_pass_over(series))
        )
        only_counts = quality.missing.only_counts and quality.types.only_counts
        return quality.types.family if is_known and only_counts else None

    @property
    def is_read_by_kernel(self) -> bool:
        """Whether the kernel knows all that reads numbers of the series; else `passes_over`."""
        reference = self._reference
        is_plain = reference.unseen is None and not isinstance(reference.stuck.last, str)
        return is_plain and (reference.series is None or self.level is not None)

    def passes_over(self, values: Sequence[Any]) -> bool:
        """Read values of which nothing is to be told; read none, and return False, for others."""
        reference = self._reference
        if reference.unseen is not None and not reference.unseen.knows(values):
            return False
        mark, series = reference.stuck.pass_over(values, None), reference.series
        if mark is None:
            return False
        if not isinstance(series, CategorySeries) or series.passes_over(values):
            return True
        reference.stuck.rewind(mark)
        return False

    @property
    def level(self) -> NumericDetector | None:
        """The detector that a kernel can run; None where there is none, or nothing to compare."""
        series = self._reference.series
        level = series.level if isinstance(series, NumericSeries) else None
        return level if level is not None and level.can_move else None

    @property
    def odd(self) -> OddNumbers | None:
        """The detector of odd numbers beside that of the level."""
        series = self._reference.series
        return series.odd if isinstance(series, NumericSeries) else None

    @property
    def keeps_values(self) -> bool:
        """Whether it learns from its values, or gathers them by the hour as categories."""
        grid = self._reference.season.grid
        gathers = grid is not None and not grid.is_of_numbers
        return gathers or self._learning.buffer is not None

    @property
    def run(self) -> tuple[int, int, float]:
        """The limit of the run of equal numbers, its present length, and its number."""
        stuck = self._reference.stuck
        length, last = stuck.mark()
        return stuck.limit, length, math.nan if last is None else float(last)

    def go_on(self, run: int, last: Any) -> None:
        """Take a run of equal numbers as the present one."""
        self._reference.stuck.go_on(run, last)

    @property
    def quiet_rows(self) -> int:
        """Inputs, none of them odd, with which nothing is due."""
        level, quality = self.level, self._quality
        rows = min(self._learning.rows_until_stage - 1, quality.missing.quiet_rows)
        return quality.types.quiet_rows(rows if level is None else min(rows, level.room))

    @property
    def test_due(self) -> int:
        """The minute at which a test of the hours, or the end of a wait, may be due."""
        return self._reference.season.due

    def _on_due(self, minutes: Minutes) -> None:
        """Compare again after days of another kind, or test for an hourly profile."""
        if self._reference.season.ends_wait(minutes):
            self._reference.resume(self._budget)
            self._learning.begin_after_return(self.spec, self.seen)
        else:
            self._test_season()

    def _test_season(self) -> None:
        """Test for an hourly profile; relearn where the result differs from the known one."""
        season = self._reference.season
        hours = 0 if season.profile is None else season.profile.hours
        if not season.test():
            return
        if season.profile is not None and season.profile.hours > hours:
            self.profile_since, self._learning.is_away = self.seen, False
            season.days.forget()
        self._reference.series = self._reference.left = self._reference.held = None
        season.days.end()
        self._reference.clumps = {}
        self._learning.begin(self.spec.season_stages, self.seen)

    def _read(
        self,
        column: CleanColumn,
        passed: Timestamps | None,
        start: int,
        changes: list[Detection],
        found: Finding | None = None,
    ) -> int:
        """Read inputs up to the first that ends the reference; return how many.

        Parameters
        ----------
        passed
            The moments of all rows, where a test of the season may be due with them.
        found
            The finding in them, if the detectors have read them before.
        """
        reference, mark = self._reference, self._reference.stuck.mark()
        stuck, kept = reference.stuck.filter(column.values, column.x)
        watched = column if kept is None else column.chosen(kept)
        finding = found
        if found is None and watched.values:
            finding = reference.run(watched.values, watched.x, watched.moments)
        if finding is not None:
            column = column.until(finding.row if kept is None else kept[finding.row])
            watched = watched.until(finding.row)
            finding = replace(finding, row=column.rows - 1)
            reference.stuck.rewind(mark)
            self._quality.types.run = 0  # the inputs after the finding are read again
            stuck, _ = reference.stuck.filter(column.values, column.x)
        facts = self._quality.facts(column, stuck, reference, self.seen, self._false_alarms)
        found_here = [self._fact(each, start) for each in facts]
        self.seen += column.rows
        reference.gather(watched, passed)
        if finding is None:
            found_here += self._learn(watched, start + column.rows - 1)
        else:
            since = self._quality.missing.spanned(finding.figures.rows)
            finding = replace(finding, figures=replace(finding.figures, rows=since))
            found_here += self._report(finding, watched.moments, start)
        if self._quality.types.has_replaced_series:
            self._relearn()
            self._quality.types.forget()
            reference.forget()
        changes += sorted(found_here, key=lambda change: change.index)
        return column.rows

    def _learn(self, watched: CleanColumn, place: int) -> list[Detection]:
        """Learn values; return the fact, at the place of the last input, that they have shown."""
        types = self._quality.types
        self._learning.learn(watched, self._reference, types, self.spec, self._budget)
        if types.due is None:
            return []
        (aspect, words), types.due = types.due, None
        return [self._detection(fact_of(aspect, 0), place, words or None)]

    def _report(self, finding: Finding, moments: Timestamps | None, start: int) -> list[Detection]:
        """Return a change and relearn; return nothing where the day's profile may explain it."""
        reference = self._reference
        is_steady = reference.series is not None and reference.series.is_steady
        minute = None if moments is None else int(moments.minutes[-1])
        if reference.season.explains(finding, minute, is_steady=is_steady):
            self._learning.pause()  # until the day is over
            if reference.series is not None:
                reference.series.renew()
            return []
        verdict = "told" if self._learning.is_away else reference.season.judge(finding, minute)
        if verdict != "told":
            self._put_off(verdict)
            return []
        category = reference.category(finding.category_index)
        left_out: tuple[str, ...] = ()
        if reference.series is not None and ASPECTS[finding.aspect].recovery == "numbers":
            left_out = tuple(map(text_of, reference.series.left_out))
        moved = tuple(
            (name, before, now)
            for index, before, now in finding.moved[:MAX_MOVED_CATEGORIES]
            if (name := reference.category(index)) is not None
        )
        is_told = reference.is_told_as_unseen(category)
        is_of_training = self._learning.is_of_training
        reference.season.note(finding, is_further=self._learning.is_away)
        if not (self._learning.is_away or self._learning.has_just_begun(self.seen)):
            reference.leave()  # one that a series back at its first differs from was no usual one
        self._learning.leave_reference()
        self._relearn()
        if is_told:
            return []
        found = self._detection(finding, start, category, moved, reference.season.profile)
        return [replace(found, left_out=left_out, is_of_training=is_of_training)]

    def _put_off(self, verdict: Verdict) -> None:
        """Compare no values until days of another kind are over, or learn them."""
        if verdict == "held":
            self._reference.hold()
            self._learning.pause()
        else:
            self._reference.series = None
            self._learning.begin_at_first(self.spec, self.seen)

    def _fact(self, fact: Fact, start: int) -> Detection:
        found = self._detection(fact.finding, start, fact.words)
        if not fact.known:
            return found
        return replace(found, reference={**(found.reference or {}), "known": fact.known})

    def _detection(
        self,
        finding: Finding,
        start: int,
        category: str | None = None,
        moved: Shares = (),
        profile: HourProfile | None = None,
    ) -> Detection:
        return Detection(
            index=start + finding.row,
            aspect=finding.aspect,
            category=category,
            detector=finding.detector,
            figures=finding.figures,
            moved=moved,
            profile=profile,
            reference=self._learning.original,
            is_of_training=self._learning.is_of_training,
        )

    def _relearn(self) -> None:
        had_reference = self._reference.series is not None
        self._learning.begin_after_change(self.spec, self.seen, had_reference=had_reference)
        self._reference.doubt()

    def restart(
        self, aspect: str, *, is_back: bool = True, moments: Timestamps | None = None
    ) -> None:
        """Relearn from the next value on: after a change of this aspect the series is back.

        The values since the alarm are not learnt from: they must not become its reference.

        Parameters
        ----------
        is_back
            Whether no other change is open: until the new reference is made, the series is then
            compared with the one that it had left.
        moments
            Those of the values up to the one at which it is back.
        """
        self._quality.restart(aspect)
        if ASPECTS[aspect].relearns:
            if is_back:
                minute = None if moments is None else int(moments.minutes[-1])
                self._reference.season.days.on_back(minute)
            self._reference.series = self._reference.taken_up(self._budget) if is_back else None
            self._learning.begin_after_return(self.spec, self.seen)

    def relearn(self, aspect: str) -> None:
        """Relearn from the next value on: a change of this aspect has become another one."""
        if ASPECTS[aspect].relearns:
            self._relearn()

    def forget_hours(self) -> None:
        """Learn the hours anew: they are those of another place from now on."""
        if self._reference.season.profile is not None:
            self._reference.series = self._reference.held = None
            self._learning.begin_after_return(self.spec, self.seen)
        self._reference.season = Seasonality()

    def accept(self) -> None:
        """Take the present state of the series for its first reference."""
        self._reference.left = None
        self._reference.season.days.forget_open()
        self._learning.accept(self._described, self.spec)

    @property
    def _described(self) -> dict[str, Any] | None:
        series = self._reference.series
        return None if series is None else series.describe()

    @property
    def outline(self) -> Outline | None:
        """The distribution of the present reference, over all hours; None while there is none.

        Nor is there one after an alarm, until the series is back or its new state is accepted.
        """
        series, profile = self._reference.series, self._reference.season.profile
        if series is None or self._learning.is_away:
            return None
        made = series.outline()
        if profile is None or not profile.is_of_numbers or not len(made.numbers):
            return made
        return over_all_hours(made, profile)

    def describe(self) -> dict[str, object]:
        """Return the first reference, and the present one, for display."""
        return {
            "seen": self.seen,
            "is_learning": self.is_learning,
            "original": self._learning.original,
            "reference": self._described,
            "season": self._reference.season.describe(),
        }


def _can_pass_over(series: LearntSeries) -> bool:
    return isinstance(series, CategorySeries) and series.can_pass_over


def over_all_hours(outline: Outline, profile: HourProfile) -> Outline:
    """Return the outline of numbers as they come, from that of an average hour."""
    few = outline.numbers[:: POINTS // _POINTS_AN_HOUR]
    return replace(outline, numbers=np.sort(profile.at_all_hours(few)), mean=None, sd=None)
