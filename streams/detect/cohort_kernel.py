"""Count an answer, or its outcome, in the arrays of a cohort, compiled.

Rule 1. A table has open addressing: its keys, ``FREE`` where a place is free, then as many numbers,
        and last how many keys it has. The number of its places is a power of two.
Rule 2. A call that finds no room says so and has changed nothing: its caller makes room, and calls
        again.
Rule 3. Scores have codes: 0 is none, the others begin at 1, in the order of their first answer, or
        of the cells.
"""

import math
from typing import NamedTuple

from streams.detect.compiled import Counts, compiled, slots
from streams.values import Floats


class CohortSlots(NamedTuple):
    """The beginning of the numbers of a cohort; rows of ``SUMS_WIDTH`` follow, one for each pair.

    Parameters
    ----------
    n, fallbacks, unanswered, labelled, errors, distances, incomparable, gained, priced
        Counts, as `streams.performance.cohort.Cohort` has them.
    expected, foretold
        The sum of the errors to be expected, and their number.
    absolute, squared, signed
        Sums of the distances of a regression.
    by_cells
        1 where scores are counted by cells.
    scores, pairs
        Distinct scores that are kept, and rows that follow.
    """

    n: int
    fallbacks: int
    unanswered: int
    labelled: int
    errors: int
    distances: int
    incomparable: int
    gained: int
    priced: int
    expected: int
    foretold: int
    absolute: int
    squared: int
    signed: int
    by_cells: int
    scores: int
    pairs: int


COHORT = slots(CohortSlots)
HEAD = len(COHORT)
SUMS_WIDTH = 6
"""Numbers of a row: the pair of labels, its answers with a score, the sums of the scores, of their
squares, of ln s and of ln(1 - s)."""
EXACT_SCORES = 256
"""Distinct scores kept as they are. A day of a few hundred predictions, and every model with scores
of two decimals, has exact figures then."""
OCTAVES = 16
"""Powers of two below one half that are told apart: down to 1 in 131,072."""
STEPS = 16
"""Cells of an octave. With them the AUC differs by at most .0002 from the exact one (measured on
five shapes of scores), 512 cells in all."""
CELLS = 2 * OCTAVES * STEPS
MOST_LABELS = 32
"""Labels that a key has room for."""
OUTCOMES = MOST_LABELS + 1
"""Outcomes of a key: 0 is open."""
CODES = 1 + max(CELLS, EXACT_SCORES)
"""Codes of a score. A key is that of its labels, times this, and the code of its score: keys of
neighbouring scores differ by little, and are stored as differences."""
RIGHT_DELAYS = MOST_LABELS * OUTCOMES * CODES
"""First of the keys that are no score: delays of right answers, of errors, latencies, sources."""
DURATIONS = 512
WRONG_DELAYS = RIGHT_DELAYS + DURATIONS
LATENCIES = WRONG_DELAYS + DURATIONS
SOURCES = LATENCIES + DURATIONS
KEYS = SOURCES + DURATIONS
FREE = -1
DURATION_STEPS = 4
"""Cells of an octave of a duration: a quantile is off by at most an eighth of itself."""
_MOST_EXPONENT = 64
"""Octaves above 1: 2 ** 64 ms is 585 million years."""
_LEAST = 1e-15
"""Distance of a score from 0 and 1 in a logarithm, as scikit-learn's ``log_loss`` had it."""

COUNTED, NOT_COUNTED, NO_ROOM, NO_PLACE, NO_ROW, MANY_SCORES = range(6)
"""Results: counted; not counted, since its prediction was not; no room in the table, for another
score, for another pair of labels; more distinct scores than are kept."""
Arrays = tuple[Floats, Floats, Counts]
"""The numbers of a cohort, its distinct scores, and its table."""
Whole = tuple[int, int, int, int, int]
Numbers = tuple[float, float, float, float]
OK, FALLBACK, UNANSWERED = range(3)
"""The status of a prediction."""


