from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.worker.assignor import Shares, share_out

INPUTS = ("predictions", "outcomes")
BOTH = (*INPUTS, "events")
PARTITIONS = {"predictions": 4, "outcomes": 3, "events": 4}


def shares_of(*subscriptions: tuple[str, ...]) -> Shares:
    members = {f"member-{n}": topics for n, topics in enumerate(subscriptions)}
    return share_out(members, PARTITIONS, INPUTS)


def readers(shares: Shares) -> list[str]:
    return [member for member, share in shares.items() if set(share) & set(INPUTS)]


@pytest.mark.parametrize("workers", range(1, 7))
def test_one_member_has_all_inputs_and_each_partition_one_member(workers: int) -> None:
    shares = shares_of(*[BOTH] * workers)

    assert readers(shares) == ["member-0"]
    assert {topic: len(shares["member-0"][topic]) for topic in INPUTS} == {
        "predictions": 4,
        "outcomes": 3,
    }
    assert sorted(n for share in shares.values() for n in share.get("events", [])) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("workers", "counts"), [(1, [4]), (2, [2, 2]), (3, [1, 2, 1]), (5, [0, 1, 1, 1, 1])]
)
def test_the_member_with_the_inputs_has_no_more_of_the_log_than_others(
    workers: int, counts: list[int]
) -> None:
    shares = shares_of(*[BOTH] * workers)

    assert [len(share.get("events", [])) for share in shares.values()] == counts


def test_a_member_that_reads_inputs_only_has_them() -> None:
    shares = shares_of(BOTH, ("events",), INPUTS)

    assert readers(shares) == ["member-2"]
    assert "events" not in shares["member-2"]


def test_a_member_of_another_deployment_has_what_it_reads_and_no_other_topic() -> None:
    shares = share_out(
        {"a": ["predictions", "staging.controls", "staging.events"], "b": [*BOTH, "controls"]},
        PARTITIONS | {"controls": 1, "staging.controls": 1, "staging.events": 1},
        [*INPUTS, "controls"],
    )

    assert set(shares["a"]) == {"staging.controls", "staging.events"}
    assert set(shares["b"]) == {*BOTH, "controls"}


def shares_by_model(*subscriptions: tuple[str, ...], **partitions: int) -> Shares:
    members = {f"member-{n}": topics for n, topics in enumerate(subscriptions)}
    counts = {"predictions": 4, "outcomes": 4, "events": 4} | partitions
    return share_out(members, counts, INPUTS, by_model=True)


@pytest.mark.parametrize("workers", range(1, 7))
def test_inputs_by_model_are_shared_out_by_number(workers: int) -> None:
    shares = shares_by_model(*[BOTH] * workers)

    held = [(share.get("predictions"), share.get("outcomes")) for share in shares.values()]
    assert [predictions for predictions, _ in held] == [outcomes for _, outcomes in held]
    assert len(readers(shares)) == min(workers, 4)
    assert sorted(n for numbers, _ in held for n in numbers or ()) == [0, 1, 2, 3]
    assert max(len(share.get("events", [])) for share in shares.values()) <= -(-4 // workers)


def test_members_that_read_inputs_only_share_inputs_by_model() -> None:
    shares = shares_by_model(BOTH, INPUTS, BOTH, INPUTS)

    assert readers(shares) == ["member-1", "member-3"]


def test_inputs_with_unlike_numbers_of_partitions_have_one_member() -> None:
    assert readers(shares_by_model(BOTH, BOTH, outcomes=3)) == ["member-0"]


def test_where_nobody_reads_the_log_nobody_has_it() -> None:
    assert shares_of(INPUTS, INPUTS)["member-1"] == {}


def test_a_topic_that_does_not_exist_yet_is_left_out() -> None:
    shares = share_out({"a": BOTH}, {"events": 2}, INPUTS)

    assert shares == {"a": {"events": [0, 1]}}


@given(st.lists(st.sampled_from([BOTH, INPUTS, ("events",)]), min_size=1, max_size=8))
def test_no_partition_has_two_members(subscriptions: list[tuple[str, ...]]) -> None:
    shares = shares_of(*subscriptions)

    owners = Counter(
        (topic, n) for share in shares.values() for topic, numbers in share.items() for n in numbers
    )
    read = {topic for topics in subscriptions for topic in topics}
    assert max(owners.values()) == 1
    assert len(owners) == sum(PARTITIONS[topic] for topic in read)
