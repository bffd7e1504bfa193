"""What a cohort will look like when its outcomes are known: how many are due, how many are wrong.

Rule 1. Nothing is said before outcomes have settled: the oldest days must show how late they come
        (`DelayLaw.settled_ms`).
Rule 2. The usual share of errors by group of risk is that of settled days. What the scores do not
        show is one shift of the odds a day, which changes little from day to day
        (`streams.detect.shift_kernel`).
Rule 3. Right answers and errors that stay unknown for ever are taken to be as many of either, but
        for those that come after the wait (`DelayLaw.beyond`): the log cannot tell.
Rule 4. The shift of a day is known from those after it as well: it changes little.
"""

import math
from typing import NamedTuple

import numpy as np

from schemas.metric import Completeness, Nowcast
from streams.clock import DAY_MS, Instants
from streams.detect.compiled import Singles
from streams.detect.day_kernel import CELLS, DELAYS, GROUPS
from streams.detect.shift_kernel import STEP, follow_shift
from streams.performance.delay_law import FEWEST, DelayLaw, law_of
from streams.performance.history import History
from streams.values import Floats

NORMAL_90 = 1.6449
"""Standard deviations of a two-sided interval of 90 %."""
SHRINKAGE = 20.0
"""Answers by which the share of errors of a group is drawn to that of its scores, and this in turn
scaled to the model's: with fewer, a group says less than its scores do. By judgement."""
DIGITS = 6
"""Decimals of a figure: its last bits depend on the machine's exponential."""
_MIDDLES = (0.01, 0.035, 0.075, 0.15, 0.275, 0.45)
"""A risk within each band of ``RISK_EDGES``."""


NEVER_APART = 0.2
"""Standard deviation of the share of errors that stay unknown for ever, as a part of that of right
answers (Rule 3). By judgement."""


class CohortView(NamedTuple):
    """The parts of a cohort's record about open outcomes; None is not known."""

    completeness: Completeness | None
    nowcast: Nowcast | None


NOTHING = CohortView(None, None)


