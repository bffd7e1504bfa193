import struct
import zlib
from typing import NoReturn

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from streams.codec import (
    STATE_VERSION,
    DamagedSnapshotError,
    Machine,
    StateVersionError,
    decode,
    encode,
    failure_of,
)
from streams.values import Floats, Value

NUMBERS = st.floats(allow_nan=False)
VALUES = st.booleans() | st.integers(-(2**63), 2**63 - 1) | NUMBERS | st.text()


class Inner(Machine):
    _seen: int = 0
    _last: Value | None = None


class Outer(Machine):
    scores: Floats
    window: bytes = b""
    values: list[Value] = []
    inner: dict[str, Inner] = {}
    derived: int = 0

    def __post_init__(self) -> None:
        self.derived = len(self.values)


@given(
    scores=arrays(np.float64, st.integers(0, 20)),
    window=st.binary(),
    values=st.lists(VALUES),
    names=st.lists(st.text(), unique=True),
)
def test_a_decoded_machine_is_the_encoded_one_to_the_last_bit(
    scores: Floats, window: bytes, values: list[Value], names: list[str]
) -> None:
    inner = {name: Inner(number, name) for number, name in enumerate(names)}
    machine = Outer(scores, window, values, inner)

    again = decode(encode(machine), Outer)

    assert again.scores.tobytes() == scores.tobytes()
    assert again.window == window
    assert [(type(value), value) for value in again.values] == [
        (type(value), value) for value in values
    ]
    assert [(name, each._seen, each._last) for name, each in again.inner.items()] == [
        (name, number, name) for number, name in enumerate(names)
    ]
    assert again.derived == len(values)
    assert encode(again) == encode(machine)


def test_an_array_that_was_read_can_be_written_to() -> None:
    again = decode(encode(Outer(np.zeros(3))), Outer)

    again.scores[1] = 5.0

    assert again.scores.tolist() == [0.0, 5.0, 0.0]


def test_a_default_and_the_underscore_of_a_name_are_not_stored() -> None:
    assert msgspec.msgpack.decode(encode(Inner(3))[10:]) == {"seen": 3}


def test_a_numpy_scalar_is_refused_and_not_rounded() -> None:
    with pytest.raises(TypeError, match="float64"):
        encode(Inner(1, np.float64(0.5)))


@pytest.mark.parametrize("array", [np.arange(3), np.zeros((2, 2))])
def test_an_array_that_would_be_read_as_another_is_refused(array: np.ndarray) -> None:
    with pytest.raises(TypeError, match=str(array.dtype)):
        encode(Outer(array))


@given(data=st.binary(max_size=60))
def test_bytes_of_another_origin_are_refused(data: bytes) -> None:
    with pytest.raises(DamagedSnapshotError):
        decode(data, Outer)


def test_every_single_damaged_byte_is_noticed() -> None:
    data = encode(Outer(np.arange(4.0), b"xyz", [7]))

    for at in range(len(data)):
        with pytest.raises((DamagedSnapshotError, StateVersionError)):
            decode(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], Outer)


def test_a_state_of_another_version_is_left_to_its_worker() -> None:
    body = encode(Inner(3))[10:]
    later = struct.pack("<4sHI", b"TDGS", STATE_VERSION + 1, zlib.crc32(body)) + body

    with pytest.raises(StateVersionError, match=f"has version {STATE_VERSION + 1}, this worker"):
        decode(later, Inner)


@pytest.mark.parametrize("body", [{"seen": "many"}, {"last": [1]}, [1, 2], 7])
def test_fields_that_do_not_fit_are_damage(body: object) -> None:
    packed = msgspec.msgpack.encode(body)
    data = struct.pack("<4sHI", b"TDGS", STATE_VERSION, zlib.crc32(packed)) + packed

    with pytest.raises(DamagedSnapshotError, match="Inner"):
        decode(data, Inner)


# Failures


class Panic(BaseException):
    """As pyo3 raises a panic of Rust: no Exception."""


def _raise(error: BaseException) -> NoReturn:
    raise error


def test_an_act_that_succeeds_has_no_failure() -> None:
    assert failure_of(lambda: 1) is None


@pytest.mark.parametrize("error", [Panic("gone"), ValueError("gone"), RecursionError("gone")])
def test_whatever_is_thrown_is_named(error: BaseException) -> None:
    assert failure_of(lambda: _raise(error)) == f"{type(error).__name__}: gone"


@pytest.mark.parametrize("error", [MemoryError(), KeyboardInterrupt(), SystemExit()])
def test_what_says_nothing_about_the_act_is_raised(error: BaseException) -> None:
    with pytest.raises(type(error)):
        failure_of(lambda: _raise(error))
