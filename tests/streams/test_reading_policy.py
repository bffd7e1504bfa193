import pytest

from streams.reading_policy import (
    BEHIND_RECORDS,
    SAVE_COST,
    SLICE_COST,
    STATUS_EVERY_S,
    WAIT_AT_MOST_S,
    ReadingPolicy,
)


def policy_of(*partitions: int, save_every_s: float = 2.0) -> ReadingPolicy:
    policy = ReadingPolicy(save_every_s)
    policy.assign(partitions, 100.0)
    return policy


# Readings


def test_values_are_read_at_once_where_none_have_been_read() -> None:
    assert policy_of(0).is_reading_due_at_the_end(0, 100.0)


def test_a_reading_is_followed_by_nine_times_as_long_a_rest() -> None:
    policy = policy_of(0)
    policy.note_reading(0, 100.0, 100.01)

    assert not policy.is_reading_due(0, 100.09)
    assert policy.is_reading_due(0, 100.11)


def test_a_rest_is_no_longer_than_all_readings_or_what_nobody_notices() -> None:
    alone, beside = policy_of(0), policy_of(0, 1)
    for policy in (alone, beside):
        policy.note_reading(0, 100.0, 100.05)
    beside.note_reading(1, 100.0, 100.45)

    assert alone.is_reading_due(0, 100.05 + WAIT_AT_MOST_S)
    assert not beside.is_reading_due(0, 100.05 + WAIT_AT_MOST_S)
    assert beside.is_reading_due(0, 100.05 + 0.45)


def test_in_a_backlog_values_wait_and_are_not_read_after_each_fetch() -> None:
    policy = policy_of(0)
    policy.note_backlog(0, BEHIND_RECORDS + 1)

    assert not policy.is_reading_due(0, 100.0)
    assert policy.is_reading_due(0, 100.0 + WAIT_AT_MOST_S)
    assert not policy.is_reading_due_at_the_end(0, 100.0 + WAIT_AT_MOST_S)

    policy.note_backlog(0, BEHIND_RECORDS)
    assert policy.is_reading_due_at_the_end(0, 100.0)


def test_one_long_reading_is_no_measure_for_the_next() -> None:
    policy = policy_of(0)
    policy.note_reading(0, 100.0, 100.001)
    policy.note_reading(0, 101.0, 111.0)

    assert policy.is_reading_due(0, 111.02)


def test_in_a_backlog_a_long_reading_is_followed_by_its_whole_rest() -> None:
    policy = policy_of(0)
    policy.note_reading(0, 100.0, 100.1)
    policy.note_backlog(0, BEHIND_RECORDS + 1)

    assert not policy.is_reading_due(0, 100.1 + 0.89)
    assert policy.is_reading_due(0, 100.1 + 0.91)


@pytest.mark.parametrize(
    ("took_s", "others_took_s", "rest_s"),
    [(0.01, 0.0, 0.09), (0.1, 0.0, WAIT_AT_MOST_S), (0.1, 0.2, 0.6), (0.01, 0.29, 0.09)],
)
def test_reading_all_partitions_takes_a_third_of_the_time_at_most(
    took_s: float, others_took_s: float, rest_s: float
) -> None:
    policy = policy_of(0, 1)
    policy.note_reading(0, 100.0, 100.0 + took_s)
    policy.note_reading(1, 100.0, 100.0 + others_took_s)

    assert not policy.is_reading_due(0, 100.0 + took_s + rest_s - 0.001)
    assert policy.is_reading_due(0, 100.0 + took_s + rest_s + 0.001)


# Saving


def test_a_round_begins_every_so_often_and_the_log_has_its_turn_after_each_slice() -> None:
    policy = policy_of(0)
    policy.begin_round(100.0)
    policy.note_slice(100.0, 100.01, is_last=False)

    assert not policy.is_saving_due(100.01 + 0.99 * SLICE_COST * 0.01)
    assert policy.is_saving_due(100.01 + 1.01 * SLICE_COST * 0.01)

    policy.note_slice(100.05, 100.06, is_last=True)
    assert not policy.is_saving_due(101.9)
    assert policy.is_saving_due(102.0)


def test_a_long_round_is_followed_by_a_longer_time_without_one() -> None:
    policy = policy_of(0)
    policy.begin_round(100.0)
    policy.note_slice(100.0, 101.0, is_last=True)

    assert not policy.is_saving_due(100.0 + SAVE_COST - 0.1)
    assert policy.is_saving_due(100.0 + SAVE_COST)


def test_a_short_round_after_a_long_one_is_followed_by_the_usual_time() -> None:
    policy = policy_of(0)
    policy.begin_round(100.0)
    policy.note_slice(100.0, 101.0, is_last=True)
    policy.begin_round(120.0)
    policy.note_slice(120.0, 120.01, is_last=True)

    assert policy.is_saving_due(122.0)


# Status


@pytest.mark.parametrize("partitions", [(), (0,)])
def test_status_is_due_after_an_assignment_and_owed_at_its_end_where_there_was_one(
    partitions: tuple[int, ...],
) -> None:
    policy = policy_of(*partitions)

    assert not policy.is_status_due(101.9)
    assert policy.is_status_due(102.0)

    policy.owe_status_now()
    assert policy.is_status_due(100.0) == bool(partitions)


def test_status_that_was_published_is_due_again_later_and_not_owed() -> None:
    policy = policy_of(0)
    policy.note_status(102.0)
    policy.owe_status_now()

    assert not policy.is_status_due(102.0 + STATUS_EVERY_S - 0.1)
    assert policy.is_status_due(102.0 + STATUS_EVERY_S)
