"""The sums of the latest rows of a series, finer the later they are, compiled.

A trail is a histogram in time: its buckets hold the sums of 1, 2, 4 .. rows, as the window of ADWIN
does (Bifet and Gavalda 2007).
"""

from streams.detect.compiled import Singles, compiled

LEVELS = 12
"""Sizes of buckets, 1 to 2,048 rows: a trail reaches at least 25,000 rows back."""
ROOM = 12
"""Buckets of a size, the oldest first. When they are full, half of them become buckets of twice the
size, so an onset is known to a sixth of its age, and to a twelfth at best."""
_HALF = ROOM // 2
HEAD = LEVELS
"""Places before the buckets: how many of each size there are."""


@compiled
def make_room(trail: Singles, fields: int) -> int:
    """Make half of the smallest buckets larger ones; return how many smallest ones are left.

    A loop over rows holds their number in a variable, and writes it to ``trail[0]`` at its end:
    written and read again with each row, it took most of the time of all statistics.

    Parameters
    ----------
    trail
        A trail with ``ROOM`` smallest buckets.
    fields
        The number of sums in a bucket.
    """
    trail[0] = ROOM
    level = 1
    while level < LEVELS and trail[level] > ROOM - _HALF // 2:
        level += 1
    if level == LEVELS:  # the oldest rows of all are forgotten
        _drop(trail, LEVELS - 1, fields)
        level -= 1
    while level > 0:
        level -= 1
        of = HEAD + level * ROOM * fields
        to = HEAD + ((level + 1) * ROOM + int(trail[level + 1])) * fields
        for pair in range(_HALF // 2):
            for field in range(fields):
                first = of + 2 * pair * fields + field
                trail[to + pair * fields + field] = trail[first] + trail[first + fields]
        trail[level + 1] += _HALF // 2
        _drop(trail, level, fields)
    return int(trail[0])


@compiled
def _drop(trail: Singles, level: int, fields: int) -> None:
    """Forget the older half of the buckets of a size."""
    of, half = HEAD + level * ROOM * fields, _HALF * fields
    kept = (int(trail[level]) - _HALF) * fields
    for place in range(kept):
        trail[of + place] = trail[of + half + place]
    trail[level] -= _HALF
