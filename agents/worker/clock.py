"""A worker's clock, held against the broker's.

The broker's clock is known from LogAppendTime in the acknowledgements of the worker's own records.
A worker whose clock is wrong would append instants that the log keeps for good: predictions would
expire that still wait for their outcomes.

Rule 1. An acknowledgement brackets the broker's clock: the record was appended between the sending
        and the answer. Later, the bracket moves on with a monotonic clock.
Rule 2. Within ``tolerance_s`` of the bracket the worker's own clock counts. Beyond it the clock is
        wrong, and the broker's counts instead.
Rule 3. Before the first acknowledgement, and on a broker without LogAppendTime (the embedded one),
        the worker's own clock counts.
"""

from __future__ import annotations

from collections.abc import Callable

Clock = Callable[[], float]
"""Returns seconds: since the epoch, or monotonic."""


class CheckedClock:
    """Seconds since the epoch.

    Parameters
    ----------
    clock
        The worker's own: seconds since the epoch.
    monotonic
        Seconds that nobody sets.
    tolerance_s
        Seconds by which the two clocks may differ.
    """

    def __init__(self, clock: Clock, monotonic: Clock, tolerance_s: float) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._tolerance_s = tolerance_s
        self._appended_s = 0.0
        self._took_s = 0.0
        self._at_s: float | None = None

    def __call__(self) -> float:
        """Return the instant: by the worker's clock, or by the broker's where that is wrong."""
        own_s = self._clock()
        return own_s - self._off_s(own_s)

    def note(self, appended_ms: int, took_s: float) -> None:
        """Take note of an acknowledgement that has just arrived.

        Parameters
        ----------
        appended_ms
            LogAppendTime of the record, in ms since the epoch.
        took_s
            Seconds since it was sent.
        """
        self._appended_s, self._took_s = appended_ms / 1_000, took_s
        self._at_s = self._monotonic()

    @property
    def off_s(self) -> float:
        """Seconds by which the worker's clock is wrong: ahead above 0, behind below 0, else 0."""
        return self._off_s(self._clock())

    def latest_s(self) -> float:
        """Return the latest instant that the broker's clock may show; infinity if unknown."""
        return float("inf") if self._at_s is None else self._earliest_s(self._at_s) + self._took_s

    def _off_s(self, own_s: float) -> float:
        if self._at_s is None:
            return 0.0
        earliest_s = self._earliest_s(self._at_s)
        latest_s = earliest_s + self._took_s
        if own_s > latest_s + self._tolerance_s:
            return own_s - latest_s
        return own_s - earliest_s if own_s < earliest_s - self._tolerance_s else 0.0

    def _earliest_s(self, at_s: float) -> float:
        return self._appended_s + self._monotonic() - at_s
