from schemas.topics import MAX_RECORD_BYTES, Topics


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

    assert set(topics.sources().values()) == {"predictions", "outcomes", "registry", "x.controls"}
    assert set(topics.sources().values()) <= {topic.name for topic in topics.table()}


def test_a_removal_outlives_a_worker_that_is_away_for_a_month() -> None:
    (models,) = [topic for topic in Topics().table() if topic.role == "models"]

    assert models.config() == {
        "cleanup.policy": "compact",
        "retention.ms": "-1",
        "max.message.bytes": "1048576",
        "delete.retention.ms": "2592000000",
    }
