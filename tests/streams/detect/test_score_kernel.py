import numpy as np
import pytest

from streams.detect import score_kernel
from streams.detect.sample import Sample
from streams.detect.score_kernel import RAW_CLIP, SCALE


def samples(rows: int) -> list[np.ndarray]:
    rng = np.random.default_rng(rows)
    return [rng.normal(50, 3, rows), rng.lognormal(0, 3, rows), np.round(rng.normal(0, 2, rows))]


@pytest.mark.parametrize("rows", [100, 257, 2_000, 8_000])
def test_a_score_is_interpolated_and_extended_at_the_slopes_of_the_ends(rows: int) -> None:
    for x in samples(rows):
        sample = Sample.of(x)
        scale = sample.scale
        below = np.minimum(x - scale.knots[0], 0.0) * scale.low_slope
        above = np.maximum(x - scale.knots[-1], 0.0) * scale.high_slope
        raw = np.interp(x, scale.knots, scale.scores) + below + above

        assert sample.clipped_scores == pytest.approx(np.clip(raw, -RAW_CLIP, RAW_CLIP), abs=1e-11)


@pytest.mark.parametrize("rows", [100, 257, 2_000, 8_000])
def test_scores_made_in_the_order_of_values_are_those_made_one_by_one(rows: int) -> None:
    for x in samples(rows):
        sample, head = Sample.of(x), np.zeros(len(SCALE))
        table = sample.scale.table(head)
        one_by_one = [score_kernel.clipped_score(table, len(head), value) for value in x]

        assert sample.clipped_scores.tolist() == one_by_one
