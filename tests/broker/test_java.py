"""The example in Java of docs/wire.md, run as it stands there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Producer

from schemas.cloudevents import EventHeaders
from schemas.topics import Topics
from tests.broker import create_topic
from tests.kafka import RealKafka, java
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
NAME = "ReadAlerts.java"
ALERT = (ROOT / "tests" / "golden" / "alert.json").read_bytes()


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """Write the example to a file."""
    listing = [java()[0], "--list-modules"]
    modules = subprocess.run(listing, capture_output=True, text=True, check=True)
    if "jdk.compiler" not in modules.stdout:
        pytest.skip("this java cannot compile: it has no jdk.compiler")
    (text,) = re.findall(r"```java\n(.*?)```", (ROOT / "docs" / "wire.md").read_text(), re.DOTALL)
    path = tmp_path / NAME
    path.write_text(text)
    return path


def test_a_consumer_in_java_reads_each_alert_once(
    kafka: RealKafka, prefix: str, example: Path
) -> None:
    topic = f"{prefix}alerts"
    create_topic(kafka, topic, partitions=2)
    alerts = [ALERT, ALERT.replace(b'"alert_id":"', b'"alert_id":"another-')]
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "acks": "all"})
    (described,) = (each for each in Topics().outputs() if each.role == "alerts")
    headers = EventHeaders.of_topic(described)
    for value in (alerts[0], *alerts):  # what is published again comes before the second
        model_id = orjson.loads(value)["model_id"].encode()
        made = headers.of(value, model_id, 1_535_006_000_152)
        producer.produce(topic, value, model_id, partition=1, headers=list(made))
    assert producer.flush(PATIENCE_S) == 0

    with subprocess.Popen(
        [*java(), str(example), kafka.bootstrap, topic], stdout=subprocess.PIPE
    ) as reader:
        try:
            assert reader.stdout is not None
            lines = [reader.stdout.readline() for _ in alerts]
        finally:
            reader.kill()

    assert lines == [b"car_loan " + value + b"\n" for value in alerts]
