import hashlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.event import Source
from schemas.outcome import Outcome
from schemas.prediction import Prediction
from schemas.wire import MAX_PAYLOAD_BYTES
from streams.ingest.accept import accept
from streams.ingest.dead_letter import SHOWN_BYTES
from streams.ingest.records import Accepted, Raw, Refused
from tests.doubles import strategies
from tests.doubles.corpus import MARK, BadInput, bad_inputs
from tests.doubles.inputs import (
    CONTROLS,
    OUTCOMES,
    PREDICTIONS,
    START_MS,
    accepted,
    control,
    outcome,
    prediction,
    raw,
)

CORPUS = bad_inputs()


def refused(record: Raw) -> Refused:
    result = accept(record)
    assert isinstance(result, Refused)
    return result


def source_of(kind: str) -> Source:
    return PREDICTIONS if kind == "prediction" else OUTCOMES


# Rule 1


def test_what_is_too_large_is_refused_before_it_is_decoded() -> None:
    value = b"\xff" * (MAX_PAYLOAD_BYTES + 1)

    assert refused(raw(value)).letter.reason == "too_large"


def test_the_largest_payload_is_read() -> None:
    value = prediction(x="")
    value = prediction(x="x" * (MAX_PAYLOAD_BYTES - len(value)))

    assert len(value) == MAX_PAYLOAD_BYTES
    assert isinstance(accept(raw(value)), Accepted)


def test_the_limit_of_size_can_be_set() -> None:
    result = accept(raw(prediction()), max_payload_bytes=10)

    assert isinstance(result, Refused)
    assert result.letter.detail.endswith("at most 10 are taken")


# Rule 2


@pytest.mark.parametrize("bad", CORPUS, ids=lambda bad: bad.says)
def test_a_bad_input_becomes_one_dead_letter_with_its_reason(bad: BadInput) -> None:
    letter = refused(Raw(source_of(bad.kind), 41, START_MS, bad.value)).letter

    assert letter.reason == bad.reason
    assert bad.field is None or letter.detail.startswith(f"{bad.field}: ")


@pytest.mark.parametrize("bad", CORPUS, ids=lambda bad: bad.says)
def test_a_dead_letter_says_where_the_input_is_and_what_it_is(bad: BadInput) -> None:
    source = Source(bad.kind, "somewhere", 7)

    letter = refused(Raw(source, 41, START_MS, bad.value)).letter

    assert (letter.topic, letter.partition, letter.offset) == ("somewhere", 7, 41)
    assert letter.dead_letter_id == "somewhere/7/41"
    assert letter.size == len(bad.value)
    assert letter.sha256 == hashlib.sha256(bad.value).hexdigest()
    assert letter.value == bad.value[:SHOWN_BYTES].decode(errors="replace")
    assert letter.is_truncated == (len(bad.value) > SHOWN_BYTES)


@pytest.mark.parametrize("bad", CORPUS, ids=lambda bad: bad.says)
def test_the_detail_of_a_dead_letter_never_holds_the_value(bad: BadInput) -> None:
    letter = refused(Raw(source_of(bad.kind), 41, START_MS, bad.value)).letter

    assert MARK not in letter.detail
    assert len(letter.detail) < 500


def test_the_corpus_would_notice_a_detail_that_holds_the_value() -> None:
    assert sum(MARK.encode() in bad.value for bad in CORPUS) >= 10


