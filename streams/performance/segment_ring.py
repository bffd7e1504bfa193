"""The latest labelled rows of a model by segment, and the reference that they make.

Rule 1. The rows that are looked at are those before an event, however many have come since: the
        ring holds so many more as may wait to be read.
Rule 2. A value that is rare in the reference is counted with all others from there on.
Rule 3. A pair of values is watched where it is a twentieth of the reference or more, and each of
        the two is watched. As many errors as a value's ratio is drawn to 1 by draw its ratio to the
        product of theirs.
Rule 4. An error is expected by its risk: the share of wrong answers among those of like score in
        the reference.
"""

import math
from itertools import combinations
from typing import Any

import numpy as np
import orjson
from msgspec import Raw, Struct, field
from msgspec.json import Decoder

from streams.codec import Machine
from streams.detect.segment_kernel import PAIR, SEGMENT, SLOTS, read_row
from streams.performance.dimension import Dimension
from streams.performance.segment_search import Codes, Decomposition, Rows, decompose
from streams.values import Floats

WAITING_ROWS = 1_000
"""Labelled rows that may wait to be read when an alert looks back: the ring holds them as well
(`streams.model.pending`)."""
LEAST_SHARE = 0.01
"""Share of the reference from which a value is watched."""
LEAST_PAIR = 0.05
"""Share of the reference from which a pair is watched. By judgement: the smaller a pair, the more
there are, and the later each is told."""
MOST_PAIRS = 64
"""Pairs that are watched, the largest: each costs 60 bytes, and a nanosecond a row."""
SHRINKAGE = 20.0
"""Errors as expected that are added to those of each segment in the reference."""
RISK_CELLS = 49
"""Cells of the score: half octaves towards 0 and towards 1, and one for rows without a score."""
_ERROR, _CELL, _HEAD = 0, 1, 2
"""Places of a row of the ring; the codes of its dimensions follow."""
_UNJUDGED = 2
"""In place of an error: a row of the ring that could not be judged."""
_NO_FLOATS: Floats = np.empty(0)


_NOTHING = Raw()


class SegmentFields(Struct, gc=False):
    """The fields of a stored prediction that tell its segments and its risk."""

    score: float | None = None
    scores: dict[str, float] | None = None
    segment: dict[str, Any] | None = None
    features: Raw = _NOTHING

    def all_features(self) -> dict[str, Any] | None:
        """Return the features: decoded where they are asked for, which few dimensions do."""
        return orjson.loads(self.features) if bytes(self.features) else None


read_fields = Decoder(SegmentFields).decode


