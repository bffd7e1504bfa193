"""From the topics that services publish to, to the topics and the log that people read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from kafka import KafkaProducer

from schemas.alert import Alert
from schemas.feedback import Feedback
from schemas.labelled import Labelled
from tests.broker import Broker, publish
from tests.broker.conftest import Deploy
from tests.broker.deployment import Deployment, Outputs, RdProducer
from tests.broker.services import Sent, Service, fleet
from tests.doubles.corpus import MARK
from tests.kafka import RealKafka
from tests.patience import PATIENCE_S

CHANGED_FROM = 1_200
PAGE = "https://gauge.example.org"
SERVICE = Service(model_id="pricing", rows=2_000, changed_from=CHANGED_FROM, secret=MARK)
SPOILT = [f"{MARK} is not JSON".encode(), orjson.dumps({"prediction_id": MARK, MARK: MARK})]


@dataclass(frozen=True, slots=True)
class Story:
    """What one worker made of the service, and of a few records that are no events."""

    deployment: Deployment
    outputs: Outputs
    log: list[dict[str, Any]]
    raw_log: str
    exit_code: int


@pytest.fixture(scope="module", params=["embedded", "kafka"])
def story(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Story]:
    broker: Broker = request.getfixturevalue(request.param)
    folder = tmp_path_factory.mktemp("story")
    # The folder's name is new each time, also when pytest-xdist makes this fixture twice.
    settings = {"password": MARK, "page_url": PAGE}
    with Deployment(broker, f"{folder.name}.", folder, **settings).create_topics() as deployment:
        worker = deployment.start_worker()
        outputs = deployment.outputs()
        publish(broker, deployment.topic("prediction"), SPOILT)
        send(deployment, SERVICE.sent())
        deployment.wait_for(outputs, "labelled", SERVICE.rows, worker)
        deployment.wait_for(outputs, "feedback", 1, worker)
        deployment.wait_for(outputs, "dead_letters", len(SPOILT), worker)
        exit_code = worker.terminate()
        yield Story(deployment, outputs, worker.entries(), worker.log(), exit_code)


def send(deployment: Deployment, events: Iterator[Sent]) -> None:
    """Publish as a service on kafka-python does, keyed by the prediction."""
    producer = KafkaProducer(bootstrap_servers=deployment.settings.brokers, linger_ms=5)
    try:
        sending = [
            producer.send(
                deployment.topic(sent.kind), sent.payload, key=sent.prediction_id.encode()
            )
            for sent in events
        ]
        for receipt in sending:
            receipt.get(PATIENCE_S)
    finally:
        producer.close()


def test_the_series_that_changed_are_alerted_and_no_other(story: Story) -> None:
    alerts = [Alert.model_validate(alert) for alert in story.outputs.of("alerts")]

    of_change = [alert for alert in alerts if alert.kind != "data_quality"]
    assert {"feature/amount", "error"} <= {alert.series for alert in of_change}
    assert {alert.series for alert in of_change} <= {"feature/amount", "error", "outcome"}
    assert min(alert.predictions_seen for alert in of_change) > CHANGED_FROM


def test_every_alert_says_its_deployment_and_its_address(story: Story) -> None:
    settings = story.deployment.settings

    for alert in map(Alert.model_validate, story.outputs.of("alerts")):
        assert alert.deployment == settings.deployment == settings.prefix.rstrip(".")
        assert alert.url == f"{PAGE}/alert/{alert.fingerprint}?episode={alert.episode}"


def test_every_labelled_row_is_whole(story: Story) -> None:
    published = {(s.kind, s.prediction_id): orjson.loads(s.payload) for s in SERVICE.sent()}

    rows = story.outputs.of("labelled")

    assert sorted(row["row"] for row in rows) == list(range(1, SERVICE.rows + 1))
    for row in rows:
        prediction_id = row["prediction"]["prediction_id"]
        prediction = published["prediction", prediction_id]
        del prediction["unknown"]
        assert row["prediction"] == prediction
        assert row["outcome"] == published["outcome", prediction_id]
        assert row["is_error"] == (prediction["prediction"] != row["outcome"]["outcome"])
        Labelled.model_validate(row)


def test_a_change_of_the_error_asks_for_retraining_on_the_rows_since(story: Story) -> None:
    series_of = {alert["alert_id"]: alert["series"] for alert in story.outputs.of("alerts")}
    row_of = {row["row"]: row for row in story.outputs.of("labelled")}

    command = Feedback.model_validate_json(story.outputs.records["feedback"][0].value or b"")

    assert command.command == "retrain"
    assert command.labelled is not None
    assert {series_of[alert_id] for alert_id in command.because} <= {"error", "outcome"}
    assert abs(command.labelled.first_row - CHANGED_FROM) < 60
    assert command.labelled.topic == story.deployment.settings.topics.name("labelled")
    onset = row_of[command.labelled.first_row]["evidence"]
    assert onset["partition"] == command.labelled.partition
    assert onset["offset"] >= command.labelled.first_offset


def test_every_line_of_the_log_is_json_with_a_level_and_a_message(story: Story) -> None:
    lines = [orjson.loads(line) for line in story.raw_log.splitlines()]

    assert lines
    assert all({"at", "level", "logger", "message"} <= line.keys() for line in lines)


def test_every_alert_and_every_command_is_one_sentence_of_the_log(story: Story) -> None:
    said = {line["alert_id"]: line["message"] for line in story.log if "alert_id" in line}
    commands = {line["feedback_id"]: line["message"] for line in story.log if "feedback_id" in line}

    alerts = {each["alert_id"]: f"Alert: {each['summary']}" for each in story.outputs.of("alerts")}
    feedback = {
        each["feedback_id"]: f"Feedback: {each['summary']}" for each in story.outputs.of("feedback")
    }

    assert said == alerts
    assert commands == feedback
    assert "\n" not in "".join([*said.values(), *commands.values()])


def test_the_log_holds_no_value_of_a_payload_and_no_secret(story: Story) -> None:
    assert any("Refused" in line["message"] for line in story.log)
    assert MARK not in story.raw_log
    assert not [
        alert for alert in story.outputs.records["alerts"] if MARK.encode() in (alert.value or b"")
    ]


def test_a_worker_that_is_asked_to_stop_says_so_and_ends_well(story: Story) -> None:
    assert story.exit_code == 0
    assert [line["message"] for line in story.log][-1] == "Stopped"


def test_a_producer_with_another_partitioner_loses_no_pair(
    kafka: RealKafka, deploy: Deploy
) -> None:
    deployment = deploy(kafka)
    events = fleet(3, rows=700, changed_from=700)
    worker = deployment.start_worker()
    outputs = deployment.outputs("labelled")
    producer = RdProducer(deployment)

    producer.publish(events, key_of=other_keys)
    deployment.wait_for(outputs, "labelled", 2_100, worker)

    joined = {row["prediction"]["prediction_id"] for row in outputs.of("labelled")}
    assert joined == {sent.prediction_id for sent in events}
    assert len(outputs.records["labelled"]) == 2_100
    assert all(len(partitions) == 4 for partitions in producer.partitions.values())


def other_keys(sent: Sent) -> str | None:
    """Key predictions by something of the service's own, and outcomes by nothing at all."""
    return f"user-{sent.at_ms // 1_000 % 97}" if sent.kind == "prediction" else None
