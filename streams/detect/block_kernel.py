"""The sums of a block of rows, and the CUSUMs that run beside them, compiled."""

import math
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
LEAST_ODDS = 1.5
"""Ratio of odds to the share that was told, for which a further change is sought, at least."""
LARGE_ODDS = 9.0
"""The same for a much larger change: from .1 to .5, or from .2 to .7."""


def size_of(columns: int) -> int:
    """Return the size of a state with so many sums."""
    return SUMS + columns + CUSUMS * (len(RUN) + columns)


def run_of(columns: int, cusum: int) -> int:
    """Return where a CUSUM begins."""
    return SUMS + columns + cusum * (len(RUN) + columns)


@compiled
def further_of(told: float, usual: float, cusum: int) -> float:
    """Return the share for which a CUSUM seeks a further change of a share.

    The first one seeks twice the effect, or twice the share; the second `LARGE_ODDS`.

    Parameters
    ----------
    told, usual
        The share that a further one must exceed, and that of the reference; neither 0 nor 1.
    """
    effect = math.log(told / (1 - told)) - math.log(usual / (1 - usual))
    step = max(abs(effect), math.log(LEAST_ODDS)) if cusum == 0 else math.log(LARGE_ODDS)
    odds = told / (1 - told) * math.exp(math.copysign(step, effect))
    further = odds / (1 + odds)
    if cusum == 0 and effect > 0 and 2 * told < 1:
        further = min(further, 2 * told)
    return further


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


@compiled
def read_shares(state: Floats, hits: Floats, usual: float, sure: float, least: float) -> int:
    """Read rows of a share beside its blocks, until a CUSUM of a further change alarms.

    A run is held against the share of all rows before it: the rows that raised an alarm show more
    than there is, and a further change would be hidden by a share that is taken for too large.

    Parameters
    ----------
    state
        Its block is the rows since the change, and the hits among them.
    hits
        1 for a hit, else 0.
    usual, sure
        The share in the reference, and that beyond which all further ones lie.
    least
        The least share, and the distance of the greatest one from 1.

    Returns
    -------
    int
        As `read_block`.
    """
    for row in range(len(hits)):
        alarm = -1
        for cusum in range(CUSUMS):
            run = SUMS + 1 + cusum * (len(RUN) + 1)
            rows = state[BLOCK_ROWS] - state[run + RUN.rows]
            told = (state[SUMS] - state[run + len(RUN)]) / rows
            told = max(told, sure) if sure > usual else min(told, sure)
            told = min(max(told, least), 1 - least)
            further = further_of(told, usual, cusum)
            step = math.log(further / told) if hits[row] else math.log((1 - further) / (1 - told))
            if _advance(state, run, step, hits[row : row + 1]) and alarm < 0:
                alarm = row * CUSUMS + cusum
        state[BLOCK_ROWS] += 1.0
        state[SUMS] += hits[row]
        if alarm >= 0:
            return alarm
    return -1
