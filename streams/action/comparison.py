"""The error before and after a retraining, with an interval of their difference.

Rule 1. How many rows are compared is fixed before, and they are looked at once: the interval is an
        ordinary one of 95 %.
Rule 2. Rows before the alert that caused the command are not among them: an alarm is raised where
        the error happens to be highest, so the error would seem to fall by itself.

References
----------
Newcombe 1998, "Interval estimation for the difference between independent proportions", method 10;
Wilson 1927 for each share.
"""

import math
from typing import NamedTuple

from streams.codec import Machine

Z = 1.96
"""Standard errors on each side of an interval of 95 %."""


class Errors(Machine):
    """Errors of a period: 0 or 1 for classes, sizes for a regression."""

    rows: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, error: float) -> None:
        """Count the error of a row."""
        self.rows += 1
        self.total += error
        self.squares += error * error

    @property
    def mean(self) -> float:
        """The share of wrong answers, or the mean error."""
        return self.total / self.rows

    @property
    def are_shares(self) -> bool:
        """Whether every error so far is 0 or 1."""
        return self.total == self.squares


class Difference(NamedTuple):
    """A difference with its interval of 95 %."""

    value: float
    low: float
    high: float


def difference(before: Errors, after: Errors) -> Difference:
    """Return the mean of the second period less that of the first.

    Examples
    --------
    >>> before, after = Errors(500, 150.0, 150.0), Errors(500, 50.0, 50.0)
    >>> [round(x, 3) for x in difference(before, after)]
    [-0.2, -0.248, -0.152]
    """
    value = after.mean - before.mean
    if before.are_shares and after.are_shares:
        low_a, high_a = wilson(after.total, after.rows)
        low_b, high_b = wilson(before.total, before.rows)
        down = math.hypot(after.mean - low_a, high_b - before.mean)
        up = math.hypot(high_a - after.mean, before.mean - low_b)
        return Difference(value, value - down, value + up)
    half = Z * math.sqrt(_variance(before) / before.rows + _variance(after) / after.rows)
    return Difference(value, value - half, value + half)


def wilson(hits: float, rows: int, z: float = Z) -> tuple[float, float]:
    """Return the interval of a share (Wilson 1927).

    Examples
    --------
    >>> [round(x, 4) for x in wilson(5, 100)]
    [0.0215, 0.1118]
    """
    share, weight = hits / rows, z * z / rows
    middle = (share + weight / 2) / (1 + weight)
    half = z * math.sqrt(share * (1 - share) / rows + weight / (4 * rows)) / (1 + weight)
    return middle - half, middle + half


def _variance(errors: Errors) -> float:
    if errors.rows < 2:
        return math.inf
    around = errors.squares - errors.rows * errors.mean**2
    return max(0.0, around) / (errors.rows - 1)
