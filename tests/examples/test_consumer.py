"""The rules of a consumer, under copies, disorder, crashes and a monitor that is gone."""

from __future__ import annotations

import random
from typing import Any

import pytest

from examples.consumer import Consumer, Note
from schemas.wire import to_rfc3339

TTL_S = 30
CALM = random.Random(1)  # noqa: S311 - a schedule, not a secret


class CrashError(Exception):
    """The consumer dies."""


class World:
    """A consumer whose notes outlive it, and all that it does."""

    def __init__(self, chance: random.Random) -> None:
        self.notes: dict[str, Note] = {}
        self.chance = chance
        self.begun: list[tuple[int, float, float]] = []
        self.on_until_s: float | None = None
        self.now_s = 0.0
        self.consumer = self.new()

    def new(self) -> Consumer:
        return Consumer(self.notes, self.begin, self.undo)

    def begin(self, command: dict[str, Any]) -> None:
        if self.chance.random() < 0.1:
            raise CrashError
        ends_s = self.notes["m|fallback"].ends_s
        self.begun.append((command["sequence"], self.now_s, ends_s))
        self.on_until_s = ends_s

    def undo(self, _key: str) -> None:
        self.on_until_s = None

    def at(self, now_s: float, *records: dict[str, Any] | None) -> None:
        self.now_s = now_s
        for record in records:
            try:
                self.consumer.take("m|fallback", record, now_s)
            except CrashError:
                self.consumer = self.new()
        self.consumer.pass_time(now_s)


def lease(sequence: int, issued_s: float, *, renews: bool) -> dict[str, Any]:
    expires_at = to_rfc3339(1_000 * round(issued_s + TTL_S))
    return {"sequence": sequence, "expires_at": expires_at, "supersedes": "x" if renews else None}


@pytest.mark.parametrize("seed", range(30))
def test_no_command_is_begun_twice_or_after_its_end_and_none_outlives_the_monitor(
    seed: int,
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a schedule, not a secret
    world, silent_from = World(chance), chance.randrange(40, 100)
    sent: list[dict[str, Any]] = []
    held: list[tuple[float, dict[str, Any]]] = []
    for now_s in range(200):
        if now_s % 10 == 0 and now_s < silent_from:
            sent.append(lease(len(sent) + 1, now_s, renews=bool(sent)))
            # Copies and records out of order; the oldest come after their end.
            copies = (sent[-1], *chance.choices(sent, k=3))
            held += [(now_s + chance.choice((0, 0, 5, 45)), each) for each in copies]
        due = [each for at_s, each in held if at_s <= now_s]
        held = [each for each in held if each[0] > now_s]
        chance.shuffle(due)
        world.at(now_s, *due)
        latest = max((n.ends_s for n in world.notes.values()), default=0.0)
        assert world.on_until_s is None or now_s < latest

    sequences = [sequence for sequence, _, _ in world.begun]
    assert len(set(sequences)) == len(sequences)
    assert all(at_s < ends_s for _, at_s, ends_s in world.begun)
    assert sequences == sorted(sequences)
    assert world.on_until_s is None


def test_a_renewal_prolongs_what_has_begun() -> None:
    world = World(CALM)
    world.at(0, lease(1, 0, renews=False))
    world.at(20, lease(2, 20, renews=True))
    world.at(45)

    assert [sequence for sequence, _, _ in world.begun] == [1]
    assert world.on_until_s is not None
    world.at(50)
    assert world.on_until_s is None


def test_a_record_without_a_value_undoes_the_command_once() -> None:
    world = World(CALM)
    world.at(0, lease(1, 0, renews=False))
    world.at(5, None, None)

    assert world.on_until_s is None
    assert world.notes["m|fallback"].sequence == 1
