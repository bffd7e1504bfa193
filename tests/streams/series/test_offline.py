import base64

import numpy as np
import orjson
import pytest

from streams.codec import DamagedSnapshotError
from streams.series.offline import profile, watch_of
from streams.series.watch_spec import WatchSpec
from tests.doubles.series import FEATURE, numbers


def test_a_profile_replaces_the_learning() -> None:
    made = profile(FEATURE, numbers(3_000))
    carried = orjson.loads(orjson.dumps(made))
    watch = watch_of(FEATURE, carried)

    assert not watch.is_learning
    assert watch.update(numbers(3_000, seed=2)) == []
    [change] = watch.update(numbers(100, seed=3, mean=1.5))
    assert change.aspect == "level"
    assert isinstance(made["reference"], dict)
    assert made["reference"]["rows"] == 3_000


def test_a_profile_that_was_edited_is_refused() -> None:
    made = profile(FEATURE, numbers(1_000))
    state = str(made["state"])

    for damaged in ({}, {"state": "?"}, {"state": state[:-8]}, {"state": "AAAA" + state[4:]}):
        with pytest.raises(DamagedSnapshotError):
            watch_of(FEATURE, damaged)


def test_a_profile_takes_two_hundred_values() -> None:
    with pytest.raises(ValueError, match="200"):
        profile(FEATURE, [*numbers(150), *[None] * 100])


def test_a_profile_may_be_made_of_a_sorted_table() -> None:
    made = profile(FEATURE, sorted(np.random.default_rng(1).normal(size=2_000).tolist()))

    assert not watch_of(FEATURE, made).is_learning


def test_a_profile_of_another_version_is_refused() -> None:
    made = profile(FEATURE, numbers(1_000))
    data = bytearray(base64.b64decode(str(made["state"])))
    data[4] += 1

    with pytest.raises(DamagedSnapshotError, match="version"):
        watch_of(FEATURE, made | {"state": base64.b64encode(data).decode()})


def test_a_profile_is_read_under_the_spec_of_its_model() -> None:
    asked = WatchSpec(role="feature", reference_rows=500)

    watch = watch_of(asked, profile(FEATURE, numbers(1_000)))

    assert watch.spec == asked
