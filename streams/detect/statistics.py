"""The figures of a reference, compiled: what several calls of numpy would say, in one.

A reference is made of a few hundred values, several times while a series is learnt, for hundreds of
series at once: what each call of numpy costs was more than what its loop takes.

Rule 1. A figure is numpy's own to the last bit: sums are added up by halves, in numpy's order.
Rule 2. A figure is of the rows it is given, and of nothing else.
"""

import math

import numpy as np

from streams.detect.compiled import Places, compiled
from streams.detect.score_kernel import CLIP
from streams.values import Floats

INFLATION_BLOCK_ROWS = 50
STRETCHES = 16
_FEW, _HALVINGS = 128, 64


@compiled
def _term(away: float, power: int) -> float:
    return away * away if power == 2 else away


@compiled
def _few(x: Floats, start: int, rows: int, centre: float, power: int) -> float:
    a = b = c = d = e = f = g = h = 0.0
    eights = rows // 8 * 8
    for row in range(start, start + eights, 8):
        a += _term(x[row] - centre, power)
        b += _term(x[row + 1] - centre, power)
        c += _term(x[row + 2] - centre, power)
        d += _term(x[row + 3] - centre, power)
        e += _term(x[row + 4] - centre, power)
        f += _term(x[row + 5] - centre, power)
        g += _term(x[row + 6] - centre, power)
        h += _term(x[row + 7] - centre, power)
    total: float = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for row in range(start + eights, start + rows):
        total += _term(x[row] - centre, power)
    return total


@compiled
def _sum(x: Floats, start: int, rows: int, centre: float, power: int) -> float:
    """Return the sum of differences from ``centre``, or of their squares where ``power`` is 2.

    What calls itself is not compiled to disk (numba 0.65 crashes on it): the halves that are still
    to be added are kept by hand, the sum of each first half and the rows of its second.
    """
    if rows <= _FEW:
        return _few(x, start, rows, centre, power)
    firsts, seconds = np.empty(_HALVINGS), np.empty(_HALVINGS, np.int64)
    depth = 0
    while True:
        while rows > _FEW:
            half = rows // 2 // 8 * 8
            seconds[depth] = rows - half
            depth += 1
            rows = half
        total = _few(x, start, rows, centre, power)
        start += rows
        while depth > 0 and seconds[depth - 1] == 0:
            depth -= 1
            total = firsts[depth] + total
        if depth == 0:
            return total
        firsts[depth - 1], rows = total, seconds[depth - 1]
        seconds[depth - 1] = 0


@compiled
def _mean(x: Floats, start: int, rows: int) -> float:
    return float(_sum(x, start, rows, 0.0, 1) / rows)


@compiled
def _variance(x: Floats) -> float:
    mean = _mean(x, 0, len(x))
    return float(_sum(x, 0, len(x), mean, 2) / len(x))


@compiled
def mean_and_sd(x: Floats, parts: Floats) -> tuple[float, float]:
    """Return mean and standard deviation, finite even at the edge of a double.

    ``parts`` is room for as many values.
    """
    scale = 0.0
    for row in range(len(x)):
        scale = max(scale, abs(x[row]))
    if scale == 0.0:
        scale = 1.0
    for row in range(len(x)):
        parts[row] = x[row] / scale
    return _mean(parts, 0, len(x)) * scale, math.sqrt(_variance(parts)) * scale


@compiled
def block_inflation(x: Floats) -> float:
    """Return how much more the means of 50-row blocks vary than independent rows would let them.

    1 unless it is beyond three standard errors of a variance estimated from so many blocks.
    """
    blocks = len(x) // INFLATION_BLOCK_ROWS
    power = _variance(x)
    if blocks < 2 or power <= 0:
        return 1.0
    means = np.empty(blocks)
    for block in range(blocks):
        means[block] = _mean(x, block * INFLATION_BLOCK_ROWS, INFLATION_BLOCK_ROWS)
    centre = _mean(means, 0, blocks)
    between = _sum(means, 0, blocks, centre, 2) / (blocks - 1)
    inflation = INFLATION_BLOCK_ROWS * between / power
    return float(inflation if inflation > 1 + 3 * math.sqrt(2 / blocks) else 1.0)


@compiled
def quantiles(ordered: Floats, ranks: Floats, knots: Floats) -> bool:
    """Write the values at ranks from 0 to 1; return whether each is greater than the one before."""
    last, rises = len(ordered) - 1, True
    for k in range(len(ranks)):
        at = ranks[k] * len(ordered) - 0.5
        place = min(max(math.floor(at), 0), last)
        low = high = ordered[place]
        if place < last:
            high = ordered[place + 1]
        way = max(at - place, 0.0)
        knots[k] = low
        if way > 0 and place < last:
            knots[k] = (high - low) * way + low
        if k > 0 and not knots[k] > knots[k - 1]:
            rises = False
    return rises


