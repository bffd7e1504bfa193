from __future__ import annotations

from collections.abc import Mapping

import pytest

from agents.errors import OperatorError
from agents.kafka.admin import TopicDescription
from agents.kafka.rights import as_commands, as_yaml, lacking, rights
from agents.kafka.watch import TopicRecreatedError, TopicWatch
from agents.settings import Settings, load_settings
from schemas.topics import Part

ALL = 0b1_1111_1111_1000
READ, WRITE = 1 << 3, 1 << 4
SETTINGS = Settings()
EVENTS = SETTINGS.topics.name("events")


def found(**changes: TopicDescription | None) -> dict[str, TopicDescription]:
    topics = {
        topic.role: TopicDescription(4, f"id-of-{topic.role}", is_ready=True, operations=ALL)
        for topic in SETTINGS.topics.table()
    }
    names = {topic.role: topic.name for topic in SETTINGS.topics.table()}
    changed: Mapping[str, TopicDescription | None] = topics | changes
    return {names[role]: topic for role, topic in changed.items() if topic is not None}  # type: ignore[index]


def watch() -> TopicWatch:
    return TopicWatch(SETTINGS, found(), rights(SETTINGS, "worker"))


def topic(**changes: object) -> TopicDescription:
    fields = {"partitions": 4, "topic_id": "id-of-events", "is_ready": True, "operations": ALL}
    return TopicDescription(**fields | changes)  # type: ignore[arg-type]


def test_topics_that_stay_as_they_are_are_no_news() -> None:
    begun = watch()

    for _ in range(3):
        begun.check(found())


def test_a_topic_that_was_made_anew_ends_the_worker_with_its_name() -> None:
    with pytest.raises(TopicRecreatedError, match="'predictions' was deleted and created anew"):
        watch().check(found(predictions=topic(topic_id="another")))


def test_a_topic_counts_as_gone_at_the_third_answer_in_a_row() -> None:
    begun = watch()
    for answer in (found(outcomes=None), found(), *[found(outcomes=None)] * 2):
        begun.check(answer)

    with pytest.raises(OperatorError, match="outcomes: no such topic"):
        begun.check(found(outcomes=None))


def test_more_partitions_of_an_input_are_fine_and_of_the_log_are_not() -> None:
    begun = watch()
    begun.check(found(predictions=topic(partitions=8, topic_id="id-of-predictions")))

    with pytest.raises(OperatorError, match=f"'{EVENTS}' has 8 partitions"):
        begun.check(found(events=topic(partitions=8)))


def test_inputs_by_model_must_have_the_same_number_of_partitions() -> None:
    settings = load_settings(inputs_by_model=True)
    begun = TopicWatch(settings, found(), rights(settings, "worker"))

    with pytest.raises(OperatorError, match="these have: models 4, outcomes 4, predictions 8"):
        begun.check(found(predictions=topic(partitions=8, topic_id="id-of-predictions")))


def test_a_right_that_is_missing_is_named() -> None:
    with pytest.raises(OperatorError, match=f"lacks WRITE on topic {EVENTS} at Kafka"):
        watch().check(found(events=topic(operations=ALL & ~WRITE)))


@pytest.mark.parametrize("field", [0, -(2**31)])
def test_a_broker_that_reports_no_rights_is_not_asked_for_any(field: int) -> None:
    watch().check(found(events=topic(operations=field)))


def test_a_worker_of_one_role_needs_less_than_one_of_both() -> None:
    both = set(rights(SETTINGS, "worker"))
    ingest = set(rights(load_settings(role="ingest"), "worker"))
    monitor = set(rights(load_settings(role="monitor"), "worker"))

    assert ingest | monitor == both
    assert not lacking(ingest, {EVENTS: WRITE | 1 << 10})
    assert [each.name for each in lacking(monitor, {EVENTS: WRITE | 1 << 10})] == [EVENTS]


@pytest.mark.parametrize(
    ("part", "commands"),
    [
        ("producer", ["Write --topic 'predictions'", "Write --topic 'outcomes'"]),
        (
            "notify",
            [
                "Read --topic 'tidegauge.alerts'",
                "Read --topic 'tidegauge.status'",
                "Read --group 'tidegauge.notify.' --resource-pattern-type prefixed",
            ],
        ),
    ],
)
def test_rights_are_printed_as_commands(part: Part, commands: list[str]) -> None:
    start = (
        "kafka-acls.sh --bootstrap-server 127.0.0.1:9092 --add --allow-principal 'User:x' "
        "--operation "
    )

    printed = as_commands(SETTINGS, rights(SETTINGS, part), "User:x")

    assert printed == [start + each for each in commands]


def test_rights_are_printed_as_a_user_of_strimzi() -> None:
    assert as_yaml(rights(SETTINGS, "producer")[:1], "User:x") == (
        "apiVersion: kafka.strimzi.io/v1beta2\n"
        "kind: KafkaUser\n"
        "metadata:\n"
        "  name: x\n"
        "spec:\n"
        "  authorization:\n"
        "    type: simple\n"
        "    acls:\n"
        "    - resource:\n"
        "        type: topic\n"
        "        name: predictions\n"
        "        patternType: literal\n"
        "      operations:\n"
        "      - Write\n"
    )
