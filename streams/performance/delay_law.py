"""The law of delays: which share of the outcomes of a class is known by an age.

Outcomes that are late are not seen yet, so the delays seen so far are too short. Reverse hazards
allow for it (Kalbfleisch & Lawless 1991; Lawless 1994): a cell of delays is judged by the days that
are old enough to show all of it.

Rule 1. A delay beyond the oldest day is taken to be none: `DelayLaw.settled_ms` tells from which
        age on the law can be trusted.
Rule 2. Outcomes that come after the wait are never seen. Their share is that of a lognormal tail
        through the law at a quarter and a half of the wait: where errors come late, more of them
        are lost than of right answers.
"""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from streams.clock import Instants
from streams.detect.day_kernel import CELLS, FIRST_MS, STEPS
from streams.values import Floats

_ENDS = tuple(FIRST_MS * 2.0 ** (cell / STEPS) for cell in range(CELLS))
_ENDS_LOG = np.log2(_ENDS)
_LEAST = 1e-6
"""Distance of a share from 0 and 1 in a logarithm."""
SETTLED = 0.99
"""Share of the outcomes of either class that is known at the settled age."""
SEEN_TIMES = 3
"""The oldest day has so many times the settled age, or the age to which outcomes are awaited: else
the tail cannot be known. Of lognormal delays that spread by a factor of 2, 1 in 10,000 lies
beyond."""
FEWEST = 20
"""Delays of a class without which nothing is said of it: their median is then known to a fifth of
the spread of the delays."""
FEWEST_OF_TAIL = 200
"""Delays of a class from which its tail is told: a tail of 1 in 100 is then known to a half."""
_MOST_TAIL = 0.3
_HALVINGS = 30
_POINTS = 8
"""Parts of a day at which predictions are taken to have been made."""


class DelayLaw(NamedTuple):
    """The law of the delays of right answers and of errors.

    Parameters
    ----------
    known
        Two rows, right and wrong: the share known by the end of each cell.
    oldest_ms
        The age of the oldest day that it was made of, at most the wait for outcomes.
    wait_ms
        The wait for outcomes: no delay is longer.
    seen
        Delays of each class that it was made of.
    """

    known: Floats
    oldest_ms: int
    wait_ms: int
    seen: tuple[float, float]

    def share_known(self, youngest_ms: Instants, oldest_ms: Instants) -> Floats:
        """Return the mean share known between two ages: a row for each pair, a column a class."""
        points = (np.arange(_POINTS) + 0.5) / _POINTS
        spans = (oldest_ms - youngest_ms)[:, None]
        ages = np.maximum(youngest_ms[:, None] + points * spans, 1.0)
        at = np.log2(ages)
        shares = [
            1 / (1 + np.exp(-np.interp(at, _ENDS_LOG, np.log(row / (1 - row)))))
            for row in np.clip(self.known, _LEAST, 1 - _LEAST)
        ]
        return np.column_stack([each.mean(axis=1) for each in shares])

    def beyond(self) -> Floats:
        """Return the share of the outcomes of each class that comes after the wait (Rule 2)."""
        ends = self.oldest_ms * np.array((0.25, 0.5))
        at = np.log2(np.maximum(ends, 1.0))
        rows = np.clip(self.known, _LEAST, 1 - _LEAST)
        known = [1 / (1 + np.exp(-np.interp(at, _ENDS_LOG, np.log(r / (1 - r))))) for r in rows]
        return np.array(
            [
                _tail(*each.tolist()) if seen >= FEWEST_OF_TAIL else 0.0
                for each, seen in zip(known, self.seen, strict=True)
            ]
        )

    @property
    def median_ms(self) -> int:
        """The median delay of right answers, to the end of its cell."""
        return int(_ENDS[int((self.known[0] >= 0.5).argmax())])

    @property
    def settled_ms(self) -> int | None:
        """The age at which nearly all outcomes of both classes are known; None: not known yet.

        Errors may be none at all, as those of a regression are.
        """
        right, wrong = self.seen
        if right < FEWEST or 0 < wrong < FEWEST:
            return None
        is_known = (self.known >= SETTLED).all(axis=0)
        age_ms = round(_ENDS[int(is_known.argmax())])
        is_shown = self.oldest_ms >= min(age_ms * SEEN_TIMES, self.wait_ms)
        return min(age_ms, self.wait_ms) if is_shown else None


def _tail(at_quarter: float, at_half: float) -> float:
    """Return the share beyond the wait, of the shares known at a quarter and a half of it.

    In normal scores a lognormal law is a line over the logarithm of the age.
    """
    score = NormalDist().inv_cdf

    def bend(tail: float) -> float:
        of_all = 1 - tail
        return score(of_all) - 2 * score(of_all * at_half) + score(of_all * at_quarter)

    low, high = _LEAST, _MOST_TAIL
    if bend(low) <= 0 or bend(high) >= 0:
        return 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if bend(middle) > 0 else (low, middle)
    return round(low, 6)


def law_of(delays: Floats, ages_ms: Instants, wait_ms: int) -> DelayLaw:
    """Return the law of delays that days show.

    Parameters
    ----------
    delays
        Counts by day, class (right, wrong) and cell.
    ages_ms
        Milliseconds since the end of each day.
    wait_ms
        The wait for outcomes: no delay is longer.
    """
    ends = np.minimum(_ENDS, wait_ms)  # the wait ends within a cell
    is_seen = ends <= np.minimum(ages_ms, wait_ms)[:, None]  # day x cell
    counts = delays * is_seen[:, None, :]
    upto = delays.cumsum(axis=2) * is_seen[:, None, :]
    in_cell, in_all = counts.sum(axis=0), upto.sum(axis=0)
    hazard = np.divide(in_cell, in_all, out=np.zeros_like(in_cell), where=in_all > 0)
    hazard[:, 0] = 0.0
    later = np.cumprod((1 - hazard)[:, ::-1], axis=1)[:, ::-1]  # at or after each cell
    known = np.ones_like(later)
    known[:, :-1] = later[:, 1:]
    oldest_ms = min(int(ages_ms.max(initial=0)), wait_ms)
    seen = delays.sum(axis=(0, 2))
    return DelayLaw(known, oldest_ms, wait_ms, (float(seen[0]), float(seen[1])))
