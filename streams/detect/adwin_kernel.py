"""River's ADWIN over one array, compiled (Bifet and Gavalda 2007).

It is equal to River's to the last bit: the same cuts, width, total and variance
(`tests/contracts/test_watch_contract.py`). An object called from Python takes four times as long.

A window is the sums of its values in levels of buckets: those of level k hold 2 ** k values each.
Its array has a head, then each level that it has reached: the number of its buckets, their totals
and their variances, the oldest first.
"""

import math
from typing import NamedTuple

import numpy as np

from streams.detect.compiled import compiled, slots
from streams.values import Floats


class WindowSlots(NamedTuple):
    """The head of a window.

    Parameters
    ----------
    width, total, variance
        Values in the window, their sum, and the sum of the squares of their deviations.
    levels
        Levels that have buckets, and the first one.
    """

    width: int
    total: int
    variance: int
    levels: int


WINDOW = slots(WindowSlots)
MOST_BUCKETS = 5
"""Buckets of a level: River's default. With one more the two oldest become one of the next."""
LEAST_BUCKETS = MOST_BUCKETS - 1
"""Buckets of a level below the last: six less two that have become one."""
_ROOM = MOST_BUCKETS + 1
LEVEL = 1 + 2 * _ROOM
"""Size of a level."""
HEAD = len(WINDOW)
_LEAST_PART = 5.0
"""Values on each side of a cut: River's default."""
_GRACE = 10.0
"""Values before the first test: River's default."""


def room_of(levels: int) -> int:
    """Return the values that levels can hold; the next one may need another level."""
    return int(MOST_BUCKETS * (2**levels - 1))


@compiled
def read_scores(window: Floats, scores: Floats, delta: float, clock: int) -> int:
    """Read scores until a test cuts the window; return the place of that score, or -1.

    The window must have room for all of them (`room_of`). After a cut it has lost its oldest
    values, and must not be read on: River begins a new one then.
    """
    # What changes with each score is held in variables: through the window it takes longer.
    width, total, variance = window[WINDOW.width], window[WINDOW.total], window[WINDOW.variance]
    buckets, until_test = int(window[HEAD]), clock - int(width) % clock
    for row in range(len(scores)):
        score = scores[row]
        window[HEAD + 1 + buckets], window[HEAD + 1 + buckets + _ROOM] = score, 0.0
        buckets += 1
        width += 1.0
        if width > 1.0:
            away = score - total / (width - 1.0)
            variance += (width - 1.0) * away * away / width
        total += score
        if buckets > MOST_BUCKETS:
            window[HEAD] = buckets
            _merge_oldest(window)
            buckets = int(window[HEAD])
        until_test -= 1
        if until_test == 0:
            until_test = clock
            window[HEAD] = buckets
            _set_sums(window, width, total, variance)
            if _cuts(window, delta):
                return row
    window[HEAD] = buckets
    _set_sums(window, width, total, variance)
    return -1


@compiled
def _set_sums(window: Floats, width: float, total: float, variance: float) -> None:
    window[WINDOW.width], window[WINDOW.total], window[WINDOW.variance] = width, total, variance


@compiled
def _merge_oldest(window: Floats) -> None:
    """Make two buckets one of the next level, wherever a level has one too many."""
    level, at, size = 0, HEAD, 1.0
    while window[at] > MOST_BUCKETS:
        level += 1
        window[WINDOW.levels] = max(window[WINDOW.levels], level + 1.0)
        total, variance, above = at + 1, at + 1 + _ROOM, at + LEVEL
        away = window[total] / size - window[total + 1] / size
        between = size * size * away * away / (size + size)
        place = above + 1 + int(window[above])
        window[place] = window[total] + window[total + 1]
        window[place + _ROOM] = window[variance] + window[variance + 1] + between
        window[above] += 1.0
        for kept in range(LEAST_BUCKETS):
            window[total + kept] = window[total + kept + 2]
            window[variance + kept] = window[variance + kept + 2]
        window[at] = LEAST_BUCKETS
        at, size = above, 2.0 * size


