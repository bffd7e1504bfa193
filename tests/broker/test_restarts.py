"""A worker that dies, and what the topics say afterwards."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.broker import Broker
from tests.broker.conftest import Deploy
from tests.broker.deployment import (
    IN_ORDER_IDLE_S,
    Deployment,
    Outputs,
    RdProducer,
    Worker,
    until,
)
from tests.broker.exactness import check_exactness
from tests.broker.services import Sent, fleet
from tests.kafka import RealKafka

MODELS = 6
ROWS = 800
CHANGED_FROM = 500
EVENTS_AT_ONCE = 40
PAUSE_S = 0.02


@contextmanager
def traffic(producer: RdProducer, events: list[Sent]) -> Iterator[None]:
    """Have services publish these events, bit by bit, whatever becomes of the workers."""
    failures: list[AssertionError] = []

    def publish() -> None:
        pause = threading.Event()
        try:
            for first in range(0, len(events), EVENTS_AT_ONCE):
                producer.publish(events[first : first + EVENTS_AT_ONCE])
                pause.wait(PAUSE_S)
        except AssertionError as error:
            failures.append(error)

    thread = threading.Thread(target=publish, name="traffic", daemon=True)
    thread.start()
    yield
    thread.join()
    for failure in failures:
        raise failure


class Story:
    """Traffic in parts, and workers that are struck in the middle of one."""

    def __init__(self, deployment: Deployment, parts: int) -> None:
        self._deployment = deployment
        self._producer = RdProducer(deployment)
        self._chance = random.Random(1)  # noqa: S311 - when to strike, not a secret
        events = fleet(MODELS, rows=ROWS, changed_from=CHANGED_FROM)
        size = len(events) // parts + 1
        self._parts = [events[first : first + size] for first in range(0, len(events), size)]
        self._pairs_a_part = size // 2
        self.outputs: Outputs = deployment.outputs("labelled")

    @contextmanager
    def part(self, worker: Worker) -> Iterator[None]:
        """Publish the next part; the block begins when ``worker`` is in the middle of it."""
        until(lambda: worker.says("Assigned"), lambda: "an assignment")
        self.outputs.catch_up()
        have = self.outputs.count("labelled")
        most = self._pairs_a_part * 2 // 3
        with traffic(self._producer, self._parts.pop(0)):
            strike_at = have + self._chance.randint(most // 10, most)
            self._deployment.wait_for(self.outputs, "labelled", strike_at, worker)
            yield

    def finish(self, worker: Worker) -> None:
        """Publish the last part, wait for every pair, and stop the worker in good order."""
        with self.part(worker):
            pass
        self._deployment.wait_for(self.outputs, "labelled", MODELS * ROWS, worker)
        assert worker.terminate() == 0


def assert_exact(broker: Broker, deployment: Deployment) -> None:
    verdict = check_exactness(broker, deployment)
    assert verdict.emitted["labelled"] == MODELS * ROWS
    assert verdict.emitted["alerts"] >= MODELS
    assert verdict.emitted["feedback"] >= 1


@pytest.mark.parametrize(
    ("brokers_name", "endings"),
    [("embedded", ["kill", "terminate"]), ("kafka", ["kill", "terminate", "kill", "kill"])],
)
def test_restarts_change_nothing(
    request: pytest.FixtureRequest, deploy: Deploy, brokers_name: str, endings: list[str]
) -> None:
    broker: Broker = request.getfixturevalue(brokers_name)
    deployment = deploy(broker, group_instance="worker-1", idle_s=IN_ORDER_IDLE_S)
    story = Story(deployment, parts=len(endings) + 1)

    for ending in endings:
        worker = deployment.start_worker()
        with story.part(worker):
            if ending == "kill":
                worker.kill()
            else:
                assert worker.terminate() == 0
    story.finish(deployment.start_worker())

    assert_exact(broker, deployment)


def test_a_worker_takes_over_from_one_that_was_killed(kafka: RealKafka, deploy: Deploy) -> None:
    deployment = deploy(kafka, idle_s=IN_ORDER_IDLE_S)
    story = Story(deployment, parts=3)

    first = deployment.start_worker()
    with story.part(first):
        second = deployment.start_worker()
    with story.part(second):
        first.kill()
    story.finish(second)

    assert_exact(kafka, deployment)
