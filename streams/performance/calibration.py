"""Whether scores mean what they did: the map from a score to the share of its positives.

Rule 1. The map is learnt from days whose outcomes have settled, once each, the oldest first: early
        outcomes are not typical. It is isotonic: a higher score never means less.
Rule 2. It is made at ``LABELS`` labels, then every ``EVERY_LABELS`` further ones; what is older
        fades.
Rule 3. Each settled day is compared with the map before it is learnt, by four risk-adjusted CUSUMs
        (Steiner et al. 2000): scores too low, too high, too sure, not sure enough. A day is one
        step, so an alarm costs at most the false alarms of single rows.
Rule 4. While scores mean something else, that is learnt apart: after ``FEWEST_ROWS`` rows it is a
        map to recalibrate them by, and the usual one if a person accepts it. It is over where a
        CUSUM of the usual map against the change says so.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from streams.change import Figures
from streams.codec import Machine
from streams.detect.cohort_kernel import CELLS, cell_of
from streams.detect.compiled import Singles
from streams.performance.figures import ScoreRow
from streams.performance.score_counts import MIDDLES as MIDDLES_OF_CELLS
from streams.traffic.conditions import ConditionState, condition_of
from streams.values import Floats

LABELS = (500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
"""Labels at which the map is made anew: its error falls by a third from one to the next."""
EVERY_LABELS = 10_000
FADE, FADE_ROWS = 0.9, 5_000
"""Weight of the labels that are older by so many rows."""
JUDGED = 2_000
"""Labels of a map with which days are compared, and performance is estimated without labels: with
fewer the map's own error is that of a day (measured on car loan and census)."""
CONSTANT = 0.05
"""False alarms of one CUSUM in 10,000 rows are ``CONSTANT`` x 10,000 x exp(-h); simulated on seven
shapes of scores, where it was .006 to .043."""
BACK = math.log(100)
"""Log-likelihood by which the usual map must explain the rows better for the change to be over."""
FEWEST_ROWS = 1_000
"""Rows of a change from which a map is proposed. By judgement: ten bins of a hundred."""
MOST_KNOTS = 64
"""Points of a proposed map."""
_LEAST = 1e-4
"""Distance of a probability from 0 and 1 in a logarithm."""

CALIBRATION = ("score", "calibration")
"""Series and aspect of the alert."""
Verdict = Literal["too low", "too high", "too sure", "not sure enough"]
VERDICTS: tuple[Verdict, ...] = ("too low", "too high", "too sure", "not sure enough")
_SHIFTS = (math.log(1.75), -math.log(2.1), 0.0, 0.0)
_SLOPES = (1.0, 1.0, 1 / 1.5, 1.5)
"""The changes: of each, the truth has the logit ``shift + slope * logit of the map``."""


class Recalibration(NamedTuple):
    """A map to recalibrate scores by.

    Parameters
    ----------
    knots
        Scores and what they mean, rising; linear between them.
    saved
        Brier score that it would have saved on the rows that it was made of.
    rows
        Their number.
    """

    knots: list[tuple[float, float]]
    saved: float
    rows: int


class Step(NamedTuple):
    """What a settled day has shown: a change that begins or lasts, or one that is over."""

    verdict: Verdict
    is_on: bool
    value: float
    normal: float
    rows: int


