"""Learn a series: when its reference is made, from which values, and which one is the first.

Rule 1. A series is learnt from its first values, watched from the 200th on with a divided budget,
        and better at each stage until ``reference_rows``. A short reference with slow motion in it
        (a wave, clumps) is not watched before that.
Rule 2. After a change the series relearns. If it alarms again before ``RESTLESS`` references have
        passed, the next one is twice as long, up to ``MAX_PATIENCE`` times: a series that seems to
        change all the time may have a rhythm.
Rule 3. Values that wander are given a longer reference, up to ``MAX_PATIENCE`` times, and are then
        learnt from the beginning. A beginning unlike the rest is left out.
Rule 4. The first reference stays, for display and for the check whether the series is back. The
        first one made with an hourly profile, while the series is not away, replaces it: it holds
        the series as at an average hour.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from msgspec import field

from streams.aspects import SeriesRole
from streams.codec import Machine, encode
from streams.detect.sample import Sample
from streams.series.categorical import categories_of, shares_as_usual
from streams.series.inputs import CleanColumn
from streams.series.kinds import wanders
from streams.series.learning_buffer import LearningBuffer
from streams.series.reference import Budget, Learnt, SeriesReference
from streams.series.unseen import UnseenRule
from streams.series.watch_spec import WatchSpec
from streams.series.wrong_type import WrongTypeRule
from streams.values import Value

MAX_PART_ROWS = 2_000
"""Values read at once by a series that learns nothing: it bounds the memory of a read."""
RESTLESS = 1.5
"""References. Measured (docs/decisions/0012): with 3, 16 % of errors that go up and down every
2,000 rows are missed; with 1.5, half a percent."""
JUST_BEGUN_ROWS = 300
"""Values: three blocks of the check that finds a series back (`streams.series.recovery`)."""
MAX_PATIENCE = 4
"""References: 8,000 values by default, the longest that is ever learnt (docs/decisions/0012)."""


class Learning(Machine):
    """The learning of one series.

    Attributes
    ----------
    buffer
        The values learnt from so far; None while nothing is learnt.
    original
        The first reference, as a series describes it; None before it is made.
    is_away
        Whether an alarm was raised since the series was at its first reference.
    is_of_training
        Whether the present reference, or the one being learnt, is of a table of training data,
        whose order says nothing.
    """

    _stages: tuple[int, ...]
    buffer: LearningBuffer | None = field(default_factory=LearningBuffer)
    _since: int = 0
    """Inputs of the series before this learning began."""
    _patience: int = 1
    original: dict[str, Any] | None = None
    _adopts: bool = False
    """Whether the reference being learnt becomes the first one."""
    is_away: bool = False
    is_of_training: bool = False

    def __post_init__(self) -> None:
        rows = 0 if self.buffer is None else len(self.buffer)
        if not (self._stages and self._stages[0] >= 1 and rows <= self._stages[-1]):
            raise ValueError(f"{rows} values do not fit the stages {self._stages}")

    @property
    def rows_until_stage(self) -> int:
        """Values until a reference is due, at the earliest."""
        if self.buffer is None:
            return MAX_PART_ROWS
        rows = len(self.buffer)
        return self._stages[bisect_right(self._stages, rows)] - rows

    def share_minutes(self, logs: dict[bytes, bytearray]) -> None:
        """Hold minutes in common with the other series of the model.

        Parameters
        ----------
        logs
            The logs of the model by their minutes; a new one is added.
        """
        if self.buffer is not None:
            self.buffer.share_minutes(logs)

    def has_just_begun(self, seen: int) -> bool:
        """Tell whether it has learnt less than a series that is back has shown.

        ``seen`` counts the inputs of the series: the buffer lacks those of a read that a change
        ends, so that it depends on where inputs are cut.
        """
        return self.buffer is not None and seen - self._since < JUST_BEGUN_ROWS

    def learn(
        self,
        column: CleanColumn,
        reference: SeriesReference,
        types: WrongTypeRule,
        spec: WatchSpec,
        budget: Budget,
    ) -> None:
        """Take values, at most up to the next stage; there, make the reference of all so far."""
        if self.buffer is None or not column.values:  # no stage is reached twice
            return
        self.buffer.add(column.values, column.kinds, column.moments)
        rows = len(self.buffer)
        if rows not in self._stages:
            return
        if types.family == "any":
            are_quantities = spec.role == "feature" and spec.kind == "auto"
            own = types.settle(self.buffer.values, spec.first_stages, are_quantities=are_quantities)
            if own is not None:
                self.buffer = self.buffer.chosen(own)
        is_last = rows == self._stages[-1]
        has_reference = self._make(self.buffer, reference, spec, budget, is_last=is_last)
        if is_last and has_reference:
            self.buffer = None
        elif is_last:
            self._learn_longer(self.buffer, spec)

    def _make(
        self,
        buffer: LearningBuffer,
        reference: SeriesReference,
        spec: WatchSpec,
        budget: Budget,
        *,
        is_last: bool,
    ) -> bool:
        """Make the reference; return whether there is one: values that wander have none."""
        values = buffer.values
        learnt = reference.learn(
            values, buffer.minutes, spec, budget, is_last=is_last, may_wander=self.is_of_training
        )
        if learnt is None:
            return False
        self._learn_categories(values, learnt, reference, spec.role, is_last=is_last)
        self._keep_original(learnt)
        self._adopts &= not is_last
        return True

    def _learn_categories(
        self,
        values: Sequence[Value],
        learnt: Learnt,
        reference: SeriesReference,
        role: SeriesRole,
        *,
        is_last: bool,
    ) -> None:
        """Add the categories of the reference to those known."""
        categories = learnt.categories
        if categories is None or role == "error":
            reference.unseen = None  # a model's first mistake is no unseen category
        elif is_last and (reference.unseen is None or not self._since):
            reference.unseen = UnseenRule.of(
                (*categories.watched, *values),
                is_closed=categories.is_closed,
                repeat_rows=self._stages[-1],
            )
        elif reference.unseen is not None:
            reference.unseen.learn(values)

    def _keep_original(self, learnt: Learnt) -> None:
        """Take the reference for the first one, where it is (Rule 4)."""
        if learnt.hourly is not None and not self.is_away:
            self._adopts |= (self.original or {}).get("hours") != learnt.hourly[0].hours
        if self._since and not self._adopts:
            return
        self.original = learnt.series.describe()
        if learnt.hourly is not None:
            self.original |= {"hours": learnt.hourly[0].hours}
            self.original |= shares_as_usual(self.original, *learnt.hourly)

    def _learn_longer(self, buffer: LearningBuffer, spec: WatchSpec) -> None:
        """Leave out a beginning that was unlike the rest, else ask for a longer reference.

        Where there is none longer, learn from the beginning.
        """
        last, values = self._stages[-1], buffer.values
        recent = slice(len(values) // 2, len(values))
        if _is_at_rest(values[recent], spec):
            self.buffer = buffer.chosen(recent)
        elif last < MAX_PATIENCE * spec.reference_rows:
            self._stages = (*self._stages, 2 * last)
        else:
            self._stages, self.buffer = spec.first_stages[-1:], LearningBuffer()

    def begin(self, stages: tuple[int, ...], seen: int) -> None:
        """Learn from the next value on, ``seen`` inputs after the beginning of the series."""
        self._stages, self._since, self.is_of_training = stages, seen, False
        self.buffer = LearningBuffer()

    def begin_after_change(self, spec: WatchSpec, seen: int, *, had_reference: bool) -> None:
        """Learn from the next value on; longer after a short-lived reference (Rule 2)."""
        is_restless = had_reference and seen - self._since < RESTLESS * self._stages[-1]
        self._patience = min(2 * self._patience, MAX_PATIENCE) if is_restless else 1
        self.begin(spec.later_stages(self._patience), seen)

    def begin_after_return(self, spec: WatchSpec, seen: int) -> None:
        """Learn from the next value on: the series is back at its first reference."""
        self.is_away = False
        self.begin(spec.later_stages(self._patience), seen)

    def begin_at_first(self, spec: WatchSpec, seen: int) -> None:
        """Learn from the next value on: what was learnt was not the first reference yet."""
        self.original, self.is_away, self._adopts = None, False, True
        self.begin(spec.season_stages, seen)

    def pause(self) -> None:
        """Learn nothing until the next beginning."""
        self.buffer = None

    def leave_reference(self) -> None:
        """Take note of an alarm: the next reference is not the first one."""
        self.is_away, self._adopts = True, False

    def accept(self, described: dict[str, Any] | None, spec: WatchSpec) -> None:
        """Take the present reference, as the series describes it, for the first one.

        Where there is none yet, one is made as early as at the beginning of a series: no alert is
        open any more that would tell what happens meanwhile, and a change would be learnt.
        """
        self.original = described
        self._adopts = self.buffer is not None
        self.is_away = False
        if self.buffer is not None and described is None:
            early = max(len(self.buffer) + 1, spec.first_stages[0])
            self._stages = (early, *(rows for rows in spec.first_stages if rows > early))

    @classmethod
    def of_table(cls, rows: int) -> "Learning":
        """Return the learning of a reference from a table of so many values."""
        return cls((rows,), is_of_training=True)

    def end_table(self, spec: WatchSpec, described: dict[str, Any] | None) -> None:
        """Take the reference made from a table for the first one of a live series."""
        self.original = described
        self._stages = spec.later_stages(1)

    def is_at_end_of_table(self, spec: WatchSpec, described: dict[str, Any]) -> bool:
        """Whether this is the state that `end_table` leaves, with this reference."""
        made = Learning(spec.later_stages(1), None, original=described, is_of_training=True)
        return encode(made) == encode(self)


def _is_at_rest(values: Sequence[Value], spec: WatchSpec) -> bool:
    """Tell whether values stay; one value alone may be that of a day."""
    if spec.role != "error" and all(value == values[0] for value in values):
        return False
    categories = categories_of(values, spec.role, spec.kind)
    return not wanders(Sample(values, categories), spec.role)
