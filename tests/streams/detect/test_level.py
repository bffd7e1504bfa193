import numpy as np
import pytest

from streams.change import Finding
from streams.codec import decode, encode
from streams.detect.level import NumericDetector
from streams.detect.sample import Sample

Floats = np.ndarray


def level_detector(seed: int = 1, false_alarms: float = 0.01) -> NumericDetector:
    return learnt_from(np.random.default_rng(seed).normal(10.0, 2.0, 2_000), false_alarms)


def learnt_from(x: Floats, false_alarms: float) -> NumericDetector:
    return NumericDetector.learn(Sample.of(x), false_alarms)


def found(finding: Finding | None) -> Finding:
    if finding is None:
        pytest.fail("nothing was found")
    return finding


@pytest.mark.parametrize(
    ("mean", "sd", "aspect", "direction"),
    [
        (12.0, 2.0, "level", "up"),
        (8.0, 2.0, "level", "down"),
        (16.0, 2.0, "level", "up"),
        (10.0, 4.0, "spread", "up"),
        (10.0, 0.8, "spread", "down"),
    ],
)
def test_a_change_is_named_for_what_it_is(
    mean: float, sd: float, aspect: str, direction: str
) -> None:
    later = np.random.default_rng(2).normal(mean, sd, 2_000)

    finding = found(level_detector().run(later))

    assert (finding.aspect, finding.figures.direction) == (aspect, direction)
    assert finding.row < 150


def test_the_evidence_is_in_the_units_of_the_series() -> None:
    later = np.random.default_rng(2).normal(12.0, 2.0, 2_000)

    finding = found(level_detector().run(later))

    assert finding.figures.baseline == pytest.approx(10.0, abs=0.2)
    assert finding.figures.value == pytest.approx(12.0, abs=1.0)
    assert finding.figures.effect == pytest.approx(1.0, abs=0.5)
    assert finding.figures.unit == "sd"
    assert 1 <= finding.figures.rows <= finding.row + 20


def test_the_effect_on_the_spread_is_a_ratio_of_deviations() -> None:
    later = np.random.default_rng(2).normal(10.0, 4.0, 2_000)

    finding = found(level_detector().run(later))

    assert finding.figures.unit == "ratio"
    assert finding.figures.effect == pytest.approx(2.0, abs=0.6)
    assert finding.figures.baseline == pytest.approx(2.0, abs=0.1)


def test_neighbours_that_resemble_each_other_are_no_alarm() -> None:
    rng = np.random.default_rng(5)
    x = np.zeros(30_000)
    for row in range(1, len(x)):
        x[row] = 0.8 * x[row - 1] + rng.normal()
    detector = learnt_from(x[:2_000], 0.01)

    assert detector.run(x[2_000:]) is None


def test_a_wave_that_the_reference_has_seen_is_no_alarm() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=20_000) + np.sin(np.arange(20_000) * 2 * np.pi / 500)
    detector = learnt_from(x[:2_000], 0.01)

    assert not detector.is_settled
    assert detector.run(x[2_000:]) is None


def test_one_wild_value_pages_nobody() -> None:
    detector = level_detector()
    calm = np.random.default_rng(3).normal(10.0, 2.0, 500)

    assert detector.run(np.concatenate((calm, [1e300, -1e300], calm))) is None


@pytest.mark.parametrize("edge", [1.7e308, 1e-290])
def test_values_at_the_edge_of_a_double_are_watched_like_others(edge: float) -> None:
    rng = np.random.default_rng(3)
    x = rng.uniform(-1, 1, 4_000) * edge
    detector = learnt_from(x[:2_000], 0.01)

    assert detector.run(x[2_000:]) is None
    assert detector.run(np.full(500, 0.9 * edge)) is not None


def test_a_budget_can_change_without_forgetting() -> None:
    quick, slow = level_detector(), level_detector(false_alarms=1.0)
    later = np.random.default_rng(2).normal(11.0, 2.0, 2_000)
    slow.set_budget(1e-9)
    quick.set_budget(1.0)

    assert found(quick.run(later)).row < found(slow.run(later)).row


@pytest.mark.parametrize("cut", [1, 31, 32, 33, 700])
def test_a_detector_restored_in_the_middle_goes_on_to_the_last_bit(cut: int) -> None:
    later = np.random.default_rng(2).normal(11.0, 2.0, 2_000)
    whole, first = level_detector(), level_detector()
    expected = found(whole.run(later))

    early = first.run(later[:cut])
    again = decode(encode(first), NumericDetector)
    late = again.run(later[cut:]) if early is None else None

    rows = early.row if early is not None else found(late).row + cut
    assert rows == expected.row
