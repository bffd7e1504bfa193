"""Limits that the detectors share."""

import math

STEADY = 2.0
TOP_MARGIN = 1.25
CALM = 0.5
ONE_FALSE_ALARM = 1.0


def crept(before: float, rows: float, learnt: int, variance: float, change: float) -> float:
    """Return the sum over rows before a change, on its side, in deviations of chance."""
    if rows <= 0:
        return 0.0
    deviation = math.sqrt(variance * (rows + rows * rows / learnt))
    return float(before * math.copysign(1.0, change) / deviation)
