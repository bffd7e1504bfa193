"""A worker that starts behind: everything was published before it began to read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from agents.demo.car_loan import CHANGED_FROM, CHANGED_SERIES, UNCHANGED_SERIES, published
from agents.demo.embedded_broker import EmbeddedBroker
from agents.demo.show import row_of
from tests.broker import create_topic, publish, read_to_end
from tests.broker.conftest import Deploy
from tests.broker.deployment import Deployment, RdProducer, command
from tests.broker.services import Sent, Service
from tests.kafka import RealKafka

YEARS_AGO_MS = 1_514_764_800_000
ROWS = 100_000
LATER_ROWS = 100


def car_loan() -> Iterator[Sent]:
    """Yield the example in the order in which its services publish it."""
    for kind, prediction_id, payload in published():
        yield Sent(kind, prediction_id, 0, payload)


def first_rows(alerts: list[dict[str, Any]]) -> dict[str, int]:
    """Return, for each series, the row of its first alert."""
    rows: dict[str, int] = {}
    for alert in alerts:
        series = alert["series"]
        rows[series] = min(row_of(alert), rows.get(series, row_of(alert)))
    return rows


@pytest.fixture(scope="module")
def in_order(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """What a backtest of the same events says, by series."""
    folder: Path = tmp_path_factory.mktemp("recorded")
    assert command("demo", "--files", str(folder)).returncode == 0
    told = [f"--{kind}={folder / kind}.jsonl.gz" for kind in ("predictions", "outcomes")]
    run = command("backtest", *told, "--out", "-")
    assert run.returncode == 0, run.stderr
    return first_rows([orjson.loads(line) for line in run.stdout.splitlines()])


def test_a_backlog_raises_what_the_events_in_order_raise(
    embedded: EmbeddedBroker, deploy: Deploy, in_order: dict[str, int]
) -> None:
    deployment = deploy(embedded)
    outputs = deployment.outputs("alerts", "labelled")

    RdProducer(deployment).publish(car_loan())
    worker = deployment.start_worker()
    deployment.wait_for(outputs, "labelled", ROWS, worker)
    outputs.catch_up()

    caught_up = first_rows(outputs.of("alerts"))
    assert set(CHANGED_SERIES) <= caught_up.keys()
    assert not caught_up.keys() & set(UNCHANGED_SERIES)
    assert caught_up.keys() == in_order.keys()
    assert min(caught_up.values()) >= CHANGED_FROM
    late = {series: row - in_order[series] for series, row in caught_up.items()}
    assert max(late.values()) <= LATER_ROWS, late
    assert worker.terminate() == 0


def test_what_comes_of_records_of_years_ago_does_not_age_away(
    kafka: RealKafka, deploy: Deploy
) -> None:
    deployment = deploy(kafka, idle_s="0.2")
    service = Service(model_id="pricing", rows=100, changed_from=100)
    begin_ms = start_of_records_ms(kafka, deployment)
    outputs = deployment.outputs("events", "labelled", "dead_letters")
    worker = deployment.start_worker()

    RdProducer(deployment).publish(
        [*service.sent(), Sent("outcome", "bad", 0, b"bad")], timestamp_of=lambda _: YEARS_AGO_MS
    )
    deployment.wait_for(outputs, "labelled", 100, worker)
    deployment.wait_for(outputs, "dead_letters", 1, worker)

    stamps = [each.timestamp_ms for records in outputs.records.values() for each in records]
    assert min(stamps) >= begin_ms


def start_of_records_ms(kafka: RealKafka, deployment: Deployment) -> int:
    """Return an instant before anything was published, by the broker's clock."""
    topic = f"{deployment.settings.prefix}clock"
    create_topic(kafka, topic, config={"message.timestamp.type": "LogAppendTime"})
    publish(kafka, topic, [b"tick"])
    return read_to_end(kafka, topic)[0].timestamp_ms
