import numpy as np
import pytest

from streams.change import Finding
from streams.codec import decode, encode
from streams.detect.reference import ShareReference
from streams.detect.share import ShareDetector

Floats = np.ndarray


def share_detector(share: float, seed: int = 1, false_alarms: float = 0.1) -> ShareDetector:
    return ShareDetector.learn(hits(share, 2_000, seed), [1], false_alarms)


def hits(share: float, rows: int, seed: int) -> Floats:
    return (np.random.default_rng(seed).random(rows) < share).astype(np.float64)


def found(finding: Finding | None) -> Finding:
    if finding is None:
        pytest.fail("nothing was found")
    return finding


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


def test_a_slow_drift_has_the_figures_of_its_row() -> None:
    seeds = range(20)
    rows = {
        seed: np.concatenate((hits(0.4, 8_000, seed), hits(0.45, 5_000, seed))) for seed in seeds
    }
    by_seed = {seed: share_detector(0.4).run(rows[seed]) for seed in seeds}
    by_adwin = {s: f for s, f in by_seed.items() if f is not None and f.detector == "adwin"}

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
    assert {index for index, _, _ in finding.moved} == {0, 2}
    shares = {index: (before, now) for index, before, now in finding.moved}
    assert shares[0][0] > 1.2 * shares[0][1]
    assert 1.2 * shares[2][0] < shares[2][1]


@pytest.mark.parametrize("cut", [1, 15, 16, 200])
def test_a_detector_restored_in_the_middle_goes_on_to_the_last_bit(cut: int) -> None:
    rows = np.concatenate((hits(0.1, 1_000, 2), hits(0.2, 2_000, 3)))
    whole, first = share_detector(0.1), share_detector(0.1)
    expected = found(whole.run(rows))

    assert first.run(rows[:cut]) is None
    again = decode(encode(first), ShareDetector)

    finding = found(again.run(rows[cut:]))
    assert finding.row + cut == expected.row
    assert finding.figures == expected.figures
    assert encode(again) == encode(whole)
