"""A broker whose disk is full, and what becomes of a worker's records."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.broker.conftest import Deploy
from tests.broker.deployment import IN_ORDER_IDLE_S, RdProducer, command
from tests.broker.exactness import check_exactness
from tests.broker.services import fleet
from tests.broker.small_disk import SmallDisk
from tests.conftest import require_kafka
from tests.kafka import RealKafka

MODELS = 2
ROWS = 600
LEFT_BYTES = 300_000
"""Enough to join the group; the events alone need more."""


def test_a_full_disk_loses_nothing(deploy: Deploy, tmp_path: Path) -> None:
    require_kafka()
    folder = tmp_path / "disk"
    folder.mkdir()
    with SmallDisk(folder, 48 << 20) as disk:
        settings = {"log.dirs": str(folder / "log")}
        with RealKafka(settings=settings, entry=disk.entry) as kafka:
            deployment = deploy(kafka, idle_s=IN_ORDER_IDLE_S)
            RdProducer(deployment).publish(fleet(MODELS, rows=ROWS, changed_from=400))

            disk.fill(LEFT_BYTES)
            impatient = (sys.executable, "-m", "tests.broker.impatient", "5")
            worker = deployment.start_worker(command=impatient)
            assert worker.wait() == os.EX_TEMPFAIL
            assert "nothing can be published: Kafka did not" in worker.messages()[-1]
            assert "No space left on device" in kafka.log_path.read_text()

            disk.empty()
            kafka.restart()
            worker = deployment.start_worker()
            outputs = deployment.outputs("labelled")
            deployment.wait_for(outputs, "labelled", MODELS * ROWS, worker)
            assert worker.terminate() == os.EX_OK
            verdict = check_exactness(kafka, deployment)
            assert verdict.emitted["labelled"] == MODELS * ROWS
            assert verdict.emitted["alerts"] >= MODELS
            assert command("verify", env=deployment.env).returncode == os.EX_OK
