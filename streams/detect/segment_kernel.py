"""Risk-adjusted CUSUMs of the errors in the segments of a model's traffic, compiled."""

import math
from typing import NamedTuple

from streams.detect.compiled import Bytes, Places, compiled, slots
from streams.values import Floats


class SegmentSlots(NamedTuple):
    """The state of one segment.

    Parameters
    ----------
    errors, expected
        Errors of its reference, and those to be expected there of their risks.
    small, large
        The CUSUMs against a small and a large rise of the odds, in nats.
    rows, run_errors, run_expected
        Rows since both were 0, their errors, and those to be expected of their risks.
    """

    errors: int
    expected: int
    small: int
    large: int
    rows: int
    run_errors: int
    run_expected: int


SEGMENT = slots(SegmentSlots)
SLOTS = len(SEGMENT)
SMALL_ODDS, LARGE_ODDS = 1.75, 3.0
"""Odds ratios that the CUSUMs look for (Steiner and others 2000): between them they find a rise of
half and one of five times within a third more rows than one made for it."""


PAIR = 4
"""Codes of a pair: a dimension and a value of it, twice."""


@compiled
def read_segment(state: Floats, at: int, risk: float, error: float, threshold: float) -> bool:
    """Read a labelled row in one of its segments; return whether it has an alarm.

    The odds of an error are those of its risk, times the segment's own ratio, a standard error
    higher: what a reference misjudges must not be an alarm. What the CUSUMs saw until both are back
    at 0 joins the reference (self-starting, Hawkins and Olwell 1998).
    """
    errors = state[at + SEGMENT.errors]
    usual = risk / (1.0 - risk) * errors / state[at + SEGMENT.expected]
    usual *= math.exp(1.0 / math.sqrt(errors))
    share = usual / (1.0 + usual)
    state[at + SEGMENT.rows] += 1.0
    state[at + SEGMENT.run_errors] += error
    state[at + SEGMENT.run_expected] += risk
    is_zero, is_alarm = True, False
    for slot, ratio in ((SEGMENT.small, SMALL_ODDS), (SEGMENT.large, LARGE_ODDS)):
        gain = math.log(ratio) * error - math.log(1.0 + share * (ratio - 1.0))
        total = max(0.0, state[at + slot] + gain)
        state[at + slot] = total
        is_zero = is_zero and total == 0.0
        is_alarm = is_alarm or total > threshold
    if is_zero:
        state[at + SEGMENT.errors] += state[at + SEGMENT.run_errors]
        state[at + SEGMENT.expected] += state[at + SEGMENT.run_expected]
        state[at + SEGMENT.rows] = 0.0
        state[at + SEGMENT.run_errors] = 0.0
        state[at + SEGMENT.run_expected] = 0.0
    return is_alarm


@compiled
def read_row(
    state: Floats,
    live: Floats,
    parts: tuple[Places, Bytes, Bytes],
    numbers: tuple[float, float, float, float],
) -> int:
    """Read a labelled row in each of its segments; return the place of an alarm, or -1.

    Pairs stand behind the values. A row of a pair with an alarm is not read in its two values: they
    would tell the same again.

    Parameters
    ----------
    live
        For each segment 0 where it is not to be read; below 0 for a pair with an alarm.
    parts
        The place of the first segment of each dimension; the code of the row in each; the pairs,
        ``PAIR`` codes each.
    numbers
        The probability of an error; 1 where it is one, else 0; the thresholds of values and pairs.
    """
    offsets, codes, pairs = parts
    risk, error, threshold, of_pairs = numbers
    alarm = -1
    told = 0  # a bit for each dimension in which the row is not read
    count = len(pairs) // PAIR
    first = len(state) // SLOTS - count
    for index in range(count):
        at = index * PAIR
        one, other = pairs[at], pairs[at + 2]
        place = first + index
        if live[place] == 0.0 or codes[one] != pairs[at + 1] or codes[other] != pairs[at + 3]:
            continue
        is_alarm = live[place] > 0.0 and read_segment(state, place * SLOTS, risk, error, of_pairs)
        if is_alarm and alarm < 0:
            alarm = place
        if is_alarm or live[place] < 0.0:
            told |= (1 << int(one)) | (1 << int(other))
    for index in range(len(offsets)):
        place = offsets[index] + codes[index]
        if live[place] == 0.0 or (told >> index) & 1:
            continue
        if read_segment(state, place * SLOTS, risk, error, threshold) and alarm < 0:
            alarm = int(place)
    return alarm
