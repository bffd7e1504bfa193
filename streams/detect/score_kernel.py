"""Normal scores by interpolation between the knots of a reference, compiled."""

from streams.detect.compiled import Places, compiled
from streams.values import Floats

CLIP = 3.5
"""Scores are held within this many standard deviations: one wild value must not page anyone."""
_RAW_CLIP = 2 * CLIP


@compiled
def place_below(knots: Floats, first: int, last: int, x: float) -> int:
    """Return the place, before ``last``, of the last knot from ``first`` on that is not above x."""
    low, high = first, last
    while high - low > 1:
        middle = (low + high) // 2
        if knots[middle] <= x:
            low = middle
        else:
            high = middle
    return low


@compiled
def _on_line(x: float, low: float, high: float, low_score: float, high_score: float) -> float:
    # Halved: the whole difference of two doubles may be beyond a double.
    part = (x / 2 - low / 2) / (high / 2 - low / 2)
    return low_score + part * (high_score - low_score)


@compiled
def _raw(table: Floats, knots_at: int, first: int, x: float) -> float:
    """Return the score of a value: interpolated between knots, extended beyond them.

    At ``knots_at`` the table says how many knots there are, then the slopes below and above them.
    They stand from ``first`` on, and after them their scores.
    """
    knots = int(table[knots_at])
    last = first + knots - 1
    if x <= table[first]:
        return float(table[first + knots] + (x - table[first]) * table[knots_at + 1])
    if x >= table[last]:
        return float(table[last + knots] + (x - table[last]) * table[knots_at + 2])
    low = place_below(table, first, last, x)
    high = low + 1
    return float(_on_line(x, table[low], table[high], table[low + knots], table[high + knots]))


@compiled
def _hold(raw: float) -> float:
    return max(-_RAW_CLIP, min(_RAW_CLIP, raw))


@compiled
def _standard(raw: float, mean: float, scale: float) -> float:
    return max(-CLIP, min(CLIP, (raw - mean) * scale))


HOURS, GRID_KNOTS, GRID_LOW_SLOPE, GRID_HIGH_SLOPE, CENTRE, TABLE_HEAD = 0, 1, 2, 3, 4, 5


@compiled
def raw_score(table: Floats, x: float) -> float:
    """Return where a value lies between the knots of a table, going on beyond them."""
    return _raw(table, GRID_KNOTS, TABLE_HEAD, x)


@compiled
def held_score(table: Floats, x: float) -> float:
    """Return the raw score of a value, held within bounds."""
    return _hold(raw_score(table, x))


@compiled
def held_in_order(table: Floats, values: Floats, order: Places, held: Floats) -> None:
    """Write the `held_score` of each value, in an eighth of the time.

    ``order`` are the places of the values from the least to the greatest: no knot is looked for.
    """
    knots = int(table[GRID_KNOTS])
    low, last = TABLE_HEAD, TABLE_HEAD + knots - 1
    for row in order:
        x = values[row]
        if x <= table[TABLE_HEAD] or x >= table[last]:
            raw = raw_score(table, x)
        else:
            while table[low + 1] <= x:
                low += 1
            at, high = low + knots, low + 1
            raw = _on_line(x, table[low], table[high], table[at], table[at + 1])
        held[row] = _hold(raw)
