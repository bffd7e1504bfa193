"""Deployments on one broker: with a group each they divide the models, in one they are refused."""

from __future__ import annotations

import json

from agents.errors import OperatorError
from tests.broker.conftest import Deploy
from tests.broker.deployment import Deployment, RdProducer, until
from tests.broker.services import Service
from tests.kafka import RealKafka


def staging(kafka: RealKafka, prefix: str, deploy: Deploy) -> Deployment:
    """Make a deployment of another prefix, with the inputs and the group of the first."""
    names = {name: f"{prefix}{name}" for name in ("group", "predictions", "outcomes", "models")}
    return deploy(kafka, "staging.", **names)


def refusals(deployment: Deployment) -> list[str]:
    """Return the sentences of workers that refused the group."""
    lines = [json.loads(line)["message"] for line in deployment.log_path.read_text().splitlines()]
    return [line for line in lines if "has a member at" in line]


def test_a_worker_refuses_the_group_of_another_prefix_that_is_at_work(
    kafka: RealKafka, prefix: str, deploy: Deploy
) -> None:
    deployment, other = deploy(kafka), staging(kafka, prefix, deploy)
    production = deployment.start_worker()
    until(lambda: production.says("Assigned"), lambda: "an assignment")

    worker = other.start_worker()

    assert worker.wait() == OperatorError.exit_code
    (line,) = refusals(deployment)
    assert f"{deployment.settings.prefix}events" in line
    assert f"this worker, of prefix {other.settings.prefix!r}" in line
    production.check()


def test_of_two_that_start_at_the_same_moment_one_refuses_before_it_reads(
    kafka: RealKafka, prefix: str, deploy: Deploy
) -> None:
    deployment, other = deploy(kafka), staging(kafka, prefix, deploy)
    workers = [other.start_worker(), deployment.start_worker()]

    until(
        lambda: any(worker.process.poll() is not None for worker in workers),
        lambda: f"a refusal in {deployment.log_path.read_text()}",
    )

    ended = [code for worker in workers if (code := worker.process.poll()) is not None]
    assert set(ended) == {OperatorError.exit_code}
    assert len(refusals(deployment)) >= len(ended)


def test_models_are_divided_between_deployments_of_their_own_inputs(
    kafka: RealKafka, deploy: Deploy
) -> None:
    models = ("credit", "fraud")
    parts = {model: deploy(kafka, f"{model}.") for model in models}
    workers = [part.start_worker() for part in parts.values()]
    outputs = {model: part.outputs("labelled") for model, part in parts.items()}

    for model, part in parts.items():
        RdProducer(part).publish(Service(model_id=model, rows=150, changed_from=100).sent())
    for model, part in parts.items():
        part.wait_for(outputs[model], "labelled", 150, *workers)

    for model in models:
        rows = outputs[model].of("labelled")
        assert {row["labelled_id"] for row in rows} == {f"{model}/{n}" for n in range(1, 151)}
