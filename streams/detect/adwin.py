"""ADWIN behind the CUSUMs, for drift that is too slow for them."""

import math
from array import array
from operator import length_hint
from typing import Any

import numpy as np

# River's ADWIN without `river.drift`, which loads scipy: a second of CPU at every start.
from river._river_rust.drift import AdaptiveWindowing

from streams.values import Floats

_EMPTY: Floats = np.empty(0)
_ROW_CLOCK, _BLOCK_CLOCK = 32, 8
AWAY_DEVIATIONS = 0.5
LEAST_MEAN = 0.1
MEMORIES, MOST_MERGED = 4.0, 256


class SlowDriftDetector:
    """ADWIN behind the CUSUMs, for what moves too slowly for them.

    It reads scores whose mean and deviation in the reference are 0 and 1. Where it cuts within the
    reference (a wave, clumps), it would cut again and again, and is not asked. It takes scores for
    independent: those that resemble their neighbours are read together, as one.

    ADWIN tests after every ``clock`` scores only: until then they wait, to be read at once.

    Parameters
    ----------
    delta
        ADWIN's confidence.
    clock
        It tests after every so many scores.
    learnt
        Scores in the reference.
    least
        A smaller mean than this is not told.
    merged
        Scores that are read as one.
    """

    def __init__(
        self, delta: float, clock: int, learnt: int, least: float = 0.0, merged: int = 1
    ) -> None:
        self._least = least
        self._merged = merged
        self._pending = _EMPTY
        self._waiting = array("d")
        self._delta = delta
        self._clock = clock
        self._learnt = learnt
        self._window = self._new_window()
        self._is_drift = False
        self._is_asked = True
        self._until_test = self._window_clock

    @property
    def _window_clock(self) -> int:
        return max(self._clock // self._merged, 1)

    def _new_window(self) -> AdaptiveWindowing:
        return AdaptiveWindowing(
            delta=self._delta,
            clock=self._window_clock,
            max_buckets=5,
            min_window_length=5,
            grace_period=10,
        )

    def learn(self, scores: Floats) -> None:
        """Read the scores of the reference."""
        if self._read(self._merge(scores).tolist()) is not None:
            self.rest()

    def rest(self) -> None:
        """Ask it no more."""
        self._is_asked = False

    def may_find(self, scores: int) -> bool:
        """Tell whether it may find something in the next so many scores."""
        more = (len(self._pending) + scores) // self._merged
        return self._is_asked and len(self._waiting) + more >= self._until_test

    def run(self, scores: Floats) -> int | None:
        """Read scores until their mean has changed; return the place of the last one read."""
        if not self._is_asked:
            return None
        before, read = len(self._pending), -len(self._waiting)
        self._waiting.frombytes(self._merge(scores).tobytes())
        if len(self._waiting) < self._until_test:
            return None
        left = self._take_waiting()
        while (at := self._read(left)) is not None:
            read += at + 1
            if self._is_away:
                return read * self._merged - before - 1
            left = left[at + 1 :]
        return None

    def _take_waiting(self) -> list[float]:
        waiting = self._waiting.tolist()
        del self._waiting[:]
        return waiting

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

    def _read(self, scores: list[float]) -> int | None:
        """Read scores until ADWIN cuts; return the place of that one."""
        if not scores:
            return None
        if self._is_drift:
            self._window = self._new_window()  # as River does: after a cut it begins anew
        # A loop in C: with River's own update() this was a sixth of the monitor's time.
        left = iter(scores)
        self._is_drift = True in map(self._window.update, left)
        self._await_test()
        return len(scores) - length_hint(left) - 1 if self._is_drift else None

    def _await_test(self) -> None:
        """Count the scores until the next test: a window is as wide as it has read, until a cut."""
        read = 0 if self._is_drift else int(self._window.get_width())
        self._until_test = self._window_clock - read % self._window_clock

    @property
    def _is_away(self) -> bool:
        """Whether what ADWIN has kept differs from the reference, not only from what it dropped."""
        deviation = math.sqrt(1 / self.kept + 1 / self._learnt)
        return bool(abs(self.mean) > max(AWAY_DEVIATIONS * deviation, self._least))

    @property
    def mean(self) -> float:
        """Mean of the scores that ADWIN has kept."""
        total, width = self._window.get_total(), self._window.get_width()
        return float(total / width) / math.sqrt(self._merged)

    @property
    def kept(self) -> int:
        """Number of the scores that ADWIN has kept."""
        return int(self._window.get_width()) * self._merged

    def snapshot(self) -> dict[str, Any]:
        """Return the state as a tree for :func:`streams.codec.pack`."""
        self._read(self._take_waiting())
        return {
            "delta": self._delta,
            "clock": self._clock,
            "learnt": self._learnt,
            "least": self._least,
            "merged": self._merged,
            "pending": self._pending,
            "is_asked": self._is_asked,
            "window": self._window.__getstate__(),
            "is_drift": self._is_drift,
        }

    @classmethod
    def restore(cls, tree: dict[str, Any]) -> "SlowDriftDetector":
        """Return the backstop as it was."""
        least, merged = tree.get("least", 0.0), tree.get("merged", 1)
        backstop = cls(tree["delta"], tree["clock"], tree["learnt"], least, merged)
        backstop._pending = tree.get("pending", _EMPTY)
        backstop._is_asked = tree["is_asked"]
        backstop._window.__setstate__(tree["window"])
        backstop._is_drift = tree["is_drift"]
        backstop._await_test()
        return backstop


def _merged(inflation: float, rows: int) -> int:
    """Return how many scores of so many rows are read as one: several times their memory."""
    return min(math.ceil(MEMORIES * inflation / rows), MOST_MERGED) if inflation > 1 else 1


def _least_mean(doubt: float) -> float:
    """Return the mean, in deviations of a row, that ADWIN may tell where a rhythm is taken off.

    Over many rows it sees the rest that no estimate of a rhythm takes away.
    """
    return LEAST_MEAN if doubt > 1 else 0.0
