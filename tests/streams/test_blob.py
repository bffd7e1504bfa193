import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.blob import DamagedSnapshotError, Tree, pack, unpack
from streams.watch import SeriesWatch, WatchSpec
from tests.doubles.strategies import labels, texts

names = texts | st.sampled_from(["$array", "$bytes", "$", "$$array"])
leaves = st.none() | labels | st.binary(max_size=9) | st.lists(labels, max_size=3)
trees: st.SearchStrategy[Tree] = st.recursive(
    st.dictionaries(names, leaves, max_size=3),
    lambda inner: st.dictionaries(names, leaves | inner, max_size=3),
    max_leaves=6,
)


# Rule 1


@settings(max_examples=50, deadline=None)
@given(trees)
def test_what_is_unpacked_is_what_was_packed(tree: Tree) -> None:
    assert unpack(pack(tree)) == tree
    assert pack(unpack(pack(tree))) == pack(tree)


def test_an_array_keeps_every_bit() -> None:
    array = np.array([0.1, -0.0, np.nan, np.inf, 5e-324])

    found = unpack(pack({"state": array}))["state"]

    assert found.tobytes() == array.tobytes()
    found[0] = 1.0  # and can be worked on


@pytest.mark.parametrize("name", ["$array", "$bytes", "$$array"])
def test_a_category_may_have_any_name(name: str) -> None:
    watch = SeriesWatch(WatchSpec(role="feature"))
    watch.update([name, "b"] * 150)

    restored = SeriesWatch.restore(WatchSpec(role="feature"), watch.snapshot())

    assert restored.snapshot() == watch.snapshot()
    assert restored.describe() == watch.describe()


# Rule 2


@settings(max_examples=50, deadline=None)
@given(trees, st.data())
def test_damaged_bytes_are_refused(tree: Tree, data: st.DataObject) -> None:
    whole = pack(tree)
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[at] ^= data.draw(st.integers(1, 255))

    for damaged in (bytes(flipped), whole[:at], whole + b"\0"):
        with pytest.raises(DamagedSnapshotError):
            unpack(damaged)
