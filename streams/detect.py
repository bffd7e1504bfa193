"""Detectors: what says that a learnt series has changed.

Rule 1. A detector is made from a reference and raises once; then its owner makes a new one.
Rule 2. Where the input is cut into batches changes nothing.
Rule 3. Thresholds come from :mod:`streams.budget` alone, and follow when the budget changes.
"""

import math
from array import array
from dataclasses import dataclass, fields, replace
from functools import cache
from operator import length_hint
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

# River's ADWIN without `river.drift`, which loads scipy: a second of CPU at every start.
from river._river_rust.drift import AdaptiveWindowing

from streams import kernel
from streams.budget import (
    PAGE_HINKLEY_SHARE,
    adwin_delta,
    block_adwin_delta,
    gaussian_threshold,
    share_statistics,
    short_reference_cost,
    spread_down_threshold,
    spread_up_threshold,
)
from streams.reference import NumericReference, ShareReference
from streams.sample import Sample
from streams.values import Floats, finite_or_none, odds_of

_SLOW, _FAST, _SPREAD_UP, _SPREAD_DOWN = 0.18, 0.50, 0.46, 0.35
_DELTAS = (_SLOW, _SLOW, _FAST, _FAST, _SPREAD_UP, _SPREAD_DOWN)


def _of_each(field: int) -> slice:
    """Return where a field of every statistic of levels lies in a state."""
    return slice(kernel.HEAD + field, kernel.LEVELS_SIZE, kernel.STATISTIC_SIZE)


