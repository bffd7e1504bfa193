"""Durations counted in cells of a quarter of an octave, for quantiles.

The cell of a duration follows from its bits alone, so it is the same on every machine.
"""

import math

from streams.detect.cohort_kernel import DURATION_STEPS as STEPS


def middle_of_cell(cell: int) -> float:
    """Return the duration in the middle of a cell.

    Examples
    --------
    >>> from streams.detect.cohort_kernel import duration_cell
    >>> [duration_cell(x) for x in (-5.0, 0.9, 1.0, 1.3, 2.0, 1e3, 86.4e6)]
    [0, 0, 1, 2, 5, 40, 106]
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
    >>> quantiles({14: 9, 40: 1}, (0.5, 0.95))
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