def test_a_record_without_a_value_is_refused_as_empty() -> None:
    letter = refused(raw(None)).letter

    assert (letter.reason, letter.size) == ("empty", 0)
    assert letter.sha256 == hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize(
    ("instant", "remedy"),
    [
        (START_MS // 1_000, "epoch seconds must be sent as milliseconds"),
        (START_MS * 1_000, "epoch micro- or nanoseconds must be sent as milliseconds"),
        ("2026-01-01T00:00:00", "with an offset, like 2026-03-01T12:00:00Z"),
    ],
)
def test_an_instant_in_another_unit_is_refused_with_the_remedy(
    instant: object, remedy: str
) -> None:
    assert remedy in refused(raw(prediction(predicted_at=instant))).letter.detail


@pytest.mark.parametrize("field", ["prediction_id", "model_id", "predicted_at"])
def test_a_field_that_is_missing_is_said_to_be_required(field: str) -> None:
    event = orjson.loads(prediction())
    del event[field]

    assert (
        refused(raw(orjson.dumps(event))).letter.detail == f"{field}: is required, and is missing"
    )


@pytest.mark.parametrize("fields", [{}, {"status": "ok"}, {"prediction": None}])
def test_an_answer_is_required_where_somebody_answered(fields: dict[str, object]) -> None:
    event = orjson.loads(prediction())
    del event["prediction"]

    detail = refused(raw(orjson.dumps(event | fields))).letter.detail

    assert detail == "prediction: is required, unless status is fallback or error"


@pytest.mark.parametrize("status", ["error", "fallback"])
@pytest.mark.parametrize("fields", [{}, {"prediction": None}])
def test_it_is_not_where_nobody_did(status: str, fields: dict[str, object]) -> None:
    event = orjson.loads(prediction(status=status))
    del event["prediction"]

    taken = accept(raw(orjson.dumps(event | fields)))

    assert isinstance(taken, Accepted)
    assert orjson.loads(taken.payload) == event | {"prediction": None}


@pytest.mark.parametrize(
    ("field", "value", "detail"),
    [
        ("prediction", {"a": 1}, "a boolean or a finite number; it is an object"),
        ("prediction", [1], "a boolean or a finite number; it is an array"),
        ("prediction_id", None, "a string of 1 to 256 characters; it is null"),
        ("prediction_id", 7.5, "must be a string of 1 to 256 characters"),
    ],
)
def test_a_detail_is_about_the_field_that_it_names_in_the_words_of_json(
    field: str, value: object, detail: str
) -> None:
    fields: dict[str, Any] = {field: value}
    said = refused(raw(prediction(**fields))).letter.detail

    assert said.startswith(field)
    assert said.endswith(detail)


def test_a_number_that_is_not_finite_is_said_to_be_none() -> None:
    said = refused(raw(prediction(prediction=1.5).replace(b"1.5", b"NaN"))).letter.detail

    assert said.startswith("prediction: must be ")
    assert said.endswith("it is no finite number")


def test_the_same_record_gives_the_same_dead_letter() -> None:
    first, second = refused(raw(b"{")).letter, refused(raw(b"{")).letter

    assert first.model_dump_json() == second.model_dump_json()


def test_a_dead_letter_of_any_bytes_is_json() -> None:
    letter = refused(raw(bytes(range(256)) * 4)).letter

    assert orjson.loads(letter.model_dump_json())["is_truncated"] is True


@given(st.binary(max_size=200) | strategies.spoilt())
def test_any_bytes_are_either_an_event_or_one_dead_letter(value: bytes) -> None:
    result = accept(raw(value, offset=3))

    assert (result.source, result.offset, result.logged_at) == (PREDICTIONS, 3, START_MS + 3)
    if isinstance(result, Accepted):
        assert accept(raw(result.payload)) == accept(raw(result.payload))
        assert b"\n" not in result.payload
    else:
        assert result.letter.size == len(value)


def test_a_bad_input_does_not_harm_the_next_good_one() -> None:
    for bad in CORPUS:
        accept(Raw(source_of(bad.kind), 0, START_MS, bad.value))

        assert isinstance(accept(raw(prediction())), Accepted)


# Rule 3


def test_both_forms_of_an_instant_travel_on_as_one() -> None:
    as_text = accepted(prediction(predicted_at="2026-01-01T01:00:00+01:00"))
    as_number = accepted(prediction(predicted_at=START_MS))

    assert as_text.payload == as_number.payload
    assert as_text.at_ms == START_MS


def test_an_outcome_is_dated_by_its_own_instant() -> None:
    assert accepted(outcome(observed_at=START_MS + 5)).at_ms == START_MS + 5


def test_unknown_fields_are_left_behind() -> None:
    features = {"age": 31}
    event = accepted(prediction(tenant="acme", nested={"a": [1, {"b": None}]}, features=features))

    assert event.payload == accepted(prediction(features=features)).payload


def test_fields_that_were_not_sent_are_not_added() -> None:
    assert orjson.loads(accepted(prediction()).payload).keys() == {
        "prediction_id",
        "model_id",
        "predicted_at",
        "prediction",
    }


@pytest.mark.parametrize(
    "answer", [True, False, 0, 1, -(2**63), 2**63 - 1, 0.0, -0.5, 1e300, "", "0.5", "true", "ü\n\0"]
)
def test_a_label_keeps_its_type_and_value(answer: object) -> None:
    read = orjson.loads(accepted(prediction(prediction=answer)).payload)["prediction"]

    assert (type(read), read) == (type(answer), answer)


@pytest.mark.parametrize("value", [None, True, 0, 1.0, "", "1"])
def test_a_feature_keeps_its_type_and_value(value: object) -> None:
    read = orjson.loads(accepted(prediction(features={"f": value})).payload)["features"]["f"]

    assert (type(read), read) == (type(value), value)


def test_the_longest_and_the_most_are_taken() -> None:
    event = prediction(
        prediction_id="p" * 256,
        prediction="x" * 1_024,
        features={f"f{i:03}": "ü" * 50 for i in range(1_000)},
        segment={f"s{i}": "x" for i in range(32)},
    )

    assert isinstance(accept(raw(event)), Accepted)


@given(strategies.predictions)
def test_an_accepted_prediction_reads_back_to_the_same_event(event: strategies.Json) -> None:
    value = orjson.dumps(event)

    payload = accepted(value, source=PREDICTIONS).payload

    assert b"\n" not in payload
    assert Prediction.model_validate_json(payload) == Prediction.model_validate_json(value)
    kept = orjson.loads(payload)
    kept.pop("unread", None)
    assert orjson.loads(accepted(orjson.dumps(kept), source=PREDICTIONS).payload) == kept


@given(strategies.outcomes)
def test_an_accepted_outcome_reads_back_to_the_same_event(event: strategies.Json) -> None:
    value = orjson.dumps(event)

    payload = accepted(value, source=OUTCOMES).payload

    assert b"\n" not in payload
    assert Outcome.model_validate_json(payload) == Outcome.model_validate_json(value)
    assert accepted(payload, source=OUTCOMES).payload == payload


# What a model is told of what is refused


def told_of(value: bytes, source: Source = PREDICTIONS) -> dict[str, object] | None:
    item = accept(raw(value, 7, source), 10_000)
    assert isinstance(item, Refused)
    if item.event is None:
        return None
    assert item.event.source == replace(source, kind="refused")
    assert item.event.source.name == source.name, "one source, one mark"
    assert item.event.offset == 7
    told: dict[str, object] = orjson.loads(item.event.payload)
    return told


def test_a_model_is_told_that_what_names_it_is_refused_and_nothing_of_what_it_says() -> None:
    assert told_of(prediction(model_id="m", prediction=["secret"])) == {
        "model_id": "m",
        "refused": "prediction",
        "reason": "invalid",
    }


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b'"m"',
        b'{"model_id": 7}',
        b'{"model_id": ""}',
        b'{"model_id": "' + b"m" * 300 + b'"}',
        b'{"prediction_id": "p"}',
        b'{"model_id": "m", "x": ' + b"[" * 3_000 + b"]" * 3_000 + b"}",
        b'{"model_id": "m", "x": "' + b"x" * 20_000 + b'"}',
    ],
)
def test_what_does_not_say_whose_it_is_is_nobodys(value: bytes) -> None:
    assert told_of(value) is None


def test_a_number_that_is_not_finite_does_not_hide_whose_it_is() -> None:
    value = prediction(prediction=1.5).replace(b"1.5", b"NaN")

    assert refused(raw(value)).event is not None


def test_a_control_that_is_refused_is_no_news_of_its_model() -> None:
    assert told_of(control("mark", "f", by=""), CONTROLS) is None


@pytest.mark.parametrize(
    ("value", "envelope"),
    [
        ({"before": None, "after": {}, "op": "c"}, "a Debezium change event"),
        ({"schema": {}, "payload": {}}, "a record of Kafka Connect with its schema"),
        ({"predictions": [1]}, "a response of an inference server"),
        ([{"prediction_id": "1"}], "an array of records"),
    ],
)
def test_a_dead_letter_names_the_envelope_of_another_system(value: object, envelope: str) -> None:
    detail = refused(raw(orjson.dumps(value))).letter.detail

    assert detail.endswith(f"; this looks like {envelope}: see docs/sources.md")
