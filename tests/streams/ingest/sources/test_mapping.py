"""Records become events, are skipped, or are refused."""

import base64
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import yaml

from schemas.event import Source
from schemas.wire import MAX_PAYLOAD_BYTES
from streams.ingest.records import Accepted, Refused
from streams.ingest.sources.mapping import Item, MappedTopic
from streams.ingest.sources.source_map import parse_sources
from tests.doubles.inputs import START_MS

SOURCE = Source("prediction", "scores", 3)
BOTH = """
sources:
- topic: scores
  when: value.label != null
  as: prediction
  fields: {prediction_id: value.id, model_id: "'m'", prediction: value.label}
- topic: scores
  when: value.truth != null
  as: outcome
  fields: {prediction_id: value.id, model_id: "'m'", outcome: value.truth}
"""
ROWS = """
sources:
- topic: scores
  as: prediction
  each: value.rows
  fields:
    prediction_id: join('-', [value.id, to_string(index)])
    model_id: "'m'"
    predicted_at: value.at
    prediction: item.label
    features: item.features
"""


@dataclass
class Record:
    """A record as a Kafka client returns it."""

    value: bytes | None
    offset: int = 7
    timestamp: int = START_MS
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int = 3


def topic_of(text: str) -> MappedTopic:
    sources = parse_sources(yaml.safe_load(text))
    return MappedTopic(
        sources.by_topic["scores"],
        halves=sources.has_inputs,
        max_payload_bytes=MAX_PAYLOAD_BYTES,
    )


def read(
    text: str, value: Any, now_ms: int | None = START_MS + 60_000, **record: Any
) -> list[Item]:
    given = value if isinstance(value, bytes | None) else orjson.dumps(value)
    return topic_of(text).accept(SOURCE, Record(given, **record), now_ms)


def events(items: list[Item]) -> list[dict[str, Any]]:
    return [orjson.loads(item.payload) for item in items if isinstance(item, Accepted)]


def details(items: list[Item]) -> list[str]:
    return [item.letter.detail for item in items if isinstance(item, Refused)]


# Rules 1 and 2


def test_a_record_with_a_prediction_and_its_truth_becomes_both() -> None:
    items = read(BOTH, {"id": 1, "label": "no", "truth": "yes"})

    assert [item.source.kind for item in items] == ["prediction", "outcome"]
    assert {item.source.name for item in items} == {SOURCE.name}
    assert [item.item for item in items] == [0, 1]
    assert events(items)[1] == {
        "prediction_id": "1",
        "model_id": "m",
        "observed_at": START_MS,
        "outcome": "yes",
    }


@pytest.mark.parametrize("value", [None, {"id": 1}, {"id": 1, "label": None}, 7, "text", [1]])
def test_a_record_that_no_source_takes_is_skipped_and_counted(value: Any) -> None:
    topic = topic_of(BOTH)
    given = None if value is None else orjson.dumps(value)

    assert topic.accept(SOURCE, Record(given), START_MS) == []
    assert topic.skipped == 1


@pytest.mark.parametrize("path", ["value.truth", "text(value.truth)"])
def test_outcomes_of_a_source_may_say_that_the_last_one_counts(path: str) -> None:
    text = BOTH.replace("as: outcome", "as: outcome\n  corrections: last")

    [event] = events(
        read(text.replace("outcome: value.truth", f"outcome: {path}"), {"id": 1, "truth": "yes"})
    )

    assert (event["outcome"], event["corrections"]) == ("yes", "last")


def test_the_first_source_of_a_kind_takes_a_record() -> None:
    text = (
        BOTH
        + """
- topic: scores
  as: prediction
  fields: {prediction_id: value.id, model_id: "'other'", prediction: "'none'"}
"""
    )
    assert [event["model_id"] for event in events(read(text, {"id": 1, "label": 1}))] == ["m"]
    assert [event["model_id"] for event in events(read(text, {"id": 1}))] == ["other"]


def test_a_condition_that_cannot_be_computed_does_not_hold() -> None:
    text = BOTH.replace("value.label != null", "starts_with(value.label, 'a')")

    assert [item.source.kind for item in read(text, {"id": 1, "label": 5, "truth": 1})] == [
        "outcome"
    ]


