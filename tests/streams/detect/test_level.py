import numpy as np
import pytest

from streams.change import Finding
from streams.codec import decode, encode
from streams.detect.adwin import SlowDriftDetector
from streams.detect.level import NumericDetector
from streams.detect.reference import ShareReference
from streams.detect.sample import Sample
from streams.detect.share import ShareDetector

Floats = np.ndarray


def level_detector(seed: int = 1, false_alarms: float = 0.01) -> NumericDetector:
    return learnt_from(np.random.default_rng(seed).normal(10.0, 2.0, 2_000), false_alarms)


def learnt_from(x: Floats, false_alarms: float) -> NumericDetector:
    return NumericDetector.learn(Sample.of(x), false_alarms)


def share_detector(share: float, seed: int = 1, false_alarms: float = 0.1) -> ShareDetector:
    return ShareDetector.learn(hits(share, 2_000, seed), [1], false_alarms)


def hits(share: float, rows: int, seed: int) -> Floats:
    return (np.random.default_rng(seed).random(rows) < share).astype(np.float64)


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


def test_the_spread_is_told_as_a_ratio_of_deviations() -> None:
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


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_share_that_doubles_or_halves_its_odds_is_found(share: float, direction: str) -> None:
    odds = share / (1 - share) * (3.0 if direction == "up" else 1 / 3.0)
    detector = share_detector(share)

    finding = found(detector.run(hits(odds / (1 + odds), 3_000, 9)))

    assert finding.figures.direction == direction
    assert finding.figures.baseline == pytest.approx(share, abs=0.04)


def test_a_small_lasting_change_of_a_share_is_found_by_adwin() -> None:
    seen = [
        share_detector(0.4, seed).run(
            np.concatenate((hits(0.4, 8_000, seed + 50), hits(0.45, 5_000, seed + 99)))
        )
        for seed in range(10)
    ]

    late = [finding for finding in seen if finding is not None and finding.row >= 8_000]
    assert len(late) >= 8
    assert any(finding.detector == "adwin" for finding in late)


def test_what_adwin_finds_in_shares_is_told_as_of_its_row() -> None:
    seeds = range(20)
    rows = {
        seed: np.concatenate((hits(0.4, 8_000, seed), hits(0.45, 5_000, seed))) for seed in seeds
    }
    told = {seed: share_detector(0.4).run(rows[seed]) for seed in seeds}
    by_adwin = {s: f for s, f in told.items() if f is not None and f.detector == "adwin"}

    assert len(by_adwin) >= 2
    for seed, finding in by_adwin.items():
        assert share_detector(0.4).run(rows[seed][: finding.row + 1]) == finding


def test_a_burst_that_passes_pages_hardly_anyone() -> None:
    alarms = sum(
        share_detector(0.1, seed).run(
            np.concatenate((hits(0.5, 50, seed + 500), hits(0.1, 1_000, seed + 900)))
        )
        is not None
        for seed in range(60)
    )

    assert alarms <= 18


def test_errors_that_come_in_clumps_need_more_of_them() -> None:
    rng = np.random.default_rng(8)
    clumps = np.repeat(rng.random(400) < 0.1, 10).astype(np.float64)

    reference = ShareReference.of(clumps, [1])

    assert reference.inflations[0] > 5
    assert ShareDetector.learn(clumps, [1], 0.1).run(clumps[::-1]) is None


def test_a_budget_can_change_without_forgetting() -> None:
    quick, slow = level_detector(), level_detector(false_alarms=1.0)
    later = np.random.default_rng(2).normal(11.0, 2.0, 2_000)
    slow.set_budget(1e-9)
    quick.set_budget(1.0)

    assert found(quick.run(later)).row < found(slow.run(later)).row


def test_adwin_is_not_asked_where_it_cuts_the_reference() -> None:
    backstop = SlowDriftDetector.of(0.002, 32, 2_000)
    backstop.learn(np.repeat([0.0, 2.0], 1_000))

    assert backstop.run(np.full(3_000, 5.0)) is None


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


def test_a_share_that_changes_names_the_others_that_have_moved_the_found_one_first() -> None:
    rng = np.random.default_rng(3)
    learnt = rng.choice([0.0, 1.0, 2.0, 3.0], size=2_000, p=[0.4, 0.3, 0.2, 0.1])
    watch = ShareDetector.learn(learnt, [0, 1, 2, 3], 0.1)

    finding = watch.run(rng.choice([0.0, 1.0, 2.0, 3.0], size=2_000, p=[0.25, 0.3, 0.35, 0.1]))

    assert finding is not None
    assert finding.moved[0] == (
        finding.category_index,
        finding.figures.baseline,
        finding.figures.value,
    )
    assert {level for level, _, _ in finding.moved} == {0, 2}
    shares = {level: (before, now) for level, before, now in finding.moved}
    assert shares[0][0] > 1.2 * shares[0][1]
    assert 1.2 * shares[2][0] < shares[2][1]