@compiled
def cell_of(score: float) -> int:
    """Return the cell of a score: log-linear towards both ends."""
    rest = min(score, 1.0 - score)
    lower = 0
    if rest > 0.0:
        mantissa, exponent = math.frexp(rest)
        octave = OCTAVES + exponent  # from the end; one half is the first of the next one
        place = octave * STEPS + int((mantissa - 0.5) * 2 * STEPS)
        lower = min(max(place, 0), CELLS // 2 - 1)
    return lower if score < 0.5 else CELLS - 1 - lower


@compiled
def duration_cell(duration: float) -> int:
    """Return the cell of a duration; below 1 it is 0."""
    if not duration >= 1.0:
        return 0
    mantissa, exponent = math.frexp(duration)
    octave = min(exponent, _MOST_EXPONENT) - 1
    return 1 + octave * DURATION_STEPS + int((mantissa - 0.5) * 2 * DURATION_STEPS)


@compiled
def _place(table: Counts, key: int) -> int:
    """Return the place of a key, or the free one where it belongs."""
    last = len(table) // 2 - 1
    at = ((key * 2_654_435_761) >> 9) & last
    while table[at] != FREE and table[at] != key:
        at = (at + 1) & last
    return at


@compiled
def _add(table: Counts, key: int, more: int) -> None:
    places = len(table) // 2
    at = _place(table, key)
    if table[at] == FREE:
        table[at] = key
        table[2 * places] += 1
    table[places + at] += more


@compiled
def fill(table: Counts, keys: Counts, numbers: Counts) -> None:
    """Put keys and their numbers into a table that has room for them."""
    for index in range(len(keys)):
        _add(table, keys[index], numbers[index])


@compiled
def _has_room(table: Counts) -> bool:
    """Tell whether four more keys leave a quarter of the places free: chains are short then."""
    places = len(table) // 2
    return int(table[2 * places]) + 4 <= places - places // 4


@compiled
def _code_of(head: Floats, scores: Floats, score: float) -> int:
    """Return the code of a score; -1 where it has none yet."""
    if math.isnan(score):
        return 0
    if head[COHORT.by_cells] > 0.0:
        return 1 + cell_of(score)
    for index in range(int(head[COHORT.scores])):
        if scores[index] == score:
            return 1 + index
    return -1


@compiled
def count_answer(arrays: Arrays, score: float, label: int, status: int, latency_ms: float) -> int:
    """Count a prediction; a score or latency of NaN is none."""
    head, scores, table = arrays
    if not _has_room(table):
        return NO_ROOM
    if status == OK:
        code = _code_of(head, scores, score)
        if code < 0:
            known = int(head[COHORT.scores])
            if known == EXACT_SCORES:
                return MANY_SCORES
            if known == len(scores):
                return NO_PLACE
            scores[known] = score
            head[COHORT.scores] += 1.0
            code = known + 1
        _add(table, label * OUTCOMES * CODES + code, 1)
    head[COHORT.n] += 1.0
    head[COHORT.fallbacks] += status == FALLBACK
    head[COHORT.unanswered] += status == UNANSWERED
    if not math.isnan(latency_ms):
        _add(table, LATENCIES + duration_cell(latency_ms), 1)
    return COUNTED


@compiled
def _row_of(head: Floats, labels: int) -> int:
    """Return the place of the sums of a pair of labels, or that behind the last one."""
    at = HEAD
    for _ in range(int(head[COHORT.pairs])):
        if head[at] == labels:
            return at
        at += SUMS_WIDTH
    return at


@compiled
def _add_sums(head: Floats, at: int, labels: int, score: float, sign: int) -> None:
    if at == HEAD + SUMS_WIDTH * int(head[COHORT.pairs]):
        head[at] = labels
        head[COHORT.pairs] += 1.0
    held = min(max(score, _LEAST), 1.0 - _LEAST)
    head[at + 1] += sign
    head[at + 2] += sign * score
    head[at + 3] += sign * score * score
    head[at + 4] += sign * math.log(held)
    head[at + 5] += sign * math.log1p(-held)


@compiled
def count_outcome(arrays: Arrays, whole: Whole, numbers: Numbers) -> int:
    """Count the outcome of an answer, or take it back.

    Parameters
    ----------
    whole
        The numbers of the labels of the answer and of the outcome; 1 for a wrong answer, 0 for a
        right one, -1 for a regression; the number of the origin; 1 to count it, -1 to take back
        one that was counted.
    numbers
        The score of the answer, the distance, the delay in milliseconds, the money; NaN is none.
    """
    head, scores, table = arrays
    answered, outcome, error, source, sign = whole
    score, distance, delay_ms, gained = numbers
    if not _has_room(table):
        return NO_ROOM
    code = _code_of(head, scores, score)
    if code < 0:
        return NOT_COUNTED
    opened = answered * OUTCOMES * CODES + code
    known = opened + (1 + outcome) * CODES
    at = _place(table, opened if sign > 0 else known)
    if table[at] == FREE or table[len(table) // 2 + at] == 0:
        return NOT_COUNTED
    if not math.isnan(score):
        row = _row_of(head, answered * MOST_LABELS + outcome)
        if row == len(head):
            return NO_ROW
        _add_sums(head, row, answered * MOST_LABELS + outcome, score, sign)
    _add(table, opened, -sign)
    _add(table, known, sign)
    _add(table, (WRONG_DELAYS if error == 1 else RIGHT_DELAYS) + duration_cell(delay_ms), sign)
    _add(table, SOURCES + source, sign)
    _add_outcome(head, error, distance, gained, sign)
    return COUNTED


@compiled
def _add_outcome(head: Floats, error: int, distance: float, gained: float, sign: int) -> None:
    head[COHORT.labelled] += sign
    head[COHORT.errors] += sign * (error == 1)
    if not math.isnan(gained):
        head[COHORT.gained] += sign * gained
        head[COHORT.priced] += sign
    if not math.isnan(distance):
        head[COHORT.distances] += sign
        head[COHORT.absolute] += sign * abs(distance)
        head[COHORT.squared] += sign * distance * distance
        head[COHORT.signed] += sign * distance
    elif error < 0:
        head[COHORT.incomparable] += sign
