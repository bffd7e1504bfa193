"""What the plain form takes, pydantic takes too, and writes in the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from schemas.fast import (
    PlainOutcome,
    PlainPrediction,
    ReadEvent,
    encode,
    read_plain_outcome,
    read_plain_prediction,
)
from schemas.outcome import Outcome
from schemas.prediction import Prediction
from tests.doubles import strategies
from tests.doubles.corpus import BadInput, bad_inputs
from tests.doubles.inputs import START_MS, outcome, prediction

# Numbers and texts as other languages write them, and as attackers do.
TOKENS = [
    r"0",
    r"-0",
    r"-0.0",
    r"1.0",
    r"1e5",
    r"1E5",
    r"1e-400",
    r"1e400",
    r"-1e400",
    r"1e308",
    r"5e-324",
    r"1.7976931348623157e308",
    r"1.7976931348623159e308",
    r"9223372036854775807",
    r"9223372036854775808",
    r"-9223372036854775808",
    r"-9223372036854775809",
    r"0.1e1",
    r"18446744073709551615",
    r"18446744073709551616",
    r"123456789012345678901234567890",
    r"01",
    r"1.",
    r".5",
    r"+1",
    r"1_0",
    r"0x1",
    r"NaN",
    r"Infinity",
    r"nul",
    r"true",
    r"null",
    r'""',
    r'"a"',
    r'"1"',
    r'"\ud800"',
    r'"\ud83d\ude00"',
    r'"\u0000"',
    r'"\x"',
    r"{}",
    r"[]",
    r"[1]",
    r'{"a":1}',
]
FIELDS = [
    "prediction_id",
    "model_id",
    "predicted_at",
    "prediction",
    "score",
    "scores",
    "model_version",
    "features",
    "segment",
    "status",
    "latency_ms",
    "explanation",
    "outcome",
    "value",
    "source",
    "observed_at",
    "x",
]
BASE = {"prediction": prediction(), "outcome": outcome()}
READS: dict[str, tuple[Callable[[bytes], ReadEvent | None], type[BaseModel]]] = {
    "prediction": (read_plain_prediction, Prediction),
    "outcome": (read_plain_outcome, Outcome),
}


def slowly(model: type[BaseModel], value: bytes) -> bytes | None:
    try:
        event = model.model_validate_json(value)
    except ValidationError:
        return None
    return encode(event.model_dump(include=event.model_fields_set))


def agree(kind: str, value: bytes) -> ReadEvent | None:
    """Return what the plain form makes of a value, which must be what pydantic makes of it."""
    read, model = READS[kind]
    plain = read(value)
    if plain is not None:
        assert plain[2] == slowly(model, value)
        event = orjson.loads(plain[2])  # as the monitor will
        at_ms = event["predicted_at" if kind == "prediction" else "observed_at"]
        assert plain[:2] == (event["model_id"], at_ms)
        assert b"\n" not in plain[2]
    return plain


@given(strategies.predictions)
def test_a_prediction_without_unknown_fields_is_plain(event: strategies.Json) -> None:
    known = {name: value for name, value in event.items() if not name.startswith("x-")}

    assert agree("prediction", orjson.dumps(known)) is not None


@given(strategies.outcomes)
def test_an_outcome_without_unknown_fields_is_plain(event: strategies.Json) -> None:
    known = {name: value for name, value in event.items() if not name.startswith("x-")}

    assert agree("outcome", orjson.dumps(known)) is not None


@given(st.sampled_from(sorted(READS)), strategies.spoilt() | st.binary(max_size=100))
def test_what_is_spoilt_is_plain_only_where_it_is_valid(kind: str, value: bytes) -> None:
    agree(kind, value)


def agree_with(kind: str, fields: Sequence[tuple[str, str]]) -> None:
    """Put fields after and before those of a plain event, which has some of them already."""
    lines = [f'"{name}":{token}' for name, token in fields]
    first = BASE[kind].decode().removesuffix("}")

    agree(kind, f"{','.join([first, *lines])}}}".encode())
    agree(kind, f"{{{','.join([*lines, first[1:]])}}}".encode())


@pytest.mark.parametrize("kind", sorted(READS))
def test_any_field_with_any_token_is_read_alike(kind: str) -> None:
    for field in product(FIELDS, TOKENS):
        agree_with(kind, [field])


@given(
    st.sampled_from(sorted(READS)),
    st.lists(st.tuples(st.sampled_from(FIELDS), st.sampled_from(TOKENS)), min_size=2, max_size=3),
)
@example("prediction", [("prediction", "1"), ("prediction", "2")])
@settings(max_examples=200)
def test_any_fields_together_are_read_alike(kind: str, fields: list[tuple[str, str]]) -> None:
    agree_with(kind, fields)


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("field", ["features", "scores", "explanation", "segment"])
def test_any_token_under_a_name_is_read_alike(field: str, token: str) -> None:
    first = BASE["prediction"].decode().removesuffix("}")

    agree("prediction", f'{first},"{field}":{{"a":{token}}}}}'.encode())
    agree("prediction", f'{first},"{field}":{{{token}:1}}}}'.encode())
    agree("prediction", f'{first},"{field}":{{"a":1,"a":{token}}}}}'.encode())


@pytest.mark.parametrize("bad", bad_inputs(), ids=lambda bad: bad.says)
def test_no_bad_input_is_plain(bad: BadInput) -> None:
    reads = READS.get(bad.kind)

    assert reads is None or reads[0](bad.value) is None


@pytest.mark.parametrize(
    "event",
    [
        prediction(unknown=1),
        prediction(prediction=2**63),
        prediction().replace(b"{", b'{"features":{"f":18446744073709551616},'),
        prediction(features={"": 1}),
        prediction(features={str(n): 1 for n in range(1_001)}),
        prediction(segment={str(n): "x" for n in range(33)}),
        prediction(prediction_id="p" * 257),
        prediction(predicted_at="2026-01-01"),
        prediction(predicted_at=float(START_MS)),
    ],
)
def test_what_is_at_a_limit_is_left_to_pydantic(event: bytes) -> None:
    assert read_plain_prediction(event) is None


def test_the_forms_have_the_same_fields_in_the_same_order() -> None:
    for form, model in ((PlainPrediction, Prediction), (PlainOutcome, Outcome)):
        assert form.__struct_encode_fields__ == tuple(model.model_fields)
