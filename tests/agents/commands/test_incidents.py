"""Incidents beside a broker: models on different partitions are seen by one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson

from agents.commands.incidents import add_record, changes, follow
from agents.demo.embedded_broker import EmbeddedBroker
from agents.kafka.read import last_values, read_whole
from agents.kafka.send import send_record
from agents.kafka.topics import create_topics
from agents.settings import Settings
from schemas.alert import Alert
from schemas.topics import model_partition
from streams.alert.incidents import Incidents
from tests.doubles.alerts import alert, record
from tests.patience import PATIENCE_S

MODELS = ("loan", "churn")


def fired(model_id: str) -> Alert:
    return alert(model_id=model_id, fingerprint=model_id, alert_id=model_id)


async def fire(settings: Settings, model_id: str) -> None:
    await send_record(
        settings,
        settings.topics.name("alerts"),
        model_id.encode(),
        record(fired(model_id)),
        partition=model_partition(model_id, settings.partitions),
    )


@asynccontextmanager
async def following(settings: Settings) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(follow(settings, stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def published(settings: Settings) -> dict[str, bytes]:
    topic = settings.topics.name("incidents")
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await last_values(settings, topic)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return found


async def test_alerts_on_two_partitions_are_one_incident_once(
    embedded: EmbeddedBroker, prefix: str
) -> None:
    settings = Settings(broker=embedded.bootstrap, prefix=prefix, partitions=2)
    assert len({model_partition(each, 2) for each in MODELS}) == 2
    await create_topics(settings)
    await fire(settings, MODELS[0])

    async with following(settings):
        await fire(settings, MODELS[1])
        first = await published(settings)
    async with following(settings):  # it reads all again, and publishes nothing
        assert await published(settings) == first

    (incident,) = map(orjson.loads, first.values())
    assert sorted(each["model_id"] for each in incident["members"]) == sorted(MODELS)
    topic = settings.topics.name("incidents")
    records = [each async for each in read_whole(settings, topic)]
    assert len(records) == 1
    assert dict(records[0].headers)["ce_type"] == b"tidegauge.incident.v1"


def test_what_another_alert_makes_another_incident_is_deleted() -> None:
    incidents = Incidents()
    for model_id in MODELS:
        assert add_record(incidents, record(fired(model_id)))
    before = {key: value for key, value in changes({}, incidents.found()).items() if value}

    earlier = fired("first").model_copy(update={"started_at": "2018-08-20T05:50:00.000Z"})
    add_record(incidents, record(earlier))
    after = changes(before, incidents.found())

    (gone,) = [key for key, value in after.items() if value is None]
    assert gone in before
    assert len(after) == 2


def test_what_is_no_alert_is_passed_over() -> None:
    assert not add_record(Incidents(), b'{"type": "other"}')
    assert not add_record(Incidents(), None)
