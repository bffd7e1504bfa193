import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.ingest.dead_letter import DeadLetterLimit, TooManyRefusedError


def test_a_bad_record_now_and_then_is_within_the_limit() -> None:
    limit = DeadLetterLimit(max_ratio=0.5, window=10)

    for i in range(100):
        limit.note("predictions", is_refused=i % 2 == 0)


def test_a_producers_bad_deploy_is_beyond_the_limit() -> None:
    limit = DeadLetterLimit(max_ratio=0.5, window=10)
    for _ in range(1_000):
        limit.note("predictions", is_refused=False)

    for _ in range(5):
        limit.note("predictions", is_refused=True)

    with pytest.raises(TooManyRefusedError, match="6 of the last 10 records of predictions"):
        limit.note("predictions", is_refused=True)


def test_each_topic_has_its_own_limit() -> None:
    limit = DeadLetterLimit(max_ratio=0.4, window=10)

    for _ in range(4):
        limit.note("predictions", is_refused=True)
        limit.note("outcomes", is_refused=True)
    for _ in range(6):
        limit.note("predictions", is_refused=False)
        limit.note("outcomes", is_refused=False)


def test_without_a_limit_everything_may_be_refused() -> None:
    limit = DeadLetterLimit(max_ratio=None, window=1)

    for _ in range(100):
        limit.note("predictions", is_refused=True)


@given(
    st.lists(st.one_of(st.just(-1), st.integers(0, 9)), max_size=30),
    st.integers(1, 12),
    st.sampled_from([0.1, 0.5, 0.8]),
)
def test_accepted_records_count_the_same_one_by_one_and_in_one_step(
    runs: list[int], window: int, ratio: float
) -> None:
    one_by_one, in_one_step = DeadLetterLimit(ratio, window), DeadLetterLimit(ratio, window)
    told = []
    for run in runs:
        said = []
        for limit in (one_by_one, in_one_step):
            try:
                if run == -1:
                    limit.note("predictions", is_refused=True)
                elif limit is in_one_step:
                    limit.note_accepted("predictions", run)
                else:
                    for _ in range(run):
                        limit.note("predictions", is_refused=False)
            except TooManyRefusedError as error:
                said.append(str(error))
        told.append(said)
        if said:
            break

    assert all(len(said) in {0, 2} for said in told)
    assert all(len(set(said)) <= 1 for said in told)
