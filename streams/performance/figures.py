"""Figures of a cohort, made from its counts.

Rule 1. A figure without the rows that it needs is None, never 0.
Rule 2. The score speaks of the positive label where there is one; else of the answer given, and
        then a right answer is the positive outcome.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple

import numpy as np
import orjson

from schemas.metric import ConfusionCell, ReliabilityBin, Spread
from streams.detect.day_kernel import DELAYS, RIGHT, WRONG, group_of
from streams.performance.cells import quantiles
from streams.performance.cohort import Cohort
from streams.performance.score_counts import ScoredCount
from streams.values import OTHER, Floats

BINS = 10
"""Bins of a reliability curve, of equal mass: the usual number, as in scikit-learn."""
MOST_CONFUSIONS = 441
"""Cells of a confusion matrix in a record: 21 labels by 21."""
_TRUE_OF = {frozenset({"0", "1"}): "1", frozenset({"false", "true"}): "true"}


class Positive(NamedTuple):
    """The positive label: as JSON, and its number; None and -1 where there is none."""

    label: str | None
    number: int

    def is_said_by(self, prediction: int) -> bool:
        """Tell whether the score of an answer is the probability that the answer is right."""
        return self.label is None or prediction == self.number


def usual_positive(labels: Set[str]) -> str | None:
    """Return ``1`` of the labels 0 and 1, or ``true`` of the booleans; None of others."""
    return next((label for pair, label in _TRUE_OF.items() if labels and labels <= pair), None)


def positive_of(given: str | None, labels: Mapping[str, int]) -> Positive:
    """Return the positive label.

    Parameters
    ----------
    given
        The label that the spec names, as JSON.
    labels
        The labels of the model, as JSON, with their numbers. Of ``0`` and ``1``, and of ``false``
        and ``true``, the second is positive.

    Examples
    --------
    >>> positive_of(None, {"0": 0, "1": 1})
    Positive(label='1', number=1)
    >>> positive_of(None, {'"no"': 0, '"yes"': 1})
    Positive(label=None, number=-1)
    """
    if given is None:
        given = usual_positive(labels.keys())
    return Positive(None, -1) if given is None else Positive(given, labels.get(given, -1))


class ScoreRow(NamedTuple):
    """Labelled answers of one score: positive and other outcomes."""

    score: float
    positives: int
    others: int


def score_rows(counts: Iterable[ScoredCount], positive: Positive) -> list[ScoreRow]:
    """Return the labelled answers by score, in rising order (Rule 2)."""
    by_score: dict[float, list[int]] = {}
    for score, prediction, outcome, n in counts:
        if score is None or outcome is None:
            continue
        is_positive = _is_positive(prediction, outcome, positive)
        by_score.setdefault(score, [0, 0])[not is_positive] += n
    return [ScoreRow(score, *by_score[score]) for score in sorted(by_score)]


def auc_of(rows: Sequence[ScoreRow]) -> tuple[float, float] | None:
    """Return the area under the ROC curve, and the most by which cells can have moved it.

    In integers: p positives of a score outrank the others of lower scores, and half of their own.
    """
    positives = sum(row.positives for row in rows)
    others = sum(row.others for row in rows)
    if not positives or not others:
        return None
    twice = below = ties = 0
    for row in rows:
        twice += row.positives * (2 * below + row.others)
        ties += row.positives * row.others
        below += row.others
    pairs = 2 * positives * others
    return twice / pairs, ties / pairs


def reliability_of(rows: Sequence[ScoreRow], most: int = BINS) -> list[ReliabilityBin]:
    """Return the rate of positives in ``most`` bins of equal mass, by score.

    Answers of one score stay together, so there are fewer bins where few scores are distinct.
    """
    total = sum(row.positives + row.others for row in rows)
    bins: list[list[float]] = []
    below, last = 0, -1
    for row in rows:
        n = row.positives + row.others
        place = min(int(most * (below + n / 2) / total), most - 1)
        if place != last:
            bins.append([0.0, 0.0, 0.0])
            last = place
        for index, amount in enumerate((row.score * n, row.positives, n)):
            bins[-1][index] += amount
        below += n
    return [ReliabilityBin(score=s / n, rate=p / n, n=int(n)) for s, p, n in bins]


def calibration_errors(bins: Sequence[ReliabilityBin]) -> tuple[float, float] | None:
    """Return the expected calibration error, and its mean for perfect scores.

    By chance the rate of a bin has the standard deviation sqrt(s (1 - s) / n), and the mean of its
    distance is sqrt(2 / pi) of that.
    """
    total = sum(each.n for each in bins)
    if not total:
        return None
    error = sum(each.n * abs(each.rate - each.score) for each in bins) / total
    chance = sum(
        each.n * math.sqrt(2 / math.pi * each.score * (1 - each.score) / each.n) for each in bins
    )
    return error, chance / total


def losses_of(cohort: Cohort, positive: Positive) -> tuple[float, float] | None:
    """Return the Brier score and the log loss of the labelled answers with a score."""
    n = squares = logs = 0.0
    for prediction, outcome, sums in cohort.sums():
        n += sums.n
        if _is_positive(prediction, outcome, positive):
            squares += sums.n - 2 * sums.score + sums.square
            logs -= sums.log
        else:
            squares += sums.square
            logs -= sums.log_rest
    return (squares / n, logs / n) if n else None


def chance_of_error(score: float | None, prediction: int, positive: Positive) -> float | None:
    """Return the probability that an answer is wrong, as its score tells it (Rule 2).

    Examples
    --------
    >>> yes = positive_of('"yes"', {'"no"': 0, '"yes"': 1})
    >>> [chance_of_error(0.75, answer, yes) for answer in (0, 1)]
    [0.75, 0.25]
    """
    return 1 - score if score is not None and positive.is_said_by(prediction) else score


def risk_of(score: float | None, prediction: int, positive: Positive) -> int:
    """Return the group of an answer by its risk of being wrong."""
    given = math.nan if score is None else float(score)
    return group_of(given, positive.is_said_by(prediction))


def risk_counts(counts: Iterable[ScoredCount], positive: Positive) -> Floats:
    """Return answers, right ones and errors, each by group of risk."""
    by_group = [0] * DELAYS
    for score, prediction, outcome, n in counts:
        group = risk_of(score, prediction, positive)
        by_group[group] += n
        if outcome is not None:
            by_group[(RIGHT if outcome == prediction else WRONG) + group] += n
    return np.array(by_group, dtype=np.float64)


def confusion_of(counts: Iterable[ScoredCount]) -> Counter[tuple[int, int]]:
    """Return the labelled answers by prediction and outcome."""
    confusion: Counter[tuple[int, int]] = Counter()
    for _, prediction, outcome, n in counts:
        if outcome is not None:
            confusion[prediction, outcome] += n
    return confusion


class Rates(NamedTuple):
    """Rates of a positive label; None where no row could show it."""

    precision: float | None
    recall: float | None
    f1: float | None
    specificity: float | None


def rates_of(confusion: Mapping[tuple[int, int], int], positive: Positive) -> Rates:
    """Return precision, recall, F1 and specificity of the positive label."""
    if positive.number < 0:
        return Rates(None, None, None, None)
    cells = [0, 0, 0, 0]
    for (prediction, outcome), n in confusion.items():
        cells[2 * (prediction == positive.number) + (outcome == positive.number)] += n
    other_others, missed, false, hits = cells
    return Rates(
        _share(hits, hits + false),
        _share(hits, hits + missed),
        _share(2 * hits, 2 * hits + false + missed),
        _share(other_others, other_others + false),
    )


def confusion_cells(
    confusion: Mapping[tuple[int, int], int], labels: Mapping[str, int]
) -> list[ConfusionCell]:
    """Return the cells of a confusion matrix for a record, the largest first."""
    names = {number: orjson.loads(label) for label, number in labels.items()}
    cells = [(names.get(p, OTHER), names.get(o, OTHER), n) for (p, o), n in confusion.items()]
    cells.sort(key=lambda cell: (-cell[2], orjson.dumps(cell[:2])))
    return cells[:MOST_CONFUSIONS]


def spread_of(counts: dict[int, int], scale: float = 1.0) -> Spread | None:
    """Return quantiles of counted durations, divided by ``scale``."""
    if not counts:
        return None
    p50, p90, p99 = quantiles(counts, (0.5, 0.9, 0.99))
    return Spread(p50=p50 / scale, p90=p90 / scale, p99=p99 / scale)


def _is_positive(prediction: int, outcome: int, positive: Positive) -> bool:
    return prediction == outcome if positive.label is None else outcome == positive.number


def _share(hits: int, n: int) -> float | None:
    return hits / n if n else None
