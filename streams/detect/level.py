"""Detect changes of the level and the spread of a numeric series.

The rules hold for all detectors.

Rule 1. A detector is made from a reference and finds one change; then its owner makes a new one.
Rule 2. Where the input is cut into batches changes nothing.
Rule 3. Thresholds come from `streams.detect.budget` alone, and follow when the budget changes.
"""

import math

import numpy as np

from streams.change import Detector, Figures, Finding
from streams.codec import Machine
from streams.detect import level_kernel
from streams.detect.adwin import (
    ROW_CLOCK,
    SlowDrift,
    SlowDriftDetector,
    least_mean,
    merged_rows,
)
from streams.detect.budget import (
    CUSUM_SHARE,
    PAGE_HINKLEY,
    adwin_delta,
    short_reference_cost,
)
from streams.detect.level_kernel import SERIES, STATISTIC
from streams.detect.limits import CALM, ONE_FALSE_ALARM, STEADY, TOP_MARGIN, crept
from streams.detect.reference import NumericReference
from streams.detect.sample import Sample, refuse_knots
from streams.values import Floats, finite_or_none


def _of_each(slot: int) -> slice:
    """Return where a slot of every statistic lies in a state."""
    return slice(level_kernel.FIRST + slot, level_kernel.HEAD, len(STATISTIC))