class Calibration(Machine):
    """The map of one model, and the CUSUMs that compare its days with it.

    Attributes
    ----------
    map
        The share of positives by cell of the score; empty before the first one.
    version
        Number of the map.
    labels
        Labels learnt.
    learnt_ms
        The first instant of the latest day that was learnt.
    verdict
        The change that lasts; None where scores mean what they did.
    """

    map: Singles = np.zeros(0, np.float32)
    version: int = 0
    labels: int = 0
    learnt_ms: int = -1
    verdict: Verdict | None = None
    _made_at: int = 0
    _faded_at: int = 0
    _positives: Singles = np.zeros(CELLS, np.float32)
    _others: Singles = np.zeros(CELLS, np.float32)
    _runs: Floats = np.zeros(4 * len(VERDICTS))
    """Of each CUSUM since it was nought: itself, rows, positives, and these by the map."""
    _back: float = 0.0
    _changed: Floats = np.zeros(0)
    """Positives and others by cell since the change was told; empty while there is none."""
    _is_proposed: bool = False

    @property
    def is_judging(self) -> bool:
        """Whether the map is made of enough labels."""
        return self._made_at >= JUDGED

    def on_day(self, start_ms: int, rows: Sequence[ScoreRow], budget: float) -> Step | None:
        """Compare a settled day with the map, and learn it; return what it shows.

        Parameters
        ----------
        start_ms
            Its first instant.
        rows
            Its labelled answers by score.
        budget
            False alarms of the four CUSUMs together, in 10,000 rows.
        """
        self.learnt_ms = start_ms
        positives, others = _by_cell(rows)
        n = int(positives.sum() + others.sum())
        if not n:
            return None
        step = self._judge(positives, others, n, budget) if self.is_judging else None
        if self.verdict is None:
            self._learn(positives, others, n)
        else:
            since = self._changed if len(self._changed) else np.zeros(2 * CELLS)
            self._changed = since + np.concatenate((positives, others))
        return step

    def accept(self) -> None:
        """Take the present meaning of scores as the usual one."""
        if self.verdict is None:
            return
        changed = self._changed if len(self._changed) else np.zeros(2 * CELLS)
        self._positives, self._others = changed.astype(np.float32).reshape(2, CELLS).copy()
        self.labels, self._made_at, self._faded_at = int(changed.sum()), 0, 0
        self._end()
        self._learn(np.zeros(CELLS), np.zeros(CELLS), 0)

    def proposal(self) -> Recalibration | None:
        """Return the map of a change, once, when it has rows enough."""
        if self.verdict is None or self._is_proposed or not len(self._changed):
            return None
        positives, others = self._changed.reshape(2, CELLS)
        n = positives + others
        if n.sum() < FEWEST_ROWS:
            return None
        self._is_proposed = True
        made = isotonic(positives, n)
        scores = MIDDLES
        before = positives * (1 - scores) ** 2 + others * scores**2
        after = positives * (1 - made) ** 2 + others * made**2
        saved = float((before - after).sum() / n.sum())
        return Recalibration(_knots(made, n), round(saved, 6), int(n.sum()))

    def _judge(self, positives: Floats, others: Floats, n: int, budget: float) -> Step | None:
        usual = np.clip(self.map.astype(np.float64), _LEAST, 1 - _LEAST)
        logits = np.log(usual / (1 - usual))
        threshold = math.log(max(CONSTANT * 10_000 * len(VERDICTS) / budget, 2.0))
        found, expected = float(positives.sum()), float(((positives + others) * usual).sum())
        gains = np.empty(len(VERDICTS))
        for place in range(len(VERDICTS)):
            other = 1 / (1 + np.exp(-(_SHIFTS[place] + _SLOPES[place] * logits)))
            gain = positives * np.log(other / usual) + others * np.log((1 - other) / (1 - usual))
            gains[place] = gain.sum()
        runs = self._runs.reshape(-1, len(VERDICTS))
        runs = runs + np.stack((gains, *([each] * 4 for each in (n, found, expected))))
        self._runs = np.where(runs[0] > 0, runs, 0.0).ravel()
        if self.verdict is not None:
            return self._judge_end(gains)
        highest = int(self._runs[: len(VERDICTS)].argmax())
        if self._runs[highest] <= threshold:
            return None
        self.verdict, self._back, self._is_proposed = VERDICTS[highest], 0.0, False
        self._changed = np.zeros(0)
        return self._step(self.verdict, is_on=True)

    def _judge_end(self, gains: Floats) -> Step | None:
        """Return that the change is over, where the usual map explains the rows better by far."""
        verdict = self.verdict
        if verdict is None:
            return None
        self._back = max(0.0, self._back - float(gains[VERDICTS.index(verdict)]))
        if self._back <= BACK:
            return self._step(verdict, is_on=True)
        step = self._step(verdict, is_on=False)
        self._end()
        return step

    def _end(self) -> None:
        self.verdict, self._changed = None, np.zeros(0)
        self._runs = np.zeros(4 * len(VERDICTS))

    def _step(self, verdict: Verdict, *, is_on: bool) -> Step:
        _, rows, found, expected = self._runs.reshape(-1, len(VERDICTS))[:, VERDICTS.index(verdict)]
        n = max(int(rows), 1)
        return Step(verdict, is_on, float(found) / n, float(expected) / n, n)

    def _learn(self, positives: Floats, others: Floats, n: int) -> None:
        self._positives = (self._positives + positives).astype(np.float32)
        self._others = (self._others + others).astype(np.float32)
        self.labels += n
        while self.labels - self._faded_at >= FADE_ROWS:
            self._faded_at += FADE_ROWS
            self._positives = self._positives * np.float32(FADE)
            self._others = self._others * np.float32(FADE)
        due = next((each for each in LABELS if each > self._made_at), 0)
        if self.labels >= (due or self._made_at + EVERY_LABELS):
            self._made_at = max(each for each in (*LABELS, self.labels) if each <= self.labels)
            hits, rest = self._positives.astype(np.float64), self._others.astype(np.float64)
            self.map = isotonic(hits, hits + rest).astype(np.float32)
            self.version += 1


