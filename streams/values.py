"""The values of a series, and arrays of them."""

import math

import numpy as np
from numpy.typing import NDArray

Value = float | int | str | bool
"""One value of a series."""
Scalar = Value | None
"""One value of a series; None is missing."""
Answer = bool | int | float | str
"""A prediction or an outcome, as its service published it."""
Floats = NDArray[np.float64]


def finite_or_none(x: float) -> float | None:
    """Return a number as JSON can carry it: None in place of NaN or an infinity."""
    return float(x) if math.isfinite(x) else None


def odds_of(share: float, rows: int) -> float:
    """Return the odds of a share of so many rows, held off zero and infinity by half a row."""
    held = min(max(share, 0.5 / rows), 1 - 0.5 / rows)
    return held / (1 - held)
