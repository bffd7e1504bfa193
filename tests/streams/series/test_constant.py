import pytest

from streams.codec import decode, encode
from streams.series.constant import ConstantSeries
from streams.values import Value
from tests.doubles.series import new_watch


@pytest.mark.parametrize(("value", "other"), [(5.0, 6.0), ("a", "b"), (0, 1)])
def test_the_first_other_value_is_a_fact(value: Value, other: Value) -> None:
    series = decode(encode(ConstantSeries(value, 2_000)), ConstantSeries)

    assert series.run([value, value], None, None) is None
    finding = series.run([value, other, value], None, None)
    assert finding is not None
    assert (finding.row, finding.aspect, finding.detector) == (1, "constant", "rule")


def test_a_short_reference_with_one_value_is_not_settled() -> None:
    watch = new_watch()
    watch.update([5.0] * 500)

    assert watch.is_learning
    watch.update([5.0] * 1_500)
    assert not watch.is_learning


def test_a_constant_that_has_varied_is_described_as_it_was() -> None:
    watch = new_watch()
    watch.update([5.0] * 2_500)

    [change] = watch.update([5.0, 5.0, 6.0, 5.0])

    assert (change.index, change.aspect, change.figures.value, change.figures.baseline) == (
        2,
        "constant",
        6.0,
        5.0,
    )
    assert change.reference == {"kind": "constant", "rows": 2_000, "value": 5.0}
