"""Outcomes that could never equal an answer, told from errors."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.codec import decode, encode
from streams.join.label_match import FIRST_PAIRS, SUSPECT, WINDOW, LabelMatch, Mismatch, spelling
from streams.values import Answer

Pair = tuple[Answer, Answer]
YES_NO = ("yes", "no")


def judged(
    labels: LabelMatch, pairs: Iterable[Pair], *, are_classes: bool = True
) -> list[tuple[bool, Mismatch | None]]:
    return [labels.on_pair(*pair, are_classes=are_classes) for pair in pairs]


def told(verdicts: list[tuple[bool, Mismatch | None]]) -> list[tuple[int, Mismatch]]:
    return [(place, found) for place, (_, found) in enumerate(verdicts) if found is not None]


def right(rows: int, classes: tuple[Answer, ...] = YES_NO) -> list[Pair]:
    return [(classes[row % len(classes)], classes[row % len(classes)]) for row in range(rows)]


def learnt(classes: tuple[Answer, ...] = YES_NO) -> LabelMatch:
    labels = LabelMatch()
    judged(labels, right(FIRST_PAIRS, classes))
    return labels


# Rule 1


@pytest.mark.parametrize("pair", [("1", 1), (1, "1"), ("true", True), ("0.5", 0.5)])
@pytest.mark.parametrize("are_classes", [True, False])
def test_text_matches_no_number(pair: Pair, *, are_classes: bool) -> None:
    labels = LabelMatch()

    verdicts = judged(labels, [pair] * WINDOW, are_classes=are_classes)

    assert not any(could_match for could_match, _ in verdicts)
    [(place, found)] = told(verdicts)
    assert (place, found.reason, found.share, found.rows) == (WINDOW - 1, "type", 1.0, WINDOW)
    assert (found.answer, found.outcome) == pair
    assert labels.is_on


@pytest.mark.parametrize("pair", [(True, 1), (0, False), (1, 1.0), (False, 1)])
def test_truth_and_one_are_classes_alike(pair: Pair) -> None:
    labels = LabelMatch()

    verdicts = judged(labels, [*right(50, (True, False)), *[pair] * 500])

    assert all(could_match for could_match, _ in verdicts)
    assert told(verdicts) == []


def test_quantities_have_no_classes() -> None:
    verdicts = judged(LabelMatch(), [(row + 0.5, row) for row in range(500)], are_classes=False)

    assert verdicts == [(True, None)] * 500


# Rule 2


@pytest.mark.parametrize("outcome", ["Yes", "YES ", "y_e_s".replace("_", ""), "yes\n"])
def test_another_spelling_of_a_class_is_none_of_its_own(outcome: str) -> None:
    labels = learnt()

    verdicts = judged(labels, [("yes", outcome)] * WINDOW)

    is_same = outcome == "yes"
    assert [could_match for could_match, _ in verdicts] == [is_same] * WINDOW
    assert [found.reason for _, found in told(verdicts)] == ([] if is_same else ["spelling"])


def test_a_sign_is_no_spelling() -> None:
    assert spelling("-1") != spelling("+1") != spelling("1")


# Rule 3


def test_one_new_class_now_and_then_is_an_error() -> None:
    labels = learnt()
    pairs = [("yes", "maybe") if row % 10 == 0 else ("no", "no") for row in range(1_000)]

    verdicts = judged(labels, pairs)

    assert all(could_match for could_match, _ in verdicts)
    assert told(verdicts) == []


def test_other_classes_alone_are_no_errors() -> None:
    labels = learnt()
    pairs: list[Pair] = [("yes", f"code {row}") for row in range(WINDOW + SUSPECT)]

    verdicts = judged(labels, pairs)

    could_match = [could_match for could_match, _ in verdicts]
    assert could_match == [row < SUSPECT - 1 for row in range(len(pairs))]
    [(_, found)] = told(verdicts)
    assert (found.reason, found.outcome) == ("classes", f"code {SUSPECT - 1}")


# Rule 4


def test_lists_of_classes_that_share_none_are_told_with_the_first_pairs() -> None:
    labels = LabelMatch()
    pairs: list[Pair] = [
        (("cat", "dog")[row % 2], ("n01", "n02")[row // 2 % 2]) for row in range(400)
    ]

    verdicts = judged(labels, pairs)

    [(place, found)] = told(verdicts)
    assert (place, found.reason, found.were_errors) == (FIRST_PAIRS - 1, "classes", True)
    assert not any(could_match for could_match, _ in verdicts[FIRST_PAIRS - 1 :])


def test_one_class_against_another_may_be_a_model_that_is_always_wrong() -> None:
    assert told(judged(LabelMatch(), [(0, 1)] * 1_000)) == []
    assert told(judged(LabelMatch(), [(row % 2, 1 - row % 2) for row in range(1_000)])) == []


def test_one_class_in_two_spellings_is_told() -> None:
    [(_, found)] = told(judged(LabelMatch(), [("legit", "LEGIT")] * 300))

    assert found.reason == "spelling"


# Rule 5


def test_it_is_over_when_most_pairs_match_again_and_classes_are_learnt_anew() -> None:
    labels = LabelMatch()
    judged(labels, [("cat", "n01"), ("dog", "n02")] * FIRST_PAIRS)
    assert labels.is_on

    verdicts = judged(labels, right(2 * WINDOW, ("cat", "dog")))

    assert [found.share for _, found in told(verdicts)] == [0.0]
    assert not labels.is_on
    assert all(could_match for could_match, _ in verdicts)


def test_a_fault_of_few_pairs_is_not_told() -> None:
    labels = learnt((0, 1))
    pairs: list[Pair] = [(1, "1") if row % 3 == 0 else (1, 1) for row in range(1_000)]

    verdicts = judged(labels, pairs)

    assert [could_match for could_match, _ in verdicts] == [row % 3 != 0 for row in range(1_000)]
    assert told(verdicts) == []
    assert not labels.is_suspect


def test_commands_wait_from_the_first_few_on() -> None:
    labels = learnt((0, 1))

    judged(labels, [(1, "1")] * SUSPECT)

    assert labels.is_suspect
    assert not labels.is_on


# Rule 6


def test_names_have_no_list_of_classes() -> None:
    labels = LabelMatch()
    pairs: list[Pair] = [(f"item {row}", f"ITEM {row}") for row in range(500)]

    assert told(judged(labels, pairs)) == []
    assert len(encode(labels)) < 200


ANSWERS = st.sampled_from(["yes", "Yes", "no", 1, "1", True, 0, 2.5, "n01", "n02"])


LEARNT = encode(learnt())


@settings(max_examples=30)
@given(st.lists(st.tuples(ANSWERS, ANSWERS), max_size=30), st.integers(0, 200))
def test_a_restart_changes_nothing(pairs: list[Pair], at: int) -> None:
    steady, interrupted = decode(LEARNT, LabelMatch), decode(LEARNT, LabelMatch)
    pairs = pairs * 10

    expected = judged(steady, pairs)
    found = judged(interrupted, pairs[:at])
    found += judged(decode(encode(interrupted), LabelMatch), pairs[at:])

    assert found == expected
