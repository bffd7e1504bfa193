"""Limits that the detectors share."""

import math

STEADY = 2.0
"""Highest variance of block means, in that of independent rows, of a reference without slow motion.

For a reference of 2,000 rows it is 4.5 standard errors above 1.
"""
TOP_MARGIN = 1.25
"""No threshold is below the statistic's top within the reference times this (decision 12)."""
CALM = 0.5
"""Part of its threshold below which a statistic shows no alarm on its way.

Independent rows reach a third of it in 2,000 rows (median of 60 simulated streams, decision 12).
"""
ONE_FALSE_ALARM = 1.0
"""False alarms per 10,000 rows of a threshold that no top of a settled reference exceeds."""


SUDDEN = 0.1
"""Part of a change that the mean motion before it must reach to be of the same motion: before the
step that fits a line best it is a quarter, before that of a parabola an eighth."""


def crept(before: float, rows: float, learnt: int, variance: float, change: float) -> float:
    """Return the motion of a series between its reference and a change, in deviations of chance.

    Parameters
    ----------
    before
        Sum of the differences from the reference's mean over the rows before the change.
    rows
        Number of these rows.
    learnt
        Rows of the reference: its mean is known no better.
    variance
        Variance of a row.
    change
        The change of the mean, with its sign: motion to its side is positive. A change many times
        as large as the motion before it is no part of that motion, which counts as none.
    """
    if rows <= 0 or abs(before) < SUDDEN * rows * abs(change):
        return 0.0
    deviation = math.sqrt(variance * (rows + rows * rows / learnt))
    return float(before * math.copysign(1.0, change) / deviation)
