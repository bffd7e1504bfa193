from typing import get_args

from schemas.alert import Alert
from schemas.dead_letter import DeadLetter
from schemas.event import EventKind
from schemas.feedback import Feedback
from schemas.labelled import Labelled
from schemas.topics import MAX_RECORD_BYTES, TopicRole, Topics
from schemas.wire import Wire


def test_every_topic_has_one_name_and_one_role() -> None:
    table = Topics().table()

    assert (
        len({topic.name for topic in table}) == len({topic.role for topic in table}) == len(table)
    )


def test_the_name_of_a_role_is_the_name_in_the_table() -> None:
    topics = Topics("acme.tide.", predictions="scoring.out", outcomes="truth", models="registry")

    assert [topics.name(topic.role) for topic in topics.table()] == [
        topic.name for topic in topics.table()
    ]


def test_the_prefix_stands_before_our_topics_and_no_others() -> None:
    names = {topic.role: topic.name for topic in Topics(prefix="x.").table()}

    assert names.pop("predictions") == "predictions"
    assert names.pop("outcomes") == "outcomes"
    assert names.pop("models") == "models"
    assert all(name.startswith("x.") for name in names.values())


def test_what_is_made_from_events_has_as_many_partitions() -> None:
    assert {topic.partitions for topic in Topics(partitions=12).table()} == {12}


def test_a_topic_of_ours_takes_the_largest_record() -> None:
    ours = [t for t in Topics().table() if t.role not in {"predictions", "outcomes", "models"}]

    assert {topic.config()["max.message.bytes"] for topic in ours} == {str(MAX_RECORD_BYTES)}


def test_settings_are_spelt_as_kafka_spells_them() -> None:
    assert Topics().table()[0].config() == {
        "cleanup.policy": "delete",
        "retention.ms": "604800000",
        "max.message.bytes": "1048576",
    }


def test_what_we_write_ages_from_when_it_was_written_and_inputs_keep_their_clocks() -> None:
    types = {topic.role: topic.config().get("message.timestamp.type") for topic in Topics().table()}

    assert {types.pop(role) for role in ("predictions", "outcomes", "models")} == {None}
    assert set(types.values()) == {"LogAppendTime"}


def test_every_topic_that_is_read_as_a_source_is_in_the_table() -> None:
    topics = Topics(prefix="x.", models="registry")

    assert set(topics.sources().values()) == {
        *("predictions", "outcomes", "registry", "x.controls", "x.reports")
    }
    assert set(topics.sources().values()) <= {topic.name for topic in topics.table()}


def test_a_removal_outlives_a_worker_that_is_away_for_a_month() -> None:
    (models,) = [topic for topic in Topics().table() if topic.role == "models"]

    assert models.config() == {
        "cleanup.policy": "compact",
        "retention.ms": "-1",
        "max.message.bytes": "1048576",
        "delete.retention.ms": "2592000000",
    }


# The columns by which others select topics


def test_every_role_has_a_row() -> None:
    assert [topic.role for topic in Topics().table()] == list(get_args(TopicRole))


def test_an_output_is_compared_with_a_replay_by_its_id_or_by_its_key() -> None:
    for topic in Topics().outputs():
        assert (topic.id_field is None) == topic.cleanup.startswith("compact"), topic.role


def test_an_id_field_is_a_field_of_what_the_topic_holds() -> None:
    fields: dict[str, type[Wire]] = {
        "alerts": Alert,
        "feedback": Feedback,
        "labelled": Labelled,
        "dead_letters": DeadLetter,
    }

    assert {topic.role: topic.id_field for topic in Topics().table() if topic.id_field} == {
        role: next(name for name in model.model_fields if name.endswith("_id"))
        for role, model in fields.items()
    }


def test_what_the_monitor_publishes_lies_in_the_partition_of_its_model() -> None:
    routed = [topic.role for topic in Topics().table() if topic.is_routed]

    assert routed == [
        *("events", "alerts", "status", "feedback", "commands", "reviews"),
        *("labelled", "metrics", "state"),
    ]
    assert all(topic.is_routed and not topic.is_input for topic in Topics().outputs())


def test_alerts_and_feedback_are_logged_and_not_what_comes_with_every_pair() -> None:
    assert [topic.role for topic in Topics().table() if topic.is_logged] == ["alerts", "feedback"]


def test_every_topic_can_be_shown_as_text_except_the_state() -> None:
    assert [topic.role for topic in Topics().table() if not topic.is_text] == ["state"]


def test_a_source_of_each_kind_of_event_is_one_topic() -> None:
    topics = Topics()

    assert set(topics.sources()) == set(get_args(EventKind)) - {
        "refused",
        "half",
        "inputs",
        "topic",
        "clock",
    }
    assert [topic.name for topic in topics.inputs()] == list(topics.sources().values())
