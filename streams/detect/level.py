"""Detectors: what says that a learnt series has changed.

Rule 1. A detector is made from a reference and raises once; then its owner makes a new one.
Rule 2. Where the input is cut into batches changes nothing.
Rule 3. Thresholds come from :mod:`streams.detect.budget` alone, and follow when the budget changes.
"""

import math

import numpy as np

from streams.change import Detector, Figures, Finding
from streams.codec import Machine
from streams.detect import compiled, level_kernel
from streams.detect.adwin import (
    ROW_CLOCK,
    SlowDrift,
    SlowDriftDetector,
    least_mean,
    merged_rows,
)
from streams.detect.budget import (
    PAGE_HINKLEY_SHARE,
    adwin_delta,
    gaussian_threshold,
    short_reference_cost,
    spread_down_threshold,
    spread_up_threshold,
)
from streams.detect.limits import CALM, ONE_FALSE_ALARM, STEADY, TOP_MARGIN, crept
from streams.detect.reference import NumericReference
from streams.detect.sample import Sample
from streams.values import Floats, finite_or_none

_SLOW, _FAST, _SPREAD_UP, _SPREAD_DOWN = 0.18, 0.50, 0.46, 0.35
_DELTAS = (_SLOW, _SLOW, _FAST, _FAST, _SPREAD_UP, _SPREAD_DOWN)


def _of_each(field: int) -> slice:
    """Return where a field of every statistic of levels lies in a state."""
    return slice(level_kernel.HEAD + field, level_kernel.LEVELS_SIZE, compiled.STATISTIC_SIZE)


_DELTA, _TOP, _THRESHOLD = map(_of_each, (compiled.DELTA, compiled.TOP, compiled.THRESHOLD))


