"""The events of a join as it holds and stores them: their types, and each as a line of bytes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from msgspec import Struct, field
from msgspec.structs import replace

from streams.emission import Arrival
from streams.join.halves import NO_HALVES, Half, HalvesState
from streams.join.joined_ids import JoinedState
from streams.join.unjoined import Unjoined
from streams.join.waiting_room import KeptRoom, RoomState
from streams.values import Answer

ChunkName = tuple[str, int]
"""A sealed chunk: the name of its room, and its number there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinSpec:
    """Limits of a join.

    Parameters
    ----------
    wait_s
        Seconds of log time an event waits for its other half.
    max_waiting
        Events held on each side, per model.
    inputs_wait_s
        Seconds of log time a prediction waits for its inputs where they come apart.
    takes_corrections
        Whether the last outcome of an id counts, not the first (Rule 4).
    remembered
        Joined ids known at least, so that a duplicate outcome is not taken for an orphan. The
        default covers the repetitions of a producer that retries.
    """

    wait_s: float
    max_waiting: int
    inputs_wait_s: float = 600.0
    takes_corrections: bool = False
    remembered: int = 10_000

    def __post_init__(self) -> None:
        if not (self.wait_s > 0 and math.isfinite(self.wait_s)):
            msg = f"wait_s must be a positive number of seconds, got {self.wait_s!r}"
            raise ValueError(msg)
        if self.max_waiting < 1:
            msg = f"max_waiting must be at least 1, got {self.max_waiting!r}"
            raise ValueError(msg)


class JoinCounts(Struct, omit_defaults=True):
    """The events of one model, by their fate."""

    predictions: int = 0
    outcomes: int = 0
    pairs: int = 0
    duplicate_predictions: int = 0
    duplicate_outcomes: int = 0
    conflicting_outcomes: int = 0
    corrected_outcomes: int = 0
    expired_predictions: int = 0
    orphan_outcomes: int = 0
    pushed_out_predictions: int = 0
    pushed_out_outcomes: int = 0

    def add(self, other: "JoinCounts") -> None:
        """Add the counts of another model, for a total."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class EarlyOutcome(Struct, frozen=True, gc=False):
    """An outcome that waits for its prediction.

    ``corrects``: whether the last outcome counts among those of its prediction that say so.
    """

    payload: bytes
    outcome: Answer
    observed_at_ms: int
    corrects: bool = False


class WaitingPrediction(Struct, frozen=True, gc=False):
    """A prediction that waits for its outcome.

    Parameters
    ----------
    payload
        The prediction, as ingest accepted it.
    prediction
        Its answer; None where nobody answered.
    predicted_at_ms
        Its instant.
    last, row
        Its last outcome, and the number of the labelled row with that, where it may be corrected.
    """

    payload: bytes
    prediction: Answer | None
    predicted_at_ms: int
    last: EarlyOutcome | None = None
    row: int | None = None


class KeptChunks(NamedTuple):
    """The sealed chunks of a join, for a copy of it in the same process.

    Parameters
    ----------
    rooms
        Those of each room.
    """

    rooms: dict[str, KeptRoom]

    def lines_of(self, name: ChunkName) -> bytes:
        """Return the lines that are left of a chunk."""
        room, number = name
        return self.rooms[room].lines_of(number)


NO_ROOM = RoomState()
"""One object: a field is not stored where it is the default itself."""


class JoinState(Struct, frozen=True, omit_defaults=True):
    """The stored state of an `OutcomeJoin`, without the content of its sealed chunks."""

    counts: JoinCounts
    predictions: RoomState = RoomState()
    outcomes: RoomState = RoomState()
    joined: JoinedState = JoinedState()
    held: RoomState = NO_ROOM
    halves: HalvesState = NO_HALVES
    labelled: RoomState = NO_ROOM
    unjoined: Unjoined = field(default_factory=Unjoined)


_HELD_FIELDS = ("offset", "place", "source", "position", "logged_at", "kind", "appended_at")


def payload_line(_: str, waiting: WaitingPrediction | EarlyOutcome | Half) -> bytes:
    """Return a waiting event as one line: its payload."""
    return waiting.payload


def read_prediction(line: bytes) -> tuple[str, WaitingPrediction]:
    """Return a prediction and its id from a line of `payload_line`."""
    event = orjson.loads(line)
    waiting = WaitingPrediction(line, answer_of(event), event["predicted_at"])
    return event["prediction_id"], waiting


def labelled_line(_: str, labelled: WaitingPrediction) -> bytes:
    """Write a labelled prediction as one line: JSON has no tabs of its own."""
    last = b"" if labelled.last is None else labelled.last.payload
    return b"%d\t%b\t%b" % (labelled.row or 0, last, labelled.payload)


def read_labelled(line: bytes) -> tuple[str, WaitingPrediction]:
    """Return a prediction with its outcome, and its id, from a line of `labelled_line`."""
    row, last, payload = line.split(b"\t", 2)
    prediction_id, waiting = read_prediction(payload)
    _, outcome = read_outcome(last)
    return prediction_id, replace(waiting, last=outcome, row=int(row))


def answer_of(event: Mapping[str, Any]) -> Answer | None:
    """Return the answer that the model gave; None where a fallback or nobody did.

    Examples
    --------
    >>> answer_of({"prediction": 1}), answer_of({"prediction": 0, "status": "error"})
    (1, None)
    """
    status = event.get("status")
    answer: Answer | None = event.get("prediction") if status in {None, "ok"} else None
    return answer


def read_outcome(line: bytes) -> tuple[str, EarlyOutcome]:
    """Return an outcome and the id of its prediction from a line of `payload_line`."""
    event = orjson.loads(line)
    corrects = event.get("corrections") == "last"
    outcome = EarlyOutcome(line, event["outcome"], event["observed_at"], corrects)
    return event["prediction_id"], outcome


def held_line(_: str, arrival: Arrival) -> bytes:
    """Return an event as one line; its payload as text, which keeps the bytes as they are."""
    fields = {name: getattr(arrival, name) for name in _HELD_FIELDS}
    return orjson.dumps({**fields, "payload": arrival.payload.decode()})


def read_held(line: bytes) -> tuple[str, Arrival]:
    """Return a held event and its key from a line of `held_line`."""
    fields = orjson.loads(line)
    arrival = Arrival(**{**fields, "payload": fields["payload"].encode(), "event": {}})
    return f"{arrival.source}/{arrival.position}", arrival