class SegmentRing(Machine, dict=True):
    """The latest labelled rows, and the reference.

    Attributes
    ----------
    dimensions
        The dimensions.
    first, last
        Numbers of the first and the last labelled row in the ring.
    ring
        The rows: error, cell of the score, the code of each dimension.
    risks
        Probability of an error by cell of the score; empty before the reference is made.
    cells
        The state of each segment, as `streams.detect.segment_kernel` has it; those of a dimension
        stand together, and pairs behind all of them.
    watched
        For each segment that is watched the ratio of errors to expected ones in the reference; 0
        for the others.
    learnt_at
        Number of the last row of the reference; 0 before it.
    pairs
        The pairs that are watched, ``PAIR`` codes each.
    paired
        Their rows in the reference, as parts of all: more than 1 where a row is in several.
    rows, errors
        Rows and errors of each segment in the reference.
    """

    dimensions: list[Dimension]
    ring: bytearray
    first: int
    last: int = 0
    risks: Floats = _NO_FLOATS
    cells: Floats = _NO_FLOATS
    watched: Floats = _NO_FLOATS
    rows: Floats = _NO_FLOATS
    errors: Floats = _NO_FLOATS
    learnt_at: int = 0
    pairs: bytearray = field(default_factory=bytearray)
    paired: float = 0.0

    def __post_init__(self) -> None:
        self._width = _HEAD + len(self.dimensions)
        self._size = len(self.ring) // self._width
        if len(self.ring) != self._size * self._width or self._size <= WAITING_ROWS:
            raise ValueError(f"a ring of {len(self.ring)} bytes has no rows of {self._width}")
        self._place()
        self._rows = np.frombuffer(self.ring, np.uint8)
        places = self.segments + len(self.pairs) // PAIR
        if len(self.cells) not in (0, SLOTS * places):
            raise ValueError(f"{places} segments do not fit {len(self.cells)} numbers")
        self._pairs = np.frombuffer(self.pairs, np.uint8)

    @classmethod
    def of(cls, dimensions: list[Dimension], rows: int, first: int) -> "SegmentRing":
        """Return an empty ring for so many rows."""
        return cls(dimensions, bytearray(rows * (_HEAD + len(dimensions))), first)

    def _place(self) -> None:
        """Set the first place of each dimension."""
        sizes = [len(each.names) for each in self.dimensions]
        self.offsets = [sum(sizes[:index]) for index in range(len(sizes))]
        self.segments = sum(sizes)
        self._offsets = np.array(self.offsets, np.intp)
        self.has_features = any(each.is_feature for each in self.dimensions)

    @property
    def is_learnt(self) -> bool:
        """Whether the reference is made."""
        return len(self.risks) > 0

    @property
    def most(self) -> int:
        """Rows that are looked at, at most: the ring without those that may wait."""
        return self._size - WAITING_ROWS

    def add(self, number: int, cell: int, codes: list[int], *, is_error: bool | None) -> None:
        """Keep a row; ``is_error`` is None where it is not judged."""
        error = _UNJUDGED if is_error is None else is_error
        at = number % self._size * self._width
        self.ring[at : at + self._width] = bytes((error, cell, *codes))
        self.last = number

    def read(self, live: Floats, risk: float, thresholds: tuple[float, float]) -> int:
        """Read the last row, which was judged, in its segments that are ``live``.

        ``thresholds`` are those of values and of pairs.

        Returns
        -------
        int
            The place of a segment with an alarm, or -1.
        """
        at = self.last % self._size * self._width
        codes, error = self._rows[at + _HEAD : at + self._width], float(self.ring[at + _ERROR])
        parts = (self._offsets, codes, self._pairs)
        return read_row(self.cells, live, parts, (risk, error, *thresholds))

    def latest(self, last: int, most: int) -> Codes:
        """Return the rows, at most so many, that end with one and could be judged."""
        first = max(self.first, last - min(most, self.most) + 1)
        rows = self._table()[np.arange(first, last + 1) % self._size]
        judged: Codes = rows[rows[:, _ERROR] != _UNJUDGED]
        return judged

    def judged(self, last: int, most: int) -> Rows:
        """Return the same rows with their risks."""
        rows = self.latest(last, most)
        return Rows(rows[:, _HEAD:], self.risks[rows[:, _CELL]], rows[:, _ERROR].astype(np.float64))

    def learn(self) -> None:
        """Make the reference of the latest rows."""
        self._drop_rare(self.latest(self.last, self.most))
        rows = self.latest(self.last, self.most)
        errors, n = rows[:, _ERROR].astype(np.float64), max(len(rows), 1)
        usual = (float(errors.sum()) + 0.5) / (n + 1)
        hits = np.bincount(rows[:, _CELL], weights=errors, minlength=RISK_CELLS)
        counts = np.bincount(rows[:, _CELL], minlength=RISK_CELLS)
        risks = (hits + SHRINKAGE * usual) / (counts + SHRINKAGE)
        self.risks = np.clip(risks, 1e-4, 0.9)
        each, places = len(self.dimensions), (rows[:, _HEAD:] + np.array(self.offsets)).ravel()
        self.rows = np.bincount(places, minlength=self.segments).astype(np.float64)
        risk = np.repeat(self.risks[rows[:, _CELL]], each)
        wrong = np.bincount(places, np.repeat(errors, each), self.segments)
        expected = np.bincount(places, risk, self.segments)
        self.errors = wrong.astype(np.float64)
        made = np.zeros((self.segments, SLOTS))
        made[:, SEGMENT.errors] = self.errors + SHRINKAGE
        made[:, SEGMENT.expected] = expected + SHRINKAGE
        self.learnt_at = self.last
        watched = made[:, SEGMENT.errors] / made[:, SEGMENT.expected]
        watched[self.rows < LEAST_SHARE * n] = 0.0
        watched[self.offsets] = 0.0  # all other values are no segment
        of_pairs = self._learn_pairs(rows, watched)
        self.cells = np.concatenate((made, of_pairs)).ravel()
        ratios = of_pairs[:, SEGMENT.errors] / of_pairs[:, SEGMENT.expected]
        self.watched = np.concatenate((watched, ratios))

    def _learn_pairs(self, rows: Codes, watched: Floats) -> Floats:
        """Choose the pairs that are watched; return their state (Rule 3)."""
        found: list[tuple[int, tuple[int, int, int, int]]] = []
        codes, n = rows[:, _HEAD:].astype(np.intp), max(len(rows), 1)
        for one, other in combinations(range(len(self.dimensions)), 2):
            width = len(self.dimensions[other].names)
            counts = np.bincount(codes[:, one] * width + codes[:, other])
            for key in np.flatnonzero(counts >= LEAST_PAIR * n).tolist():
                pair = (one, key // width, other, key % width)
                if all(watched[each] for each in self._halves(pair)):
                    found.append((int(counts[key]), pair))
        found.sort(key=lambda each: (-each[0], each[1]))
        del found[MOST_PAIRS:]
        self.pairs = bytearray(code for _, pair in found for code in pair)
        self._pairs = np.frombuffer(self.pairs, np.uint8)
        self.paired = sum(count for count, _ in found) / n
        made = np.zeros((len(found), SLOTS))
        for cells, (_, pair) in zip(made, found, strict=True):
            one, value, other, of_other = pair
            of_pair = rows[(codes[:, one] == value) & (codes[:, other] == of_other)]
            first, second = (float(watched[each]) for each in self._halves(pair))
            cells[SEGMENT.errors] = of_pair[:, _ERROR].sum() + SHRINKAGE * first * second
            cells[SEGMENT.expected] = self.risks[of_pair[:, _CELL]].sum() + SHRINKAGE
        return made

    def _halves(self, pair: tuple[int, int, int, int]) -> tuple[int, int]:
        one, value, other, of_other = pair
        return self.offsets[one] + value, self.offsets[other] + of_other

    def _pair_at(self, place: int) -> tuple[int, int, int, int]:
        at = (place - self.segments) * PAIR
        one, value, other, of_other = self.pairs[at : at + PAIR]
        return one, value, other, of_other

    def kin(self, place: int) -> tuple[int, ...]:
        """Return the places of the two values of a pair, or of the pairs of a value."""
        if place >= self.segments:
            return self._halves(self._pair_at(place))
        places = range(self.segments, len(self.watched))
        return tuple(each for each in places if place in self._halves(self._pair_at(each)))

    def has(self, place: int, codes: list[int]) -> bool:
        """Tell whether a row with these codes is of a segment."""
        if place >= self.segments:
            one, value, other, of_other = self._pair_at(place)
            return codes[one] == value and codes[other] == of_other
        return place in (first + code for first, code in zip(self.offsets, codes, strict=True))

    def _drop_rare(self, rows: Codes) -> None:
        """Count the values that are too rare to be watched with all others, in the ring as well."""
        table = self._table().copy()
        for place, each in enumerate(self.dimensions, _HEAD):
            if each.edges:
                continue
            counts = np.bincount(rows[:, place], minlength=256)
            codes = range(1, len(each.names))
            kept = [code for code in codes if counts[code] >= LEAST_SHARE * len(rows)]
            places = np.zeros(256, np.uint8)
            places[kept] = np.arange(1, len(kept) + 1)
            table[:, place] = places[table[:, place]]
            each.keep(kept)
        self.ring[:] = table.tobytes()
        self._place()

    def _table(self) -> Codes:
        return self._rows.reshape(-1, self._width)

    def ratio(self, place: int) -> float:
        """Return the ratio of errors to expected ones of a segment, as known by now."""
        at = place * SLOTS
        return float(self.cells[at + SEGMENT.errors] / self.cells[at + SEGMENT.expected])

    def usual_ratios(self) -> list[Floats]:
        """Return the ratios of the reference by dimension; 0 where a segment is not watched.

        The present ones have read rows beyond those that a search looks at.
        """
        return [
            self.watched[first : first + len(each.names)]
            for first, each in zip(self.offsets, self.dimensions, strict=True)
        ]

    def decompose(self, rows: Rows, dimension: int) -> Decomposition:
        """Divide the change of the error since the reference by the values of a dimension."""
        first, size = self.offsets[dimension], len(self.dimensions[dimension].names)
        own, codes = slice(first, first + size), rows.codes[:, dimension].astype(np.intp)
        now = np.bincount(codes, minlength=size).astype(np.float64)
        errors = np.bincount(codes, weights=rows.errors, minlength=size)
        return decompose(self.rows[own], self.errors[own], now, errors.astype(np.float64))

    def names_of(self, place: int) -> dict[str, str]:
        """Return the values of a segment by their dimensions."""
        if place < self.segments:
            return dict([self._name_of(place)])
        return dict(map(self._name_of, self._halves(self._pair_at(place))))

    def _name_of(self, place: int) -> tuple[str, str]:
        index = max(i for i, first in enumerate(self.offsets) if first <= place)
        dimension = self.dimensions[index]
        return dimension.name, dimension.names[place - self.offsets[index]]


def risk_cell(fields: SegmentFields) -> int:
    """Return the cell of a row's score: half octaves towards both ends, the last without a score.

    Examples
    --------
    >>> [risk_cell(SegmentFields(score=x)) for x in (0.0, 0.001, 0.49, 0.5, 0.999, None)]
    [0, 5, 22, 24, 42, 48]
    """
    score = fields.score
    if score is None:
        if not fields.scores:
            return RISK_CELLS - 1
        score = max(fields.scores.values())
    half = RISK_CELLS // 2
    tail = min(max(min(score, 1.0 - score), 0.0), 0.5)
    mantissa, exponent = math.frexp(tail)
    steps = half - 1 + 2 * exponent + (mantissa >= math.sqrt(0.5)) if tail else 0
    steps = max(steps, 0)
    return steps if score < 0.5 else 2 * half - 1 - steps
