"""Records of other systems, on Apache Kafka: two halves of a prediction, a table that changes."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Producer

from tests.broker import create_topic
from tests.broker.conftest import Deploy
from tests.broker.deployment import Deployment, command
from tests.kafka import RealKafka
from tests.patience import PATIENCE_S

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
CALLS = 1_000
ROWS = 2
"""Rows of a call."""
PARTITIONS = 3
Call = tuple[str, int, bytes | None, list[tuple[str, str | bytes | None]]]
"""Topic, partition, value and headers of a record."""


def map_of(guide: str, topic: str, name: str, folder: Path) -> str:
    """Write the map of a guide for another topic; return its path."""
    (block,) = re.findall(r"```yaml\n(.*?)```", (GUIDES / f"{guide}.md").read_text(), re.DOTALL)
    path = folder / "sources.yaml"
    path.write_text(block.replace(topic, name))
    return str(path)


def features_of(number: int) -> dict[str, float]:
    names = ("sepal_length", "sepal_width", "petal_length", "petal_width")
    return {name: number + place / 10 for place, name in enumerate(names)}


def halves(topic: str, call: int, chance: random.Random) -> list[Call]:
    """Return the request and the response of a call, in two partitions."""
    rows = [list(features_of(ROWS * call + row).values()) for row in range(ROWS)]
    answers = [row % 2 for row in range(ROWS)]
    names = list(features_of(0))
    if call % 2:
        request: dict[str, Any] = {"instances": rows}
        response: dict[str, Any] = {"predictions": answers}
    else:
        columns = zip(names, zip(*rows, strict=True), strict=True)
        request = {"inputs": [{"name": n, "shape": [ROWS, 1], "data": d} for n, d in columns]}
        response = {"outputs": [{"name": "predict", "shape": [ROWS], "data": answers}]}
    first = chance.randrange(PARTITIONS)
    return [
        (topic, (first + place) % PARTITIONS, orjson.dumps(value), headers(call, half))
        for place, (half, value) in enumerate((("request", request), ("response", response)))
    ]


def headers(call: int, half: str) -> list[tuple[str, str | bytes | None]]:
    return [
        ("ce_specversion", "1.0"),
        ("ce_id", f"call-{call}"),
        ("ce_type", f"org.kubeflow.serving.inference.{half}"),
        ("ce_time", f"2026-03-01T12:{call // 60 % 60:02}:{call % 60:02}.5Z"),
        ("ce_inferenceservicename", "sklearn-iris"),
    ]


def outcomes(topic: str, call: int) -> list[Call]:
    return [
        (
            topic,
            call % PARTITIONS,
            orjson.dumps(
                {
                    "prediction_id": f"call-{call}-{row}",
                    "model_id": "sklearn-iris",
                    "observed_at": "2026-03-01T13:00:00Z",
                    "outcome": 1,
                }
            ),
            [],
        )
        for row in range(ROWS)
    ]


def send(deployment: Deployment, records: Iterable[Call]) -> None:
    producer = Producer({"bootstrap.servers": deployment.settings.broker, "acks": "all"})
    for topic, partition, value, given in records:
        producer.produce(topic, value, partition=partition, headers=given)
        producer.poll(0)
    assert producer.flush(PATIENCE_S) == 0


def test_requests_and_responses_of_kserve_are_joined_whatever_becomes_of_a_worker(
    kafka: RealKafka, deploy: Deploy, prefix: str, tmp_path: Path
) -> None:
    topic = f"{prefix}iris"
    create_topic(kafka, topic, partitions=PARTITIONS)
    sources = map_of("kserve", "knative-broker-default-iris", topic, tmp_path)
    deployment = deploy(kafka, sources=sources)
    chance = random.Random(11)  # noqa: S311 - a reproducible order
    records = [
        record
        for call in range(CALLS)
        for record in (
            *halves(topic, call, chance),
            *outcomes(deployment.topic("outcome"), call),
        )
    ]
    chance.shuffle(records)
    first, second = deployment.start_worker(), deployment.start_worker()
    outputs = deployment.outputs("labelled", "dead_letters")

    third = len(records) // 3
    send(deployment, records[:third])
    deployment.wait_for(outputs, "labelled", 40, second)
    first.kill()
    send(deployment, records[third:])
    deployment.wait_for(outputs, "labelled", ROWS * CALLS, second)

    rows = outputs.of("labelled")
    assert len(rows) == len({row["prediction"]["prediction_id"] for row in rows}) == ROWS * CALLS
    for row in rows:
        _, call, number = row["prediction"]["prediction_id"].split("-")
        assert row["prediction"]["features"] == features_of(ROWS * int(call) + int(number))
    assert outputs.count("dead_letters") == 0
    second.terminate()
    told = command("verify", env=deployment.env)
    assert (told.returncode, "Equal: no record" in told.stdout) == (0, True), told.stdout


def test_a_table_is_followed_and_what_holds_no_truth_is_no_dead_letter(
    kafka: RealKafka, deploy: Deploy, prefix: str, tmp_path: Path
) -> None:
    topic = f"{prefix}loan_outcomes"
    create_topic(kafka, topic, partitions=PARTITIONS)
    sources = map_of("debezium", "dbz.public.loan_outcomes", topic, tmp_path)
    deployment = deploy(kafka, sources=sources, dead_letter_ratio="0.01", dead_letter_window="5")
    worker = deployment.start_worker()
    outputs = deployment.outputs("labelled", "dead_letters")
    predictions: list[Call] = [
        (deployment.topic("prediction"), 0, orjson.dumps(prediction(number)), [])
        for number in range(50)
    ]

    changes = [change for number in range(50) for change in changes_of(topic, number)]
    send(deployment, [*predictions, *changes])
    deployment.wait_for(outputs, "labelled", 60, worker)

    assert sum(row["restates"] is not None for row in outputs.of("labelled")) == 10
    rows = {row["prediction"]["prediction_id"]: row for row in outputs.of("labelled")}
    assert all(
        rows[str(number)]["outcome"]["outcome"] == last_truth(number) for number in range(50)
    )
    assert outputs.count("dead_letters") == 0
    assert worker.terminate() == 0


def prediction(number: int) -> dict[str, Any]:
    at = f"2026-03-01T12:00:{number:02}Z"
    fields = {"model_id": "loan", "predicted_at": at, "prediction": True}
    return {"prediction_id": number} | fields


def last_truth(number: int) -> bool:
    return (number % 3 > 0) is (number % 5 > 0)


def changes_of(topic: str, number: int) -> list[Call]:
    """Return a row inserted without truth, updated with it, deleted, and its tombstone.

    The truth of every fifth is corrected before.
    """
    row = {"application_id": number, "model": "loan", "repaid": None}
    known = row | {"repaid": number % 3 > 0}
    last = row | {"repaid": last_truth(number)}
    source = {"ts_ms": 1_772_370_000_000 + number, "table": "loan_outcomes"}
    values: list[dict[str, Any] | None] = [
        {"before": None, "after": row, "source": source, "op": "c"},
        {"before": row, "after": known, "source": source, "op": "u"},
        {"before": known, "after": last, "source": source, "op": "u"},
        {"before": last, "after": None, "source": source, "op": "d"},
        None,
    ]
    return [
        (topic, number % PARTITIONS, None if each is None else orjson.dumps(each), [])
        for each in values
    ]
