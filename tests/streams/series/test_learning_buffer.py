"""Values that a series learns from, as they are held."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import decode, encode
from streams.season.hour_profile import Timestamps
from streams.series.learning_buffer import MAX_CODES, LearningBuffer, MinuteLog
from streams.values import Value


def held(*batches: list[Value]) -> LearningBuffer:
    buffer = LearningBuffer()
    for batch in batches:
        buffer.add(batch, set(map(type, batch)), None)
    return buffer


_batches = st.lists(
    st.sampled_from([[True, False], [1, 0], [1.0, -0.0], ["1", "x"], [1, True, "x"], []])
)


@given(_batches)
def test_values_come_out_as_they_went_in_types_included(batches: list[list[Value]]) -> None:
    given_values = [value for batch in batches for value in batch]

    assert list(map(repr, held(*batches).values)) == list(map(repr, given_values))


@given(_batches)
def test_batch_edges_and_a_restart_change_nothing(batches: list[list[Value]]) -> None:
    whole = held([value for batch in batches for value in batch], [])
    parted = held([])

    for batch in batches:
        parted.add(batch, set(map(type, batch)), None)
        parted = decode(encode(parted), LearningBuffer)

    assert encode(parted) == encode(whole)
    assert list(map(repr, parted.values)) == list(map(repr, whole.values))


@pytest.mark.parametrize("batch", [["a", "b"], [True, False], [3, 10**30]])
def test_a_few_values_of_one_type_take_a_byte_each(batch: list[Value]) -> None:
    assert held(batch, batch).is_coded


def test_too_many_different_words_are_held_as_they_are() -> None:
    words: list[Value] = [f"word {k}" for k in range(MAX_CODES + 1)]

    buffer = held(words[:-1], words[-1:])

    assert not buffer.is_coded
    assert buffer.values == words


def test_equal_words_are_one_object_after_a_restart() -> None:
    words: list[Value] = [f"word {k}" for k in range(MAX_CODES + 1)]
    restored = decode(encode(held(words, words)), LearningBuffer).values

    assert restored[0] is restored[MAX_CODES + 1]


def test_chosen_rows_keep_their_minutes() -> None:
    buffer = LearningBuffer()
    values: list[Value] = [1.0, "a", 2.0, "b"]
    buffer.add(values, {float, str}, Timestamps.of(60_000 * np.arange(10, 14)))

    own = buffer.chosen([0, 2])

    assert own.values.tolist() == [1.0, 2.0]  # type: ignore[attr-defined] # an array
    assert own.minutes is not None
    assert own.minutes.tolist() == [10, 12]


_cuts = st.lists(st.integers(0, 40), max_size=6).map(lambda at: sorted({0, 40, *at}))
_minutes = st.sampled_from([bytes(range(40)), bytes(20) + bytes(range(20)), b"\x01" * 40])


@given(st.lists(st.tuples(_minutes, _cuts), min_size=1, max_size=4))
def test_minutes_that_are_held_together_are_each_series_own(
    series: list[tuple[bytes, list[int]]],
) -> None:
    log = bytearray()
    logs = [MinuteLog(log) for _ in series]
    parts = [[minutes[a:b] for a, b in pairwise(cuts)] for minutes, cuts in series]

    for turn in range(max(map(len, parts))):
        for one, own in zip(logs, parts, strict=True):
            one.add(b"".join(own[turn : turn + 1]))

    assert [bytes(one) for one in logs] == [minutes for minutes, _ in series]


def test_series_with_the_same_minutes_hold_them_once() -> None:
    shared: dict[bytes, bytearray] = {}
    logs = [MinuteLog() for _ in range(3)]

    for one in logs:
        one.share(shared)
    for one in logs:
        one.add(b"123")

    assert list(shared.values()) == [b"123"]
    assert [bytes(one) for one in logs] == [b"123"] * 3


def test_restored_series_with_the_same_minutes_hold_them_once_again() -> None:
    shared: dict[bytes, bytearray] = {}
    logs = [MinuteLog.of(kept) for kept in (b"1234", b"1234", b"12")]

    for one in logs:
        one.share(shared)
        one.add(b"5")

    assert list(shared) == [b"1234", b"12"]
    assert list(shared.values()) == [b"12345", b"125"]
    assert [bytes(one) for one in logs] == [b"12345", b"12345", b"125"]
