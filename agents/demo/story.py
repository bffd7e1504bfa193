"""A story of two models, as messages of their services, with changes that a monitor must detect.

`loan` decides on loans, `price` sets prices. Each predicts every 15 seconds, and its outcome is
known a minute later. After a normal period baskets become fuller for an hour, three times.
Applicants for loans become richer for more than a day, and the model errs more often. Customers go
online for ten hours. The outcomes of loans are missing for four hours. At last the service that
sends all predictions is down for two. Then all is normal again. A reader of the alerts should be
able to reconstruct this story.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from schemas.event import EventKind, decode_events, encode_tick
from streams.clock import HOUR_MS

START_MS = 1_772_409_600_000
"""2026-03-02T00:00:00Z, a Monday."""
ROW_MS = 15_000
"""Milliseconds between two predictions of a model."""
ROWS = 20_400
"""Predictions of each model: 85 hours."""
LABELLED_AFTER_MS = 60_000
"""Milliseconds from a prediction to its outcome."""


class StoryMessage(NamedTuple):
    """One message of a service: its kind, the id of its prediction, its bytes, its instant."""

    kind: EventKind
    prediction_id: str
    payload: bytes
    at_ms: int


@dataclass(frozen=True, slots=True)
class Spell:
    """A period, in hours since the beginning of the story."""

    start: float
    end: float

    def holds(self, at_ms: int) -> bool:
        """Return whether an instant lies in it."""
        return self.start <= (at_ms - START_MS) / HOUR_MS < self.end

    @property
    def start_ms(self) -> int:
        """The instant at which it begins."""
        return START_MS + round(self.start * HOUR_MS)

    @property
    def end_ms(self) -> int:
        """The instant at which it ends."""
        return START_MS + round(self.end * HOUR_MS)


RICHER = Spell(30, 56)
WRONG = Spell(31, 56)
UNLABELLED = Spell(64, 68)
ONLINE = Spell(36, 46)
DOWN = Spell(76, 78)
FLAPS = (Spell(10.0, 11.0), Spell(19.5, 20.5), Spell(29.0, 30.0))


def published() -> Iterator[StoryMessage]:
    """Yield the messages of both services, in the order of time."""
    events = [*_loan(), *_price()]
    events.sort(key=lambda event: event.at_ms)
    yield from events


def _loan() -> Iterator[StoryMessage]:
    chance = random.Random(5)  # noqa: S311 - data, not a secret
    for row in range(ROWS):
        at_ms = START_MS + ROW_MS * row
        if DOWN.holds(at_ms):
            continue
        says = chance.random() < 0.5
        is_wrong = chance.random() < (0.25 if WRONG.holds(at_ms) else 0.1)
        features = {
            "income": chance.gauss(48_000.0 if RICHER.holds(at_ms) else 40_000.0, 8_000.0),
            "age": chance.gauss(40.0, 8.0),
        }
        yield _prediction("loan", row, at_ms, says, features)
        known_ms = at_ms + LABELLED_AFTER_MS + 1
        if UNLABELLED.holds(known_ms):
            known_ms = UNLABELLED.end_ms + row  # all at once, as when a job is run again
        yield _outcome("loan", row, known_ms, says != is_wrong)


def _price() -> Iterator[StoryMessage]:
    chance = random.Random(6)  # noqa: S311 - data, not a secret
    for row in range(ROWS):
        at_ms = START_MS + ROW_MS * row + 5_000
        if DOWN.holds(at_ms):
            continue
        is_flap = any(flap.holds(at_ms) for flap in FLAPS)
        weights = (20, 30, 50) if ONLINE.holds(at_ms) else (50, 30, 20)
        answer = chance.gauss(100.0, 15.0)
        features = {
            "basket": chance.gauss(4.5 if is_flap else 3.0, 1.2),
            "channel": chance.choices(("shop", "phone", "web"), weights)[0],
        }
        yield _prediction("price", row, at_ms, answer, features)
        yield _outcome("price", row, at_ms + LABELLED_AFTER_MS + 1, answer + chance.gauss(0.0, 5.0))


def _prediction(
    model_id: str, row: int, at_ms: int, answer: bool | float, features: Mapping[str, float | str]
) -> StoryMessage:
    prediction_id = f"{model_id}-{row}"
    fields = {
        "prediction_id": prediction_id,
        "model_id": model_id,
        "predicted_at": at_ms,
        "prediction": answer,
        "features": features,
    }
    return StoryMessage("prediction", prediction_id, orjson.dumps(fields), at_ms)


def _outcome(model_id: str, row: int, at_ms: int, outcome: bool | float) -> StoryMessage:
    prediction_id = f"{model_id}-{row}"
    fields = {
        "prediction_id": prediction_id,
        "model_id": model_id,
        "observed_at": at_ms,
        "outcome": outcome,
    }
    return StoryMessage("outcome", prediction_id, orjson.dumps(fields), at_ms)


def has_traffic(record: bytes) -> bool:
    """Tell whether a record of ``events`` has an event of a service."""
    return any(source.kind in {"prediction", "outcome"} for source in decode_events(record).sources)


def tick_of_outage(last: bytes) -> bytes:
    """Return the tick at the end of the outage of the service that sends predictions.

    A worker ticks by the wall clock; in the story two hours must pass at once.

    Parameters
    ----------
    last
        The last record of ``events`` that `has_traffic`, before the last chapter is published.
    """
    appended_at = decode_events(last).appended_at or 0
    # Outcomes arrive for one minute longer: time passes from the last of them on.
    return encode_tick(appended_at + DOWN.end_ms - DOWN.start_ms - LABELLED_AFTER_MS)
