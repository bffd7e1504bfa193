"""A cohort: the predictions that one version of a model made in one hour or one day, counted.

Rule 1. A prediction is counted in the cohort of its own instant, and so is its outcome, however
        late that comes.
Rule 2. Everything is counted one event at a time, in log order: how the log is cut changes nothing.
Rule 3. An outcome is counted only where its prediction was.
Rule 4. At most ``EXACT_SCORES`` distinct scores are kept. The next one moves all counts to cells.
Rule 5. The stored form has the keys in rising order: the size of a table does not show in it.
"""

import math
from collections.abc import Iterator

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from streams.codec import extend
from streams.detect.cohort_kernel import (
    CODES,
    COHORT,
    DURATIONS,
    EXACT_SCORES,
    FALLBACK,
    FREE,
    HEAD,
    KEYS,
    LATENCIES,
    MANY_SCORES,
    NO_PLACE,
    NO_ROOM,
    NOT_COUNTED,
    OK,
    OUTCOMES,
    RIGHT_DELAYS,
    SOURCES,
    SUMS_WIDTH,
    UNANSWERED,
    WRONG_DELAYS,
    Arrays,
    cell_of,
    count_answer,
    count_outcome,
    fill,
)
from streams.detect.compiled import Counts
from streams.performance.score_counts import MIDDLES, LogSums, ScoredCount
from streams.values import OTHER, Floats

MOST_SOURCES = 8
"""Origins of outcomes counted by name: label, review, report and a few of the user's own."""
MONEY = 10_000
"""Parts of the currency in which money is added up: integers give one sum in any order."""
_STATUS = {"ok": OK, "fallback": FALLBACK, "error": UNANSWERED}
_FEWEST_PLACES = 32
_BITS = (0, 7, 14, 21, 28)
"""Bits below each byte of a stored number, of 35 at most."""


class CountedOutcome(Struct, frozen=True, gc=False, array_like=True):
    """The fields of an outcome, and of its answer, that a cohort counts.

    Parameters
    ----------
    score
        The score of the answer, if any.
    answered, label
        The numbers of the labels of the answer and of the outcome; 0 for a regression.
    is_error
        Whether the answer was wrong; None for a regression.
    distance
        The prediction less the outcome, for a regression.
    delay_ms
        Milliseconds from the prediction to its outcome.
    source
        Its origin.
    gained
        Money that the answer gained, in ``MONEY`` parts; None where that is not told.
    sign
        1; -1 where an outcome that was counted is taken back, because another one corrects it.
    """

    score: float | None
    answered: int
    label: int
    is_error: bool | None
    distance: float | None
    delay_ms: int
    source: str
    gained: int | None = None
    sign: int = 1


class _Sum:
    """A whole number among those of a cohort."""

    def __init__(self, place: int) -> None:
        self._place = place

    def __get__(self, cohort: "Cohort", _owner: type) -> int:
        return int(cohort.head[self._place])


