"""Count durations in cells of a quarter of an octave, for quantiles.

The cell of a duration follows from its bits alone, so it is the same on every machine.
"""

import math

STEPS = 4
"""Cells of an octave: a quantile is off by at most an eighth of itself."""
_MOST_EXPONENT = 64
"""Octaves above 1: 2 ** 64 ms is 585 million years."""


def add_duration(counts: dict[int, int], duration: float) -> None:
    """Count a duration of 0 or more; less counts as 0."""
    cell = duration_cell(duration)
    counts[cell] = counts.get(cell, 0) + 1


def duration_cell(duration: float) -> int:
    """Return the cell of a duration; below 1 it is 0.

    Examples
    --------
    >>> [duration_cell(x) for x in (-5, 0, 0.9, 1, 1.3, 2, 1_000, 86_400_000)]
    [0, 0, 0, 1, 2, 5, 40, 106]
    """
    if duration < 1:
        return 0
    mantissa, exponent = math.frexp(duration)
    return 1 + (min(exponent, _MOST_EXPONENT) - 1) * STEPS + int((mantissa - 0.5) * 2 * STEPS)


def middle_of_cell(cell: int) -> float:
    """Return the duration in the middle of a cell.

    Examples
    --------
    >>> all(duration_cell(middle_of_cell(cell)) == cell for cell in range(200))
    True
    """
    if not cell:
        return 0.0
    exponent, step = divmod(cell - 1, STEPS)
    return math.ldexp(0.5 + (step + 0.5) / (2 * STEPS), exponent + 1)


def quantiles(counts: dict[int, int], parts: tuple[float, ...]) -> list[float]:
    """Return quantiles of counted durations, of which there is at least one.

    Examples
    --------
    >>> quantiles({duration_cell(10): 9, duration_cell(1_000): 1}, (0.5, 0.95))
    [11.0, 960.0]
    """
    total = sum(counts.values())
    found: list[float] = []
    for part in parts:
        rank, below = part * total, 0
        for cell in sorted(counts):
            below += counts[cell]
            if below >= rank:
                found.append(middle_of_cell(cell))
                break
    return found
