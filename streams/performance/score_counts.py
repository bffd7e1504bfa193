"""Count answers by their score: exactly while few scores are distinct, by cells beyond.

Rule 1. The counts are a function of the answers alone, whatever their order, but for their labels.
Rule 2. At most ``EXACT_SCORES`` distinct scores are kept. The next one moves all counts to cells.
Rule 3. An outcome is counted where its prediction was, and only if that was counted.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from streams.codec import Machine

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
_NO_SCORE = 0
"""Code of the answers without a score; the others begin at 1."""


class ScoredCount(NamedTuple):
    """A number of answers of one score.

    Parameters
    ----------
    score
        Their score, or the middle of its cell; None without one.
    prediction, outcome
        Their labels; an outcome of None is not known yet.
    n
        Their number.
    """

    score: float | None
    prediction: int
    outcome: int | None
    n: int


class LogSums(Machine):
    """Sums over the scores of labelled answers, in log order.

    Attributes
    ----------
    n, score, square
        Their number, the sum of the scores and of their squares.
    log, log_rest
        The sums of ln s and of ln(1 - s), the score held off 0 and 1 by ``1e-15``.
    """

    n: int = 0
    score: float = 0.0
    square: float = 0.0
    log: float = 0.0
    log_rest: float = 0.0

    def add(self, score: float) -> None:
        """Add one score."""
        held = min(max(score, _LEAST), 1 - _LEAST)
        self.n += 1
        self.score += score
        self.square += score * score
        self.log += math.log(held)
        self.log_rest += math.log1p(-held)

    def add_all(self, other: "LogSums") -> None:
        """Add the sums of other answers."""
        self.n += other.n
        self.score += other.score
        self.square += other.square
        self.log += other.log
        self.log_rest += other.log_rest


_LEAST = 1e-15
"""Distance of a score from 0 and 1 in a logarithm, as scikit-learn's ``log_loss`` had it."""


