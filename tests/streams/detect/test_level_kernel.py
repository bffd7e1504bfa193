import numpy as np

from streams.detect import level_kernel
from streams.detect.level import NumericDetector
from streams.detect.level_kernel import FIRST, HEAD, SERIES, STATISTIC, STATISTICS
from streams.detect.sample import Sample
from streams.detect.score_kernel import SCALE


def test_statistics_read_scores_as_they_read_values() -> None:
    sample = Sample.of(np.random.default_rng(1).normal(0, 3, 500))
    detector = NumericDetector.learn(sample, 0.01)
    one, other = detector._state.copy(), detector._state.copy()
    trail, other_trail = detector._trail.copy(), detector._trail.copy()
    innovations, scores = np.empty(500), sample.clipped_scores.copy()

    level_kernel.run_page_hinkley(one, trail, sample.x, innovations)
    level_kernel.run_on_scores(other, other_trail, sample.x, scores)

    assert one.tolist() == other.tolist()
    assert trail.tolist() == other_trail.tolist()
    assert innovations.tolist() == scores.tolist()


def test_no_two_names_share_a_place() -> None:
    places = [*SCALE, *SERIES]
    places += [FIRST + k * len(STATISTIC) + slot for k in range(STATISTICS) for slot in STATISTIC]

    assert sorted(places) == list(range(HEAD))
