"""Measure whether a series with an open alert is still away from its first reference.

Rule 1. Only series with an open alert are measured: the others cost nothing.
Rule 2. Values are read in blocks, long enough to tell the reference from what raised the alert in
        spite of chance, of the series' memory and of the waves within its reference.
Rule 3. A series is back when the latest block and ``BACK`` of the last ``LAST`` are.
Rule 4. What the hour adds is taken off, where that was known at the alarm.
Rule 5. How values are cut changes nothing. A series never comes back among the next
        ``AWAY_ROWS`` values, that which opened the gauge included: so many can be read at once,
        without looking in between whether there is something to learn anew.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from msgspec.structs import replace

from streams.change import Change, Figures, Shares
from streams.clock import Instants, Minutes
from streams.codec import decode, encode
from streams.detect.reference import coarse_knots
from streams.season.hour_profile import HourProfile
from streams.series.watch import MAX_MOVED, Detection
from streams.values import OTHER, Floats, Scalar, finite_or_none, odds_of, text_of

MIN_BLOCK_ROWS = 200
MAX_BLOCK_ROWS = 20_000
ABSENCE_ROWS = 500
SURE = 2.5
"""Deviations of a block's figure between the reference and the bound."""
NEAR = 0.4
"""The part of the way to what raised the alert up to which a block counts as back."""
WIDEST = 0.25
"""No block further away than this counts as back, however far the series once was."""
NARROWEST = 0.07
"""The reference itself is no better known than this."""
_NUMBERS = frozenset((float, int))


class BlockResult(NamedTuple):
    """The result of one block.

    Parameters
    ----------
    is_back
        Whether its figure is that of the reference.
    figures
        Its figure against the reference; the rows are not set.
    category
        The category furthest away, where the measure has any.
    moved
        The categories that moved most: name, share in the reference, share in the block.
    """

    is_back: bool
    figures: Figures
    category: str | None = None
    moved: Shares = ()

    def onto(self, change: Change, rows: int) -> Change:
        """Return the change with the figures of this block, ``rows`` values after its onset."""
        return Change(
            aspect=change.aspect,
            detector=change.detector,
            figures=replace(self.figures, unit=change.figures.unit, rows=rows),
            category=self.category or change.category,
            moved=self.moved,
        )


class BlockMeasure(Protocol):
    """What a gauge reads blocks with."""

    block_rows: int

    def read(self, values: Sequence[Scalar], at_ms: Instants) -> int:
        """Take values and their instants into account; return how many of them count."""

    def close(self) -> BlockResult:
        """Return what the block says, and begin the next."""

    def add_change(self, change: Change, value: Scalar) -> None:
        """Look at what a further change of the same aspect is about, too."""

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain values."""


@dataclass(slots=True)
class _Sums:
    """Sums that do not depend on how the values are cut into parts."""

    rows: int = 0
    values: float = 0.0
    scores: float = 0.0
    squares: float = 0.0

    def add(self, values: Floats, scores: Floats) -> None:
        self.rows += len(values)
        with np.errstate(over="ignore", invalid="ignore"):
            self.values = _after(self.values, values)
        self.scores = _after(self.scores, scores)
        self.squares = _after(self.squares, scores * scores)

    def snapshot(self) -> list[float]:
        return [self.rows, self.values, self.scores, self.squares]


def _after(total: float, parts: Floats) -> float:
    """Add one by one, as if never cut: numpy's own sum adds in pairs."""
    return float(np.add.accumulate(np.concatenate(((total,), parts)))[-1])


