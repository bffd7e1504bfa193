"""Count numbers that are odd: equal to one another, or wild; compiled."""

from typing import NamedTuple

from streams.detect.compiled import compiled, slots
from streams.values import Floats

BLOCK_ROWS = 64
"""Rows of a block: those of `streams.detect.risen`."""
YOUNG_ROWS = 24
"""Rows of a run of wild numbers that may be a blip: those of `streams.detect.blip`."""
YOUNG = 0.5
"""The part of the threshold that they reach at most. By judgement."""
REPEATED, WILD = 0, 1
"""What is found: a block of numbers of which so many are equal, or too many wild numbers."""
KINDS = 2


class OddSlots(NamedTuple):
    """The head of a state; the numbers of the open block follow.

    Parameters
    ----------
    rows, most
        Rows of the open block, and the most numbers in it that are equal.
    least
        So many equal numbers make a block known.
    low, high
        A number beyond them is wild.
    nats, run_rows
        A CUSUM for more wild numbers, in nats, and the rows of its present run.
    hit, miss
        What a wild number adds to it, and what another one takes away.
    threshold
        It alarms above this.
    """

    rows: int
    most: int
    least: int
    low: int
    high: int
    nats: int
    run_rows: int
    hit: int
    miss: int
    threshold: int


ODD = slots(OddSlots)
SIZE = len(ODD) + BLOCK_ROWS


@compiled
def _count_equal(state: Floats, x: float) -> bool:
    """Add a number to its block; return whether the block is full and of note."""
    if state[ODD.rows] == BLOCK_ROWS:
        state[ODD.rows], state[ODD.most] = 0.0, 0.0
    end, equal = len(ODD) + int(state[ODD.rows]), 1.0
    for place in range(len(ODD), end):
        if state[place] == x:
            equal += 1.0
    state[end] = x
    state[ODD.rows] += 1.0
    state[ODD.most] = max(state[ODD.most], equal)
    is_of_note: bool = state[ODD.rows] == BLOCK_ROWS and state[ODD.most] >= state[ODD.least]
    return is_of_note


@compiled
def _count_wild(state: Floats, x: float) -> bool:
    """Advance the CUSUM for wild numbers; return whether it alarms."""
    is_wild = x < state[ODD.low] or x > state[ODD.high]
    if is_wild:
        state[ODD.nats] += state[ODD.hit]
    elif state[ODD.nats] <= state[ODD.miss]:
        state[ODD.nats], state[ODD.run_rows] = 0.0, 0.0
        return False
    else:
        state[ODD.nats] -= state[ODD.miss]
    state[ODD.run_rows] += 1.0
    if state[ODD.run_rows] < YOUNG_ROWS:
        state[ODD.nats] = min(state[ODD.nats], YOUNG * state[ODD.threshold])
    does_alarm: bool = state[ODD.nats] > state[ODD.threshold]
    return does_alarm


@compiled
def next_odd(state: Floats, values: Floats, first: int) -> int:
    """Read values from ``first`` on until a block is of note, or wild numbers have become common.

    Returns ``row * KINDS + kind``, or -1.
    """
    for row in range(first, len(values)):
        is_of_note = _count_equal(state, values[row])
        if _count_wild(state, values[row]):
            return row * KINDS + WILD
        if is_of_note:
            return row * KINDS + REPEATED
    return -1