class NumericDetector(Machine):
    """Watch level and spread of a numeric series: Page-Hinkley statistics, and ADWIN behind them.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> watch = NumericDetector.learn(Sample.of(rng.normal(20.0, 3.0, 2_000)), 0.01)
    >>> watch.run(rng.normal(20.0, 3.0, 5_000))
    >>> finding = watch.run(rng.normal(23.0, 3.0, 100))
    >>> finding.aspect, finding.figures.direction, finding.row < 60, round(finding.figures.baseline)
    ('level', 'up', True, 20)
    """

    _reference: NumericReference
    _state: Floats
    _slow_drift: SlowDriftDetector
    _tops: Floats
    _doubt: float

    @classmethod
    def learn(cls, sample: Sample, false_alarms: float, doubt: float = 1.0) -> "NumericDetector":
        """Return a detector whose reference is a sample of at least two different numbers.

        Parameters
        ----------
        sample
            The values of the reference, which the statistics read first.
        false_alarms
            Per 10,000 values.
        doubt
            The long-run variance, in that of independent rows, that the removal of an hourly
            profile leaves in the series.
        """
        reference = NumericReference.of(sample)
        slow_drift = SlowDriftDetector.of(
            adwin_delta(false_alarms),
            ROW_CLOCK,
            reference.rows,
            least_mean(doubt),
            merged_rows(reference.level_inflation, 1),
        )
        tops = np.zeros(level_kernel.STATISTICS)
        detector = cls(reference, _new_state(reference, sample), slow_drift, tops, doubt)
        detector._read_reference(sample)
        detector.set_budget(false_alarms)
        return detector

    @property
    def is_settled(self) -> bool:
        """Whether no slow motion shows, which a longer reference might explain."""
        reference = self._reference
        has_moved = (self._tops > self._thresholds(ONE_FALSE_ALARM)).any()
        return max(reference.level_inflation, reference.spread_inflation) <= 1 and not has_moved

    @property
    def is_steady(self) -> bool:
        """Whether blocks of the reference differ hardly more than chance lets them."""
        reference = self._reference
        return max(reference.level_inflation, reference.spread_inflation) <= STEADY

    @property
    def is_calm(self) -> bool:
        """Whether no statistic is on its way to an alarm."""
        sums = self._state[level_kernel.HEAD : level_kernel.LEVELS_SIZE : compiled.STATISTIC_SIZE]
        return bool((sums < CALM * self._state[_THRESHOLD]).all())

    @property
    def _adwin_scale(self) -> float:
        return 1 / math.sqrt(self._reference.level_inflation * self._doubt)

    def _read_reference(self, learnt: Sample) -> None:
        state, scores = self._state, np.empty(len(learnt))
        state[_THRESHOLD] = 1.0
        level_kernel.run_held(state, learnt.x, learnt.clipped_scores, scores, self._adwin_scale)
        self._tops = state[_TOP].copy()
        self._slow_drift.learn(scores)

    def _crept(self, rows: int, total: float, mean: int, usual: float, variance: float) -> float:
        """Return how far rows between the reference and the change lie away on its side."""
        learnt = self._reference.rows
        between = self._state[level_kernel.COUNT] - learnt - rows
        before = self._state[mean] * self._state[level_kernel.COUNT] - usual * learnt - total
        return crept(before - usual * between, between, learnt, variance, total - usual * rows)

    def set_budget(self, false_alarms: float) -> None:
        """Set the thresholds; ADWIN keeps its confidence until the series is learnt anew.

        What the reference did by itself, later rows may do: no threshold lies below its top.
        """
        thresholds = np.maximum(self._thresholds(false_alarms), TOP_MARGIN * self._tops)
        self._state[_THRESHOLD] = thresholds

    def _thresholds(self, false_alarms: float) -> Floats:
        part = PAGE_HINKLEY_SHARE * false_alarms / level_kernel.STATISTICS
        f = part / short_reference_cost(self._reference.rows)
        spread_f = part / short_reference_cost(self._reference.rows, is_spread=True)
        level = self._reference.level_inflation * self._reference.level_tail
        spread = self._reference.spread_inflation * self._reference.spread_tail
        thresholds = (
            *(gaussian_threshold(f, delta) * level for delta in _DELTAS[:4]),
            spread_up_threshold(spread_f) * spread,
            spread_down_threshold(spread_f) * spread,
        )
        return self._doubt * np.array(thresholds)

    def run(self, values: Floats) -> Finding | None:
        """Read values until something has changed."""
        before = None
        if self._slow_drift.may_find(len(values)):
            before = self._state[: level_kernel.LEVELS_SIZE].copy()  # the knots never change
        scores = np.empty(len(values))
        alarm = level_kernel.run_levels(self._state, values, scores, self._adwin_scale)
        row = alarm // level_kernel.STATISTICS if alarm >= 0 else len(values)
        slow = self._slow_drift.run(scores if alarm < 0 else scores[:row])
        if slow is not None and before is not None:
            # What is reported is as of the alarm, wherever these values happen to end.
            self._state[: level_kernel.LEVELS_SIZE] = before
            read = values[: slow.place + 1]
            level_kernel.run_levels(self._state, read, scores, self._adwin_scale)
            return self._slow_finding(slow)
        return self._finding(row, alarm % level_kernel.STATISTICS) if alarm >= 0 else None

    def _finding(self, row: int, statistic: int) -> Finding:
        state, at = self._state, _at(statistic)
        rows = int(state[at + compiled.ROWS])
        shift = state[at + compiled.SCORES] / rows - state[level_kernel.MEAN]
        power = state[at + compiled.SQUARES] / rows
        excess = power - state[level_kernel.MEAN_SQUARE]
        if statistic < level_kernel.SPREAD_UP or 2 * shift * shift > excess > 0:
            return self._level(row, "page_hinkley", shift, at)
        ratio = math.sqrt(max(power - shift * shift, 0.0) / state[level_kernel.MEAN_SQUARE])
        sd = self._reference.sd
        return Finding(
            row=row,
            aspect="spread",
            detector="page_hinkley",
            figures=Figures(
                value=finite_or_none(sd * ratio),
                baseline=finite_or_none(sd),
                effect=ratio,
                unit="ratio",
                direction="up" if statistic == level_kernel.SPREAD_UP else "down",
                rows=rows,
            ),
            crept=self._crept(
                rows, state[at + compiled.SQUARES], level_kernel.MEAN_SQUARE, 1.0, 2.0
            ),
        )

    def _slow_finding(self, drift: SlowDrift) -> Finding:
        shift = drift.mean / self._adwin_scale - self._state[level_kernel.MEAN]
        return self._level(drift.place, "adwin", shift, _at(0 if shift > 0 else 1))

    def _level(self, row: int, detector: Detector, shift: float, at: int) -> Finding:
        phi = self._reference.autocorrelation
        rows = max(int(self._state[at + compiled.ROWS]), 1)
        return Finding(
            row=row,
            aspect="level",
            detector=detector,
            figures=Figures(
                value=finite_or_none(self._state[at + compiled.VALUES] / rows),
                baseline=finite_or_none(self._reference.mean),
                # A step d of the score moves the mean innovation by d (1 - phi).
                effect=float(abs(shift)) * self._reference.innovation_sd / (1 - phi),
                unit="sd",
                direction="up" if shift > 0 else "down",
                rows=rows,
            ),
            crept=self._crept(rows, self._state[at + compiled.SCORES], level_kernel.MEAN, 0.0, 1.0),
        )


def _new_state(reference: NumericReference, sample: Sample) -> Floats:
    """Return the state of the kernel before the first value of the reference."""
    scale = sample.scale
    state = np.zeros(level_kernel.LEVELS_SIZE + 2 * len(scale.knots))
    state[level_kernel.LEARNT_ROWS] = reference.rows
    state[level_kernel.PHI] = reference.autocorrelation
    state[level_kernel.INNOVATION_SCALE] = 1 / reference.innovation_sd
    state[level_kernel.SCORE_MEAN] = reference.score_mean
    state[level_kernel.SCORE_SCALE] = 1 / reference.score_sd
    state[level_kernel.KNOTS] = len(scale.knots)
    state[level_kernel.LOW_SLOPE] = scale.low_slope
    state[level_kernel.HIGH_SLOPE] = scale.high_slope
    state[level_kernel.LEVELS_SIZE :] = np.concatenate((scale.knots, scale.scores))
    state[_DELTA] = _DELTAS
    return state


def _at(statistic: int) -> int:
    return level_kernel.HEAD + statistic * compiled.STATISTIC_SIZE
