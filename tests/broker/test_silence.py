"""A service that goes silent under a real worker: time passes, though nothing comes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from schemas.event import decode_events
from tests.broker import Broker, read_to_end
from tests.broker.conftest import Deploy
from tests.broker.deployment import RdProducer, command, until
from tests.broker.exactness import check_exactness
from tests.broker.services import Sent
from tests.doubles.inputs import outcome, prediction

MINUTE_MS = 60_000
ROWS = 2 * 24 * 60
OUTCOME_LAG = 30


def minutely(model_id: str, last_ms: int) -> Iterator[Sent]:
    """Two days of a prediction a minute, each with its outcome half an hour later."""
    for row in range(ROWS):
        at_ms, name = last_ms - (ROWS - 1 - row) * MINUTE_MS, f"{model_id}-{row}"
        known_ms = at_ms + OUTCOME_LAG * MINUTE_MS
        says = "yes" if row % 7 % 2 else "no"
        made = prediction(name, model_id, predicted_at=at_ms, prediction=says)
        truth = outcome(name, model_id, observed_at=known_ms, outcome=says)
        yield Sent("prediction", name, at_ms, made)
        yield Sent("outcome", name, known_ms, truth)


def test_a_service_that_is_silent_is_told_and_one_whose_records_are_yet_to_be_read_is_not(
    broker: Broker, deploy: Deploy
) -> None:
    deployment = deploy(broker)
    outputs = deployment.outputs("alerts")
    producer = RdProducer(deployment)
    now_ms = int(time.time() * 1_000)  # noqa: TID251 - the records' timestamps, as services set them
    sent = [
        *minutely("stopped", now_ms - OUTCOME_LAG * MINUTE_MS),
        *(each for each in minutely("steady", now_ms) if each.at_ms <= now_ms),
    ]
    sent.sort(key=lambda each: each.at_ms)
    spoilt = Sent("prediction", "spoilt", now_ms, b'{"model_id": "stopped"}')
    producer.publish([*sent, spoilt], timestamp_of=lambda each: each.at_ms)

    worker = deployment.start_worker()

    def silences() -> list[dict[str, Any]]:
        worker.check()
        outputs.poll()
        return [alert for alert in outputs.of("alerts") if alert["kind"] == "silence"]

    until(lambda: bool(silences()), worker.log)
    again = prediction("again", "stopped", predicted_at=now_ms)
    producer.publish([Sent("prediction", "again", 0, again)])
    until(lambda: len(silences()) > 1, worker.log)

    found = silences()
    assert [(each["model_id"], each["series"], each["status"]) for each in found] == [
        ("stopped", "predictions", "firing"),
        ("stopped", "predictions", "resolved"),
    ], [each["summary"] for each in found]
    fired, over = found
    assert "; outcomes still arrive. " in fired["summary"]
    assert (over["status"], over["resolved_because"]) == ("resolved", "returned")
    assert worker.terminate() == 0
    log = read_to_end(broker, deployment.settings.topics.name("events"))
    ticks = [each for each in log if decode_events(each.value).tick_ms is not None]
    assert {tick.partition for tick in ticks} == set(range(deployment.settings.partitions))
    kinds = {source.kind for each in log for source in decode_events(each.value).sources}
    assert kinds - {"clock", "topic"} == {"prediction", "outcome", "refused"}
    assert command("verify", env=deployment.env).returncode == 0
    assert check_exactness(broker, deployment).emitted["alerts"] >= 2
