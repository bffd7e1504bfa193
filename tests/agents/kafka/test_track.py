from __future__ import annotations

import pytest

from agents.errors import OperatorError
from agents.kafka.track import tracking
from agents.settings import Settings
from schemas.event import EventBatch, Source, encode_events
from schemas.topics import model_partition
from tests.broker import Broker, create_topic, publish


def settings_for(broker: Broker, prefix: str) -> Settings:
    return Settings(broker=broker.bootstrap, prefix=prefix, models=f"{prefix}models", partitions=2)


def log_record(source: Source, offset: int) -> bytes:
    return encode_events(EventBatch((source,), [0], [offset], [1], [b"{}"]))


async def test_a_record_has_a_place_once_it_is_in_the_log_and_the_first_place_counts(
    broker: Broker, prefix: str
) -> None:
    settings = settings_for(broker, prefix)
    events = settings.topics.name("events")
    for topic in (events, settings.topics.name("state"), settings.models):
        create_topic(broker, topic, partitions=2)
    partition, written = model_partition("m", 2), (1, 7)
    ours, other = Source("spec", settings.models, 1), Source("spec", f"{prefix}other", 1)
    publish(broker, events, [log_record(ours, 7)], partition=partition)  # before it is tracked

    async with tracking(settings, settings.models, ["m"]) as tracker:
        await tracker.poll()
        assert tracker.place(written) is None
        again = [log_record(other, 7), log_record(ours, 7), log_record(ours, 7)]
        publish(broker, events, again, partition=partition)
        while tracker.place(written) is None:
            await tracker.poll()
        await tracker.poll()

        assert tracker.place(written) == f"{events}-{partition} offset 2"
        assert tracker.snapshot("m", written) is None


async def test_a_missing_topic_is_named(broker: Broker, prefix: str) -> None:
    settings = settings_for(broker, prefix)
    create_topic(broker, settings.models)

    with pytest.raises(OperatorError, match=r"events, .*state: no such topic"):
        async with tracking(settings, settings.models, ["m"]):
            pass
