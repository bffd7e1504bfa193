"""A gateway before a model: it obeys `fallback_on`, and asks the model again once that has ended.

It publishes each answer with its status. The lease ends by itself when the monitor is gone.
"""

import json
import random
import time
from collections.abc import Callable
from typing import Any

from kafka import KafkaConsumer, KafkaProducer

from examples.consumer import Consumer, Note


class Gateway:
    """Answers by the model, or by the fallback while a lease holds."""

    def __init__(
        self,
        model_id: str,
        model: Callable[[], int],
        fallback: int,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.model_id, self._model, self._fallback, self._chance = model_id, model, fallback, chance
        self.lease: dict[str, Any] | None = None
        self.consumer = Consumer(dict[str, Note](), self._begin, self._undo)

    def answer(self) -> dict[str, Any]:
        """Return the fields of one answer; a probe is asked of the model also under a lease."""
        asked = 1.0 if self.lease is None else self.lease["fallback"]["probe"]
        if self._chance() >= asked:
            return {"prediction": self._fallback, "status": "fallback"}
        try:
            return {"prediction": self._model(), "status": "ok"}
        except ConnectionError:
            return {"prediction": None, "status": "error"}

    def _begin(self, command: dict[str, Any]) -> None:
        if command["command"] == "fallback_on" and not command["suggested"]:
            self.lease = command

    def _undo(self, _key: str) -> None:
        self.lease = None


def serve(gateway: Gateway, brokers: str, topics: tuple[str, str], pause_s: float) -> None:
    """Answer a request every ``pause_s``; ``topics`` are those of predictions and commands."""
    producer = KafkaProducer(bootstrap_servers=brokers, linger_ms=5)
    commands = KafkaConsumer(topics[1], bootstrap_servers=brokers, auto_offset_reset="earliest")
    while True:
        now_s = time.time()  # noqa: TID251 - the wall clock is that of `expires_at`
        for record in (each for part in commands.poll().values() for each in part):
            if record.key.decode() == f"{gateway.model_id}|fallback":
                said = json.loads(record.value)["feedback"] if record.value else None
                gateway.consumer.take(record.key.decode(), said, now_s)
        gateway.consumer.pass_time(now_s)
        event = {"prediction_id": f"{now_s:.6f}", "predicted_at": int(1_000 * now_s)}
        event |= {"model_id": gateway.model_id} | gateway.answer()
        producer.send(topics[0], json.dumps(event).encode())
        time.sleep(pause_s)