class NumberMeasure:
    """Level or spread of numbers, in normal scores of the first reference."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._told = told
        self.block_rows = int(told["block_rows"])
        self._sums = _Sums(*told["sums"])
        self._knots, self._ranks = coarse_knots(told["quantiles"])
        self._rhythm = _rhythm_of(told)

    @classmethod
    def of(cls, change: Detection, reference: dict[str, Any]) -> "NumberMeasure":
        """Choose the bound and the block by how far the series went."""
        scores = reference.get("scores") or {"mean": 0.0, "sd": 1.0, "inflation": 1.0}
        is_spread = change.aspect == "spread"
        size = _log_ratio(change.figures.effect) if is_spread else change.figures.effect
        bound, rows = _bound(size, scores["inflation"] / (2 if is_spread else 1))
        return cls(
            {
                "kind": "number",
                "aspect": change.aspect,
                "block_rows": rows,
                "bound": bound,
                "quantiles": reference["quantiles"],
                "atoms": reference.get("atoms") or [],
                "mean": reference["mean"],
                "sd": reference["sd"],
                "scores": scores,
                "sums": [0, 0.0, 0.0, 0.0],
                **_told_of(change.profile, is_of_numbers=True),
            }
        )

    def read(self, values: Sequence[Scalar], at_ms: Instants) -> int:
        """Take values and their instants into account; return how many of them count."""
        atoms = self._told["atoms"]
        used = [row for row, x in enumerate(values) if type(x) in _NUMBERS and x not in atoms]
        if used:
            numbers = np.array([values[row] for row in used], dtype=np.float64)
            if self._rhythm is not None:
                minutes = at_ms[used] // 60_000
                numbers = self._rhythm.adjust(numbers, minutes)
            scores = self._told["scores"]
            raw = np.interp(numbers, self._knots, self._ranks)
            self._sums.add(numbers, (raw - scores["mean"]) / scores["sd"])
        return len(used)

    def close(self) -> BlockResult:
        """Return what the block says, and begin the next."""
        sums, self._sums = self._sums, _Sums()
        mean = sums.scores / sums.rows
        deviation = math.sqrt(max(sums.squares / sums.rows - mean * mean, 1e-12))
        told = self._told
        if told["aspect"] == "spread":
            size = math.log(deviation)
            value, baseline, effect = told["sd"] * deviation, told["sd"], deviation
        else:
            size = mean
            value, baseline, effect = sums.values / sums.rows, told["mean"], abs(mean)
        return BlockResult(
            is_back=abs(size) < told["bound"],
            figures=Figures(
                value=finite_or_none(value),
                baseline=finite_or_none(baseline),
                effect=effect,
                direction="up" if size > 0 else "down",
            ),
        )

    def add_change(self, change: Change, value: Scalar) -> None:
        """Do nothing: a level has no parts."""

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return self._told | {"sums": self._sums.snapshot()}


class ShareMeasure:
    """Shares of categories, of missing values, or of what should not be there at all.

    Each category that has raised the alert is held against its own bound, on the scale on which
    the deviation of a share does not depend on the share.
    """

    def __init__(self, told: dict[str, Any]) -> None:
        self._told = told
        self.block_rows = int(told["block_rows"])
        self._rows = int(told["rows"])
        self._counts = Counter(dict(told["counts"]))
        self._rhythm = _rhythm_of(told)
        self._added = dict(told.get("added", ()))

    @classmethod
    def of(cls, change: Detection, reference: dict[str, Any]) -> "ShareMeasure":
        """Choose the bound and the block by how far the share went."""
        shares = dict(reference.get("shares") or {})
        if reference.get("other_share"):
            shares[OTHER] = reference["other_share"]
        measure = cls(
            {
                "kind": "share",
                "aspect": change.aspect,
                "block_rows": MIN_BLOCK_ROWS,
                "inflation": float(reference.get("inflation") or 1.0),
                "shares": [[name, share] for name, share in shares.items()],
                "bounds": [],
                "settling": 0,
                "rows": 0,
                "counts": [],
                **_told_of(change.profile, is_of_numbers=False),
            }
        )
        name = "" if change.aspect == "missing" else str(change.category)
        baseline = shares.get(name, change.figures.baseline or 0.0)
        measure._hold(name, baseline, _angle(change.figures.value or 0.0) - _angle(baseline))
        return measure

    def add_change(self, change: Change, value: Scalar) -> None:
        """Hold what is away in the first whole block from here on to its bound as well."""
        self._told["settling"] = 2

    def _hold(self, name: str, baseline: float, size: float) -> None:
        told = self._told
        bound, rows = _bound(size, told["inflation"])
        told["bounds"] = [*told["bounds"], [name, baseline, bound]]
        self.block_rows = told["block_rows"] = max(self.block_rows, rows)

    def _hold_what_is_away(self, counts: Counter[str], rows: int) -> None:
        held = {name for name, _, _ in self._told["bounds"]}
        chance = SURE * math.sqrt(self._told["inflation"] / rows)
        for name, share in self._told["shares"]:
            size = _angle(counts[name] / rows) - _angle(share)
            if name not in held and abs(size) > 2 * chance:
                self._hold(name, share, size)

    def read(self, values: Sequence[Scalar], at_ms: Instants) -> int:
        """Take values and their instants into account; return how many of them count."""
        if self._told["aspect"] == "missing":
            self._counts[""] += sum(value is None for value in values)
            self._rows += len(values)
            return len(values)
        used = [row for row, value in enumerate(values) if value is not None]
        texts = [text_of(values[row]) for row in used]
        known = {name for name, _ in self._told["shares"]}
        known |= {name for name, _, _ in self._told["bounds"]}
        self._counts.update(text if text in known else OTHER for text in texts)
        self._rows += len(used)
        if self._rhythm is not None and used:
            self._add_hours(self._rhythm, at_ms[used] // 60_000)
        return len(used)

    def _add_hours(self, rhythm: HourProfile, minutes: Minutes) -> None:
        """Add up what the hours of rows add to each category."""
        expected = rhythm.expected(rhythm.names, minutes)
        if expected is None:
            return
        for name, parts in zip(rhythm.names, expected.T, strict=True):
            text = OTHER if name is None else text_of(name)
            self._added[text] = _after(self._added.get(text, 0.0), parts)

    def _as_usual(self) -> Counter[str]:
        """Return the counts as they would be at an average hour."""
        counts: Counter[str] = Counter(self._counts)
        for name, added in self._added.items():
            counts[name] = min(max(counts[name] - added, 0.0), self._rows)
        return counts

    def close(self) -> BlockResult:
        """Return what the block says, and begin the next."""
        rows, counts = self._rows, self._as_usual()
        self._rows, self._counts, self._added = 0, Counter(), {}
        if self._told["settling"]:
            self._told["settling"] -= 1
            if not self._told["settling"]:
                self._hold_what_is_away(counts, rows)
        sizes = [
            (abs(_angle(counts[name] / rows) - _angle(baseline)) / bound, name, baseline)
            for name, baseline, bound in self._told["bounds"]
        ]
        furthest, name, baseline = max(sizes)
        value = counts[name] / rows
        moved = [(each, share, counts[each] / rows) for each, share in self._told["shares"]]
        moved.sort(key=lambda one: -abs(_angle(one[2]) - _angle(one[1])))
        return BlockResult(
            is_back=furthest < 1,
            figures=Figures(
                value=value,
                baseline=baseline,
                effect=odds_of(value, rows) / odds_of(baseline, rows),
                direction="up" if value > baseline else "down",
            ),
            category=name or None,
            moved=tuple(moved[:MAX_MOVED]),
        )

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain values."""
        added = {"added": list(map(list, self._added.items()))} if self._added else {}
        counts = list(map(list, self._counts.items()))
        return self._told | {"rows": self._rows, "counts": counts} | added


