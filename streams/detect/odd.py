"""Find odd numbers, few among many: a default in their range, or another unit.

Neither moves the mean or the spread of normal scores much.

Rule 1. A number that comes again and again is sought where hardly any does. One that has come
        twice within a few rows is the candidate; a CUSUM asks whether its share is 5 %.
Rule 2. A number is wild beyond three times the distance of the reference's extremes from its
        median. A CUSUM asks whether one in a hundred is. Where more than half of its rows are, the
        numbers have moved, which is for the statistics of mean and spread to tell.
Rule 3. A clump of equal numbers, or a blip of wild ones, reaches half of a threshold.
"""

import sys
from typing import NamedTuple

import numpy as np

from streams.change import Figures, Finding
from streams.codec import Machine
from streams.detect import odd_kernel
from streams.detect.budget import likelihood_threshold
from streams.detect.odd_kernel import FIRST, KINDS, ODD, REPEATS, RING, SIZE, WILD, WILDS
from streams.detect.sample import Sample
from streams.values import Floats, odds_of

MOST_EQUAL = 0.005
"""Largest share of rows of a reference with an equal number among the rows before them."""
REACH = 2.0
"""Distances of an extreme from the median that are added to it. By judgement: a Cauchy variable is
wild once in 6,000 rows, a normal one never."""
CANDIDATES = 10
"""Numbers among which the budget is divided: candidates of chance come as well. By judgement."""
_LARGEST = sys.float_info.max


class Odd(NamedTuple):
    """What was found at a row: a number that is repeated; None where numbers are wild, since."""

    row: int
    repeated: Finding | None
    rows: int


class OddNumbers(Machine):
    """Watch for numbers that are repeated or wild, of a series of numbers.

    Examples
    --------
    >>> rng = np.random.default_rng(3)
    >>> odd = OddNumbers.learn(Sample.of(rng.normal(size=2_000)))
    >>> odd.set_budget(0.001)
    >>> x = np.where(rng.random(2_000) < 0.05, 0.5, rng.normal(size=2_000))
    >>> found = odd.run(x, 2_000)
    >>> found.row < 400, odd.name, found.repeated.aspect
    (True, 0.5, 'share')
    """

    _state: Floats

    def __post_init__(self) -> None:
        # A kernel does not check its indices.
        if len(self._state) != SIZE or not 0 <= self._state[ODD.next] < RING:
            raise ValueError(f"a state of {len(self._state)} numbers is not of {SIZE}")

    @classmethod
    def learn(cls, sample: Sample) -> "OddNumbers":
        """Return the detector for a reference; it has no budget yet."""
        state = np.zeros(SIZE)
        low, middle, high = (float(sample.ordered[place]) for place in (0, len(sample) // 2, -1))
        # A state of finite numbers, whatever the reference: a profile's is checked.
        state[ODD.low] = max(low - REACH * (middle - low), -_LARGEST)
        state[ODD.high] = min(high + REACH * (high - middle), _LARGEST)
        equal = odd_kernel.equal_rows(sample.x)
        state[ODD.is_sought] = float(equal <= MOST_EQUAL * len(sample))
        odd = cls(state)
        odd.renew()
        return odd

    @property
    def name(self) -> float:
        """The number that is repeated."""
        return float(self._state[ODD.candidate])

    def move_to(self, state: Floats) -> None:
        """Keep the state in this array from now on (`streams.series.group`)."""
        state[:] = self._state
        self._state = state

    def take_back(self) -> None:
        """Keep the state in an array of its own again."""
        self._state = self._state.copy()

    def set_budget(self, false_alarms: float) -> None:
        """Set the thresholds, for so many false alarms per 10,000 rows; each rule has half."""
        self._state[REPEATS.threshold] = likelihood_threshold(false_alarms / 2 / CANDIDATES)
        self._state[WILDS.threshold] = likelihood_threshold(false_alarms / 2)

    def renew(self) -> None:
        """Forget all values read since the reference was made."""
        state = self._state
        for run in (REPEATS, WILDS):
            state[run.nats] = state[run.rows] = state[run.hits] = 0.0
        state[ODD.next] = state[ODD.candidate] = 0.0
        state[FIRST:] = _LARGEST  # no number of a series

    def run(self, x: Floats, learnt: int) -> Odd | None:
        """Read values until some are odd; ``learnt`` is the number of rows of the reference."""
        found = odd_kernel.next_odd(self._state, x)
        if found < 0:
            return None
        row, kind = divmod(found, KINDS)
        run = WILDS if kind == WILD else REPEATS
        rows = int(self._state[run.rows])
        if kind == WILD:
            return Odd(row, None, rows)
        value = float(self._state[run.hits]) / rows
        figures = Figures(
            value=value,
            baseline=0.0,
            effect=odds_of(value, rows) / odds_of(0.0, learnt),
            unit="odds_ratio",
            direction="up",
            rows=rows,
        )
        return Odd(row, Finding(row, "share", "cusum", figures), rows)
