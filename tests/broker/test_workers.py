"""Several workers take a backlog: it is told as one worker tells it, and as a backtest does."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import KafkaException

from benchmarks.chaos.offsets import Offsets
from tests.broker.backlog import alerts_of, backtest, create_inputs, history, pairs_of, publish
from tests.broker.conftest import Deploy
from tests.broker.deployment import Deployment, until
from tests.broker.exactness import check_exactness
from tests.broker.services import Sent
from tests.kafka import RealKafka

MODELS, ROWS = 3, 4_000


@pytest.fixture(scope="module")
def events() -> list[Sent]:
    return history(MODELS, ROWS)


@pytest.fixture(scope="module")
def backtested(events: list[Sent], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return backtest(events, tmp_path_factory.mktemp("recorded"))


def is_all_committed(deployment: Deployment) -> bool:
    offsets = Offsets(deployment.settings)
    try:
        return offsets.behind() == 0
    except KafkaException:  # the group is between two generations
        return False
    finally:
        offsets.close()


@pytest.fixture
def deployment(kafka: RealKafka, prefix: str, tmp_path: Path, deploy: Deploy) -> Deployment:
    create_inputs(kafka, Deployment(kafka, prefix, tmp_path))
    return deploy(kafka)


def take_with_three_workers(deployment: Deployment, pairs: int, **settings: str) -> None:
    """Take the backlog: the worker that reads the inputs is killed, another one starts late.

    Kafka notices the death after a session of 6 s; then one of the others goes on with the inputs,
    or both share them where these are by model.
    """
    outputs = deployment.outputs("labelled")
    ingest = deployment.start_worker(role="ingest", **settings)
    both = deployment.start_worker(**settings)
    deployment.wait_for(outputs, "labelled", 1, ingest, both)
    ingest.kill()
    late = deployment.start_worker(**settings)
    deployment.wait_for(outputs, "labelled", pairs, both, late)
    # The last predictions have no outcomes.
    until(lambda: is_all_committed(deployment), lambda: "the end of the backlog")


@pytest.mark.parametrize("key", ["prediction", "model"])
def test_workers_that_come_and_go_raise_the_alerts_of_a_backtest(
    kafka: RealKafka,
    deployment: Deployment,
    events: list[Sent],
    backtested: dict[str, str],
    key: str,
) -> None:
    publish(deployment, events, key)

    is_by_model = "true" if key == "model" else "false"
    take_with_three_workers(deployment, pairs_of(events), inputs_by_model=is_by_model)
    until(
        lambda: len(alerts_of(kafka, deployment)) >= len(backtested),
        lambda: f"{len(backtested)} alerts",
    )

    assert check_exactness(kafka, deployment).emitted["labelled"] == pairs_of(events)
    assert alerts_of(kafka, deployment) == backtested
    assert len(backtested) >= MODELS
