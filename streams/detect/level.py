"""Detect changes of the level and the spread of a numeric series.

The rules hold for all detectors.

Rule 1. A detector is made from a reference and finds one change; then its owner makes a new one.
Rule 2. Where the input is cut into batches changes nothing.
Rule 3. Thresholds come from `streams.detect.budget` alone, and follow when the budget changes.
"""

import math
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from streams.change import Detector, Figures, Finding
from streams.codec import Machine
from streams.detect import blip, level_kernel
from streams.detect.adwin import (
    ROW_CLOCK,
    SlowDriftDetector,
    least_mean,
    merged_rows,
)
from streams.detect.budget import (
    CUSUM_SHARE,
    LEAST_SLACK,
    PAGE_HINKLEY,
    SPREAD,
    adwin_delta,
    short_reference_cost,
)
from streams.detect.compiled import Singles
from streams.detect.level_kernel import SERIES, STATISTIC
from streams.detect.limits import CALM, ONE_FALSE_ALARM, STEADY, TOP_MARGIN, crept
from streams.detect.outline import numbers_of
from streams.detect.reference import NumericReference
from streams.detect.sample import Sample, refuse_knots
from streams.detect.score_kernel import SCALE
from streams.detect.trail import (
    Since,
    beginning,
    mean_gains,
    new_trail,
    power_gains,
    refuse_trail,
    scale_gains,
    since,
)
from streams.values import Floats, finite_or_none

CLEARLY = 1.5
"""Times as much evidence, in nats, as for a spread that makes an alarm of the spread one of the
level: ten wild rows have a mean as well. By judgement."""
LEAST_WILDER = 1.01
"""Least ratio of variances of normal scores, of rows of which a few are wild."""


