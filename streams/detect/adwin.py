"""ADWIN (Bifet and Gavalda 2007) behind the CUSUMs, for drift that is too slow for them."""

import math
from typing import NamedTuple

import numpy as np

# River's ADWIN without `river.drift`, which loads scipy: a second of CPU at every start.
from river._river_rust.drift import AdaptiveWindowing

from streams import codec
from streams.codec import Machine
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
_TRIAL_SCORES = 1_024
"""Scores that merge a bucket into each of the rows of a window of some thousand scores."""
_WIDEST = 2**32
"""Scores of a window."""
MOST_MERGED = 256
"""Scores merged at most: a reference of 2,000 rows makes 7 of them. By judgement."""


def _new_window(delta: float = 0.002, clock: int = ROW_CLOCK) -> AdaptiveWindowing:
    return AdaptiveWindowing(  # all else is River's default
        delta=delta, clock=clock, max_buckets=5, min_window_length=5, grace_period=10
    )


def _window_of(data: bytes) -> AdaptiveWindowing:
    window = _new_window()
    window.__setstate__(data)  # its parameters are part of its state
    return window


codec.extend(AdaptiveWindowing, AdaptiveWindowing.__getstate__, _window_of)


def try_out(window: AdaptiveWindowing) -> None:
    """Let a copy of a stored window read scores: a damaged one panics, or is not finite.

    Raises
    ------
    ValueError
        When its figures are not finite.
    """
    copy = _window_of(window.__getstate__())
    # Each of its rows is merged into the next, then read by a test, then cut away.
    for score in (*[-1.0, 1.0] * _TRIAL_SCORES, *[50.0] * _TRIAL_SCORES):
        copy.update(score)
    if not (math.isfinite(window.get_total()) and 0 <= window.get_width() <= _WIDEST):
        msg = "ADWIN holds a number that no scores lead to"
        raise ValueError(msg)


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
    _window: AdaptiveWindowing
    _pending: Floats
    _is_running: bool = True

    def __post_init__(self) -> None:
        if self._clock < 1 or self._learnt < 1 or not 1 <= self._merged <= MOST_MERGED:
            raise ValueError(f"ADWIN merges 1 to {MOST_MERGED} scores, got {self._merged}")
        if len(self._pending) >= self._merged:
            raise ValueError(f"{len(self._pending)} scores wait, {self._merged} are merged")

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
        return cls(delta, clock, learnt, least, merged, _new_window(delta, clock), _EMPTY)

    def learn(self, scores: Floats) -> None:
        """Read the scores of the reference."""
        if self._is_running and any(map(self._window.update, self._merge(scores).tolist())):
            self.stop()

    def stop(self) -> None:
        """Read no more scores."""
        self._is_running = False

    def renew(self) -> None:
        """Forget all scores."""
        self._window, self._pending = _new_window(self._delta, self._clock), _EMPTY

    def may_find(self, scores: int) -> bool:
        """Tell whether the next so many scores contain a test."""
        more = (len(self._pending) + scores) // self._merged
        # Until its first cut a window is as wide as the number of its scores.
        return (
            self._is_running and int(self._window.get_width()) % self._clock + more >= self._clock
        )

    def run(self, scores: Floats) -> SlowDrift | None:
        """Read scores until their mean has changed."""
        if not self._is_running:
            return None
        pending, scores_read = len(self._pending), 0
        left = self._merge(scores).tolist()
        while left:
            unread = iter(left)
            if not any(map(self._window.update, unread)):  # a loop in C, which ends at a cut
                return None
            rest = list(unread)
            scores_read += len(left) - len(rest)
            drift = self._drift(scores_read * self._merged - pending - 1)
            self._window = _new_window(self._delta, self._clock)  # as River's ADWIN does
            if drift is not None:
                return drift
            left = rest
        return None

    def _merge(self, scores: Floats) -> Floats:
        """Return the merged scores; those that are too few for another wait."""
        if self._merged == 1:
            return scores
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
        width = int(self._window.get_width())
        kept, mean = width * self._merged, self._window.get_total() / width
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