class Outlook:
    """The view of a model's open outcomes at one instant.

    Parameters
    ----------
    history
        Its days.
    now_ms, wait_ms
        The instant, and the wait for outcomes.
    """

    def __init__(self, history: History, now_ms: int, wait_ms: int) -> None:
        self.now_ms = now_ms
        self.starts, days = history.days()
        self.counts = np.ascontiguousarray(days[:, :DELAYS])
        ages_ms = now_ms - DAY_MS - np.array(self.starts, dtype=np.int64)
        self._law = _law(history, days, ages_ms, wait_ms)
        self.settled_ms = self._law.settled_ms
        if self.settled_ms is None:
            return
        is_settled = ages_ms >= self.settled_ms
        self.settled_starts = [
            each for each, is_ in zip(self.starts, is_settled, strict=True) if is_
        ]
        self.settled = self.counts[is_settled].sum(axis=0, dtype=np.float64)
        if len(history.mature):
            self.settled = self.settled + history.mature[:DELAYS]
        answers, rights, errors = self.settled.reshape(3, GROUPS)
        self.never = max(1.0 - float(rights.sum() + errors.sum()) / float(answers.sum()), 0.0)
        if min(errors.sum(), rights.sum()) < FEWEST:
            return
        in_time = 1 - self._law.beyond()
        self.rates = usual_rates(errors / in_time[1], rights / in_time[0])
        every = float(rights.sum() / in_time[0] + errors.sum() / in_time[1])
        self._told = min(every / float(answers.sum()), 1.0) * in_time
        self.base = np.log(self.rates / (1 - self.rates))
        youngest_ms, oldest_ms = np.maximum(ages_ms, 0), ages_ms + DAY_MS
        self.unknown = 1 - self._told * self._law.share_known(youngest_ms, oldest_ms)
        self.shifts = np.zeros((len(self.starts), 2))
        follow_shift(self.counts, self.base, self.unknown, self.shifts)

    base: Floats | None = None
    """The logit of the usual share of errors, by group; None: not known yet."""

    def _unknown(self, start_ms: int, end_ms: int) -> Floats:
        """Return the share of right answers, and of errors, of a cohort that is not known yet."""
        if end_ms - start_ms == DAY_MS and start_ms in self.starts:
            of_day: Floats = self.unknown[self.starts.index(start_ms)]
            return of_day
        return 1 - self._told * self._known(start_ms, end_ms)

    def _known(self, start_ms: int, end_ms: int) -> Floats:
        """Return the same of those that will ever be known, of these the known ones."""
        ages = np.array((max(self.now_ms - end_ms, 0), self.now_ms - start_ms))
        known: Floats = self._law.share_known(ages[:1], ages[1:])[0]
        return known

    def view(self, start_ms: int, end_ms: int, counts: Floats) -> CohortView:
        """Return what can be said of a cohort.

        Parameters
        ----------
        start_ms, end_ms
            Its first instant, and the one after its last.
        counts
            Its answers, right ones and errors, each by group of risk.
        """
        answers, rights, errors = counts.reshape(3, GROUPS)
        total, labelled = float(answers.sum()), float(rights.sum() + errors.sum())
        if self.settled_ms is None or not total:
            return NOTHING
        known = self._known(start_ms, end_ms)
        due = (1 - self.never) * total
        completeness = Completeness(
            share=_rounded(min(labelled / due, 1.0) if due else 1.0),
            of_right=_rounded(float(known[0])),
            of_errors=_rounded(float(known[1])),
            due=round(due),
        )
        if self.base is None:
            return CohortView(completeness, None)
        shift, variance = self._shift_of(start_ms)
        unknown = self._unknown(start_ms, end_ms)
        open_ = np.maximum(answers - rights - errors, 0.0)
        wrong, slope = wrong_among_open(self.base + shift, unknown)
        plain, _ = wrong_among_open(self.base, unknown)
        found = float(errors.sum())
        said = found + float((open_ * wrong).sum())
        spread = float((open_ * wrong * (1 - wrong)).sum())
        spread += float((open_ * slope).sum()) ** 2 * variance
        spread += (NEVER_APART * self.never * said) ** 2
        half = NORMAL_90 * math.sqrt(spread)
        nowcast = Nowcast(
            error=_rounded(said / total),
            low=_rounded(max(said - half, found) / total),
            high=_rounded(min(said + half, found + float(open_.sum())) / total),
            shift=_rounded(shift),
            plain=_rounded((found + float((open_ * plain).sum())) / total),
        )
        return CohortView(completeness, nowcast)

    def wrong_open(self, start_ms: int, end_ms: int, counts: Floats) -> Floats | None:
        """Return the errors to be expected among the open answers of a cohort, by group."""
        if self.base is None:
            return None
        shift, _ = self._shift_of(start_ms)
        wrong, _ = wrong_among_open(self.base + shift, self._unknown(start_ms, end_ms))
        answers, rights, errors = counts.reshape(3, GROUPS)
        open_: Floats = np.maximum(answers - rights - errors, 0.0)
        return open_ * wrong

    def median_delay_ms(self) -> int:
        """Return the median delay of outcomes, to the cells of the law."""
        return self._law.median_ms

    def _shift_of(self, start_ms: int) -> tuple[float, float]:
        """Return the shift of the day of an instant, and its variance."""
        day_ms = start_ms // DAY_MS * DAY_MS
        if day_ms in self.starts:
            shift, variance = self.shifts[self.starts.index(day_ms)]
            return float(shift), float(variance)
        return 0.0, STEP * STEP


def usual_rates(errors: Floats, rights: Floats) -> Floats:
    """Return the usual share of errors of each group."""
    share = errors.sum() / (errors.sum() + rights.sum())
    middles = np.array((*_MIDDLES, *_MIDDLES, share))
    labelled = errors + rights
    expected = float((labelled * middles).sum()) / float(labelled.sum())
    middles = np.clip(middles * share / expected, 1e-4, 0.9)
    rates: Floats = (errors + SHRINKAGE * middles) / (labelled + SHRINKAGE)
    return np.clip(rates, 1e-6, 1 - 1e-6)


def _law(history: History, days: Singles, ages_ms: Instants, wait_ms: int) -> DelayLaw:
    """Return the law of delays of the open days and the mature ones."""
    delays = days[:, DELAYS:].astype(np.float64)
    if len(history.mature):
        delays = np.vstack((history.mature[DELAYS:], delays))
        ages_ms = np.concatenate(([wait_ms], ages_ms))
    return law_of(delays.reshape(-1, 2, CELLS), ages_ms, wait_ms)


def wrong_among_open(logits: Floats, unknown: Floats) -> tuple[Floats, Floats]:
    """Return, by group, the share of errors among open answers, and its slope by the logit."""
    p = 1 / (1 + np.exp(-logits))
    all_open = np.maximum(p * unknown[1] + (1 - p) * unknown[0], 1e-12)
    wrong: Floats = p * unknown[1] / all_open
    slope: Floats = p * (1 - p) * unknown[0] * unknown[1] / all_open**2
    return wrong, slope


def _rounded(figure: float) -> float:
    return round(figure, DIGITS)