_TOTAL, _DELTA = _of_each(STATISTIC.total), _of_each(STATISTIC.delta)
_TOP, _THRESHOLD = _of_each(STATISTIC.top), _of_each(STATISTIC.threshold)


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

    def __post_init__(self) -> None:
        # A kernel does not check its indices: a stored state of another size must not reach it.
        refuse_knots(self._state, level_kernel.HEAD, 0)
        if len(self._tops) != level_kernel.STATISTICS:
            raise ValueError(f"expected {level_kernel.STATISTICS} tops, got {len(self._tops)}")

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
        detector = cls(reference, _new_state(reference, sample, doubt), slow_drift, tops, doubt)
        detector._read_reference(sample)
        detector.set_budget(false_alarms)
        return detector

    @property
    def is_settled(self) -> bool:
        """Whether the reference has no slow motion: a longer one is not needed to judge it."""
        reference = self._reference
        has_moved = (self._tops > self._thresholds(ONE_FALSE_ALARM)).any()
        return max(reference.level_inflation, reference.spread_inflation) <= 1 and not has_moved

    @property
    def is_steady(self) -> bool:
        """Whether blocks of the reference differ little more than by chance."""
        reference = self._reference
        return max(reference.level_inflation, reference.spread_inflation) <= STEADY

    @property
    def is_calm(self) -> bool:
        """Whether no statistic is on its way to an alarm."""
        return bool((self._state[_TOTAL] < CALM * self._state[_THRESHOLD]).all())

    def _read_reference(self, learnt: Sample) -> None:
        state, scores = self._state, learnt.clipped_scores.copy()
        state[_THRESHOLD] = 1.0
        level_kernel.run_on_scores(state, learnt.x, scores)
        self._tops = state[_TOP].copy()
        self._slow_drift.learn(scores)

    def _crept(self, rows: int, total: float, mean: int, usual: float, variance: float) -> float:
        """Return the motion before the change, as `streams.detect.limits.crept` defines it.

        Parameters
        ----------
        rows, total
            Rows since the change, and the sum of the statistic's values in them.
        mean
            The slot of the running mean of these values.
        usual, variance
            Mean and variance of a value in the reference.
        """
        learnt, read = self._reference.rows, self._state[SERIES.rows]
        between = read - learnt - rows
        before = self._state[mean] * read - usual * learnt - total
        return crept(before - usual * between, between, learnt, variance, total - usual * rows)

    def set_budget(self, false_alarms: float) -> None:
        """Set the thresholds; ADWIN keeps its confidence until the series is learnt again.

        No threshold is below the statistic's top within the reference.
        """
        thresholds = np.maximum(self._thresholds(false_alarms), TOP_MARGIN * self._tops)
        self._state[_THRESHOLD] = thresholds

    def _thresholds(self, false_alarms: float) -> Floats:
        reference, part = self._reference, CUSUM_SHARE * false_alarms / len(PAGE_HINKLEY)
        thresholds = []
        for statistic in PAGE_HINKLEY:
            cost = short_reference_cost(reference.rows, is_spread=statistic.is_spread)
            longer = reference.level_inflation * reference.level_tail
            if statistic.is_spread:
                longer = reference.spread_inflation * reference.spread_tail
            thresholds.append(statistic.threshold(part / cost) * longer)
        return self._doubt * np.array(thresholds)

    def run(self, values: Floats) -> Finding | None:
        """Read values until something has changed."""
        before = None
        if self._slow_drift.may_find(len(values)):
            before = self._state[: level_kernel.HEAD].copy()  # the knots never change
        scores = np.empty(len(values))
        alarm = level_kernel.run_page_hinkley(self._state, values, scores)
        row = alarm // level_kernel.STATISTICS if alarm >= 0 else len(values)
        slow = self._slow_drift.run(scores if alarm < 0 else scores[:row])
        if slow is not None and before is not None:
            # The figures are as of the alarm, wherever these values end.
            self._state[: level_kernel.HEAD] = before
            level_kernel.run_page_hinkley(self._state, values[: slow.place + 1], scores)
            return self._slow_finding(slow)
        return self._finding(row, alarm % level_kernel.STATISTICS) if alarm >= 0 else None

    def _finding(self, row: int, statistic: int) -> Finding:
        state, at = self._state, _at(statistic)
        rows = int(state[at + STATISTIC.rows])
        shift = state[at + STATISTIC.scores] / rows - state[SERIES.mean]
        power = state[at + STATISTIC.squares] / rows
        excess = power - state[SERIES.mean_square]
        if statistic < level_kernel.SPREAD_UP or 2 * shift * shift > excess > 0:
            return self._level(row, "page_hinkley", shift, at)
        ratio = math.sqrt(max(power - shift * shift, 0.0) / state[SERIES.mean_square])
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
            crept=self._crept(rows, state[at + STATISTIC.squares], SERIES.mean_square, 1.0, 2.0),
        )

    def _slow_finding(self, drift: SlowDrift) -> Finding:
        shift = drift.mean / self._state[SERIES.adwin_scale] - self._state[SERIES.mean]
        return self._level(drift.place, "adwin", shift, _at(0 if shift > 0 else 1))

    def _level(self, row: int, detector: Detector, shift: float, at: int) -> Finding:
        phi = self._reference.autocorrelation
        rows = max(int(self._state[at + STATISTIC.rows]), 1)
        return Finding(
            row=row,
            aspect="level",
            detector=detector,
            figures=Figures(
                value=finite_or_none(self._state[at + STATISTIC.values] / rows),
                baseline=finite_or_none(self._reference.mean),
                # A step d of the score moves the mean innovation by d (1 - phi).
                effect=float(abs(shift)) * self._reference.innovation_sd / (1 - phi),
                unit="sd",
                direction="up" if shift > 0 else "down",
                rows=rows,
            ),
            crept=self._crept(rows, self._state[at + STATISTIC.scores], SERIES.mean, 0.0, 1.0),
        )


def _new_state(reference: NumericReference, sample: Sample, doubt: float) -> Floats:
    """Return the state of the kernel before the first value of the reference."""
    head = np.zeros(level_kernel.HEAD)
    head[SERIES.learnt_rows] = reference.rows
    head[SERIES.autocorrelation] = reference.autocorrelation
    head[SERIES.innovation_scale] = 1 / reference.innovation_sd
    head[SERIES.adwin_scale] = 1 / math.sqrt(reference.level_inflation * doubt)
    head[SERIES.score_mean] = reference.score_mean
    head[SERIES.score_scale] = 1 / reference.score_sd
    head[_DELTA] = [statistic.delta for statistic in PAGE_HINKLEY]
    return sample.scale.table(head)


def _at(statistic: int) -> int:
    return level_kernel.FIRST + statistic * len(STATISTIC)
