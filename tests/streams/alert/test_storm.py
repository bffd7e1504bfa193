"""Many series that move at once have one alert."""

import pytest

from streams.alert.storm import MANY, NAME_CHARACTERS, WITHIN_MS, Place, Storm
from streams.alert.transition import Transition
from streams.aspects import SeriesRole
from streams.change import Change, Figures
from streams.codec import decode, encode

MINUTE_MS = 60_000


def moved(
    name: str, status: str = "firing", *, effect: float = 1.0, role: SeriesRole = "feature"
) -> Transition:
    change = Change("level", "page_hinkley", Figures(effect=effect, unit="sd"))
    series = f"feature/{name}" if role == "feature" else name
    return Transition(
        series=series,
        role=role,
        aspect="level",
        status=status,  # type: ignore[arg-type]
        because=None,
        change=change,
        episode=1,
        sequence=0,
        is_flapping=False,
        acknowledged=None,
        muted_until_ms=None,
    )


def fire(storm: Storm, names: str, *, every_ms: int = MINUTE_MS, at_ms: int = 0) -> list[Place]:
    return [
        storm.on_transition(moved(name, effect=1.0 + place), at_ms + place * every_ms)
        for place, name in enumerate(names)
    ]


def test_few_series_stand_alone() -> None:
    places = fire(Storm(), "abcde")

    assert not any(place.is_under or place.condition for place in places)


def test_the_sixth_series_within_an_hour_opens_one_alert_that_names_the_strongest() -> None:
    *alone, sixth = fire(Storm(), "abcdefgh"[:MANY])

    assert not any(place.is_under for place in alone)
    assert sixth.is_under
    assert sixth.condition is not None
    assert sixth.condition.says.startswith(
        "6 series moved within an hour: f, e, d, c, b and 1 more"
    )
    assert (sixth.condition.series, sixth.condition.aspect) == ("features", "together")


def test_series_that_move_hours_apart_are_no_storm() -> None:
    places = fire(Storm(), "abcdefghij", every_ms=WITHIN_MS // 3)

    assert not any(place.is_under for place in places)


def test_two_alerts_of_one_series_count_once() -> None:
    places = fire(Storm(), "aabbccddee")

    assert not any(place.is_under for place in places)


@pytest.mark.parametrize("role", ["error", "outcome"])
def test_errors_and_outcomes_stand_alone(role: SeriesRole) -> None:
    storm = Storm()
    fire(storm, "abcdef")

    assert storm.on_transition(moved(role, role=role), 6 * MINUTE_MS) == Place(False, None)


def test_it_is_over_when_the_last_of_them_is_back_also_of_those_before_it() -> None:
    storm = Storm()
    fire(storm, "abcdef")
    ends = [storm.on_transition(moved(each, "resolved"), 10 * MINUTE_MS) for each in "fbcdea"]

    assert [place.is_under for place in ends] == [True, *[False] * 5]
    assert [place.condition is not None for place in ends] == [*[False] * 5, True]
    assert not ends[-1].is_on


def test_an_alert_that_fires_hours_later_is_none_of_them() -> None:
    storm = Storm()
    fire(storm, "abcdef")
    late = storm.on_transition(moved("z"), 3 * WITHIN_MS)
    ends = [storm.on_transition(moved(each, "resolved"), 4 * WITHIN_MS) for each in "abcdef"]

    assert late == Place(False, None)
    assert ends[-1].condition is not None


def test_long_names_leave_a_sentence_of_200_characters() -> None:
    storm = Storm()
    places = [
        storm.on_transition(moved(f"{'monthly_income' * 9}{row}"), row * MINUTE_MS)
        for row in range(40)
    ]

    condition = places[-1].condition
    assert condition is not None
    assert len(f"Model {'m' * 40}: {condition.says}.") <= 200
    assert len(condition.says) > NAME_CHARACTERS * 5


def test_a_storm_that_was_stored_goes_on() -> None:
    storm = Storm()
    fire(storm, "abcde")
    again = decode(encode(storm), Storm)

    assert again.on_transition(moved("f"), 5 * MINUTE_MS) == storm.on_transition(
        moved("f"), 5 * MINUTE_MS
    )
    assert encode(again) == encode(storm)
