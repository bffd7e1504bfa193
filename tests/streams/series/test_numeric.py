import numpy as np
import pytest

from streams.codec import decode, encode
from streams.detect.sample import Sample
from streams.series.number_measure import NumberMeasure
from streams.series.numeric import NumericSeries
from streams.values import Scalar, Value
from tests.doubles.series import new_watch, numbers


def codes(rows: int, seed: int, gone: int | None = None) -> list[Scalar]:
    """Return integers that stand for forty regions; from one of them nothing comes any more."""
    shares = np.array([(7 * region % 13 + 1.0) ** 2 for region in range(40)])
    if gone is not None:
        shares[gone] = 0.0
    rng = np.random.default_rng(seed)
    return [int(code) for code in 100 + rng.choice(40, rows, p=shares / shares.sum())]


def test_a_common_code_that_comes_no_more_is_named() -> None:
    watch = new_watch()

    assert watch.update(codes(6_000, seed=1)) == []
    [change, *_] = watch.update(codes(1_000, seed=2, gone=11))
    assert (change.aspect, change.category, change.figures.direction) == ("share", "111", "down")


def test_counts_that_rise_and_fall_smoothly_have_no_codes() -> None:
    counts: list[Scalar] = np.random.default_rng(1).poisson(9.0, 3_000).tolist()
    watch = new_watch()
    watch.update(counts)
    series = watch._reference.series

    assert isinstance(series, NumericSeries)
    assert series._heaps == ()
    assert series._shares is None


def test_a_numeric_series_fits_in_seven_kilobytes() -> None:
    watch = new_watch()
    watch.update(numbers(50_000))

    assert len(encode(watch)) < 7_000


@pytest.mark.parametrize("aspect", ["level", "spread"])
def test_an_alert_about_a_number_with_many_zeros_has_one_normal(aspect: str) -> None:
    rng = np.random.default_rng(1)
    rate, width = (1.5, 1.0) if aspect == "level" else (1.0, 3.0)

    def claims(rows: int, mean: float, sd: float) -> list[Scalar]:
        paid: list[Scalar] = rng.normal(mean, sd, rows).tolist()
        return [0.0 if each < 0.6 else x for each, x in zip(rng.random(rows), paid, strict=True)]

    watch = new_watch()
    watch.update(claims(2_500, 80.0, 8.0))
    [change, *_] = watch.update(claims(300, 80.0 * rate, 8.0 * width))
    measure = NumberMeasure.of(change, change.reference or {}, 0.01)
    block = claims(1_000, 80.0 * rate, 8.0 * width)
    measure.read(block, np.arange(1_000))

    figures = measure.close().figures
    assert (change.aspect, change.left_out) == (aspect, ("0",))
    assert figures.baseline == pytest.approx(change.figures.baseline)
    assert figures.baseline == pytest.approx(80.0 if aspect == "level" else 8.0, rel=0.05)


@pytest.mark.parametrize("cut", [1, 50, 500])
@pytest.mark.parametrize("zeros", [0.0, 0.4])
def test_a_restored_series_finds_the_same_change(cut: int, zeros: float) -> None:
    rng = np.random.default_rng(1)

    def draw(rows: int, mean: float) -> list[Value]:
        x = rng.normal(mean, 1.0, rows)
        x[rng.random(rows) < zeros] = 0.0
        values: list[Value] = x.tolist()
        return values

    sample = Sample(draw(2_000, 0.0))
    later = [*draw(cut, 0.0), *draw(300, 1.5)]
    whole, first = NumericSeries.learn(sample, 0.01), NumericSeries.learn(sample, 0.01)
    expected = whole.run(later, np.array(later), None)
    assert expected is not None

    assert first.run(later[:cut], np.array(later[:cut]), None) is None
    second = decode(encode(first), NumericSeries)
    late = second.run(later[cut:], np.array(later[cut:]), None)

    assert late is not None
    assert (cut + late.row, late.figures) == (expected.row, expected.figures)
    assert encode(second) == encode(whole)


def test_a_number_with_an_atom_has_a_detector_of_its_share_too() -> None:
    mixed = Sample([0.0 if row % 2 else float(row) for row in range(2_000)])
    plain = Sample([float(row * 7 % 1_999) for row in range(2_000)])

    assert len(NumericSeries.learn(mixed, 0.01).detectors) == 2
    assert len(NumericSeries.learn(plain, 0.01).detectors) == 1
