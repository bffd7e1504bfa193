"""Find odd numbers, few among many: a default in their range, or another unit.

Neither moves the mean or the spread of normal scores much.

Rule 1. A number that comes again and again is sought where hardly any does: where no block of the
        reference had one three times. Blocks that have one, and those that follow while its share
        may have risen, are read by `streams.detect.risen`, with its thresholds.
Rule 2. A number is wild beyond three times the distance of the reference's extremes from its
        median. A CUSUM asks whether one in a hundred is.
"""

import math

import numpy as np

from streams.change import Finding
from streams.codec import Machine
from streams.detect import odd_kernel
from streams.detect.budget import likelihood_threshold
from streams.detect.odd_kernel import BLOCK_ROWS, KINDS, ODD, SIZE, WILD
from streams.detect.risen import FEWEST, LEAST_CATEGORIES, RisenCategory
from streams.detect.sample import Sample
from streams.values import Floats, Value

MOST_SHARE = 0.0025
"""Largest share of one number in a reference: one in 400 rows. Others are heaps, or categories."""
REACH = 2.0
"""Distances of an extreme from the median that are added to it. By judgement: a Cauchy variable is
wild once in 6,000 rows, a normal one never."""
WILD_SHARE, USUAL_SHARE = 0.01, 5e-5
"""Shares of wild numbers between which the CUSUM decides."""


class OddNumbers(Machine):
    """Watch for numbers that are repeated or wild, of a series of numbers.

    Examples
    --------
    >>> rng = np.random.default_rng(3)
    >>> odd = OddNumbers.learn(Sample.of(rng.normal(size=2_000)))
    >>> odd.set_budget(0.001)
    >>> x = np.where(rng.random(2_000) < 0.05, 0.5, rng.normal(size=2_000))
    >>> row, finding = odd.run(x)
    >>> row < 400, odd.name, finding.aspect
    (True, 0.5, 'share')
    """

    _state: Floats
    _risen: RisenCategory | None

    def __post_init__(self) -> None:
        # A kernel does not check its indices.
        if len(self._state) != SIZE or not 0 <= self._state[ODD.rows] <= BLOCK_ROWS:
            raise ValueError(f"a state of {len(self._state)} numbers is not of {SIZE}")

    @classmethod
    def learn(cls, sample: Sample) -> "OddNumbers":
        """Return the detector for a reference; it has no budget yet."""
        state = np.zeros(SIZE)
        low, middle, high = (float(sample.ordered[place]) for place in (0, len(sample) // 2, -1))
        state[ODD.low] = low - REACH * (middle - low)
        state[ODD.high] = high + REACH * (high - middle)
        state[ODD.hit] = math.log(WILD_SHARE / USUAL_SHARE)
        state[ODD.miss] = math.log((1 - USUAL_SHARE) / (1 - WILD_SHARE))
        state[ODD.threshold] = math.inf
        risen = None
        if sample.commonest_rows <= MOST_SHARE * len(sample):
            state[ODD.least] = FEWEST
            if odd_kernel.next_odd(state, sample.x, 0) < 0:
                risen = RisenCategory(len(sample), {}, LEAST_CATEGORIES, False)
        odd = cls(state, risen)
        odd.renew()
        return odd

    @property
    def name(self) -> Value | None:
        """The number that is repeated."""
        return None if self._risen is None else self._risen.name

    @property
    def run_rows(self) -> int:
        """Rows since wild numbers began to come."""
        return int(self._state[ODD.run_rows])

    def set_budget(self, false_alarms: float) -> None:
        """Set the thresholds, for so many false alarms per 10,000 rows; each rule has half."""
        self._state[ODD.threshold] = likelihood_threshold(false_alarms / 2)
        if self._risen is not None:
            self._risen.set_budget(false_alarms / 2)

    def renew(self) -> None:
        """Forget all values read since the reference was made."""
        state = self._state
        state[ODD.rows] = state[ODD.most] = state[ODD.nats] = state[ODD.run_rows] = 0.0
        state[ODD.least] = math.inf
        if self._risen is not None:
            self._risen.renew()
            state[ODD.least] = FEWEST

    def run(self, x: Floats) -> tuple[int, Finding | None] | None:
        """Read values until some are odd.

        Returns
        -------
        row, finding
            The last row read, and the number that is repeated; None for wild numbers.
        """
        first = 0
        while True:
            found = odd_kernel.next_odd(self._state, x, first)
            if found < 0:
                return None
            row, kind = divmod(found, KINDS)
            if kind == WILD:
                return row, None
            repeated = self._read_block(row)
            if repeated is not None:
                return row, repeated
            first = row + 1

    def _read_block(self, row: int) -> Finding | None:
        risen = self._risen
        if risen is None:
            return None
        found = risen.read_block(self._state[len(ODD) :].tolist(), row)
        self._state[ODD.least] = 0.0 if risen.has_runs else FEWEST
        return found
