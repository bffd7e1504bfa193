"""The values of many series in one call, compiled.

It does for each series in turn what its rules and detectors do, and keeps the result only where
nothing is to be told. So it decides nothing: a series of which something is to be told keeps the
state that it had, and is read again by its own detectors.
"""

import math
from typing import NamedTuple

import numpy as np

from streams.detect.adwin_kernel import read_scores
from streams.detect.compiled import Places, Singles, compiled, slots
from streams.detect.level_kernel import run_page_hinkley
from streams.detect.odd_kernel import SIZE, next_odd
from streams.detect.run_kernel import run_equal
from streams.values import Floats


class SeriesSlots(NamedTuple):
    """The head of the row of one series.

    Parameters
    ----------
    is_odd
        Is written: 1 where something is to be told.
    limit, run, last
        Of the rule for stuck values: its limit, 0 for none, the present run, and its number.
    window
        Where the window of ADWIN begins; 0 for a series without detectors, which only learns.
    delta, clock
        Confidence of ADWIN, 0 for a window that reads nothing, and scores between its tests.
    """

    is_odd: int
    limit: int
    run: int
    last: int
    window: int
    delta: int
    clock: int


# A row is a head, the state of the odd numbers, that of the level's statistics, room, the window of
# ADWIN.
SERIES = slots(SeriesSlots)
ODD = len(SERIES)
"""Where the state of the odd numbers begins."""
STATE = ODD + SIZE
"""Where the state of the statistics begins."""


@compiled
def read_group(values: Floats, places: Places, states: Floats, trails: Singles) -> int:
    """Read a row of values for each series; return in how many series something is to be told.

    Parameters
    ----------
    values
        A row for each series that is read. The windows have room for them.
    places
        The row of each of them in all that follows.
    states, trails
        A row for each series of the group, as above, and the trail of its statistics.
    """
    rows, found = values.shape[1], 0
    scores, trail = np.empty(rows), np.empty(trails.shape[1], np.float32)
    before = np.empty(states.shape[1])
    for read in range(len(places)):
        at, x = places[read], values[read]
        before[:] = states[at]
        trail[:] = trails[at]
        if _is_quiet(states[at], trails[at], x, scores):
            states[at, SERIES.is_odd] = 0.0
        else:
            found += 1
            states[at] = before
            trails[at] = trail
            states[at, SERIES.is_odd] = 1.0
    return found


@compiled
def _is_quiet(row: Floats, trail: Singles, x: Floats, scores: Floats) -> bool:
    """Read the values of one series; return whether nothing is to be told of them."""
    for value in x:
        if not math.isfinite(value):
            return False
    last, before = row[SERIES.last], int(row[SERIES.run])
    longest, run = run_equal(x, last, before, np.empty(0, np.int64))
    if 0 < row[SERIES.limit] <= longest:
        return False
    row[SERIES.run] = run
    row[SERIES.last] = x[len(x) - 1]
    window = int(row[SERIES.window])
    if window == 0:
        return True
    if next_odd(row[ODD:STATE], x) >= 0:
        return False
    if run_page_hinkley(row[STATE:window], trail, x, scores) >= 0:
        return False
    delta, clock = row[SERIES.delta], int(row[SERIES.clock])
    return delta == 0.0 or read_scores(row[window:], scores, delta, clock) < 0
