"""Outputs are CloudEvents 1.0 in Kafka's binary mode."""

from datetime import UTC, datetime

import orjson
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event

from schemas.cloudevents import NO_HEADERS, EventHeaders, event_type, schema_uri
from schemas.describe import OUTPUTS, json_schemas
from schemas.topics import Topic, Topics
from tests.doubles.core import watch
from tests.doubles.inputs import START_MS
from tests.doubles.story import story
from tests.golden.examples import golden

EVENTS = {event: topic for topic in Topics().table() for event in topic.events}


def parsed(topic: Topic, value: bytes, at_ms: int | None = START_MS):  # type: ignore[no-untyped-def]
    """Return a record as the SDK of CloudEvents reads it."""
    headers = EventHeaders.of_topic(topic).of(value, b"car_loan", at_ms)
    assert len(dict(headers)) == len(headers)
    return from_binary_event(KafkaMessage(dict(headers), b"car_loan", value))


def test_every_output_is_an_event_with_a_schema_of_its_own() -> None:
    assert EVENTS.keys() == OUTPUTS.keys()
    for name, model in OUTPUTS.items():
        assert event_type(name) == model.model_fields["type"].default
        schema = orjson.loads(json_schemas()[f"{name}.json"])
        assert schema["$id"] == schema_uri(name)


@pytest.mark.parametrize("name", [name for name in EVENTS if name != "status"])
def test_the_sdk_reads_an_output_with_our_id_our_type_and_log_time(name: str) -> None:
    value = golden()[f"{name}.json"]
    topic = EVENTS[name]

    event = parsed(topic, value)

    assert event.get_id() == orjson.loads(value)[f"{name}_id"]
    assert (event.get_type(), event.get_specversion()) == (event_type(name), "1.0")
    assert (event.get_source(), event.get_subject()) == (f"/{topic.name}", "car_loan")
    assert event.get_time() == datetime.fromtimestamp(START_MS / 1_000, UTC)
    assert event.get_dataschema() == schema_uri(name)
    assert event.get_data() == orjson.loads(value)


def test_a_status_has_the_id_and_the_instant_of_its_alert_whenever_it_is_published() -> None:
    value = golden()["status.json"]
    alert = orjson.loads(value)["alert"]

    first, again = (parsed(EVENTS["status"], value, at_ms) for at_ms in (START_MS, START_MS + 5))

    assert first.get_id() == alert["alert_id"]
    assert first.get_attributes() == again.get_attributes()


def test_a_deletion_is_no_event() -> None:
    assert EventHeaders.of_topic(EVENTS["status"]).of(b"", b"m", START_MS) == NO_HEADERS


@pytest.mark.parametrize("name", ['a"b', "a\\", "ü\n", "a/1"])
def test_an_id_is_read_as_json_has_it(name: str) -> None:
    value = orjson.dumps({"type": "tidegauge.labelled.v1", "labelled_id": name, "x": 1})

    headers = dict(EventHeaders.of_topic(EVENTS["labelled"]).of(value, b"m", START_MS))

    assert headers["ce_id"].decode() == name


def test_the_sdk_reads_all_that_a_story_publishes() -> None:
    played = watch(story())

    for name, topic in EVENTS.items():
        for value in played.bytes_of(topic.role):
            if value:
                assert parsed(topic, value).get_type() == f"tidegauge.{name}.v1"


def test_a_topic_that_is_only_ours_has_no_events() -> None:
    (log,) = (topic for topic in Topics().table() if topic.role == "events")

    with pytest.raises(ValueError, match=r"tidegauge\.events are no events"):
        EventHeaders.of_topic(log)
