"""Detect changes of the shares of a few categories."""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from streams.change import Detector, Figures, Finding
from streams.codec import Machine
from streams.detect import share_kernel
from streams.detect.adwin import (
    BLOCK_CLOCK,
    SlowDriftDetector,
    least_mean,
    merged_rows,
)
from streams.detect.budget import (
    CUSUM_SHARE,
    block_adwin_delta,
    share_statistics,
    short_reference_cost,
)
from streams.detect.compiled import Singles
from streams.detect.limits import CALM, ONE_FALSE_ALARM, STEADY, TOP_MARGIN, crept
from streams.detect.reference import ShareReference
from streams.detect.score_kernel import CLIP
from streams.detect.share_kernel import BLOCK_ROWS, CATEGORY, RUN, SHARES, STATISTICS
from streams.detect.trail import beginning, new_trail, refuse_trail, share_gains, since, spanned
from streams.values import Floats, odds_of

_BURST_ODDS = 9.0
"""Odds ratio of the CUSUM for bursts, .1 to .5 (case 8 of `benchmarks.detection`)."""
_NOTHING_EXPECTED: Floats = np.empty((0, 0))
ALSO_MOVED = 4.0
"""Nats of evidence for the change of another category, in the same rows, beyond which it is named
as well: by chance once in 200 (a chi-squared variable of one degree of freedom above 8)."""
MIN_BLOCK_HITS = 0.16
"""Hits of a block, on average, below which ADWIN is stopped: a share of .01 in 16 rows. The scores
of rarer hits are too skew for ADWIN's bound. By judgement."""


