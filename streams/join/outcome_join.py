"""Meet each prediction with its outcome, whichever comes first.

Rule 1. Time is log time: the latest instant the log gave the model's events. Never the wall clock.
Rule 2. A prediction leaves once: joined, expired, or pushed out when too many wait.
Rule 3. The first prediction of an id counts; another one is a duplicate and changes nothing.
Rule 4. The first outcome of an id counts; the same again is a duplicate, another one a conflict.
Rule 5. An outcome whose prediction does not come in time is an orphan.
Rule 6. What is dropped is counted, under the name of the rule that dropped it.
Rule 7. Of the joined ids the last ``remembered`` are known as joined, and few more: memory is
        bounded.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from streams.join.joined_ids import JoinedIds
from streams.join.waiting_room import WaitingRoom
from streams.values import Answer

ChunkName = tuple[str, int]
"""A sealed chunk of waiting events: its room, and its number there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinSpec:
    """How long, and how many, may wait.

    Parameters
    ----------
    wait_s
        Seconds of log time an event waits for its other half.
    max_waiting
        Events held on each side, per model.
    remembered
        Joined ids remembered at least, to tell a duplicate outcome from an orphan.
    """

    wait_s: float
    max_waiting: int
    remembered: int = 10_000

    def __post_init__(self) -> None:
        if not (self.wait_s > 0 and math.isfinite(self.wait_s)):
            msg = f"wait_s must be a positive number of seconds, got {self.wait_s!r}"
            raise ValueError(msg)
        if self.max_waiting < 1:
            msg = f"max_waiting must be at least 1, got {self.max_waiting!r}"
            raise ValueError(msg)


