"""A value that has stuck.

Rule 1. A run is too long when neither the reference's own runs, three times over, nor chance at the
        share of the commonest value explain it.
Rule 2. A stuck value is raised once a run. Its repetitions are excluded from learning.
Rule 3. Where the longest run fills a quarter of the reference, no run is too long: the reference
        has too few of them to tell which are usual.
Rule 4. Where one value fills most of the rows (a flag, a count of a rare word), no run is too long:
        a run of it is a change of its share, which is watched, and which its usual clumps widen.
"""

import math
from collections.abc import Sequence

import numpy as np

from streams.codec import Machine
from streams.detect import compiled, run_kernel
from streams.detect.budget import longest_chance_run
from streams.detect.sample import Sample
from streams.values import Floats, Value

SHORTEST_STUCK_RUN = 20
"""Values. Chosen: no shorter run is stuck, whatever its chance, as an operator would judge."""
RUN_MARGIN = 3
"""A run is believed up to so many times the longest of the reference."""
FEWEST_RUNS = 4
"""Longest runs that a reference must have room for (Rule 3)."""
MAJORITY = 0.5
"""Share of the commonest value from which no run is too long (Rule 4). Such a value is watched by
its share; stuck at it, a share of one half has changed within 20 rows."""
COMMON_SHARE = 0.05
"""A share of the commonest value from which chance makes long runs, so that the limit rests on it;
also the share from which a value is a heap (`streams.series.numeric.MIN_HEAP_SHARE`)."""
DOUBT = 5
"""The factor of the limit while such a share is learnt again: five times the limit by chance at a
share p is the limit at p ** (1/5), which is .55 for .05."""
Mark = tuple[int, Value | None]
"""A position: the length of the present run, and its value."""
_NO_RUNS: compiled.Runs = np.empty(0, dtype=np.int64)


class StuckRule(Machine):
    """Raise a value that has stuck, and leave its repetitions out.

    Attributes
    ----------
    limit
        Length of the shortest run that is too long, in values; 0 before it is learnt.
    """

    limit: int = 0
    _run: int = 0
    _last: Value | None = None
    _top_share: float = 0.0

    def learn(self, sample: Sample, false_alarms: float) -> None:
        """Set the limit from a reference and the budget, in false alarms per 10,000 values."""
        if sample.categories is None:
            codes, commonest_rows = sample.x, sample.commonest_rows
        else:
            is_text = str in map(type, sample.values)
            codes, _ = _codes(sample.values, None if is_text else sample.x, None)
            commonest_rows = run_kernel.longest_equal(np.sort(codes))
        top = commonest_rows / len(codes)
        self._top_share = top
        longest = run_kernel.longest_equal(codes)
        if FEWEST_RUNS * longest > len(codes) or top > MAJORITY:
            self.limit = 0
            return
        chance = longest_chance_run(top, false_alarms)
        self.limit = max(SHORTEST_STUCK_RUN, RUN_MARGIN * longest, chance)

    def filter(
        self, values: Sequence[Value], x: Floats | None
    ) -> tuple[list[int], list[int] | None]:
        """Read values; return the rows where one has stuck, and the rows to keep if not all.

        The ``limit``-th value of a run has stuck. Its later repetitions are not kept either.

        Parameters
        ----------
        x
            The values as doubles; None where one is text.
        """
        if self.pass_over(values, x) is not None:
            return [], None
        codes, last = _codes(values, x, self._last)
        runs = np.empty(len(codes), dtype=np.int64)
        _, self._run = run_kernel.run_equal(codes, last, self._run, runs)
        self._last = values[-1]
        stuck, kept = np.flatnonzero(runs == self.limit), np.flatnonzero(runs < self.limit)
        return stuck.tolist(), kept.tolist()

    def pass_over(self, values: Sequence[Value], x: Floats | None) -> Mark | None:
        """Read values of which none has stuck; return the position before, for :meth:`rewind`.

        If one has stuck, do nothing and return None.
        """
        mark = self._run, self._last
        if self.limit == 0 or not values:
            return mark
        codes, last = _codes(values, x, self._last)
        longest, run = run_kernel.run_equal(codes, last, self._run, _NO_RUNS)
        if longest >= self.limit:
            return None
        self._run, self._last = run, values[-1]
        return mark

    def go_on(self, run: int, last: Value) -> None:
        """Take the position behind values of which none has stuck, as `pass_over` leaves it."""
        if self.limit:
            self._run, self._last = run, last

    @property
    def last(self) -> Value | None:
        """The value of the present run; None before the first."""
        return self._last

    def doubt(self) -> None:
        """Believe longer runs while the shares that the limit rests on are learnt again."""
        if self._top_share >= COMMON_SHARE:
            self.limit *= DOUBT
            self._top_share = 0.0

    def mark(self) -> Mark:
        """Return the position for :meth:`rewind`."""
        return self._run, self._last

    def rewind(self, mark: Mark) -> None:
        """Return to the position at which :meth:`mark` was called."""
        self._run, self._last = mark


def _codes(values: Sequence[Value], x: Floats | None, last: Value | None) -> tuple[Floats, float]:
    """Return numbers that are equal where values are, and the number of ``last``.

    The numbers of words differ from batch to batch.
    """
    if x is not None and not isinstance(last, str):
        return x, math.nan if last is None else float(last)
    numbers = {value: float(number) for number, value in enumerate(dict.fromkeys(values))}
    codes = np.fromiter(map(numbers.__getitem__, values), dtype=np.float64, count=len(values))
    return codes, math.nan if last is None else numbers.get(last, math.nan)
