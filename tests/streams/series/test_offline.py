import base64

import numpy as np
import orjson
import pytest

from streams.codec import DamagedSnapshotError
from streams.series.offline import profile, watch_of
from streams.series.watch_spec import WatchSpec
from tests.doubles.inputs import START_MS
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


@pytest.mark.parametrize("days", [1.5, 8.5])
def test_values_that_are_missing_at_the_end_of_a_table_discard_no_reference(days: float) -> None:
    rows, missing = 2_000, 1_500
    at_ms = START_MS + (np.arange(rows + missing) * (days * 86_400_000 / rows)).astype(np.int64)
    daily = 4.0 * np.sin(at_ms[:rows] / 86_400_000 * 2 * np.pi)
    values = [*(daily + np.random.default_rng(1).normal(size=rows)).tolist(), *[None] * missing]

    made = profile(FEATURE, values, at_ms=at_ms)
    watch = watch_of(FEATURE, made)

    assert made["reference"] is not None
    assert not watch.is_learning
    assert (watch.seen, watch.profile_since) == (0, -1)


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