class Cohort:
    """The counts of one cohort.

    Labels are numbers from 0 to ``MOST_LABELS - 1``.

    Attributes
    ----------
    n, fallbacks, unanswered
        Predictions, and of these the ones of a fallback, and those without an answer. Neither are
        answers of the model: no score, label or outcome of them is counted.
    labelled, errors
        Predictions whose outcome is known, and of these the wrong ones.
    distances, incomparable
        Pairs of a regression that have a distance; those of which one half is text.
    gained, priced
        Money of the labelled answers, in ``MONEY`` parts, and their number.
    expected, foretold
        The sum of the errors to be expected, in units of the error model, and their number.
    head
        The numbers of `streams.detect.cohort_kernel.CohortSlots`, and the sums by pair of labels.
    origins
        The origins of outcomes that have a name.

    Examples
    --------
    >>> cohort = Cohort()
    >>> cohort.on_prediction(0.9, 1)
    >>> outcome = CountedOutcome(0.9, 1, 0, True, None, 1_000, "label")
    >>> cohort.on_outcome(outcome), cohort.on_outcome(outcome)
    (True, False)
    >>> cohort.scores
    [ScoredCount(score=0.9, prediction=1, outcome=0, n=1)]
    """

    __slots__ = ("_scores", "_table", "head", "origins")
    n = _Sum(COHORT.n)
    fallbacks = _Sum(COHORT.fallbacks)
    unanswered = _Sum(COHORT.unanswered)
    labelled = _Sum(COHORT.labelled)
    errors = _Sum(COHORT.errors)
    distances = _Sum(COHORT.distances)
    incomparable = _Sum(COHORT.incomparable)
    gained = _Sum(COHORT.gained)
    priced = _Sum(COHORT.priced)
    expected = _Sum(COHORT.expected)
    foretold = _Sum(COHORT.foretold)

    def __init__(self) -> None:
        self.head: Floats = np.zeros(HEAD)
        self.origins: list[str] = []
        self._scores: Floats = np.zeros(0)
        self._table = _new_table(_FEWEST_PLACES)

    def on_prediction(
        self,
        score: float | None,
        label: int,
        status: str = "ok",
        latency_ms: float | None = None,
    ) -> None:
        """Count a prediction.

        Parameters
        ----------
        score, latency_ms
            Its score and its latency, where known.
        label
            The number of its label; 0 for every prediction of a regression.
        status
            Its status on the wire.
        """
        given = math.nan if score is None else float(score)
        latency = math.nan if latency_ms is None else float(latency_ms)
        kind = _STATUS[status]
        while told := count_answer(self._arrays, given, label, kind, latency):
            self._make_room(told)

    def on_expected(self, error: int) -> None:
        """Count the error to be expected of a prediction, in units of the error model."""
        self.head[COHORT.expected] += error
        self.head[COHORT.foretold] += 1

    def on_outcome(self, outcome: CountedOutcome) -> bool:
        """Count the outcome of a prediction; return whether that was counted here (Rule 3)."""
        score, error, distance = outcome.score, outcome.is_error, outcome.distance
        given = math.nan if score is None else float(score)
        source = self._number_of(outcome.source)
        kind = -1 if error is None else int(error)
        whole = (outcome.answered, outcome.label, kind, source, outcome.sign)
        gained = math.nan if outcome.gained is None else float(outcome.gained)
        away = math.nan if distance is None else distance
        numbers = (given, away, float(outcome.delay_ms), gained)
        while told := count_outcome(self._arrays, whole, numbers):
            if told == NOT_COUNTED:
                return False
            self._make_room(told)
        return True

    @property
    def _arrays(self) -> Arrays:
        return self.head, self._scores, self._table

    def _number_of(self, source: str) -> int:
        """Return the number of an origin; further ones share that behind the last."""
        if source in self.origins:
            return self.origins.index(source)
        if len(self.origins) < MOST_SOURCES:
            self.origins.append(source)
            return len(self.origins) - 1
        return MOST_SOURCES

    # What is counted

    @property
    def is_exact(self) -> bool:
        """Whether all scores are kept as they are."""
        return not self.head[COHORT.by_cells]

    @property
    def sums_of_distances(self) -> tuple[float, float, float]:
        """The sums of the distances of a regression: absolute, squared, and as they are."""
        absolute, squared, signed = self.head[COHORT.absolute : COHORT.signed + 1].tolist()
        return absolute, squared, signed

    @property
    def scores(self) -> list[ScoredCount]:
        """The answers by score, label and outcome."""
        keys, numbers = self._items(0, RIGHT_DELAYS)
        pairs, codes = np.divmod(keys, CODES)
        predictions, outcomes = np.divmod(pairs, OUTCOMES)
        by_code = [None, *(self._scores.tolist() if self.is_exact else MIDDLES)]
        columns = (codes.tolist(), predictions.tolist(), outcomes.tolist(), numbers.tolist())
        return [
            ScoredCount(by_code[code], prediction, outcome - 1 if outcome else None, n)
            for code, prediction, outcome, n in zip(*columns, strict=True)
        ]

    def sums(self) -> Iterator[tuple[int, int, LogSums]]:
        """Yield, for each prediction and outcome, the sums over their scores."""
        for row in self._rows():
            prediction, outcome = divmod(int(row[0]), OUTCOMES - 1)
            yield prediction, outcome, LogSums(*row[1:].tolist())

    @property
    def sources(self) -> dict[str, int]:
        """Outcomes by their origin."""
        names = [*self.origins, OTHER] if len(self.origins) == MOST_SOURCES else self.origins
        return {names[place]: n for place, n in self._counts(SOURCES).items()}

    @property
    def delays(self) -> dict[int, int]:
        """The delays of the outcomes of right answers, by cell, in milliseconds."""
        return self._counts(RIGHT_DELAYS)

    @property
    def delays_of_errors(self) -> dict[int, int]:
        """The delays of the outcomes of wrong answers."""
        return self._counts(WRONG_DELAYS)

    @property
    def latencies(self) -> dict[int, int]:
        """The latencies of the predictions, by cell, in milliseconds."""
        return self._counts(LATENCIES)

    def all_delays(self) -> dict[int, int]:
        """Return the delays of all outcomes, by cell."""
        right, wrong = self.delays, self.delays_of_errors
        return {
            cell: right.get(cell, 0) + wrong.get(cell, 0)
            for cell in sorted(right.keys() | wrong.keys())
        }

    def _counts(self, first: int) -> dict[int, int]:
        keys, numbers = self._items(first, first + DURATIONS)
        return dict(zip((keys - first).tolist(), numbers.tolist(), strict=True))

    def _items(self, first: int = 0, end: int = KEYS) -> tuple[Counts, Counts]:
        """Return the keys from one up to another, in rising order, and their numbers."""
        places = len(self._table) // 2
        keys, numbers = self._table[:places], self._table[places:-1]
        used = np.flatnonzero((numbers > 0) & (keys >= first) & (keys < end))
        used = used[np.argsort(keys[used])]
        return keys[used], numbers[used]

    def _rows(self) -> Floats:
        pairs = int(self.head[COHORT.pairs])
        rows: Floats = self.head[HEAD : HEAD + SUMS_WIDTH * pairs].reshape(pairs, SUMS_WIDTH)
        return rows

    # Room, and other cohorts

    def _make_room(self, told: int) -> None:
        if told == NO_ROOM:
            self._refill(*self._items())
        elif told == MANY_SCORES:
            self._move_to_cells()
        elif told == NO_PLACE:
            more = max(len(self._scores), 8)
            self._scores = np.concatenate((self._scores, np.zeros(more)))
        else:
            self.head = np.concatenate((self.head, np.zeros(SUMS_WIDTH)))

    def _refill(self, keys: Counts, numbers: Counts) -> None:
        """Put counts into a new table with room for more."""
        places = _FEWEST_PLACES
        while places - places // 4 < len(keys) + 16:
            places *= 2
        self._table = _new_table(places)
        fill(self._table, keys, numbers)

    def _move_to_cells(self) -> None:
        """Name each count by the cell of its score (Rule 4)."""
        cells = np.array([0, *(1 + cell_of(score) for score in self._kept())], np.int32)
        keys, numbers = self._items()
        of_scores = keys < RIGHT_DELAYS
        pairs, codes = np.divmod(keys[of_scores], CODES)
        keys[of_scores] = pairs * CODES + cells[codes]
        self.head[COHORT.by_cells], self.head[COHORT.scores] = 1.0, 0.0
        self._scores = np.zeros(0)
        self._table = _new_table(_FEWEST_PLACES)
        self._merge(keys, numbers)

    def add_all(self, other: "Cohort") -> None:
        """Add the counts of another version."""
        self._add_scores(other)
        self.head[: COHORT.by_cells] += other.head[: COHORT.by_cells]
        mine = {int(row[0]): row.copy() for row in self._rows()}
        for row in other._rows():
            if int(row[0]) in mine:
                mine[int(row[0])][1:] += row[1:]
            else:
                mine[int(row[0])] = row
        self.head = np.concatenate((self.head[:HEAD], *mine.values()))
        self.head[COHORT.pairs] = len(mine)
        self._merge(*other._items(RIGHT_DELAYS, SOURCES))
        sources = [SOURCES + self._number_of(name) for name in other.sources]
        self._merge(np.array(sources, np.int32), other._items(SOURCES)[1])

    def _add_scores(self, other: "Cohort") -> None:
        """Add the answers of another version by their scores (Rule 4)."""
        kept, more = self._kept(), other._kept()
        new = [score for score in more if score not in kept]
        is_many = len(kept) + len(new) > EXACT_SCORES
        if self.is_exact and (is_many or not other.is_exact):
            self._move_to_cells()
        keys, numbers = other._items(0, RIGHT_DELAYS)
        if other.is_exact:
            if self.is_exact:
                self._scores = np.array([*kept, *new])
                self.head[COHORT.scores] = len(self._scores)
                codes = {score: 1 + place for place, score in enumerate([*kept, *new])}
            else:
                codes = {score: 1 + cell_of(score) for score in more}
            mine = np.array([0, *(codes[score] for score in more)], np.int32)
            keys = keys // CODES * CODES + mine[keys % CODES]
        self._merge(keys, numbers)

    def _kept(self) -> list[float]:
        """Return the distinct scores that are kept, in the order of their codes."""
        kept: list[float] = self._scores[: int(self.head[COHORT.scores])].tolist()
        return kept

    def _merge(self, keys: Counts, numbers: Counts) -> None:
        mine, counts = self._items()
        every, place = np.unique(np.concatenate((mine, keys)), return_inverse=True)
        sums = np.bincount(place, np.concatenate((counts, numbers)), len(every))
        self._refill(every.astype(np.int32), sums.astype(np.int32))


