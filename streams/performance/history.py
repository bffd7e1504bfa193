"""The days of one model, counted for a view of outcomes that are not known yet.

Rule 1. A day counts answers of the model, right ones and errors by group of risk, and their delays.
Rule 2. A day whose outcomes are awaited no longer joins the mature ones, whose counts fade: the
        latest ``MATURE_DAYS`` weigh the most.
"""

from bisect import bisect_right

import numpy as np

from streams.clock import DAY_MS
from streams.codec import Machine
from streams.detect.compiled import Singles
from streams.performance.delay_law import CELLS, delay_cell
from streams.values import Floats

RISK_EDGES = (0.02, 0.05, 0.1, 0.2, 0.35)
"""Risks of an error, as scores tell them, that are counted apart: odds that double, about."""
BANDS = len(RISK_EDGES) + 1
GROUPS = 2 * BANDS + 1
"""A band for each of both answers of a score, and one group without a score."""
NO_SCORE = GROUPS - 1
MATURE_DAYS = 35
"""Days in which the weight of a mature day falls by a factor of e: five weeks, each with all its
weekdays."""
RIGHT, WRONG, DELAYS = GROUPS, 2 * GROUPS, 3 * GROUPS
"""Places in the counts of a day, after its answers: right ones, errors, and the delays of both."""
SIZE = DELAYS + 2 * CELLS


def risk_group(risk: float | None, *, is_positive: bool) -> int:
    """Return the group of an answer by its risk of being wrong.

    Examples
    --------
    >>> risk_group(0.01, is_positive=True), risk_group(0.4, is_positive=False)
    (0, 11)
    >>> risk_group(None, is_positive=True)
    12
    """
    if risk is None:
        return NO_SCORE
    return bisect_right(RISK_EDGES, risk) + (0 if is_positive else BANDS)


class History(Machine):
    """The days of one model.

    Attributes
    ----------
    mature
        Counts of the days that are complete (Rule 2); empty before the first one.
    """

    mature: Floats = np.zeros(0)
    _open: dict[int, Singles] = {}

    def on_prediction(self, at_ms: int, group: int, now_ms: int, wait_ms: int) -> None:
        """Count an answer of the instant ``at_ms``."""
        start_ms = at_ms // DAY_MS * DAY_MS
        day = self._open.get(start_ms)
        if day is None:
            if now_ms - start_ms - DAY_MS >= wait_ms or at_ms > now_ms + DAY_MS:
                return
            day = self._open[start_ms] = np.zeros(SIZE, np.float32)
        day[group] += 1

    def on_outcome(self, at_ms: int, group: int, delay_ms: int, *, is_wrong: bool) -> bool:
        """Count the outcome of an answer of the instant ``at_ms``; return whether it is."""
        day = self._open.get(at_ms // DAY_MS * DAY_MS)
        if day is None:
            return False
        day[(WRONG if is_wrong else RIGHT) + group] += 1
        day[DELAYS + CELLS * is_wrong + delay_cell(delay_ms)] += 1
        return True

    def advance(self, now_ms: int, wait_ms: int) -> None:
        """Let the days that wait no longer join the mature ones."""
        for start_ms in sorted(self._open):
            if now_ms - start_ms - DAY_MS < wait_ms:
                continue
            day = self._open.pop(start_ms)
            if len(self.mature):
                self.mature = self.mature * (1 - 1 / MATURE_DAYS) + day
            else:
                self.mature = day.astype(np.float64)

    def days(self) -> tuple[list[int], Singles]:
        """Return the first instants of the open days, the oldest first, and their counts."""
        starts = sorted(self._open)
        if not starts:
            return [], np.zeros((0, SIZE), np.float32)
        return starts, np.stack([self._open[start] for start in starts])
