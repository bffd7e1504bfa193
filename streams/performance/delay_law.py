"""The law of delays: which share of the outcomes of a class is known by an age.

Outcomes that are late are not seen yet, so the delays seen so far are too short. Reverse hazards
allow for it (Kalbfleisch & Lawless 1991; Lawless 1994): a cell of delays is judged by the days that
are old enough to show all of it.

Rule 1. A delay beyond the oldest day is taken to be none: `DelayLaw.settled_ms` tells from which
        age on the law can be trusted.
"""

import math
from typing import NamedTuple

import numpy as np

from streams.clock import Instants
from streams.values import Floats

FIRST_MS = 60_000
"""Milliseconds: delays below a minute share a cell."""
STEPS = 3
"""Cells of an octave. Between their ends the law is interpolated in logits by the logarithm of the
age, in which it is close to a line."""
CELLS = 1 + 22 * STEPS
"""To 8 years, the last cell holds what is longer."""
_ENDS = tuple(FIRST_MS * 2.0 ** (cell / STEPS) for cell in range(CELLS))
_ENDS_LOG = np.log2(_ENDS)
_LEAST = 1e-6
"""Distance of a share from 0 and 1 in a logarithm."""
_STEPS_AT = (0.5 * 2 ** (1 / 3), 0.5 * 2 ** (2 / 3))
"""Mantissas at which the second and the third cell of an octave begin."""
SETTLED = 0.99
"""Share of the outcomes of either class that is known at the settled age."""
SEEN_TIMES = 3
"""The oldest day has so many times the settled age, or the age to which outcomes are awaited: else
the tail cannot be known. Of lognormal delays that spread by a factor of 2, 1 in 10,000 lies
beyond."""
FEWEST = 20
"""Delays of a class without which nothing is said of it: their median is then known to a fifth of
the spread of the delays."""
_POINTS = 8
"""Parts of a day at which predictions are taken to have been made."""


def delay_cell(delay_ms: float) -> int:
    """Return the cell of a delay; it follows from the bits of the number alone.

    Examples
    --------
    >>> [delay_cell(ms) for ms in (0, 59_999, 60_000, 80_000, 120_000, 86_400_000)]
    [0, 0, 1, 2, 4, 32]
    """
    if delay_ms < FIRST_MS:
        return 0
    mantissa, exponent = math.frexp(delay_ms / FIRST_MS)
    step = (mantissa >= _STEPS_AT[0]) + (mantissa >= _STEPS_AT[1])
    return min(1 + (exponent - 1) * STEPS + step, CELLS - 1)


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
    is_seen = np.array(_ENDS) <= np.minimum(ages_ms, wait_ms)[:, None]  # day x cell
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
