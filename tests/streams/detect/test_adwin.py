import numpy as np
import pytest

from streams.codec import decode, encode
from streams.detect.adwin import SlowDriftDetector


def test_a_detector_that_cuts_the_reference_is_stopped() -> None:
    detector = SlowDriftDetector.of(0.002, 32, 2_000)
    detector.learn(np.repeat([0.0, 2.0], 1_000))

    assert detector.run(np.full(3_000, 5.0)) is None


@pytest.mark.parametrize("merged", [1, 5])
@pytest.mark.parametrize("cut", [1, 31, 32, 500, 1_503])
def test_a_detector_restored_in_the_middle_goes_on_to_the_last_bit(cut: int, merged: int) -> None:
    rng = np.random.default_rng(1)
    scores = np.concatenate((rng.normal(size=1_500), rng.normal(0.4, 1.0, 3_000)))
    whole, first = (SlowDriftDetector.of(0.002, 32, 2_000, merged=merged) for _ in range(2))
    expected = whole.run(scores)

    assert first.run(scores[:cut]) is None
    again = decode(encode(first), SlowDriftDetector)

    drift = again.run(scores[cut:])
    assert drift is not None
    assert expected == drift._replace(place=drift.place + cut)
    assert encode(again) == encode(whole)


@pytest.mark.parametrize("merged", [1, 5])
def test_no_drift_is_found_where_none_may_be(merged: int) -> None:
    rng = np.random.default_rng(2)
    detector = SlowDriftDetector.of(0.05, 32, 2_000, merged=merged)
    found = 0

    for read in range(3_000):
        scores = rng.normal(read // 500 % 2, 1.0, int(rng.integers(1, 5)))
        may_find = detector.may_find(len(scores))
        drift = detector.run(scores)
        found += drift is not None
        assert may_find or drift is None

    assert found > 0


def test_a_mean_below_the_least_is_not_reported() -> None:
    scores = np.random.default_rng(3).normal(0.3, 1.0, 3_000)

    assert SlowDriftDetector.of(0.002, 32, 100_000, least=0.0).run(scores) is None
    assert SlowDriftDetector.of(0.002, 32, 2_000, least=1.0).run(scores) is None
