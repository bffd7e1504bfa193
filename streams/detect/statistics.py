"""The statistics of a reference, compiled.

A reference is made of a few hundred values, several times while a series is learnt, for hundreds of
series at once: there a call of numpy costs more than its loop.

Rule 1. A figure is of the rows it is given, and of nothing else.
Rule 2. Rows are added up one after the other: the same rows give the same figure on every machine.
"""

import math

import numpy as np

from streams.detect.compiled import Places, compiled
from streams.detect.score_kernel import CLIP, SCALE, clipped, clipped_scores
from streams.values import Floats

INFLATION_BLOCK_ROWS = 50
"""Rows of a block. A memory of up to some 50 rows shows in the variance of block means; a reference
of 2,000 rows has 40 of them, which know that variance to 22 %."""
LEAST_BLOCKS = 8
"""Blocks by whose steps a variance is told, at least: to 60 %."""
SURE_OF_STEPS = 4.0
"""Standard errors, of sqrt(3 / blocks) each, beyond which a variance by steps is not taken for
chance: several lengths are tried."""
GROWS = 1.25
"""Least growth of the ratio from one length to the next for which the next one is sought: with a
memory that blocks hold whole, the ratio stays. By judgement."""
STRETCHES = 16
"""Parts into which a reference is cut to see whether it wanders; the least has 12 rows."""


@compiled
def _mean(x: Floats) -> float:
    total = 0.0
    for value in x:
        total += value
    return total / len(x)


@compiled
def _mean_and_variance(x: Floats) -> tuple[float, float]:
    """Return both in two passes: a sum of squares alone loses all digits of a small spread."""
    mean, total = _mean(x), 0.0
    for value in x:
        total += (value - mean) * (value - mean)
    return mean, total / len(x)


@compiled
def mean_and_sd(x: Floats, parts: Floats) -> tuple[float, float]:
    """Return mean and standard deviation, finite even at the edge of a double.

    ``parts`` is room for as many values.
    """
    scale = 0.0
    for value in x:
        scale = max(scale, abs(value))
    if scale == 0.0:
        scale = 1.0
    for row in range(len(x)):
        parts[row] = x[row] / scale
    mean, variance = _mean_and_variance(parts)
    return mean * scale, math.sqrt(variance) * scale


@compiled
def block_inflation(x: Floats) -> float:
    """Return how much more the means of 50-row blocks vary than those of independent rows would.

    1 unless it is beyond three standard errors of a variance estimated from so many blocks.
    """
    blocks = len(x) // INFLATION_BLOCK_ROWS
    _, variance = _mean_and_variance(x)
    if blocks < 2 or variance <= 0:
        return 1.0
    between = _mean_and_variance(_block_means(x))[1] * blocks / (blocks - 1)
    inflation = INFLATION_BLOCK_ROWS * between / variance
    return float(inflation if inflation > 1 + 3 * math.sqrt(2 / blocks) else 1.0)


@compiled
def _block_means(x: Floats) -> Floats:
    means = np.empty(len(x) // INFLATION_BLOCK_ROWS)
    for block in range(len(means)):
        means[block] = _mean(x[block * INFLATION_BLOCK_ROWS : (block + 1) * INFLATION_BLOCK_ROWS])
    return means


@compiled
def clump_inflation(x: Floats) -> float:
    """Return the same of blocks that may be longer: a clump of more than 50 rows shows in those.

    Blocks are doubled while the ratio grows by a quarter and ``LEAST_BLOCKS`` are left. The steps
    from each block to the next are squared (von Neumann 1941), but for the largest: a trend, or a
    step within the reference, is no clump. The bias of a length halves with the next one: twice
    that one less the shorter has none (Vats and Flegal 2022). 1 where it is within chance.
    """
    _, variance = _mean_and_variance(x)
    size, blocks = INFLATION_BLOCK_ROWS, len(x) // INFLATION_BLOCK_ROWS
    shorter, found = 0.0, 1.0
    if blocks < LEAST_BLOCKS or variance <= 0:
        return found
    means = _block_means(x)
    while blocks >= LEAST_BLOCKS:
        steps = largest = 0.0
        for block in range(1, blocks):
            step = (means[block] - means[block - 1]) ** 2
            steps += step
            largest = max(largest, step)
        ratio = size * (steps - largest) / (2 * (blocks - 2)) / variance
        if ratio < GROWS * shorter:
            break
        if ratio > 1 + SURE_OF_STEPS * math.sqrt(3 / blocks):
            found = 2 * ratio - shorter if shorter > 0.0 else ratio
        shorter, size, blocks = ratio, 2 * size, blocks // 2
        for block in range(blocks):
            means[block] = (means[2 * block] + means[2 * block + 1]) / 2
    return found


@compiled
def quantiles(ordered: Floats, ranks: Floats, knots: Floats) -> bool:
    """Write the values at ranks from 0 to 1; return whether each is greater than the one before.

    A value of place i of n has the rank (i + 1/2) / n (Hazen 1914); between two it is interpolated.
    """
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
def standardise(raw: Floats, z: Floats) -> tuple[float, float]:
    """Write standardised scores; return the mean and the standard deviation of the raw ones."""
    mean, variance = _mean_and_variance(raw)
    sd = math.sqrt(variance) if variance > 0.0 else 1.0
    for row in range(len(raw)):
        z[row] = clipped((raw[row] - mean) / sd, CLIP)
    return mean, sd


@compiled
def innovate(
    z: Floats, autocorrelation: float, e: Floats, power: Floats
) -> tuple[float, float, float, float]:
    """Write the innovation of each score but the first, standardised, and its part of their power.

    Returns the standard deviation of the innovations, the `block_inflation` of the innovations and
    that of their squares, and half the variance of ``power``.
    """
    for row in range(len(e)):
        e[row] = z[row + 1] - autocorrelation * z[row]
    _, variance = _mean_and_variance(e)
    sd = math.sqrt(variance) if variance > 0.0 else 1.0
    for row in range(len(e)):
        e[row] = clipped(e[row] / sd, CLIP)
        power[row] = e[row] * e[row]
    level, spread = block_inflation(e), block_inflation(power)
    mean = _mean(power)
    if mean == 0.0:
        mean = 1.0
    for row in range(len(e)):
        power[row] /= mean
    return sd, level, spread, _mean_and_variance(power)[1] / 2


@compiled
def coarse(
    values: Floats, order: Places, knots: Floats, heights: Floats, scores: Floats
) -> tuple[float, float, float]:
    """Write the scores of values on a coarse scale; return their mean, deviation and inflation.

    ``order`` are the places of the values from the least to the greatest; no value lies beyond the
    knots, of which there are two at least.
    """
    table = np.zeros(len(SCALE) + 2 * len(knots))
    table[SCALE.knots] = len(knots)
    table[len(SCALE) : len(SCALE) + len(knots)] = knots
    table[len(SCALE) + len(knots) :] = heights
    clipped_scores(table, len(SCALE), values, order, scores)
    mean, variance = _mean_and_variance(scores)
    return mean, math.sqrt(variance), block_inflation(scores)


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
