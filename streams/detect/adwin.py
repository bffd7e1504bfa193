"""ADWIN (Bifet and Gavalda 2007) behind the CUSUMs, for drift that is too slow for them."""

import math
from typing import NamedTuple

import numpy as np

from streams.codec import Machine
from streams.detect.adwin_kernel import (
    WINDOW,
    extended,
    new_window,
    read_scores,
    refuse_window,
    room_of,
    trimmed,
)
from streams.values import Floats

_EMPTY: Floats = np.empty(0)
ROW_CLOCK, BLOCK_CLOCK = 32, 8
"""ADWIN tests after so many rows, or blocks of 16 rows. 32 is River's default; 8 blocks are 128
rows. The confidences of `streams.detect.budget` were simulated with them."""
AWAY_DEVIATIONS = 0.5
"""Standard errors by which the mean of the kept scores must differ from the reference's. ADWIN cuts
as well where a wave has dropped one side and kept the usual one. By judgement."""
LEAST_MEAN = 0.1
"""Smallest mean reported where an hourly profile is taken off, in standard deviations: over 50,000
rows ADWIN sees hundredths, which no estimated profile takes away (decision 13)."""
MEMORIES = 4.0
"""Scores are merged over this many times their memory: then they are nearly independent. By
judgement; checked by the cases with memory of `benchmarks.detection`."""
MOST_MERGED = 256
"""Scores merged at most: a reference of 2,000 rows makes 7 of them. By judgement."""


class SlowDrift(NamedTuple):
    """A drift that ADWIN has found.

    Parameters
    ----------
    place
        The place of the last score read, from 0.
    mean
        Mean of the scores that ADWIN has kept, in deviations of the reference.
    kept
        Number of these scores.
    """

    place: int
    mean: float
    kept: int


