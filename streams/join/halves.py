"""Join a prediction with its inputs where they come in records of their own.

Rule 1. Time is log time: the latest instant of the model's events. Never the wall clock.
Rule 2. A half is a prediction without its inputs. It leaves once: with its inputs, or without them
        when it has waited ``wait_s`` or when too many wait. It is never dropped.
Rule 3. The first half and the first inputs of an id count.
Rule 4. Inputs whose half does not come in time are orphans. Inputs of a prediction that has gone on
        already are late: they change nothing.
Rule 5. Each event is counted under the name of its fate.
"""

import math
from collections.abc import Iterator
from operator import attrgetter

import orjson
from msgspec import Struct
from msgspec.structs import replace

from streams.clock import NEVER_MS
from streams.join.waiting_room import RoomState, WaitingRoom


class Half(Struct, frozen=True, gc=False):
    """One of the two that wait: its event as JSON."""

    payload: bytes


class HalfCounts(Struct, omit_defaults=True):
    """The halves and inputs of one model, by their fate.

    ``joined`` counts predictions with their inputs, ``without_inputs`` those that went on without,
    ``removed_halves`` those that waited when their model was removed. ``compared_inputs`` are those
    of predictions that had features of their own.
    """

    inputs: int = 0
    joined: int = 0
    without_inputs: int = 0
    removed_halves: int = 0
    duplicate_inputs: int = 0
    late_inputs: int = 0
    compared_inputs: int = 0
    orphan_inputs: int = 0
    pushed_out_inputs: int = 0


_NO_ROOM = RoomState()


class HalvesState(Struct, frozen=True, omit_defaults=True):
    """The stored state of `Halves`, without the content of its sealed chunks.

    ``counts`` is None where no event has ever come.
    """

    counts: HalfCounts | None = None
    halves: RoomState = _NO_ROOM
    inputs: RoomState = _NO_ROOM


NO_HALVES = HalvesState()
"""The state where no event has ever come: as a default it is not stored."""


_payload_of = attrgetter("payload")