def _new_table(places: int) -> Counts:
    table = np.zeros(2 * places + 1, np.int32)
    table[:places] = FREE
    return table


class _Stored(Struct, array_like=True):
    """The stored form of a cohort: keys as the differences from one to the next."""

    head: bytes
    scores: bytes
    keys: bytes
    numbers: bytes
    origins: list[str]


def _write(cohort: Cohort) -> bytes:
    keys, numbers = cohort._items()
    pairs, scores = int(cohort.head[COHORT.pairs]), int(cohort.head[COHORT.scores])
    return msgspec.msgpack.encode(
        _Stored(
            cohort.head[: HEAD + SUMS_WIDTH * pairs].tobytes(),
            cohort._scores[:scores].tobytes(),
            _packed(np.diff(keys, prepend=0)),
            _packed(numbers),
            cohort.origins,
        )
    )


def _read(data: bytes) -> Cohort:
    stored = msgspec.msgpack.decode(data, type=_Stored)
    cohort = Cohort()
    cohort.head = np.frombuffer(stored.head).copy()
    cohort._scores = np.frombuffer(stored.scores).copy()
    cohort.origins = stored.origins
    keys, numbers = np.cumsum(_unpacked(stored.keys)), _unpacked(stored.numbers)
    pairs, scores = cohort.head[COHORT.pairs], cohort.head[COHORT.scores]
    fits = len(cohort.head) == HEAD + SUMS_WIDTH * pairs and len(cohort._scores) == scores
    fits = fits and len(keys) == len(numbers) and len(stored.origins) <= MOST_SOURCES
    if not fits or scores > EXACT_SCORES or (len(keys) and keys[-1] >= KEYS):
        msg = "the arrays of a cohort do not fit each other"
        raise ValueError(msg)
    cohort._refill(keys.astype(np.int32), numbers.astype(np.int32))
    return cohort


