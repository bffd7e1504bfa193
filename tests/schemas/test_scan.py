"""What the scanner takes for final, `schemas.fast` would write in the same bytes."""

import random
import struct
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from msgspec.json import Encoder

from schemas.event import EventKind
from schemas.fast import encode, read_plain_outcome, read_plain_prediction
from schemas.number_text import FLOAT, INTEGER, ODD, PADDING, address_of, compiled, read_number
from schemas.scan import CHUNK_BYTES, check_all
from schemas.wire import MAX_FEATURES, MAX_NAME, MAX_TEXT
from tests.doubles import strategies
from tests.doubles.inputs import outcome, prediction
from tests.schemas.test_fast import FIELDS, TOKENS

NUMBERS = 5_000
"""Of each form; the figures in docs/decisions/0075 are of 2,000,000."""
READ = {
    "prediction": read_plain_prediction,
    "half": read_plain_prediction,
    "outcome": read_plain_outcome,
}
to_json = Encoder().encode


def is_final(kind: EventKind, value: bytes) -> bool:
    """Scan an event; hold it against msgspec, and return whether it is final."""
    [model_id], [at_ms] = check_all(kind, [value])
    if model_id is not None:
        assert READ[kind](value) == (model_id, at_ms, value)
    return model_id is not None


def final_form(kind: EventKind, value: bytes) -> bytes:
    read = READ[kind](value)
    assert read is not None
    return read[2]


@compiled
def read_all(text: np.ndarray, ends: np.ndarray, kinds: np.ndarray, values: np.ndarray) -> None:
    first = address_of(text)
    at = first
    for row in range(len(ends)):
        after, kinds[row], values[row] = read_number(at)
        if after != first + ends[row]:
            kinds[row] = ODD
        at = first + ends[row] + 1


def read_numbers(texts: list[bytes]) -> tuple[list[int], list[float]]:
    text = b",".join([*texts, bytes(PADDING)])
    ends = np.cumsum([len(each) + 1 for each in texts]) - 1
    kinds, values = np.empty(len(texts), np.int64), np.empty(len(texts))
    read_all(np.frombuffer(text, np.uint8), ends, kinds, values)
    return kinds.tolist(), values.tolist()


def any_doubles(chance: random.Random) -> Iterator[bytes]:
    while True:
        [x] = struct.unpack("d", chance.randbytes(8))
        if x - x == 0:
            yield repr(x).encode()


def usual_doubles(chance: random.Random) -> Iterator[bytes]:
    while True:
        yield to_json(chance.gauss(0, 10 ** chance.uniform(-7, 17)))
        yield to_json(chance.random())


def decimals(chance: random.Random) -> Iterator[bytes]:
    """Yield decimals of up to 19 digits: most are not the shortest text of their double."""
    while True:
        digits = str(chance.randrange(10 ** chance.randint(1, 19)))
        point = chance.randint(1, len(digits))
        sign = chance.choice(["", "-"])
        yield f"{sign}{digits[:point]}.{digits[point:] or '0'}".encode()


def near_halves(chance: random.Random) -> Iterator[bytes]:
    """Yield texts that are a digit or so off the shortest text of a double."""
    while True:
        text = to_json(chance.gauss(0, 10 ** chance.uniform(-3, 15)))
        if b"e" not in text:
            yield text[:-1] + str(chance.randrange(10)).encode()
            yield text + str(chance.randrange(10)).encode()


def integers(chance: random.Random) -> Iterator[bytes]:
    while True:
        yield str(chance.randrange(-(10 ** chance.randint(1, 20)), 10**16)).encode()


@pytest.mark.parametrize("form", [any_doubles, usual_doubles, decimals, near_halves, integers])
def test_a_number_that_is_taken_is_the_final_text_of_its_value(
    form: Callable[[random.Random], Iterator[bytes]],
) -> None:
    source = form(random.Random(23))  # noqa: S311 - a seeded generator is the point
    texts = list(islice(source, NUMBERS))

    kinds, values = read_numbers(texts)

    for text, kind, value in zip(texts, kinds, values, strict=True):
        read = orjson.loads(text)
        if kind == FLOAT:
            assert (struct.pack("d", value), to_json(value)) == (struct.pack("d", read), text)
        elif kind == INTEGER:
            assert (type(read), value, str(read).encode()) == (int, float(read), text)


