"""Join each prediction with its outcome, whichever arrives first.

Rule 1. Time is log time: the latest instant of the model's events. Never the wall clock.
Rule 2. A prediction leaves once: joined, expired, or pushed out when too many wait.
Rule 3. The first prediction of an id counts; another one is a duplicate and changes nothing.
Rule 4. The first outcome of an id counts. The same outcome again is a duplicate, another outcome
        is a conflict. Where corrections are taken, by the spec or by both outcomes, the last one
        counts: as long after the pair as events wait, another outcome makes a pair again.
Rule 5. An outcome whose prediction does not arrive in time is an orphan.
Rule 6. Every dropped event is counted, under the name of the rule that dropped it.
Rule 7. A model that is quarantined applies nothing: its last ``HELD_AT_MOST`` events are held here,
        where what waits is stored once.
Rule 8. At least the last ``remembered`` joined ids are known as joined, and at most two chunks
        more: memory is bounded.
"""

import math
from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from itertools import islice
from operator import attrgetter
from typing import Any

import orjson
from msgspec.structs import replace

from schemas.feature_row import as_dict
from streams.emission import Arrival
from streams.join.events import (
    NO_ROOM,
    ChunkName,
    EarlyOutcome,
    JoinCounts,
    JoinSpec,
    JoinState,
    KeptChunks,
    WaitingPrediction,
    held_line,
    labelled_line,
    payload_line,
    read_held,
    read_labelled,
    read_outcome,
    read_prediction,
)
from streams.join.halves import Halves, read_half
from streams.join.joined_ids import JoinedIds
from streams.join.unjoined import Disjoint, Taken, Unjoined
from streams.join.waiting_room import WaitingRoom
from streams.values import Answer

HELD_AT_MOST = 100_000
"""Events of a quarantined model that are held for its release: a day of one a second, and less than
3 s to apply. By judgement."""
RETRY_MS = 60_000
"""Milliseconds between the instants of a prediction and of its repetition, at most: a client that
got no acknowledgement gives up within a minute or two. Only for repetitions that get an instant of
their own, and come after the outcome."""


_payload_of = attrgetter("payload")


