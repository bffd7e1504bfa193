import random
import tracemalloc
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import codec
from streams.join.chunk import entries_of
from streams.join.waiting_room import CHUNK_BYTES, ROOM_BYTES, RoomState, WaitingRoom

Stored = dict[int, bytes]


def nothing(_: object) -> bytes:
    return b""


def filled(count: int, capacity: int = 10_000) -> WaitingRoom[int]:
    room = WaitingRoom[int](capacity, nothing)
    for i in range(count):
        room.put(str(i), i, i)
    return room


def encode(key: str, value: int) -> bytes:
    return f"{key} {value}".encode()


def decode(line: bytes) -> tuple[str, int]:
    key, value = line.split(b" ")
    return key.decode(), int(value)


def waiting(room: WaitingRoom[int], stored: Stored | None = None) -> list[tuple[int, str]]:
    """Return the instant and the key of all that wait, in the order of the stored form."""
    chunks = (stored or {}) | room.unstored(encode)
    state = room.snapshot(encode)
    lines = [
        entry
        for each in state.chunks
        for entry in entries_of(chunks[each.number], int.from_bytes(each.live))
    ]
    return [(at_ms, decode(text)[0]) for _, at_ms, text in [*lines, *entries_of(state.open)]]


# Rule 1


def test_what_was_taken_is_gone() -> None:
    room = filled(3)

    assert room.pop("1") == 1
    assert room.pop("1") is None
    assert room.get("1") is None
    assert room.expire(100) == 2


def test_what_has_expired_is_gone() -> None:
    room = filled(3)

    assert room.expire(2) == 2
    assert room.pop("0") is None
    assert room.pop("2") == 2


def test_what_was_pushed_out_is_gone() -> None:
    room = filled(3, capacity=2)

    assert room.pop("0") is None
    assert room.expire(100) == 2


def test_to_look_is_not_to_take() -> None:
    room = filled(1)

    assert room.get("0") == 0
    assert room.get("0") == 0
    assert room.get("1") is None
    assert len(room) == 1


# Rule 2


@pytest.mark.parametrize("taken", [[], ["0"], ["1", "130"], [str(i) for i in range(200)]])
def test_entries_stand_in_the_order_they_came(taken: list[str]) -> None:
    room = filled(300)
    for key in taken:
        room.pop(key)

    assert waiting(room) == [(i, str(i)) for i in range(300) if str(i) not in taken]


def test_an_entry_expires_only_when_it_came_before_the_instant() -> None:
    room = WaitingRoom[str](10, nothing)
    room.put("a", 10, "a")

    assert room.expire(10) == 0
    assert room.expire(11) == 1


# Rule 3


def test_one_more_than_there_is_room_for_pushes_the_oldest_out() -> None:
    room = filled(2, capacity=2)

    assert room.put("2", 2, 2) == 1
    assert waiting(room) == [(1, "1"), (2, "2")]


def test_a_key_that_was_taken_may_come_again() -> None:
    room = filled(2)
    room.pop("0")
    room.put("0", 5, 7)

    assert waiting(room) == [(1, "1"), (5, "0")]
    assert room.get("0") == 7


# Rule 4


@pytest.mark.parametrize("stays", [100, 20_000], ids=["one in a hundred stays", "one stays"])
def test_memory_follows_what_waits_and_not_what_has_passed(stays: int) -> None:
    tracemalloc.start()
    room = WaitingRoom[int](100_000, nothing)

    for i in range(20_000):
        room.put(str(i), i, 0)
        if i % stays:
            room.pop(str(i))
    used_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(room) == 20_000 // stays
    assert used_bytes < 20_000 + 1_000 * len(room)


# Properties


