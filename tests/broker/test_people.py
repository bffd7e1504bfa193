"""What people say about alerts, from the command line to the alerts and back."""

from __future__ import annotations

import os
from subprocess import CompletedProcess

import orjson
import pytest

from agents.commands.controls import UnknownAlertError
from agents.commands.loop import UnknownCommandError
from agents.errors import OperatorError
from tests.broker import Broker, publish, read_to_end
from tests.broker.conftest import Deploy
from tests.broker.deployment import Deployment, Outputs, Worker, command
from tests.broker.services import Service
from tests.kafka import RealKafka

SERVICE = Service(model_id="pricing", rows=900, changed_from=600)


def say(deployment: Deployment, *arguments: str) -> CompletedProcess[str]:
    return command(*arguments, env=deployment.env)


def assert_done(deployment: Deployment, outputs: Outputs, worker: Worker) -> None:
    """End by hand the command that is open by now."""
    deployment.wait_for(outputs, "feedback", 1, worker)
    done = say(deployment, "done", "pricing", "--wait", "60")
    another = say(deployment, "done", "pricing", "challenge")

    assert done.stdout.startswith("The retrain of pricing is over from ")
    assert another.returncode == UnknownCommandError.exit_code
    assert another.stderr.startswith("Error: no challenge of model 'pricing' is open")


def test_what_people_say_is_in_the_alert_and_its_status(kafka: RealKafka, deploy: Deploy) -> None:
    deployment = deploy(kafka, group_instance="worker-1")
    worker = deployment.start_worker()
    outputs = deployment.outputs("labelled", "alerts", "feedback")
    sent = list(SERVICE.sent())
    for kind in ("prediction", "outcome"):
        values = [each.payload for each in sent if each.kind == kind]
        publish(kafka, deployment.topic(kind), values, partition=0)
    deployment.wait_for(outputs, "labelled", SERVICE.rows, worker)
    deployment.wait_for(outputs, "alerts", 2, worker)
    fired = {alert["series"]: alert["fingerprint"] for alert in outputs.of("alerts")}
    amount = fired["feature/amount"]

    acked = say(deployment, "ack", amount[:8], "--by", "ann", "--because", "new prices")
    worker.kill()
    worker = deployment.start_worker()
    muted = say(deployment, "mute", amount, "--for", "2h", "--wait", "60")
    marked = [say(deployment, "mark", each, "false", "--wait", "60") for each in fired.values()]
    deployment.wait_for(outputs, "alerts", 4, worker)
    assert_done(deployment, outputs, worker)
    rules = say(deployment, "rules")
    listed, unknown = say(deployment, "status"), say(deployment, "status", "--model", "pricin")

    status = {
        record.key: orjson.loads(record.value)
        for record in read_to_end(kafka, deployment.settings.topics.name("status"))
        if record.value
    }[amount.encode()]
    assert acked.stdout.startswith("Acknowledged from ")
    assert "by ann: " in acked.stdout
    assert (status["acknowledged"]["by"], status["acknowledged"]["because"]) == (
        "ann",
        "new prices",
    )
    assert {each.returncode for each in (muted, *marked)} == {0}
    assert status["muted_until"] is not None
    assert rules.stdout.startswith("pricing: a budget is suggested once 5 alerts are marked.")
    assert "feature_drift" in rules.stdout
    assert (listed.returncode, unknown.returncode) == (1, OperatorError.exit_code)
    assert worker.terminate() == os.EX_OK
    assert command("verify", env=deployment.env).returncode == 0


@pytest.mark.parametrize("verb", ["ack", "accept", "mute", "unmute", "mark"])
def test_an_alert_that_nobody_knows_is_told(embedded: Broker, deploy: Deploy, verb: str) -> None:
    verdict = ["true"] if verb == "mark" else []

    run = say(deploy(embedded), verb, "3f9c", *verdict)

    assert run.returncode == UnknownAlertError.exit_code
    assert run.stderr.startswith("Error: no alert '3f9c' ")


def test_a_status_that_nobody_updates_is_told(embedded: Broker, deploy: Deploy) -> None:
    run = say(deploy(embedded), "status")

    assert run.returncode == os.EX_TEMPFAIL
    assert run.stderr == "No worker has appended a tick yet: start one.\n"


def test_before_any_mark_the_rules_say_how_to_make_one(embedded: Broker, deploy: Deploy) -> None:
    assert "./tidegauge mark FINGERPRINT true" in say(deploy(embedded), "rules").stdout


def test_a_time_that_is_none_is_wrong_usage() -> None:
    assert command("mute", "3f9c", "--for", "soon").returncode == 2


def test_without_topics_it_is_said_how_to_make_them(embedded: Broker, prefix: str) -> None:
    env = {"TIDEGAUGE_BROKER": embedded.bootstrap, "TIDEGAUGE_PREFIX": prefix}

    run = command("ack", "3f9c", env=env)

    assert run.returncode == OperatorError.exit_code
    assert "run `./tidegauge topics create`" in run.stderr
