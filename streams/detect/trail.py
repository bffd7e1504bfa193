"""Find where a change began, and what the rows since then are, from the trail of a series.

Rule 1. The beginning is the place that best divides the rows into before and after, by the
        likelihood ratio (Hinkley 1970). A statistic's last zero is another place where the
        change is not of the size that the statistic was made for.
Rule 2. Where several places fit nearly as well, their median is told: the best one is often a short
        run of extreme rows. Each row is as likely a beginning as another, so where the rows before
        and after it divide them equally well, the longer part is told.
Rule 3. Every figure of a change is of the rows from its beginning to the alarm.
"""

from typing import NamedTuple

import numpy as np

from streams.detect.compiled import Singles
from streams.detect.trail_kernel import HEAD, LEVELS, ROOM
from streams.values import Floats

LEAST_SPREAD_ROWS = 8
"""Rows that show a standard deviation: fewer show a small one by chance. By judgement."""
NEGLIGIBLE = 12.0
"""Nats below the best place, from which on a place is as good as impossible: 1 in 160,000."""
LEAST_POWER_RATIO = 1e-3
"""Smallest ratio of two variances that counts: rows that are all equal have none."""


class Since(NamedTuple):
    """The sums of the rows since each place where a change may have begun.

    Parameters
    ----------
    rows
        How many rows there are, from the fewest on.
    sums
        Their sums: a row for each place, a column for each field of the trail.
    """

    rows: Floats
    sums: Floats


def new_trail(fields: int) -> Singles:
    """Return a trail without rows."""
    return np.zeros(HEAD + LEVELS * ROOM * fields, np.float32)


def refuse_trail(trail: Singles, fields: int) -> None:
    """Refuse a stored trail that the kernel would read beyond its end.

    Raises
    ------
    ValueError
        Naming the fault.
    """
    if len(trail) != len(new_trail(fields)):
        raise ValueError(f"a trail of {len(trail)} numbers does not hold {fields} sums")
    if not ((trail[:HEAD] >= 0) & (trail[:HEAD] <= ROOM)).all():
        msg = "a trail names buckets that it does not have"
        raise ValueError(msg)


def since(trail: Singles, fields: int, most: float) -> Since:
    """Return the sums of the latest rows, by the number of these rows, below ``most``."""
    buckets = trail[HEAD:].reshape(LEVELS, ROOM, fields)
    places, sizes = [], []
    for level in range(LEVELS):
        count = int(trail[level])
        places.append(buckets[level, :count][::-1])
        sizes.append(np.full(count, 2.0**level))
    held, size = np.concatenate(places).astype(np.float64), np.concatenate(sizes)
    rows = np.cumsum(size)
    kept = max(int(np.searchsorted(rows, most)), 1)
    return Since(rows[:kept], np.cumsum(held, axis=0)[:kept])


def beginning(then: Since, field: int, usual: float, gains: Floats, best: int) -> int:
    """Return the place where a change of a sum began (Rule 2).

    It is the median of all rows of the trail, each with the likelihood of a step there. A line from
    the beginning of a change that grows would fit only a tenth better, less than chance does.

    Parameters
    ----------
    then
        The sums since each place.
    field
        The sum that has changed.
    usual
        The usual value of a row: a place where the sum has moved to the other side is none.
    gains, best
        The evidence for a step at each place, in nats, and the place of the most.
    """
    away = then.sums[:, field] - usual * then.rows
    is_place = (away * away[best] > 0) & (gains > gains[best] - NEGLIGIBLE)
    weights = np.where(is_place, np.exp(np.minimum(gains - gains[best], 0.0)), 0.0)
    upto = np.cumsum(np.diff(then.rows, prepend=0.0) * weights)
    return min(int(np.searchsorted(upto, upto[-1] / 2)), len(then.rows) - 1)


def mean_gains(rows: Floats, sums: Floats, total: float, mean: float) -> Floats:
    """Return the evidence for a change of a mean at each place, in nats.

    Parameters
    ----------
    rows, sums
        Rows since the place, and the sum of values of unit variance in them.
    total, mean
        All rows, the reference's included, and their mean.
    """
    rest = total - rows
    away = sums / rows - (mean * total - sums) / rest
    made: Floats = rows * rest / total * away * away / 2
    return made


def power_gains(
    since_then: Since, total: float, mean: float, mean_square: float
) -> tuple[Floats, Floats]:
    """Return the evidence for a change of a variance at each place, in nats, and the ratio.

    Parameters
    ----------
    since_then
        Its last two sums are of values and of their squares.
    total, mean, mean_square
        All rows, the reference's included, and the means of both.
    """
    rows, sums, squares = since_then.rows, since_then.sums[:, -2], since_then.sums[:, -1]
    rest = total - rows
    before = (mean * total - sums) / rest
    usual = np.maximum((mean_square * total - squares) / rest - before * before, 1e-12)
    now = np.maximum(squares / rows - (sums / rows) ** 2, LEAST_POWER_RATIO * usual)
    all_rows = (rows * now + rest * usual) / total
    gains = (rows * np.log(all_rows / now) + rest * np.log(all_rows / usual)) / 2
    return np.where(rows < LEAST_SPREAD_ROWS, 0.0, gains), now / usual


def scale_gains(since_then: Since) -> Floats:
    """Return the evidence at each place for another scale about the usual mean, in nats.

    A series whose values lie further out on both sides has a mean of its latest rows as well; of a
    level that has moved they lie on one side.

    Parameters
    ----------
    since_then
        Its last sum is of the squares of values with mean 0 and variance 1.
    """
    rows = since_then.rows
    power = np.maximum(since_then.sums[:, -1] / rows, LEAST_POWER_RATIO)
    gains = rows * (power - 1 - np.log(power)) / 2
    return np.where(rows < LEAST_SPREAD_ROWS, 0.0, gains)


def spanned(trail: Singles, fields: int, left_out: int, rows: int) -> int:
    """Return the latest rows that have so many rows which are no hit.

    Parameters
    ----------
    left_out
        The first so many sums of the trail are of the hits.
    rows
        Rows that are no hit.
    """
    then = since(trail, fields, np.inf)
    own = then.rows - then.sums[:, :left_out].sum(axis=1)
    if own[-1] <= 0:
        return rows
    ends, counts = np.append(0.0, own), np.append(0.0, then.rows)
    if rows > own[-1]:  # as many in a row as among those remembered
        return round(rows * float(then.rows[-1] / own[-1]))
    return max(round(float(np.interp(rows, ends, counts))), rows)


def share_gains(rows: Floats, hits: Floats, total: float, share: Floats) -> Floats:
    """Return the evidence for a change of shares at each place, in nats.

    Parameters
    ----------
    rows, hits
        Rows since the place, and the hits of each category in them, a column each.
    total, share
        All rows, the reference's included, and the share of each category in them.
    """
    n = rows[:, None]
    now, before = hits / n, (share * total - hits) / (total - n)
    return n * _nats(now, share) + (total - n) * _nats(before, share)


def _nats(now: Floats, usual: Floats) -> Floats:
    """Return the information of one row of a share against another, by Kullback and Leibler."""
    p = np.clip(now, 1e-12, 1 - 1e-12)
    q = np.clip(usual, 1e-12, 1 - 1e-12)
    made: Floats = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    return made
