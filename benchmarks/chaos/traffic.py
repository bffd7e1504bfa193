"""What a made-up company publishes: models that go wrong now and then, and messages that are wrong.

Rule 1. What is published is a pure function of the seed and of the instants asked for.
Rule 2. Every way in which an event can be odd occurs: late, early, repeated, contradicting, without
        a partner, unreadable.
"""

from __future__ import annotations

import heapq
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import orjson
from confluent_kafka import KafkaException, Producer

from agents.settings import Settings

MAX_PAYLOAD_BYTES = 4_096
"""What the workers of a run take at most, so that some messages are too large."""

LARGE_MODELS = 6
SMALL_MODELS = 100
SPLIT_MODELS = 20
"""Small models whose requests and responses are records of their own, of one topic."""
INPUTS_WAIT_S = 5.0
"""Seconds that a response waits for its request; some requests come later, some never."""
LARGE_SHARE = 0.65
CHANGED_FROM = 700
REPLACED_FROM = 1_500
"""Predictions after which a large model's world changes, and after which another model follows."""

FLUSH_S = 120.0

_LOOK_EVERY_S = 0.05
_PACES = (0.3, 0.7, 1.0, 1.0, 1.3, 1.7)
_PACE_LASTS_S = 5.0
_UNREADABLE: tuple[bytes | None, ...] = (
    None,
    b"",
    b"{",
    b'{"prediction_id": "\xff\xfe"}',
    b"[" * 3_000,
    b'{"model_id": "large-0-0", "prediction_id": "x", "score": NaN}',
    b'{"model_id": "large-0-0", "predicted_at": "yesterday", "prediction_id": "x", "outcome": {}}',
    b'"' + b"x" * (MAX_PAYLOAD_BYTES + 1) + b'"',
)

What = Literal[
    "prediction",
    "inputs",
    "outcome",
    "late outcome",
    "early outcome",
    "repeated prediction",
    "repeated outcome",
    "other answer for an id",
    "conflicting outcome",
    "outcome without a prediction",
    "unreadable",
    "answer of a challenger",
    "verdict",
    "report",
]


Topic = Literal["predictions", "outcomes", "calls", "reports"]
CALLS = "chaos.calls"
SOURCES = f"""
sources:
- topic: {CALLS}
  when: value.half == 'request'
  as: inputs
  fields: {{prediction_id: value.id, model_id: value.model, at: value.at, features: value.row}}
- topic: {CALLS}
  when: value.half == 'response'
  as: prediction
  fields:
    prediction_id: value.id
    model_id: value.model
    predicted_at: value.at
    prediction: value.label
    score: value.score
"""


WATCHED = "large-1"
"""The large model, and those that follow it, that people review and report about, that has a
challenger, and whose gateway obeys leases."""
WATCHED_SPEC = {
    "review": {"sample": 0.1, "due_s": 30.0, "every_s": 60.0},
    "retrain": {"min_labelled": 50, "cooldown_s": 20.0},
    "challenge": {"cohort_s": 5.0, "mature_s": 10.0, "min_pairs": 20},
    "fallback": {"auto": True, "ttl_s": 5.0, "hold_s": 1.0, "latency_ms_above": 500.0},
}
FIGURED = "large-2"
"""The large model, and those that follow it, whose spec asks for all figures there are."""
COST = {"currency": "EUR", "matrix": {"yes": {"yes": 3, "no": 0}, "no": {"yes": -9, "no": 0}}}
FIGURED_SPEC = {
    "metrics": {"every": "hour"},
    "outcome": {"corrections": "last"},
    "cost": COST,
    "calibration": {},
    "segments": {"ring": 2_000, "drift": True},
    "features": {"joint": True, "attributions": True, "sources": {"amount": "ledger"}},
}
FAILS_FROM = 1_150
"""Rows of it after which one segment fails: the reference of its segments is made by then."""
BATCHES_S = 3 * 3_600
"""Seconds within which the predictions of small models were made that come as a batch job sends
them. Their outcomes are awaited for two hours and more, so their hours end, one model's after the
other's, while a run lasts; some predictions are older, and are in no hour."""
BATCH_STEP_S = 45
SLOW = range(150, 350)
"""Rows at which its service is slow: a fallback is asked for, and proves to be over after them."""
FOLLOWERS = 20
"""Models that follow one another at most, and have their spec from the beginning."""


