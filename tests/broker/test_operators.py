"""What an operator does wrong, or does to stop a worker, and what the worker says."""

from __future__ import annotations

import os
import signal

import pytest

from agents.demo.embedded_broker import EmbeddedBroker, free_port
from agents.errors import BrokerUnreachableError, OperatorError
from tests.broker import Broker, publish
from tests.broker.conftest import Deploy
from tests.broker.deployment import command, until
from tests.doubles.corpus import MARK
from tests.patience import promptly


def test_a_missing_topic_is_named_with_the_remedy(broker: Broker, prefix: str) -> None:
    env = {"TIDEGAUGE_BROKER": broker.bootstrap, "TIDEGAUGE_PREFIX": prefix}

    run = command("worker", env=env)

    assert run.returncode == OperatorError.exit_code
    assert f"{prefix}events" in run.stderr
    assert "./tidegauge topics create" in run.stderr
    assert "Traceback" not in run.stdout + run.stderr


def test_another_number_of_partitions_is_refused_with_the_remedy(
    broker: Broker, prefix: str
) -> None:
    env = {"TIDEGAUGE_BROKER": broker.bootstrap, "TIDEGAUGE_PREFIX": prefix}
    command("topics", "create", env=env | {"TIDEGAUGE_PARTITIONS": "3"})

    run = command("worker", env=env | {"TIDEGAUGE_PARTITIONS": "5"})

    assert run.returncode == OperatorError.exit_code
    assert "has 3 partitions, the settings ask for 5" in run.stderr
    assert "TIDEGAUGE_PARTITIONS=3" in run.stderr
    assert "Traceback" not in run.stdout + run.stderr


def test_a_broker_that_does_not_answer_is_said_in_one_sentence_without_the_password() -> None:
    address = f"127.0.0.1:{free_port()}"
    env = {
        "TIDEGAUGE_BROKER": address,
        "TIDEGAUGE_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "TIDEGAUGE_USERNAME": "tide",
        "TIDEGAUGE_PASSWORD": MARK,
        "TIDEGAUGE_LOG_LEVEL": "debug",
    }

    run = command("worker", env=env)

    last = run.stderr.splitlines()[-1]
    assert run.returncode == BrokerUnreachableError.exit_code
    assert address in last
    assert "TIDEGAUGE_BROKER" in last
    assert "Traceback" not in run.stdout + run.stderr
    assert MARK not in run.stdout + run.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIDEGAUGE_PARTITIONS", "0"),
        ("TIDEGAUGE_BROKER", "nowhere"),
        ("TIDEGAUGE_IDLE_S", "soon"),
        ("TIDEGAUGE_DEAD_LETTER_RATIO", "2"),
    ],
)
def test_a_bad_setting_is_named_before_anything_starts(name: str, value: str) -> None:
    run = command("worker", env={name: value})

    assert run.returncode == OperatorError.exit_code
    assert name in run.stderr
    assert value in run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert not run.stdout


def test_ctrl_c_stops_a_worker_in_good_order(embedded: EmbeddedBroker, deploy: Deploy) -> None:
    worker = deploy(embedded).start_worker()
    until(lambda: worker.says("Assigned"), lambda: "an assignment")

    assert worker.interrupt() == os.EX_OK
    assert worker.messages()[-1] == "Stopped"
    assert "Traceback" not in worker.log()


def test_a_worker_still_looking_for_its_broker_can_be_stopped(
    embedded: EmbeddedBroker, deploy: Deploy
) -> None:
    worker = deploy(embedded).start_worker(broker=f"127.0.0.1:{free_port()}")
    until(lambda: worker.says("Kafka at"), lambda: "a first complaint")

    assert worker.terminate() == os.EX_OK
    assert "Traceback" not in worker.log()


def test_verify_refuses_a_group_that_has_committed_nothing(broker: Broker, prefix: str) -> None:
    env = {"TIDEGAUGE_BROKER": broker.bootstrap, "TIDEGAUGE_PREFIX": prefix}
    command("topics", "create", env=env)

    run = command("verify", "--group", f"{prefix}nobody", env=env)

    assert run.returncode == OperatorError.exit_code
    assert "has committed nothing" in run.stderr
    assert "Traceback" not in run.stdout + run.stderr


def test_verify_names_missing_topics_and_makes_none(broker: Broker, prefix: str) -> None:
    env = {"TIDEGAUGE_BROKER": broker.bootstrap, "TIDEGAUGE_PREFIX": prefix}

    first, second = (command("verify", env=env) for _ in range(2))

    assert first.returncode == second.returncode == OperatorError.exit_code
    assert f"{prefix}events" in second.stderr


def test_a_worker_whose_broker_is_away_ends_when_it_is_asked(deploy: Deploy) -> None:
    with EmbeddedBroker() as broker:
        deployment = deploy(broker)
        worker = deployment.start_worker()
        # A worker that loses its broker while it restores state ends by itself.
        publish(broker, deployment.topic("prediction"), [b"{"], partition=0)
        deployment.wait_for(deployment.outputs("dead_letters"), "dead_letters", 1, worker)
    until(lambda: worker.says("Unable"), lambda: "a fetch that fails")

    worker.process.send_signal(signal.SIGTERM)

    assert worker.wait(within_s=promptly(15.0)) == os.EX_OK