@pytest.mark.parametrize("text", [ROWS, BOTH])
def test_a_timestamp_of_1970_is_no_time(text: str) -> None:
    topic = topic_of(text)
    value = {"id": "r", "label": 2, "at": START_MS, "rows": [{"label": 1}]}
    record = Record(orjson.dumps(value), timestamp=START_MS // 1_000)

    [item] = topic.accept_all(SOURCE, [record], START_MS + 60_000)

    if text == ROWS:
        assert isinstance(item, Accepted)
        assert item.logged_at == START_MS
    else:
        assert details([item]) == [
            "predicted_at: the map leaves it to the record's time, and the record has none"
        ]


def test_a_source_gives_what_people_report() -> None:
    text = """
sources:
- topic: scores
  when: value.kind == 'complaint'
  as: report
  fields: {report_id: value.ticket, prediction_id: value.call, model_id: "'m'", because: value.text}
"""
    value = {"kind": "complaint", "ticket": 5, "call": 7, "text": "not mine"}

    items = read(text, value)

    assert [item.source.kind for item in items] == ["report"]
    assert events(items) == [
        {
            "report_id": "5",
            "prediction_id": "7",
            "model_id": "m",
            "at": START_MS,
            "because": "not mine",
        }
    ]


# Rule 3


def test_one_record_becomes_many_events_which_are_numbered() -> None:
    rows = [{"label": label, "features": {"x": label}} for label in (1, 2, 3)]

    items = read(ROWS, {"id": "r", "at": START_MS, "rows": rows})

    assert [(item.offset, item.item) for item in items] == [(7, 0), (7, 1), (7, 2)]
    assert [event["prediction_id"] for event in events(items)] == ["r-0", "r-1", "r-2"]


def test_one_row_that_is_wrong_costs_no_other() -> None:
    rows = [{"label": 1}, {"label": [1]}, {"label": 3}]

    items = read(ROWS, {"id": "r", "at": START_MS, "rows": rows})

    assert [event["prediction"] for event in events(items)] == [1, 3]
    (refused,) = (item for item in items if isinstance(item, Refused))
    assert refused.letter.dead_letter_id == "scores/3/7#1"
    assert (refused.letter.offset, refused.letter.item) == (7, 1)
    assert refused.letter.detail.startswith("prediction: must be")


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (b"{", "not JSON"),
        ({"id": "r", "at": START_MS}, "sources[0].each: it gives no list"),
        ({"id": "r", "at": START_MS, "rows": {"a": 1}}, "sources[0].each: it gives no list"),
        ({"at": START_MS, "rows": [{"label": 1}]}, "prediction_id: join cannot take such a value"),
        ({"id": "r", "rows": [{"label": 1}]}, "predicted_at: is required, and is missing"),
    ],
)
def test_a_record_that_cannot_be_mapped_is_refused_with_the_field(value: Any, detail: str) -> None:
    assert [found[: len(detail)] for found in details(read(ROWS, value))] == [detail]


def test_the_dead_letter_holds_the_record_and_its_model_is_told() -> None:
    (refused,) = read(BOTH, {"id": 1, "label": ["S3CR3T"]})

    assert isinstance(refused, Refused)
    assert orjson.loads(refused.letter.value) == {"id": 1, "label": ["S3CR3T"]}
    assert "S3CR3T" not in refused.letter.detail
    assert refused.event is not None
    assert refused.event.source.kind == "refused"


# Rule 4


def test_an_event_without_an_instant_has_that_of_its_record() -> None:
    assert events(read(BOTH, {"id": 1, "label": 1}))[0]["predicted_at"] == START_MS
    assert details(read(BOTH, {"id": 1, "label": 1}, timestamp=-1)) == [
        "predicted_at: the map leaves it to the record's time, and the record has none"
    ]


def test_the_log_dates_an_event_by_the_earlier_of_record_and_clock() -> None:
    value = {"id": 1, "label": 1}

    assert read(BOTH, value, now_ms=START_MS + 5)[0].logged_at == START_MS
    assert read(BOTH, value, now_ms=START_MS - 5)[0].logged_at == START_MS - 5


# Envelopes


ENVELOPES = [
    {"schema": {"type": "struct"}, "payload": {"id": 1, "label": 1}},
    {"specversion": "1.0", "id": "a", "source": "b", "type": "c", "data": {"id": 1, "label": 1}},
    {
        "specversion": "1.0",
        "id": "a",
        "source": "b",
        "type": "c",
        "data_base64": base64.b64encode(b'{"id": 1, "label": 1}').decode(),
    },
]


@pytest.mark.parametrize("value", ENVELOPES)
def test_an_envelope_that_says_nothing_of_its_own_is_taken_off(value: Any) -> None:
    assert [event["prediction_id"] for event in events(read(BOTH, value))] == ["1"]


def test_attributes_of_a_structured_event_are_headers() -> None:
    text = BOTH.replace("prediction_id: value.id", "prediction_id: headers.ce_id", 1)

    assert events(read(text, ENVELOPES[1]))[0]["prediction_id"] == "a"


def test_a_byte_order_mark_and_lines_of_json_are_read() -> None:
    text = (
        ROWS.replace("value.rows", "value")
        .replace("value.id", "item.id")
        .replace("value.at", "item.at")
    )
    line = orjson.dumps({"id": "r", "at": START_MS, "label": 1})

    assert len(events(read(text, b"\xef\xbb\xbf" + line + b"\n" + line + b"\n"))) == 2


def test_what_is_zipped_is_unzipped_and_a_bomb_is_refused() -> None:
    text = BOTH.replace("  when", "  decode: gzip+json\n  when")
    value = gzip.compress(b'{"id": 1, "label": 1}')

    assert len(events(read(text, value))) == 1
    assert details(read(text, value[:-9])) == ["the gzip data ends early"]
    assert details(read(text, gzip.compress(b" " * 17_000_000)))[0].startswith("more than 16,777")
