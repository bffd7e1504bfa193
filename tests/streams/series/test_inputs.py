"""What a series learns from, as it is held."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.series.inputs import MAX_CODES, Buffer, Codes, MinuteLog, extended
from streams.values import Value


def _held(*batches: list[Value]) -> Buffer:
    buffer: Buffer = []
    for batch in batches:
        buffer = extended(buffer, batch, set(map(type, batch)))
    return buffer


@given(st.lists(st.sampled_from([[True, False], [1, 0], [1.0, -0.0], ["1", "x"], [1, True, "x"]])))
def test_values_come_out_as_they_went_in_types_included(batches: list[list[Value]]) -> None:
    given_values = [value for batch in batches for value in batch]

    assert list(map(repr, _held(*batches))) == list(map(repr, given_values))


@pytest.mark.parametrize("batch", [["a", "b"], [True, False], [3, 10**30]])
def test_a_few_values_of_one_type_take_a_byte_each(batch: list[Value]) -> None:
    assert isinstance(_held(batch, batch), Codes)


def test_too_many_different_words_are_held_as_they_are() -> None:
    words: list[Value] = [f"word {k}" for k in range(MAX_CODES + 1)]

    held = _held(words[:-1], words[-1:])

    assert isinstance(held, list)
    assert held == words


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
        for held, own in zip(logs, parts, strict=True):
            held.add(b"".join(own[turn : turn + 1]))

    assert [bytes(held) for held in logs] == [minutes for minutes, _ in series]


def test_series_with_the_same_minutes_hold_them_once() -> None:
    log = bytearray()
    logs = [MinuteLog(log) for _ in range(3)]

    for held in logs:
        held.add(b"123")

    assert log == b"123"
