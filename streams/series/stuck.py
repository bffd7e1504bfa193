"""Rules about the values themselves: missing, of another type, never seen before, stuck.

They cost nothing of the alert budget, because each is a fact and not a guess.

Rule 1. A value that was never missing in a whole reference is news when it is missing once.
Rule 2. A category is news only where the reference left no room for new ones.
Rule 3. The same news waits twice as long each time: a flood of it is one alarm, then silence.
Rule 4. A stuck value is said once, and its repetitions are nobody's new reference. Where the runs
        of the reference are so long that it has but a few of them, none is too long.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from streams.detect import compiled, run_kernel
from streams.detect.budget import longest_chance_run
from streams.detect.sample import Sample
from streams.values import Floats, Value

SHORTEST_STUCK_RUN = 20
FEWEST_RUNS = 4
COMMON_SHARE = 0.05
DOUBT = 5
_NO_RUNS: compiled.Runs = np.empty(0, dtype=np.int64)


class StuckRule:
    """Notice a value that has stuck, and leave its repetitions out.

    A run is too long when neither the reference's own runs, three times over, nor chance at the
    share of the commonest value explain it.

    Attributes
    ----------
    limit
        Equal values in a row that are one too many; 0 before it is learnt.
    """

    __slots__ = ("_last", "_run", "_top_share", "limit")

    def __init__(self) -> None:
        self._last: Value | None = None
        self._run = 0
        self._top_share = 0.0
        self.limit = 0

    def learn(self, sample: Sample, false_alarms: float) -> None:
        """Set the longest run that is still believed."""
        if sample.categories is None:
            codes, commonest_rows = sample.x, sample.commonest_rows
        else:
            is_text = str in map(type, sample.values)
            codes, _ = _codes(sample.values, None if is_text else sample.x, None)
            commonest_rows = run_kernel.longest_equal(np.sort(codes))
        top = commonest_rows / len(codes)
        self._top_share = top
        longest = run_kernel.longest_equal(codes)
        if FEWEST_RUNS * longest > len(codes):
            self.limit = 0
            return
        chance = longest_chance_run(top, false_alarms)
        self.limit = max(SHORTEST_STUCK_RUN, 3 * longest, chance)

    def filter(
        self, values: Sequence[Value], x: Floats | None
    ) -> tuple[list[int], list[int] | None]:
        """Read values; return the rows where one has stuck, and the rows to keep if not all.

        A run's ``limit``-th value has stuck; what repeats it after that is not to be kept either.

        Parameters
        ----------
        x
            The values as doubles; None where one is text.
        """
        if self.passes_over(values, x):
            return [], None
        codes, last = _codes(values, x, self._last)
        runs = np.empty(len(codes), dtype=np.int64)
        _, self._run = run_kernel.run_equal(codes, last, self._run, runs)
        self._last = values[-1]
        stuck, kept = np.flatnonzero(runs == self.limit), np.flatnonzero(runs < self.limit)
        return stuck.tolist(), kept.tolist()

    def passes_over(self, values: Sequence[Value], x: Floats | None) -> bool:
        """Read values among which none has stuck; if one has, do nothing and return False."""
        if self.limit == 0 or not values:
            return True
        codes, last = _codes(values, x, self._last)
        longest, run = run_kernel.run_equal(codes, last, self._run, _NO_RUNS)
        if longest >= self.limit:
            return False
        self._run, self._last = run, values[-1]
        return True

    def doubt(self) -> None:
        """Believe longer runs while the shares that the limit rests on are being learnt anew."""
        if self._top_share >= COMMON_SHARE:
            self.limit *= DOUBT
            self._top_share = 0.0

    def mark(self) -> tuple[int, Value | None]:
        """Return what :meth:`rewind` goes back to."""
        return self._run, self._last

    def rewind(self, mark: tuple[int, Value | None]) -> None:
        """Go back to where :meth:`mark` was called."""
        self._run, self._last = mark

    def snapshot(self) -> dict[str, Any]:
        """Return the state as a tree for :func:`streams.codec.pack`."""
        state = np.array([0.0, self._run, self.limit])
        return {"state": state, "last": self._last, "top_share": self._top_share}

    @classmethod
    def restore(cls, tree: dict[str, Any]) -> "StuckRule":
        """Return the rule as it was."""
        rule = cls()
        rule._run, rule.limit = map(int, tree["state"][1:])
        rule._last = tree["last"]
        rule._top_share = tree["top_share"]
        return rule


def _codes(values: Sequence[Value], x: Floats | None, last: Value | None) -> tuple[Floats, float]:
    """Return numbers that are equal where values are, and the number that stands for ``last``.

    They stand for words within one batch only.
    """
    if x is not None and not isinstance(last, str):
        return x, math.nan if last is None else float(last)
    numbers = {value: float(number) for number, value in enumerate(dict.fromkeys(values))}
    codes = np.fromiter(map(numbers.__getitem__, values), dtype=np.float64, count=len(values))
    return codes, math.nan if last is None else numbers.get(last, math.nan)
