from typing import Any

import orjson
import pytest

from schemas.event import Source
from streams.ingest.accept import accept
from streams.ingest.records import Accepted
from streams.ingest.unread import MAX_CHARACTERS, unread_fields
from tests.doubles.inputs import OUTCOMES, PREDICTIONS, outcome, prediction, raw


def kept(value: bytes, source: Source = PREDICTIONS) -> dict[str, object]:
    event = accept(raw(value, source=source))
    assert isinstance(event, Accepted)
    payload: dict[str, object] = orjson.loads(event.payload)
    return payload


def test_of_a_prediction_without_features_the_names_of_unknown_fields_are_kept() -> None:
    payload = kept(prediction(age=31, income=1_200.5, city="Oslo", rooms=3))

    assert payload["unread"] == {"fields": 4, "names": ["age", "income", "city"]}
    assert payload.keys().isdisjoint({"age", "income", "city", "rooms"})
    assert b"Oslo" not in orjson.dumps(payload)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"predicted_at": "2026-01-05T00:00:00Z", "latency_ms": 3, "features": {}},
        {"inputs": {"age": 31}, "features": {"age": 31}},
    ],
)
def test_nothing_is_kept_where_there_are_features_or_no_unknown_fields(
    fields: dict[str, Any],
) -> None:
    assert "unread" not in kept(prediction(**fields))


def test_what_a_producer_writes_as_unread_is_an_unknown_field() -> None:
    payload = kept(prediction(unread={"fields": 9, "names": ["secret"]}))

    assert payload["unread"] == {"fields": 1, "names": ["unread"]}


def test_an_outcome_has_no_features() -> None:
    assert "unread" not in kept(outcome("p1", note="x"), OUTCOMES)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("x" * 40, "x" * (MAX_CHARACTERS - 1) + "…"),
        ("a\nb", "a\\u000ab"),
        ("\u202ertl", "\\u202ertl"),
        ("\x1b[31m", "\\u001b[31m"),
        ("hinta (€)", "hinta (€)"),
    ],
)
def test_names_are_short_and_printable(name: str, shown: str) -> None:
    fields = unread_fields(orjson.dumps({name: 1}))

    assert fields is not None
    assert fields["names"] == [shown]