_DELTA, _TOP, _THRESHOLD = map(_of_each, (kernel.DELTA, kernel.TOP, kernel.THRESHOLD))
_BURST_ODDS = 9.0
_NOTHING_EXPECTED: Floats = np.empty((0, 0))
_EMPTY: Floats = np.empty(0)
_ROW_CLOCK, _BLOCK_CLOCK = 32, 8
AWAY_DEVIATIONS = 0.5
LEAST_MEAN = 0.1
STEADY = 2.0
TOP_MARGIN = 1.25
CALM = 0.5
ON_ITS_WAY = 0.3
"""The part of its threshold that chance alone seldom lets a statistic reach."""
MEMORIES, MOST_MERGED = 4.0, 256
MIN_BLOCK_HITS = 0.16  # rarer hits make scores that are no longer like a normal's
ONE_FALSE_ALARM = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A change, at ``row`` of the values just given to a detector."""

    row: int
    aspect: str
    detector: str
    direction: Literal["up", "down"] | None = None
    level: int | None = None
    value: float | None = None
    baseline: float | None = None
    effect: float | None = None
    effect_unit: str = "none"
    rows: int = 1
    is_final: bool = True
    """Whether the series must be learnt anew after it."""
    crept: float = 0.0
    """How far the series had moved this way before the change began, in deviations of chance."""
    moved: tuple[tuple[int, float, float], ...] = ()
    """Levels that have moved, ``level`` the first: each with its share before and since."""


class Backstop:
    """ADWIN behind the CUSUMs, for what moves too slowly for them.

    It reads scores whose mean and deviation in the reference are 0 and 1. Where it cuts within the
    reference (a wave, clumps), it would cut again and again, and is not asked. It takes scores for
    independent: those that resemble their neighbours are read together, as one.

    ADWIN tests after every ``clock`` scores only: until then they wait, to be read at once.

    Parameters
    ----------
    delta
        ADWIN's confidence.
    clock
        It tests after every so many scores.
    learnt
        Scores in the reference.
    least
        A smaller mean than this is not told.
    merged
        Scores that are read as one.
    """

    def __init__(
        self, delta: float, clock: int, learnt: int, least: float = 0.0, merged: int = 1
    ) -> None:
        self._least = least
        self._merged = merged
        self._pending = _EMPTY
        self._waiting = array("d")
        self._delta = delta
        self._clock = clock
        self._learnt = learnt
        self._window = self._new_window()
        self._is_drift = False
        self._is_asked = True
        self._until_test = self._window_clock

    @property
    def _window_clock(self) -> int:
        return max(self._clock // self._merged, 1)

    def _new_window(self) -> AdaptiveWindowing:
        return AdaptiveWindowing(
            delta=self._delta,
            clock=self._window_clock,
            max_buckets=5,
            min_window_length=5,
            grace_period=10,
        )

    def learn(self, scores: Floats) -> None:
        """Read the scores of the reference."""
        if self._read(self._merge(scores).tolist()) is not None:
            self.rest()

    def rest(self) -> None:
        """Ask it no more."""
        self._is_asked = False

    def may_find(self, scores: int) -> bool:
        """Tell whether it may find something in the next so many scores."""
        more = (len(self._pending) + scores) // self._merged
        return self._is_asked and len(self._waiting) + more >= self._until_test

    def run(self, scores: Floats) -> int | None:
        """Read scores until their mean has changed; return the place of the last one read."""
        if not self._is_asked:
            return None
        before, read = len(self._pending), -len(self._waiting)
        self._waiting.frombytes(self._merge(scores).tobytes())
        if len(self._waiting) < self._until_test:
            return None
        left = self._take_waiting()
        while (at := self._read(left)) is not None:
            read += at + 1
            if self._is_away:
                return read * self._merged - before - 1
            left = left[at + 1 :]
        return None

    def _take_waiting(self) -> list[float]:
        waiting = self._waiting.tolist()
        del self._waiting[:]
        return waiting

    def _merge(self, scores: Floats) -> Floats:
        """Return what is read as one score each; the rest waits for more."""
        if self._merged == 1:
            return scores
        pending = np.concatenate((self._pending, scores))
        if len(pending) < self._merged:
            self._pending = pending
            return _EMPTY
        whole = len(pending) // self._merged * self._merged
        self._pending = pending[whole:].copy()
        read: Floats = pending[:whole].reshape(-1, self._merged).sum(axis=1)
        return read / math.sqrt(self._merged)

    def _read(self, scores: list[float]) -> int | None:
        """Read scores until ADWIN cuts; return the place of that one."""
        if not scores:
            return None
        if self._is_drift:
            self._window = self._new_window()  # as River does: after a cut it begins anew
        # A loop in C: with River's own update() this was a sixth of the monitor's time.
        left = iter(scores)
        self._is_drift = True in map(self._window.update, left)
        self._await_test()
        return len(scores) - length_hint(left) - 1 if self._is_drift else None

    def _await_test(self) -> None:
        """Count the scores until the next test: a window is as wide as it has read, until a cut."""
        read = 0 if self._is_drift else int(self._window.get_width())
        self._until_test = self._window_clock - read % self._window_clock

    @property
    def _is_away(self) -> bool:
        """Whether what ADWIN has kept differs from the reference, not only from what it dropped."""
        deviation = math.sqrt(1 / self.kept + 1 / self._learnt)
        return bool(abs(self.mean) > max(AWAY_DEVIATIONS * deviation, self._least))

    @property
    def mean(self) -> float:
        """Mean of the scores that ADWIN has kept."""
        total, width = self._window.get_total(), self._window.get_width()
        return float(total / width) / math.sqrt(self._merged)

    @property
    def kept(self) -> int:
        """Number of the scores that ADWIN has kept."""
        return int(self._window.get_width()) * self._merged

    def snapshot(self) -> dict[str, Any]:
        """Return the state as a tree for :func:`streams.blob.pack`."""
        self._read(self._take_waiting())
        return {
            "delta": self._delta,
            "clock": self._clock,
            "learnt": self._learnt,
            "least": self._least,
            "merged": self._merged,
            "pending": self._pending,
            "is_asked": self._is_asked,
            "window": self._window.__getstate__(),
            "is_drift": self._is_drift,
        }

    @classmethod
    def restore(cls, tree: dict[str, Any]) -> "Backstop":
        """Return the backstop as it was."""
        least, merged = tree.get("least", 0.0), tree.get("merged", 1)
        backstop = cls(tree["delta"], tree["clock"], tree["learnt"], least, merged)
        backstop._pending = tree.get("pending", _EMPTY)
        backstop._is_asked = tree["is_asked"]
        backstop._window.__setstate__(tree["window"])
        backstop._is_drift = tree["is_drift"]
        backstop._await_test()
        return backstop


class LevelDetector:
    """Watch level and spread of a numeric series: Page-Hinkley statistics, and ADWIN behind them.

    Parameters
    ----------
    reference
        What the series looked like.
    false_alarms
        Per 10,000 values.
    learnt
        The values of the reference, which the statistics read first; without them they start at
        the reference's mean, as if they had.
    doubt
        How much more slow motion a series shows than its own, where a rhythm that is not known
        exactly was taken off it: the long-run variance of what is left.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> learnt = Sample.of(rng.normal(20.0, 3.0, 2_000))
    >>> watch = LevelDetector(NumericReference.of(learnt), 0.01, learnt)
    >>> watch.run(rng.normal(20.0, 3.0, 5_000))
    >>> finding = watch.run(rng.normal(23.0, 3.0, 100))
    >>> finding.aspect, finding.direction, finding.row < 60, round(finding.baseline)
    ('level', 'up', True, 20)
    """

    def __init__(
        self,
        reference: NumericReference,
        false_alarms: float,
        learnt: Sample | None = None,
        doubt: float = 1.0,
    ) -> None:
        self._doubt = doubt
        self._state = np.zeros(kernel.LEVELS_SIZE + 2 * len(reference.knots))
        state = self._state
        state[kernel.LEARNT_ROWS] = reference.rows
        state[kernel.PHI] = reference.autocorrelation
        state[kernel.INNOVATION_SCALE] = 1 / reference.innovation_sd
        state[kernel.SCORE_MEAN] = reference.score_mean
        state[kernel.SCORE_SCALE] = 1 / reference.score_sd
        state[kernel.KNOTS] = len(reference.knots)
        state[kernel.LOW_SLOPE] = reference.low_slope
        state[kernel.HIGH_SLOPE] = reference.high_slope
        state[kernel.LEVELS_SIZE :] = np.concatenate((reference.knots, reference.scores))
        state[_DELTA] = _DELTAS
        self._reference = replace(reference, knots=_EMPTY, scores=_EMPTY)  # the state has them
        self._tops = np.zeros(kernel.STATISTICS)
        self._backstop = Backstop(
            adwin_delta(false_alarms),
            _ROW_CLOCK,
            reference.rows,
            _least_mean(doubt),
            _merged(reference.level_inflation, 1),
        )
        self._adwin_scale = 1 / math.sqrt(reference.level_inflation * doubt)
        if learnt is None:
            state[kernel.COUNT] = reference.rows
            state[kernel.MEAN_SQUARE] = 1.0
        else:
            self._read_reference(learnt)
        self.set_budget(false_alarms)

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
        sums = self._state[kernel.HEAD : kernel.LEVELS_SIZE : kernel.STATISTIC_SIZE]
        return bool((sums < CALM * self._state[_THRESHOLD]).all())

    def _read_reference(self, learnt: Sample) -> None:
        state, scores = self._state, np.empty(len(learnt))
        state[_THRESHOLD] = 1.0
        kernel.run_held(state, learnt.x, learnt.held, scores, self._adwin_scale)
        self._tops = state[_TOP].copy()
        self._backstop.learn(scores)

    def _crept(self, rows: int, total: float, mean: int, usual: float, variance: float) -> float:
        """Return how far rows between the reference and the change lie away on its side."""
        learnt = self._reference.rows
        between = self._state[kernel.COUNT] - learnt - rows
        before = self._state[mean] * self._state[kernel.COUNT] - usual * learnt - total
        return _away(before - usual * between, between, learnt, variance, total - usual * rows)

    def set_budget(self, false_alarms: float) -> None:
        """Set the thresholds; ADWIN keeps its confidence until the series is learnt anew.

        What the reference did by itself, later rows may do: no threshold lies below its top.
        """
        thresholds = np.maximum(self._thresholds(false_alarms), TOP_MARGIN * self._tops)
        self._state[_THRESHOLD] = thresholds

    def _thresholds(self, false_alarms: float) -> Floats:
        part = PAGE_HINKLEY_SHARE * false_alarms / kernel.STATISTICS
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
        if self._backstop.may_find(len(values)):
            before = self._state[: kernel.LEVELS_SIZE].copy()  # what lies behind stays as it is
        scores = np.empty(len(values))
        alarm = kernel.run_levels(self._state, values, scores, self._adwin_scale)
        row = alarm // kernel.STATISTICS if alarm >= 0 else len(values)
        slow = self._backstop.run(scores if alarm < 0 else scores[:row])
        if slow is not None and before is not None:
            # What is reported is as of the alarm, wherever these values happen to end.
            self._state[: kernel.LEVELS_SIZE] = before
            kernel.run_levels(self._state, values[: slow + 1], scores, self._adwin_scale)
            return self._slow_finding(slow)
        return self._finding(row, alarm % kernel.STATISTICS) if alarm >= 0 else None

    def snapshot(self) -> dict[str, Any]:
        """Return the state as a tree for :func:`streams.blob.pack`."""
        return {
            "reference": _plain(self._reference),
            "doubt": self._doubt,
            "state": self._state,
            "tops": self._tops,
            "backstop": self._backstop.snapshot(),
        }

    @classmethod
    def restore(cls, tree: dict[str, Any]) -> "LevelDetector":
        """Return the detector as it was."""
        reference = NumericReference(**tree["reference"])
        detector = cls(reference, 1.0, doubt=tree.get("doubt", 1.0))
        detector._state = tree["state"]
        detector._tops = tree["tops"]
        detector._backstop = Backstop.restore(tree["backstop"])
        return detector

    def _finding(self, row: int, statistic: int) -> Finding:
        state, at = self._state, _at(statistic)
        rows = int(state[at + kernel.ROWS])
        shift = state[at + kernel.SCORES] / rows - state[kernel.MEAN]
        power = state[at + kernel.SQUARES] / rows
        excess = power - state[kernel.MEAN_SQUARE]
        if statistic < kernel.SPREAD_UP or 2 * shift * shift > excess > 0:
            return self._level(row, "page_hinkley", shift, at)
        ratio = math.sqrt(max(power - shift * shift, 0.0) / state[kernel.MEAN_SQUARE])
        sd = self._reference.sd
        return Finding(
            row=row,
            aspect="spread",
            detector="page_hinkley",
            direction="up" if statistic == kernel.SPREAD_UP else "down",
            value=finite_or_none(sd * ratio),
            baseline=finite_or_none(sd),
            effect=ratio,
            effect_unit="ratio",
            rows=rows,
            crept=self._crept(rows, state[at + kernel.SQUARES], kernel.MEAN_SQUARE, 1.0, 2.0),
        )

    def _slow_finding(self, row: int) -> Finding:
        shift = self._backstop.mean / self._adwin_scale - self._state[kernel.MEAN]
        return self._level(row, "adwin", shift, _at(0 if shift > 0 else 1))

    def _level(self, row: int, detector: str, shift: float, at: int) -> Finding:
        phi = self._reference.autocorrelation
        rows = max(int(self._state[at + kernel.ROWS]), 1)
        return Finding(
            row=row,
            aspect="level",
            detector=detector,
            direction="up" if shift > 0 else "down",
            value=finite_or_none(self._state[at + kernel.VALUES] / rows),
            baseline=finite_or_none(self._reference.mean),
            # A step d of the score moves the mean innovation by d (1 - phi).
            effect=abs(shift) * self._reference.innovation_sd / (1 - phi),
            effect_unit="sd",
            rows=rows,
            crept=self._crept(rows, self._state[at + kernel.SCORES], kernel.MEAN, 0.0, 1.0),
        )


def _at(statistic: int) -> int:
    return kernel.HEAD + statistic * kernel.STATISTIC_SIZE


def _merged(inflation: float, rows: int) -> int:
    """Return how many scores of so many rows are read as one: several times their memory."""
    return min(math.ceil(MEMORIES * inflation / rows), MOST_MERGED) if inflation > 1 else 1


def _least_mean(doubt: float) -> float:
    """Return the mean, in deviations of a row, that ADWIN may tell where a rhythm is taken off.

    Over many rows it sees the rest that no estimate of a rhythm takes away.
    """
    return LEAST_MEAN if doubt > 1 else 0.0


def _away(before: float, rows: float, learnt: int, variance: float, change: float) -> float:
    """Return the sum over rows before a change, on its side, in deviations of chance."""
    if rows <= 0:
        return 0.0
    deviation = math.sqrt(variance * (rows + rows * rows / learnt))
    return float(before * math.copysign(1.0, change) / deviation)


class ShareDetector:
    """Watch the shares of a few codes: Bernoulli CUSUMs against several odds ratios.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> learnt = (rng.random(2_000) < 0.1).astype(float)
    >>> watch = ShareDetector(ShareReference.of(learnt, [1]), 0.1)
    >>> watch.run((rng.random(5_000) < 0.1).astype(float))
    >>> finding = watch.run((rng.random(500) < 0.3).astype(float))
    >>> finding.aspect, finding.direction, finding.row < 150
    ('share', 'up', True)
    """

    def __init__(
        self,
        reference: ShareReference,
        false_alarms: float,
        learnt: Floats | None = None,
        expected: Floats | None = None,
        doubt: float = 1.0,
    ) -> None:
        self._reference = reference
        self._doubt = doubt
        levels = len(reference.codes)
        self._state = np.zeros(kernel.SHARES_HEAD + levels * kernel.SHARE_SIZE)
        self._state[kernel.LEVELS] = levels
        for level in range(levels):
            self._prepare(level)
        self._tops = np.zeros(levels * kernel.SHARE_STATISTICS)
        delta = block_adwin_delta(false_alarms / max(levels, 1))
        blocks = reference.rows // kernel.SHARE_BLOCK_ROWS
        self._backstops = [
            Backstop(
                delta,
                _BLOCK_CLOCK,
                blocks,
                math.sqrt(kernel.SHARE_BLOCK_ROWS) * _least_mean(doubt),
                _merged(inflation, kernel.SHARE_BLOCK_ROWS),
            )
            for inflation in reference.inflations
        ]
        if learnt is not None:
            self._read_reference(learnt, _NOTHING_EXPECTED if expected is None else expected)
        self.set_budget(false_alarms)

    @property
    def is_settled(self) -> bool:
        """Whether no clumps show, which a longer reference might explain."""
        has_moved = (self._tops > self._thresholds(ONE_FALSE_ALARM)).any()
        return max(self._reference.inflations) <= 1 and not has_moved

    @property
    def is_steady(self) -> bool:
        """Whether blocks of the reference differ hardly more than chance lets them."""
        return max(self._reference.inflations) <= STEADY

    @property
    def is_calm(self) -> bool:
        """Whether no statistic is on its way to an alarm."""
        places = _places(len(self._reference.codes))
        thresholds = self._state[places + kernel.THRESHOLD]
        return bool((self._state[places] < CALM * thresholds).all())

    @property
    def codes(self) -> tuple[int, ...]:
        """The codes watched, in the order of a finding's levels."""
        return self._reference.codes

    @property
    def inflation(self) -> float:
        """How much more the shares vary than those of independent rows, at most."""
        return max(self._reference.inflations)

    def _prepare(self, level: int) -> None:
        share = self._reference.shares[level]
        part = self._state[_part(level) :]
        part[kernel.CODE] = self._reference.codes[level]
        part[kernel.SEEN] = self._reference.rows
        part[kernel.SHARE] = share
        hit, miss = _ratios(share, _BURST_ODDS)
        part[kernel.BURST_HIT], part[kernel.BURST_MISS] = hit, -miss
        variance = kernel.SHARE_BLOCK_ROWS * share * (1 - share) * self._reference.inflations[level]
        variance *= self._doubt
        part[kernel.BLOCK_MEAN] = kernel.SHARE_BLOCK_ROWS * share
        part[kernel.BLOCK_SCALE] = 1 / math.sqrt(variance)
        for k, (odds, _) in enumerate(share_statistics(1.0, share)):
            hit, miss = _ratios(share, odds)
            at = kernel.SHARE_HEAD + k * kernel.RUN_SIZE
            part[at + kernel.KAPPA] = miss / (hit + miss) - share

    def _read_reference(self, learnt: Floats, expected: Floats) -> None:
        """Let ADWIN know the reference, block by block; the CUSUMs start at its shares."""
        rows = len(learnt) // kernel.SHARE_BLOCK_ROWS * kernel.SHARE_BLOCK_ROWS
        for level, code in enumerate(self._reference.codes):
            part = self._state[_part(level) :]
            hits = (learnt[:rows] == code).astype(np.float64)
            if len(expected):
                hits -= expected[:rows, level]
            hits = hits.reshape(-1, kernel.SHARE_BLOCK_ROWS).sum(axis=1)
            scores = (hits - part[kernel.BLOCK_MEAN]) * part[kernel.BLOCK_SCALE]
            if part[kernel.BLOCK_MEAN] < MIN_BLOCK_HITS:
                self._backstops[level].rest()
            held = np.maximum(np.minimum(scores, kernel.CLIP), -kernel.CLIP)
            self._backstops[level].learn(held)
        before = self._state.copy()
        places = _places(len(self._reference.codes))
        self._state[places + kernel.THRESHOLD] = math.inf
        kernel.run_shares(
            self._state,
            learnt,
            np.empty((rows // kernel.SHARE_BLOCK_ROWS, len(self.codes))),
            expected,
        )
        self._tops = self._state[places + kernel.TOP]
        for level in range(len(self._reference.codes)):  # keep the runs, as Page-Hinkley does
            at = _part(level)
            self._state[at : at + kernel.SHARE_HEAD] = before[at : at + kernel.SHARE_HEAD]
        self._state[kernel.BLOCK_FILL] = 0.0

    def set_budget(self, false_alarms: float) -> None:
        """Divide the budget among the levels and set their thresholds.

        ADWIN keeps its confidence until the series is learnt anew. As for levels, no threshold
        lies below what the reference did by itself.
        """
        thresholds = np.maximum(self._thresholds(false_alarms), TOP_MARGIN * self._tops)
        self._state[_places(len(self._reference.codes)) + kernel.THRESHOLD] = thresholds

    def _thresholds(self, false_alarms: float) -> Floats:
        reference = self._reference
        f = PAGE_HINKLEY_SHARE * false_alarms / max(len(reference.codes), 1)
        f /= short_reference_cost(reference.rows)
        return np.array(
            [
                self._doubt * inflation * nats / abs(sum(_ratios(share, odds)))
                for share, inflation in zip(reference.shares, reference.inflations, strict=True)
                for odds, nats in share_statistics(f, share)
            ]
        )

    def run(self, codes: Floats, expected: Floats | None = None) -> Finding | None:
        """Read codes until the share of a level has changed.

        ``expected`` is what the hour of each row adds to the share of each level.
        """
        levels = len(self._reference.codes)
        fill = int(self._state[kernel.BLOCK_FILL])
        blocks = (fill + len(codes)) // kernel.SHARE_BLOCK_ROWS
        scores = np.empty((blocks, levels))
        hourly = _NOTHING_EXPECTED if expected is None else expected
        before = self._state.copy() if blocks else self._state
        alarm = kernel.run_shares(self._state, codes, scores, hourly)
        row = len(codes) if alarm < 0 else alarm // kernel.SHARE_STATISTICS // levels
        finished = (fill + row) // kernel.SHARE_BLOCK_ROWS
        slow = [
            (block, level)
            for level, backstop in enumerate(self._backstops)
            if finished and (block := backstop.run(scores[:finished, level])) is not None
        ]
        if slow:
            block, level = min(slow)
            row = (block + 1) * kernel.SHARE_BLOCK_ROWS - fill - 1
            self._state = before  # as of the alarm, as for levels
            kernel.run_shares(self._state, codes[: row + 1], scores, hourly)
            return self._slow_finding(row, level)
        if alarm < 0:
            return None
        place, statistic = divmod(alarm, kernel.SHARE_STATISTICS)
        level = place % levels
        at = _part(level) + kernel.SHARE_HEAD + statistic * kernel.RUN_SIZE
        rows = int(self._state[at + kernel.ROWS])
        share = float(self._state[at + kernel.HITS]) / rows
        return self._share(row, level, "cusum", share, rows)

    def _slow_finding(self, row: int, level: int) -> Finding:
        part = self._state[_part(level) :]
        backstop = self._backstops[level]
        rows = backstop.kept * kernel.SHARE_BLOCK_ROWS
        hits = backstop.mean / part[kernel.BLOCK_SCALE] + part[kernel.BLOCK_MEAN]
        share = min(max(float(hits) / kernel.SHARE_BLOCK_ROWS, 0.0), 1.0)
        return self._share(row, level, "adwin", share, max(rows, 1))

    def _share(self, row: int, level: int, detector: str, share: float, rows: int) -> Finding:
        baseline = self._reference.shares[level]
        part = self._state[_part(level) :]
        learnt, seen = self._reference.rows, part[kernel.SEEN]
        before = part[kernel.SHARE] * seen - share * rows - baseline * (seen - rows)
        variance = baseline * (1 - baseline) * self._reference.inflations[level]
        return Finding(
            row=row,
            aspect="share",
            detector=detector,
            direction="up" if share > baseline else "down",
            level=level,
            value=share,
            baseline=baseline,
            effect=odds_of(share, rows) / odds_of(baseline, self._reference.rows),
            effect_unit="odds_ratio",
            rows=rows,
            crept=_away(before, seen - learnt - rows, learnt, variance, share - baseline),
            moved=((level, baseline, share), *self._also_moved(level)),
        )

    def _also_moved(self, found: int) -> list[tuple[int, float, float]]:
        """Return the other levels that are on their way to an alarm, the furthest first."""
        others = []
        for level, share in enumerate(self._reference.shares):
            places = [_statistic(level, k) for k in range(kernel.SHARE_STATISTICS)]
            reach, at = max((self._reach(place), place) for place in places)
            if level != found and reach > ON_ITS_WAY:
                now = float(self._state[at + kernel.HITS] / self._state[at + kernel.ROWS])
                others.append((-reach, level, share, now))
        return [(level, share, now) for _, level, share, now in sorted(others)]

    def _reach(self, place: int) -> float:
        return float(self._state[place] / self._state[place + kernel.THRESHOLD])

    def snapshot(self) -> dict[str, Any]:
        """Return the state as a tree for :func:`streams.blob.pack`."""
        return {
            "reference": _plain(self._reference),
            "doubt": self._doubt,
            "state": self._state,
            "tops": self._tops,
            "backstops": {str(k): stop.snapshot() for k, stop in enumerate(self._backstops)},
        }

    @classmethod
    def restore(cls, tree: dict[str, Any]) -> "ShareDetector":
        """Return the detector as it was."""
        reference = ShareReference(
            rows=tree["reference"]["rows"],
            codes=tuple(tree["reference"]["codes"]),
            shares=tuple(tree["reference"]["shares"]),
            inflations=tuple(tree["reference"]["inflations"]),
        )
        detector = cls(reference, 1.0, doubt=tree.get("doubt", 1.0))
        detector._state = tree["state"]
        detector._tops = tree["tops"]
        detector._backstops = [
            Backstop.restore(tree["backstops"][str(k)]) for k in range(len(reference.codes))
        ]
        return detector


def _part(level: int) -> int:
    return kernel.SHARES_HEAD + level * kernel.SHARE_SIZE


def _statistic(level: int, k: int) -> int:
    return _part(level) + kernel.SHARE_HEAD + k * kernel.RUN_SIZE


@cache
def _places(levels: int) -> NDArray[np.intp]:
    """Return where the statistics of so many levels lie in a state."""
    statistics = range(kernel.SHARE_STATISTICS)
    return np.array([_statistic(level, k) for level in range(levels) for k in statistics], np.intp)


def _plain(reference: NumericReference | ShareReference) -> dict[str, Any]:
    return {field.name: getattr(reference, field.name) for field in fields(reference)}


def _ratios(share: float, odds: float) -> tuple[float, float]:
    """Return how much a hit speaks for the changed share, and a miss against it, in nats."""
    ratio = odds * share / (1 - share)
    changed = ratio / (1 + ratio)
    return math.log(changed / share), math.log((1 - share) / (1 - changed))
