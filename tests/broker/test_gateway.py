"""The example gateway: its model dies, the monitor dies, both come back."""

from __future__ import annotations

import contextlib
import threading
import time

import orjson
from kafka import KafkaProducer

from examples.gateway.gateway import Gateway, serve
from tests.broker import Broker
from tests.broker.conftest import Deploy
from tests.broker.deployment import until
from tests.patience import PATIENCE_S, promptly

MODEL = "gate"
TTL_S = 6.0
USUAL = 250
"""Answers before the model dies, so that its errors are unusual."""
SPEC = {
    "model_id": MODEL,
    "fallback": {"auto": True, "ttl_s": TTL_S, "hold_s": 1.0, "probe": 0.3},
}


class Served:
    """A model that can be killed, behind a gateway in a thread that ends with the test."""

    def __init__(self) -> None:
        self.is_down = False
        self.answers = 0
        self.ends = threading.Event()
        self.gateway = Gateway(MODEL, self._answer, fallback=0)

    def serve(self, brokers: str, topics: tuple[str, str]) -> None:
        with contextlib.suppress(SystemExit):
            serve(self.gateway, brokers, topics, 0.01)

    def _answer(self) -> int:
        if self.ends.is_set():
            raise SystemExit
        if self.is_down:
            raise ConnectionError
        self.answers += 1
        return 1

    @property
    def is_on_fallback(self) -> bool:
        return self.gateway.lease is not None


def test_a_gateway_obeys_the_lease_and_a_dead_monitor_cannot_hold_it(
    embedded: Broker, deploy: Deploy
) -> None:
    deployment = deploy(embedded)
    brokers, served = embedded.bootstrap, Served()
    KafkaProducer(bootstrap_servers=brokers).send(
        deployment.topic("spec"), orjson.dumps(SPEC), key=MODEL.encode()
    ).get(PATIENCE_S)
    worker = deployment.start_worker()
    topics = (deployment.topic("prediction"), deployment.settings.topics.name("commands"))
    thread = threading.Thread(target=served.serve, args=(brokers, topics), daemon=True)
    thread.start()
    seen = deployment.outputs("alerts", "feedback")
    until(lambda: served.answers > USUAL, worker.log)
    served.is_down = True
    until(lambda: served.is_on_fallback, worker.log)

    worker.kill()
    killed_s = time.monotonic()
    until(lambda: not served.is_on_fallback, worker.log)
    assert time.monotonic() - killed_s < promptly(TTL_S + 1.0)

    worker = deployment.start_worker()
    until(lambda: served.is_on_fallback, worker.log)
    served.is_down = False
    until(lambda: not served.is_on_fallback, worker.log)
    served.ends.set()
    thread.join(PATIENCE_S)

    deployment.wait_for(seen, "feedback", 3, worker)
    commands = [each["command"] for each in seen.of("feedback")]
    assert "fallback_off" in commands
    assert worker.terminate() == 0
