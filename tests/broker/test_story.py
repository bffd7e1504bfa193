"""The story of agents/demo/story.py through a real worker: every transition of every alert is held.

Everything of a chapter is published before a worker reads it, with its own instants: how inputs
interleave then follows from these alone, and so does every byte but the place in the log.
"""

from __future__ import annotations

from itertools import groupby

import orjson
import pytest

from agents.demo.story import has_traffic, published, tick_of_outage
from tests.broker import Broker, read_to_end
from tests.broker import publish as send
from tests.broker.chapters import (
    Pairs,
    deployment_for,
    end_in_good_order,
    kill_in_the_middle,
    publish,
)
from tests.broker.conftest import Deploy
from tests.broker.deployment import Deployment, command, until
from tests.broker.services import Sent
from tests.golden.story import CHAPTERS, STORY, line_of
from tests.kafka import RealKafka


def chapters() -> list[list[Sent]]:
    """Return what is published, chapter by chapter."""
    events = [Sent(each.kind, each.prediction_id, each.at_ms, each.payload) for each in published()]
    return [list(part) for _, part in groupby(events, _chapter_of)]


def _chapter_of(sent: Sent) -> int:
    return sum(sent.at_ms >= begins_ms for begins_ms in CHAPTERS)


def pass_outage(broker: Broker, deployment: Deployment) -> None:
    """Let the hours pass, while no worker runs, in which nothing is published."""
    events = deployment.settings.topics.name("events")
    records = [record.value or b"" for record in read_to_end(broker, events)]
    last = next(value for value in reversed(records) if has_traffic(value))
    send(broker, events, [tick_of_outage(last)])


def model_of(line: str) -> str:
    """Return whose a line is: between models there is no order of alerts."""
    return line.split(maxsplit=1)[0]


def assert_told(broker: Broker, deployment: Deployment) -> None:
    """Hold what was told against the story, and what is left open against nothing."""
    records = read_to_end(broker, deployment.settings.topics.name("alerts"))
    told: dict[str, bytes] = {}
    for record in records:
        value = record.value or b""
        alert_id = orjson.loads(value)["alert_id"]
        assert told.setdefault(alert_id, value) == value, "the same id with other bytes"
    status = {
        record.key: record.value
        for record in read_to_end(broker, deployment.settings.topics.name("status"))
    }

    lines = [line_of(orjson.loads(value)) for value in told.values()]
    assert sorted(lines, key=model_of) == sorted(STORY, key=model_of)
    assert not any(status.values())
    assert status
    verdict = command("verify", env=deployment.env)
    assert verdict.returncode == 0, verdict.stdout


@pytest.mark.parametrize("name", ["embedded", "kafka"])
def test_the_story_is_told_transition_by_transition(
    request: pytest.FixtureRequest, deploy: Deploy, prefix: str, name: str
) -> None:
    broker: Broker = request.getfixturevalue(name)
    deployment = deployment_for(deploy, broker, prefix)
    *before, after = chapters()
    pairs = sum(publish(deployment, events) for events in before)
    outputs = deployment.outputs("labelled")

    worker = deployment.start_worker()
    deployment.wait_for(outputs, "labelled", pairs, worker)
    assert worker.terminate() == 0
    pass_outage(broker, deployment)
    pairs += publish(deployment, after)
    worker = deployment.start_worker()
    deployment.wait_for(outputs, "labelled", pairs, worker)

    assert worker.terminate() == 0
    assert_told(broker, deployment)


def test_a_worker_killed_in_the_middle_of_chapters_changes_no_transition(
    kafka: RealKafka, deploy: Deploy, prefix: str
) -> None:
    deployment = deployment_for(deploy, kafka, prefix)
    seen = Pairs(deployment.outputs("labelled"))
    total = 0
    cut_short = 0

    *begun, after = chapters()
    for events in begun:
        before, total = total, total + publish(deployment, events)
        worker = deployment.start_worker()
        kill_in_the_middle(worker, seen, before + 1)
        cut_short += before < seen.count() < total
    worker = deployment.start_worker()
    until(lambda: seen.count() == total, lambda: f"{total} pairs")
    worker.kill()
    pass_outage(kafka, deployment)
    before, total = total, total + publish(deployment, after)
    worker = deployment.start_worker()
    kill_in_the_middle(worker, seen, before + 1)
    cut_short += before < seen.count() < total
    worker = deployment.start_worker()
    end_in_good_order(worker, deployment)

    assert seen.count() == total
    assert_told(kafka, deployment)
    # All the rest of a chapter may be on its way when its first pair is there.
    assert cut_short > len(begun) // 2
