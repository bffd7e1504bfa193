import numpy as np
import pytest

from streams.codec import decode, encode
from streams.detect.sample import Sample
from streams.season.hour_kernel import HOUR, PROFILE, TABLE_HEAD
from streams.season.hour_profile import HourProfile, Timestamps

MONDAY = 1_704_067_200 // 60  # 2024-01-01
SHARES = np.arange(48.0) / 100
PROFILE_OF_SHARES = HourProfile(hours=24, days=3, names=("a", None), shares=SHARES)


def profile_of_numbers(x: np.ndarray, hourly_scores: np.ndarray, days: int = 4) -> HourProfile:
    table = Sample.of(x).scale.table(np.zeros(TABLE_HEAD))
    table[PROFILE.hours] = len(hourly_scores)
    hours = np.zeros((len(hourly_scores), len(HOUR)))
    hours[:, HOUR.middle] = hourly_scores
    hours[:, HOUR.spread] = 1.0
    table = np.concatenate((table, hours.ravel()))
    return HourProfile(hours=len(hourly_scores), days=days, table=table)


def test_a_number_becomes_that_of_an_average_hour_in_its_own_unit() -> None:
    x = np.random.default_rng(1).normal(50.0, 10.0, 20_000)
    hourly = np.zeros(24)
    hourly[9] = 1.0
    profile = profile_of_numbers(x, hourly)

    adjusted = profile.adjust(np.array([60.0, 60.0]), MONDAY + np.array([60 * 9, 60 * 10]))

    assert adjusted == pytest.approx([50.0, 60.0], abs=0.6)


def test_a_number_beyond_the_scale_stays_finite() -> None:
    profile = profile_of_numbers(np.random.default_rng(1).normal(size=2_000), np.ones(24))

    adjusted = profile.adjust(np.array([1e300, -1e300]), MONDAY + np.arange(2))

    assert np.isfinite(adjusted).all()


def test_the_expected_part_of_a_share_follows_the_names_asked_for() -> None:
    minutes = MONDAY + np.array([0, 61, 25 * 60])

    own = PROFILE_OF_SHARES.expected(("a", None), minutes)
    others = PROFILE_OF_SHARES.expected((None, "new", "a"), minutes)

    assert own is not None
    assert others is not None
    assert own.tolist() == [[0.0, 0.01], [0.02, 0.03], [0.02, 0.03]]
    assert others.tolist() == [[0.01, 0.0, 0.0], [0.03, 0.0, 0.02], [0.03, 0.0, 0.02]]


def test_a_profile_of_numbers_expects_no_shares() -> None:
    profile = profile_of_numbers(np.arange(100.0), np.zeros(24))

    assert profile.expected(("a",), MONDAY + np.arange(3)) is None


def test_a_stored_profile_is_equal_to_itself_and_to_no_other() -> None:
    of_numbers = profile_of_numbers(np.arange(100.0), np.zeros(24))

    for profile in (PROFILE_OF_SHARES, of_numbers):
        assert decode(encode(profile), HourProfile) == profile
    assert of_numbers != PROFILE_OF_SHARES
    assert of_numbers != profile_of_numbers(np.arange(100.0), np.ones(24))


def test_more_days_leave_less_doubt() -> None:
    doubts = [profile_of_numbers(np.arange(9.0), np.zeros(24), days).doubt for days in (1, 2, 14)]

    assert doubts == pytest.approx([2.0, 1.5, 1 + 1 / 14])


def test_timestamps_are_whole_minutes() -> None:
    timestamps = Timestamps.of(np.array([59_999, 60_000, 180_001]))

    assert timestamps.minutes.tolist() == [0, 1, 3]
    assert timestamps.at([2, 0]).minutes.tolist() == [3, 0]
    assert timestamps.latest == 3
    assert np.frombuffer(timestamps.kept, dtype=np.uint32).tolist() == [0, 1, 3]
