"""Watch one series of a model, whatever it carries, from its first value on.

Rule 1. Values come in the order of the log; how they are cut into batches changes nothing.
Rule 2. What is not finite is refused before anything has changed.
Rule 3. A series is learnt from its first values, watched from the 200th on with a divided budget,
        and ever better until ``reference_rows``.
        A short reference with slow motion in it (a wave, clumps) is not watched before that.
Rule 4. After a change the series is learnt anew; its first reference stays for display.
        If it alarms again before one and a half references have passed, the next one is twice as
        long, up to four times: what seems to change all the time may be a rhythm.
Rule 5. When a rhythm comes to be known, what was told before may have been the rhythm: the series
        is learnt anew, as not away. The first reference made with a rhythm, while the series is not
        away, becomes its first of all: it holds what the series is at an average hour.
Rule 6. Missing values and values of another type are counted apart, and then left out.
Rule 7. What wanders is not watched. It is given a longer reference, up to four times as long, and
        then learnt anew: it is watched once it has come to rest.
"""

import math
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from msgspec.structs import replace

from streams.change import Change, Figures, Finding, Shares
from streams.clock import Instants, Minutes
from streams.codec import decode, encode
from streams.detect.sample import Categories, Sample
from streams.season.hour_profile import HourProfile, Timestamps
from streams.season.seasonality import Seasonality
from streams.series.categorical import Hourly, category_levels, shares_as_usual, watched_names
from streams.series.inputs import (
    ANY,
    NUMBER,
    TEXT,
    TRUTH,
    Buffer,
    CleanColumn,
    Codes,
    MinuteLog,
    doubles,
    extended,
    family,
    refuse_what_is_not_finite,
)
from streams.series.kinds import Series, learn_series, restore_series, wanders
from streams.series.missing import MissingRule
from streams.series.repeat_limit import RepeatLimit
from streams.series.stuck import StuckRule
from streams.series.unseen import UnseenRule
from streams.series.watch_spec import FIRST_STAGES, WatchSpec
from streams.tree_codec import pack, unpack
from streams.values import Floats, Scalar, Value, number_of, text_of

MISSING_SHARE = 0.6
MAX_PART_ROWS = 2_000
DEFAULT_FALSE_ALARMS = 0.01
FOREIGN_RUN_ROWS = 200
RESTLESS = 1.5
MAX_PATIENCE = 4
MAX_MOVED = 5
TRUSTED_RUN_ROWS = 1_000
_NAMES_OF = {types: sorted(kind.__name__ for kind in types) for types in (ANY, NUMBER, TEXT, TRUTH)}
_MINUTE_BYTES = 4
_EPISODIC = ("error", "outcome")  # long runs of one value are what they are about


class Detection(Change, frozen=True, kw_only=True):
    """A change, where it was found, and the first reference as it was then.

    Parameters
    ----------
    index
        Its place among the values given to this ``read()``, from 0.
    profile
        The hourly profile of the series, where one is known and the change is one of its values.
    reference
        The first reference of the series, as `SeriesWatch.describe` gives it.
    """

    index: int
    profile: HourProfile | None = None
    reference: dict[str, Any] | None = None

    @property
    def change(self) -> Change:
        """The change alone: without anything that depends on how values were cut into reads."""
        return Change(
            aspect=self.aspect,
            detector=self.detector,
            figures=self.figures,
            category=self.category,
            moved=self.moved,
        )


_Fact = tuple[Finding, str | None]
_Told = tuple[Finding, str | None, Shares]
"""A finding, its category, and the shares that have moved."""


