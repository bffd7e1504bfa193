import numpy as np
import pytest

from streams.season.hour_profile import Timestamps
from streams.series.inputs import (
    CleanColumn,
    NonFiniteValueError,
    doubles,
    family_of,
    refuse_non_finite,
)
from streams.values import Scalar, Value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 10**400])
def test_the_first_value_that_is_not_finite_is_named(value: float) -> None:
    values: list[Scalar] = ["a", None, 1e308, 1e308, value]

    with pytest.raises(NonFiniteValueError, match="value 4 of 5"):
        refuse_non_finite(values, set(map(type, values)))


def test_numbers_whose_sum_is_infinite_are_finite() -> None:
    refuse_non_finite([1e308, 1e308, 2**62], {float, int})


@pytest.mark.parametrize(
    ("value", "family"), [(1, "number"), (1.5, "number"), (True, "truth"), ("1", "text")]
)
def test_integers_and_doubles_are_one_family(value: Value, family: str) -> None:
    assert family_of(value) == family


def test_a_column_is_cut_and_chosen_with_rows_and_moments() -> None:
    values: list[Value] = [1.0, 2.0, 3.0]
    column = CleanColumn(
        rows=6,
        values=values,
        kinds={float},
        x=doubles(values, {float}),
        moments=Timestamps(np.array([10, 12, 15])),
        places=[0, 2, 5],
        missing=np.array([0.0, 1.0, 0.0, 0.0, 0.0, 0.0]),
        wrong_type=[3, 4],
    )

    until, chosen = column.until(1), column.chosen([0, 2])

    assert (until.rows, until.values, until.places, until.wrong_type) == (3, [1.0, 2.0], [0, 2], [])
    assert until.missing is not None
    assert until.missing.tolist() == [0.0, 1.0, 0.0]
    assert (chosen.values, chosen.places) == ([1.0, 3.0], [0, 5])
    assert chosen.moments is not None
    assert chosen.moments.minutes.tolist() == [10, 15]
