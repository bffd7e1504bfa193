"""Specs of live models, from the command line to the alerts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess

import orjson
import pytest
import yaml

from agents.commands.models import UnknownModelError
from agents.errors import OperatorError
from tests.broker import Broker, publish
from tests.broker.conftest import Deploy
from tests.broker.deployment import Deployment, command, until
from tests.broker.services import Service
from tests.kafka import RealKafka

CHANGED_FROM = 600


def models(deployment: Deployment, *arguments: str) -> CompletedProcess[str]:
    return command("models", *arguments, env=deployment.env)


def written(folder: Path, **fields: object) -> str:
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(fields), "utf-8")
    return str(path)


def sent(broker: Broker, deployment: Deployment, rows: range) -> None:
    service = Service(model_id="pricing", rows=rows.stop, changed_from=CHANGED_FROM)
    events = [each for each in service.sent() if int(each.prediction_id[8:]) in rows]
    for kind in ("prediction", "outcome"):
        values = [each.payload for each in events if each.kind == kind]
        publish(broker, deployment.topic(kind), values, partition=0)


def drafted_once_saved(deployment: Deployment, model_id: str) -> CompletedProcess[str]:
    runs: list[CompletedProcess[str]] = []

    def is_drafted() -> bool:
        runs.append(models(deployment, "init", model_id))
        return runs[-1].returncode == os.EX_OK

    until(is_drafted, lambda: f"a saved state; {runs[-1].stderr}")
    return runs[-1]


def versions(alerts: Sequence[dict[str, object]]) -> dict[str, object]:
    return {str(alert["series"]): alert["spec_version"] for alert in alerts}


def test_a_spec_is_in_force_from_where_it_is_said_to_be(
    kafka: RealKafka, deploy: Deploy, tmp_path: Path
) -> None:
    deployment = deploy(kafka, group_instance="worker-1")
    worker = deployment.start_worker()
    outputs = deployment.outputs("labelled", "alerts", "dead_letters")
    sent(kafka, deployment, range(500))
    deployment.wait_for(outputs, "labelled", 500, worker)

    drafted = drafted_once_saved(deployment, "pricing")
    (tmp_path / "draft.yaml").write_text(drafted.stdout, "utf-8")
    first = models(deployment, "apply", str(tmp_path / "draft.yaml"))
    worker.kill()
    worker = deployment.start_worker()
    said = {"model_id": "pricing", "features": {"ignore": ["age", "channel"]}, "owner": "risk"}
    second = models(deployment, "apply", written(tmp_path, **said), "--wait", "60")
    sent(kafka, deployment, range(500, 1_000))
    deployment.wait_for(outputs, "alerts", 2, worker)

    assert "feature/channel  categories: " in drafted.stdout
    assert "version 1 of its spec is in force" in first.stdout
    assert "version 2 of its spec is in force" in second.stdout
    assert versions(outputs.of("alerts")) == {"feature/amount": 2, "error": 2}
    assert yaml.safe_load(models(deployment, "show", "pricing").stdout) == said

    removed = models(deployment, "remove", "pricing", "--wait", "60")
    assert removed.stdout.splitlines()[1].startswith("pricing: it is gone from ")
    assert models(deployment, "list").stdout == ""
    assert worker.terminate() == os.EX_OK
    assert command("verify", env=deployment.env).returncode == 0


def test_a_wrong_spec_changes_nothing_and_is_told_wherever_it_is_noticed(
    embedded: Broker, deploy: Deploy, tmp_path: Path
) -> None:
    deployment = deploy(embedded)
    worker = deployment.start_worker()
    outputs = deployment.outputs("dead_letters")
    good = written(tmp_path, model_id="pricing", owner="risk")
    assert models(deployment, "apply", good).returncode == 0

    (tmp_path / "other").mkdir()
    bad = written(tmp_path / "other", model_id="m", alert_budge=1)

    told = models(deployment, "apply", good, bad)
    value = orjson.dumps({"alert_budget": -1})
    publish(embedded, deployment.settings.models, [value], key=b"pricing")
    deployment.wait_for(outputs, "dead_letters", 1, worker)

    assert told.returncode == OperatorError.exit_code
    assert "alert_budge: unknown field; did you mean alert_budget?" in told.stderr
    letter = outputs.of("dead_letters")[0]
    assert (
        letter["detail"]
        == "alert_budget: Input should be greater than or equal to 0.000001, got -1"
    )
    shown = models(deployment, "show", "pricing").stdout
    assert "It is refused (alert_budget: " in shown
    assert yaml.safe_load(shown) == {"model_id": "pricing", "owner": "risk"}
    (line,) = models(deployment, "list").stdout.splitlines()
    assert orjson.loads(line)["problem"] == letter["detail"]


@pytest.mark.parametrize("verb", ["show", "remove", "init"])
def test_a_model_that_nobody_knows_is_told(embedded: Broker, deploy: Deploy, verb: str) -> None:
    run = models(deploy(embedded), verb, "nobody")

    assert run.returncode == UnknownModelError.exit_code
    assert "'nobody'" in run.stderr
    assert "Traceback" not in run.stderr


def test_without_a_worker_a_spec_waits_and_that_is_said(
    embedded: Broker, deploy: Deploy, tmp_path: Path
) -> None:
    run = models(deploy(embedded), "apply", written(tmp_path, model_id="m"), "--wait", "0.5")

    assert run.returncode == 0
    assert run.stdout.splitlines()[1] == "m: no worker has read it within 0.5 s; it waits for one."


def test_a_spec_of_no_model_or_of_one_model_twice_is_refused(
    embedded: Broker, deploy: Deploy, tmp_path: Path
) -> None:
    deployment = deploy(embedded)
    spec = written(tmp_path, model_id="m")

    twice = models(deployment, "apply", spec, spec)
    nobody = models(deployment, "apply", written(tmp_path, owner="risk"))

    assert "there is another spec of 'm'" in twice.stderr
    assert "model_id: missing" in nobody.stderr
    assert twice.returncode == nobody.returncode == OperatorError.exit_code


def test_without_the_topics_every_command_says_how_to_make_them(
    embedded: Broker, prefix: str, tmp_path: Path
) -> None:
    env = {"TIDEGAUGE_BROKER": embedded.bootstrap, "TIDEGAUGE_MODELS": f"{prefix}models"}

    runs = [
        command("models", *arguments, env=env)
        for arguments in (["apply", written(tmp_path, model_id="m")], ["list"], ["show", "m"])
    ]

    for run in runs:
        assert run.returncode == OperatorError.exit_code
        assert "run `./tidegauge topics create`" in run.stderr
