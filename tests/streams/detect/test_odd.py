"""Odd numbers, few among many: they are found, and those of a usual series are none."""

import numpy as np
import pytest

from streams.detect.odd import OddNumbers
from streams.detect.sample import Sample
from streams.values import Floats

ROWS = 2_000


def amounts(seed: int, rows: int = ROWS) -> Floats:
    rng = np.random.default_rng([3, seed])
    drawn: Floats = np.exp(3 + 0.8 * rng.normal(size=rows)).round(6)
    return drawn


def odd_of(sample: Floats) -> OddNumbers:
    odd = OddNumbers.learn(Sample.of(sample))
    odd.set_budget(0.001)
    return odd


def test_a_default_in_the_range_is_found_by_its_value() -> None:
    odd, x = odd_of(amounts(1)), amounts(2)
    x[np.random.default_rng(11).random(ROWS) < 0.05] = 25.0

    found = odd.run(x, ROWS)

    assert found is not None
    assert found.row < 400
    assert odd.name == 25.0
    assert found.repeated is not None
    assert found.repeated.figures.value == pytest.approx(0.05, abs=0.03)


def test_another_unit_of_a_few_rows_is_found() -> None:
    odd, x = odd_of(amounts(3)), amounts(4)
    x[::50] *= 1_000

    found = odd.run(x, ROWS)

    assert found is not None
    assert found.row < 300
    assert found.repeated is None
    assert found.rows <= found.row + 1


@pytest.mark.parametrize("kind", ["amounts", "Cauchy", "rounded", "held"])
def test_numbers_as_usual_are_not_odd(kind: str) -> None:
    rng = np.random.default_rng(8)
    drawn: Floats = {
        "amounts": amounts(5, 22_000),
        "Cauchy": rng.standard_cauchy(22_000),
        "rounded": rng.normal(size=22_000).round(2),
        "held": np.repeat(rng.normal(size=5_500), 4),  # a sensor that is read four times as often
    }[kind]

    assert odd_of(drawn[:ROWS]).run(drawn[ROWS:], ROWS) is None


def test_a_blip_of_wild_numbers_is_none() -> None:
    odd, x = odd_of(amounts(6)), amounts(7)
    x[100:120] *= 1_000

    assert odd.run(x, ROWS) is None


def test_a_damaged_state_is_refused() -> None:
    odd = odd_of(amounts(9))

    with pytest.raises(ValueError, match="a state of 3 numbers"):
        OddNumbers(odd._state[:3].copy())
