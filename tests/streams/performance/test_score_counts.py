"""Counts by score: exact where few are distinct, bounded by the cells beyond."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import decode, encode
from streams.performance.figures import Positive, auc_of, score_rows
from streams.performance.score_counts import CELLS, EXACT_SCORES, ScoreCounts, cell_of

Answers = list[tuple[float, int, int]]
POSITIVE = Positive("1", 1)


def counted(answers: Answers) -> ScoreCounts:
    counts = ScoreCounts()
    for score, prediction, outcome in answers:
        counts.add_prediction(score, prediction)
        assert counts.add_outcome(score, prediction, outcome)
    return counts


def content(counts: ScoreCounts) -> Counter[tuple[float | None, int, int | None]]:
    content: Counter[tuple[float | None, int, int | None]] = Counter()
    for score, prediction, outcome, n in counts:
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
    restored = decode(encode(half), ScoreCounts)
    restored.add_all(rest)

    assert content(restored) == content(counted(answers))
    assert restored.is_exact == (n <= EXACT_SCORES)


@pytest.mark.parametrize(("n", "digits"), [(200, 17), (3_000, 2)])
def test_the_auc_of_few_distinct_scores_is_exact(n: int, digits: int) -> None:
    answers = drawn(3, n, digits)

    auc, _ = auc_of(score_rows(counted(answers), POSITIVE)) or (0.0, 0.0)

    assert auc == pytest.approx(ranked_auc(answers), abs=1e-12)


def test_the_auc_of_many_scores_is_within_its_bound() -> None:
    answers = drawn(4, 3_000)

    auc, bound = auc_of(score_rows(counted(answers), POSITIVE)) or (0.0, 0.0)

    assert 0 < abs(auc - ranked_auc(answers)) < bound < 0.01


def test_an_outcome_counts_only_where_its_prediction_does() -> None:
    counts = ScoreCounts()
    counts.add_prediction(0.3, 1)

    assert not counts.add_outcome(0.4, 1, 1)
    assert not counts.add_outcome(0.3, 0, 1)
    assert counts.add_outcome(0.3, 1, 1)
    assert not counts.add_outcome(0.3, 1, 1)
    assert content(counts) == {(0.3, 1, 1): 1}
