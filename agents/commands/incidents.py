"""Follow the alerts of all models, and publish the incidents that they make.

A process of its own: models of one incident lie on different partitions, which different workers
hold. It keeps no state: it reads `alerts` from the beginning, and incidents are a function of the
set that it has read. So two of them publish the same records, and the last record of a key counts.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping

from pydantic import ValidationError

from agents.kafka.admin import partition_counts
from agents.kafka.read import Cursor, LogReader, last_values, partitions_of
from agents.kafka.send import send_record
from agents.settings import Settings
from agents.telemetry import get_logger
from schemas.alert import Alert
from schemas.cloudevents import NO_HEADERS, EventHeaders
from schemas.incident import Incident
from schemas.topics import Topic, Topics, key_partition
from schemas.wire import to_epoch_ms
from streams.alert.incidents import Incidents

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_log = get_logger(__name__)


def changes(
    published: Mapping[str, bytes], incidents: Mapping[str, Incident]
) -> dict[str, bytes | None]:
    """Return the records to publish: incidents that are new or other ones, and deletions."""
    found = {key: each.model_dump_json().encode() for key, each in incidents.items()}
    gone: dict[str, bytes | None] = {key: None for key in published if key not in found}
    return gone | {key: value for key, value in found.items() if published.get(key) != value}


def add_record(incidents: Incidents, value: bytes | None) -> bool:
    """Take in a record of `alerts`; return whether it was one."""
    try:
        incidents.add(Alert.model_validate_json(value or b""))
    except ValidationError:
        return False
    return True


async def follow_until_signal(settings: Settings) -> int:
    """Publish incidents until a signal comes; return the exit code."""
    stop = asyncio.Event()
    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await follow(settings, stop)
    return 0


async def follow(settings: Settings, stop: asyncio.Event) -> None:
    """Publish incidents until the event is set.

    Raises
    ------
    OperatorError, BrokerUnreachableError
        When a topic or the broker is not there.
    """
    topics = settings.topics
    names = [topics.name("alerts"), topics.name("incidents")]
    await partition_counts(settings, names)
    publisher = _Publisher(settings, await last_values(settings, names[1]))
    incidents = Incidents()
    async with LogReader(settings).open(await partitions_of(settings, names[0])) as cursor:
        async for records in cursor.read_to_ends():
            for record in records:
                add_record(incidents, record.value)
        await publisher.publish(incidents)
        _log.info(f"Following {names[0]}: {len(publisher.published):,} incidents are known")
        await _follow(cursor, incidents, publisher, stop)


async def _follow(
    cursor: Cursor, incidents: Incidents, publisher: _Publisher, stop: asyncio.Event
) -> None:
    while not stop.is_set():
        if records := await cursor.fetch():
            for record in records:
                add_record(incidents, record.value)
            await publisher.publish(incidents)


class _Publisher:
    """Publishes what has changed."""

    def __init__(self, settings: Settings, published: dict[str, bytes]) -> None:
        self.published = published
        self._settings = settings
        self._topic = topic_of(settings.topics)
        self._headers = EventHeaders.of_topic(self._topic)

    async def publish(self, incidents: Incidents) -> None:
        found = incidents.found()
        for key, value in changes(self.published, found).items():
            await self._send(key, value, found.get(key))
            if value is None:
                del self.published[key]
            else:
                self.published[key] = value
                _log.info(found[key].summary, incident_id=key)

    async def _send(self, key: str, value: bytes | None, incident: Incident | None) -> None:
        name, headers = key.encode(), NO_HEADERS
        if value is not None and incident is not None:
            headers = self._headers.of(value, name, to_epoch_ms(incident.changed_at))
        await send_record(
            self._settings,
            self._topic.name,
            name,
            value,
            partition=key_partition(name, self._settings.topics.partitions),
            headers=headers,
        )


def topic_of(topics: Topics) -> Topic:
    """Return the row of the topic of incidents."""
    return next(each for each in topics.table() if each.role == "incidents")
