import random

import pytest

from streams.codec import decode, encode
from streams.join.joined_ids import CHUNK_IDS, JoinedIds, JoinedState
from streams.values import Answer

ANSWERS: list[Answer] = [True, 3, 0.5, "né\n"]
Stored = dict[int, bytes]


def filled(count: int, capacity: int = 1_000) -> JoinedIds:
    joined = JoinedIds(capacity)
    for number in range(count):
        joined.put(str(number), (number % 2 == 0, number))
    return joined


def restarted(joined: JoinedIds, stored: Stored, capacity: int) -> JoinedIds:
    """Store what is new, as a worker does, and restore from what is stored."""
    fresh = joined.unstored()
    for number, lines in fresh.items():
        assert stored.setdefault(number, lines) == lines, "a number names the same bytes for ever"
    joined.on_stored(fresh)
    assert joined.unstored() == {}
    kept = decode(encode(joined.snapshot()), JoinedState)
    return JoinedIds.restore(capacity, kept, stored.__getitem__)


# Rule 1


@pytest.mark.parametrize("capacity", [0, 1, 200, 1_000])
def test_the_last_ids_are_known_and_few_more(capacity: int) -> None:
    joined = JoinedIds(capacity)
    for number in range(3_000):
        joined.put(str(number), (number, number))
        least = min(capacity, number + 1)
        known = [int(key) for key in joined.answers]

        assert known == list(range(number + 1 - len(known), number + 1))
        assert least <= len(known) < capacity + 2 * CHUNK_IDS


def test_fewer_may_be_asked_for() -> None:
    joined = filled(1_000)

    joined.resize(100)

    assert "999" in joined.answers
    assert 100 <= len(joined.answers) < 100 + 2 * CHUNK_IDS


def test_what_is_cleared_is_not_known() -> None:
    joined = filled(200)

    joined.clear()

    assert joined.answers == {}
    assert list(joined.numbers()) == []
    assert joined.snapshot() == JoinedState(last_number=1)


# Rule 2


def test_what_is_forgotten_before_it_is_stored_is_not_stored() -> None:
    joined = filled(3 * CHUNK_IDS, capacity=0)

    assert list(joined.numbers()) == []
    assert joined.unstored() == {}


def test_a_number_is_never_given_again() -> None:
    joined = filled(300)
    sealed = set(joined.numbers())

    joined.clear()
    for number in range(300):
        joined.put(str(number), (1, number))

    assert sealed == {1, 2}
    assert list(joined.numbers()) == [3, 4]


@pytest.mark.parametrize("seed", range(3))
def test_a_restart_at_any_time_changes_nothing(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - a simulation, not a secret
    capacity = [0, 300, 10_000][seed]
    steady, interrupted = JoinedIds(capacity), JoinedIds(capacity)
    of_steady: Stored = {}
    of_interrupted: Stored = {}
    for number in range(2_000):
        answer = rng.choice(ANSWERS)
        for each in (steady, interrupted):
            each.put(f"id {number}", (answer, number))
        if rng.random() < 0.02:
            interrupted = restarted(interrupted, of_interrupted, capacity)
            of_steady |= steady.unstored()

        assert interrupted.answers == steady.answers

    assert interrupted.snapshot() == steady.snapshot()
    assert interrupted.last_number == steady.last_number
    assert of_interrupted.items() <= of_steady.items()
