"""A story in which everybody answers: reviewers, a team with a challenger, a trainer, a gateway.

`loan` predicts every 15 seconds; an outcome is known after an hour. Reviewers answer uncertain
cases. The world changes: the model errs more often, a retraining is asked for, and done. A
challenger is compared, and promoted. The service fails, and a fallback answers until it is back.
Each actor reads what Tidegauge has published, and only that.

The story needs no broker: the core is applied to a log that the actors write. A worker that is
given the same events publishes the same (tests/broker/test_loop.py).
"""

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson

from schemas.event import EventKind, Source
from schemas.topics import TopicRole, Topics
from streams.clock import HOUR_MS
from streams.emission import Emission
from streams.ingest.accept import accept
from streams.ingest.batches import pack
from streams.ingest.records import Accepted, Raw
from streams.monitor import Monitor

MODEL = "loan"
START_MS = 1_772_409_600_000
"""2026-03-02T00:00:00Z, a Monday."""
ROW_MS = 15_000
ROWS = 6_000
LATE_MS = HOUR_MS
"""Milliseconds from a prediction to its outcome."""
READ_MS = 600_000
"""Milliseconds in which a reviewer answers, a program obeys."""
TURNED, CHALLENGED, DOWN, UP = 1_500, 3_200, 5_200, 5_400
"""Rows from which the world is another, a challenger answers too, the service fails, is back."""
RECORD_ROWS = 20
PROBE = 0.2
"""Share of the requests that the gateway still asks of the model under a fallback."""
SPEC: dict[str, Any] = {
    "model_id": MODEL,
    "alert_budget": 1.0,
    "retrain": {"min_labelled": 400, "cooldown_s": 3_600},
    "review": {
        "risk_above": 0.42,
        "sample": 0.05,
        "per_day": 2_000,
        "due_s": 3_600,
        "every_s": 10_800,
        "double": 0,
    },
    "challenge": {"cohort_s": 3_600, "mature_s": 3_660, "min_pairs": 500},
    "fallback": {"auto": True, "ttl_s": 900, "probe": PROBE, "hold_s": 300},
}
CHAPTERS = (TURNED, CHALLENGED, DOWN)
"""Rows between the parts: reviews; errors and a retraining; a challenger; the fallback."""
Json = dict[str, Any]
Planned = tuple[int, int, EventKind, Json]
TOLD: tuple[TopicRole, ...] = ("alerts", "feedback", "metrics")
"""Topics that have lines."""


class Actors:
    """Whoever publishes to Tidegauge, and answers it.

    Parameters
    ----------
    model_id
        The model.
    start_ms
        Instant of the first prediction.
    """

    def __init__(self, model_id: str = MODEL, start_ms: int = START_MS) -> None:
        self._model_id, self._start_ms = model_id, start_ms
        self._chance = random.Random(11)  # noqa: S311 - a story, not a secret
        self._truth: dict[str, int] = {}
        self._planned: list[Planned] = []
        self._count = 0
        self._version = "1"
        self._error: float | None = None
        self._trained_at: int | None = None
        self._promoted_at: int | None = None
        self._has_challenger = False
        self._is_on_fallback = False
        self.plan(start_ms, "spec", SPEC | {"model_id": model_id})

    def plan(self, at_ms: int, kind: EventKind, event: Json) -> None:
        """Publish an event at an instant."""
        self._count += 1
        self._planned.append((at_ms, self._count, kind, event))

    def due(self, until_ms: int) -> list[Planned]:
        """Return what is published before an instant, in order."""
        due = sorted((each for each in self._planned if each[0] < until_ms), key=_order)
        self._planned = [each for each in self._planned if each[0] >= until_ms]
        return due

    def serve(self, row: int) -> None:
        """Answer one request, and publish its outcome an hour later."""
        at_ms, name = self.instant(row), f"{self._model_id}-{row}"
        self._change_model(row)
        score, says = round(self._chance.uniform(0.5, 1.0), 3), self._chance.randrange(2)
        is_wrong = self._chance.random() < self._share(row, score)
        truth = says ^ int(is_wrong)
        self._truth[name] = truth
        named: Json = {"prediction_id": name, "model_id": self._model_id}
        given: Json = named | {"predicted_at": at_ms}
        answer: Json = {"prediction": says, "score": score if says else round(1 - score, 3)}
        answer |= {"model_version": self._version, "status": "ok"}
        if self._is_on_fallback and self._chance.random() > PROBE:
            answer = {"prediction": 0, "status": "fallback"}
        elif DOWN <= row < UP:
            answer = {"status": "error"}
        self.plan(at_ms, "prediction", given | answer)
        if self._has_challenger:
            other = truth ^ int(self._chance.random() < 0.08)
            self.plan(at_ms, "prediction", given | {"prediction": other, "variant": "boosted"})
        known: Json = {"outcome": truth, "observed_at": at_ms + LATE_MS}
        self.plan(at_ms + LATE_MS, "outcome", named | known)

    def instant(self, row: int) -> int:
        """Return the instant of a prediction."""
        return self._start_ms + ROW_MS * row

    def hear(self, emission: Emission) -> None:
        """Read a record of Tidegauge; answer it ten minutes later."""
        event = orjson.loads(emission.value) if emission.value else {}
        if emission.role == "reviews" and event["status"] == "open":
            self._review(event, emission.now_ms + READ_MS)
        if emission.role != "feedback":
            return
        row = (emission.now_ms + READ_MS - self._start_ms) // ROW_MS
        match event["command"]:
            case "promote":
                self._promoted_at, self._has_challenger = row, False
            case "retrain":
                self._trained_at = row + 60
            case "fallback_on" | "fallback_off":
                self._is_on_fallback = event["command"] == "fallback_on"

    def _review(self, case: Json, at_ms: int) -> None:
        fields = {name: case[name] for name in ("prediction_id", "model_id", "review_id")}
        verdict: Json = {"outcome": self._truth[case["prediction_id"]], "observed_at": at_ms}
        verdict |= {"source": "review", "reviewer": "ann"}
        self.plan(at_ms, "outcome", fields | verdict)

    def _change_model(self, row: int) -> None:
        if row == CHALLENGED:
            self._has_challenger = True
        if self._trained_at == row:
            self._version, self._error, self._trained_at = "2", 0.25, None
        if self._promoted_at == row:
            self._version, self._error, self._promoted_at = "3", 0.08, None

    def _share(self, row: int, score: float) -> float:
        """Return the probability that an answer is wrong; of the first version, by its score."""
        if self._error is not None:
            return self._error
        return 1.0 - score + (0.3 if row >= TURNED else 0.0)