class Halves:
    """The halves and inputs of one model that wait for each other.

    Parameters
    ----------
    wait_s
        Seconds of log time that each waits.
    capacity
        Most of each that wait.

    Attributes
    ----------
    counts
        The events by their fate.
    due_ms
        No half and no inputs have waited long enough before this instant.
    """

    def __init__(self, wait_s: float, capacity: int) -> None:
        self.counts = HalfCounts()
        self.halves = WaitingRoom[Half](capacity, _payload_of)
        self.inputs = WaitingRoom[Half](capacity, _payload_of)
        self.due_ms = NEVER_MS
        self._capacity = capacity
        self._wait_ms = math.ceil(wait_s * 1_000)

    def on_half(self, prediction_id: str, payload: bytes, now_ms: int) -> list[bytes]:
        """Take in a half that is not known yet; return the predictions that go on now.

        One is returned with its inputs where these have come; it waits otherwise, and those for
        which there is no room any more go on without.
        """
        inputs = self.inputs.pop(prediction_id)
        if inputs is not None:
            self.counts.joined += 1
            return [_merged(payload, inputs.payload)]
        going_on: list[bytes] = []
        while len(self.halves) >= self._capacity or self.halves.is_full_for(len(payload)):
            going_on += self._first_half()
        self.halves.put(prediction_id, now_ms, Half(payload))
        self.due_ms = min(self.due_ms, now_ms + self._wait_ms)
        return going_on

    def on_inputs(
        self, prediction_id: str, payload: bytes, now_ms: int, *, is_late: bool
    ) -> bytes | None:
        """Take in inputs; return their prediction with them, if it waits.

        ``is_late``: the prediction is known, and has gone on.
        """
        self.counts.inputs += 1
        half = self.halves.pop(prediction_id)
        if half is not None:
            self.counts.joined += 1
            return _merged(half.payload, payload)
        if is_late:
            self.counts.late_inputs += 1
        elif prediction_id in self.inputs.chunk_of:
            self.counts.duplicate_inputs += 1
        else:
            self.counts.pushed_out_inputs += self.inputs.put(prediction_id, now_ms, Half(payload))
            self.due_ms = min(self.due_ms, now_ms + self._wait_ms)
        return None

    def compare(
        self, inputs: bytes | None = None, prediction_id: str | None = None
    ) -> bytes | None:
        """Take out the inputs of a prediction that has features of its own: to be compared.

        Parameters
        ----------
        inputs
            Inputs that have come now; None: those that wait.
        prediction_id
            The prediction whose inputs may wait.
        """
        if inputs is not None:
            self.counts.inputs += 1
        elif prediction_id is not None:
            waiting = self.inputs.pop(prediction_id)
            inputs = None if waiting is None else waiting.payload
        self.counts.compared_inputs += inputs is not None
        return inputs

    def expired(self, now_ms: int) -> Iterator[bytes]:
        """Let log time pass; yield the predictions that go on without their inputs, in order."""
        self.counts.orphan_inputs += self.inputs.expire(now_ms - self._wait_ms)
        while self.first_due_ms() <= now_ms:
            yield from self._first_half()
        inputs_due_ms = self.inputs.oldest_ms + self._wait_ms if len(self.inputs) else NEVER_MS
        self.due_ms = min(self.first_due_ms(), max(inputs_due_ms, now_ms + 1))

    def first_due_ms(self) -> int:
        """Return the instant at which the first half has waited long enough."""
        front = self.halves.front()
        return NEVER_MS if front is None else front[1][1] + self._wait_ms

    def respec(self, wait_s: float, capacity: int) -> list[bytes]:
        """Put other limits in force; return the predictions for which there is no room any more."""
        self._wait_ms = math.ceil(wait_s * 1_000)
        self._capacity = capacity
        going_on: list[bytes] = []
        while len(self.halves) > capacity:
            going_on += self._first_half()
        self.halves.resize(capacity)
        self.counts.pushed_out_inputs += self.inputs.resize(capacity)
        self.due_ms = 0 if len(self.halves) or len(self.inputs) else NEVER_MS
        return going_on

    def clear(self) -> None:
        """Forget all that waits; the counts stay."""
        self.counts.removed_halves += len(self.halves)
        self.halves.clear()
        self.inputs.clear()
        self.due_ms = NEVER_MS

    def snapshot(self) -> HalvesState:
        """Return the state without the content of the sealed chunks."""
        if self.counts == _NO_COUNTS and not self.halves.last_number and not len(self.halves):
            return NO_HALVES
        return HalvesState(
            replace(self.counts), self.halves.snapshot(_line), self.inputs.snapshot(_line)
        )

    @classmethod
    def restore(
        cls,
        wait_s: float,
        capacity: int,
        state: HalvesState,
        rooms: tuple[WaitingRoom[Half], WaitingRoom[Half]],
    ) -> "Halves":
        """Return the halves of a snapshot; ``rooms`` are those of halves and of inputs."""
        restored = cls(wait_s, capacity)
        if state.counts is not None:
            restored.counts = replace(state.counts)
        restored.halves, restored.inputs = rooms
        restored.due_ms = 0 if len(restored.halves) or len(restored.inputs) else NEVER_MS
        return restored

    def _first_half(self) -> Iterator[bytes]:
        front = self.halves.front()
        if front is not None:
            key, (_, _, half) = front
            self.halves.pop(key)
            self.counts.without_inputs += 1
            yield half.payload


_NO_COUNTS = HalfCounts()


def _line(_: str, half: Half) -> bytes:
    return half.payload


def read_half(line: bytes) -> tuple[str, Half]:
    """Read a line of a sealed chunk."""
    prediction_id: str = orjson.loads(line)["prediction_id"]
    return prediction_id, Half(line)


def _merged(half: bytes, inputs: bytes) -> bytes:
    """Return a prediction with its inputs, in the one form of an event."""
    prediction, given = orjson.loads(half), orjson.loads(inputs)
    prediction["features"] = given["features"]
    if "segment" not in prediction and given.get("segment") is not None:
        prediction["segment"] = given["segment"]
    return orjson.dumps(prediction)
