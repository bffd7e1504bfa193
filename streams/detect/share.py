"""Detect changes of the shares of a few categories."""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from streams.change import Detector, Figures, Finding
from streams.codec import Machine
from streams.detect import share_kernel
from streams.detect.adwin import (
    BLOCK_CLOCK,
    SlowDrift,
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
from streams.detect.limits import CALM, ONE_FALSE_ALARM, STEADY, TOP_MARGIN, crept
from streams.detect.reference import ShareReference
from streams.detect.score_kernel import CLIP
from streams.detect.share_kernel import BLOCK_ROWS, CATEGORY, RUN, SHARES, STATISTICS
from streams.values import Floats, odds_of

_BURST_ODDS = 9.0
"""Odds ratio of the CUSUM for bursts, .1 to .5 (case 8 of `benchmarks.detection`)."""
_NOTHING_EXPECTED: Floats = np.empty((0, 0))
ON_ITS_WAY = 0.3
"""Part of its threshold beyond which a statistic is named beside the one that alarms: in 2,000 rows
independent rows reach a third of it (decision 12)."""
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
        detector = cls(reference, _new_state(reference, doubt), slow_drifts, tops, doubt)
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
    def inflation(self) -> float:
        """The largest long-run variance of a share, in that of independent rows."""
        return max(self._reference.inflations)

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
            learnt,
            np.empty((rows // BLOCK_ROWS, len(self.codes))),
            expected,
        )
        self._tops = self._state[places + RUN.top]
        for index in range(len(self._reference.codes)):  # keep the runs, as Page-Hinkley does
            at = _part(index)
            self._state[at : at + len(CATEGORY)] = before[at : at + len(CATEGORY)]
        self._state[SHARES.block_rows] = 0.0

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
        before = self._state.copy() if blocks else self._state
        alarm = share_kernel.run_bernoulli_cusums(self._state, codes, scores, hourly)
        row = len(codes) if alarm < 0 else alarm // STATISTICS // categories
        finished = (fill + row) // BLOCK_ROWS
        drifts = [
            (drift.place, index, drift)
            for index, detector in enumerate(self._slow_drifts)
            if finished and (drift := detector.run(scores[:finished, index])) is not None
        ]
        if drifts:
            block, index, drift = min(drifts)
            row = (block + 1) * BLOCK_ROWS - fill - 1
            self._state = before  # the figures are as of the alarm, wherever these codes end
            share_kernel.run_bernoulli_cusums(self._state, codes[: row + 1], scores, hourly)
            return self._slow_finding(row, index, drift)
        if alarm < 0:
            return None
        place, statistic = divmod(alarm, STATISTICS)
        index = place % categories
        at = _part(index) + len(CATEGORY) + statistic * len(RUN)
        rows = int(self._state[at + RUN.rows])
        share = float(self._state[at + RUN.hits]) / rows
        return self._share(row, index, "cusum", share, rows)

    def _slow_finding(self, row: int, index: int, drift: SlowDrift) -> Finding:
        part = self._state[_part(index) :]
        rows = drift.kept * BLOCK_ROWS
        hits = drift.mean / part[CATEGORY.block_scale] + part[CATEGORY.block_mean]
        share = min(max(float(hits) / BLOCK_ROWS, 0.0), 1.0)
        return self._share(row, index, "adwin", share, max(rows, 1))

    def _share(self, row: int, index: int, detector: Detector, share: float, rows: int) -> Finding:
        baseline = self._reference.shares[index]
        part = self._state[_part(index) :]
        learnt, seen = self._reference.rows, part[CATEGORY.rows]
        before = part[CATEGORY.share] * seen - share * rows - baseline * (seen - rows)
        variance = baseline * (1 - baseline) * self._reference.inflations[index]
        return Finding(
            row=row,
            aspect="share",
            detector=detector,
            figures=Figures(
                value=share,
                baseline=baseline,
                effect=odds_of(share, rows) / odds_of(baseline, self._reference.rows),
                unit="odds_ratio",
                direction="up" if share > baseline else "down",
                rows=rows,
            ),
            category_index=index,
            crept=crept(before, seen - learnt - rows, learnt, variance, share - baseline),
            moved=((index, baseline, share), *self._also_moved(index)),
        )

    def _also_moved(self, found: int) -> list[tuple[int, float, float]]:
        """Return the other categories on their way to an alarm, the furthest first."""
        others = []
        for index, share in enumerate(self._reference.shares):
            places = [_statistic(index, k) for k in range(STATISTICS)]
            reach, at = max((self._reach(place), place) for place in places)
            if index != found and reach > ON_ITS_WAY:
                now = float(self._state[at + RUN.hits] / self._state[at + RUN.rows])
                others.append((-reach, index, share, now))
        return [(index, share, now) for _, index, share, now in sorted(others)]

    def _reach(self, place: int) -> float:
        return float(self._state[place + RUN.total] / self._state[place + RUN.threshold])


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
