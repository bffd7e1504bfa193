"""A deployment moves to more partitions in the middle of its history."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.chaos.offsets import Offsets
from tests.broker.backlog import alerts_of, backtest, create_inputs, history, pairs_of, publish
from tests.broker.conftest import Deploy
from tests.broker.deployment import Deployment, command, until
from tests.broker.services import Sent
from tests.kafka import RealKafka

MODELS, ROWS = 3, 1_500
MOVED_AT = 0.7
"""Share of the events after which it moves: the features have alerted, the errors have not."""


@pytest.fixture(scope="module")
def events() -> list[Sent]:
    return history(MODELS, ROWS)


def take(deployment: Deployment, pairs: int) -> None:
    """Have a worker take what there is; one that only monitors takes its last records."""
    outputs = deployment.outputs("labelled")
    worker = deployment.start_worker()
    deployment.wait_for(outputs, "labelled", pairs, worker)
    assert worker.terminate() == os.EX_OK
    monitor = deployment.start_worker(role="monitor")
    until(lambda: monitor.says("Assigned"), lambda: "an assignment")
    offsets = Offsets(deployment.settings)
    until(lambda: offsets.behind() == 0, lambda: "everything committed")
    offsets.close()
    assert monitor.terminate() == os.EX_OK


def test_more_partitions_lose_no_state_and_repeat_no_alert(
    kafka: RealKafka, prefix: str, tmp_path: Path, deploy: Deploy, events: list[Sent]
) -> None:
    create_inputs(kafka, Deployment(kafka, prefix, tmp_path))
    old = deploy(kafka, partitions="2")
    cut = int(len(events) * MOVED_AT)
    publish(old, events[:cut], "prediction")
    take(old, pairs_of(events[:cut]))
    inputs = {name: getattr(old.settings, name) for name in ("predictions", "outcomes", "models")}
    new = Deployment(
        kafka, f"{prefix}new.", tmp_path, partitions="5", **inputs, group=f"{prefix}new"
    )
    told = ("--partitions", "5", "--to", new.settings.prefix)
    env = {name: value for name, value in old.env.items() if not name.endswith("_GROUP")}

    def is_moved() -> bool:
        run = command("repartition", *told, "--group", old.settings.group, env=env)
        moved.append(run.stdout + run.stderr)
        return run.returncode == os.EX_OK

    moved: list[str] = []
    until(is_moved, lambda: moved[-1])
    group = f"tidegauge-{new.settings.prefix.rstrip('.')}"
    with new:
        new.env["TIDEGAUGE_GROUP"] = group
        publish(new, events[cut:], "prediction")
        outputs = new.outputs("labelled")
        worker = new.start_worker()
        new.wait_for(outputs, "labelled", pairs_of(events[cut:]), worker)
        assert worker.terminate() == os.EX_OK
        verified = command("verify", env=new.env)

    before, after = alerts_of(kafka, old), alerts_of(kafka, new)
    assert f"Moved {MODELS} models to 5 partitions" in moved[-1]
    assert before.keys().isdisjoint(after)
    assert before.keys() | after.keys() == backtest(events, tmp_path).keys()
    assert before
    assert after
    assert verified.returncode == os.EX_OK, verified.stdout
