"""Count an answer, or its outcome, among those of its day, compiled.

A day has its answers, right ones and errors by group of risk, then the delays of right answers and
of errors by cell; its money stands in an array of its own.
"""

import math

from streams.detect.compiled import Singles, compiled

RISK_EDGES = (0.02, 0.05, 0.1, 0.2, 0.35)
"""Risks of an error, as scores tell them, that are counted apart: odds that double, about."""
BANDS = len(RISK_EDGES) + 1
GROUPS = 2 * BANDS + 1
"""A band for each of both answers of a score, and one group without a score."""
NO_SCORE = GROUPS - 1
FIRST_MS = 60_000
"""Milliseconds: delays below a minute share a cell."""
STEPS = 3
"""Cells of an octave. Between their ends the law is interpolated in logits by the logarithm of the
age, in which it is close to a line."""
CELLS = 1 + 22 * STEPS
"""To 8 years, the last cell holds what is longer."""
_SECOND, _THIRD = 0.5 * 2 ** (1 / 3), 0.5 * 2 ** (2 / 3)
"""Mantissas at which the second and the third cell of an octave begin."""
RIGHT, WRONG, DELAYS = GROUPS, 2 * GROUPS, 3 * GROUPS
"""Places in the counts of a day, after its answers: right ones, errors, and the delays of both."""
SIZE = DELAYS + 2 * CELLS
SQUARES, ROWS = 2 * GROUPS, 3 * GROUPS
SUMS = 5 * GROUPS
"""Sums of the money of a day by group: of right answers, of errors, of the squares of both; then
the numbers of right answers and of errors with a price."""


@compiled
def group_of(score: float, is_positive: bool) -> int:
    """Return the group of an answer by its risk of being wrong; a score of NaN is none."""
    if math.isnan(score):
        return NO_SCORE
    risk = 1.0 - score if is_positive else score
    band = 0
    for edge in RISK_EDGES:
        band += risk >= edge
    return band if is_positive else BANDS + band


@compiled
def delay_cell(delay_ms: float) -> int:
    """Return the cell of a delay; it follows from the bits of the number alone."""
    if delay_ms < FIRST_MS:
        return 0
    mantissa, exponent = math.frexp(delay_ms / FIRST_MS)
    step = int(mantissa >= _SECOND) + int(mantissa >= _THIRD)
    return min(1 + (exponent - 1) * STEPS + step, CELLS - 1)


@compiled
def add_answer(day: Singles, score: float, is_positive: bool) -> None:
    """Count an answer."""
    day[group_of(score, is_positive)] += 1.0


@compiled
def add_outcome(
    day: Singles, money: Singles, numbers: tuple[float, float, float], flags: tuple[int, int, int]
) -> None:
    """Count an outcome.

    Parameters
    ----------
    money
        The sums of the day; empty where money is not counted.
    numbers
        The score of the answer, the delay in milliseconds, the money; NaN is none.
    flags
        1 where the score speaks of the answer given; 1 for an error; 1 to count, -1 to take back.
    """
    score, delay_ms, gained = numbers
    is_positive, is_wrong, sign = flags
    group = group_of(score, is_positive == 1)
    day[(WRONG if is_wrong else RIGHT) + group] += sign
    day[DELAYS + CELLS * is_wrong + delay_cell(delay_ms)] += sign
    if len(money) and not math.isnan(gained):
        money[GROUPS * is_wrong + group] += sign * gained
        money[SQUARES + group] += sign * gained * gained
        money[ROWS + GROUPS * is_wrong + group] += sign