class ShareDetector(Machine):
    """Watch the shares of a few codes: Bernoulli CUSUMs against several odds ratios.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> watch = ShareDetector.learn((rng.random(2_000) < 0.1).astype(float), [1], 0.1)
    >>> watch.run((rng.random(5_000) < 0.1).astype(float))
    >>> finding = watch.run((rng.random(500) < 0.3).astype(float))
    >>> finding.aspect, finding.figures.direction, finding.row < 150
    ('share', 'up', True)
    """

    _reference: ShareReference
    _state: Floats
    _trail: Singles
    _slow_drifts: list[SlowDriftDetector]
    _tops: Floats
    _doubt: float

    def __post_init__(self) -> None:
        # A kernel does not check its indices: a stored state of another size must not reach it.
        codes = len(self._reference.codes)
        sizes = (len(self._state), len(self._tops), len(self._slow_drifts))
        expected = (_part(codes), codes * STATISTICS, codes)
        if sizes != expected or self._state[SHARES.categories] != codes:
            raise ValueError(f"expected the sizes {expected} for {codes} codes, got {sizes}")
        refuse_trail(self._trail, codes)
        if not 0 <= self._state[SHARES.block_rows] < BLOCK_ROWS:
            raise ValueError(f"a block has fewer than {BLOCK_ROWS} rows")

    @classmethod
    def learn(
        cls,
        values: Floats,
        codes: Sequence[int],
        false_alarms: float,
        expected: Floats | None = None,
        doubt: float = 1.0,
    ) -> "ShareDetector":
        """Return a detector whose reference are the codes of some rows.

        Parameters
        ----------
        values
            The code of each row.
        codes
            Those whose shares are watched.
        false_alarms
            Per 10,000 rows.
        expected
            The part that the hour of each row adds to the share of each code: a row for each row,
            a column for each of ``codes``.
        doubt
            The long-run variance, in that of independent rows, that such an expectation leaves.
        """
        reference = ShareReference.of(values, codes, expected)
        delta = block_adwin_delta(false_alarms / max(len(codes), 1))
        blocks = reference.rows // BLOCK_ROWS
        slow_drifts = [
            SlowDriftDetector.of(
                delta,
                BLOCK_CLOCK,
                blocks,
                math.sqrt(BLOCK_ROWS) * least_mean(doubt),
                merged_rows(inflation, BLOCK_ROWS),
            )
            for inflation in reference.inflations
        ]
        tops = np.zeros(len(codes) * STATISTICS)
        state, trail = _new_state(reference, doubt), new_trail(len(codes))
        detector = cls(reference, state, trail, slow_drifts, tops, doubt)
        detector._read_reference(values, _NOTHING_EXPECTED if expected is None else expected)
        detector.set_budget(false_alarms)
        return detector

    @property
    def is_settled(self) -> bool:
        """Whether the reference has no clumps: a longer one is not needed to judge them."""
        has_moved = (self._tops > self._thresholds(ONE_FALSE_ALARM)).any()
        return max(self._reference.inflations) <= 1 and not has_moved

    @property
    def is_steady(self) -> bool:
        """Whether blocks of the reference differ little more than by chance."""
        return max(self._reference.inflations) <= STEADY

    @property
    def is_calm(self) -> bool:
        """Whether no statistic is on its way to an alarm."""
        places = _places(len(self._reference.codes))
        totals, thresholds = self._state[places + RUN.total], self._state[places + RUN.threshold]
        return bool((totals < CALM * thresholds).all())

    @property
    def codes(self) -> tuple[int, ...]:
        """The codes watched: a finding's category is an index among them."""
        return self._reference.codes

    @property
    def shares(self) -> tuple[float, ...]:
        """The shares of the codes in the reference, as they were seen."""
        return tuple(map(self._reference.seen, range(len(self.codes))))

    @property
    def inflation(self) -> float:
        """The largest long-run variance of a share, in that of independent rows."""
        return max(self._reference.inflations)

    @property
    def inflations(self) -> tuple[float, ...]:
        """That of the share of each code."""
        return self._reference.inflations

    def widen(self, least: Sequence[float]) -> None:
        """Take the inflations of the codes for these at least; `set_budget` puts them in force."""
        inflations = map(max, self._reference.inflations, least)
        self._reference = replace(self._reference, inflations=tuple(inflations))

    def spanned(self, left_out: int, rows: int) -> int:
        """Return the latest rows that have so many rows of other codes than the first few."""
        return spanned(self._trail, len(self.codes), left_out, rows)

    def _read_reference(self, learnt: Floats, expected: Floats) -> None:
        """Have ADWIN read the reference by blocks, and the CUSUMs by rows."""
        rows = len(learnt) // BLOCK_ROWS * BLOCK_ROWS
        for index, code in enumerate(self._reference.codes):
            part = self._state[_part(index) :]
            hits = (learnt[:rows] == code).astype(np.float64)
            if len(expected):
                hits -= expected[:rows, index]
            hits = hits.reshape(-1, BLOCK_ROWS).sum(axis=1)
            scores = (hits - part[CATEGORY.block_mean]) * part[CATEGORY.block_scale]
            if part[CATEGORY.block_mean] < MIN_BLOCK_HITS:
                self._slow_drifts[index].stop()
            self._slow_drifts[index].learn(np.clip(scores, -CLIP, CLIP))
        before = self._state.copy()
        places = _places(len(self._reference.codes))
        self._state[places + RUN.threshold] = math.inf
        share_kernel.run_bernoulli_cusums(
            self._state,
            self._trail,
            learnt,
            np.empty((rows // BLOCK_ROWS, len(self.codes))),
            expected,
        )
        self._tops = self._state[places + RUN.top]
        for index in range(len(self._reference.codes)):  # keep the runs, as Page-Hinkley does
            at = _part(index)
            self._state[at : at + len(CATEGORY)] = before[at : at + len(CATEGORY)]
        self._state[SHARES.block_rows] = 0.0

    def renew(self) -> None:
        """Forget all codes read since the reference was made."""
        thresholds = self._state[_places(len(self.codes)) + RUN.threshold]
        self._state = _new_state(self._reference, self._doubt)
        self._state[_places(len(self.codes)) + RUN.threshold] = thresholds
        self._trail[:] = 0.0
        for slow_drift in self._slow_drifts:
            slow_drift.renew()

    def set_budget(self, false_alarms: float) -> None:
        """Divide the budget among the categories and set their thresholds.

        ADWIN keeps its confidence until the series is learnt again. No threshold is below the
        statistic's top within the reference.
        """
        thresholds = np.maximum(self._thresholds(false_alarms), TOP_MARGIN * self._tops)
        self._state[_places(len(self._reference.codes)) + RUN.threshold] = thresholds

    def _thresholds(self, false_alarms: float) -> Floats:
        reference = self._reference
        f = CUSUM_SHARE * false_alarms / max(len(reference.codes), 1)
        f /= short_reference_cost(reference.rows)
        return np.array(
            [
                self._doubt * inflation * nats / abs(sum(_ratios(share, odds)))
                for share, inflation in zip(reference.shares, reference.inflations, strict=True)
                for odds, nats in share_statistics(f, share)
            ]
        )

    def run(self, codes: Floats, expected: Floats | None = None) -> Finding | None:
        """Read codes until the share of a category has changed.

        ``expected`` is as for `learn`.
        """
        categories = len(self._reference.codes)
        fill = int(self._state[SHARES.block_rows])
        blocks = (fill + len(codes)) // BLOCK_ROWS
        scores = np.empty((blocks, categories))
        hourly = _NOTHING_EXPECTED if expected is None else expected
        before = (self._state.copy(), self._trail.copy()) if blocks else (self._state, self._trail)
        alarm = share_kernel.run_bernoulli_cusums(self._state, self._trail, codes, scores, hourly)
        row = len(codes) if alarm < 0 else alarm // STATISTICS // categories
        finished = (fill + row) // BLOCK_ROWS
        drifts = [
            drift.place
            for index, detector in enumerate(self._slow_drifts)
            if finished and (drift := detector.run(scores[:finished, index])) is not None
        ]
        if drifts:
            row = (min(drifts) + 1) * BLOCK_ROWS - fill - 1
            # The figures are as of the alarm, wherever these codes end.
            self._state, self._trail = before
            share_kernel.run_bernoulli_cusums(
                self._state, self._trail, codes[: row + 1], scores, hourly
            )
            return self._finding(row, "adwin")
        return None if alarm < 0 else self._finding(row, "cusum")

    def passes_over(self, codes: Floats) -> bool:
        """Read codes that reveal no change; read none, and return False, where they do."""
        state, trail = self._state.copy(), self._trail.copy()
        slow_drifts = [each.position for each in self._slow_drifts]
        if self.run(codes) is None:
            return True
        self._state, self._trail = state, trail
        for each, position in zip(self._slow_drifts, slow_drifts, strict=True):
            each.rewind(position)
        return False

    def _finding(self, row: int, detector: Detector) -> Finding:
        """Return the change that explains the latest rows best, as of an alarm at this row."""
        reference, codes = self._reference, len(self._reference.codes)
        parts = [self._state[_part(index) :] for index in range(codes)]
        seen = float(parts[0][CATEGORY.rows])
        share = np.array([part[CATEGORY.share] for part in parts])
        then = since(self._trail, codes, seen)
        gains = share_gains(then.rows, then.sums, seen, share) / np.array(reference.inflations)
        step, index = divmod(int(np.argmax(gains)), codes)
        before = (share[index] * seen - then.sums[step, index]) / (seen - then.rows[step])
        best = beginning(then, index, float(before), gains[:, index], step)
        # The beginning of a slow motion lies before all of it: nothing has crept before that.
        stepped, of_step = float(then.rows[step]), float(then.sums[step, index])
        rows, hits = int(then.rows[best]), then.sums[best]
        now = np.clip(hits / rows, 0.0, 1.0).tolist()
        baseline, usual = reference.seen(index), reference.shares[index]
        before = (share[index] - usual) * seen - (of_step - usual * stepped)
        variance = usual * (1 - usual) * reference.inflations[index]
        order = sorted(range(codes), key=lambda each: (each != index, -gains[best, each]))
        return Finding(
            row=row,
            aspect="share",
            detector=detector,
            figures=Figures(
                value=now[index],
                baseline=baseline,
                effect=odds_of(now[index], rows) / odds_of(baseline, reference.rows),
                unit="odds_ratio",
                direction="up" if now[index] > baseline else "down",
                rows=rows,
            ),
            category_index=index,
            crept=crept(
                before,
                seen - reference.rows - stepped,
                reference.rows,
                variance,
                now[index] - usual,
            ),
            moved=tuple(
                (each, reference.seen(each), now[each])
                for each in order
                if each == index or gains[best, each] > ALSO_MOVED
            ),
        )


def _new_state(reference: ShareReference, doubt: float) -> Floats:
    """Return the state of the kernel before the first row of the reference."""
    codes = len(reference.codes)
    state = np.zeros(len(SHARES) + codes * share_kernel.CATEGORY_SIZE)
    state[SHARES.categories] = codes
    for index, share in enumerate(reference.shares):
        part = state[_part(index) :]
        part[CATEGORY.code] = reference.codes[index]
        part[CATEGORY.rows] = reference.rows
        part[CATEGORY.share] = share
        hit, miss = _ratios(share, _BURST_ODDS)
        part[CATEGORY.burst_hit], part[CATEGORY.burst_miss] = hit, -miss
        variance = BLOCK_ROWS * share * (1 - share) * reference.inflations[index]
        part[CATEGORY.block_mean] = BLOCK_ROWS * share
        part[CATEGORY.block_scale] = 1 / math.sqrt(variance * doubt)
        for k, (odds, _) in enumerate(share_statistics(1.0, share)):
            hit, miss = _ratios(share, odds)
            at = len(CATEGORY) + k * len(RUN)
            part[at + RUN.kappa] = miss / (hit + miss) - share
    return state


def _part(index: int) -> int:
    return len(SHARES) + index * share_kernel.CATEGORY_SIZE


def _statistic(index: int, k: int) -> int:
    return _part(index) + len(CATEGORY) + k * len(RUN)


@cache
def _places(categories: int) -> NDArray[np.intp]:
    """Return the places of the statistics of so many categories in a state."""
    statistics = range(STATISTICS)
    return np.array(
        [_statistic(index, k) for index in range(categories) for k in statistics], np.intp
    )


def _ratios(share: float, odds: float) -> tuple[float, float]:
    """Return the log-likelihood ratio for the changed share of a hit, and against it of a miss.

    In nats.
    """
    ratio = odds * share / (1 - share)
    changed = ratio / (1 + ratio)
    return math.log(changed / share), math.log((1 - share) / (1 - changed))
