"""What others do to the topics of a deployment: poison, a bad deploy, transactions, a topic anew.

Every record is legal for Kafka, and anyone with the right to write may send it.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable

import orjson
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from agents.settings import Settings

BAD_DEPLOY_RECORDS = 20_500
"""Malformed records of a bad deploy: more than the window over which refusals are counted."""
TRANSACTION_RECORDS = 40
"""Records of a transaction."""
ANSWER_S = 60.0
"""Seconds for one answer of the brokers: one of them may just have been killed."""
_FINGERPRINT = "0" * 32
_NESTED = b'{"model_id": "%b", "profile": ' + b"[" * 1_000 + b"]" * 1_000 + b"}"
_SPECS: tuple[dict[str, object], ...] = (
    {"outcome": {"wait_s": 1.8e305}},
    {"alert_budget": 1e-15},
    {"reference": {"profile": {"feature/amount": {"kind": "numeric", "state": "AAAA"}}}},
    {"outcome": {"max_waiting": 10**40}},
)


class Intruder:
    """Sends what nobody expects.

    Parameters
    ----------
    settings
        Whose topics, and where.
    seed
        Of its choices.
    """

    def __init__(self, settings: Settings, seed: int) -> None:
        self._settings = settings
        self._chance = random.Random(seed)
        self._number = 0
        self._broker: dict[str, str | int | float | bool] = {
            "bootstrap.servers": settings.broker,
            "log_level": 2,
        }
        self._producer = Producer({**self._broker, "acks": "all"})
        self.sent: Counter[str] = Counter()

    def poison(self) -> None:
        """Send a record of each kind to `models` and `controls`."""
        model_id = f"small-{self._chance.randrange(100)}"
        topics = self._settings.topics
        # Not orjson: it refuses the number that is too large for anybody.
        records = [json.dumps({"model_id": model_id} | spec).encode() for spec in _SPECS]
        records += [_NESTED % model_id.encode(), b"\xff", b""]
        self._send(topics.name("models"), "poison", records, key=model_id.encode())
        mark: dict[str, object] = {
            "control_id": f"mark-{self._next()}",
            "model_id": model_id,
            "verb": "mark",
            "fingerprint": _FINGERPRINT,
            "by": "ann",
            "at": time.time_ns() // 1_000_000,
        }
        episode = orjson.dumps(mark)[:-1] + b', "verdict": "true", "episode": ' + b"9" * 309 + b"}"
        self._send(topics.name("controls"), "poison", [episode, orjson.dumps(mark), b"{"])

    def deploy_badly(self) -> None:
        """Send as many malformed predictions as a service of a bad version within a minute."""
        bad = [b'{"prediction": %d, "model": "small-1"}' % n for n in range(BAD_DEPLOY_RECORDS)]
        self._send(self._settings.predictions, "bad deploy", bad)

    def transact(self, wait: Callable[[], None], *, commits: bool) -> None:
        """Send predictions in a transaction, wait while it is open, then commit or abort it."""
        number = self._next()
        producer = Producer(
            {
                **self._broker,
                "transactional.id": f"intruder-{number}",
                "transaction.timeout.ms": 60_000,
            }
        )
        producer.init_transactions(ANSWER_S)
        producer.begin_transaction()
        for row in range(TRANSACTION_RECORDS):
            value = {"prediction_id": f"{number}/{row}", "model_id": "transacted", "prediction": 1}
            producer.produce(self._settings.predictions, orjson.dumps(value), key=str(row))
        producer.flush(ANSWER_S)
        wait()
        if commits:
            producer.commit_transaction(ANSWER_S)
            self.sent["transaction, committed"] += TRANSACTION_RECORDS
        else:
            producer.abort_transaction(ANSWER_S)
            self.sent["transaction, aborted"] += TRANSACTION_RECORDS

    def make_anew(self, topic: str) -> None:
        """Delete a topic and make it anew, with the same settings, as soon as it is gone."""
        admin = AdminClient(self._broker)
        partitions = len(admin.list_topics(topic, ANSWER_S).topics[topic].partitions)
        admin.delete_topics([topic], request_timeout=ANSWER_S)[topic].result(ANSWER_S)
        deadline_s = time.monotonic() + ANSWER_S
        while True:
            try:
                admin.create_topics([NewTopic(topic, partitions)])[topic].result(ANSWER_S)
            except KafkaException as error:
                if time.monotonic() > deadline_s or not _still_there(error):
                    raise
                time.sleep(0.2)
            else:
                return

    def _send(self, topic: str, what: str, values: list[bytes], key: bytes | None = None) -> None:
        for value in values:
            self._producer.produce(topic, value, key=key)
            self._producer.poll(0)
        if left := self._producer.flush(ANSWER_S):
            raise TimeoutError(f"the brokers did not take {left:,} records of {what}")
        self.sent[what] += len(values)

    def _next(self) -> int:
        self._number += 1
        return self._number


def _still_there(error: KafkaException) -> bool:
    return bool(error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS)
