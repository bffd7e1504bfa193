"""Counts by score: exact where few are distinct, bounded by the cells beyond."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import Machine, decode, encode
from streams.detect.cohort_kernel import CELLS, EXACT_SCORES, cell_of
from streams.performance.cohort import Cohort, CountedOutcome
from streams.performance.figures import Positive, auc_of, score_rows

Answers = list[tuple[float, int, int]]
POSITIVE = Positive("1", 1)


class Stored(Machine):
    """A machine with a cohort, as a period is one."""

    cohort: Cohort


def known(score: float, prediction: int, outcome: int, sign: int = 1) -> CountedOutcome:
    is_error = prediction != outcome
    return CountedOutcome(score, prediction, outcome, is_error, None, 60_000, "label", sign=sign)


def counted(answers: Answers) -> Cohort:
    counts = Cohort()
    for score, prediction, outcome in answers:
        counts.on_prediction(score, prediction)
        assert counts.on_outcome(known(score, prediction, outcome))
    return counts


def content(counts: Cohort) -> Counter[tuple[float | None, int, int | None]]:
    content: Counter[tuple[float | None, int, int | None]] = Counter()
    for score, prediction, outcome, n in counts.scores:
        content[score, prediction, outcome] += n
    return content


def drawn(seed: int, n: int, digits: int = 17) -> Answers:
    rng = np.random.default_rng(seed)
    scores = rng.beta(1, 4, n)
    outcomes = rng.random(n) < scores
    return [
        (round(float(s), digits), int(s > 0.5), int(o))
        for s, o in zip(scores, outcomes, strict=True)
    ]


def ranked_auc(answers: Answers) -> float:
    scores, _, outcomes = (np.array(column) for column in zip(*answers, strict=True))
    positives, others = scores[outcomes == 1], scores[outcomes == 0]
    above = (positives[:, None] > others).sum() + (positives[:, None] == others).sum() / 2
    return float(above / (len(positives) * len(others)))


@given(st.lists(st.floats(0, 1), max_size=30))
def test_cells_keep_the_order_of_scores(scores: list[float]) -> None:
    cells = [cell_of(score) for score in sorted(scores)]

    assert cells == sorted(cells)
    assert all(0 <= cell < CELLS for cell in cells)


@pytest.mark.parametrize("n", [100, EXACT_SCORES, EXACT_SCORES + 1, 3_000])
def test_the_order_of_answers_and_the_place_of_a_restart_change_nothing(n: int) -> None:
    answers = drawn(1, n)
    shuffled = [answers[place] for place in np.random.default_rng(2).permutation(n)]
    half, rest = counted(shuffled[: n // 2]), counted(shuffled[n // 2 :])
    restored = decode(encode(Stored(half)), Stored).cohort
    restored.add_all(rest)

    assert content(restored) == content(counted(answers))
    assert restored.is_exact == (n <= EXACT_SCORES)


@pytest.mark.parametrize(("n", "digits"), [(200, 17), (3_000, 2)])
def test_the_auc_of_few_distinct_scores_is_exact(n: int, digits: int) -> None:
    answers = drawn(3, n, digits)

    auc, _ = auc_of(score_rows(counted(answers).scores, POSITIVE)) or (0.0, 0.0)

    assert auc == pytest.approx(ranked_auc(answers), abs=1e-12)


def test_the_auc_of_many_scores_is_within_its_bound() -> None:
    answers = drawn(4, 3_000)

    auc, bound = auc_of(score_rows(counted(answers).scores, POSITIVE)) or (0.0, 0.0)

    assert 0 < abs(auc - ranked_auc(answers)) < bound < 0.01


def test_an_outcome_counts_only_where_its_prediction_does() -> None:
    counts = Cohort()
    counts.on_prediction(0.3, 1)

    assert not counts.on_outcome(known(0.4, 1, 1))
    assert not counts.on_outcome(known(0.3, 0, 1))
    assert counts.on_outcome(known(0.3, 1, 1))
    assert not counts.on_outcome(known(0.3, 1, 1))
    assert content(counts) == {(0.3, 1, 1): 1}
    assert counts.labelled == 1


@pytest.mark.parametrize("n", [50, EXACT_SCORES + 100])
def test_an_outcome_that_is_taken_back_leaves_no_trace(n: int) -> None:
    answers = drawn(5, n)
    expected = counted(answers)
    corrected = counted([(s, p, 1 - o) for s, p, o in answers])

    for score, prediction, outcome in answers:
        assert corrected.on_outcome(known(score, prediction, 1 - outcome, -1))
        assert corrected.on_outcome(known(score, prediction, outcome))

    assert content(corrected) == content(expected)
    assert (corrected.labelled, corrected.errors) == (n, expected.errors)
    assert corrected.delays_of_errors == expected.delays_of_errors
    assert corrected.sources == {"label": n}
    sums = {(p, o): each for p, o, each in corrected.sums() if each.n}
    assert sums == {(p, o): pytest.approx(each, abs=1e-9) for p, o, each in expected.sums()}
