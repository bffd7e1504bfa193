"""The days of one model, counted for a view of outcomes that are not known yet.

Rule 1. A day counts answers of the model, right ones and errors by group of risk, and their delays.
Rule 2. A day whose outcomes are awaited no longer joins the mature ones, whose counts fade: the
        latest ``MATURE_DAYS`` weigh the most.
"""

import numpy as np

from streams.clock import DAY_MS
from streams.codec import Machine
from streams.detect.compiled import Singles
from streams.detect.day_kernel import SIZE, add_answer
from streams.values import Floats

MATURE_DAYS = 35
"""Days in which the weight of a mature day falls by a factor of e: five weeks, each with all its
weekdays."""


class History(Machine):
    """The days of one model.

    Attributes
    ----------
    mature
        Counts of the days that are complete (Rule 2); empty before the first one.
    """

    mature: Floats = np.zeros(0)
    _open: dict[int, Singles] = {}

    def on_prediction(
        self, at_ms: int, score: float, now_ms: int, wait_ms: int, *, is_positive: bool
    ) -> None:
        """Count an answer of the instant ``at_ms``.

        Parameters
        ----------
        score
            Its score; NaN is none.
        is_positive
            Whether its score is the probability that it is right.
        """
        start_ms = at_ms - at_ms % DAY_MS
        day = self._open.get(start_ms)
        if day is None:
            if now_ms - start_ms - DAY_MS >= wait_ms or at_ms > now_ms + DAY_MS:
                return
            day = self._open[start_ms] = np.zeros(SIZE, np.float32)
        add_answer(day, score, is_positive)

    def day_of(self, at_ms: int) -> Singles | None:
        """Return the counts of the day of an instant, to be counted in; None where it is over."""
        return self._open.get(at_ms - at_ms % DAY_MS)

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
