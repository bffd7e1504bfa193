import numpy as np
import pytest

from streams.change import Detector, Figures
from streams.clock import Instants
from streams.codec import decode, encode
from streams.season.hour_profile import HourProfile
from streams.series.absence_measure import AbsenceMeasure
from streams.series.detection import Detection
from streams.series.number_measure import NumberMeasure
from streams.series.recovery import AWAY_ROWS, RecoveryCheck, recovery_check_of
from streams.series.recovery_measures import BlockResult
from streams.series.share_measure import ShareMeasure
from streams.values import Scalar
from tests.doubles.series import new_watch, numbers, words

AT_MS: Instants = 1_760_000_000_000 + 60_000 * np.arange(20_000)


def detection(
    aspect: str, figures: Figures, detector: Detector = "cusum", **fields: object
) -> Detection:
    return Detection(
        index=0,
        aspect=aspect,
        detector=detector,
        figures=figures,
        **fields,  # type: ignore[arg-type] # tests alone
    )


def reference_of(values: list[Scalar]) -> dict[str, object]:
    watch = new_watch()
    watch.update(values)
    described = watch.describe()["original"]
    assert isinstance(described, dict)
    return described


LEVEL = Figures(1.0, 0.0, effect=1.0, unit="sd", direction="up", rows=30)
SPREAD = Figures(2.0, 1.0, effect=2.0, unit="ratio", direction="up", rows=30)
SHARE = Figures(0.7, 0.5, effect=2.3, unit="odds_ratio", direction="up", rows=600)
FACT = Figures(rows=20)
NUMBERS = reference_of(numbers(2_500))
WORDS = reference_of(words(2_500, ["a", "b"]))
CHECKS: dict[str, tuple[Detection, list[Scalar], list[Scalar]]] = {
    "level": (
        detection("level", LEVEL, "page_hinkley", reference=NUMBERS),
        numbers(1_200, seed=2, mean=1.0),
        numbers(2_000, seed=3),
    ),
    "spread": (
        detection("spread", SPREAD, "page_hinkley", reference=NUMBERS),
        [2.0 * float(x) for x in numbers(1_200, seed=2) if x is not None],
        numbers(2_000, seed=3),
    ),
    "share": (
        detection("share", SHARE, category="a", reference=WORDS),
        words(1_200, ["a", "a", "b"], seed=2),
        words(3_000, ["a", "b"], seed=3),
    ),
    "missing share": (
        detection("missing", Figures(0.5, 0.1, effect=9.0, unit="odds_ratio", rows=20)),
        [None, 1.0] * 600,
        [None, *[1.0] * 9] * 200,
    ),
    "stuck": (detection("stuck", FACT, "rule"), [0.25] * 1_200, numbers(3_000, seed=3)),
    "unseen": (detection("unseen", FACT, "rule"), ["x", "a"] * 600, ["a", "b"] * 1_500),
}


def read(check: RecoveryCheck, values: list[Scalar], size: int = 10**9) -> list[BlockResult]:
    """Read values as the owner does: at most as many as are due, and at most ``size``."""
    results, at = [], 0
    while at < len(values):
        end = min(at + min(check.due, size), len(values))
        result = check.read(values[at:end], AT_MS[at:end])
        results += [] if result is None else [result]
        at = end
    return results


@pytest.mark.parametrize("name", CHECKS)
def test_a_series_that_is_away_is_not_back_and_one_that_returned_is(name: str) -> None:
    change, away, back = CHECKS[name]
    check = recovery_check_of(change, away[0], 0.01)

    assert not any(result.is_back for result in read(check, away))
    assert not check.is_back
    assert check.blocks_away > 0
    read(check, back)
    assert check.is_back


@pytest.mark.parametrize("size", [1, 7, 150])
@pytest.mark.parametrize("name", CHECKS)
def test_batch_edges_and_restarts_change_no_block(name: str, size: int) -> None:
    change, away, back = CHECKS[name]
    values = [*away[:500], *back[:900]]
    whole, parted = (recovery_check_of(change, away[0], 0.01) for _ in range(2))
    expected, got, at = read(whole, values), [], 0

    while at < len(values):
        end = min(at + min(parted.due, size), len(values))
        parted = decode(encode(parted), RecoveryCheck)
        result = parted.read(values[at:end], AT_MS[at:end])
        got += [] if result is None else [result]
        at = end

    assert got == expected
    assert encode(parted) == encode(whole)


def test_no_series_is_back_within_the_values_that_are_read_at_once() -> None:
    for change, away, back in CHECKS.values():
        check = recovery_check_of(change, away[0], 0.01)

        read(check, (back * 3)[: AWAY_ROWS - 1])

        assert not check.is_back


def test_a_block_that_is_away_by_chance_does_not_delay_the_return() -> None:
    change, *_ = CHECKS["unseen"]
    check = recovery_check_of(change, "x", 0.01)

    read(check, [*["a"] * 1_000, "x", *["a"] * 499, *["a"] * 500])

    assert check.is_back


@pytest.mark.parametrize(
    ("change", "measure"),
    [
        (detection("level", LEVEL, "page_hinkley", reference=NUMBERS), NumberMeasure),
        (detection("level", LEVEL, "adwin", reference=WORDS), NumberMeasure),
        (detection("spread", SPREAD, "page_hinkley"), NumberMeasure),
        (detection("share", SHARE, category="a"), ShareMeasure),
        (detection("missing", SHARE), ShareMeasure),
        (detection("constant", FACT, "rule"), AbsenceMeasure),
        (detection("type", FACT, "rule"), AbsenceMeasure),
    ],
)
def test_the_measure_follows_from_the_aspect_and_a_fact_recovers_by_its_absence(
    change: Detection, measure: type
) -> None:
    assert isinstance(recovery_check_of(change, 1.0, 0.01).measure, measure)


def test_the_part_of_the_hour_is_taken_off() -> None:
    shares = np.zeros((24, 2))
    shares[:12], shares[12:] = (0.3, -0.3), (-0.3, 0.3)
    profile = HourProfile(hours=24, days=7, names=("a", "b"), shares=shares.ravel())
    change = detection("share", SHARE, category="a", reference=WORDS, profile=profile)
    usual, plain = (recovery_check_of(each, "a", 0.01) for each in (change, CHECKS["share"][0]))
    rng = np.random.default_rng(1)
    by_hour = np.where(AT_MS[:1_440] // 3_600_000 % 24 < 12, 0.8, 0.2)
    values: list[Scalar] = ["a" if x else "b" for x in rng.random(1_440) < by_hour]

    read(usual, values)
    read(plain, values)
    assert usual.is_back
    assert not plain.is_back
    assert encode(decode(encode(usual), RecoveryCheck)) == encode(usual)
