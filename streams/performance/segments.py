"""The segments of one model's traffic: where it has become worse.

Rule 1. A model whose spec asks for no segments has none, and costs nothing.
Rule 2. A labelled row is in one value of each dimension. Each dimension has the same part of the
        budget, and each of its values that part of the rows of that value: so the sum is the
        budget, whatever the number of values. Where pairs of values are watched they have
        ``PAIRS_SHARE`` of the budget, divided likewise among their rows.
Rule 3. While labels come late nothing is watched: which errors are known early depends on the
        traffic.
Rule 4. A segment is back when two blocks of its rows in a row have no more errors than its
        reference gives reason to expect, a standard error included.
Rule 5. A pair and its two values tell the same rows once: while a value has an alert its pairs are
        not read, and rows of a pair with an alert are not read in its values.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from schemas.alert import MixAndWithin, WorstSegment
from schemas.model_spec import ModelSpec, SegmentRules
from streams.change import Condition, Direction, Figures
from streams.codec import Machine
from streams.detect.budget import SEGMENTS_SHARE
from streams.detect.outline import Outline
from streams.detect.segment_kernel import SEGMENT, SLOTS
from streams.performance.dimension import Dimension
from streams.performance.segment_ring import SegmentFields, SegmentRing, read_fields, risk_cell
from streams.performance.segment_search import Part, find_segments
from streams.traffic.conditions import ConditionState
from streams.values import Floats, odds_of, printable

ALARMS = 0.05
"""Constant of the threshold: false alarms of a pair of CUSUMs for each row, at threshold 0
(measured over four shapes of scores: .006 to .043)."""
PAIRS_SHARE = 0.3
"""Part of the segments' budget for pairs, where there are any: with half of it a value is found
within 2 % more rows, and a pair within 2 % fewer (measured)."""
MOST_DIMENSIONS = 16
LEAST_EXPECTED = 5.0
"""Errors to be expected in a block of the check whether a segment is back. By judgement."""
CALM_BLOCKS = 2
TRIED_EVERY = 100
"""Labelled rows after which the references of features are asked for again."""
OutlineOf = Callable[[str], Outline | None]


class OpenSegment(Machine):
    """A segment that has an alert: its present block, and how many before it were calm."""

    rows: int = 0
    errors: float = 0.0
    expected: float = 0.0
    calm: int = 0


class SegmentsState(Machine):
    """The stored state of `Segments`.

    Attributes
    ----------
    ring
        The rows and the reference; None before the first labelled row at which all features of
        the spec are known.
    open
        The segments that have an alert, by place.
    """

    ring: SegmentRing | None = None
    open: dict[int, OpenSegment] = {}


class Worst(NamedTuple):
    """The worst segments, and the parts of the change by the dimension of the first."""

    segments: tuple[WorstSegment, ...]
    parts: MixAndWithin


class Segments:
    """The segments of one model.

    Parameters
    ----------
    spec
        The spec in force.
    state
        The stored state; a new one when None.
    """

    def __init__(self, spec: ModelSpec, state: SegmentsState | None = None) -> None:
        self.state = state or SegmentsState()
        self._rules = spec.segments
        self._budget = spec.alert_budget
        self._live: Floats | None = None  # the segments that are read: watched, and without alert
        self._thresholds = 0.0, 0.0  # of values and of pairs; made with `_live`

    def respec(self, spec: ModelSpec) -> None:
        """Put another spec in force; other dimensions begin anew."""
        if spec.segments != self._rules:
            self.restart()
        self._rules, self._budget = spec.segments, spec.alert_budget

    def restart(self) -> None:
        """Begin again: the model is removed, or answers another task."""
        self.state = SegmentsState()
        self._live = None

    def on_pair(
        self,
        number: int,
        payload: bytes,
        is_error: bool | None,
        outline_of: OutlineOf,
        *,
        is_prompt: bool,
    ) -> list[ConditionState]:
        """Read a labelled row; return the conditions that it begins, goes on with, or ends.

        Parameters
        ----------
        number
            Its number among the model's: one more than that of the row before.
        payload
            Its prediction.
        is_error
            Whether the answer was wrong; None where that is not judged.
        outline_of
            Gives the references of features.
        is_prompt
            Whether labels come as they should; else nothing is watched (Rule 3).
        """
        rules = self._rules
        if rules is None:
            return []
        fields = read_fields(payload)
        ring = self.state.ring or self._begin(number, fields, rules, outline_of)
        if ring is None:
            return []
        most = 0 if ring.is_learnt else rules.values + 1
        features = fields.all_features() if ring.has_features else None
        segment = fields.segment
        codes = [
            each.code(features if each.is_feature else segment, most) for each in ring.dimensions
        ]
        cell = risk_cell(fields)
        ring.add(number, cell, codes, is_error=is_error)
        if not ring.is_learnt:
            if number - ring.first + 1 >= ring.most:
                ring.learn()
            return []
        if is_error is None or not is_prompt:
            return []
        return self._watch(ring, codes, float(ring.risks[cell]), float(is_error))

    def _begin(
        self, number: int, fields: SegmentFields, rules: SegmentRules, outline_of: OutlineOf
    ) -> SegmentRing | None:
        """Take the dimensions, where the references of all features are known."""
        if rules.features and number % TRIED_EVERY:
            return None
        outlines = {name: outline_of(name) for name in rules.features}
        if any(outline is None for outline in outlines.values()):
            return None
        names = rules.dimensions or tuple(sorted(fields.segment or {}))
        names = names[: MOST_DIMENSIONS - len(outlines)]
        dimensions = [Dimension.of(name, None, is_feature=False) for name in names]
        dimensions += [Dimension.of(name, made, is_feature=True) for name, made in outlines.items()]
        if dimensions:
            self.state.ring = SegmentRing.of(dimensions, rules.ring, number)
        return self.state.ring

    def _watch(
        self, ring: SegmentRing, codes: list[int], risk: float, error: float
    ) -> list[ConditionState]:
        told: list[ConditionState] = []
        live = self._live
        if live is None:
            live = self._live = self._watched_now(ring)
            self._thresholds = self._thresholds_of(ring)
        for place in [each for each in self.state.open if ring.has(each, codes)]:
            told += self._read_open(ring, place, risk, error)
        alarm = ring.read(live, risk, self._thresholds)
        if alarm >= 0:
            told.append(ConditionState(self._found(ring, alarm), is_on=True))
            for place in (alarm, *ring.kin(alarm)):  # what they have seen is told
                ring.cells[place * SLOTS + SEGMENT.small : (place + 1) * SLOTS] = 0.0
            self.state.open[alarm] = OpenSegment()
            self._live = None
        return told

    def _watched_now(self, ring: SegmentRing) -> Floats:
        """Return which segments are read, as the kernel has it (Rule 5)."""
        live = ring.watched.copy()
        for place in sorted(self.state.open):  # pairs are last
            if place < ring.segments:
                live[[place, *ring.kin(place)]] = 0.0
            else:
                live[place] = -1.0
        return live

    def _thresholds_of(self, ring: SegmentRing) -> tuple[float, float]:
        """Return the thresholds of values and of pairs (Rule 2)."""
        budget = SEGMENTS_SHARE * self._budget / 2
        of_pairs = PAIRS_SHARE * budget if ring.paired else 0.0
        parts = ((budget - of_pairs) / len(ring.dimensions), of_pairs / max(ring.paired, 1e-9))
        one, other = (max(math.log(ALARMS * 10_000 / max(x, 1e-12)), 1.0) for x in parts)
        return one, other

    def _read_open(
        self, ring: SegmentRing, place: int, risk: float, error: float
    ) -> list[ConditionState]:
        """Read a row of a segment with an alert; return how it is at the end of a block."""
        each = self.state.open[place]
        each.rows += 1
        each.errors += error
        each.expected += min(risk * ring.ratio(place), 1.0)
        if each.expected < LEAST_EXPECTED:
            return []
        is_calm = each.errors <= each.expected + math.sqrt(each.expected)  # Rule 4
        calm = each.calm + 1 if is_calm else 0
        condition = _condition(ring, place, _figures(each.rows, each.errors, each.expected))
        self.state.open[place] = OpenSegment(calm=calm)
        if calm >= CALM_BLOCKS:
            del self.state.open[place]
            self._live = None
            return [ConditionState(condition, is_on=False)]
        return [] if is_calm else [ConditionState(condition, is_on=True)]

    def _found(self, ring: SegmentRing, place: int) -> Condition:
        at = place * SLOTS
        rows, errors, expected = (
            float(ring.cells[at + slot])
            for slot in (SEGMENT.rows, SEGMENT.run_errors, SEGMENT.run_expected)
        )
        return _condition(ring, place, _figures(int(rows), errors, expected * ring.ratio(place)))

    def forget(self, series: str) -> None:
        """Take a segment's alert for untold: that of the whole model names the segment."""
        ring, is_open = self.state.ring, self.state.open
        for place in list(is_open) if ring is not None else ():
            if ring is not None and _series(ring, place) == series:
                del is_open[place]
                self._live = None

    def accept(self) -> None:
        """Take the latest rows for the reference: a person has accepted them."""
        if self.state.ring is not None and self.state.ring.is_learnt:
            self.state.ring.learn()
            self.state.open, self._live = {}, None

    def worst(self, last: int, most: int) -> Worst | None:
        """Return where the latest rows are worse than expected; None where nothing is known.

        Parameters
        ----------
        last
            The number of the last row to look at.
        most
            Rows since the onset; at most those that the ring holds are looked at.
        """
        ring = self.state.ring
        if ring is None or not 0 < ring.learnt_at <= last:
            return None
        rows = ring.judged(last, most)
        found = find_segments(rows, ring.usual_ratios()) if len(rows.errors) else []
        if not found:
            return None
        segments = tuple(
            WorstSegment(
                segment=dict(_names(ring, part) for part in each.parts),
                rows=each.rows,
                errors=each.errors,
                expected=each.expected,
            )
            for each in found
        )
        first = found[0].parts[0]
        parts = ring.decompose(rows, first.dimension)
        dimension = ring.dimensions[first.dimension].name
        return Worst(
            segments, MixAndWithin(dimension=dimension, mix=parts.mix, within=parts.within)
        )


