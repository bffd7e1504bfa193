"""Count numbers that are odd: equal to one another, or wild; compiled."""

from typing import NamedTuple

from streams.detect.compiled import compiled, slots
from streams.values import Floats

RING = 16
"""Latest numbers among which an equal one is sought: of a share of 5 %, half have one there."""
REPEATED, WILD = 0, 1
"""What is found: a number that comes again and again, or too many wild ones."""
KINDS = 2
YOUNG = 0.5
"""The part of its threshold that a young run reaches at most. By judgement."""


class OddSlots(NamedTuple):
    """The head of a state; the ring of the latest numbers follows.

    Parameters
    ----------
    is_sought
        Whether equal numbers are sought.
    next
        The place in the ring of the next number.
    low, high
        A number beyond them is wild.
    candidate
        The number that has come twice.
    """

    is_sought: int
    next: int
    low: int
    high: int
    candidate: int


class RunSlots(NamedTuple):
    """A CUSUM for more hits: its nats, its rows, the hits among them, its threshold."""

    nats: int
    rows: int
    hits: int
    threshold: int


ODD = slots(OddSlots)
REPEATS = slots(RunSlots, start=len(ODD))
WILDS = slots(RunSlots, start=len(ODD) + len(REPEATS))
FIRST = len(ODD) + len(REPEATS) + len(WILDS)
"""Where the ring begins."""
SIZE = FIRST + RING
REPEAT_HIT, REPEAT_MISS, REPEAT_YOUNG = 3.2189, 0.0493, 64.0
"""Nats of a row that is the candidate, and of another: a share of .05 against .002, as for a
category that becomes common (`streams.detect.risen`); and rows of a clump."""
WILD_HIT, WILD_MISS, WILD_YOUNG = 5.2983, 0.01, 24.0
"""The same of a wild number: a share of .01 against 5e-5; and rows of a blip."""


@compiled
def _add(state: Floats, run: int, nats: float, hit: float, young: float) -> bool:
    """Advance a CUSUM by a row; return whether it alarms."""
    total = state[run] + nats
    if total <= 0.0:
        state[run], state[run + 1], state[run + 2] = 0.0, 0.0, 0.0
        return False
    state[run + 1] += 1.0
    state[run + 2] += hit
    if state[run + 1] < young:
        total = min(total, YOUNG * state[run + 3])
    state[run] = total
    does_alarm: bool = total > state[run + 3]
    return does_alarm


@compiled
def _is_repeated(state: Floats, x: float) -> bool:
    """Read a number; return whether the candidate has become common."""
    if state[REPEATS.nats] > 0.0:
        if x == state[ODD.candidate]:
            return _add(state, REPEATS.nats, REPEAT_HIT, 1.0, REPEAT_YOUNG)
        return _add(state, REPEATS.nats, -REPEAT_MISS, 0.0, REPEAT_YOUNG)
    equal = 0
    for place in range(FIRST, SIZE):
        equal += 1 if state[place] == x else 0
    if equal > 0:
        state[ODD.candidate] = x
        _add(state, REPEATS.nats, REPEAT_HIT, 1.0, REPEAT_YOUNG)
    return False


@compiled
def next_odd(state: Floats, values: Floats) -> int:
    """Read values until some are odd; return ``row * KINDS + kind``, or -1."""
    is_sought, place, found = state[ODD.is_sought] > 0.0, int(state[ODD.next]), -1
    for row in range(len(values)):
        x = values[row]
        is_repeated = is_sought and _is_repeated(state, x)
        if is_sought:
            state[FIRST + place] = x
            place = 0 if place == RING - 1 else place + 1
        if x < state[ODD.low] or x > state[ODD.high]:
            does_alarm = _add(state, WILDS.nats, WILD_HIT, 1.0, WILD_YOUNG)
            if does_alarm and 2.0 * state[WILDS.hits] <= state[WILDS.rows]:
                found = row * KINDS + WILD
                break
        elif state[WILDS.nats] > 0.0:
            _add(state, WILDS.nats, -WILD_MISS, 0.0, WILD_YOUNG)
        if is_repeated:
            found = row * KINDS + REPEATED
            break
    state[ODD.next] = place
    return found


@compiled
def equal_rows(values: Floats) -> int:
    """Return how many values have an equal one among the ``RING`` before them."""
    rows = 0
    for row in range(len(values)):
        equal = 0
        for place in range(max(row - RING, 0), row):
            equal += 1 if values[place] == values[row] else 0
        rows += 1 if equal > 0 else 0
    return rows
