"""The distance of rows from the usual relation of their values, compiled."""

import numpy as np
from numpy.typing import NDArray

from streams.detect.compiled import compiled
from streams.values import Floats


@compiled
def squared_distances(
    scores: NDArray[np.int64], parts: float, middle: Floats, inverse: Floats, out: Floats
) -> None:
    """Set the squared Mahalanobis distance of each row.

    Parameters
    ----------
    scores, parts
        A row for each row, in parts of one, and the number of these.
    middle, inverse
        The mean of the scores, and the inverse of their covariance.
    """
    columns = scores.shape[1]
    for row in range(scores.shape[0]):
        total = 0.0
        for first in range(columns):
            away = scores[row, first] / parts - middle[first]
            for second in range(columns):
                other = scores[row, second] / parts - middle[second]
                total += away * inverse[first, second] * other
        out[row] = total
