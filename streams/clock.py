"""Log time: instants in epoch milliseconds, and the hours of the week.

Every clock of the core is the log's own. The wall clock never enters.
"""

import numpy as np
from numpy.typing import NDArray

HOUR_MS = 3_600_000
DAY_HOURS = 24
WEEK_HOURS = 168
NEVER_MS = 1 << 62
"""An instant that no log reaches: 146 million years after the epoch."""

Instants = NDArray[np.int64]
"""Instants in epoch milliseconds."""
Minutes = NDArray[np.int64]
"""Whole minutes since the epoch."""