class SlowDriftDetector(Machine):
    """ADWIN behind the CUSUMs, for drift that is too slow for them.

    It reads scores whose mean and standard deviation in the reference are 0 and 1. Where it cuts
    within the reference (a wave, clumps), it would cut again and again: it is stopped. ADWIN takes
    scores for independent: scores that resemble their neighbours are merged.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> detector = SlowDriftDetector.of(delta=0.002, clock=32, learnt=2_000)
    >>> detector.learn(rng.normal(size=2_000))
    >>> detector.run(rng.normal(0.3, 1.0, 2_000)).place < 500
    True
    """

    _delta: float
    _clock: int
    _learnt: int
    _least: float
    _merged: int
    _window: Floats
    _pending: Floats
    _is_running: bool = True

    def __post_init__(self) -> None:
        if self._clock < 1 or self._learnt < 1 or not 1 <= self._merged <= MOST_MERGED:
            raise ValueError(f"ADWIN merges 1 to {MOST_MERGED} scores, got {self._merged}")
        if len(self._pending) >= self._merged:
            raise ValueError(f"{len(self._pending)} scores wait, {self._merged} are merged")
        # A kernel does not check its indices: a stored window of another size must not reach it.
        refuse_window(self._window)

    @classmethod
    def of(
        cls, delta: float, clock: int, learnt: int, least: float = 0.0, merged: int = 1
    ) -> "SlowDriftDetector":
        """Return a detector that has read nothing.

        Parameters
        ----------
        delta
            ADWIN's confidence.
        clock
            ADWIN tests after every so many scores.
        learnt
            Scores in the reference.
        least
            Smallest mean reported, in standard deviations of a score.
        merged
            Scores that are merged into one.
        """
        clock = max(clock // merged, 1)
        return cls(delta, clock, learnt, least, merged, new_window(), _EMPTY)

    def learn(self, scores: Floats) -> None:
        """Read the scores of the reference."""
        if self._is_running and self._read(self._merge(scores)) >= 0:
            self.stop()
            self._window = new_window()

    def stop(self) -> None:
        """Read no more scores."""
        self._is_running = False

    def renew(self) -> None:
        """Forget all scores."""
        self._window, self._pending = new_window(), _EMPTY

    @property
    def window(self) -> Floats:
        """The window, as the kernel reads it."""
        return self._window

    @window.setter
    def window(self, window: Floats) -> None:
        self._window = window

    @property
    def position(self) -> tuple[Floats, Floats]:
        """What has been read, for `rewind`."""
        return self._window.copy(), self._pending

    def rewind(self, position: tuple[Floats, Floats]) -> None:
        """Return to a position."""
        self._window, self._pending = position

    @property
    def test(self) -> tuple[float, int]:
        """Confidence, 0 for a detector that has been stopped, and scores between two tests."""
        return self._delta if self._is_running else 0.0, self._clock

    @property
    def reads_all(self) -> bool:
        """Whether it reads each score by itself."""
        return self._merged == 1

    @property
    def room(self) -> int:
        """Scores that its window can take without another level."""
        window = self._window
        return room_of(int(window[WINDOW.levels])) - int(window[WINDOW.width])

    def may_find(self, scores: int) -> bool:
        """Tell whether the next so many scores contain a test."""
        more = (len(self._pending) + scores) // self._merged
        # Until its first cut a window is as wide as the number of its scores.
        width = int(self._window[WINDOW.width])
        return self._is_running and width % self._clock + more >= self._clock

    def run(self, scores: Floats) -> SlowDrift | None:
        """Read scores until their mean has changed."""
        if not self._is_running:
            return None
        pending, left, scores_read = len(self._pending), self._merge(scores), 0
        while (row := self._read(left)) >= 0:
            scores_read += row + 1
            drift = self._drift(scores_read * self._merged - pending - 1)
            self._window = new_window()  # as River's ADWIN does
            if drift is not None:
                return drift
            left = left[row + 1 :]
        return None

    def _read(self, scores: Floats) -> int:
        """Let the window read scores, with room for them; return the place of a cut, or -1."""
        window = self._window
        width, levels = int(window[WINDOW.width]), int(window[WINDOW.levels])
        if width + len(scores) <= room_of(levels):
            return read_scores(window, scores, self._delta, self._clock)
        window = extended(window, width + len(scores))
        row = read_scores(window, scores, self._delta, self._clock)
        self._window = trimmed(window)
        return row

    def _merge(self, scores: Floats) -> Floats:
        """Return the merged scores; those that are too few for another wait."""
        if self._merged == 1:
            return np.ascontiguousarray(scores)  # a column of scores would be another kernel
        pending = np.concatenate((self._pending, scores))
        if len(pending) < self._merged:
            self._pending = pending
            return _EMPTY
        whole = len(pending) // self._merged * self._merged
        self._pending = pending[whole:].copy()
        read: Floats = pending[:whole].reshape(-1, self._merged).sum(axis=1)
        return read / math.sqrt(self._merged)

    def _drift(self, place: int) -> SlowDrift | None:
        """Return a cut where the kept scores differ from the reference, not only from the rest."""
        width = int(self._window[WINDOW.width])
        kept, mean = width * self._merged, float(self._window[WINDOW.total]) / width
        mean /= math.sqrt(self._merged)
        deviation = math.sqrt(1 / kept + 1 / self._learnt)
        is_away = abs(mean) > max(AWAY_DEVIATIONS * deviation, self._least)
        return SlowDrift(place, mean, kept) if is_away else None


def merged_rows(inflation: float, rows: int) -> int:
    """Return how many scores are merged into one.

    Parameters
    ----------
    inflation
        Long-run variance of a row in that of independent rows: its memory in rows.
    rows
        Rows of a score.
    """
    return min(math.ceil(MEMORIES * inflation / rows), MOST_MERGED) if inflation > 1 else 1


def least_mean(doubt: float) -> float:
    """Return the smallest mean reported, in standard deviations of a row.

    ``doubt`` is above 1 where an hourly profile is taken off.
    """
    return LEAST_MEAN if doubt > 1 else 0.0
