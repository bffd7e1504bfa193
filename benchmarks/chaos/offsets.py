"""What the broker says about offsets: how long outputs stood still, and whether all is done."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition

from agents.settings import Settings
from schemas.topics import TopicRole

LOOK_EVERY_S = 0.5
ANSWER_S = 2.0
STANDS_AFTER_S = 1.5
"""Seconds without a pair of a partition, of which there are dozens a second, that are no pause:
two looks, and the time between two saves."""


class Offsets:
    """Asks for offsets; never joins the group.

    Parameters
    ----------
    settings
        Whose topics and group.
    mapped
        Topics that sources map.
    """

    def __init__(self, settings: Settings, mapped: Sequence[str] = ()) -> None:
        self._settings = settings
        self._mapped = tuple(mapped)
        self._consumer = self._connect()

    def _connect(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self._settings.broker,
                "group.id": self._settings.group,
                "enable.auto.commit": False,
                "log_level": 2,
            }
        )

    def reconnect(self) -> None:
        """Connect anew: librdkafka keeps the id of a topic that was deleted."""
        self._consumer.close()
        self._consumer = self._connect()

    def ends(self, role: TopicRole) -> dict[int, int]:
        """Return the end of each partition of a topic.

        Raises
        ------
        KafkaException
            When the broker does not answer.
        """
        return self._ends_of(self._settings.topics.name(role))

    def _ends_of(self, topic: str) -> dict[int, int]:
        return {
            partition: self._consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=ANSWER_S
            )[1]
            for partition in range(self._settings.partitions)
        }

    def behind(self) -> int:
        """Return how many records are not committed yet, of all that the workers consume."""
        missing = 0
        topics = self._settings.topics
        inputs = [each.name for each in topics.inputs()]
        for topic in (*inputs, *self._mapped, topics.name("events")):
            ends = self._ends_of(topic)
            commits = self._consumer.committed(
                [TopicPartition(topic, partition) for partition in ends], timeout=ANSWER_S
            )
            missing += sum(ends[each.partition] - max(each.offset, 0) for each in commits)
        return missing

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()


class PauseWatch(threading.Thread):
    """Watches how long each partition of ``labelled`` goes without a new record.

    Parameters
    ----------
    settings
        Whose topics.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="pauses", daemon=True)
        self._offsets = Offsets(settings)
        self._is_over = threading.Event()
        self._ends: dict[int, int] = {}
        self._since_s: dict[int, float] = {}
        self.pauses: list[tuple[float, float]] = []
        self.began_s = 0.0
        self.ended_s = 0.0

    def run(self) -> None:
        """Watch until stopped."""
        self.began_s = time.monotonic()
        while not self._is_over.wait(LOOK_EVERY_S):
            try:
                ends = self._offsets.ends("labelled")
            except KafkaException:
                continue  # the pause goes on
            self._note(ends, time.monotonic())
        self._offsets.close()

    def finish(self) -> None:
        """Stop watching."""
        self._is_over.set()
        self.join()
        self.ended_s = time.monotonic()
        self.pauses += [(since_s, self.ended_s) for since_s in self._since_s.values()]

    def _note(self, ends: dict[int, int], now_s: float) -> None:
        for partition, end in ends.items():
            if self._ends.get(partition) != end:
                if since_s := self._since_s.get(partition):
                    self.pauses.append((since_s, now_s))
                self._since_s[partition] = now_s
                self._ends[partition] = end

    @property
    def pauses_s(self) -> list[float]:
        """The lengths of the pauses."""
        return [until_s - since_s for since_s, until_s in self.pauses]

    def unwatched_share(self) -> float:
        """Return the share of the time in which at least one partition stood still.

        A pause counts from ``STANDS_AFTER_S`` on: until then it is the traffic's.
        """
        still_s, end_s = 0.0, self.began_s
        for since_s, until_s in sorted(self.pauses):
            from_s = max(since_s + STANDS_AFTER_S, end_s)
            if until_s > from_s:
                still_s += until_s - from_s
                end_s = until_s
        return still_s / max(self.ended_s - self.began_s, 1e-9)
