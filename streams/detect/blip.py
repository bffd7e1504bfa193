"""Hold back an alarm about a number that may be a blip: a few wild rows, and then as before.

Rule 1. A run begins at the place that best divides the rows into before and after. One of fewer
        than ``BLIP_ROWS`` rows is held back until it is longer, or over; one of ``LONGEST_ROWS``
        never.
Rule 2. A run that may be ending is held back; one that has ended is forgotten. The evidence for its
        end is that of the latest rows for the usual mean, or spread, against that of the run before
        them.
Rule 3. All of it follows from the trail, when an alarm is due: other rows cost nothing.
"""

from typing import Literal

import numpy as np

from streams.detect.trail import Since
from streams.values import Floats

BLIP_ROWS = 26
"""The longest blip of 20 rows, and six rows in which it shows that it is over."""
LONGEST_ROWS = 64
"""Rows after which a run is none, whatever the latest rows are: as for a share."""
ENDING = 1.0
"""Nats for the end of a run that hold an alarm back."""
LEAST_ROWS = 8
"""Rows that show what a run was like before it ended. By judgement: fewer are a few wild rows."""
SPREAD_ENDING = 0.4
"""The same for a spread, which few rows show less."""
ENDED = 8.0
"""Nats for the end of a run that end it: a likelihood ratio of 3,000, as for a share
(`streams.detect.share_kernel`)."""

Verdict = Literal["lasting", "young", "ending", "over"]


def of_mean(then: Since, mean: float, sign: int, inflation: float) -> Verdict:
    """Judge an alarm about the mean.

    Parameters
    ----------
    then
        The sums since each place, that of innovations the third.
    mean
        The usual innovation.
    sign
        The side of the change.
    inflation
        The long-run variance of the innovations, in that of independent rows: 1 or more.
    """
    away = sign * (then.sums[:, 2] - mean * then.rows)
    first = int(np.argmax(away * np.abs(away) / then.rows))
    last = _latest(then, first)
    rows, sums = then.rows[:last], away[:last]
    shift = np.maximum((away[first] - sums) / (then.rows[first] - rows), 0.0)
    return _verdict(then.rows[first], (rows * shift / 2 - sums) * shift / inflation)


def of_spread(then: Since, mean_square: float, inflation: float) -> Verdict:
    """Judge an alarm about a larger spread; the sum of squares is the fourth."""
    squares = then.sums[:, 3] / max(mean_square, 1e-12)
    ratio = np.maximum(squares / then.rows, 1.0)
    first = int(np.argmax(squares - then.rows - then.rows * np.log(ratio)))
    last = _latest(then, first)
    rows, sums = then.rows[:last], squares[:last]
    ratio = np.maximum((squares[first] - sums) / (then.rows[first] - rows), 1.0)
    nats = (rows * np.log(ratio) - sums * (1 - 1 / ratio)) / 2
    return _verdict(then.rows[first], nats / inflation, SPREAD_ENDING)


def _latest(then: Since, first: int) -> int:
    """Return the number of places after which a run may have ended."""
    return int(np.searchsorted(then.rows, then.rows[first] - LEAST_ROWS, side="right"))


def _verdict(rows: float, ending: Floats, held_at: float = ENDING) -> Verdict:
    nats = float(ending.max(initial=0.0))
    if rows >= LONGEST_ROWS:
        return "lasting"
    if nats >= ENDED:
        return "over"
    if rows < BLIP_ROWS:
        return "young"
    return "ending" if nats >= held_at else "lasting"
