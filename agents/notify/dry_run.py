"""Show the first requests of notify: it joins no group, commits nothing and sends nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import orjson
from aiokafka import TopicPartition

from agents.kafka.admin import ask, explained
from agents.kafka.read import LogReader, last_values
from agents.notify.destinations import Destination
from agents.notify.firing import StartPoints, read_notice
from agents.notify.http import Request
from agents.notify.labelstudio import open_cases, project_of, task_of
from agents.notify.messages import Notice
from agents.notify.notify import (
    NotifyOptions,
    book_of,
    group_of,
    now,
    require_topics,
    target_of,
)
from agents.settings import Settings
from agents.telemetry import HIDDEN


async def preview(settings: Settings, options: NotifyOptions, write: Callable[[str], None]) -> None:
    """Write each request that `notify` would begin with, one line of JSON each.

    Raises
    ------
    OperatorError
        When topics are missing.
    BrokerUnreachableError
        When Kafka does not answer.
    """
    partitions = range(await require_topics(settings))
    with explained(settings, "notify could not read"):
        await _Preview(settings, options, partitions, write).write_all()


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
        self._reader = LogReader(settings)
        self._start_points = StartPoints(self._reader, settings.topics, now)

    async def write_all(self) -> None:
        """Write the first requests to each target."""
        for destination in self._options.destinations:
            if destination.kind == "alertmanager":
                firing = await self._start_points.read_firing(*self._partitions)
                book = book_of(self._settings, destination, self._options)
                self._show(destination, book.request(firing.firing(now()), now()))
                continue
            if destination.kind == "labelstudio":
                await self._show_tasks(destination)
                continue
            target = target_of(self._settings, destination, self._options)
            async for notice in self._notices(group_of(self._settings, destination)):
                if destination.selection.wants(notice.alert):
                    self._show(destination, target.request(notice))

    async def _show_tasks(self, destination: Destination) -> None:
        values = await last_values(self._settings, self._settings.topics.name("reviews"))
        project, now_ms = project_of(destination.secret.get_secret_value()), now().timestamp() * 1e3
        for case in open_cases(list(values.values()), destination.selection, int(now_ms)):
            self._show(destination, task_of(case, project))

    async def _notices(self, group: str) -> AsyncIterator[Notice]:
        topic = self._settings.topics.name("alerts")
        alerts = [TopicPartition(topic, partition) for partition in self._partitions]
        commits = await ask(self._settings, lambda admin: admin.committed(group, alerts))
        for each in alerts:
            committed = commits.get(each)
            start = await self._start_points.read(each.partition, committed)
            if committed is None:
                for notice in start.notices:
                    yield notice
                continue
            async for records in self._reader.read(each):
                unread = (record for record in records if record.offset >= committed)
                for notice in filter(None, map(read_notice, unread)):
                    if start.seen.add(notice.alert.alert_id):
                        yield notice

    def _show(self, destination: Destination, request: Request | None) -> None:
        if request is None:
            return
        body = request.body.decode().replace(destination.secret.get_secret_value(), HIDDEN)
        line = {"to": destination.kind, "at": destination.url, "body": orjson.Fragment(body)}
        self._write(orjson.dumps(line).decode())
