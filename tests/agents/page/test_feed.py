"""The page beside a broker: it reads what is there, follows, and says when the broker is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import orjson
import pytest

from agents.demo.embedded_broker import EmbeddedBroker
from agents.errors import OperatorError
from agents.kafka.send import send_record
from agents.kafka.topics import create_topics
from agents.page.feed import Feed
from agents.page.gather import write_report
from agents.page.store import PageStore
from agents.settings import Settings
from schemas.topics import model_partition
from tests.agents.page.sample import NOW_MS, alert, status
from tests.patience import PATIENCE_S


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110 - conditions are many, and read plain fields
            await asyncio.sleep(0.05)


async def fire(settings: Settings, model_id: str) -> str:
    """Publish an alert as a worker does; return its fingerprint."""
    record, partition = alert(model_id), model_partition(model_id, settings.partitions)
    fingerprint: str = record["fingerprint"]
    for role, key, value in (
        ("alerts", model_id, record),
        ("status", fingerprint, status(record)),
    ):
        topic = f"{settings.prefix}{role}"
        await send_record(settings, topic, key.encode(), orjson.dumps(value), partition=partition)
    return fingerprint


@asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[Feed]:
    feed = Feed(settings, PageStore(), lambda: NOW_MS, answer_s=2.0)
    task = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_page_follows_says_when_the_broker_is_away_and_goes_on_when_it_is_back() -> None:
    broker = EmbeddedBroker()
    with broker:
        settings = Settings(broker=broker.bootstrap, prefix="page.", partitions=2)
        await create_topics(settings)
        await fire(settings, "first")
        async with reading(settings) as feed:
            await until(lambda: feed.is_ready)
            assert list(feed.store.models) == ["first"]

            fingerprint = await fire(settings, "second")
            await until(lambda: feed.store.model_of(fingerprint))
            model = feed.store.models["second"]
            await until(lambda: model.firing and model.records("alert"))

            topic = settings.topics.name("status")
            partition = model_partition("second", 2)
            await send_record(settings, topic, fingerprint.encode(), None, partition=partition)
            await until(lambda: not model.firing)

            broker.stop()
            await until(lambda: feed.trouble)
            assert feed.trouble_since == NOW_MS
            assert "first" in feed.store.models, "what was read is still shown"

            broker.start()
            await create_topics(settings)
            await until(lambda: feed.trouble is None)


async def test_a_report_has_the_one_model_that_was_asked_for(
    embedded: EmbeddedBroker, prefix: str, tmp_path: Path
) -> None:
    settings = Settings(broker=embedded.bootstrap, prefix=prefix, partitions=2)
    await create_topics(settings)
    await fire(settings, "first")
    await fire(settings, "second")
    file = tmp_path / "first.html"

    size = await write_report(settings, "first", 0, file)

    content = file.read_bytes()
    assert len(content) == size < 300_000
    assert b"the error rose" in content
    assert b"second" not in content.partition(b'id="report-data"')[2].partition(b"</script>")[0]
    with pytest.raises(OperatorError, match="no alert, spec or figure"):
        await write_report(settings, "third", 0, file)