SPLIT = frozenset(f"small-{number}" for number in range(SPLIT_MODELS))
BATCHED = {
    f"small-{number}": 7_200 + BATCH_STEP_S * (number - SPLIT_MODELS)
    for number in range(SPLIT_MODELS, SMALL_MODELS)
}
"""Small models whose predictions come as batches, and the seconds that each awaits an outcome."""


def specs() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the models that have a spec from the beginning, and their specs."""
    review = {"sample": 0.2, "due_s": 30.0, "every_s": 60.0}
    for model_id in sorted(SPLIT):
        yield model_id, {"inputs": {"wait_s": INPUTS_WAIT_S}, "review": review}
    for model_id, wait_s in BATCHED.items():
        outcome = {"wait_s": wait_s, "corrections": "last"}
        figures = {"metrics": {"every": "hour"}, "cost": COST, "calibration": {}}
        yield model_id, {"outcome": outcome} | figures
    for number in range(FOLLOWERS):
        yield f"{WATCHED}-{number}", WATCHED_SPEC
        yield f"{FIGURED}-{number}", FIGURED_SPEC


class Message(NamedTuple):
    """One message: when it is sent, a number that keeps the order, what it is, and its bytes."""

    at_ms: int
    number: int
    what: What
    topic: Topic
    key: bytes
    value: bytes | None


class Traffic:
    """All services together.

    Parameters
    ----------
    seed
        Of everything random.
    """

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._rows: Counter[str] = Counter()
        self._due: list[Message] = []
        self._number = 0

    def take(self, now_ms: int, predictions: int) -> Iterator[Message]:
        """Make so many predictions, and yield in order what is to be sent by now."""
        for _ in range(predictions):
            self._predict(now_ms)
        while self._due and self._due[0].at_ms <= now_ms:
            yield heapq.heappop(self._due)

    def _predict(self, now_ms: int) -> None:
        chance = self._chance
        model_id = self._pick_model()
        row = self._rows[model_id] = self._rows[model_id] + 1
        prediction_id = f"{model_id}/{row}"
        prediction, outcome = self._row(model_id, prediction_id, row, now_ms)
        if model_id in BATCHED:
            prediction["predicted_at"] = now_ms - round(1_000 * chance.uniform(0, BATCHES_S))
        made_ms = now_ms
        known_ms = now_ms + round(chance.uniform(300, 5_000))
        what: What = "outcome"
        match chance.random():
            case draw if draw < 0.05:
                made_ms, known_ms = now_ms + round(chance.uniform(100, 5_000)), now_ms
                what = "early outcome"
            case draw if draw < 0.10:
                known_ms = now_ms + round(chance.uniform(20_000, 90_000))
                what = "late outcome"
        self._publish(made_ms, "prediction", prediction_id, prediction)
        if chance.random() >= 0.08:  # the others never get an outcome
            self._publish(known_ms, what, prediction_id, outcome | {"observed_at": known_ms})
        self._oddities(now_ms, prediction_id, prediction, outcome | {"observed_at": known_ms})
        if model_id.startswith(WATCHED):
            self._people(now_ms, prediction_id, prediction, outcome)

    def _people(
        self, now_ms: int, prediction_id: str, prediction: dict[str, Any], outcome: dict[str, Any]
    ) -> None:
        """Publish the challenger's answer, a reviewer's verdict and a user's report."""
        chance = self._chance
        answer: What = "answer of a challenger"
        if chance.random() < 0.5:
            fields = {name: prediction[name] for name in ("prediction_id", "model_id")}
            other = fields | {"predicted_at": now_ms, "variant": "b"}
            self._publish(now_ms, answer, prediction_id, other | {"prediction": outcome["outcome"]})
        said_ms = now_ms + round(chance.uniform(500, 20_000))
        if chance.random() < 0.1:
            verdict = {"source": "review", "reviewer": "ann", "observed_at": said_ms}
            verdict |= {"review_id": f"{prediction['model_id']}/{prediction_id}/1"}
            self._publish(said_ms, "verdict", prediction_id, outcome | verdict)
        if chance.random() < 0.05:
            report: dict[str, Any] = {
                "report_id": f"of {prediction_id}",
                "prediction_id": prediction_id,
            }
            report |= {"model_id": prediction["model_id"], "at": said_ms, "because": "wrong"}
            self._due_at(said_ms, "report", "reports", prediction_id, orjson.dumps(report))

    def _oddities(
        self, now_ms: int, prediction_id: str, prediction: dict[str, Any], outcome: dict[str, Any]
    ) -> None:
        chance = self._chance
        later_ms = now_ms + round(chance.uniform(0, 20_000))
        match chance.random():
            case draw if draw < 0.03:
                self._publish(later_ms, "repeated prediction", prediction_id, prediction)
            case draw if draw < 0.04:
                other = prediction | {"prediction": self._other(prediction["prediction"])}
                self._publish(later_ms, "other answer for an id", prediction_id, other)
            case draw if draw < 0.07:
                self._publish(later_ms, "repeated outcome", prediction_id, outcome)
            case draw if draw < 0.09:
                other = outcome | {"outcome": self._other(outcome["outcome"])}
                self._publish(later_ms, "conflicting outcome", prediction_id, other)
            case draw if draw < 0.10:
                orphan = outcome | {"prediction_id": f"{prediction_id}/nobody"}
                self._publish(later_ms, "outcome without a prediction", prediction_id, orphan)
            case draw if draw < 0.11:
                value = chance.choice(_UNREADABLE)
                topic: Topic = chance.choice(("predictions", "outcomes"))
                self._due_at(later_ms, "unreadable", topic, prediction_id, value)

    def _row(
        self, model_id: str, prediction_id: str, row: int, now_ms: int
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        chance = self._chance
        is_large = model_id.startswith("large")
        is_changed = is_large and row > CHANGED_FROM
        is_slow = model_id.startswith(WATCHED) and row in SLOW
        score = chance.random()
        features: dict[str, Any] = {
            "amount": round(chance.gauss(130.0 if is_changed else 100.0, 10.0), 3),
            "channel": chance.choice(("web", "shop", "phone")),
        }
        if is_large:
            features["age"] = None if chance.random() < 0.05 else round(chance.gauss(40.0, 8.0))
            features["debt"] = chance.expovariate(1.0)
            features["city"] = f"city-{int(chance.expovariate(0.2))}"
        fields: dict[str, Any] = {"prediction_id": prediction_id, "model_id": model_id}
        prediction = fields | {
            "predicted_at": now_ms,
            "score": score,
            "model_version": f"v{row // 1_000}",
            "features": features,
            "latency_ms": 900.0 if is_slow else round(chance.expovariate(0.1), 2),
            "explanation": {
                f"feature_{n:02}": chance.gauss(0.0, 1.0) for n in range(chance.randrange(18))
            },
        }
        if model_id.startswith("large-0"):  # the regression
            guess = 50.0 + 10.0 * score + 0.5
            wrong = chance.gauss(6.0 if is_changed else 0.0, 1.0)
            return prediction | {"prediction": guess}, fields | {"outcome": guess + wrong}
        answer = chance.choice(("yes", "no"))
        if model_id.startswith(FIGURED):
            prediction["segment"] = {"channel": features["channel"], "branch": f"b{row % 4}"}
            is_changed = row > FAILS_FROM and features["channel"] == "web"
        is_wrong = chance.random() < (0.5 if is_changed else 0.05)
        truth = self._other(answer) if is_wrong else answer
        return prediction | {"prediction": answer}, fields | {"outcome": truth}

    def _other(self, answer: str | float) -> str | float:
        if isinstance(answer, str):
            return "no" if answer == "yes" else "yes"
        return answer + 1.0

    def _pick_model(self) -> str:
        if self._chance.random() < LARGE_SHARE:
            name = f"large-{self._chance.randrange(LARGE_MODELS)}"
            self._rows[name] += 1
            return f"{name}-{self._rows[name] // REPLACED_FROM}"
        return f"small-{self._chance.randrange(SMALL_MODELS)}"

    def _publish(self, at_ms: int, what: What, key: str, event: dict[str, Any]) -> None:
        topic: Topic = "predictions" if "prediction" in event else "outcomes"
        if topic == "predictions" and event["model_id"] in SPLIT:
            self._publish_halves(at_ms, what, key, event)
        else:
            self._due_at(at_ms, what, topic, key, orjson.dumps(event))

    def _publish_halves(self, at_ms: int, what: What, key: str, event: dict[str, Any]) -> None:
        """Publish a request and its response, in any order and mostly in two partitions."""
        chance = self._chance
        call = {"id": event["prediction_id"], "model": event["model_id"], "at": at_ms}
        response = {"half": "response", "label": event["prediction"], "score": event["score"]}
        self._due_at(at_ms, what, "calls", key, orjson.dumps(call | response))
        request_ms = at_ms + round(chance.uniform(-200, 200))
        match chance.random():
            case draw if draw < 0.05:
                return
            case draw if draw < 0.15:
                request_ms = at_ms + round(chance.uniform(0, 2_000 * INPUTS_WAIT_S))
        request = orjson.dumps(call | {"half": "request", "row": event["features"]})
        self._due_at(request_ms, "inputs", "calls", f"request of {key}", request)

    def _due_at(
        self,
        at_ms: int,
        what: What,
        topic: Topic,
        key: str,
        value: bytes | None,
    ) -> None:
        self._number += 1
        heapq.heappush(self._due, Message(at_ms, self._number, what, topic, key.encode(), value))


class TrafficThread(threading.Thread):
    """Publishes until it is stopped, whatever becomes of the broker.

    Parameters
    ----------
    settings
        Whose topics, and where.
    seed
        Of the traffic.
    per_second
        Messages, on average and about.
    """

    def __init__(self, settings: Settings, seed: int, per_second: int) -> None:
        super().__init__(name="traffic", daemon=True)
        self._models = settings.topics.name("models")
        self._topic = {
            "predictions": settings.predictions,
            "outcomes": settings.outcomes,
            "calls": CALLS,
            "reports": settings.topics.name("reports"),
        }
        self._traffic = Traffic(seed)
        self._predictions_a_look = per_second / 2.05 * _LOOK_EVERY_S
        self._is_over = threading.Event()
        self.sent: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.failure: Exception | None = None
        self._producer = Producer(
            {
                "bootstrap.servers": settings.broker,
                "acks": "all",
                "linger.ms": 5,
                "message.timeout.ms": 0,  # a broker may be away for as long as it likes
                "queue.buffering.max.messages": 2_000_000,
                "log_level": 2,
            }
        )

    def run(self) -> None:
        """Publish."""
        try:
            self._publish_all()
        except Exception as error:  # noqa: BLE001 - a thread's edge: the main thread raises it
            self.failure = error

    def finish(self) -> None:
        """Stop, and return once the broker has everything."""
        self._is_over.set()
        self.join()
        if self.failure is not None:
            raise self.failure
        if left := self._producer.flush(FLUSH_S):
            raise TimeoutError(f"the broker did not take {left:,} messages within {FLUSH_S:.0f} s")

    def _publish_all(self) -> None:
        for model_id, spec in specs():
            self._producer.produce(self._models, orjson.dumps(spec), key=model_id.encode())
        began_s = time.monotonic()
        owed = 0.0
        while not self._is_over.wait(_LOOK_EVERY_S):
            passed_s = time.monotonic() - began_s
            owed += self._predictions_a_look * _pace_at(passed_s)
            now_ms = time.time_ns() // 1_000_000
            for message in self._traffic.take(now_ms, int(owed)):
                self._send(message)
            owed %= 1.0
            self._producer.poll(0)

    def _send(self, message: Message) -> None:
        try:
            self._producer.produce(
                self._topic[message.topic],
                message.value,
                key=message.key,
                on_delivery=self._note(message.what),
            )
        except KafkaException:  # the topic is being made anew
            self.refused[message.what] += 1

    def _note(self, what: What) -> Callable[[Any, Any], None]:
        def note(error: object, _message: object) -> None:
            (self.sent if error is None else self.refused)[what] += 1

        return note


def _pace_at(passed_s: float) -> float:
    return _PACES[int(passed_s / _PACE_LASTS_S) % len(_PACES)]