class SeriesWatch:
    """Watch a feature, score, prediction, outcome or error of one model.

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

    def __init__(self, spec: WatchSpec, minutes: bytearray | None = None) -> None:
        self._spec = spec
        self._false_alarms = DEFAULT_FALSE_ALARMS
        self._seen = 0
        self._accepts = ANY
        self._foreign_run = 0
        self._types = RepeatLimit(spec.reference_rows)
        self._sticks = RepeatLimit(spec.reference_rows)
        self._series: Series | None = None
        self._original: dict[str, object] | None = None
        self._runs = StuckRule()
        self._news: UnseenRule | None = None
        self._missing = MissingRule(spec.first_stages)
        self._stages = spec.first_stages
        self._patience = 1
        self._learning_since = 0
        self._adopts = False
        self._is_given = False
        self._is_away = False
        self._rhythm_since = -1
        self._buffer: Buffer | None = []
        self._buffer_minutes: MinuteLog | None = MinuteLog(minutes)
        self._season = Seasonality()

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
            Per 10,000 inputs; ADWIN keeps its part until the series is learnt anew.

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
        watch._stages = (usable,)
        watch._missing = MissingRule((len(values),))
        watch._is_given = True  # a table of training data may be sorted
        watch.update(values, at_ms)
        watch._is_given = False
        watch._seen = 0
        watch._original = watch._series.describe() if watch._series is not None else None
        watch._stages = spec.later_stages(1)
        watch._missing.settle(spec.first_stages)
        return watch

    @property
    def seen(self) -> int:
        """Inputs so far, missing ones included."""
        return self._seen

    @property
    def is_learning(self) -> bool:
        """Whether the series has no reference yet to hold its values against."""
        return self._series is None

    def respec(self, spec: WatchSpec) -> None:
        """Go on under another spec of the same role and kind: it is for what is learnt from now on.

        What is being learnt now is learnt as it was begun.
        """
        self._spec = spec

    @property
    def rhythm_since(self) -> int:
        """How many inputs had been seen when a rhythm came to be known (Rule 5); -1 for never."""
        return self._rhythm_since

    def set_budget(self, false_alarms: float) -> None:
        """Set how many false alarms the series may cost per 10,000 inputs.

        Takes effect with the next value; ADWIN's part of it when the series is learnt again.
        """
        if not (false_alarms > 0 and math.isfinite(false_alarms)):
            raise ValueError(f"false_alarms must be a positive number, got {false_alarms!r}")
        self._false_alarms = false_alarms
        self._missing.set_budget(MISSING_SHARE * false_alarms)
        if self._series is not None:
            self._series.set_budget(self._value_budget)

    @property
    def _value_budget(self) -> float:
        return self._false_alarms * (1 if self._missing.is_idle else 1 - MISSING_SHARE)

    def update(self, values: Sequence[Scalar], at_ms: Instants | None = None) -> list[Detection]:
        """Take values into account, in log order; return the changes they reveal.

        Parameters
        ----------
        at_ms
            Their instants, in epoch milliseconds; they need not be in order.

        Raises
        ------
        NonFiniteValueError
            Before any state has changed: one NaN blinds ADWIN and PageHinkley for good.
        """
        return self.read(values, None if at_ms is None else Timestamps.of(at_ms))

    def read(self, values: Sequence[Scalar], moments: Timestamps | None) -> list[Detection]:
        """Do what `update` does, with moments that other series share."""
        kinds = set(map(type, values))
        refuse_what_is_not_finite(values, kinds)
        changes: list[Detection] = []
        start, rows = self._read_plain(values, kinds, moments, changes), len(values)
        while start < rows:
            end = min(start + self._rows_until_stage(), rows)
            may_test = moments is not None and self._season.may_test_by(moments.latest)
            if moments is not None and may_test:
                row = self._season.rows_until_test(moments.minutes[start:end])
                if row == 0:
                    self._consult()
                    continue
                end = end if row is None else start + row
            part, when = values, moments
            if end - start < rows:
                part = values[start:end]
                kinds = set(map(type, part))
                when = moments and moments.at(slice(start, end))
            usable = self._usable(part, kinds, when)
            start += self._read(usable, when if may_test else None, start, changes)
        return changes

    def _read_plain(
        self,
        values: Sequence[Any],
        kinds: set[type],
        moments: Timestamps | None,
        changes: list[Detection],
    ) -> int:
        """Read inputs of which none is odd, and with which nothing is due; return how many.

        If it returns 0, nothing has been done. Nearly all reads are of a few such inputs: this is
        what `_read` would do, without what it takes to leave some out. Three of a settled number
        take 5.5 us here, and 7.5 us there.
        """
        rows = len(values)
        if not (
            kinds <= self._accepts
            and 0 < rows < self._rows_until_stage()
            and self._missing.is_quiet(rows)
        ):
            return 0
        knows_something = (
            self._series is not None
            or self._news is not None
            or self._runs.limit > 0
            or self._season.is_observed
        )
        if knows_something:
            read = self._compare(values, kinds, moments, changes)
            if read is not None:
                return read
        self._foreign_run = 0
        self._seen += rows
        self._missing.keep(rows)
        if self._buffer is not None:
            self._extend(self._buffer, values, kinds, moments)
        return rows

    def _compare(
        self,
        values: Sequence[Any],
        kinds: set[type],
        moments: Timestamps | None,
        changes: list[Detection],
    ) -> int | None:
        """Hold values against what is known; return how many were read where they say something.

        None where they say nothing. If it returns 0, nothing has been done.
        """
        if moments is not None and self._season.may_test_by(moments.latest):
            return 0
        if self._news is not None and not self._news.knows(values):
            return 0
        x, mark = doubles(values, kinds), self._runs.mark()
        if not self._runs.passes_over(values, x):
            return 0
        as_usual = self._hourly(values, x, moments)
        finding = None if self._series is None else self._series.run(*as_usual)
        if finding is not None:
            self._runs.rewind(mark)
            return self._read(self._usable(values, kinds, moments), None, 0, changes, finding)
        if self._news is not None:
            self._news.keep(len(values))
        if moments is not None:
            self._season.read(values, x, moments.minutes, None)
        return None

    def _consult(self) -> None:
        """Ask whether a rhythm is known by now; where that makes a difference, learn anew."""
        had_rhythm = self._season.profile is not None
        if self._season.test():
            if not had_rhythm and self._season.profile is not None:
                self._rhythm_since, self._is_away = self._seen, False
            self._series = None
            self._learning_since = self._seen
            self._stages = self._spec.season_stages
            self._buffer, self._buffer_minutes = [], MinuteLog()

    def _rows_until_stage(self) -> int:
        """Return the values after which a reference is due, at the earliest."""
        if self._buffer is None:
            return MAX_PART_ROWS
        rows = len(self._buffer)
        return self._stages[bisect_right(self._stages, rows)] - rows

    def _read(
        self,
        usable: CleanColumn,
        passed: Timestamps | None,
        start: int,
        changes: list[Detection],
        found: Finding | None = None,
    ) -> int:
        """Read inputs up to the first that ends what was learnt; return how many.

        Parameters
        ----------
        passed
            The moments of all rows, where a test of the season may be due with them.
        found
            What the series has found in them, where it has read them by now.
        """
        mark = self._runs.mark()
        stuck, kept = self._runs.filter(usable.values, usable.x)
        watched = usable if kept is None else usable.chosen(kept)
        finding = found
        if found is None and self._series is not None and watched.values:
            finding = self._series.run(*self._hourly(watched.values, watched.x, watched.moments))
        if finding is not None:
            usable = usable.until(finding.row if kept is None else kept[finding.row])
            watched = watched.until(finding.row)
            finding = replace(finding, row=usable.rows - 1)
            self._runs.rewind(mark)
            self._foreign_run = 0  # what comes after is still to be read
            stuck, _ = self._runs.filter(usable.values, usable.x)
        facts, original = self._facts(usable, stuck), self._original
        self._seen += usable.rows
        moments = watched.moments
        if moments is not None:
            rest = None if passed is None else passed.minutes[: usable.rows]
            self._season.read(watched.values, watched.x, moments.minutes, rest)
        told = []
        if finding is None:
            self._learn(watched)
        else:
            told = self._told(finding, moments)
        if self._foreign_run == FOREIGN_RUN_ROWS:
            self._forget_type()
        if facts or told:
            changes += self._changes(facts, told, original, start)
        return usable.rows

    def _changes(
        self,
        facts: Sequence[_Fact],
        told: Sequence[_Told],
        original: dict[str, Any] | None,
        start: int,
    ) -> list[Detection]:
        """Return what was found as changes, in the order of rows."""
        rhythm = self._season.profile
        found = [_change((*fact, ()), None, original, start) for fact in facts]
        found += [_change(each, rhythm, original, start) for each in told]
        return sorted(found, key=lambda change: change.index)

    def _told(self, finding: Finding, moments: Timestamps | None) -> list[_Told]:
        """Return a change as it is told, if it is; what it ends is learnt anew."""
        is_steady = self._series is not None and self._series.is_steady
        minute = None if moments is None else int(moments.minutes[-1])
        if self._season.explains(finding, minute, is_steady=is_steady):
            self._series = self._buffer = None  # until the day is over
            self._buffer_minutes = MinuteLog()
            return []
        moved = tuple(
            (name, before, now)
            for level, before, now in finding.moved[:MAX_MOVED]
            if (name := self._category(level)) is not None
        )
        told = [(finding, self._category(finding.category_index), moved)]
        self._season.note(finding)
        self._is_away, self._adopts = True, False
        self._relearn()
        return told

    def _hourly(
        self, values: Sequence[Value], x: Floats | None, moments: Timestamps | None
    ) -> tuple[Sequence[Value], Floats | None, Floats | None]:
        """Return what the series is to read: each value as at its hour."""
        rhythm = self._season.profile
        if rhythm is None or moments is None or self._series is None:
            return values, x, None
        if x is not None and rhythm.is_of_numbers:
            x = rhythm.adjust(x, moments.minutes)
            values = x.tolist()
        return values, x, rhythm.expected(self._series.watched, moments.minutes)

    def _usable(
        self, part: Sequence[Scalar], kinds: set[type], moments: Timestamps | None
    ) -> CleanColumn:
        """Take out what is missing or foreign; end early where foreign values are the rule."""
        accepts, rows = self._accepts, len(part)
        if kinds <= accepts:
            self._foreign_run = 0
            own = cast("Sequence[Value]", part)
            return CleanColumn(rows, own, kinds, doubles(own, kinds), moments, range(rows))
        places, foreign = [], []
        for row, value in enumerate(part):
            if type(value) in accepts:
                places.append(row)
                self._foreign_run = 0
            elif value is not None:
                foreign.append(row)
                self._foreign_run += 1
                if self._foreign_run == FOREIGN_RUN_ROWS:
                    rows = row + 1
                    break
        flags = np.ones(rows)
        flags[places] = 0.0
        flags[foreign] = 0.0
        own = cast("list[Value]", [part[row] for row in places])
        kinds = set(map(type, own))
        when = moments and moments.at(places)
        return CleanColumn(rows, own, kinds, doubles(own, kinds), when, places, flags, foreign)

    def _facts(self, usable: CleanColumn, stuck: Sequence[int]) -> list[_Fact]:
        """Apply the rules that no budget limits."""
        facts: list[_Fact] = []
        if usable.flags is not None or not self._missing.passes_over(usable.rows):
            flags = np.zeros(usable.rows) if usable.flags is None else usable.flags
            missing = self._missing.update(flags, MISSING_SHARE * self._false_alarms)
            facts += [(finding, None) for finding in missing]
        for row in usable.foreign:
            if self._types.lets_through(self._seen + row):
                facts.append((Finding(row=row, aspect="type", detector="rule"), None))
        if self._news is not None and usable.values:
            for index, value in self._news.update(usable.values):
                finding = Finding(row=usable.places[index], aspect="unseen", detector="rule")
                facts.append((finding, text_of(value)))
        for index in stuck:
            row, value = usable.places[index], usable.values[index]
            if not self._sticks.lets_through(self._seen + row):
                continue
            finding = Finding(
                row=row,
                aspect="stuck",
                detector="rule",
                figures=Figures(value=number_of(value), rows=self._runs.limit),
            )
            facts.append((finding, None))
        return facts

    def _category(self, level: int | None) -> str | None:
        return None if level is None or self._series is None else self._series.category(level)

    def _extend(
        self, buffer: Buffer, values: Sequence[Value], kinds: set[type], moments: Timestamps | None
    ) -> None:
        """Add values to what is learnt from."""
        self._buffer = extended(buffer, values, kinds)
        if moments is None:
            self._buffer_minutes = None
        elif self._buffer_minutes is not None:
            self._buffer_minutes.add(moments.kept)

    def _learn(self, watched: CleanColumn) -> None:
        if self._buffer is None or not watched.values:  # no stage is reached twice
            return
        self._extend(self._buffer, watched.values, watched.kinds, watched.moments)
        if len(self._buffer) not in self._stages:
            return
        is_last = len(self._buffer) == self._stages[-1]
        # Doubles are read where they lie: a list of them is as dear as what is made of it.
        learnt: Sequence[Value] = (
            self._buffer if isinstance(self._buffer, array) else list(self._buffer)
        )
        if self._accepts is ANY and self._spec.kind != "categorical":
            learnt = self._settle_type(list(learnt))
            self._buffer = extended([], learnt, set(map(type, learnt)))
        has_reference = self._build(learnt, is_last=is_last)
        if not is_last:
            return
        if has_reference:
            self._buffer, self._buffer_minutes = None, MinuteLog()
        else:
            self._learn_longer()

    def _learn_longer(self) -> None:
        """Leave out a beginning that was unlike the rest, else ask for a longer reference.

        Where there is none longer, begin anew.
        """
        last, values = self._stages[-1], list(self._buffer or ())
        recent = values[len(values) // 2 :]
        if self._is_at_rest(recent):
            self._buffer = extended([], recent, set(map(type, recent)))
            if self._buffer_minutes is not None:
                kept = bytes(self._buffer_minutes)[_MINUTE_BYTES * (len(values) - len(recent)) :]
                self._buffer_minutes = _log_of(kept)
        elif last < MAX_PATIENCE * self._spec.reference_rows:
            self._stages = (*self._stages, 2 * last)
        else:
            self._stages = self._spec.first_stages[-1:]
            self._buffer, self._buffer_minutes = [], MinuteLog()

    def _is_at_rest(self, values: Sequence[Value]) -> bool:
        """Tell whether values vary as they will; one value alone may be that of a day."""
        role = self._spec.role
        if role != "error" and all(value == values[0] for value in values):
            return False
        levels = category_levels(values, role, self._spec.kind)
        return not wanders(Sample(values, levels), role)

    def _settle_type(self, values: list[Value]) -> list[Value]:
        """Decide which types are the series' own, the others being foreign; return its values."""
        families = Counter(map(family, values))
        self._accepts = families.most_common(1)[0][0]
        if len(families) > 1:
            # A mixture is how the series is: another value of the other type is no news.
            self._types = RepeatLimit.silent()
            own = [row for row, value in enumerate(values) if type(value) in self._accepts]
            values = [values[row] for row in own]
            if self._buffer_minutes is not None:
                minutes = np.frombuffer(bytes(self._buffer_minutes), dtype=np.uint32)
                self._buffer_minutes = _log_of(minutes[own].tobytes())
        return values

    def _build(self, values: Sequence[Value], *, is_last: bool) -> bool:
        """Make the reference of what has been learnt, and what watches from here on.

        Return whether there is one: what wanders has none.
        """
        spec = self._spec
        levels = category_levels(values, spec.role, spec.kind)
        sample = Sample(values, levels)
        as_usual, hourly = self._as_usual(sample)
        if len(values) >= TRUSTED_RUN_ROWS and spec.role not in _EPISODIC:
            self._runs.learn(sample, self._false_alarms)
        is_calm = self._series is None or self._series.is_calm
        if is_calm and not self._is_given and wanders(as_usual, spec.role, hourly):
            self._series = None
            return False
        series = learn_series(as_usual, spec.role, self._value_budget, hourly)
        if self._series is None:
            self._series = series if is_last or series.is_settled else None
        elif is_calm:  # else an alarm is on its way: do not learn what causes it
            self._series = series
        self._learn_categories(values, levels, is_last=is_last)
        self._keep_original(series, hourly)
        self._adopts &= not is_last
        return True

    def _learn_categories(
        self, values: Sequence[Value], levels: Categories | None, *, is_last: bool
    ) -> None:
        """Set what is known, of which all else is news."""
        if levels is None or self._spec.role == "error":
            self._news = None  # a model's first mistake is no new category
        elif is_last and (self._news is None or not self._learning_since):
            self._news = UnseenRule.of(
                (*levels.watched, *values),
                is_closed=levels.is_closed,
                repeat_rows=self._stages[-1],
            )
        elif self._news is not None:
            self._news.learn(values)

    def _keep_original(self, series: Series, hourly: Hourly | None) -> None:
        """Take what has been learnt for the first reference, where it is that (Rule 5)."""
        if hourly is not None and not self._is_away:
            self._adopts |= "hours" not in (self._original or {})
        if self._learning_since and not self._adopts:
            return
        self._original = series.describe()
        if hourly is not None:
            self._original |= {"hours": hourly[0].hours}
            self._original |= shares_as_usual(self._original, *hourly)

    def _as_usual(self, sample: Sample) -> tuple[Sample, Hourly | None]:
        """Return values as at an average hour, where they have a rhythm, and what was taken off."""
        if self._buffer_minutes is None:
            return sample, None
        minutes, levels = _minutes_of(self._buffer_minutes), sample.categories
        names = watched_names(levels, self._spec.role) if levels is not None else ()
        rhythm = self._season.learn(sample, names, minutes)
        if rhythm is None:
            return sample, None
        if levels is not None:
            return sample, (rhythm, minutes)
        return Sample(rhythm.adjust(sample.x, minutes).tolist()), (rhythm, minutes)

    def _relearn(self) -> None:
        rows = self._seen - self._learning_since
        is_restless = self._series is not None and rows < RESTLESS * self._stages[-1]
        self._patience = min(2 * self._patience, MAX_PATIENCE) if is_restless else 1
        self._learning_since = self._seen
        self._runs.doubt()
        self._series = None
        self._stages = self._spec.later_stages(self._patience)
        self._buffer, self._buffer_minutes = [], MinuteLog()

    def restart(self, aspect: str) -> None:
        """Learn anew from the next value on, whatever has been learnt since the last alarm.

        The series is back at its first reference: what came in between must not be its normal.
        """
        if aspect == "missing":
            self._missing.restart()
        if aspect in {"missing", "unseen", "stuck", "type"}:
            return  # facts, after which nothing has been learnt anew
        self._series = None
        self._is_away = False
        self._learning_since = self._seen
        self._stages = self._spec.later_stages(self._patience)
        self._buffer, self._buffer_minutes = [], MinuteLog()

    def accept(self) -> None:
        """Take what the series has become as its first reference from here on."""
        self._original = None if self._series is None else self._series.describe()
        self._adopts = self._buffer is not None
        self._is_away = False

    def _forget_type(self) -> None:
        """Learn a series whose values have become another type as if it were new."""
        self._accepts = ANY
        self._foreign_run = 0
        self._news = None
        self._runs = StuckRule()
        self._season = Seasonality()
        self._relearn()

    def describe(self) -> dict[str, object]:
        """Return the first reference, and the present one if it is another, for display."""
        now = None if self._series is None else self._series.describe()
        return {
            "seen": self._seen,
            "is_learning": self.is_learning,
            "original": self._original,
            "reference": now,
            "season": self._season.describe(),
        }

    def snapshot(self) -> bytes:
        """Return the whole state; :meth:`restore` continues from it to the last bit."""
        return pack(
            {
                "false_alarms": self._false_alarms,
                "seen": self._seen,
                "accepts": _NAMES_OF[self._accepts],
                "foreign_run": self._foreign_run,
                "types": encode(self._types),
                "sticks": encode(self._sticks),
                "series": self._series and self._series.snapshot(),
                "original": self._original,
                "adopts": self._adopts,
                **({"is_away": True} if self._is_away else {}),
                **({"rhythm_since": self._rhythm_since} if self._rhythm_since >= 0 else {}),
                "runs": encode(self._runs),
                "news": self._news and encode(self._news),
                "missing": self._missing.snapshot(),
                "stages": list(self._stages),
                "patience": self._patience,
                "learning_since": self._learning_since,
                "buffer": _plain(self._buffer),
                "buffer_minutes": None
                if self._buffer_minutes is None
                else bytes(self._buffer_minutes),
                "season": encode(self._season),
            }
        )

    @classmethod
    def restore(
        cls, spec: WatchSpec, data: bytes, logs: dict[bytes, bytearray] | None = None
    ) -> "SeriesWatch":
        """Return the watch as it was.

        Parameters
        ----------
        logs
            Minutes that series of its model have in common; its own are added.

        Raises
        ------
        DamagedSnapshotError
            If the bytes are not what :meth:`snapshot` returned.
        """
        tree = unpack(data)
        watch = cls(spec)
        watch._false_alarms = tree["false_alarms"]
        watch._seen = tree["seen"]
        watch._accepts = next(
            types for types, names in _NAMES_OF.items() if names == tree["accepts"]
        )
        watch._foreign_run = tree["foreign_run"]
        watch._types = decode(tree["types"], RepeatLimit)
        watch._sticks = decode(tree["sticks"], RepeatLimit)
        watch._series = tree["series"] and restore_series(tree["series"])
        watch._original = tree["original"]
        watch._adopts = tree.get("adopts", False)
        watch._is_away = tree.get("is_away", False)
        watch._rhythm_since = tree.get("rhythm_since", -1)
        watch._runs = decode(tree["runs"], StuckRule)
        watch._news = tree["news"] and decode(tree["news"], UnseenRule)
        watch._missing = MissingRule.restore(tree["missing"])
        watch._stages = tuple(tree["stages"])
        watch._patience = tree["patience"]
        watch._learning_since = tree["learning_since"]
        watch._buffer = _buffer_of(tree["buffer"])
        minutes = tree.get("buffer_minutes")
        watch._buffer_minutes = None if minutes is None else _log_of(minutes, logs)
        watch._season = decode(tree["season"], Seasonality)
        return watch