class AbsenceMeasure:
    """What should not be there: a block is back when none of it comes."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._told = told
        self.block_rows = int(told["block_rows"])
        self._rows = int(told["rows"])
        self._hits = int(told["hits"])
        self._run = list(told["run"])

    @classmethod
    def of(cls, change: Detection, value: Scalar, reference: dict[str, Any]) -> "AbsenceMeasure":
        """Choose what to look for by the value that raised the alert."""
        is_constant = change.aspect == "constant"
        return cls(
            {
                "kind": "absence",
                "aspect": change.aspect,
                "block_rows": max(ABSENCE_ROWS, 2 * change.figures.rows),
                "limit": change.figures.rows,
                "sought": [reference.get("value") if is_constant else value],
                "rows": 0,
                "hits": 0,
                "run": [None, 0],
            }
        )

    def add_change(self, change: Change, value: Scalar) -> None:
        """Look for this value as well."""
        if self._told["aspect"] == "unseen":
            self._told["sought"] = [*self._told["sought"], value]

    def read(self, values: Sequence[Scalar], at_ms: Instants) -> int:
        """Take values and their instants into account; return how many of them count."""
        self._hits += sum(map(self._is_hit, values))
        self._rows += len(values)
        return len(values)

    def _is_hit(self, value: Scalar) -> bool:
        sought = self._told["sought"]
        match self._told["aspect"]:
            case "missing":
                return value is None
            case "unseen":
                return value in sought
            case "constant":
                return value is not None and value not in sought
            case "type":
                return value is not None and _family(value) == _family(sought[0])
            case _:
                last, run = self._run
                self._run = [value, run + 1 if value == last else 1]
                return value is not None and self._run[1] >= self._told["limit"]

    def close(self) -> BlockResult:
        """Return what the block says, and begin the next."""
        rows, hits = self._rows, self._hits
        self._rows = self._hits = 0
        is_share = self._told["aspect"] in {"missing", "unseen", "type"}
        return BlockResult(
            is_back=hits == 0,
            figures=Figures(
                value=hits / rows if is_share else None,
                baseline=0.0 if is_share else None,
                direction="up" if is_share else None,
            ),
        )

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return self._told | {"rows": self._rows, "hits": self._hits, "run": self._run}


def _family(value: Scalar) -> str:
    return "number" if type(value) in _NUMBERS else type(value).__name__


def _told_of(rhythm: HourProfile | None, *, is_of_numbers: bool) -> dict[str, Any]:
    if rhythm is None or rhythm.is_of_numbers != is_of_numbers:
        return {}
    return {"rhythm": encode(rhythm).hex()}


def _rhythm_of(told: dict[str, Any]) -> HourProfile | None:
    return decode(bytes.fromhex(told["rhythm"]), HourProfile) if "rhythm" in told else None


def _bound(size: float | None, inflation: float) -> tuple[float, int]:
    """Return how far from the reference a block counts as back, and how long it must be."""
    bound = min(max(NEAR * abs(size or 1.0), NARROWEST), WIDEST)
    rows = math.ceil((SURE / bound) ** 2 * inflation)
    rows = min(max(rows, MIN_BLOCK_ROWS), MAX_BLOCK_ROWS)
    return max(bound, SURE * math.sqrt(inflation / rows)), rows


def _angle(share: float) -> float:
    return 2 * math.asin(math.sqrt(min(max(share, 0.0), 1.0)))


def _log_ratio(ratio: float | None) -> float:
    return math.log(ratio) if ratio else 1.0