MIDDLES = np.array(MIDDLES_OF_CELLS)
"""The score in the middle of each cell."""


def calibration_state(step: Step) -> ConditionState:
    """Return what a day has shown as a condition of the model."""
    figures = Figures(step.value, step.normal, effect=None, rows=step.rows)
    return ConditionState(condition_of("calibration", figures, step.verdict), step.is_on)


def isotonic(positives: Floats, n: Floats) -> Floats:
    """Return the rising shares of positives that fit best: pool adjacent violators.

    Cells without rows have the share of the cell before them, the first ones that of the next.
    """
    pools: list[list[float]] = []  # share, rows, last cell
    for cell in np.flatnonzero(n).tolist():
        pools.append([positives[cell] / n[cell], n[cell], cell])
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            share, rows, last = pools.pop()
            before = pools[-1]
            total = before[1] + rows
            before[0] = (before[0] * before[1] + share * rows) / total
            before[1], before[2] = total, last
    made = np.empty(len(n))
    first = 0
    for share, _, last in pools:
        made[first : int(last) + 1] = share
        first = int(last) + 1
    made[first:] = pools[-1][0] if pools else 0.5
    return made


def _by_cell(rows: Sequence[ScoreRow]) -> tuple[Floats, Floats]:
    positives, others = np.zeros(CELLS), np.zeros(CELLS)
    for score, hits, rest in rows:
        cell = cell_of(score)
        positives[cell] += hits
        others[cell] += rest
    return positives, others


def _knots(made: Floats, n: Floats) -> list[tuple[float, float]]:
    """Return the ends of the steps of a map that have rows, at most ``MOST_KNOTS``."""
    cells = np.flatnonzero(n)
    steps = np.flatnonzero(np.diff(made[cells], prepend=-1.0, append=2.0))
    ends = sorted({*cells[steps[:-1]].tolist(), *cells[steps[1:] - 1].tolist()})
    if len(ends) > MOST_KNOTS:
        places = np.linspace(0, len(ends) - 1, MOST_KNOTS).round().astype(int)
        ends = [ends[place] for place in places]
    return [(round(float(MIDDLES[cell]), 6), round(float(made[cell]), 6)) for cell in ends]