def _plain(buffer: "Buffer | None") -> object:
    """Return what is learnt from as it is stored."""
    if isinstance(buffer, array):
        return np.array(buffer)
    return list(buffer) if isinstance(buffer, Codes) else buffer


def _buffer_of(kept: list[Value] | Floats | None) -> "Buffer | None":
    if isinstance(kept, np.ndarray):
        return array("d", kept.tobytes())
    if kept is None:
        return None
    kinds = set(map(type, kept))
    return kept if float in kinds else extended([], kept, kinds)


def _log_of(minutes: bytes, logs: dict[bytes, bytearray] | None = None) -> MinuteLog:
    if not minutes:
        return MinuteLog()
    log = bytearray(minutes) if logs is None else logs.setdefault(minutes, bytearray(minutes))
    return MinuteLog(log, len(minutes))


def _minutes_of(kept: MinuteLog) -> Minutes:
    return np.frombuffer(bytes(kept), dtype=np.uint32).astype(np.int64)


def _change(
    told: _Told, rhythm: HourProfile | None, original: dict[str, Any] | None, start: int
) -> Detection:
    finding, category, moved = told
    return Detection(
        index=start + finding.row,
        aspect=finding.aspect,
        category=category,
        detector=finding.detector,
        figures=finding.figures,
        moved=moved,
        profile=rhythm,
        reference=original,
    )
