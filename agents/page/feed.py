"""Reads the topics of the page into its store, and goes on when the broker comes back.

Rule 1. The page has no consumer group and writes no offset: it reads from the beginning at each
        start, so a page that was killed shows the same afterwards.
Rule 2. Where the broker is away the store stays as it was, and `Feed.trouble` says so: what is
        shown may be over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from agents.commands.status import last_tick_ms
from agents.errors import OperatorError, WorkerError
from agents.kafka.read import Cursor, LogReader, partitions_of
from agents.page.store import Entry, PageStore
from agents.page.views import row_of
from agents.settings import Settings
from agents.telemetry import get_logger
from schemas.topics import TopicRole

READ: tuple[TopicRole, ...] = (
    "models",
    "status",
    "commands",
    "incidents",
    "reviews",
    "metrics",
    "dead_letters",
    "alerts",
)
"""The topics of the page. Specs and open alerts come first: they are few."""
RETRY_S = 2.0
"""Seconds between two attempts to reach a broker that is away."""
ASK_EVERY_S = 5.0
"""Seconds between two questions for ends of topics and ticks: they also tell that it answers."""
PREPARED_AT_ONCE = 200
"""Rows of the portfolio that are made before the server answers again: 10 ms."""
ANSWER_S = 6.0
"""Seconds: a restart of one broker of a cluster is shorter."""
_log = get_logger(__name__)


@dataclass(slots=True)
class TopicState:
    """A topic as the broker describes it.

    Parameters
    ----------
    name, role
        The topic.
    first, end
        The oldest offset and the end of each partition.
    last_at
        Instant of the latest record that the page has read, epoch milliseconds; None where it has
        read none.
    """

    name: str
    role: TopicRole
    first: dict[int, int] = field(default_factory=dict)
    end: dict[int, int] = field(default_factory=dict)
    last_at: int | None = None


class Feed:
    """Fills a store.

    Parameters
    ----------
    settings
        Which deployment.
    store
        What is filled.
    now_ms
        The wall clock.
    answer_s
        Seconds after which a broker that has not answered is away.

    Attributes
    ----------
    is_ready
        Whether all that lay in the topics at the start has been read.
    trouble
        Sentence about why nothing is read; None while all is well.
    trouble_since
        Instant at which that began, epoch milliseconds.
    tick_ms
        Instant of the latest tick of the workers; None where there is none.
    """

    def __init__(
        self,
        settings: Settings,
        store: PageStore,
        now_ms: Callable[[], int],
        answer_s: float = ANSWER_S,
    ) -> None:
        self.store = store
        self.is_ready = False
        self.trouble: str | None = None
        self.trouble_since: int | None = None
        self.tick_ms: int | None = None
        self.topics = {
            topic.name: TopicState(topic.name, topic.role)
            for topic in settings.topics.table()
            if topic.role in READ
        }
        self._settings = settings
        self._now_ms = now_ms
        self._answer_s = answer_s

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            try:
                await self._follow()
            except (WorkerError, KafkaError, TimeoutError) as error:
                self._is_away(error)
            await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        names = [self._settings.topics.name(role) for role in READ]
        partitions = await partitions_of(self._settings, *names)
        async with LogReader(self._settings, self._answer_s).open(partitions) as cursor:
            self._answers()
            async for records in cursor.read_to_ends():
                self._take(records)
                await asyncio.sleep(0)  # a page that reads its backlog answers meanwhile
            await self._prepare_all()
            self.is_ready = True
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read_on(cursor))
                tasks.create_task(self._ask(cursor))

    async def _read_on(self, cursor: Cursor) -> None:
        while True:
            before = self.store.revision
            self._take(await cursor.fetch())
            self._prepare(before)

    def _prepare(self, revision: int) -> None:
        """Make the rows of models that changed: a request that made thousands would wait."""
        for model_id in self.store.changed_since(revision):
            row_of(self.store.models[model_id])

    async def _prepare_all(self) -> None:
        for count, model in enumerate(self.store.models.values()):
            row_of(model)
            if count % PREPARED_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _ask(self, cursor: Cursor) -> None:
        while True:
            try:
                async with asyncio.timeout(self._answer_s):
                    first, end = await cursor.beginnings(), await cursor.ends()
                    self.tick_ms = await last_tick_ms(self._settings)
            except (OperatorError, TimeoutError, WorkerError, KafkaError) as error:
                self._is_away(error)
            else:
                self._describe(first, end)
                self._answers()
            await asyncio.sleep(min(ASK_EVERY_S, self._answer_s))

    def _describe(self, first: dict[TopicPartition, int], end: dict[TopicPartition, int]) -> None:
        for offsets, name in ((first, "first"), (end, "end")):
            for partition, offset in offsets.items():
                getattr(self.topics[partition.topic], name)[partition.partition] = offset

    def _take(self, records: Any) -> None:
        for record in records:
            topic = self.topics[record.topic]
            topic.last_at = max(record.timestamp, topic.last_at or 0)
            self.store.take(_entry(record, topic.role))

    def _answers(self) -> None:
        if self.trouble is not None:
            _log.info("Kafka answers again; the page reads on")
        self.trouble = self.trouble_since = None

    def _is_away(self, error: BaseException) -> None:
        sentence = str(error) or f"Kafka at {self._settings.broker} does not answer"
        if self.trouble is None:
            self.trouble_since = self._now_ms()
            _log.warning("%s; the page shows what it has read and tries again", sentence)
        self.trouble = sentence


def _entry(record: ConsumerRecord, role: TopicRole) -> Entry:
    key = (record.key or b"").decode(errors="replace")
    return Entry(role, record.partition, record.offset, key, record.value)
