import pytest
from msgspec import Struct

from streams.codec import DamagedSnapshotError, decode, encode
from streams.series.watch_spec import WatchSpec


class _Other(Struct):
    role: str
    reference_rows: int


@pytest.mark.parametrize(
    ("field", "value"), [("role", "other"), ("kind", "text"), ("reference_rows", 10)]
)
def test_a_spec_names_what_is_wrong_with_it(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        WatchSpec(**{"role": "feature", field: value})  # type: ignore[arg-type] # on purpose


def test_a_series_is_watched_from_the_first_stage_below_its_reference() -> None:
    assert WatchSpec(role="feature").first_stages == (200, 500, 1_000, 2_000)
    assert WatchSpec(role="feature", reference_rows=500).first_stages == (200, 500)


def test_an_error_needs_half_as_many_values_after_an_alarm() -> None:
    assert WatchSpec(role="feature").later_stages(1) == (1_000, 2_000)
    assert WatchSpec(role="error").later_stages(1) == (1_000,)
    assert WatchSpec(role="error").later_stages(4) == (1_000, 2_000, 4_000)


def test_a_stored_spec_is_checked_again() -> None:
    data = encode(WatchSpec(role="feature", reference_rows=250))

    assert decode(data, WatchSpec) == WatchSpec(role="feature", reference_rows=250)
    with pytest.raises(DamagedSnapshotError, match="reference_rows"):
        decode(encode(_Other(role="feature", reference_rows=10)), WatchSpec)