@compiled
def _on_line(x: float, low: float, high: float, low_height: float, high_height: float) -> float:
    slope = (high_height - low_height) / (high - low)
    made = slope * (x - low) + low_height
    if math.isnan(made):  # the difference of two doubles may be beyond a double
        made = slope * (x - high) + high_height
    return made


@compiled
def _interpolate(
    values: Floats, order: Places, knots: Floats, heights: Floats, made: Floats
) -> None:
    """Write the height at each value; beyond the ends, and from one knot, that of the nearest.

    ``order`` are the places of the values from the least to the greatest: so no knot has to be
    looked for. What is called for each value takes no arrays: to hand them on takes 30 ns.
    """
    low, last = 0, len(knots) - 1
    for row in order:
        x = values[row]
        while low + 1 < last and knots[low + 1] <= x:
            low += 1
        if x < knots[0] or x == knots[low]:
            made[row] = heights[low]
        elif x >= knots[last]:
            made[row] = heights[last]
        else:
            made[row] = _on_line(x, knots[low], knots[low + 1], heights[low], heights[low + 1])


@compiled
def _held(x: float, limit: float) -> float:
    return max(-limit, min(limit, x))


@compiled
def standardise(
    values: Floats, order: Places, scale: tuple[Floats, Floats, float, float], z: Floats
) -> tuple[float, float]:
    """Write standardised normal scores; return the mean and the deviation of the raw ones.

    ``order`` is as for `_interpolate`. A scale is knots, their scores, and the slopes below the
    first knot and beyond the last one.
    """
    knots, scores, low, high = scale
    rows, last = len(values), knots[len(knots) - 1]
    _interpolate(values, order, knots, scores, z)
    for row in range(rows):
        x, inside = values[row], z[row]
        if math.isnan(inside):
            inside = 0.0
        beyond = inside + min(x - knots[0], 0.0) * low + max(x - last, 0.0) * high
        # Bounded before it is averaged: a single 1e300 would otherwise be the whole mean.
        z[row] = _held(beyond, 2 * CLIP)
    mean = _mean(z, 0, rows)
    sd = math.sqrt(_variance(z))
    if sd == 0.0:
        sd = 1.0
    for row in range(rows):
        z[row] = _held((z[row] - mean) / sd, CLIP)
    return mean, sd


@compiled
def innovate(z: Floats, phi: float, e: Floats, power: Floats) -> tuple[float, float, float, float]:
    """Write what is new in each score but the first, standardised, and its part of their power.

    Returns the deviation of what is new, how much its blocks vary, how much those of its squares
    vary, and half the variance of its parts of the power.
    """
    for row in range(len(e)):
        e[row] = z[row + 1] - phi * z[row]
    sd = math.sqrt(_variance(e))
    if sd == 0.0:
        sd = 1.0
    for row in range(len(e)):
        e[row] = _held(e[row] / sd, CLIP)
        power[row] = e[row] * e[row]
    level, spread = block_inflation(e), block_inflation(power)
    usual = _mean(power, 0, len(e))
    if usual == 0.0:
        usual = 1.0
    for row in range(len(e)):
        power[row] /= usual
    return sd, level, spread, _variance(power) / 2


@compiled
def coarse(
    values: Floats, order: Places, knots: Floats, heights: Floats, scores: Floats
) -> tuple[float, float, float]:
    """Interpolate values; return mean, deviation and inflation of what they become.

    ``order`` is as for `_interpolate`.
    """
    _interpolate(values, order, knots, heights, scores)
    sd = math.sqrt(_variance(scores))
    return _mean(scores, 0, len(scores)), sd, block_inflation(scores)


@compiled
def rank(ordered: Floats, places: Places, ranks: Floats) -> None:
    """Write twice the rank of each value; equal ones share theirs.

    ``places`` are those of the values in the order of ``ordered``.
    """
    start = 0
    while start < len(ordered):
        end = start + 1
        while end < len(ordered) and ordered[end] == ordered[start]:
            end += 1
        for at in range(start, end):
            ranks[places[at], 0] = start + end
        start = end


@compiled
def stretch_share(columns: Floats) -> float:
    """Return the part of the variance of columns that lies between stretches of the reference.

    A sixteenth of it each: hundredths for rows that are independent or have a short memory, nearly
    all of it where the rows are in some order, as a counter, a date or a random walk is.

    Examples
    --------
    >>> rows = np.arange(1_600.0)[:, None]
    >>> round(stretch_share(rows), 3), round(stretch_share(rows * 7 % 16), 3)
    (0.996, 0.0)
    """
    size = len(columns) // STRETCHES
    whole = between = 0.0
    for column in range(columns.shape[1]):
        mean = columns[: size * STRETCHES, column].mean()
        for stretch in range(STRETCHES):
            total = 0.0
            for row in range(stretch * size, (stretch + 1) * size):
                away = columns[row, column] - mean
                total += away
                whole += away * away
            between += total * total / size
    return between / whole if whole > 0 else 0.0
