from collections.abc import Sequence

import numpy as np
import pytest
from msgspec.structs import replace

from streams.aspects import SeriesRole
from streams.codec import decode, encode
from streams.series.detection import Detection
from streams.series.inputs import CleanColumn
from streams.series.repeat_limit import RepeatLimit
from streams.series.watch import SeriesWatch
from streams.series.watch_spec import WatchSpec
from streams.series.wrong_type import WRONG_TYPE_RUN_ROWS, WrongTypeRule
from streams.values import Scalar, Value
from tests.doubles.series import kind_of, new_watch, numbers, words

STAGES = (200, 1_000, 2_000)


def clean(rule: WrongTypeRule, values: list[Scalar]) -> CleanColumn:
    return rule.clean(values, set(map(type, values)), None)


def numeric_rule() -> WrongTypeRule:
    rule = WrongTypeRule(RepeatLimit(2_000))
    rule.settle([1.0, 2, 3.0], STAGES, are_quantities=True)
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

    assert [(change.index, change.aspect) for change in changes] == [
        (0, "type"),
        (WRONG_TYPE_RUN_ROWS - 1, "type"),
    ]
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

    assert rule.settle(values, STAGES, are_quantities=True) == [1, 2, 4]
    assert rule.family == "number"
    assert rule.raised([0], seen=10**6) == []


# A mixture


def mixed(rows: int, share: float, *, seed: int = 1, other: Scalar = "N/A") -> list[Scalar]:
    """Numbers, of which so many are of another type."""
    rng = np.random.default_rng(seed)
    own = numbers(rows, seed=seed)
    return [other if hit else own[row] for row, hit in enumerate(rng.random(rows) < share)]


def aspects(watch: SeriesWatch, values: Sequence[Scalar]) -> list[tuple[str, str | None]]:
    return [(change.aspect, change.category) for change in watch.update(values)]


@pytest.mark.parametrize(("other", "words_of"), [("N/A", "text"), (True, "booleans")])
def test_the_share_of_another_type_is_watched_where_the_beginning_had_some(
    other: Scalar, words_of: str
) -> None:
    watch = new_watch()
    told = aspects(watch, mixed(3_000, 0.03, other=other))

    changes = watch.update(mixed(400, 0.7, seed=2, other=other))

    assert told == ([] if other == "N/A" else [("type", "booleans instead of numbers")])
    [change] = [each for each in changes if each.aspect == "type"]
    assert change.category == f"{words_of} instead of numbers"
    assert change.index < 100
    assert change.figures.direction == "up"
    assert change.figures.value is not None
    assert change.figures.value > 2 * (change.figures.baseline or 0) > 0


def test_a_lasting_mixture_is_told_of_nothing() -> None:
    assert aspects(new_watch(), mixed(8_000, 0.03)) == []


def test_a_run_of_another_type_is_told_whatever_the_beginning_was() -> None:
    """The share of a short beginning is not known yet."""
    watch = new_watch()
    watch.update(mixed(250, 0.3))

    told = aspects(watch, ["N/A"] * 2 * WRONG_TYPE_RUN_ROWS)

    assert told == [("type", "text instead of numbers")]
    assert watch.is_learning


@pytest.mark.parametrize("rows", [(0, 2), (1, 3)])
def test_booleans_mixed_with_numbers_are_told_at_the_beginning(rows: tuple[int, int]) -> None:
    values: list[Scalar] = [bool(row % 2) if row % 5 in rows else row % 2 for row in range(400)]

    told = aspects(new_watch(), values)

    assert told == [("type", "booleans instead of numbers")]


@pytest.mark.parametrize("role", ["prediction", "outcome", "feature"])
def test_classes_have_types_too(role: SeriesRole) -> None:
    watch = new_watch(WatchSpec(role=role, kind="categorical"))
    assert aspects(watch, [row % 2 for row in range(2_500)]) == []

    told = aspects(watch, words(50, ["0", "1"]))
    assert told == [("type", "text instead of numbers")]


def test_neither_the_cut_nor_a_restart_changes_what_is_told_of_a_mixture() -> None:
    values = [*mixed(2_500, 0.05), *mixed(900, 0.5, seed=2), *["x"] * 250]
    whole = new_watch()
    expected = [replace(each, reference=None) for each in whole.update(values)]
    assert {each.aspect for each in expected} >= {"type"}

    watch, at = new_watch(), 0
    found: list[Detection] = []
    for size in [*(1, 7, 300) * 20, len(values)]:
        watch = decode(encode(watch), SeriesWatch)
        changes = watch.update(values[at : at + size])
        found += [replace(each, index=each.index + at, reference=None) for each in changes]
        at += size

    assert found == expected


# Numbers as text


@pytest.mark.parametrize(
    ("texts", "is_told"),
    [
        ([f"{row * 7 % 997 / 10:.2f}" for row in range(400)], True),
        ([f"{row * 7 % 997 / 10:.2f}".replace(".", ",") for row in range(400)], True),
        ([str(row * 7 % 997) for row in range(400)], True),
        ([str(10_000 + row * 7 % 997) for row in range(400)], False),  # postal codes
        ([f"{row % 97:03}" for row in range(400)], False),  # codes with zeros
        ([str(row % 40) for row in range(400)], False),  # few of them: classes
        (["web", "shop"] * 200, False),
    ],
)
def test_numbers_that_come_as_text_are_said_to_be_text(texts: list[Scalar], is_told: bool) -> None:
    assert aspects(new_watch(), texts) == ([("text", None)] if is_told else [])
    assert aspects(new_watch(WatchSpec(role="feature", kind="categorical")), texts) == []


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
