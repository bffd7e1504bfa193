"""End a worker that makes no progress although it looks healthy.

A consumer can stop fetching for good while it keeps its partitions and sends heartbeats. Only the
offsets show it: the applied offset does not move while the log is ahead of it.

A call into a library can also hang while it holds the interpreter's lock. No Python code can end
such a process, neither a task nor a thread nor a signal handler.
"""

from __future__ import annotations

import faulthandler
from collections.abc import Mapping

from faust.types import TP

from agents.errors import StalledError

WATCH_EVERY_S = 5.0
"""Seconds between two checks at most: a stall is found 5 s late at worst."""


def watch_every_s(stall_s: float) -> float:
    """Return the seconds between two checks: at least four checks within ``stall_s``."""
    return min(WATCH_EVERY_S, stall_s / 4)


def expect_sign_of_life(within_s: float) -> None:
    """End the process, with exit code 1, unless this is called again in time.

    OpenBLAS, for example, retries an allocation for ever while it holds the interpreter's lock. The
    timer is a C thread, which needs neither that lock nor memory. Before it ends the process it
    writes the stack of each thread to standard error.
    """
    faulthandler.dump_traceback_later(within_s, exit=True)


class Watchdog:
    """Compares offsets. The caller supplies the offsets and the time.

    Parameters
    ----------
    stall_s
        Seconds without progress that a partition may have while its log is ahead.
    """

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self._behind: dict[TP, tuple[int, float]] = {}

    def check(self, now_s: float, applied: Mapping[TP, int], ends: Mapping[TP, int]) -> None:
        """Compare with the offsets of earlier calls.

        Parameters
        ----------
        now_s
            A monotonic clock, in seconds.
        applied
            The offset up to which each assigned partition is done.
        ends
            The offset after the last record of each partition, where it is known.

        Raises
        ------
        StalledError
            When a partition has made no progress for ``stall_s``.
        """
        self._behind = {tp: seen for tp, seen in self._behind.items() if tp in applied}
        for tp, offset in applied.items():
            if offset >= ends.get(tp, offset):
                self._behind.pop(tp, None)
                continue
            last, since_s = self._behind.get(tp, (offset, now_s))
            if offset != last:
                since_s = now_s
            elif now_s - since_s >= self._stall_s:
                raise StalledError(
                    f"{tp.topic}-{tp.partition} has stood at offset {offset} for "
                    f"{now_s - since_s:.0f} s while its log goes to {ends[tp]}: restart the worker"
                )
            self._behind[tp] = (offset, since_s)