WIDER = 1.25
"""Variance of the rows since a level has moved, about their own mean, from which they may be those
of a greater scale. Simulated: 95 of 100 levels that moved have less."""


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
    _trail: Singles
    _slow_drift: SlowDriftDetector
    _tops: Floats
    _doubt: float

    def __post_init__(self) -> None:
        # A kernel does not check its indices: a stored state of another size must not reach it.
        refuse_knots(self._state, level_kernel.HEAD, 0)
        refuse_trail(self._trail, level_kernel.TRAIL)
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
        state, trail = _new_state(reference, sample, doubt), new_trail(level_kernel.TRAIL)
        detector = cls(reference, state, trail, slow_drift, tops, doubt)
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

    # Read together with the detectors of other series (`streams.series.group`)

    @property
    def can_move(self) -> bool:
        """Whether `streams.detect.group_kernel` does all that `run` does."""
        return self._slow_drift.reads_all

    @property
    def adwin_test(self) -> tuple[float, int]:
        """The confidence of ADWIN, 0 where it has been stopped, and scores between its tests."""
        return self._slow_drift.test

    @property
    def room(self) -> int:
        """Values that can be read without more room for ADWIN."""
        return self._slow_drift.room

    @property
    def sizes(self) -> tuple[int, int]:
        """Sizes of the state of the statistics, and of the window of ADWIN."""
        return len(self._state), len(self._slow_drift.window)

    def move_to(self, state: Floats, trail: Singles, window: Floats) -> None:
        """Keep the state in these arrays from now on; they may be longer."""
        sizes = self.sizes
        state[: sizes[0]], trail[:], window[: sizes[1]] = (
            self._state,
            self._trail,
            self._slow_drift.window,
        )
        self._state, self._trail = state[: sizes[0]], trail
        self._slow_drift.window = window[: sizes[1]]

    def take_back(self) -> None:
        """Keep the state in arrays of its own again: those of a group are large."""
        self._state, self._trail = self._state.copy(), self._trail.copy()
        self._slow_drift.window = self._slow_drift.window.copy()

    def _read_reference(self, learnt: Sample) -> None:
        state, scores = self._state, learnt.clipped_scores.copy()
        state[_THRESHOLD] = 1.0
        level_kernel.run_on_scores(state, self._trail, learnt.x, scores)
        self._tops = state[_TOP].copy()
        self._slow_drift.learn(scores)

    def _crept(self, then: Since, moved: "_Moved") -> float:
        """Return the motion before a change, as `streams.detect.limits.crept` defines it.

        The change begins where the slowest statistic to its side stood at zero last: the beginning
        of a slow motion lies before all of it, and nothing would have crept before that.
        """
        learnt, read = self._reference.rows, float(self._state[SERIES.rows])
        running, usual = float(self._state[moved.mean]), moved.usual
        away = moved.sign * (then.sums[:, moved.field] - running * then.rows)
        place = int(np.argmax(away - moved.delta * then.rows))
        rows, total = float(then.rows[place]), float(then.sums[place, moved.field])
        between = read - learnt - rows
        before = running * read - usual * learnt - total
        change = moved.sign * abs(total / rows - usual)
        return crept(before - usual * between, between, learnt, moved.variance, change)

    def renew(self) -> None:
        """Forget all values read since the reference was made."""
        state = self._state
        state[SERIES.rows] = state[SERIES.learnt_rows]
        state[SERIES.mean], state[SERIES.mean_square], state[SERIES.previous] = 0.0, 1.0, 0.0
        state[_TOTAL], state[_TOP] = 0.0, self._tops
        self._trail[:] = 0.0
        self._slow_drift.renew()

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
        first = 0
        while True:
            read, found = self._read(values[first:])
            first += read
            if found is not None:
                return replace(found, row=first - 1)
            if first == len(values):
                return None

    def _read(self, values: Floats) -> tuple[int, Finding | None]:
        """Read values up to a change, or a drift that is a blip; return how many."""
        before = None
        if self._slow_drift.may_find(len(values)):
            before = self._state[: level_kernel.HEAD].copy(), self._trail.copy()  # not the knots
        scores = np.empty(len(values))
        alarm = self._run(values, scores)
        row = alarm // level_kernel.STATISTICS if alarm >= 0 else len(values)
        slow = self._slow_drift.run(scores if alarm < 0 else scores[:row])
        if slow is not None and before is not None:
            # The figures are as of the alarm, wherever these values end.
            self._state[: level_kernel.HEAD], self._trail = before
            self._run(values[: slow.place + 1], scores)
            is_blip = self._is_passing(slow.mean)
            return slow.place + 1, None if is_blip else self._finding(slow.place, "adwin")
        if alarm < 0:
            return len(values), None
        is_spread = alarm % level_kernel.STATISTICS >= level_kernel.SPREAD_UP
        return row + 1, self._finding(row, "page_hinkley", CLEARLY if is_spread else 1.0)

    def _is_passing(self, shift: float) -> bool:
        """Tell whether a drift by a shift, which ADWIN has cut off, is a blip."""
        state, inflation = self._state, max(self._reference.level_inflation, 1.0)
        then = since(self._trail, level_kernel.TRAIL, float(state[SERIES.rows]))
        sign = 1 if shift > 0 else -1
        verdict = blip.of_mean(then, float(state[SERIES.mean]), sign, inflation)
        return verdict in ("young", "over")

    def wilder(self, row: int, rows: int) -> Finding:
        """Return the larger spread of the latest rows, of which some are wild, as of a row."""
        then = since(self._trail, level_kernel.TRAIL, float(self._state[SERIES.rows]))
        place = min(int(np.searchsorted(then.rows, rows)), len(then.rows) - 1)
        since_then = int(then.rows[place])
        score = math.sqrt(max(float(then.sums[place, 3]) / since_then, LEAST_WILDER))
        return self._spread(row, since_then, then.sums[place], score)

    def _run(self, values: Floats, scores: Floats) -> int:
        """Read values up to an alarm that is no blip; return it as the kernel does."""
        start = 0
        while True:
            alarm = level_kernel.run_page_hinkley(
                self._state, self._trail, values[start:], scores[start:]
            )
            if alarm < 0:
                return alarm
            row = start + alarm // level_kernel.STATISTICS
            statistic = self._lasting()
            if statistic is not None:
                return row * level_kernel.STATISTICS + statistic
            start = row + 1

    def _lasting(self) -> int | None:
        """Return the statistic that alarms and is no blip; begin anew those whose run is over.

        Statistics of a mean come first: while an alarm is held back, those of a spread alarm too.
        """
        state, reference = self._state, self._reference
        then = since(self._trail, level_kernel.TRAIL, float(state[SERIES.rows]))
        reach = state[_TOTAL] / state[_THRESHOLD]
        alarms: list[int] = [
            place for place in np.argsort(-reach, kind="stable").tolist() if reach[place] > 1
        ]
        for place in sorted(alarms, key=lambda place: PAGE_HINKLEY[place].is_spread):
            each = PAGE_HINKLEY[place]
            if not each.is_spread:
                inflation = max(reference.level_inflation, 1.0)
                verdict = blip.of_mean(then, float(state[SERIES.mean]), each.sign, inflation)
            elif each.sign > 0:
                inflation = max(reference.spread_inflation, 1.0)
                verdict = blip.of_spread(then, float(state[SERIES.mean_square]), inflation)
            else:
                return place
            if verdict == "lasting":
                return place
            if verdict == "over":
                state[_TOTAL][place] = 0.0
        return None

    def _finding(self, row: int, detector: Detector, clearly: float = 1.0) -> Finding:
        """Return the change that explains the latest rows best, as of an alarm at this row.

        A level must explain them so many times better than a spread, and better than a greater
        scale about the usual mean.
        """
        state, reference = self._state, self._reference
        total, mean = float(state[SERIES.rows]), float(state[SERIES.mean])
        then = since(self._trail, level_kernel.TRAIL, total)
        level = mean_gains(then.rows, then.sums[:, 2], total, mean)
        spread, ratio = power_gains(then, total, mean, float(state[SERIES.mean_square]))
        best, steadiest = int(np.argmax(level)), int(np.argmax(spread))
        of_level = float(level[best]) / reference.level_inflation
        usual_tail = reference.spread_inflation * reference.spread_tail
        of_spread = clearly * float(spread[steadiest]) / usual_tail
        if ratio[steadiest] > 1 and _own_power(then, best) > WIDER:
            of_spread = max(of_spread, float(scale_gains(then).max()) / usual_tail)
        if detector == "adwin" or of_level >= of_spread:
            best = beginning(then, 2, _before(then, 2, best, total, mean), level, best)
            found = self._level(row, detector, int(then.rows[best]), then.sums[best])
            sign = 1 if found.figures.direction == "up" else -1
            return replace(found, crept=self._crept(then, _MEAN._replace(sign=sign)))
        score, square = float(ratio[steadiest]), float(state[SERIES.mean_square])
        usual = _before(then, 3, steadiest, total, square)
        first = beginning(then, 3, usual, spread, steadiest)
        found = self._spread(row, int(then.rows[first]), then.sums[first], math.sqrt(score))
        sign = 1 if found.figures.direction == "up" else -1
        return replace(found, crept=self._crept(then, _SQUARE._replace(sign=sign)))

    def _level(self, row: int, detector: Detector, rows: int, sums: Floats) -> Finding:
        reference = self._reference
        away, shift = float(sums[0]) / rows, float(sums[2]) / rows
        value, baseline = reference.mean + reference.sd * away, reference.mean
        if away * shift <= 0:  # a few wild values: the mean has gone the other way than the rest
            value, baseline = self._typical(shift), self._typical(0.0)
            away = (value - baseline) / reference.sd
        return Finding(
            row=row,
            aspect="level",
            detector=detector,
            figures=Figures(
                value=finite_or_none(value),
                baseline=finite_or_none(baseline),
                effect=finite_or_none(abs(away)),
                unit="sd",
                direction="up" if shift > 0 else "down",
                rows=rows,
                score=self._step(abs(shift)),
            ),
        )

    def _spread(self, row: int, rows: int, sums: Floats, score: float) -> Finding:
        sd, away = self._reference.sd, float(sums[0]) / rows
        ratio = math.sqrt(max(float(sums[1]) / rows - away * away, 0.0))
        if (ratio - 1) * (score - 1) <= 0:  # as for a mean
            ratio = score
        return Finding(
            row=row,
            aspect="spread",
            detector="page_hinkley",
            figures=Figures(
                value=finite_or_none(sd * ratio),
                baseline=finite_or_none(sd),
                effect=ratio,
                unit="ratio",
                direction="up" if ratio > 1 else "down",
                rows=rows,
                score=score,
            ),
        )

    def _step(self, shift: float) -> float:
        """Return the step of a score that moves the mean innovation by so much."""
        reference = self._reference
        return shift * reference.innovation_sd / (1 - reference.autocorrelation)

    @property
    def numbers(self) -> Floats:
        """The numbers of the reference at evenly spaced ranks (`streams.detect.outline`)."""
        knots, scores = self._state[level_kernel.HEAD :].reshape(2, int(self._state[SCALE.knots]))
        return numbers_of(knots, scores)

    def _typical(self, shift: float) -> float:
        """Return the value whose score is the usual one, moved by a shift of the innovations."""
        reference, knots = self._reference, int(self._state[SCALE.knots])
        values, scores = self._state[level_kernel.HEAD :].reshape(2, knots)
        score = reference.score_mean + reference.score_sd * self._step(shift)
        return float(np.interp(score, scores, values))