def cell_of(score: float) -> int:
    """Return the cell of a score: log-linear towards both ends.

    Examples
    --------
    >>> [cell_of(s) for s in (0.0, 0.25, 0.49, 0.5, 0.75, 1.0)]
    [0, 240, 255, 256, 271, 511]
    """
    rest = min(score, 1 - score)
    mantissa, exponent = math.frexp(rest)
    octave = OCTAVES + exponent  # from the end; one half is the first of the next one
    place = octave * STEPS + int((mantissa - 0.5) * 2 * STEPS)
    lower = min(max(place, 0), CELLS // 2 - 1) if rest else 0
    return lower if score < 0.5 else CELLS - 1 - lower


def middle_of(cell: int) -> float:
    """Return the score in the middle of a cell.

    Examples
    --------
    >>> all(cell_of(middle_of(cell)) == cell for cell in range(CELLS))
    True
    """
    if cell >= CELLS // 2:
        return 1 - middle_of(CELLS - 1 - cell)
    below, step = divmod(cell, STEPS)
    return math.ldexp(0.5 + (step + 0.5) / (2 * STEPS), below - OCTAVES)


class ScoreCounts(Machine):
    """The answers of a cohort by score, label and outcome.

    Labels are numbers from 0 to ``MOST_LABELS - 1``.

    Examples
    --------
    >>> counts = ScoreCounts()
    >>> counts.add_prediction(0.9, 1)
    >>> counts.add_outcome(0.9, 1, 0)
    True
    >>> counts.add_outcome(0.9, 1, 0)
    False
    >>> list(counts)
    [ScoredCount(score=0.9, prediction=1, outcome=0, n=1)]
    """

    _codes: dict[float, int] = {}
    _by_cells: bool = False
    _open: dict[int, int] = {}
    _labelled: dict[int, int] = {}
    _sums: dict[int, LogSums] = {}

    @property
    def is_exact(self) -> bool:
        """Whether all scores are kept as they are."""
        return not self._by_cells

    def add_prediction(self, score: float | None, prediction: int) -> None:
        """Count a prediction."""
        key = self._code_of(score) * MOST_LABELS + prediction
        self._open[key] = self._open.get(key, 0) + 1

    def add_outcome(self, score: float | None, prediction: int, outcome: int) -> bool:
        """Count the outcome of a prediction; return whether that was counted (Rule 3)."""
        known = self._known_code_of(score)
        key = known * MOST_LABELS + prediction
        waiting = self._open.get(key, 0)
        if not waiting:
            return False
        if waiting == 1:
            del self._open[key]
        else:
            self._open[key] = waiting - 1
        pair = key * MOST_LABELS + outcome
        self._labelled[pair] = self._labelled.get(pair, 0) + 1
        if score is not None:
            self._sums_of(prediction * MOST_LABELS + outcome).add(score)
        return True

    def add_all(self, other: "ScoreCounts") -> None:
        """Add the counts of other answers, whose labels have the same numbers."""
        if other._by_cells and not self._by_cells:
            self._move_to_cells()
        scores = other._scores()
        for key, n in other._open.items():
            code, prediction = divmod(key, MOST_LABELS)
            mine = self._code_of(scores[code]) * MOST_LABELS + prediction
            self._open[mine] = self._open.get(mine, 0) + n
        for pair, n in other._labelled.items():
            code, labels = divmod(pair, MOST_LABELS**2)
            mine = self._code_of(scores[code]) * MOST_LABELS**2 + labels
            self._labelled[mine] = self._labelled.get(mine, 0) + n
        for labels, sums in other._sums.items():
            self._sums_of(labels).add_all(sums)

    def __iter__(self) -> Iterator[ScoredCount]:
        """Yield the counts: first the labelled answers, then the open ones."""
        scores = self._scores()
        for pair, n in self._labelled.items():
            key, outcome = divmod(pair, MOST_LABELS)
            code, prediction = divmod(key, MOST_LABELS)
            yield ScoredCount(scores[code], prediction, outcome, n)
        for key, n in self._open.items():
            code, prediction = divmod(key, MOST_LABELS)
            yield ScoredCount(scores[code], prediction, None, n)

    def sums(self) -> Iterator[tuple[int, int, LogSums]]:
        """Yield, for each prediction and outcome, the sums over their scores."""
        for labels, sums in self._sums.items():
            prediction, outcome = divmod(labels, MOST_LABELS)
            yield prediction, outcome, sums

    def _sums_of(self, labels: int) -> LogSums:
        sums = self._sums.get(labels)
        if sums is None:
            sums = self._sums[labels] = LogSums()
        return sums

    def _known_code_of(self, score: float | None) -> int:
        if score is None:
            return _NO_SCORE
        return 1 + cell_of(score) if self._by_cells else self._codes.get(score, -1)

    def _code_of(self, score: float | None) -> int:
        code = self._known_code_of(score)
        if code >= 0 or score is None:
            return code
        if len(self._codes) < EXACT_SCORES:
            code = self._codes[score] = len(self._codes) + 1
            return code
        self._move_to_cells()
        return 1 + cell_of(score)

    def _scores(self) -> list[float | None]:
        """Return the scores by code; codes were given in the order of the dict."""
        return [None, *(map(middle_of, range(CELLS)) if self._by_cells else self._codes)]

    def _move_to_cells(self) -> None:
        """Rule 2: name each count by the cell of its score."""
        cells = [_NO_SCORE, *[1 + cell_of(score) for score in self._codes]]
        self._open = _moved(self._open, cells, MOST_LABELS)
        self._labelled = _moved(self._labelled, cells, MOST_LABELS**2)
        self._codes, self._by_cells = {}, True


def _moved(counts: dict[int, int], cells: list[int], labels: int) -> dict[int, int]:
    moved: dict[int, int] = {}
    for key, n in counts.items():
        code, rest = divmod(key, labels)
        cell = cells[code] * labels + rest
        moved[cell] = moved.get(cell, 0) + n
    return moved
