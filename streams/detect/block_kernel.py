"""The sums of a block of rows, and the CUSUMs that run beside them, compiled."""

from typing import NamedTuple

from streams.detect.compiled import compiled, slots
from streams.values import Floats


class RunSlots(NamedTuple):
    """The head of one CUSUM, before the sums of its run.

    Parameters
    ----------
    threshold, total
        It alarms above the threshold; it is 0 between runs.
    rows
        Rows since it was 0.
    """

    threshold: int
    total: int
    rows: int


# A state is the rows of the block and their sums, then each CUSUM with its sums.
BLOCK_ROWS = 0
SUMS = 1
"""Where the sums of the block begin."""
RUN = slots(RunSlots)
CUSUMS = 2
"""For a change that is somewhat larger, and for one that is much larger."""


def size_of(columns: int) -> int:
    """Return the size of a state with so many sums."""
    return SUMS + columns + CUSUMS * (len(RUN) + columns)


def run_of(columns: int, cusum: int) -> int:
    """Return where a CUSUM begins."""
    return SUMS + columns + cusum * (len(RUN) + columns)


@compiled
def _advance(state: Floats, run: int, step: float, row: Floats) -> bool:
    """Advance one CUSUM by a row; return whether it alarms."""
    sums = run + len(RUN)
    state[run + RUN.total] += step
    if state[run + RUN.total] <= 0.0:
        state[run + RUN.total] = state[run + RUN.rows] = 0.0
        state[sums : sums + len(row)] = 0.0
        return False
    state[run + RUN.rows] += 1.0
    for column in range(len(row)):
        state[sums + column] += row[column]
    is_above: bool = state[run + RUN.total] > state[run + RUN.threshold]
    return is_above


@compiled
def read_block(state: Floats, steps: Floats, rows: Floats) -> int:
    """Add rows to the block until a CUSUM of their steps alarms.

    ``steps`` has a column for each CUSUM, ``rows`` the columns that are added up. Returns
    ``row * CUSUMS + cusum``, or -1.
    """
    columns = rows.shape[1]
    for row in range(len(rows)):
        state[BLOCK_ROWS] += 1.0
        for column in range(columns):
            state[SUMS + column] += rows[row, column]
        alarm = -1
        for cusum in range(CUSUMS):
            run = SUMS + columns + cusum * (len(RUN) + columns)
            if _advance(state, run, steps[row, cusum], rows[row]) and alarm < 0:
                alarm = row * CUSUMS + cusum
        if alarm >= 0:
            return alarm
    return -1