class _Moved(NamedTuple):
    """A sum that has moved.

    Parameters
    ----------
    field
        The sum, of those since a place.
    mean
        The slot of the running mean of its values.
    usual, variance
        Mean and variance of a value in the reference.
    delta
        The slack of the slowest statistic of this sum.
    sign
        The side to which it has moved.
    """

    field: int
    mean: int
    usual: float
    variance: float
    delta: float
    sign: int = 1


_MEAN = _Moved(2, SERIES.mean, 0.0, 1.0, LEAST_SLACK)
_SQUARE = _Moved(3, SERIES.mean_square, 1.0, 2.0, min(each.delta for each in SPREAD))


def _before(then: Since, field: int, place: int, total: float, mean: float) -> float:
    """Return the mean of a sum before a place, of that of all rows."""
    rows = float(then.rows[place])
    return (mean * total - float(then.sums[place, field])) / (total - rows)


def _own_power(then: Since, place: int) -> float:
    """Return the variance since a place about its own mean."""
    rows, (mean, power) = float(then.rows[place]), then.sums[place, -2:]
    return float(power / rows - (mean / rows) ** 2)


def _new_state(reference: NumericReference, sample: Sample, doubt: float) -> Floats:
    """Return the state of the kernel before the first value of the reference."""
    head = np.zeros(level_kernel.HEAD)
    head[SERIES.learnt_rows] = reference.rows
    head[SERIES.autocorrelation] = reference.autocorrelation
    head[SERIES.innovation_scale] = 1 / reference.innovation_sd
    head[SERIES.adwin_scale] = 1 / math.sqrt(reference.level_inflation * doubt)
    head[SERIES.score_mean] = reference.score_mean
    head[SERIES.score_scale] = 1 / reference.score_sd
    head[SERIES.value_mean] = reference.mean
    head[SERIES.value_scale] = 1 / max(reference.sd, 1e-300)
    head[_DELTA] = [statistic.delta for statistic in PAGE_HINKLEY]
    return sample.scale.table(head)
