import numpy as np
import pytest

from streams.codec import decode, encode
from streams.series.offline import profile, watch_of
from streams.series.watch import SeriesWatch
from streams.series.watch_spec import WatchSpec
from streams.values import Scalar
from tests.doubles.series import FEATURE, new_watch, numbers

MONDAY_MS = 1_760_313_600_000


def test_a_series_is_watched_from_its_200th_value_on() -> None:
    watch = new_watch()

    watch.update(numbers(199))
    assert watch.is_learning
    watch.update(numbers(101, seed=2))
    assert not watch.is_learning
    changes = watch.update(numbers(100, seed=3, mean=3.0))
    assert [change.aspect for change in changes] == ["level"]


def test_after_a_change_the_new_normal_is_learnt_and_the_first_is_kept() -> None:
    watch = new_watch()
    watch.update(numbers(3_000))

    assert len(watch.update(numbers(6_000, seed=2, mean=2.0))) == 1
    described = watch.describe()
    original, reference = described["original"], described["reference"]
    assert isinstance(original, dict)
    assert isinstance(reference, dict)
    assert original["mean"] == pytest.approx(0.0, abs=0.1)
    assert reference["mean"] == pytest.approx(2.0, abs=0.1)
    assert [change.figures.direction for change in watch.update(numbers(300, seed=3))] == ["down"]


def test_a_restless_series_is_given_a_longer_reference() -> None:
    rng = np.random.default_rng(1)
    wave = rng.normal(size=60_000) + np.sin(np.arange(60_000) * 2 * np.pi / 6_000)
    watch = new_watch()

    early = len(watch.update(wave[:30_000].tolist()))
    late = len(watch.update(wave[30_000:].tolist()))

    assert late < early


def test_what_has_come_to_rest_is_watched_again() -> None:
    watch = new_watch()
    watch.update([float(row) for row in range(8_000)])

    assert watch.is_learning
    assert watch.update(numbers(2_000)) == []
    assert not watch.is_learning
    [change] = watch.update(numbers(300, seed=2, mean=1.0))
    assert change.aspect == "level"


def test_a_beginning_unlike_the_rest_is_left_out_of_the_reference() -> None:
    watch = new_watch(WatchSpec(role="error", kind="categorical"))
    rng = np.random.default_rng(1)
    watch.update([*[True] * 150, *[False] * 2_850])

    assert not watch.is_learning
    [change] = watch.update((rng.random(500) < 0.2).tolist())
    assert (change.aspect, change.figures.direction, change.figures.baseline) == (
        "share",
        "up",
        0.0,
    )


def test_missing_values_do_not_have_a_reference_made_once_more() -> None:
    start: list[Scalar] = [*[True] * 150, *[False] * 1_850]
    whole, cut = (new_watch(WatchSpec(role="error", kind="categorical")) for _ in range(2))

    whole.update([*start, None, None, *[False] * 300])
    for values in (start, [None, None], [False] * 300):
        cut.update(values)

    assert encode(cut) == encode(whole)


@pytest.mark.parametrize("given", [False, True])
def test_a_profile_known_while_the_series_is_not_away_makes_the_first_reference(
    given: bool,
) -> None:
    at_ms = MONDAY_MS + 60_000 * np.arange(3 * 1_440)
    hours = 2.0 * np.sin(at_ms / 86_400_000 * 2 * np.pi)
    values: list[Scalar] = (np.random.default_rng(1).normal(size=len(at_ms)) + hours).tolist()
    watch = new_watch()
    if given:
        watch = watch_of(FEATURE, profile(FEATURE, numbers(2_000)))

    watch.update(values, at_ms)

    described = watch.describe()["original"]
    assert isinstance(described, dict)
    assert described["hours"] == 24


def test_values_since_the_alarm_are_not_learnt_once_the_series_is_back() -> None:
    watch = new_watch()
    watch.update(numbers(2_500))
    watch.update(numbers(700, seed=2, mean=3.0))

    watch.restart("level")
    watch.update(numbers(1_000, seed=3))

    reference = watch.describe()["reference"]
    assert isinstance(reference, dict)
    assert reference["rows"] == 1_000
    assert reference["mean"] == pytest.approx(0.0, abs=0.1)


def test_a_fact_makes_no_series_relearn_when_it_is_over() -> None:
    watch = new_watch()
    watch.update(numbers(2_500))
    before = watch.describe()

    for aspect in ("unseen", "stuck", "type", "missing"):
        watch.restart(aspect)

    assert watch.describe() == before


def test_a_person_accepts_the_state_that_is_learnt_next() -> None:
    watch = new_watch()
    watch.update(numbers(2_500))
    watch.update(numbers(200, seed=2, mean=3.0))

    watch.accept()
    watch.update(numbers(1_500, seed=3, mean=3.0))

    described = watch.describe()["original"]
    assert isinstance(described, dict)
    assert described["mean"] == pytest.approx(3.0, abs=0.1)


def test_a_change_soon_after_an_accepted_one_is_told_and_not_learnt() -> None:
    watch = new_watch()
    watch.update(numbers(2_500))
    watch.update(numbers(400, seed=2, mean=3.0))

    watch.accept()
    assert watch.update(numbers(100, seed=3, mean=3.0)) == []
    changes = watch.update(numbers(100, seed=4, mean=6.0))

    assert [(each.aspect, each.figures.direction) for each in changes] == [("level", "up")]


def test_series_of_a_model_hold_their_minutes_once_before_and_after_a_restart() -> None:
    at_ms = MONDAY_MS + 60_000 * np.arange(150)
    begun: dict[bytes, bytearray] = {}
    watches = [new_watch() for _ in range(3)]
    for watch in watches:
        watch.share_minutes(begun)
        watch.update(numbers(150), at_ms)

    restored: dict[bytes, bytearray] = {}
    for data in map(encode, watches):
        decode(data, SeriesWatch).share_minutes(restored)

    assert [len(log) for log in begun.values()] == [4 * 150]
    assert [len(log) for log in restored.values()] == [4 * 150]