def test_nearly_all_numbers_in_their_shortest_text_are_taken() -> None:
    source = usual_doubles(random.Random(23))  # noqa: S311 - a seeded generator is the point
    texts = [text for text in islice(source, NUMBERS) if abs(float(text)) < 1e14]

    kinds, _ = read_numbers(texts)

    without = [
        text for text, kind in zip(texts, kinds, strict=True) if kind == ODD and b"e" not in text
    ]
    assert len(without) < NUMBERS / 1_000


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("kind", ["prediction", "outcome"])
def test_an_odd_token_anywhere_is_final_only_if_msgspec_would_write_it(
    kind: EventKind, token: str
) -> None:
    usual = orjson.loads(prediction() if kind == "prediction" else outcome())
    for field in FIELDS:
        value = orjson.dumps(usual | {field: "TOKEN"}).replace(b'"TOKEN"', token.encode())
        is_final(kind, value)
    if kind == "prediction":
        value = orjson.dumps(usual | {"features": {"a": 0.5, "b": "TOKEN", "c": None}})
        is_final(kind, value.replace(b'"TOKEN"', token.encode()))


@given(strategies.predictions)
def test_a_prediction_is_taken_as_msgspec_writes_it(event: strategies.Json) -> None:
    is_final("prediction", orjson.dumps(event))
    if (read := read_plain_prediction(orjson.dumps(event))) is not None:
        is_final("half", read[2])


@given(strategies.outcomes)
def test_an_outcome_is_taken_as_msgspec_writes_it(event: strategies.Json) -> None:
    is_final("outcome", orjson.dumps(event))


@given(strategies.spoilt())
def test_spoilt_bytes_are_taken_only_if_msgspec_would_write_them(value: bytes) -> None:
    is_final("prediction", value)


def test_a_cut_event_is_not_final_whatever_follows_it() -> None:
    whole = final_form("prediction", prediction(features={"a": 0.5, "b": "text"}, score=0.25))
    for cut in range(1, len(whole)):
        parts = [whole[:cut], whole[cut:], whole]

        assert check_all("prediction", parts).models == [None, None, "m"]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"score": 0.25, "model_version": "v2", "variant": "b", "latency_ms": 12.5, "status": "ok"},
        {"score": None, "model_version": None, "latency_ms": None},
        {"features": {}},
        {"features": {"a": 1, "b": 0.1, "c": True, "d": "text", "e": None, "f": False}},
        {"features": {f"name_{number}": number / 7 for number in range(MAX_FEATURES)}},
        {"features": {"n" * MAX_NAME: "t" * MAX_TEXT}},
    ],
)
def test_the_usual_forms_are_final(fields: dict[str, Any]) -> None:
    assert is_final("prediction", final_form("prediction", prediction(**fields)))


@pytest.mark.parametrize(
    "features",
    [
        b'{"a":1,"a":2}',
        b'{"a":1,"b":2,"a":1}',
        b'{"":1}',
        b'{"a":1,}',
        b'{"a":1 }',
        b'{"a":[1]}',
        b'{"a":"\xc3\xa9"}',
        b'{"a":"\\n"}',
        b'{"%b":1}' % (b"n" * (MAX_NAME + 1)),
        b'{"a":"%b"}' % (b"t" * (MAX_TEXT + 1)),
        b"{%b}" % b",".join(b'"n%d":1' % number for number in range(MAX_FEATURES + 1)),
    ],
)
def test_other_features_are_left_to_msgspec(features: bytes) -> None:
    value = orjson.dumps({**orjson.loads(prediction(features={})), "features": {}})
    assert is_final("prediction", final_form("prediction", value))

    assert not is_final("prediction", value.replace(b'"features":{}', b'"features":' + features))


def test_double_names_are_found_also_after_an_event_with_the_same_names_once() -> None:
    once = final_form("prediction", prediction(features={"a": 1, "b": 2}))

    found = check_all("prediction", [once, once.replace(b'"b"', b'"a"'), once])

    assert found.models == ["m", None, "m"]


def test_events_are_scanned_in_chunks_with_the_same_result() -> None:
    some = [final_form("prediction", prediction(prediction_id=f"p-{n}")) for n in range(40)]
    large = final_form("prediction", prediction(features={"a": 1})) + b" " * CHUNK_BYTES
    values = [b"", *some, large, *(some * (CHUNK_BYTES // len(some[0]) // 20)), b""]

    found = check_all("prediction", values)

    one_by_one = [check_all("prediction", [value]) for value in values]
    assert found.models == [each.models[0] for each in one_by_one]
    assert found.instants == [each.instants[0] for each in one_by_one]
    assert found.models.count(None) == 3


def test_other_kinds_are_not_scanned() -> None:
    assert check_all("control", [b"{}", encode({"a": 1})]).models == [None, None]
