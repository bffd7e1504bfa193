"""The records of a report: of one model from its topics, or of a backtest."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from agents.errors import FileError, OperatorError
from agents.kafka.read import read_json, read_whole
from agents.page.report import latest_ms, report
from agents.page.serve import now_ms
from agents.page.store import Entry, PageStore
from agents.settings import Settings
from schemas.topics import TopicRole, model_partition
from streams.emission import Emission

SHOWN: tuple[TopicRole, ...] = ("alerts", "status", "metrics")
"""The topics of which a report tells; all three are routed by model."""


class Recorded:
    """The records of a backtest."""

    def __init__(self) -> None:
        self._store = PageStore()
        self._count = 0

    def take(self, emission: Emission) -> None:
        """Take a record that a worker would publish."""
        if emission.role in SHOWN:
            key = emission.model_id if emission.key is None else emission.key
            entry = Entry(emission.role, 0, self._count, key, emission.value or None)
            self._store.take(entry)
            self._count += 1

    def write(self, path: Path, name: str) -> int:
        """Write the report, as of the end of the recording; return its bytes.

        Raises
        ------
        FileError
            When the file cannot be written.
        """
        return _write(path, report(self._store, name, latest_ms(self._store)))


async def write_report(settings: Settings, model_id: str, since_ms: int, path: Path) -> int:
    """Write the report of a model; return its bytes.

    Raises
    ------
    OperatorError
        When no record names the model.
    FileError
        When the file cannot be written.
    BrokerUnreachableError
        When the broker does not answer.
    """
    store = await read_model(settings, model_id)
    if model_id not in store.models:
        msg = (
            f"{model_id}: no alert, spec or figure of this model is in the topics; "
            "`./tidegauge page` lists those that are known"
        )
        raise OperatorError(msg)
    return _write(path, report(store, settings.deployment, now_ms(), since_ms))


async def read_model(settings: Settings, model_id: str) -> PageStore:
    """Return a store with the records of one model.

    Raises
    ------
    OperatorError, BrokerUnreachableError
        When a topic or the broker is not there.
    """
    store, name = PageStore(), settings.topics.name
    partition = model_partition(model_id, settings.partitions)
    for role in SHOWN:
        async for record in read_whole(settings, name(role), partition):
            key = (record.key or b"").decode(errors="replace")
            if record.value is None or _names(record.value, model_id):
                store.take(Entry(role, record.partition, record.offset, key, record.value))
    async for record in read_whole(settings, name("models")):
        if record.key == model_id.encode():
            store.take(Entry("models", record.partition, record.offset, model_id, record.value))
    return store


def _names(value: bytes, model_id: str) -> bool:
    record = read_json(value, "type") or {}
    found: Iterable[object] = (record.get("model_id"), (record.get("alert") or {}).get("model_id"))
    return model_id in found


def _write(path: Path, content: bytes) -> int:
    try:
        return path.write_bytes(content)
    except OSError as error:
        msg = f"{path}: cannot be written: {error.strerror}"
        raise FileError(msg) from error
