"""A story through a real worker that is killed in the middle of its chapters."""

from __future__ import annotations

import signal
import time

import orjson

from benchmarks.chaos.offsets import Offsets
from tests.broker import Broker, create_topic
from tests.broker.conftest import Deploy
from tests.broker.deployment import Deployment, Outputs, RdProducer, Worker, until
from tests.broker.services import Sent

PATIENT_IDLE_S = "30"
"""No partition is slow enough for another one's events to pass it by."""

MOMENT_S = 0.01


def deployment_for(deploy: Deploy, broker: Broker, prefix: str) -> Deployment:
    for name in ("predictions", "outcomes"):  # months old, it must not age away under a test
        create_topic(broker, f"{prefix}{name}", config={"retention.ms": "-1"})
    return deploy(broker, partitions="1", idle_s=PATIENT_IDLE_S, group_instance="worker-1")


def publish(deployment: Deployment, events: list[Sent]) -> int:
    """Publish events with their own instants; return how many outcomes, and so pairs, these are."""
    RdProducer(deployment).publish(events, timestamp_of=lambda sent: sent.at_ms)
    return sum(sent.kind == "outcome" for sent in events)


class Pairs:
    """The labelled pairs that have been published, each once.

    Parameters
    ----------
    outputs
        Reads them.
    """

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self._ids: set[str] = set()
        self._read = 0

    def count(self) -> int:
        """Return how many there are by now."""
        self._outputs.catch_up()
        news = self._outputs.records["labelled"][self._read :]
        self._ids |= {orjson.loads(record.value or b"")["labelled_id"] for record in news}
        self._read += len(news)
        return len(self._ids)


def kill_in_the_middle(worker: Worker, seen: Pairs, pairs: int) -> None:
    """Let a worker run for a moment at a time, and kill it once so many pairs are published."""
    until(lambda: worker.says("Assigned"), lambda: "an assignment")

    def is_done() -> bool:
        worker.process.send_signal(signal.SIGSTOP)
        if seen.count() >= pairs:
            return True
        worker.process.send_signal(signal.SIGCONT)
        time.sleep(MOMENT_S)
        return False

    until(is_done, lambda: f"{pairs} pairs")
    worker.kill()


def end_in_good_order(worker: Worker, deployment: Deployment) -> None:
    """End a worker once it has committed all that there is.

    Whoever ends before it has read again what a killed one had told says its own older words of
    `status`, until the next one comes.
    """
    until(lambda: worker.says("Assigned"), lambda: "an assignment")
    offsets = Offsets(deployment.settings)
    until(lambda: offsets.behind() == 0, lambda: "everything committed")
    offsets.close()
    assert worker.terminate() == 0