class OutcomeJoin:
    """The waiting rooms of one model.

    Parameters
    ----------
    spec
        Its limits.

    Attributes
    ----------
    counts
        The events by their fate. Read-only.
    halves
        Predictions and inputs that wait for each other.
    unjoined
        Tells where hardly any outcome finds its prediction. Read-only.
    """

    def __init__(self, spec: JoinSpec) -> None:
        self.spec = spec
        self._wait_ms = math.ceil(spec.wait_s * 1_000)
        self._predictions = WaitingRoom[WaitingPrediction](spec.max_waiting, _payload_of)
        self._outcomes = WaitingRoom[EarlyOutcome](spec.max_waiting, _payload_of)
        self._joined = JoinedIds(spec.remembered)
        self._held: WaitingRoom[Arrival] | None = None  # few models are ever quarantined
        self._labelled: WaitingRoom[WaitingPrediction] | None = None  # few have corrections
        self.halves = Halves(spec.inputs_wait_s, spec.max_waiting)
        self.counts = JoinCounts()
        self.unjoined = Unjoined()

    @property
    def waiting_predictions(self) -> int:
        """Predictions whose outcome has not arrived yet."""
        return len(self._predictions)

    def is_known(self, prediction_id: str) -> bool:
        """Return whether a prediction of this id has arrived before; count it if so (Rule 3).

        Halves that wait are not among them.
        """
        if prediction_id in self._predictions.chunk_of or prediction_id in self._joined.answers:
            self.counts.duplicate_predictions += 1
            return True
        return False

    def waiting(self, prediction_id: str) -> WaitingPrediction | None:
        """Return a prediction that waits for its outcome."""
        return self._predictions.get(prediction_id)

    def has_met(self, prediction_id: str) -> bool:
        """Return whether a prediction of this id has arrived before; count nothing."""
        return prediction_id in self._predictions.chunk_of or prediction_id in self._joined.answers

    def is_other(self, event: Mapping[str, Any]) -> bool:
        """Return whether a prediction with a known id is another one: no repetition of the first.

        Of one that still waits the content is known, of one that is joined the instant: a
        repetition has the same, or comes within ``RETRY_MS``.
        """
        first = self._predictions.get(event["prediction_id"])
        if first is None:
            _, at_ms = self._joined.answers[event["prediction_id"]]
            predicted_at_ms: int = event["predicted_at"]
            return abs(predicted_at_ms - at_ms) > RETRY_MS
        given, names = orjson.loads(first.payload), event.keys() & {"prediction", "features"}
        return any(given.get(name) != as_dict(event[name]) for name in names)

    def judge_unjoined(self, age_ms: int) -> Disjoint | None:
        """Return the figures where it begins to be told that outcomes find no predictions.

        Also where it is over: `unjoined.is_on` has changed then.

        Parameters
        ----------
        age_ms
            Milliseconds since the first event of the model.
        """
        return self.unjoined.judge(self._taken, self._latest_ids, age_ms, self._wait_ms)

    def why_unjoined(self) -> Disjoint | None:
        """Return why hardly any outcome has found its prediction so far; None where some have."""
        return self.unjoined.reason(self._taken, self._taken.predictions, self._latest_ids)

    @property
    def _taken(self) -> Taken:
        counts = self.counts
        repeated = counts.duplicate_outcomes + counts.conflicting_outcomes
        repeated += counts.corrected_outcomes
        return Taken(counts.predictions, counts.outcomes - repeated, counts.pairs)

    def _latest_ids(self, most: int) -> tuple[list[str], list[str]]:
        """Return ids of predictions, and of outcomes, that wait: the latest of each."""
        predictions, outcomes = (
            list(islice(reversed(room.chunk_of), most))
            for room in (self._predictions, self._outcomes)
        )
        return predictions, outcomes

    def on_prediction(
        self, prediction_id: str, prediction: WaitingPrediction, now_ms: int
    ) -> EarlyOutcome | None:
        """Take in a prediction that is not known yet; return its outcome if that has arrived."""
        counts = self.counts
        counts.predictions += 1
        if prediction_id in self._outcomes.chunk_of:
            outcome = self._outcomes.pop(prediction_id)
            if outcome is not None:
                counts.pairs += 1
                self._joined.put(prediction_id, (outcome.outcome, prediction.predicted_at_ms))
                return outcome
        pushed_out = self._predictions.put(prediction_id, now_ms, prediction)
        if pushed_out:
            counts.pushed_out_predictions += pushed_out
        return None

    def on_outcome(
        self, prediction_id: str, outcome: EarlyOutcome, now_ms: int
    ) -> WaitingPrediction | None:
        """Take in an outcome; return its prediction if that waits."""
        counts = self.counts
        counts.outcomes += 1
        prediction = self._predictions.pop(prediction_id)
        if prediction is not None:
            counts.pairs += 1
            self._joined.put(prediction_id, (outcome.outcome, prediction.predicted_at_ms))
            return prediction
        if self._labelled is not None and (last := self._labelled.get(prediction_id)) is not None:
            return self._correction(self._labelled, prediction_id, last, outcome)
        early = self._outcomes.get(prediction_id)
        joined = self._joined.answers.get(prediction_id)
        if early is None and joined is None:
            counts.pushed_out_outcomes += self._outcomes.put(prediction_id, now_ms, outcome)
            self.unjoined.on_unmatched(prediction_id, now_ms)
            return None
        first = early.outcome if early is not None else joined and joined[0]
        is_last = early is not None and self.takes_corrections(early)
        if self._is_correction(first, outcome, is_last=is_last):
            self._outcomes.pop(prediction_id)
            counts.pushed_out_outcomes += self._outcomes.put(prediction_id, now_ms, outcome)
        return None

    def takes_corrections(self, outcome: EarlyOutcome) -> bool:
        """Return whether an outcome may be corrected, and may correct one (Rule 4)."""
        return outcome.corrects or self.spec.takes_corrections

    def _is_correction(
        self, before: Answer | None, outcome: EarlyOutcome, *, is_last: bool = True
    ) -> bool:
        """Count a further outcome by its fate; return whether it takes the place of the last one.

        ``is_last``: whether the last one may be corrected.
        """
        if before == outcome.outcome:
            self.counts.duplicate_outcomes += 1
            return False
        if not (is_last and self.takes_corrections(outcome)):
            self.counts.conflicting_outcomes += 1
            return False
        self.counts.corrected_outcomes += 1
        return True

    def _correction(
        self,
        labelled: WaitingRoom[WaitingPrediction],
        prediction_id: str,
        last: WaitingPrediction,
        outcome: EarlyOutcome,
    ) -> WaitingPrediction | None:
        """Return the prediction of an outcome that corrects its last one; None of any other."""
        before = None if last.last is None else last.last.outcome
        if not self._is_correction(before, outcome):
            return None
        labelled.pop(prediction_id)
        return last

    def on_labelled(
        self,
        prediction_id: str,
        prediction: WaitingPrediction,
        outcome: EarlyOutcome,
        row: int,
        now_ms: int,
    ) -> None:
        """Keep a prediction that is labelled: its outcome may be corrected (Rule 4).

        Parameters
        ----------
        row
            The number of its labelled row.
        """
        if self._labelled is None:
            self._labelled = WaitingRoom(self.spec.max_waiting, _payload_of)
        self._labelled.put(prediction_id, now_ms, replace(prediction, last=outcome, row=row))

    def respec(self, spec: JoinSpec) -> None:
        """Put another spec in force; events beyond its limits are pushed out at once."""
        self.spec = spec
        self._wait_ms = math.ceil(spec.wait_s * 1_000)
        self.counts.pushed_out_predictions += self._predictions.resize(spec.max_waiting)
        self.counts.pushed_out_outcomes += self._outcomes.resize(spec.max_waiting)
        self._joined.resize(spec.remembered)
        if self._labelled is not None:
            self._labelled.resize(spec.max_waiting)

    def clear(self) -> None:
        """Forget all waiting events and joined ids; the counts stay."""
        self.halves.clear()
        for room in self._rooms().values():
            room.clear()
        self.unjoined = Unjoined(taken=self._taken)

    @property
    def held_events(self) -> int:
        """Events that are held (Rule 7)."""
        return 0 if self._held is None else len(self._held)

    def hold(self, arrival: Arrival) -> int:
        """Hold an event of a quarantined model; return the number of older ones given up for it."""
        if self._held is None:
            self._held = WaitingRoom(HELD_AT_MOST, _payload_of)
        key = f"{arrival.source}/{arrival.position}"
        return self._held.put(key, arrival.logged_at, replace(arrival, event={}))

    def release(self) -> list[Arrival]:
        """Return the events that are held, in log order, and hold them no longer."""
        if self._held is None:
            return []
        held = [replace(each, event=orjson.loads(each.payload)) for each in self._held.values()]
        self._held.clear()
        return held

    def advance(self, now_ms: int) -> None:
        """Let log time pass: expire the events that have waited too long."""
        before_ms = now_ms - self._wait_ms
        if self._predictions.oldest_ms < before_ms:
            self.counts.expired_predictions += self._predictions.expire(
                before_ms, self.unjoined.on_expired
            )
        if self._outcomes.oldest_ms < before_ms:
            self.counts.orphan_outcomes += self._outcomes.expire(before_ms)
        if self._labelled is not None and self._labelled.oldest_ms < before_ms:
            self._labelled.expire(before_ms)

    def snapshot(self) -> JoinState:
        """Return the state without the content of the sealed chunks: see `unstored`."""
        held = NO_ROOM if self._held is None else self._held.snapshot(held_line)
        labelled = NO_ROOM if self._labelled is None else self._labelled.snapshot(labelled_line)
        return JoinState(
            replace(self.counts),
            self._predictions.snapshot(payload_line),
            self._outcomes.snapshot(payload_line),
            self._joined.snapshot(),
            held if held.last_number or held.open_count else NO_ROOM,
            self.halves.snapshot(),
            labelled if labelled.last_number or labelled.open_count else NO_ROOM,
            deepcopy(self.unjoined),
        )

    def unstored(self) -> dict[ChunkName, bytes]:
        """Return the sealed chunks that have not been stored yet."""
        rooms = {
            "predictions": self._predictions.unstored(payload_line),
            "outcomes": self._outcomes.unstored(payload_line),
            "joined": self._joined.unstored(),
            "halves": self.halves.halves.unstored(payload_line),
            "inputs": self.halves.inputs.unstored(payload_line),
        }
        if self._held is not None:
            rooms["held"] = self._held.unstored(held_line)
        if self._labelled is not None:
            rooms["labelled"] = self._labelled.unstored(labelled_line)
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

    def kept(self) -> KeptChunks:
        """Return the sealed chunks as they are now, from copies: the join may go on."""
        rooms = {
            "predictions": self._predictions.kept(payload_line),
            "outcomes": self._outcomes.kept(payload_line),
            "joined": self._joined.kept(),
            "halves": self.halves.halves.kept(payload_line),
            "inputs": self.halves.inputs.kept(payload_line),
        }
        if self._held is not None:
            rooms["held"] = self._held.kept(held_line)
        if self._labelled is not None:
            rooms["labelled"] = self._labelled.kept(labelled_line)
        return KeptChunks(rooms)

    def still_owes(self, kept: KeptChunks) -> None:
        """Take note of the chunks that are not stored yet, after `restore`."""
        for name, room in self._rooms().items():
            room.still_owes(kept.rooms[name].unstored)

    @classmethod
    def restore(
        cls, spec: JoinSpec, state: JoinState, chunks: Callable[[ChunkName], bytes]
    ) -> "OutcomeJoin":
        """Return the join of a snapshot; ``chunks`` gives the bytes of a sealed chunk."""
        join = cls(spec)
        join.counts = replace(state.counts)
        join.unjoined = deepcopy(state.unjoined)
        join._predictions = WaitingRoom.restore(
            spec.max_waiting,
            state.predictions,
            lambda number: chunks(("predictions", number)),
            read_prediction,
            _payload_of,
        )
        join._outcomes = WaitingRoom.restore(
            spec.max_waiting,
            state.outcomes,
            lambda number: chunks(("outcomes", number)),
            read_outcome,
            _payload_of,
        )
        join._joined = JoinedIds.restore(
            spec.remembered, state.joined, lambda number: chunks(("joined", number))
        )
        if state.held.last_number or state.held.open_count:
            join._held = WaitingRoom.restore(
                HELD_AT_MOST,
                state.held,
                lambda number: chunks(("held", number)),
                read_held,
                _payload_of,
            )
        if state.labelled.last_number or state.labelled.open_count:
            join._labelled = WaitingRoom.restore(
                spec.max_waiting,
                state.labelled,
                lambda number: chunks(("labelled", number)),
                read_labelled,
                _payload_of,
            )
        halves, inputs = (
            WaitingRoom.restore(
                spec.max_waiting,
                room,
                lambda number, name=name: chunks((name, number)),  # type: ignore[misc]
                read_half,
                _payload_of,
            )
            for name, room in (("halves", state.halves.halves), ("inputs", state.halves.inputs))
        )
        join.halves = Halves.restore(
            spec.inputs_wait_s, spec.max_waiting, state.halves, (halves, inputs)
        )
        return join

    def _rooms(self) -> dict[str, WaitingRoom[Any] | JoinedIds]:
        rooms: dict[str, WaitingRoom[Any] | JoinedIds] = {
            "predictions": self._predictions,
            "outcomes": self._outcomes,
            "joined": self._joined,
            "halves": self.halves.halves,
            "inputs": self.halves.inputs,
        }
        if self._held is not None:
            rooms["held"] = self._held
        if self._labelled is not None:
            rooms["labelled"] = self._labelled
        return rooms
