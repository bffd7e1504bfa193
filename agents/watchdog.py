"""Ends a worker that looks healthy and does nothing.

A consumer can stop fetching for good while it keeps its partitions and answers heartbeats. Only the
offsets tell: what is applied stands still while the log is ahead of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from faust.types import TP

from agents.errors import StalledError


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
