"""Show what notify would begin with: it joins no group, commits and sends nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from agents.kafka.log_reader import LogReader
from agents.notify.alertmanager import AlertmanagerBook
from agents.notify.destinations import Destination
from agents.notify.firing import StartPoints, read_notice
from agents.notify.http import Request
from agents.notify.messages import Notice
from agents.notify.notify import (
    NotifyOptions,
    count_partitions,
    group_of,
    kafka_in_words,
    now,
    target_of,
)
from agents.settings import Settings
from agents.telemetry import HIDDEN


def preview(settings: Settings, options: NotifyOptions, write: Callable[[str], None]) -> None:
    """Write each request that `notify` would begin with, one line of JSON each.

    Raises
    ------
    OperatorError
        When topics are missing.
    BrokerUnreachableError
        When Kafka cannot be asked.
    """
    partitions = range(count_partitions(settings))
    with kafka_in_words(settings):
        asyncio.run(_Preview(settings, options, partitions, write).run())


class _Preview:
    def __init__(
        self,
        settings: Settings,
        options: NotifyOptions,
        partitions: range,
        write: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._options = options
        self._partitions = partitions
        self._write = write
        self._openings = StartPoints(LogReader(settings.connection()), settings.topics, now)

    async def run(self) -> None:
        """Write what each target would be told first."""
        for destination in self._options.destinations:
            if destination.kind == "alertmanager":
                board = await self._openings.read_board(*self._partitions)
                book = AlertmanagerBook(destination.secret, self._options.links)
                self._show(destination, book.request(board.firing(now()), now()))
                continue
            target = target_of(destination, self._options)
            async for notice in self._notices(group_of(self._settings, destination)):
                self._show(destination, target.request(notice))

    async def _notices(self, group: str) -> AsyncIterator[Notice]:
        for partition, committed in (await self._commits(group)).items():
            opening = await self._openings.read(partition, committed)
            if committed is None:
                for notice in opening.notices:
                    yield notice
                continue
            alerts = TP(self._settings.topics.name("alerts"), partition)
            async for records in self._openings.reader.read(alerts):
                unread = (each for each in records if each.offset >= committed)
                for notice in filter(None, map(read_notice, unread)):
                    if opening.seen.take(notice.alert.alert_id):
                        yield notice

    async def _commits(self, group: str) -> dict[int, int | None]:
        consumer = AIOKafkaConsumer(
            **self._settings.connection(), group_id=group, enable_auto_commit=False
        )
        alerts = self._settings.topics.name("alerts")
        try:
            await consumer.start()
            return {
                n: await consumer.committed(TopicPartition(alerts, n)) for n in self._partitions
            }
        finally:
            await consumer.stop()

    def _show(self, destination: Destination, request: Request | None) -> None:
        if request is None:
            return
        body = request.body.decode().replace(destination.secret.get_secret_value(), HIDDEN)
        line = {"to": destination.kind, "at": destination.url, "body": orjson.Fragment(body)}
        self._write(orjson.dumps(line).decode())
