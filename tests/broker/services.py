"""The services of a made-up fleet of models: what they publish, and when their world changes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from schemas.event import EventKind
from tests.doubles.inputs import START_MS, outcome, prediction

OUTCOME_LAG = 40
ROW_MS = 1_000


@dataclass(frozen=True, slots=True)
class Sent:
    """One message of a service."""

    kind: EventKind
    prediction_id: str
    at_ms: int
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One model in production, and what goes wrong with it.

    Parameters
    ----------
    model_id
        The model.
    rows
        Predictions it makes, each with an outcome ``OUTCOME_LAG`` predictions later.
    changed_from
        Row from which ``amount`` is three standard deviations higher, and half of the answers are
        wrong where one in twenty was.
    seed
        Of everything random about it.
    row_ms
        Milliseconds between two predictions.
    start_ms
        Instant of the first one, in epoch milliseconds.
    secret
        Stands in what must not leave the payloads: a text no two predictions share, a segment, a
        field nobody knows.
    """

    model_id: str
    rows: int
    changed_from: int
    seed: int = 1
    row_ms: int = ROW_MS
    start_ms: int = START_MS
    secret: str | None = None

    def sent(self) -> Iterator[Sent]:
        """Yield what it publishes, in order."""
        source = random.Random(self.seed)  # noqa: S311 - data, not a secret
        waiting: list[Sent] = []
        for row in range(self.rows + OUTCOME_LAG):
            at_ms = self.start_ms + row * self.row_ms
            if row < self.rows:
                made, follows = self._row(source, row, at_ms)
                yield made
                waiting.append(follows)
            if row >= OUTCOME_LAG:
                yield waiting[row - OUTCOME_LAG]

    def _row(self, source: random.Random, row: int, at_ms: int) -> tuple[Sent, Sent]:
        is_changed = row >= self.changed_from
        answer = source.choice(("yes", "no"))
        is_wrong = source.random() < (0.5 if is_changed else 0.05)
        truth = {"yes": "no", "no": "yes"}[answer] if is_wrong else answer
        features: dict[str, object] = {
            "amount": source.gauss(130.0 if is_changed else 100.0, 10.0),
            "age": source.gauss(40.0, 8.0),
            "channel": source.choice(("web", "shop", "phone")),
        }
        prediction_id = f"{self.model_id}-{row}"
        fields: dict[str, object] = {
            "predicted_at": at_ms,
            "prediction": answer,
            "score": source.random(),
            "features": features,
        }
        if self.secret is not None:
            features["note"] = f"{self.secret}-{row}"
            fields |= {"segment": {"customer": self.secret}, "unknown": self.secret}
        made = prediction(prediction_id, self.model_id, **fields)
        known_ms = at_ms + OUTCOME_LAG * self.row_ms + 1
        follows = outcome(prediction_id, self.model_id, observed_at=known_ms, outcome=truth)
        return (
            Sent("prediction", prediction_id, at_ms, made),
            Sent("outcome", prediction_id, known_ms, follows),
        )


def fleet(
    models: int, *, rows: int, changed_from: int, row_ms: int = ROW_MS, start_ms: int = START_MS
) -> list[Sent]:
    """Return what several services publish at the same time."""
    services = [
        Service(
            model_id=f"model-{n}",
            rows=rows,
            changed_from=changed_from,
            seed=n,
            row_ms=row_ms,
            start_ms=start_ms,
        )
        for n in range(models)
    ]
    streams = zip_longest(*(service.sent() for service in services))
    return [sent for together in streams for sent in together if sent is not None]