def _names(ring: SegmentRing, part: Part) -> tuple[str, str]:
    dimension = ring.dimensions[part.dimension]
    return dimension.name, dimension.names[part.code]


def _series(ring: SegmentRing, place: int) -> str:
    return "segment/" + ",".join(map("=".join, ring.names_of(place).items()))


def _condition(ring: SegmentRing, place: int, figures: Figures) -> Condition:
    segment = ring.names_of(place)
    shown = " and ".join(f"{printable(name)} {printable(value)}" for name, value in segment.items())
    return Condition(
        kind="performance",
        series=_series(ring, place),
        aspect="segment",
        severity="warning",
        says=f"{_percent(figures.value)} of {figures.rows:,} answers with {shown} are wrong, "
        f"normally {_percent(figures.baseline)}",
        over=f"the errors of answers with {shown} are back to normal",
        figures=figures,
        segment=segment,
    )


def _percent(share: float | None) -> str:
    return f"{100 * (share or 0.0):.1f} %"


def _figures(rows: int, errors: float, expected: float) -> Figures:
    rows = max(rows, 1)
    value, baseline = errors / rows, min(expected / rows, 1.0)
    odds, usual = odds_of(value, rows), odds_of(baseline, rows)
    direction: Direction = "up" if value > baseline else "down"
    return Figures(value, baseline, max(odds / usual, usual / odds), "odds_ratio", direction, rows)
