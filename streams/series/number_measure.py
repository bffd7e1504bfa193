"""Measure by blocks of values whether the mean or the spread of numbers is away.

The rules are those of `streams.series.recovery_measures`.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import field
from msgspec.structs import replace

from streams.change import Change, Direction, Figures
from streams.clock import Instants
from streams.codec import Machine
from streams.detect.block_kernel import BLOCK_ROWS, CUSUMS, RUN, SUMS, read_block, run_of, size_of
from streams.detect.budget import SLACKS, gaussian_threshold, likelihood_threshold
from streams.detect.reference import coarse_knots
from streams.detect.score_kernel import CLIP, RAW_CLIP
from streams.season.hour_profile import HourProfile
from streams.series.detection import Detection
from streams.series.inputs import NUMBER
from streams.series.recovery_measures import (
    APART,
    LEAST_PART,
    MIN_BLOCK_ROWS,
    MUCH,
    NEWS,
    POOLED,
    WIDEST,
    BlockResult,
    alarmed,
    bound_of,
    chance,
    clear_runs,
    profile_of,
    surely,
)
from streams.values import Floats, Scalar, finite_or_none

RATIOS = (1.2, 2.0)
"""Ratios of standard deviations for which a further change is sought: one as large as the change
told, between these two, and the second. By judgement."""
WIDER = 1.15
"""Times the standard deviation that the CUSUMs were made for, from which they begin anew. By
judgement: of 30 rows it is known to an eighth."""
BEYOND = 3.0
"""Times the change told up to which scores rise: twice it is seen so, by values around it."""
MOST_SLACK = 1.0
"""Scores: a further change of a large one is beyond the clip of the scores otherwise."""
_PLAIN_SCORES = {"mean": 0.0, "sd": 1.0, "inflation": 1.0}
"""Scores of a reference without a summary of them: standard normal."""
_COLUMNS = 4
"""Sums of a block of numbers: of values in standard deviations of the reference and of their
squares, of scores and of their squares."""


class NumberMeasure(Machine, tag="numbers"):
    """The mean or the spread of numbers, in normal scores of the first reference.

    Attributes
    ----------
    block_rows
        Values in a block.
    """

    aspect: str
    block_rows: int
    _bound: float
    """Standard deviations of the scores; for a spread, of their logarithm."""
    _told: float
    """The change that was told, likewise; with its sign."""
    _sure: float
    """The part of it that is no chance."""
    _null: float
    """The change that a further one must exceed: the one told, less chance; then that of blocks, a
    standard error more."""
    _false_alarms: float
    _inflation: float
    """Variance of a mean of scores, in that of independent rows."""
    _mean: float
    _sd: float
    _score_mean: float
    _score_sd: float
    _knots: Floats
    """Values of the reference in rising order, and their normal scores."""
    _knot_scores: Floats
    _atoms: tuple[float, ...] = ()
    """Values watched by their shares, which the mean leaves out."""
    _profile: HourProfile | None = None
    _state: Floats = field(default_factory=lambda: np.zeros(size_of(_COLUMNS)))
    _latest: tuple[tuple[float, float], ...] = ()
    """Size and rows of the latest blocks."""
    _away: tuple[float, float] = (0.0, 0.0)
    """Sum of the sizes of blocks that were away, each times its rows, and sum of these rows."""
    _blocks_away: int = 0
    _unit: float = 1.0
    """Standard deviation of the scores since the change, where it is larger than before it."""
    _reach: float = RAW_CLIP
    """Scores at which they are clipped: beyond twice the change told, so that more can be seen."""

    def __post_init__(self) -> None:
        if len(self._state) != size_of(_COLUMNS):
            raise ValueError(f"a block of numbers has {_COLUMNS} sums, got {len(self._state)}")

    @classmethod
    def of(
        cls, change: Detection, reference: dict[str, Any], false_alarms: float
    ) -> "NumberMeasure":
        """Choose the bound and the block by the size of the change.

        Parameters
        ----------
        reference
            The first reference, as `streams.series.numeric.NumericSeries.describe` gives it.
        false_alarms
            Per 10,000 values: those of the CUSUM for a larger change.
        """
        scores = reference.get("scores") or _PLAIN_SCORES
        knots, knot_scores = coarse_knots(reference["quantiles"])
        moments = reference.get("without_atoms") or reference
        measure = cls(
            change.aspect,
            MIN_BLOCK_ROWS,
            WIDEST,
            0.0,
            0.0,
            0.0,
            false_alarms,
            scores["inflation"] / (2 if change.aspect == "spread" else 1),
            moments["mean"],
            moments["sd"] or 1.0,
            scores["mean"],
            scores["sd"],
            np.asarray(knots, dtype=np.float64),
            np.asarray(knot_scores, dtype=np.float64),
            tuple(reference.get("atoms") or ()),
            profile_of(change, is_of_numbers=True),
        )
        measure.tell(change.change)
        return measure

    def tell(self, change: Change) -> None:
        """Begin a block, and hold values against this change from the next one on."""
        shown = self._size if self._told else None
        if self.aspect == "level":
            self._reach = max(RAW_CLIP, BEYOND * (change.figures.effect or 0.0))
        self._told = self._size_of(change.figures)
        self._away, self._latest, self._blocks_away = (0.0, 0.0), (), 0
        self._sure = self._told
        if self._profile is None:  # one of few days is wrong by more than the told rows
            self._sure = surely(self._told, change.figures.rows, self._inflation)
        if shown is not None and shown * self._told > 0:  # the larger one may be a few wild rows
            self._sure = min(self._sure, shown, key=abs)
        self._aim(self._sure)
        told = self._own_size(change.figures)
        self._null = told - math.copysign(self._chance(change.figures.rows), told)
        self._state[:] = 0.0
        self._set_thresholds()

    def is_clearly_away(self, change: Change) -> bool:
        """Whether a change is to the side that was told, and beyond the bound."""
        size, rows = self._size_of(change.figures), change.figures.rows
        return size * self._told > 0 and abs(size) - chance(rows, self._inflation) > self._bound

    def _size_of(self, figures: Figures) -> float:
        if self.aspect == "spread":
            return _log_ratio(figures.score or figures.effect)
        size = figures.effect if figures.score is None else figures.score
        return math.copysign(size or 1.0, -1.0 if figures.direction == "down" else 1.0)

    def _own_size(self, figures: Figures) -> float:
        """Return the size of a change by the scores of this measure: a detector clips its own."""
        size = self._size_of(figures)
        if self.aspect == "spread" or figures.value is None:
            return size
        now, usual = self._scores(np.array([figures.value, self._mean])).tolist()
        own = float(now - usual)
        return own if own * size > size * size else size

    def _aim(self, size: float) -> None:
        self._bound, self.block_rows = bound_of(size, self._inflation)

    def _chance(self, rows: float) -> float:
        """Return half a standard error of the figure told, which shows more than there is."""
        return min(chance(rows, self._inflation) / 4, (1 - LEAST_PART) * abs(self._told))

    def _set_thresholds(self) -> None:
        false_alarms = self._false_alarms / CUSUMS
        for cusum in range(CUSUMS):
            if self.aspect == "spread":
                threshold = likelihood_threshold(false_alarms) * 2 * self._inflation
            else:
                slack = self._slack(cusum)
                threshold = gaussian_threshold(false_alarms, slack) * self._inflation
            self._state[run_of(_COLUMNS, cusum) + RUN.threshold] = threshold

    def _slack(self, cusum: int) -> float:
        """Return the scores above the mean told: half the change that a CUSUM finds soonest."""
        return max(min(abs(self._null) / 2 / self._unit, MOST_SLACK), SLACKS[cusum])

    def _further(self, cusum: int) -> float:
        """Return the ratio to the deviation told, for which a further change is sought."""
        least, most = math.log(RATIOS[cusum]), math.log(RATIOS[1])
        return math.exp(math.copysign(min(max(abs(self._null), least), most), self._null))

    def as_from_first(self, change: Change) -> Change:
        """Return a change against another reference as one against the first."""
        figures, value = change.figures, change.figures.value
        if value is None:
            return change
        if self.aspect == "spread":
            ratio = value / self._sd
            side: Direction = "up" if ratio > 1 else "down"
            return replace(
                change,
                figures=replace(
                    figures, baseline=self._sd, effect=ratio, score=ratio, direction=side
                ),
            )
        now, usual = self._scores(np.array([value, self._mean])).tolist()
        made = self._level(value, now - usual)
        return replace(change, figures=replace(made, unit="sd", rows=figures.rows))

    def _level(self, value: float, score: float) -> Figures:
        away = (value - self._mean) / self._sd
        if away * score < 0:  # a few wild values have moved the mean against all others
            away = score
            value = self._mean + self._sd * score
        return Figures(
            value=finite_or_none(value),
            baseline=finite_or_none(self._mean),
            effect=finite_or_none(abs(away)),
            direction="up" if score > 0 else "down",
            score=abs(score),
        )

    def read(self, values: Sequence[Scalar], at_ms: Instants) -> int | None:
        """Take values and their instants into account; return the first at which it is worse."""
        return self._read(self._state, values, at_ms)

    def first_worse(self, values: Sequence[Scalar], at_ms: Instants) -> int | None:
        """Return the first value at which `read` will find the series worse."""
        return self._read(self._state.copy(), values, at_ms)

    @property
    def filled(self) -> int:
        """Values in the block."""
        return int(self._state[BLOCK_ROWS])

    def _read(self, state: Floats, values: Sequence[Scalar], at_ms: Instants) -> int | None:
        used = [row for row, x in enumerate(values) if type(x) in NUMBER and x not in self._atoms]
        if not used:
            return None
        numbers = np.array([values[row] for row in used], dtype=np.float64)
        if self._profile is not None:
            numbers = self._profile.adjust(numbers, at_ms[used] // 60_000)
        z = self._scores(numbers)
        with np.errstate(over="ignore"):
            w = np.clip((numbers - self._mean) / self._sd, -1e150, 1e150)
        steps = np.column_stack([self._steps(z, cusum) for cusum in range(CUSUMS)])
        worse = read_block(state, steps, np.column_stack((w, w * w, z, z * z)))
        return used[worse // CUSUMS] if worse >= 0 else None

    def _scores(self, numbers: Floats) -> Floats:
        """Return standardised scores, extended beyond the reference's least and greatest value.

        There they rise as they do before it, but not faster than standard deviations.
        """
        knots, scores = self._knots, self._knot_scores
        raw = np.interp(numbers, knots, scores)
        if len(knots) > 1:
            with np.errstate(over="ignore"):
                for end, near in ((0, 1), (-1, -2)):
                    slope = (scores[end] - scores[near]) / (knots[end] - knots[near])
                    slope = min(slope, 1 / self._sd)  # two near knots say little about a tail
                    raw += slope * np.where(
                        numbers < knots[0] if end == 0 else numbers > knots[-1],
                        numbers - knots[end],
                        0.0,
                    )
        made: Floats = (np.clip(raw, -self._reach, self._reach) - self._score_mean) / self._score_sd
        return made

    def _steps(self, z: Floats, cusum: int) -> Floats:
        if self.aspect == "spread":
            ratio = self._further(cusum)
            squares = np.minimum(z * z / math.exp(2 * self._null), CLIP * CLIP)
            return squares * (1 - 1 / (ratio * ratio)) / 2 - math.log(ratio)
        away = math.copysign(1.0, self._null) * z - abs(self._null)
        away = np.clip(away / self._unit, -CLIP, CLIP)
        made: Floats = away - self._slack(cusum)
        return made

    def forget_runs(self) -> None:
        """Let the CUSUMs begin anew."""
        clear_runs(self._state, _COLUMNS)

    def worse(self) -> BlockResult | None:
        """Return the figures of the rows since the series has been worse.

        Returns None where the values scatter more than the CUSUMs were made for: chance is larger
        then, and they begin anew.
        """
        run = alarmed(self._state, _COLUMNS)
        rows, sums = float(run[RUN.rows]), run[len(RUN) : len(RUN) + _COLUMNS]
        if self.aspect == "level":
            before = self._state[SUMS : SUMS + _COLUMNS] - sums
            scatter = _scatter((rows, sums), (float(self._state[BLOCK_ROWS]) - rows, before))
            if scatter > WIDER * self._unit:
                self._unit = scatter
                self.forget_runs()
                self._set_thresholds()
                return None
        figures = self._figures(sums, rows)[1]
        return BlockResult(False, replace(figures, rows=int(rows)))

    def is_much(self, now: Figures, told: Figures) -> bool:
        """Whether a change is much larger than the rows before it, and news beside the one told."""
        size = abs(self._size_of(now))
        is_larger = size >= MUCH * abs(self._null) or now.strength >= MUCH * told.strength
        return is_larger and now.strength >= NEWS * told.strength

    def _figures(self, sums: Floats, rows: float) -> tuple[float, Figures]:
        """Return the size of the change in rows with these sums, and its figures."""
        w, squares, mean, power = (float(each) / rows for each in sums)
        if self.aspect == "level":
            return mean, self._level(self._mean + self._sd * w, mean)
        score = math.sqrt(max(power - mean * mean, 1e-12))
        ratio = math.sqrt(max(squares - w * w, 0.0))
        if (ratio - 1) * (score - 1) <= 0:
            ratio = score
        return math.log(score), Figures(
            value=finite_or_none(self._sd * ratio),
            baseline=finite_or_none(self._sd),
            effect=ratio,
            direction="up" if ratio > 1 else "down",
            score=score,
        )

    def close(self) -> BlockResult:
        """Return the result of the block, and begin the next."""
        rows, sums = float(self._state[BLOCK_ROWS]), self._state[SUMS : SUMS + _COLUMNS]
        size, figures = self._figures(sums, rows)
        self._state[BLOCK_ROWS] = sums[:] = 0.0
        is_near = abs(size) < self._bound
        self._latest = (*self._latest, (size, rows))[-POOLED:]
        if not is_near:
            self._away = (self._away[0] + size * rows, self._away[1] + rows)
            self._blocks_away += 1
            self._aim(self._size)
            self._null = self._before_run()
            self._set_thresholds()
        return BlockResult(is_near and self._speaks_against(), figures, is_near=is_near)

    def _before_run(self) -> float:
        """Return the change of the blocks away without the longest run, a standard error more.

        The rows of a run may be those of a further change, which would hide itself.
        """
        runs = [self._state[run_of(_COLUMNS, cusum) :] for cusum in range(CUSUMS)]
        run = max(runs, key=lambda each: float(each[RUN.rows]))
        sizes, rows = self._away
        if MIN_BLOCK_ROWS / 2 <= rows - run[RUN.rows] < rows:
            sums = run[len(RUN) : len(RUN) + _COLUMNS]
            sizes -= self._figures(sums, float(run[RUN.rows]))[0] * float(run[RUN.rows])
            rows -= float(run[RUN.rows])
        size = sizes / rows
        return size + math.copysign(math.sqrt(self._inflation / rows), size)

    def _speaks_against(self) -> bool:
        """Whether the latest blocks speak against the change, told and seen since (Rule 2)."""
        rows = sum(each for _, each in self._latest)
        mean = sum(size * each for size, each in self._latest) / rows
        variance = self._inflation / rows
        size = float(self._size)
        return bool((size * size - 2 * size * mean) / (2 * variance) >= APART)

    @property
    def _size(self) -> float:
        """The change that several blocks have shown; before that, the part told that is sure."""
        knows_change = self._blocks_away >= POOLED and self._profile is None
        return self._away[0] / self._away[1] if knows_change else self._sure


def _scatter(*parts: tuple[float, Floats]) -> float:
    """Return the standard deviation of scores about the means of parts of rows, from 1 to the clip.

    A part is a number of rows and their sums; those that are no rows do not count.
    """
    rows = sum(count for count, _ in parts if count >= 1)
    squares = sum(sums[3] - sums[2] * sums[2] / count for count, sums in parts if count >= 1)
    return float(min(max(math.sqrt(max(squares, 0.0) / rows), 1.0), CLIP))


def _log_ratio(ratio: float | None) -> float:
    return math.log(ratio) if ratio else 1.0
