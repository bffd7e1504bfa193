"""Features that are read as doubles are those that decoding gives."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fast import encode, read_plain_prediction
from schemas.feature_row import FeatureRow, as_dict, doubles_of, names_of
from schemas.wide_events import LAYOUTS, load_events
from tests.doubles import strategies
from tests.doubles.inputs import outcome, prediction

WIDE = {f"wide_{number}": number / 7 for number in range(100)}


def final(**fields: object) -> bytes:
    read = read_plain_prediction(prediction()[:-1] + b"," + encode(fields)[1:])
    assert read is not None
    return read[2]


def loaded(payloads: list[bytes]) -> list[type]:
    """Decode payloads beside a wide one; return the types of their features."""
    given = [*payloads, *[final(features=WIDE)] * len(payloads)]
    events = load_events(given)
    types = [type(each.get("features")) for each in events]
    whole = [{name: as_dict(value) for name, value in each.items()} for each in events]
    assert whole == [orjson.loads(each) for each in given]
    return types[: len(payloads)]


@given(st.lists(strategies.predictions | strategies.outcomes, min_size=1, max_size=4))
def test_any_event_is_decoded_as_json(events: list[strategies.Json]) -> None:
    loaded([encode(each) for each in events])


@given(strategies.spoilt())
def test_bytes_are_decoded_or_refused_as_json(value: bytes) -> None:
    try:
        event = orjson.loads(value)
    except orjson.JSONDecodeError:
        with pytest.raises(orjson.JSONDecodeError):
            load_events([value, *[final(features=WIDE)] * 2])
    else:
        if isinstance(event, dict):
            loaded([value])


@pytest.mark.parametrize(
    "features",
    [{"a": 1}, {"a": None}, {"a": 1e-7}, {"a": 0.5, "b": "text"}, {"a": True}, {}, {"é": 0.5}],
)
def test_features_that_are_not_all_doubles_are_decoded(features: dict[str, object]) -> None:
    row, event, none = loaded([final(features={"a": 0.5}), final(features=features), outcome()])

    assert (row, event, none) == (FeatureRow, dict, type(None))


def test_predictions_with_other_names_have_rows_of_their_own() -> None:
    payloads = [final(features={f"name_{n}": 0.5, "b": n + 0.5}) for n in range(LAYOUTS + 1)]

    types = loaded([*payloads, *payloads])

    assert types == 2 * [*[FeatureRow] * LAYOUTS, dict]


def test_names_that_stand_twice_are_left_to_the_decoder() -> None:
    value = final(features={"a": 0.5}).replace(b'{"a":0.5}', b'{"a":0.5,"a":1.5}')

    assert loaded([value]) == [dict]


def test_small_events_are_decoded_whole() -> None:
    [event] = load_events([final(features={"a": 0.5})])

    assert event["features"] == {"a": 0.5}


def test_a_record_without_events_has_none() -> None:
    assert load_events([]) == []


def test_features_have_one_form_as_doubles() -> None:
    [_, event] = load_events([final(features=WIDE), final(features={"b": 2.25, "a": -0.0})])
    row = event["features"]

    assert (names_of(row), as_dict(row)) == (("b", "a"), {"b": 2.25, "a": -0.0})
    assert doubles_of(row) == doubles_of({"b": 2.25, "a": -0.0})
    assert doubles_of({"b": 2.25, "a": 1}) is None
