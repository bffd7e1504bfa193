"""ADWIN behind the CUSUMs, for drift that is too slow for them."""

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
AWAY_DEVIATIONS = 0.5
LEAST_MEAN = 0.1
MEMORIES, MOST_MERGED = 4.0, 256


def _new_window(delta: float = 0.002, clock: int = 32) -> AdaptiveWindowing:
    return AdaptiveWindowing(
        delta=delta, clock=clock, max_buckets=5, min_window_length=5, grace_period=10
    )


def _window_of(data: bytes) -> AdaptiveWindowing:
    window = _new_window()
    window.__setstate__(data)  # its parameters are part of its state
    return window


codec.extend(AdaptiveWindowing, AdaptiveWindowing.__getstate__, _window_of)


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

    It reads scores whose mean and deviation in the reference are 0 and 1. Where it cuts within the
    reference (a wave, clumps), it would cut again and again, and is not asked. It takes scores for
    independent: those that resemble their neighbours are read together, as one.
    """

    _delta: float
    _clock: int
    _learnt: int
    _least: float
    _merged: int
    _window: AdaptiveWindowing
    _pending: Floats
    _is_asked: bool = True

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
            A smaller mean than this, in deviations, is not reported.
        merged
            Scores that are read as one.
        """
        clock = max(clock // merged, 1)
        return cls(delta, clock, learnt, least, merged, _new_window(delta, clock), _EMPTY)

    def learn(self, scores: Floats) -> None:
        """Read the scores of the reference."""
        if self._is_asked and any(map(self._window.update, self._merge(scores).tolist())):
            self.rest()

    def rest(self) -> None:
        """Ask it no more."""
        self._is_asked = False

    def may_find(self, scores: int) -> bool:
        """Tell whether it may find something in the next so many scores."""
        more = (len(self._pending) + scores) // self._merged
        # The window is as wide as it has read: after a cut there is another.
        return self._is_asked and int(self._window.get_width()) % self._clock + more >= self._clock

    def run(self, scores: Floats) -> SlowDrift | None:
        """Read scores until their mean has changed."""
        if not self._is_asked:
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
        """Return what is read as one score each; the rest waits for more."""
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
    """Return how many scores of so many rows are read as one: several times their memory."""
    return min(math.ceil(MEMORIES * inflation / rows), MOST_MERGED) if inflation > 1 else 1


def least_mean(doubt: float) -> float:
    """Return the mean, in deviations of a row, that ADWIN may report where a profile is taken off.

    Over many rows it sees the rest that no estimate of an hourly profile takes away.
    """
    return LEAST_MEAN if doubt > 1 else 0.0