@given(
    st.integers(1, 5),
    st.lists(
        st.tuples(st.sampled_from(["put", "take", "expire"]), st.integers(0, 9)), max_size=400
    ),
)
def test_the_room_behaves_like_an_ordered_dictionary(
    capacity: int, steps: list[tuple[str, int]]
) -> None:
    room, model = WaitingRoom[int](capacity, nothing), OrderedDict[str, int]()

    for now, (verb, number) in enumerate(steps):
        key = str(number)
        if verb == "put" and key not in model:
            pushed_out = len(model) == capacity
            if pushed_out:
                model.popitem(last=False)
            model[key] = now
            assert room.put(key, now, now) == pushed_out
        elif verb == "take":
            assert room.pop(key) == model.pop(key, None)
        elif verb == "expire":
            old = [k for k, at in model.items() if at < now - number]
            assert room.expire(now - number) == len(old)
            for k in old:
                del model[k]

        assert len(room) == len(model)
        assert waiting(room) == [(at, k) for k, at in model.items()]


def restarted(room: WaitingRoom[int], stored: Stored, capacity: int) -> WaitingRoom[int]:
    """Store what is new, as a worker does, and restore the room from what is stored."""
    fresh = room.unstored(encode)
    for number, lines in fresh.items():
        assert stored.setdefault(number, lines) == lines, "a number names the same bytes for ever"
    room.on_stored(fresh)
    assert room.unstored(encode) == {}
    kept = codec.decode(codec.encode(room.snapshot(encode)), RoomState)
    return WaitingRoom.restore(capacity, kept, stored.__getitem__, decode, nothing)


@pytest.mark.parametrize("seed", range(4))
def test_a_restart_at_any_time_changes_nothing(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - a simulation, not a secret
    capacity = [200, 1_000, 100_000][seed % 3]
    steady, interrupted = WaitingRoom[int](capacity, nothing), WaitingRoom[int](capacity, nothing)
    of_steady: Stored = {}
    of_interrupted: Stored = {}
    keys: list[str] = []

    for now in range(4_000):
        if rng.random() < 0.55 or not keys:
            keys.append(str(now))
            assert steady.put(str(now), now, now) == interrupted.put(str(now), now, now)
        else:
            at = rng.randrange(len(keys)) if rng.random() < 0.3 else -1
            key = keys.pop(at)
            assert steady.pop(key) == interrupted.pop(key)
        if now % 100 == 0:
            assert steady.expire(now - 3_000) == interrupted.expire(now - 3_000)
        if rng.random() < 0.01:
            interrupted = restarted(interrupted, of_interrupted, capacity)
            of_steady |= steady.unstored(encode)
            assert steady.unstored(encode).keys() == set(steady.numbers())

    assert waiting(interrupted, of_interrupted) == waiting(steady, of_steady)
    assert interrupted.snapshot(encode) == steady.snapshot(encode)
    assert interrupted.last_number == steady.last_number > 5
    assert of_interrupted.items() <= of_steady.items()
    assert [interrupted.expire(at) for at in range(4_001)] == [
        steady.expire(at) for at in range(4_001)
    ]
    assert len(interrupted) == len(steady) == 0


def test_a_number_is_never_given_again() -> None:
    room = filled(300)
    sealed = set(room.numbers())

    for i in range(300):
        room.pop(str(i))
    for i in range(300):
        room.put(f"again{i}", i, i)

    assert sealed
    assert sealed.isdisjoint(room.numbers())


def test_large_entries_fill_a_chunk_by_their_bytes() -> None:
    room = WaitingRoom[int](1_000, payload_of=range)

    for i in range(4):
        room.put(str(i), i, CHUNK_BYTES // 2)

    assert [lines.count(b"\n") + 1 for lines in room.unstored(encode).values()] == [2, 2]


def test_what_was_taken_fills_no_chunk() -> None:
    room = WaitingRoom[int](100, lambda _: b"x" * (CHUNK_BYTES // 2))
    room.put("a", 0, 0)
    room.pop("a")
    room.put("b", 1, 1)

    assert room.last_number == 0
    room.put("c", 2, 2)
    assert room.last_number == 1


def test_a_room_is_bounded_in_bytes() -> None:
    room = WaitingRoom[int](1_000, payload_of=range)

    pushed_out = [room.put(str(i), i, ROOM_BYTES // 2 - 1) for i in range(4)]

    assert pushed_out == [0, 0, 1, 1]
    assert waiting(room) == [(2, "2"), (3, "3")]
