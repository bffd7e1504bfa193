from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.instants import FIRST_INSTANT_MS, LAST_INSTANT_MS
from schemas.wire import to_epoch_ms, to_rfc3339


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T12:00:00Z",
        "2026-03-01t12:00:00z",
        "2026-03-01 12:00:00Z",
        "2026-03-01T12:00:00.0Z",
        "2026-03-01T12:00:00.000999999Z",
        "2026-03-01T13:30:00+01:30",
        "2026-03-01T00:00:00-12:00",
    ],
)
def test_every_spelling_of_an_instant_is_the_same_instant(text: str) -> None:
    assert to_epoch_ms(text) == 1_772_366_400_000


def test_both_forms_of_an_instant_agree() -> None:
    assert to_epoch_ms("2026-03-01T12:00:00.123Z") == to_epoch_ms(1_772_366_400_123)


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (1_772_366_400, "epoch seconds must be sent as milliseconds"),
        (0, "epoch seconds must be sent as milliseconds"),
        (-1, "epoch seconds must be sent as milliseconds"),
        (1_772_366_400_123_456, "epoch micro- or nanoseconds must be sent as milliseconds"),
        (10**30, "epoch micro- or nanoseconds must be sent as milliseconds"),
        ("2026-03-01T12:00:00", "an instant is RFC 3339 text with an offset"),
        ("2026-03-01", "an instant is RFC 3339 text with an offset"),
        ("1772366400000", "an instant is RFC 3339 text with an offset"),
        ("٢٠٢٦-03-01T12:00:00Z", "an instant is RFC 3339 text with an offset"),
        (1_772_366_400_123.0, "an instant is RFC 3339 text or an integer"),
        (True, "an instant is RFC 3339 text or an integer"),
        (None, "an instant is RFC 3339 text or an integer"),
    ],
)
def test_what_is_not_an_instant_is_refused_with_the_remedy(value: object, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        to_epoch_ms(value)


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-03-01T24:30:00Z",
        "2026-03-01T23:59:60Z",
        "2026-03-01T00:00:00+99:99",
        "0000-01-01T00:00:00Z",
    ],
)
def test_a_date_that_does_not_exist_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="no such date, time or offset") as caught:
        to_epoch_ms(text)

    assert caught.value.__cause__ is None


def test_the_first_and_the_last_instant_are_taken() -> None:
    assert to_epoch_ms(FIRST_INSTANT_MS) == to_epoch_ms("1990-01-01T00:00:00Z")
    assert to_epoch_ms(LAST_INSTANT_MS) == to_epoch_ms("2100-01-01T00:00:00Z")


@pytest.mark.parametrize("value", [FIRST_INSTANT_MS - 1, LAST_INSTANT_MS + 1])
def test_beyond_the_first_and_the_last_instant_nothing_is_taken(value: int) -> None:
    with pytest.raises(ValueError, match="between 1990 and 2100"):
        to_epoch_ms(value)


@given(st.integers(FIRST_INSTANT_MS, LAST_INSTANT_MS))
def test_an_instant_survives_its_text(instant: int) -> None:
    assert to_epoch_ms(to_rfc3339(instant)) == instant


@given(
    st.datetimes(datetime(1990, 1, 2), datetime(2099, 12, 30)),  # noqa: DTZ001 - hypothesis adds it
    st.integers(-23 * 60, 23 * 60),
)
def test_an_offset_names_the_same_instant(naive: datetime, offset_minutes: int) -> None:
    there = naive.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    utc = there.astimezone(UTC)

    assert to_epoch_ms(there.isoformat()) == to_epoch_ms(utc.isoformat())
