import pytest

from streams.codec import decode, encode
from streams.series.constant import ConstantSeries
from streams.values import Value
from tests.doubles.series import new_watch


@pytest.mark.parametrize(("value", "other"), [(5.0, 6.0), ("a", "b"), (0, 1)])
def test_several_other_values_are_a_fact_and_one_is_not(value: Value, other: Value) -> None:
    series = decode(encode(ConstantSeries.of(value, 2_000, 0.01)), ConstantSeries)

    assert series.run([value, other, *[value] * 5_000, other], None, None) is None
    finding = series.run([value, *[other] * 9], None, None)
    assert finding is not None
    assert (finding.row, finding.aspect, finding.detector) == (4, "constant", "rule")


def test_a_short_reference_with_one_value_is_not_settled() -> None:
    watch = new_watch()
    watch.update([5.0] * 500)

    assert watch.is_learning
    watch.update([5.0] * 1_500)
    assert not watch.is_learning


def test_a_constant_that_has_varied_is_described_as_it_was() -> None:
    watch = new_watch()
    watch.update([5.0] * 2_500)

    [change] = watch.update([5.0, 5.0, *[6.0, 5.0] * 10])

    assert (change.index, change.aspect, change.figures.value, change.figures.baseline) == (
        10,
        "constant",
        6.0,
        5.0,
    )
    assert change.reference == {"kind": "constant", "rows": 2_000, "value": 5.0}