def played(
    actors: Actors | None = None, rows: int = ROWS
) -> Iterator[tuple[bytes, list[Emission]]]:
    """Play the story; yield each record of the log, and what Tidegauge publishes at it."""
    actors, monitor = actors or Actors(), Monitor(0, Topics(partitions=1))
    offsets: Counter[str] = Counter()
    offset = 0
    for first in range(0, rows, RECORD_ROWS):
        for row in range(first, first + RECORD_ROWS):
            actors.serve(row)
        events = [
            _accepted(each, offsets) for each in actors.due(actors.instant(first + RECORD_ROWS))
        ]
        for _, _, record, _ in pack(events, 1):
            emissions = monitor.apply(offset, record)
            for emission in emissions:
                actors.hear(emission)
            yield record, emissions
            offset += 1


def told(emissions: Iterator[Emission]) -> Iterator[str]:
    """Yield a line for each alert, command and estimate; renewals of a lease share one."""
    for emission in emissions:
        if emission.role in TOLD and (line := line_of(emission.value)):
            yield line


def line_of(value: bytes) -> str | None:
    """Return the line of a record of the topics that are told; None where it has none."""
    event = orjson.loads(value)
    match event["type"]:
        case "tidegauge.alert.v1" if event["status"] != "ongoing":
            return _line(event["detected_at"], event["status"], event["summary"])
        case "tidegauge.feedback.v1" if not event["supersedes"]:
            return _line(event["issued_at"], event["command"], event["summary"])
        case "tidegauge.reviewed.v1" if event["error"] is not None:
            found = f"{event['error']:.1%} ({event['low']:.1%} to {event['high']:.1%})"
            says = f"{event['answered']} verdicts say that the error is {found}"
            return _line(event["end"], "reviewed", f"{says}, expected {event['expected']:.1%}.")
    return None


def _order(planned: Planned) -> tuple[int, bool, int]:
    """Put events of one instant in the order in which a worker merges topics."""
    at_ms, count, kind, _ = planned
    return at_ms, kind == "outcome", count


def _line(at: str, what: str, says: str) -> str:
    return f"{at[5:16].replace('T', ' ')}  {what:<12}  {says}"


def _accepted(planned: Planned, offsets: Counter[str]) -> Accepted:
    at_ms, _, kind, event = planned
    source = Source(kind, f"{kind}s", 0)
    raw = Raw(source, offsets[kind], at_ms, orjson.dumps(event), event["model_id"].encode())
    offsets[kind] += 1
    found = accept(raw)
    if not isinstance(found, Accepted):
        msg = f"an event of the story is refused: {found.letter.detail}"
        raise TypeError(msg)
    return found
