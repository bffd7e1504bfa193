"""A broker that throttles its clients: a worker is slower, and nothing else."""

from __future__ import annotations

import os
import subprocess

from tests.broker.conftest import Deploy
from tests.broker.deployment import RdProducer, command
from tests.broker.exactness import check_exactness
from tests.broker.services import Service
from tests.conftest import require_kafka
from tests.kafka import RealKafka, java

SERVICE = Service(model_id="pricing", rows=200, changed_from=200)
BYTES_A_SECOND = 60_000
"""The log of the rows alone has some 100 kB."""


def throttle(kafka: RealKafka) -> None:
    """Set a quota for every client."""
    config = f"producer_byte_rate={BYTES_A_SECOND},consumer_byte_rate={BYTES_A_SECOND}"
    entity = ["--entity-type", "clients", "--entity-default"]
    subprocess.run(
        [
            *java(),
            "kafka.admin.ConfigCommand",
            *("--bootstrap-server", kafka.bootstrap, "--alter", "--add-config", config, *entity),
        ],
        check=True,
        capture_output=True,
    )


def test_a_throttled_worker_loses_nothing(deploy: Deploy) -> None:
    require_kafka()
    with RealKafka() as kafka:
        deployment = deploy(kafka)
        RdProducer(deployment).publish(SERVICE.sent())
        throttle(kafka)
        worker = deployment.start_worker()
        outputs = deployment.outputs("labelled")
        deployment.wait_for(outputs, "labelled", SERVICE.rows, worker)

        assert worker.terminate() == os.EX_OK
        verdict = check_exactness(kafka, deployment)

        assert verdict.emitted["labelled"] == SERVICE.rows
        assert command("verify", env=deployment.env).returncode == os.EX_OK
