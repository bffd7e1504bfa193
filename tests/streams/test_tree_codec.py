import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from streams.codec import DamagedSnapshotError
from streams.tree_codec import pack, unpack

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | NUMBERS | st.text()


@given(
    scalars=st.lists(SCALARS),
    state=arrays(np.float64, st.integers(0, 20)),
    window=st.binary(),
)
def test_what_is_unpacked_is_what_was_packed(
    scalars: list[object], state: np.ndarray, window: bytes
) -> None:
    tree = {"scalars": scalars, "inner": {"state": state, "window": window, "none": None}}

    again = unpack(pack(tree))

    assert again["scalars"] == scalars
    assert again["inner"]["state"].tobytes() == state.tobytes()
    assert again["inner"]["window"] == window


@pytest.mark.parametrize("key", ["$array", "$bytes", "$", "$$x", 'a"$b'])
def test_a_key_may_look_like_what_stands_for_a_leaf(key: str) -> None:
    tree = {"counts": {key: 1, "inner": {key: {key: key}}}, "window": b"xyz"}

    assert unpack(pack(tree)) == tree


@given(data=st.binary(max_size=60))
def test_bytes_of_another_origin_are_refused(data: bytes) -> None:
    with pytest.raises(DamagedSnapshotError):
        unpack(data)


def test_every_single_damaged_byte_is_noticed() -> None:
    data = pack({"state": np.arange(4.0), "window": b"xyz", "rows": 7})

    for at in range(len(data)):
        with pytest.raises(DamagedSnapshotError):
            unpack(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