def _packed(whole: NDArray[np.signedinteger]) -> bytes:
    """Return numbers of 0 or more, seven bits a byte, the lowest first (LEB128)."""
    rest = whole.astype(np.int64)
    sizes = np.ones(len(rest), np.int64)
    for bits in _BITS[1:]:
        sizes += rest >= 1 << bits
    ends = np.cumsum(sizes)
    made = np.zeros(int(sizes.sum()), np.uint8)
    for place, bits in enumerate(_BITS):
        has = sizes > place
        goes_on = (sizes[has] > place + 1).astype(np.int64) << 7
        made[(ends - sizes)[has] + place] = rest[has] >> bits & 127 | goes_on
    return made.tobytes()


def _unpacked(data: bytes) -> NDArray[np.int64]:
    raw = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(raw < 128)
    sizes = np.diff(ends, prepend=-1)
    if sizes.sum() != len(raw) or sizes.max(initial=1) > len(_BITS):
        msg = "a number of a cohort is damaged"
        raise ValueError(msg)
    starts = ends + 1 - sizes
    bits = 7 * (np.arange(len(raw)) - np.repeat(starts, sizes))
    parts = (raw & 127).astype(np.int64) << bits
    found: NDArray[np.int64] = np.add.reduceat(parts, starts) if len(starts) else parts
    return found


extend(Cohort, _write, _read)
