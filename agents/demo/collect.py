"""Collect the outputs of a demo."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from kafka import KafkaConsumer, TopicPartition

from agents.settings import Settings
from schemas.topics import TopicRole


@dataclass(slots=True)
class Collected:
    """What has been read back from the output topics."""

    labelled_ids: set[str] = field(default_factory=set)
    dead_letters: int = 0
    feedback: dict[str, dict[str, Any]] = field(default_factory=dict)
    alerts: dict[str, dict[str, Any]] = field(default_factory=dict)
    resolved: dict[str, dict[str, Any]] = field(default_factory=dict)
    ongoing: dict[str, dict[str, Any]] = field(default_factory=dict)

    def take(self, role: TopicRole, event: dict[str, Any]) -> bool:
        """Take one event into account; tell whether it is new."""
        match role:
            case "labelled":
                self.labelled_ids.add(event["labelled_id"])
            case "dead_letters":
                self.dead_letters += 1
            case "feedback":
                self.feedback[event["feedback_id"]] = event
            case "alerts":
                return self._take_alert(event)
        return False

    def _take_alert(self, alert: dict[str, Any]) -> bool:
        """Keep the firings, the alerts that are over, and those that go on."""
        kept = {"firing": self.alerts, "resolved": self.resolved, "ongoing": self.ongoing}
        of_status = kept[alert["status"]]
        is_new = alert["alert_id"] not in of_status
        of_status[alert["alert_id"]] = alert
        return is_new and alert["status"] != "ongoing"

    def words(self) -> list[dict[str, Any]]:
        """Return all that was said about alerts, in the order of time."""
        said = [*self.alerts.values(), *self.ongoing.values(), *self.resolved.values()]
        return sorted(said, key=lambda alert: (alert["detected_at"], alert["alert_id"]))


class Collector(threading.Thread):
    """Reads the output topics from where they stand when it is made."""

    def __init__(self, settings: Settings, on_alert: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(name="collector", daemon=True)
        self.collected = Collected()
        self.failure: Exception | None = None
        self._on_alert = on_alert
        self._is_stopping = threading.Event()
        self._role_of = {
            topic.name: topic.role for topic in settings.topics.table() if topic.id_field
        }
        self._consumer = KafkaConsumer(
            **settings.connection(), enable_auto_commit=False, auto_offset_reset="earliest"
        )
        partitions = [
            TopicPartition(topic, partition)
            for topic in self._role_of
            for partition in range(settings.partitions)
        ]
        self._consumer.assign(partitions)
        self._consumer.seek_to_beginning(*partitions)

    def run(self) -> None:
        """Read until `stop`."""
        try:
            while not self._is_stopping.is_set():
                for tp, records in self._consumer.poll(timeout_ms=200).items():
                    role = self._role_of[tp.topic]
                    for record in records:
                        event = orjson.loads(record.value)
                        if self.collected.take(role, event):
                            self._on_alert(event)
        except Exception as error:  # noqa: BLE001 - a thread's edge: the main thread raises it
            self.failure = error

    def stop(self) -> None:
        """Stop reading."""
        self._is_stopping.set()
        self.join()
        self._consumer.close()