@dataclass(slots=True)
class JoinCounts:
    """What became of the events of one model."""

    predictions: int = 0
    outcomes: int = 0
    pairs: int = 0
    duplicate_predictions: int = 0
    duplicate_outcomes: int = 0
    conflicting_outcomes: int = 0
    expired_predictions: int = 0
    orphan_outcomes: int = 0
    pushed_out_predictions: int = 0
    pushed_out_outcomes: int = 0

    def add(self, other: "JoinCounts") -> None:
        """Add the counts of another model, for a total."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))


_COUNTS = tuple(each.name for each in fields(JoinCounts))
"""A snapshot is made of thousands of models: `asdict` takes ten times as long."""


class WaitingPrediction(NamedTuple):
    """What is kept of a prediction until its outcome comes."""

    payload: bytes
    prediction: Answer
    predicted_at_ms: int


class EarlyOutcome(NamedTuple):
    """What is kept of an outcome until its prediction comes."""

    payload: bytes
    outcome: Answer
    observed_at_ms: int


_payload_of = itemgetter(0)
"""Gives the payload of what waits: `WaitingPrediction.payload`, `EarlyOutcome.payload`."""


class OutcomeJoin:
    """The waiting rooms of one model."""

    def __init__(self, spec: JoinSpec) -> None:
        self.spec = spec
        self._wait_ms = math.ceil(spec.wait_s * 1_000)
        self._predictions = WaitingRoom[WaitingPrediction](spec.max_waiting, _payload_of)
        self._outcomes = WaitingRoom[EarlyOutcome](spec.max_waiting, _payload_of)
        self._joined = JoinedIds(spec.remembered)
        self.counts = JoinCounts()

    @property
    def waiting_predictions(self) -> int:
        """Predictions whose outcome has not come yet."""
        return len(self._predictions)

    @property
    def waiting_outcomes(self) -> int:
        """Outcomes whose prediction has not come yet."""
        return len(self._outcomes)

    def is_known(self, prediction_id: str) -> bool:
        """Tell whether a prediction of this id has been taken in (Rule 3), and count it if so."""
        if prediction_id in self._predictions.chunk_of or prediction_id in self._joined.answers:
            self.counts.duplicate_predictions += 1
            return True
        return False

    def on_prediction(
        self, prediction_id: str, prediction: WaitingPrediction, now_ms: int
    ) -> EarlyOutcome | None:
        """Take in a prediction that is not known yet; return its outcome if that is here."""
        counts = self.counts
        counts.predictions += 1
        if prediction_id in self._outcomes.chunk_of:
            outcome = self._outcomes.take(prediction_id)
            if outcome is not None:
                counts.pairs += 1
                self._joined.put(prediction_id, outcome.outcome)
                return outcome
        pushed_out = self._predictions.put(prediction_id, now_ms, prediction)
        if pushed_out:
            counts.pushed_out_predictions += pushed_out
        return None

    def on_outcome(
        self, prediction_id: str, outcome: EarlyOutcome, now_ms: int
    ) -> WaitingPrediction | None:
        """Take in an outcome; return its prediction if that is here."""
        counts = self.counts
        counts.outcomes += 1
        prediction = self._predictions.take(prediction_id)
        if prediction is not None:
            counts.pairs += 1
            self._joined.put(prediction_id, outcome.outcome)
            return prediction
        early = self._outcomes.get(prediction_id)
        first = early.outcome if early is not None else self._joined.answers.get(prediction_id)
        if first is None:
            counts.pushed_out_outcomes += self._outcomes.put(prediction_id, now_ms, outcome)
        elif first == outcome.outcome:
            counts.duplicate_outcomes += 1
        else:
            counts.conflicting_outcomes += 1
        return None

    def respec(self, spec: JoinSpec) -> None:
        """Go on under another spec, at once: who is one too many goes."""
        self.spec = spec
        self._wait_ms = math.ceil(spec.wait_s * 1_000)
        self.counts.pushed_out_predictions += self._predictions.resize(spec.max_waiting)
        self.counts.pushed_out_outcomes += self._outcomes.resize(spec.max_waiting)
        self._joined.resize(spec.remembered)

    def clear(self) -> None:
        """Forget all that waits and has been joined; what has been counted stays."""
        for room in self._rooms().values():
            room.clear()

    def advance(self, now_ms: int) -> None:
        """Let log time pass: expire what has waited too long."""
        before_ms = now_ms - self._wait_ms
        if self._predictions.oldest_ms < before_ms:
            self.counts.expired_predictions += self._predictions.expire(before_ms)
        if self._outcomes.oldest_ms < before_ms:
            self.counts.orphan_outcomes += self._outcomes.expire(before_ms)

    def snapshot(self) -> dict[str, Any]:
        """Return the state without what the sealed chunks of its rooms hold."""
        return {
            "counts": {name: getattr(self.counts, name) for name in _COUNTS},
            "predictions": self._predictions.snapshot(_payload),
            "outcomes": self._outcomes.snapshot(_payload),
            "joined": self._joined.snapshot(),
        }

    def unstored(self) -> dict[ChunkName, bytes]:
        """Return the sealed chunks that have not been stored yet."""
        rooms = {
            "predictions": self._predictions.unstored(_payload),
            "outcomes": self._outcomes.unstored(_payload),
            "joined": self._joined.unstored(),
        }
        return {
            (room, number): lines
            for room, chunks in rooms.items()
            for number, lines in chunks.items()
        }

    def on_stored(self, names: Collection[ChunkName]) -> None:
        """Take note that these chunks are stored."""
        for room, chunks in self._rooms().items():
            chunks.on_stored(number for name, number in names if name == room)

    def chunk_names(self) -> set[ChunkName]:
        """Return the sealed chunks that a snapshot taken now would name."""
        return {
            (room, number) for room, chunks in self._rooms().items() for number in chunks.numbers()
        }

    def last_numbers(self) -> dict[str, int]:
        """Return, for each room, the number of the chunk sealed last."""
        return {room: chunks.last_number for room, chunks in self._rooms().items()}

    @classmethod
    def restore(
        cls, spec: JoinSpec, snapshot: dict[str, Any], chunks: Callable[[ChunkName], bytes]
    ) -> "OutcomeJoin":
        """Return the join as it was; ``chunks`` gives the bytes of a sealed chunk."""
        join = cls(spec)
        join.counts = JoinCounts(**snapshot["counts"])
        join._predictions = WaitingRoom.restore(
            spec.max_waiting,
            snapshot["predictions"],
            lambda number: chunks(("predictions", number)),
            _read_prediction,
            _payload_of,
        )
        join._outcomes = WaitingRoom.restore(
            spec.max_waiting,
            snapshot["outcomes"],
            lambda number: chunks(("outcomes", number)),
            _read_outcome,
            _payload_of,
        )
        join._joined = JoinedIds.restore(
            spec.remembered, snapshot["joined"], lambda number: chunks(("joined", number))
        )
        return join

    def _rooms(self) -> dict[str, WaitingRoom[Any] | JoinedIds]:
        return {
            "predictions": self._predictions,
            "outcomes": self._outcomes,
            "joined": self._joined,
        }


def _payload(_: str, waiting: WaitingPrediction | EarlyOutcome) -> bytes:
    return waiting.payload


def _read_prediction(line: bytes) -> tuple[str, WaitingPrediction]:
    event = orjson.loads(line)
    waiting = WaitingPrediction(line, event["prediction"], event["predicted_at"])
    return event["prediction_id"], waiting


def _read_outcome(line: bytes) -> tuple[str, EarlyOutcome]:
    event = orjson.loads(line)
    return event["prediction_id"], EarlyOutcome(line, event["outcome"], event["observed_at"])