@compiled
def _cuts(window: Floats, delta: float) -> bool:
    """Drop the oldest buckets while they differ from the rest; return whether any did."""
    if window[WINDOW.width] <= _GRACE:
        return False
    has_cut = False
    while _is_to_cut(window, delta):
        has_cut = True
        _drop_oldest(window)
    return has_cut


@compiled
def _is_to_cut(window: Floats, delta: float) -> bool:
    """Tell whether the mean before any bucket's end differs from that after it."""
    old_rows, new_rows, old, new = 0.0, window[WINDOW.width], 0.0, window[WINDOW.total]
    if new_rows <= 0.0:
        return False
    doubt = math.log(2.0 * math.log(new_rows) / delta)
    variance = window[WINDOW.variance] / new_rows
    for level in range(int(window[WINDOW.levels]) - 1, -1, -1):
        at, size = HEAD + level * LEVEL, 2.0**level
        buckets = int(window[at])
        for bucket in range(buckets - 1 if level == 0 else buckets):
            total = window[at + 1 + bucket]
            old_rows += size
            new_rows -= size
            old += total
            new -= total
            if new_rows < _LEAST_PART or old_rows < _LEAST_PART:
                continue
            away = abs(old / old_rows - new / new_rows)
            rest = 1.0 / (old_rows - _LEAST_PART + 1.0) + 1.0 / (new_rows - _LEAST_PART + 1.0)
            if away > math.sqrt(2.0 * rest * variance * doubt) + 2.0 / 3.0 * doubt * rest:
                return True
    return False


@compiled
def _drop_oldest(window: Floats) -> None:
    level = int(window[WINDOW.levels]) - 1
    at, rows = HEAD + level * LEVEL, 2.0**level
    total = window[at + 1]
    window[WINDOW.width] -= rows
    window[WINDOW.total] -= total
    width = window[WINDOW.width]
    away = total / rows - window[WINDOW.total] / width
    between = rows * width * away * away / (rows + width)
    window[WINDOW.variance] -= window[at + 1 + _ROOM] + between
    buckets = int(window[at])
    for bucket in range(buckets - 1):
        window[at + 1 + bucket] = window[at + 2 + bucket]
        window[at + 1 + _ROOM + bucket] = window[at + 2 + _ROOM + bucket]
    window[at] = buckets - 1.0
    if buckets == 1 and level > 0:
        window[WINDOW.levels] -= 1.0


def new_window() -> Floats:
    """Return a window without values."""
    window = np.zeros(HEAD + LEVEL)
    window[WINDOW.levels] = 1.0
    return window


def extended(window: Floats, values: int) -> Floats:
    """Return a window with room for so many values in all."""
    levels = int(window[WINDOW.levels])
    while room_of(levels) < values:
        levels += 1
    made = np.zeros(HEAD + levels * LEVEL)
    made[: len(window)] = window
    return made


def trimmed(window: Floats) -> Floats:
    """Return a window without room for further levels: its size follows from its values alone."""
    return window[: HEAD + int(window[WINDOW.levels]) * LEVEL].copy()


def refuse_window(window: Floats) -> None:
    """Refuse a stored window that the kernel would read or write beyond its end.

    Raises
    ------
    ValueError
        Naming the fault.
    """
    levels, rest = divmod(len(window) - HEAD, LEVEL)
    if rest or levels < 1 or window[WINDOW.levels] != levels:
        raise ValueError(
            f"a window of {len(window)} numbers does not have the levels that it names"
        )
    buckets = window[HEAD::LEVEL].tolist()  # few: numpy would take longer
    below, last = buckets[:-1], buckets[-1]
    are_full = all(each in {LEAST_BUCKETS, MOST_BUCKETS} for each in below)
    if not (are_full and last in range(min(levels - 1, 1), MOST_BUCKETS + 1)):
        raise ValueError(f"a level of a window has {LEAST_BUCKETS} or {MOST_BUCKETS} buckets")
    if window[WINDOW.width] != sum(each * 2.0**level for level, each in enumerate(buckets)):
        msg = "a window does not have the width of its buckets"
        raise ValueError(msg)
