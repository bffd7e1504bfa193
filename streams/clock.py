"""Log time: instants in epoch milliseconds, and the hours of the week.

Every clock of the core is the log's own. The wall clock never enters.
"""

import numpy as np
from numpy.typing import NDArray

HOUR_MS = 3_600_000
"""Milliseconds of an hour."""
DAY_HOURS = 24
"""Hours of a day."""
DAY_MINUTES = 60 * DAY_HOURS
"""Minutes of a day."""
DAY_MS = DAY_HOURS * HOUR_MS
"""Milliseconds of a day."""
WEEK_HOURS = 168
"""Hours of a week."""
NEVER_MS = 1 << 62
"""An instant that no log reaches: 146 million years after the epoch."""

Instants = NDArray[np.int64]
"""Instants in epoch milliseconds."""
Minutes = NDArray[np.int64]
"""Whole minutes since the epoch."""


def duration_text(ms: float) -> str:
    """Return a duration in its two largest units.

    Examples
    --------
    >>> [duration_text(ms) for ms in (0, 250, 59_000, 12_000_000, 93_600_000, 864_000_000)]
    ['0 s', '0.2 s', '59 s', '3 h 20 min', '1 d 2 h', '10 d']
    """
    if 0 < ms < 1_000:
        return f"{ms / 1_000:.1f} s"
    seconds = int(max(ms, 0)) // 1_000
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if part) or "0 s"
