"""Ends a worker that looks healthy and does nothing.

A consumer can stop fetching for good while it keeps its partitions and answers heartbeats. Only the
offsets tell: what is applied stands still while the log is ahead of it.

Or a library never returns, and lets no other thread run Python meanwhile: nothing written in Python
can end that, no task, no thread and no signal handler.
"""

from __future__ import annotations

import faulthandler
from collections.abc import Mapping

from faust.types import TP

from agents.errors import StalledError

WATCH_EVERY_S = 5.0
"""Seconds between two looks at the offsets, at most. A stall is then found 5 s late at worst."""


def watch_every_s(stall_s: float) -> float:
    """Return the seconds between two looks: four at least within ``stall_s``."""
    return min(WATCH_EVERY_S, stall_s / 4)


def expect_sign_of_life(within_s: float) -> None:
    """End the process, with exit code 1, unless this is called again in time.

    OpenBLAS asks for memory again and again where it gets none, holding the interpreter's lock.
    The timer is one of C, which needs neither that lock nor memory; before it ends the process it
    writes to stderr where each thread stands.
    """
    faulthandler.dump_traceback_later(within_s, exit=True)


class Watchdog:
    """Looks at offsets; the caller brings them, and the time.

    Parameters
    ----------
    stall_s
        Seconds that a partition may stand still while its log is ahead.
    """

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self._behind: dict[TP, tuple[int, float]] = {}

    def check(self, now_s: float, applied: Mapping[TP, int], ends: Mapping[TP, int]) -> None:
        """Compare with what was seen before.

        Parameters
        ----------
        now_s
            A clock that never goes back.
        applied
            Offset up to which each assigned partition is done.
        ends
            Offset after the last record of each partition, as far as it could be asked.

        Raises
        ------
        StalledError
            When a partition has stood still for too long.
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
