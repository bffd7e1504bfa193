from __future__ import annotations

import orjson
import pytest

from schemas.event import Source
from schemas.model_spec import ModelSpec, SpecError
from streams.ingest.accept import accept
from streams.ingest.records import Accepted, Raw, Refused
from streams.ingest.spec_record import read_spec_record
from streams.series.offline import profile
from streams.series.profile_check import check_profile
from streams.series.watch_spec import WatchSpec
from tests.doubles.core import Json
from tests.doubles.inputs import START_MS


def read(value: object, key: bytes | None = b"m") -> Json:
    data = orjson.dumps(value)
    model_id, payload = read_spec_record(key, data)
    event: Json = orjson.loads(payload)
    assert event["model_id"] == model_id
    return event


def test_a_spec_travels_with_what_was_given_and_no_more() -> None:
    event = read({"alert_budget": 1, "features": {"ignore": ["row_id"]}})

    assert event == {
        "model_id": "m",
        "spec": {"alert_budget": 1.0, "features": {"ignore": ["row_id"]}, "model_id": "m"},
    }


@pytest.mark.parametrize("key", [None, b"", b"m"])
def test_a_spec_may_name_its_model_itself(key: bytes | None) -> None:
    assert read({"model_id": "m"}, key)["model_id"] == "m"


def test_a_record_without_a_value_removes_the_model_of_its_key() -> None:
    assert read_spec_record(b"m", None) == ("m", b'{"model_id":"m","spec":null}')


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (b"m", b"{", "the spec is not JSON"),
        (b"m", b"", "the spec is not JSON"),
        (b"m", b'{"alert_budget": NaN}', "the spec is not JSON"),
        (
            b"m",
            b'{"alert_budget": -1}',
            "alert_budget: Input should be greater than or equal to 0.000001, got -1",
        ),
        (b"m", b'{"alert_bugdet": 1}', "alert_bugdet: unknown field; did you mean alert_budget?"),
        (b"m", b'{"model_id": "n"}', "model_id: is 'n', and the record's key 'm'"),
        (b"m", b"[]", "the spec: Input should be a valid dictionary"),
        (None, b"{}", "model_id: missing"),
        (None, None, "its key must name the model"),
        (b"\xff", None, "the record's key is not UTF-8"),
        (b"m" * 257, None, "the record's key has 257 characters"),
        (
            b"m",
            b'{"reference": {"profile": {"feature/a": {"reference": {}, "state": "x"}}}}',
            "reference.profile.feature/a.state: is not what",
        ),
        (
            b"m",
            b'{"reference": {"profile": {"age": {"reference": {}, "state": "x"}}}}',
            "reference.profile.age: no such series",
        ),
    ],
)
def test_a_mistake_is_named_with_field_value_and_remedy(
    key: bytes | None, value: bytes | None, said: str
) -> None:
    with pytest.raises(SpecError) as caught:
        read_spec_record(key, value, check_profile)

    assert said in str(caught.value)


def test_a_long_value_is_not_repeated_in_full() -> None:
    with pytest.raises(SpecError) as caught:
        read_spec_record(b"m", orjson.dumps({"task": "x" * 100_000}))

    assert len(str(caught.value)) < 300


def test_a_profile_of_this_version_is_let_in() -> None:
    made = profile(WatchSpec(role="error"), [0.0, 1.0] * 200)

    check_profile(ModelSpec.model_validate({"reference": {"profile": {"error": made}}}))


WITH_PROFILE = b'{"reference": {"profile": {"score": {"reference": {}, "state": "x"}}}}'


def test_without_a_check_no_profile_is_taken() -> None:
    with pytest.raises(SpecError, match="profiles are not taken here"):
        read_spec_record(b"m", WITH_PROFILE)


def test_a_profile_is_checked_by_the_function_that_ingest_was_given() -> None:
    checked: list[ModelSpec] = []
    raw = Raw(Source("spec", "models", 0), 0, START_MS, WITH_PROFILE, b"m")

    assert isinstance(accept(raw, check_profile=checked.append), Accepted)
    assert isinstance(accept(raw, check_profile=check_profile), Refused)
    assert [list(spec.reference.profile) for spec in checked] == [["score"]]
