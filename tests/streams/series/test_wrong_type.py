import pytest

from streams.codec import decode, encode
from streams.series.inputs import CleanColumn
from streams.series.repeat_limit import RepeatLimit
from streams.series.wrong_type import WRONG_TYPE_RUN_ROWS, WrongTypeRule
from streams.values import Scalar, Value
from tests.doubles.series import kind_of, new_watch, numbers, words


def clean(rule: WrongTypeRule, values: list[Scalar]) -> CleanColumn:
    return rule.clean(values, set(map(type, values)), None)


def numeric_rule() -> WrongTypeRule:
    rule = WrongTypeRule(RepeatLimit(2_000))
    rule.settle([1.0, 2, 3.0])
    return rule


def test_a_value_of_another_type_is_raised_once_and_left_out() -> None:
    watch = new_watch()
    watch.update(numbers(2_500))

    changes = watch.update([*numbers(5, seed=2), "oops", *numbers(5, seed=3), True, "again"])

    assert [(change.index, change.aspect) for change in changes] == [(5, "type")]


def test_a_column_that_becomes_another_type_is_learnt_like_a_new_one() -> None:
    watch = new_watch()
    watch.update(numbers(2_500))

    changes = watch.update(words(3_000, ["a", "b", "c"]))

    assert [change.aspect for change in changes] == ["type"]
    assert kind_of(watch) == "categorical"


def test_missing_values_and_other_types_are_taken_out_with_their_rows_kept() -> None:
    column = clean(numeric_rule(), [1.0, None, "x", 2, True])

    assert (column.rows, column.values, column.places) == (5, [1.0, 2], [0, 3])
    assert column.wrong_type == [2, 4]
    assert column.missing is not None
    assert column.missing.tolist() == [0.0, 1.0, 0.0, 0.0, 0.0]


def test_the_commonest_type_is_the_series_own_and_a_mixture_raises_nothing() -> None:
    rule = WrongTypeRule(RepeatLimit(2_000))
    values: list[Value] = ["n/a", 1.0, 2, True, 3.0]

    assert rule.settle(values) == [1, 2, 4]
    assert rule.family == "number"
    assert rule.raised([0], seen=10**6) == []


@pytest.mark.parametrize("size", [1, 7, 300])
def test_the_run_of_another_type_ends_a_column_wherever_it_was_cut_or_restarted(size: int) -> None:
    rule = numeric_rule()
    values: list[Scalar] = [*["x"] * 150, 1.0, *["x", None] * 250]
    read = 0

    while not rule.has_replaced_series:
        rule = decode(encode(rule), WrongTypeRule)
        read += clean(rule, values[read : read + size]).rows

    assert read == 151 + 2 * WRONG_TYPE_RUN_ROWS - 1
    rule.forget()
    assert clean(rule, ["x", 1.0]).wrong_type == ()
