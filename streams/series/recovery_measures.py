"""Measure by blocks of values whether the mean, the spread or the shares of a series are away.

Rule 1. Values are read in blocks, long enough to tell the first reference from the figure that was
        told, in spite of chance, of the series' memory and of waves in its reference.
Rule 2. A block is near when its figure is nearer to the first reference than a bound. The series is
        back only where the latest blocks also speak against the change that was told, and, once
        blocks were away, against the change that they show: what fits both is no evidence. Where a
        larger change has been told since, they speak against the smaller one.
Rule 3. A CUSUM beside the blocks finds a change twice as large as the one told (`tell`).
Rule 4. The part of the hour is taken off, where the hourly profile was known at the alarm.
Rule 5. How values are cut changes nothing.
"""

import math
from typing import NamedTuple

from msgspec.structs import replace

from streams.change import Change, Figures, Shares
from streams.detect.block_kernel import CUSUMS, RUN, run_of
from streams.season.hour_profile import HourProfile
from streams.series.detection import Detection
from streams.values import Floats

MIN_BLOCK_ROWS = 200
"""Values. Three such blocks are the shortest way back: 600 values (docs/wire.md, Alerts)."""
MAX_BLOCK_ROWS = 20_000
"""Values: ten references. A series whose memory asks for more is judged by a wider bound."""
SURE = 2.5
"""Standard deviations of a block's figure from the reference to the bound: by chance a block of an
unchanged series lies beyond it once in 80."""
NEAR = 0.4
"""The bound's part of the way from the reference to the figure that was told. Below one half, so
that a block that is still away lies further from the bound than one that is back."""
WIDEST = 0.25
"""Standard deviations: the bound at most, regardless of the size of the original change. Chosen:
half of the smallest change of a mean whose delay docs/detection.md states."""
NARROWEST = 0.07
"""Standard deviations: the bound at least. A mean of 2,000 values is known to three times
1 / sqrt(2,000), which is .067."""
APART = 9.2
"""Nats by which the latest blocks must speak for the reference: odds of 10,000 to 1. A lasting
change is asked again with every block."""
POOLED = 3
"""Blocks that speak together: as many as must be back. So many that were away show the change; one
may be so by chance."""
EVIDENT = 12.0
"""Rows of a block, times the square of a change: `POOLED` such blocks of an unchanged series speak
against the change with 18 nats, twice `APART`."""
LEAST_PART = 0.5
"""Part of a change that was told which is taken for sure, at least. By judgement."""
MUCH = 1.5
"""Times the effect of the rows before from which a larger one is told: half of the way to twice."""
NEWS = 1.15
"""Times the effect that is published, likewise: the rows that raised the alert show more than there
is, so that it may be nearer. By judgement."""
USUAL_ROWS = 2_000.0
"""Rows of a reference that does not say how many it has: the default of a model's spec."""


class BlockResult(NamedTuple):
    """The result of one block.

    Parameters
    ----------
    is_back
        Whether it is evidence that the series is back.
    figures
        Its figure against the reference; the rows are not set.
    category
        The category furthest away, where the measure has any.
    moved
        The categories that moved most: name, share in the reference, share in the block.
    is_near
        Whether its figure is near that of the reference; a block may be so and prove nothing.
    """

    is_back: bool
    figures: Figures
    category: str | None = None
    moved: Shares = ()
    is_near: bool = False

    def onto(self, change: Change, rows: int) -> Change:
        """Return the change with the figures of this block, ``rows`` values after its onset."""
        return Change(
            aspect=change.aspect,
            detector=change.detector,
            figures=replace(self.figures, unit=change.figures.unit, rows=rows),
            category=self.category or change.category,
            moved=self.moved,
            left_out=change.left_out,
            at_age=change.at_age,
            is_of_training=change.is_of_training,
        )


def clear_runs(state: Floats, columns: int) -> None:
    """Let the CUSUMs of a block's state begin anew."""
    for cusum in range(CUSUMS):
        run = run_of(columns, cusum)
        threshold = state[run + RUN.threshold]
        state[run : run + len(RUN) + columns] = 0.0
        state[run + RUN.threshold] = threshold


def alarmed(state: Floats, columns: int) -> Floats:
    """Return the CUSUM of a block's state that is furthest above its threshold."""
    runs = [state[run_of(columns, cusum) :] for cusum in range(CUSUMS)]
    return max(runs, key=lambda run: float(run[RUN.total] / run[RUN.threshold]))


def profile_of(change: Detection, *, is_of_numbers: bool) -> HourProfile | None:
    """Return the hourly profile to take off in a measure of numbers, or of shares."""
    profile = change.profile
    return profile if profile is not None and profile.is_of_numbers == is_of_numbers else None


def surely(size: float, rows: float, inflation: float) -> float:
    """Return the part of a change that is no chance, with its sign.

    The rows that raise an alarm show more than there is: two standard errors are taken off.

    Parameters
    ----------
    size
        Size of the change in so many ``rows``, in standard deviations of one value.
    inflation
        Variance of a figure of them, in that of independent values.
    """
    least = max(abs(size) - chance(rows, inflation), LEAST_PART * abs(size))
    return math.copysign(least, size)


def chance(rows: float, inflation: float) -> float:
    """Return two standard errors of a figure of so many rows, in deviations of one value."""
    return 2 * math.sqrt(inflation / rows)


def bound_of(size: float, inflation: float) -> tuple[float, int]:
    """Return the distance from the reference up to which a block is near, and the block's rows.

    Parameters
    ----------
    size
        Size of the change, in standard deviations of one value.
    inflation
        Variance of a block's figure, in that of independent values.
    """
    bound = min(max(NEAR * abs(size), NARROWEST), WIDEST)
    size = max(abs(size), 1 / MAX_BLOCK_ROWS)
    rows = math.ceil(max((SURE / bound) ** 2, EVIDENT / (size * size)) * inflation)
    rows = min(max(rows, MIN_BLOCK_ROWS), MAX_BLOCK_ROWS)
    return max(bound, SURE * math.sqrt(inflation / rows)), rows
