"""Collect the outputs of a demo."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from agents.kafka.read import LogReader, partitions_of
from agents.settings import Settings
from schemas.topics import TopicRole


@dataclass(slots=True)
class Collected:
    """The records of the output topics, read back."""

    labelled_ids: set[str] = field(default_factory=set)
    dead_letters: int = 0
    feedback: dict[str, dict[str, Any]] = field(default_factory=dict)
    alerts: dict[str, dict[str, Any]] = field(default_factory=dict)
    resolved: dict[str, dict[str, Any]] = field(default_factory=dict)
    ongoing: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, role: TopicRole, event: dict[str, Any]) -> bool:
        """Add one event; return whether it is a new alert, or the end of one."""
        match role:
            case "labelled":
                self.labelled_ids.add(event["labelled_id"])
            case "dead_letters":
                self.dead_letters += 1
            case "feedback":
                self.feedback[event["feedback_id"]] = event
            case "alerts":
                return self._add_alert(event)
        return False

    def _add_alert(self, alert: dict[str, Any]) -> bool:
        """Keep the transitions by status: firing, resolved and ongoing."""
        kept = {"firing": self.alerts, "resolved": self.resolved, "ongoing": self.ongoing}
        of_status = kept[alert["status"]]
        is_new = alert["alert_id"] not in of_status
        of_status[alert["alert_id"]] = alert
        return is_new and alert["status"] != "ongoing"

    def transitions(self) -> list[dict[str, Any]]:
        """Return all transitions of alerts, in the order of time."""
        found = [*self.alerts.values(), *self.ongoing.values(), *self.resolved.values()]
        return sorted(found, key=lambda alert: (alert["detected_at"], alert["alert_id"]))


class Collector(threading.Thread):
    """Reads the output topics from their beginnings, in a thread of its own.

    Parameters
    ----------
    settings
        Which cluster. The topics exist.
    on_alert
        Called in this thread for each new alert.
    """

    def __init__(self, settings: Settings, on_alert: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(name="collector", daemon=True)
        self.collected = Collected()
        self.failure: Exception | None = None
        self._settings = settings
        self._on_alert = on_alert
        self._is_stopping = threading.Event()
        self._role_of = {
            topic.name: topic.role for topic in settings.topics.table() if topic.id_field
        }

    def run(self) -> None:
        """Read until `stop`."""
        try:
            asyncio.run(self._collect())
        except Exception as error:  # noqa: BLE001 - a thread's edge: the main thread raises it
            self.failure = error

    async def _collect(self) -> None:
        partitions = await partitions_of(self._settings, *self._role_of)
        async with LogReader(self._settings).open(partitions) as cursor:
            while not self._is_stopping.is_set():
                for record in await cursor.fetch():
                    event = orjson.loads(record.value)
                    if self.collected.add(self._role_of[record.topic], event):
                        self._on_alert(event)

    def stop(self) -> None:
        """Stop reading."""
        self._is_stopping.set()
        self.join()
