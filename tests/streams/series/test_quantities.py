import numpy as np
import pytest

from schemas.model_spec import ModelSpec
from streams.series.quantities import QUANTITY_PAIRS
from streams.series.series_set import SeriesSet
from streams.values import Answer

RNG = np.random.default_rng(1)
TRUTHS = RNG.integers(5, 90, QUANTITY_PAIRS).tolist()
NEAR = [truth + int(RNG.integers(-3, 4)) for truth in TRUTHS]
ANYWHERE = RNG.integers(0, 80, QUANTITY_PAIRS).tolist()


@pytest.mark.parametrize(
    ("answers", "truths", "are_quantities"),
    [
        (NEAR, TRUTHS, True),
        (list(map(float, NEAR)), list(map(float, TRUTHS)), True),
        (ANYWHERE, TRUTHS, False),  # classes that are confused lie anywhere
        (TRUTHS, TRUTHS, False),  # a good classifier of many classes
        ([each % 5 for each in NEAR], [each % 5 for each in TRUTHS], False),  # few classes
        ([True, False] * 100, [False, True] * 100, False),
        ([0] * QUANTITY_PAIRS, TRUTHS, False),
    ],
)
def test_whole_numbers_are_quantities_where_wrong_answers_lie_near_the_truth(
    answers: list[Answer], truths: list[Answer], are_quantities: bool
) -> None:
    panel = SeriesSet(ModelSpec())

    shown = [
        panel.shows_quantities(answer, truth) for answer, truth in zip(answers, truths, strict=True)
    ]

    assert not any(shown[:-1])
    assert shown[-1] == are_quantities
    assert panel.state.whole_pairs == []


def test_a_task_in_the_spec_is_not_asked_again() -> None:
    panel = SeriesSet(ModelSpec(task="multiclass"))

    assert not any(map(panel.shows_quantities, NEAR, TRUTHS))
