"""The segments in which a model has become worse, and the part of a change that is of the mix.

Rule 1. A segment is judged against the errors to be expected of its rows' risks, and of the ratio
        that it had in the reference.
Rule 2. A pair of values is named only where it says clearly more than the better of the two alone.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.values import Floats

LEAST_ROWS = 30
"""Rows of a segment that may be named. By judgement."""
CLEARLY = 3.0
"""Nats by which a pair must beat the better of its halves: 1 of 20 by chance, for each pair."""
MOST = 5
"""Segments that are named."""
Codes = NDArray[np.uint8]


class Part(NamedTuple):
    """A value of a dimension, by their places."""

    dimension: int
    code: int


class FoundSegment(NamedTuple):
    """A segment that has become worse.

    Parameters
    ----------
    gain
        Log-likelihood ratio of its errors (Kulldorff 1997), in nats.
    rows, errors, expected
        Its rows, their errors, and those to be expected.
    parts
        Its values: one or two.
    """

    gain: float
    rows: int
    errors: int
    expected: float
    parts: tuple[Part, ...]


class Rows(NamedTuple):
    """Labelled rows: a row of codes each, its risk, and whether it is an error."""

    codes: Codes
    risks: Floats
    errors: Floats


def find_segments(rows: Rows, ratios: Sequence[Floats]) -> list[FoundSegment]:
    """Return the segments with the most errors beyond those to be expected, at most ``MOST``.

    Parameters
    ----------
    ratios
        For each dimension, the ratio of errors to expected ones of each code in the reference; 0
        is not watched.
    """
    singles = [each for place in range(len(ratios)) for each in _of_one(rows, place, ratios)]
    pairs = [
        each for both in combinations(range(len(ratios)), 2) for each in _of_two(rows, both, ratios)
    ]
    best = {each.parts[0]: each.gain for each in singles}
    clear = [
        each
        for each in pairs
        if each.gain >= max(best.get(part, 0.0) for part in each.parts) + CLEARLY
    ]
    found = sorted([*singles, *clear], key=lambda each: (-each.gain, each.parts))
    return _without_overlap(found)[:MOST]


def _without_overlap(found: list[FoundSegment]) -> list[FoundSegment]:
    """Leave out a segment that shares a value with a stronger one: it has the same rows."""
    kept: list[FoundSegment] = []
    for each in found:
        if not any(set(each.parts) & set(other.parts) for other in kept):
            kept.append(each)
    return kept


def _of_one(rows: Rows, place: int, ratios: Sequence[Floats]) -> Iterator[FoundSegment]:
    keys, size = rows.codes[:, place].astype(np.intp), len(ratios[place])
    for key, found in _gains(keys, rows, ratios[place][keys], size):
        yield found._replace(parts=(Part(place, key),))


def _of_two(
    rows: Rows, places: tuple[int, int], ratios: Sequence[Floats]
) -> Iterator[FoundSegment]:
    first, second = (rows.codes[:, place].astype(np.intp) for place in places)
    width = len(ratios[places[1]])
    ratio = ratios[places[0]][first] * ratios[places[1]][second]
    for key, found in _gains(first * width + second, rows, ratio, len(ratios[places[0]]) * width):
        codes = divmod(key, width)
        yield found._replace(parts=tuple(map(Part, places, codes)))


def _gains(
    keys: NDArray[np.intp], rows: Rows, ratio: Floats, size: int
) -> Iterator[tuple[int, FoundSegment]]:
    n = np.bincount(keys, minlength=size)
    errors = np.bincount(keys, weights=rows.errors, minlength=size)
    expected = np.bincount(keys, weights=rows.risks * ratio, minlength=size)
    for key in np.flatnonzero((n >= LEAST_ROWS) & (errors > expected) & (expected > 0)).tolist():
        o, e = float(errors[key]), float(expected[key])
        gain = o * float(np.log(o / e)) - (o - e)
        yield key, FoundSegment(gain, int(n[key]), int(o), e, ())


class Decomposition(NamedTuple):
    """The parts of a change of the error rate (Kitagawa 1955), and what is compared.

    Parameters
    ----------
    mix
        The part of other shares of the values, at the old error rates.
    within
        The part of other error rates within the values.
    """

    mix: float
    within: float


def decompose(
    before: Floats, before_errors: Floats, now: Floats, now_errors: Floats
) -> Decomposition:
    """Divide the change of an error rate by the values of one dimension.

    Parameters
    ----------
    before, before_errors, now, now_errors
        Rows and errors of each value, in the reference and since the onset.

    Examples
    --------
    >>> x = np.array
    >>> decompose(x([50, 50]), x([0, 10]), x([0, 100]), x([0, 20]))
    Decomposition(mix=0.1, within=0.0)
    """
    shares = [rows / max(float(rows.sum()), 1.0) for rows in (before, now)]
    usual = float(before_errors.sum()) / max(float(before.sum()), 1.0)
    rate = np.where(before > 0, before_errors / np.maximum(before, 1), usual)
    rate_now = np.where(now > 0, now_errors / np.maximum(now, 1), rate)
    mix = float(((shares[1] - shares[0]) * rate).sum())
    within = float((shares[1] * (rate_now - rate)).sum())
    return Decomposition(mix, within)
