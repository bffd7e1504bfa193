"""The outline of a reference: its distribution, for pictures and for figures of drift.

Rule 1. An outline is made from the reference as it is stored: nothing more is kept for it.
"""

from collections.abc import Sequence
from statistics import NormalDist
from typing import Literal

import numpy as np
from msgspec import Struct

from streams.values import Floats, Value

POINTS = 4_096
"""Evenly spaced ranks at which the smooth part of a number is taken: a share is off by at most
1 in 4,096, less than by chance in a reference of 2,000 rows."""
_RANKS = [(point + 0.5) / POINTS for point in range(POINTS)]
_SCORES: Floats = np.array([NormalDist().inv_cdf(rank) for rank in _RANKS])
Kind = Literal["numeric", "categorical", "constant", "names"]
NO_NUMBERS: Floats = np.empty(0)


class Outline(Struct, frozen=True):
    """The distribution of a reference.

    Parameters
    ----------
    kind
        The kind of its series.
    rows
        Values that it was made from.
    common, shares
        The values that have a share of their own, and these shares, 0 to 1.
    numbers
        The other values of a number, at evenly spaced ranks; none where they have no reference.
    mean, sd
        Mean and standard deviation of a number, where they are not those of the values above.
    is_profile
        Whether it is a profile from the spec; else it was learnt.
    """

    kind: Kind
    rows: int
    common: tuple[Value, ...] = ()
    shares: tuple[float, ...] = ()
    numbers: Floats = NO_NUMBERS
    mean: float | None = None
    sd: float | None = None
    is_profile: bool = False


def scores_of_ranks(ranks: Floats) -> Floats:
    """Return the normal scores of ranks, 0 to 1, to one of ``POINTS`` of them."""
    made: Floats = _SCORES[np.minimum((ranks * POINTS).astype(np.int64), POINTS - 1)]
    return made


def numbers_of(knots: Floats, scores: Floats) -> Floats:
    """Return the numbers of a scale at evenly spaced ranks: none beyond its knots.

    Parameters
    ----------
    knots, scores
        Rising values, and their normal scores.
    """
    made: Floats = np.interp(_SCORES, scores, knots)
    return made


def values_at(knots: Floats, scores: Floats, slopes: Sequence[float], wanted: Floats) -> Floats:
    """Return the values that have these scores: interpolated, and extended beyond the knots.

    Parameters
    ----------
    slopes
        Scores per unit below the first knot and above the last.
    """
    made: Floats = np.interp(wanted, scores, knots)
    low, high = wanted < scores[0], wanted > scores[-1]
    made[low] = knots[0] + (wanted[low] - scores[0]) / slopes[0]
    made[high] = knots[-1] + (wanted[high] - scores[-1]) / slopes[1]
    return made


def scores_at(knots: Floats, scores: Floats, slopes: Sequence[float], wanted: Floats) -> Floats:
    """Return the scores of these values."""
    made: Floats = np.interp(wanted, knots, scores)
    low, high = wanted < knots[0], wanted > knots[-1]
    made[low] = scores[0] + (wanted[low] - knots[0]) * slopes[0]
    made[high] = scores[-1] + (wanted[high] - knots[-1]) * slopes[1]
    return made
