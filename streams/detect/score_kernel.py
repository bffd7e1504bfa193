"""Normal scores by interpolation between the knots of a reference, compiled."""

from typing import NamedTuple

from streams.detect.compiled import Places, compiled, slots
from streams.values import Floats

CLIP = 3.5
"""Largest standardised score, in standard deviations: one wild value must not raise an alert.

A normal value is beyond it once in 2,149. The exponents of `streams.detect.budget.PAGE_HINKLEY`
depend on it.
"""
RAW_CLIP = 2 * CLIP
"""Largest score before it is standardised: one value of 1e300 must not be the whole mean."""


class ScaleSlots(NamedTuple):
    """The beginning of a table that holds a scale.

    Parameters
    ----------
    knots
        Number of knots. They stand behind the head of the table, and behind them their scores.
    low_slope, high_slope
        Scores per unit of value below the first knot and above the last one.
    """

    knots: int
    low_slope: int
    high_slope: int


SCALE = slots(ScaleSlots)


@compiled
def clipped(x: float, limit: float) -> float:
    """Return a number, held between ``-limit`` and ``limit``."""
    return max(-limit, min(limit, x))


@compiled
def place_below(knots: Floats, first: int, last: int, x: float) -> int:
    """Return the place, before ``last``, of the last knot from ``first`` on that is not above x.

    In steps of eight, then of four, two and one: to halve the rest takes half as long again, since
    a processor foresees none of its steps.
    """
    low = first
    while low + 8 < last and knots[low + 8] <= x:
        low += 8
    if low + 8 <= last:
        low += 4 if knots[low + 4] <= x else 0
        low += 2 if knots[low + 2] <= x else 0
        return low + 1 if knots[low + 1] <= x else low
    while low + 1 < last and knots[low + 1] <= x:
        low += 1
    return low


@compiled
def _on_line(x: float, low: float, high: float, low_score: float, high_score: float) -> float:
    # Halved: the whole difference of two doubles may be beyond a double.
    part = (x / 2 - low / 2) / (high / 2 - low / 2)
    return low_score + part * (high_score - low_score)


@compiled
def raw_score(table: Floats, head: int, x: float) -> float:
    """Return the score of a value: interpolated between knots, extended beyond them.

    ``head`` is the size of the table's head: the knots stand behind it.
    """
    knots = int(table[SCALE.knots])
    last = head + knots - 1
    if x <= table[head]:
        return float(table[head + knots] + (x - table[head]) * table[SCALE.low_slope])
    if x >= table[last]:
        return float(table[last + knots] + (x - table[last]) * table[SCALE.high_slope])
    low = place_below(table, head, last, x)
    high = low + 1
    return float(_on_line(x, table[low], table[high], table[low + knots], table[high + knots]))


@compiled
def clipped_score(table: Floats, head: int, x: float) -> float:
    """Return the `raw_score` of a value, held within bounds."""
    return clipped(raw_score(table, head, x), RAW_CLIP)


@compiled
def clipped_scores(table: Floats, head: int, values: Floats, order: Places, scores: Floats) -> None:
    """Write the `clipped_score` of each value, in an eighth of the time.

    ``order`` are the places of the values from the least to the greatest: no knot is looked for.
    """
    knots = int(table[SCALE.knots])
    low, last = head, head + knots - 1
    for row in order:
        x = values[row]
        if x <= table[head] or x >= table[last]:
            raw = raw_score(table, head, x)
        else:
            while table[low + 1] <= x:
                low += 1
            at, high = low + knots, low + 1
            raw = _on_line(x, table[low], table[high], table[at], table[at + 1])
        scores[row] = clipped(raw, RAW_CLIP)
