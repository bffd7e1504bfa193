"""How long tests wait, on a machine that others use as well.

Rule 1. What must come is waited for up to ``PATIENCE_S``. A run that passes never waits so long, so
        the figure costs nothing, and no load on the machine fails a test.
Rule 2. Where the time itself is what is promised, the promise is multiplied by what the machine is
        slower now: see `promptly`.
"""

from __future__ import annotations

import time

PATIENCE_S = 600.0
"""Seconds. Below the limit of a test in pyproject.toml, which says less."""
_SPIN_S = 0.02


def slowness() -> float:
    """Return how many times longer work takes now than on an idle machine, at least 1."""
    began_s, cpu_began_s = time.perf_counter(), time.process_time()
    while (cpu_s := time.process_time() - cpu_began_s) < _SPIN_S:
        pass
    return max(1.0, (time.perf_counter() - began_s) / cpu_s)


def promptly(seconds: float) -> float:
    """Return the seconds of a promise, for a machine as busy as this one.

    The square of `slowness`: a process waits for others, a broker for one, that are slowed as well.
    """
    return min(PATIENCE_S, seconds * slowness() ** 2)
