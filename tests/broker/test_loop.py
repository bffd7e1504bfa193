"""The day of agents/demo/loop.py through a real worker: reviews, commands and alerts are held.

What the actors publish follows from what Tidegauge has published before. So a worker that is given
their events, and publishes the same, would have been answered the same.
"""

from __future__ import annotations

from itertools import pairwise

import orjson

from agents.demo.loop import CHAPTERS, MODEL, RECORD_ROWS, ROWS, SPEC, TOLD, line_of, played
from schemas.event import decode_events
from schemas.topics import TopicRole
from streams.emission import Emission
from tests.broker import read_to_end
from tests.broker.chapters import (
    Pairs,
    deployment_for,
    end_in_good_order,
    kill_in_the_middle,
    publish,
)
from tests.broker.conftest import Deploy
from tests.broker.deployment import Deployment, command
from tests.broker.services import Sent
from tests.golden import loop
from tests.kafka import RealKafka

LAST_WORDS: tuple[tuple[TopicRole, str], ...] = (("reviews", "status"), ("commands", "feedback"))
"""Topics whose last record of a key counts, and what of it is compared: not the places in the log,
which depend on how the worker has cut it."""


def sent_in(record: bytes) -> list[Sent]:
    """Return the events of a record of the log, as services and people publish them."""
    batch = decode_events(record)
    kinds = [batch.sources[index].kind for index in batch.source_index]
    return [
        Sent(kind, MODEL, at_ms, orjson.dumps(SPEC) if kind == "spec" else payload)
        for kind, at_ms, payload in zip(kinds, batch.logged_at, batch.payloads, strict=True)
    ]


def last_words(role: TopicRole, field: str, records: list[tuple[str, bytes]]) -> dict[str, object]:
    """Return the last record of each key, as far as it is compared."""
    words: dict[str, object] = {}
    for key, value in records:
        word = orjson.loads(value)[field] if value else None
        words[key] = word["command"] if role == "commands" and word else word
    return {key: word for key, word in words.items() if word is not None}


def assert_told(deployment: Deployment, kafka: RealKafka, said: list[Emission]) -> None:
    """Hold what a worker has published against the day as it is kept."""
    topics = deployment.settings.topics
    told = {
        orjson.loads(record.value)[id_field]: line_of(record.value)
        for role, id_field in zip(TOLD, ("alert_id", "feedback_id", "reviewed_id"), strict=True)
        for record in read_to_end(kafka, topics.name(role))
        if record.value and id_field in orjson.loads(record.value)
    }
    assert sorted(filter(None, told.values())) == sorted(loop.lines())
    for role, field in LAST_WORDS:
        records = [
            ((record.key or b"").decode(), record.value or b"")
            for record in read_to_end(kafka, topics.name(role))
        ]
        called_for = [(each.key or "", each.value) for each in said if each.role == role]
        assert last_words(role, field, records) == last_words(role, field, called_for), role
    verdict = command("verify", env=deployment.env)
    assert verdict.returncode == 0, verdict.stdout


def test_a_worker_killed_in_each_chapter_tells_the_day_as_it_is_kept(
    kafka: RealKafka, deploy: Deploy, prefix: str
) -> None:
    deployment = deployment_for(deploy, kafka, prefix)
    parts = list(played())
    said = [emission for _, emissions in parts for emission in emissions]
    pairs = [sum(each.role == "labelled" for each in emissions) for _, emissions in parts]
    bounds = [row // RECORD_ROWS for row in (0, *CHAPTERS, ROWS)]
    seen, total = Pairs(deployment.outputs("labelled")), 0

    for first, end in pairwise(bounds):
        before, total = total, total + sum(pairs[first:end])
        publish(deployment, [sent for record, _ in parts[first:end] for sent in sent_in(record)])
        kill_in_the_middle(deployment.start_worker(), seen, before + 1)
    worker = deployment.start_worker()
    end_in_good_order(worker, deployment)

    assert seen.count() == total
    assert_told(deployment, kafka, said)
