"""Boosted trees of integers, walked by compiled code."""

import numpy as np
from numpy.typing import NDArray

from streams.detect.compiled import compiled

Codes = NDArray[np.int64]
"""One row: the code of each column."""
Table = NDArray[np.int64]


@compiled
def sum_of_leaves(codes: Codes, columns: Table, limits: Table, leaves: Table) -> int:
    """Return the sum of the leaves that a row reaches, one of each tree.

    Parameters
    ----------
    codes
        The row.
    columns, limits
        For each tree its inner nodes, those of a complete tree from the root on: a row whose code
        of the column is above the limit goes right.
    leaves
        For each tree its leaves, from left to right.
    """
    total = 0
    inner = columns.shape[1]
    for tree in range(columns.shape[0]):
        node = 0
        while node < inner:
            node = 2 * node + 1 + (codes[columns[tree, node]] > limits[tree, node])
        total += leaves[tree, node - inner]
    return total
