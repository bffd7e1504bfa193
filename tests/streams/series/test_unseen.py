import numpy as np
import pytest

from streams.codec import decode, encode
from streams.series.absence_measure import AbsenceMeasure
from streams.series.unseen import UnseenRule
from streams.values import Value
from tests.doubles.series import new_watch


def rule_of(*known: str, is_closed: bool = True, repeat_rows: int = 100) -> UnseenRule:
    return UnseenRule.of(known, is_closed=is_closed, repeat_rows=repeat_rows)


def test_a_category_that_the_reference_did_not_have_is_raised_at_its_first_row() -> None:
    rule = rule_of("a", "b", repeat_rows=2_000)

    assert rule.update(["a", "b", "c", "c"]) == [(2, "c", ("a", "b"))]
    assert rule.update(["c", "a"]) == []


def test_a_flood_of_new_categories_is_two_alarms_and_an_open_series() -> None:
    rule = rule_of("a", "b")
    ids: list[Value] = [f"id {row}" for row in range(10_000)]

    assert len(rule.update(ids)) == 2
    assert rule.is_open


def test_a_reference_with_too_many_categories_is_open() -> None:
    rule = rule_of("a", "b")

    rule.learn([f"id {row}" for row in range(254)])
    assert not rule.is_open
    rule.learn(["one more"])
    assert rule.is_open


def test_where_the_reference_left_room_for_new_categories_none_is_raised() -> None:
    assert rule_of("a", "b", is_closed=False).update(["x", "y", "z"]) == []


def test_a_restart_between_two_unseen_categories_changes_nothing() -> None:
    whole, restarted = rule_of("a", "b"), rule_of("a", "b")
    inputs: list[list[Value]] = [["a", "c"], ["b", True], ["a"] * 200, ["d", "c", 3, 1.5]]

    expected = [whole.update(values) for values in inputs]
    got = []
    for values in inputs:
        restarted = decode(encode(restarted), UnseenRule)
        got.append(restarted.update(values))

    assert expected[0] == [(1, "c", ("a", "b"))]
    assert got == expected
    assert encode(restarted) == encode(whole)


def test_after_a_third_unseen_category_the_series_is_open() -> None:
    rule = rule_of("a", repeat_rows=1)

    raised = [bool(rule.update([f"new {row}", *["a"] * 10])) for row in range(5)]

    assert raised == [True, True, True, False, False]
    assert rule.is_open


def test_a_category_known_beside_those_named_is_found_where_it_is_the_only_one() -> None:
    rule = rule_of("a", "b")

    assert rule.only_beside(("a", "b")) is None
    rule.update(["c", "c"])
    assert rule.only_beside(("a", "b")) == "c"
    assert rule.only_beside(("a",)) is None


def test_many_values_that_a_reference_did_not_have_are_one_fact_with_their_share() -> None:
    rng = np.random.default_rng(15)
    degrees = rng.normal(21.75, 0.7, 6_000).clip(20, 23.5)
    halves, tenths = (np.round(2 * degrees) / 2).tolist(), np.round(degrees, 1).tolist()
    watch = new_watch()
    watch.update(halves[:3_000])

    changes = watch.update(tenths[3_000:])

    assert {change.aspect for change in changes} == {"unseen"}
    measure = AbsenceMeasure.of(changes[0], 22.6, changes[0].reference or {})
    measure.read(tenths[3_000:], np.arange(3_000))
    assert measure.close().figures.value == pytest.approx(0.8, abs=0.03)


def test_of_many_words_all_that_the_reference_did_not_have_are_counted() -> None:
    rng = np.random.default_rng(36)
    watch = new_watch()
    watch.update([f"{age}" for age in rng.integers(18, 31, 2_500)])
    others: list[Value] = [f"{age}" for age in rng.integers(50, 71, 600)]

    found = [each for each in watch.update(others) if each.aspect == "unseen"]

    measure = AbsenceMeasure.of(found[0], others[0], found[0].reference or {})
    measure.read(others, np.arange(600))
    assert measure.close().figures.value == 1.0
