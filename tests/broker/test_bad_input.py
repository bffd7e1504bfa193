"""Records that are no events, among records that are."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import NamedTuple

import orjson
from kafka import KafkaProducer

from agents.errors import OperatorError
from schemas.dead_letter import DeadLetter
from schemas.event import EventKind
from schemas.topics import TopicRole
from tests.broker import Broker, publish
from tests.broker.conftest import Deploy
from tests.broker.deployment import Deployment, RdProducer, command, until
from tests.broker.services import Service
from tests.doubles.corpus import bad_inputs
from tests.doubles.inputs import prediction
from tests.patience import PATIENCE_S

BAD = 10_000
SERVICE = Service(model_id="pricing", rows=1_000, changed_from=1_000)

Spoil = Callable[[random.Random, dict[str, object]], bytes]


class Input(NamedTuple):
    """One record of an input topic, and whether it is an event."""

    kind: EventKind
    value: bytes | None
    is_good: bool


def without_a_field(chance: random.Random, event: dict[str, object]) -> bytes:
    del event[chance.choice(("prediction_id", "model_id", "predicted_at", "prediction"))]
    return orjson.dumps(event)


def with_a_wrong_type(chance: random.Random, event: dict[str, object]) -> bytes:
    field = chance.choice(("prediction_id", "model_id", "predicted_at", "prediction"))
    return orjson.dumps(event | {field: chance.choice(([chance.random()], {"at": 1}))})


def with_too_long_a_name(chance: random.Random, event: dict[str, object]) -> bytes:
    field = chance.choice(("prediction_id", "model_id"))
    return orjson.dumps(event | {field: "n" * (257 + chance.randint(0, 99))})


def with_a_number_that_is_none(chance: random.Random, event: dict[str, object]) -> bytes:
    number = chance.choice((b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e400"))
    return orjson.dumps(event | {"prediction": "HERE"}).replace(b'"HERE"', number)


def in_another_epoch(chance: random.Random, event: dict[str, object]) -> bytes:
    seconds = 1_700_000_000 + chance.randint(0, 10**6)
    at = chance.choice((seconds, seconds * 10**6, seconds * 10**9, -seconds, f"{seconds}"))
    return orjson.dumps(event | {"predicted_at": at})


def cut_short(chance: random.Random, event: dict[str, object]) -> bytes:
    whole = orjson.dumps(event)
    return whole[: chance.randint(1, len(whole) - 1)]


def not_utf8(chance: random.Random, event: dict[str, object]) -> bytes:
    return orjson.dumps(event).replace(b'"yes"', bytes([0x22, chance.randint(0xF8, 0xFF), 0x22]))


def noise(chance: random.Random, _: dict[str, object]) -> bytes:
    return bytes([chance.randint(0x80, 0xFF)]) + chance.randbytes(chance.randint(0, 200))


def of_another_shape(chance: random.Random, event: dict[str, object]) -> bytes:
    return orjson.dumps(chance.choice(([event], chance.random(), None, "text", {})))


def too_large(chance: random.Random, event: dict[str, object]) -> bytes:
    return orjson.dumps(event | {"padding": "x" * (262_144 + chance.randint(0, 99))})


SPOILS: tuple[Spoil, ...] = (
    without_a_field,
    with_a_wrong_type,
    with_too_long_a_name,
    with_a_number_that_is_none,
    in_another_epoch,
    cut_short,
    not_utf8,
    noise,
    of_another_shape,
)


def bad_records(chance: random.Random) -> Iterator[Input]:
    """Yield ``BAD`` records, each bad in a way of its own."""
    recorded = [Input(bad.kind, bad.value, is_good=False) for bad in bad_inputs()]
    yield from recorded
    yield Input("prediction", None, is_good=False)
    for row in range(BAD - len(recorded) - 1):
        event: dict[str, object] = orjson.loads(prediction(f"bad-{row}", "pricing"))
        spoil = too_large if row % 1_000 == 0 else SPOILS[row % len(SPOILS)]
        yield Input("prediction", spoil(chance, event), is_good=False)


def mixed(chance: random.Random) -> list[Input]:
    """Return the bad among the good, whose own order stays."""
    good = [Input(sent.kind, sent.payload, is_good=True) for sent in SERVICE.sent()]
    bad = list(bad_records(chance))
    places = sorted(chance.sample(range(len(good) + len(bad)), len(bad)))
    inputs = list(good)
    for place, record in zip(places, bad, strict=True):
        inputs.insert(place, record)
    return inputs


def test_ten_thousand_bad_records_cost_no_good_one(broker: Broker, deploy: Deploy) -> None:
    deployment = deploy(broker, dead_letter_ratio="none")
    inputs = mixed(random.Random(1))  # noqa: S311 - test data, not a secret
    worker = deployment.start_worker()
    outputs = deployment.outputs("labelled", "dead_letters")

    refused = send(deployment, inputs)
    deployment.wait_for(outputs, "labelled", SERVICE.rows, worker)
    deployment.wait_for(outputs, "dead_letters", BAD, worker)
    outputs.catch_up()

    letters = [
        DeadLetter.model_validate_json(each.value or b"")
        for each in outputs.records["dead_letters"]
    ]
    assert len(letters) == BAD
    assert {
        (each.topic, each.partition, each.offset): (each.sha256, each.size) for each in letters
    } == refused
    assert {each.reason for each in letters} == {
        "too_large",
        "empty",
        "not_utf8",
        "not_json",
        "invalid",
    }
    assert outputs.count("labelled") == SERVICE.rows
    assert worker.terminate() == 0
    assert sum(message.startswith("Assigned") for message in worker.messages()) == 1
    assert len([message for message in worker.messages() if message.startswith("Refused")]) < 50


def send(
    deployment: Deployment, inputs: list[Input]
) -> dict[tuple[str, int, int], tuple[str, int]]:
    """Publish in order, over all partitions; return where the bad ones are, and what they are."""
    producer = KafkaProducer(
        bootstrap_servers=deployment.settings.brokers, linger_ms=5, max_request_size=1 << 20
    )
    try:
        sending = [
            (
                record,
                producer.send(deployment.topic(record.kind), record.value, key=f"{n}".encode()),
            )
            for n, record in enumerate(inputs)
        ]
        placed = [(record, receipt.get(PATIENCE_S)) for record, receipt in sending]
    finally:
        producer.close()
    return {
        (at.topic, at.partition, at.offset): (
            sha256(record.value or b"").hexdigest(),
            len(record.value or b""),
        )
        for record, at in placed
        if not record.is_good
    }


def test_a_producer_that_sends_only_rubbish_is_an_alert_and_the_worker_goes_on(
    broker: Broker, deploy: Deploy
) -> None:
    deployment = deploy(broker, idle_s="0.2")
    outputs = deployment.outputs("alerts", "labelled")
    service = Service(model_id="pricing", rows=100, changed_from=100)

    publish(broker, deployment.topic("prediction"), [b"rubbish"] * 1_500)
    worker = deployment.start_worker()
    deployment.wait_for(outputs, "alerts", 1, worker)
    RdProducer(deployment).publish(service.sent())
    deployment.wait_for(outputs, "labelled", 100, worker)

    (alert,) = outputs.of("alerts")
    topic = deployment.topic("prediction")
    assert (alert["model_id"], alert["severity"]) == (f"topic {topic}", "critical")
    assert any(
        entry["level"] == "critical" and topic in entry["message"] for entry in worker.entries()
    )
    assert worker.terminate() == 0


STRANGE: list[tuple[TopicRole, bytes]] = [
    ("events", b"hello"),
    ("alerts", b"hello"),
    ("feedback", b"[]"),
    ("status", b"hello"),
    ("state", b"hello"),
]


def test_what_strangers_write_to_our_topics_is_told_and_changes_nothing(
    broker: Broker, deploy: Deploy
) -> None:
    deployment = deploy(broker, idle_s="0.2")
    outputs = deployment.outputs("labelled")
    service = Service(model_id="pricing", rows=100, changed_from=100)
    for role, value in STRANGE:
        topic = deployment.settings.topics.name(role)
        publish(broker, topic, [value] * 3, key=b"a stranger's")  # a compacted topic needs a key

    first = deployment.start_worker()
    RdProducer(deployment).publish(service.sent())
    deployment.wait_for(outputs, "labelled", 100, first)
    assert first.terminate() == 0
    publish(broker, deployment.settings.topics.name("labelled"), [b"{}"] * 3)
    second = deployment.start_worker()
    until(lambda: second.says("Skipped"), second.log)
    assert second.terminate() == 0

    assert first.says("Skipped")
    status, verify = (command(name, env=deployment.env) for name in ("status", "verify"))
    assert (status.returncode, verify.returncode) == (0, 1)
    assert "it is no status" in status.stderr
    assert "is not a record of ours" in verify.stdout
    for each in (first.log(), second.log(), status.stderr, verify.stdout + verify.stderr):
        assert "Traceback" not in each


def test_where_a_limit_is_set_a_producer_that_sends_only_rubbish_stops_the_worker_with_advice(
    broker: Broker, deploy: Deploy
) -> None:
    deployment = deploy(broker, dead_letter_ratio="0.75", dead_letter_window="100", idle_s="0.2")
    outputs = deployment.outputs("dead_letters")

    publish(broker, deployment.topic("prediction"), [b"rubbish"] * 300)
    worker = deployment.start_worker()

    assert worker.wait() == OperatorError.exit_code
    last = worker.entries()[-1]
    assert last["level"] == "critical"
    assert deployment.topic("prediction") in last["message"]
    assert "TIDEGAUGE_DEAD_LETTER_RATIO" in last["message"]
    assert "Traceback" not in worker.log()
    deployment.wait_for(outputs, "dead_letters", 101)


def test_after_the_advice_is_followed_the_worker_goes_on_where_it_stopped(
    kafka: Broker, deploy: Deploy
) -> None:
    deployment = deploy(kafka, dead_letter_ratio="0.75", dead_letter_window="100", idle_s="0.2")
    outputs = deployment.outputs("dead_letters", "labelled")
    service = Service(model_id="pricing", rows=100, changed_from=100)

    publish(kafka, deployment.topic("prediction"), [b"rubbish"] * 300)
    stopped = deployment.start_worker()
    assert stopped.wait() == OperatorError.exit_code
    RdProducer(deployment).publish(service.sent())
    worker = deployment.start_worker(dead_letter_ratio="none")
    deployment.wait_for(outputs, "labelled", 100, worker)
    deployment.wait_for(outputs, "dead_letters", 300, worker)

    assert worker.terminate() == 0
