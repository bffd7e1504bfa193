"""Topics that change under a running worker, and topics of ours with harmful settings."""

from __future__ import annotations

import os
import time

import pytest
from kafka import KafkaAdminClient
from kafka.admin import NewPartitions, NewTopic

from agents.errors import OperatorError
from agents.kafka.topics import check_topic_settings
from agents.settings import load_settings
from tests.broker import create_topic
from tests.broker.conftest import Deploy
from tests.broker.deployment import Deployment, command, until
from tests.kafka import RealKafka
from tests.patience import promptly

KNOWN_WITHIN_S = 30.0


def at_work(deployment: Deployment) -> bool:
    return command("health", env=deployment.env).returncode == os.EX_OK


def test_an_input_that_is_made_anew_ends_the_worker_and_new_partitions_are_read(
    kafka: RealKafka, deploy: Deploy
) -> None:
    deployment = deploy(kafka)
    name = deployment.settings.predictions
    worker = deployment.start_worker()
    until(lambda: at_work(deployment), worker.log)

    with KafkaAdminClient(bootstrap_servers=kafka.bootstrap) as admin:
        admin.create_partitions({name: NewPartitions(6)})
        began_s = time.monotonic()
        assert not at_work(deployment)
        until(lambda: f"{name} 0, 1, 2, 3, 4, 5" in worker.log(), worker.log)
        assert time.monotonic() - began_s < promptly(KNOWN_WITHIN_S)
        until(lambda: at_work(deployment), worker.log)

        admin.delete_topics([name])
        until(lambda: name not in admin.list_topics(), worker.log)
        admin.create_topics([NewTopic(name, 4, 1)])

    assert worker.wait(promptly(KNOWN_WITHIN_S)) == os.EX_TEMPFAIL
    assert worker.messages()[-1] == (
        f"topic {name!r} was deleted and created anew: restart the worker"
    )


@pytest.mark.parametrize(
    ("role", "setting", "value"),
    [
        ("state", "cleanup.policy", "delete"),
        ("events", "cleanup.policy", "compact,delete"),
        ("events", "retention.ms", "3600000"),
        ("events", "message.timestamp.type", "CreateTime"),
    ],
)
async def test_a_topic_of_ours_by_which_records_would_be_lost_is_refused_with_the_remedy(
    kafka: RealKafka, prefix: str, role: str, setting: str, value: str
) -> None:
    settings = load_settings(broker=kafka.bootstrap, prefix=prefix)
    (wanted,) = (topic for topic in settings.topics.table() if topic.role == role)
    create_topic(kafka, wanted.name, config=wanted.config() | {setting: value})

    with pytest.raises(
        OperatorError, match=rf"{setting}={value}.*kafka-configs.sh .*{wanted.name}.*{setting}="
    ):
        await check_topic_settings(settings, [wanted.name])


async def test_a_topic_of_ours_that_is_kept_longer_is_fine(kafka: RealKafka, prefix: str) -> None:
    settings = load_settings(broker=kafka.bootstrap, prefix=prefix)
    (wanted,) = (topic for topic in settings.topics.table() if topic.role == "events")
    create_topic(kafka, wanted.name, config=wanted.config() | {"retention.ms": "-1"})

    await check_topic_settings(settings, [wanted.name])
