import numpy as np
import pytest

from streams.codec import decode, encode
from streams.detect.risen import RisenCategory
from streams.values import Scalar, Value
from tests.doubles.series import kind_of, new_watch


def merchants(rows: int, seed: int, new: float = 0.0, different: int = 5_000) -> list[Scalar]:
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, different, rows)
    return ["new" if x < new else f"m{k}" for x, k in zip(rng.random(rows), drawn, strict=True)]


def keys(rows: int, clump: int) -> list[Value]:
    return [f"session {row // clump}" for row in range(rows)]


@pytest.mark.parametrize("different", [80, 5_000])
def test_a_new_category_with_a_tenth_of_the_rows_is_named_within_400(different: int) -> None:
    for seed in range(5):
        watch = new_watch()
        assert watch.update(merchants(4_000, seed, different=different)) == []
        found = watch.update(merchants(400, seed + 50, new=0.1, different=different))

        assert [change.category for change in found][:1] == ["new"]
        if found[0].aspect == "unseen":  # the reference looked complete
            continue
        figures = found[0].figures
        assert figures.value == pytest.approx(0.1, abs=0.06)
        assert abs(figures.rows - found[0].index - 1) <= 64


def test_a_category_of_120_that_grows_is_named() -> None:
    rng = np.random.default_rng(5)
    usual = [f"c{k}" for k in rng.integers(0, 120, 5_000)]
    grown = [
        f"c{k if grows else 7}"
        for k, grows in zip(rng.integers(0, 120, 400), rng.random(400) > 0.15, strict=True)
    ]
    watch = new_watch()

    assert watch.update(usual) == []
    [change] = watch.update(grown)

    assert (change.category, change.figures.direction) == ("c7", "up")
    assert change.figures.baseline == pytest.approx(1 / 120, abs=0.006)
    assert change.figures.value == pytest.approx(0.16, abs=0.06)


def test_a_category_that_is_common_for_a_moment_is_no_rise() -> None:
    watch = new_watch()
    watch.update(merchants(4_000, 1))

    clump = [value for pair in zip(["m1"] * 30, merchants(30, 3), strict=True) for value in pair]
    assert watch.update(clump + merchants(4_000, 2)) == []
    assert kind_of(watch) == "names"


def test_keys_that_come_in_clumps_are_no_rise() -> None:
    risen = RisenCategory.learn(keys(2_000, 30), (), is_closed=False)
    risen.set_budget(0.1)

    assert risen.run(keys(5_000, 30), ()) is None


@pytest.mark.parametrize("cut", [1, 64, 100, 190])
def test_a_detector_restored_in_the_middle_goes_on(cut: int) -> None:
    first = RisenCategory.learn(keys(2_000, 1), (), is_closed=False)
    first.set_budget(0.1)
    whole = decode(encode(first), RisenCategory)
    rows: list[Value] = ["new" if row % 6 == 0 else f"u{row}" for row in range(400)]
    expected = whole.run(rows, ())
    assert expected is not None

    early = first.run(rows[:cut], ())
    second = decode(encode(first), RisenCategory)
    late = second.run(rows[cut:], ())

    assert early is None
    assert late is not None
    assert cut + late.row == expected.row
    assert encode(second) == encode(whole)
