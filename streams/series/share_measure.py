"""Measure by blocks of values whether shares are away: of categories, missing or odd values.

The rules are those of `streams.series.recovery_measures`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import field
from msgspec.structs import replace

from streams.change import Change, Figures
from streams.clock import Instants, Minutes
from streams.codec import Machine
from streams.detect.block_kernel import BLOCK_ROWS, CUSUMS, RUN, SUMS, read_shares, run_of, size_of
from streams.detect.budget import likelihood_threshold
from streams.season.hour_profile import HourProfile
from streams.series.detection import MAX_MOVED_CATEGORIES, Detection
from streams.series.inputs import Family, family_of, other_type_of
from streams.series.recovery_measures import (
    APART,
    MIN_BLOCK_ROWS,
    MUCH,
    NEWS,
    POOLED,
    SURE,
    USUAL_ROWS,
    BlockResult,
    alarmed,
    bound_of,
    chance,
    clear_runs,
    profile_of,
    surely,
)
from streams.values import OTHER, Floats, Scalar, odds_of, text_of

LEAST_EXPECTED = 5.0
"""Rows of a category expected in a block, below which it is counted with other rare ones: the usual
condition of a chi-squared test (Cochran 1954)."""
_NAMELESS = frozenset(("missing", "type"))
"""Aspects whose share is that of no category."""
USUAL = 2.0
"""Standard errors of the latest blocks together, up to which they show no part of the change: an
unchanged series shows one by chance once in 44."""
Shares = dict[str, float]


class ShareMeasure(Machine, tag="shares"):
    """Shares of categories, of missing values, or of values of another type.

    The category that was told has a bound, in angles (`_angle`). All categories together must be
    those of the reference, by a chi-squared test.

    Attributes
    ----------
    block_rows
        Values in a block.
    """

    aspect: str
    name: str
    """The category that was told; missing values have no name."""
    _inflation: float
    """Variance of the shares in the reference, in that of independent rows."""
    _learnt: float
    """Rows of the reference."""
    _shares: Shares
    """Share of each category in the reference; the rest of a missing one is present."""
    _false_alarms: float
    block_rows: int = MIN_BLOCK_ROWS
    _bound: float = 1.0
    _told: float = 0.0
    """The share that was told."""
    _sure: float = 0.0
    """The nearest share to the reference that fits the rows told."""
    _rows: int = 0
    _counts: dict[str, int] = field(default_factory=dict)
    _expected: dict[str, float] = field(default_factory=dict)
    """Rows of each category that the hours of the block's rows add."""
    _profile: HourProfile | None = None
    _state: Floats = field(default_factory=lambda: np.zeros(size_of(1)))
    _latest: tuple[dict[str, float], ...] = ()
    """Counts of the latest blocks."""
    _away: dict[str, float] = field(default_factory=dict)
    """Counts of all blocks that were away."""
    _blocks_away: int = 0
    _other: Family = "any"
    """The type that is counted, where the share is that of another type."""

    def __post_init__(self) -> None:
        if len(self._state) != size_of(1):
            raise ValueError(f"a block of shares has one sum, got {len(self._state)} numbers")

    @classmethod
    def of(
        cls, change: Detection, reference: Mapping[str, Any], false_alarms: float
    ) -> "ShareMeasure":
        """Choose the bound and the block by the size of the change.

        Parameters
        ----------
        reference
            The first reference, as `streams.series.categorical.CategorySeries.describe` gives it;
            one without shares for missing values.
        false_alarms
            Per 10,000 values: those of the CUSUM for a larger change.
        """
        shares: Shares = {}
        if change.aspect not in _NAMELESS:
            shares = dict(reference.get("shares") or {})
            if reference.get("other_share"):
                shares[OTHER] = reference["other_share"]
        measure = cls(
            change.aspect,
            "",
            float(reference.get("inflation") or 1.0),
            float(reference.get("rows", USUAL_ROWS)),
            shares,
            false_alarms,
            _profile=profile_of(change, is_of_numbers=False),
            _other=other_type_of(change.category or "") if change.aspect == "type" else "any",
        )
        measure.tell(change.change)
        return measure

    def tell(self, change: Change) -> None:
        """Begin a block, and hold values against this change from the next one on."""
        name = "" if self.aspect in _NAMELESS else str(change.category)
        shown = self._shown if name == self.name and self._told else None
        self.name = name
        self._shares.setdefault(self.name, change.figures.baseline or 0.0)
        self._told = change.figures.value or 0.0
        usual = _angle(self._shares[self.name])
        size = _angle(self._told) - usual
        if self._profile is None:  # one of few days is wrong by more than the told rows
            size = surely(size, change.figures.rows, self._inflation)
        chance_alone = chance(change.figures.rows, self._inflation) / 4
        if (
            shown is not None and (_angle(shown) - usual) * size > 0
        ):  # the larger one may be a burst
            size = min(size, _angle(shown) - usual, key=abs)
        self._sure = _share(usual + size)
        told = _angle(self._told) - usual
        told -= math.copysign(chance_alone, told)
        self._rows, self._counts, self._expected = 0, {}, {}
        self._latest, self._away, self._blocks_away = (), {}, 0
        self._aim(self._sure)
        self._state[:] = 0.0
        self._state[BLOCK_ROWS] = change.figures.rows
        self._state[SUMS] = change.figures.rows * _share(usual + told)
        # Both CUSUMs are of one share and rise together: they are not two chances.
        threshold = likelihood_threshold(self._false_alarms) * self._inflation
        for cusum in range(CUSUMS):
            self._state[run_of(1, cusum) + RUN.threshold] = threshold

    def is_clearly_away(self, change: Change) -> bool:
        """Whether a change is to the side that was told, or of another category, and away."""
        figures, name = change.figures, "" if self.aspect in _NAMELESS else str(change.category)
        size = _angle(figures.value or 0.0) - _angle(figures.baseline or 0.0)
        told = _angle(self._told) - _angle(self._shares[self.name])
        is_own_side = name != self.name or size * told > 0
        return is_own_side and abs(size) - chance(figures.rows, self._inflation) > self._bound

    def _aim(self, share: float) -> None:
        size = _angle(share) - _angle(self._shares[self.name])
        self._bound, self.block_rows = bound_of(size, self._inflation)

    def as_from_first(self, change: Change) -> Change:
        """Return a change against another reference as one against the first."""
        figures, name = change.figures, "" if self.aspect in _NAMELESS else str(change.category)
        if figures.value is None:
            return change
        self._shares.setdefault(name, figures.baseline or 0.0)
        made = self._figures(figures.value, figures.rows, name)
        moved = tuple((each, self._shares.get(each, was), now) for each, was, now in change.moved)
        figures = replace(made, unit=figures.unit, rows=figures.rows)
        return replace(change, figures=figures, moved=moved)

    def _figures(self, value: float, rows: float, name: str | None = None) -> Figures:
        baseline = self._shares[self.name if name is None else name]
        return Figures(
            value=value,
            baseline=baseline,
            effect=odds_of(value, int(rows)) / odds_of(baseline, int(self._learnt)),
            direction="up" if value > baseline else "down",
        )

    def read(self, values: Sequence[Scalar], at_ms: Instants) -> int | None:
        """Take values and their instants into account; return the first at which it is worse."""
        names, used = self._names_of(values)
        for name in names:
            self._counts[name] = self._counts.get(name, 0) + 1
        self._rows += len(names)
        if self._profile is not None and used:
            self._expect(self._profile, at_ms[used] // 60_000)
        return self._run(self._state, names, used)

    def first_worse(self, values: Sequence[Scalar], at_ms: Instants) -> int | None:
        """Return the first value at which `read` will find the series worse."""
        return self._run(self._state.copy(), *self._names_of(values))

    @property
    def filled(self) -> int:
        """Values in the block."""
        return self._rows

    def _names_of(self, values: Sequence[Scalar]) -> tuple[list[str], list[int]]:
        """Return the categories of values, and the places of those that count."""
        if self.aspect in _NAMELESS:
            names = ["" if self._is_counted(each) else OTHER for each in values]
            return names, list(range(len(values)))
        used = [row for row, value in enumerate(values) if value is not None]
        known = self._shares.keys()
        texts = [text_of(values[row]) for row in used]
        return [text if text in known else OTHER for text in texts], used

    def _is_counted(self, value: Scalar) -> bool:
        if self.aspect == "missing":
            return value is None
        return value is not None and family_of(value) == self._other

    def _run(self, state: Floats, names: Sequence[str], used: Sequence[int]) -> int | None:
        hits = np.array([name == self.name for name in names], dtype=np.float64)
        least = 1 / self._learnt
        usual = min(max(self._shares[self.name], least), 1 - least)
        worse = read_shares(state, hits, usual, self._sure, least)
        return used[worse // CUSUMS] if worse >= 0 else None

    def _expect(self, profile: HourProfile, minutes: Minutes) -> None:
        """Add up the parts of the hours of rows in each category."""
        expected = profile.expected(profile.names, minutes)
        if expected is None:
            return
        for name, parts in zip(profile.names, expected.T, strict=True):
            text = OTHER if name is None else text_of(name)
            self._expected[text] = _after(self._expected.get(text, 0.0), parts)

    def _as_usual(self) -> dict[str, float]:
        """Return the counts as at an average hour."""
        counts = {name: float(rows) for name, rows in self._counts.items()}
        for name, expected in self._expected.items():
            counts[name] = min(max(counts.get(name, 0) - expected, 0.0), self._rows)
        return counts

    def forget_runs(self) -> None:
        """Let the CUSUMs begin anew."""
        clear_runs(self._state, 1)

    def worse(self) -> BlockResult:
        """Return the figures of the rows since the series has been worse."""
        run = alarmed(self._state, 1)
        hits, rows = float(run[len(RUN)]), float(run[RUN.rows])
        figures = replace(self._figures(hits / rows, rows), rows=int(rows))
        return BlockResult(False, figures, self.name or None)

    def is_much(self, now: Figures, told: Figures) -> bool:
        """Whether a change is much larger than the rows before it, and news beside the one told."""
        rows, hits = self._before_run()
        before = self._figures(hits / rows, rows)
        of_odds = now.strength >= MUCH * before.strength
        of_share = now.direction == "up" and (now.value or 0.0) >= MUCH * (before.value or 0.0)
        return (of_odds or of_share) and now.strength >= NEWS * told.strength

    def _before_run(self) -> tuple[float, float]:
        """Return the rows of the change before the series was worse, and the hits among them."""
        run = alarmed(self._state, 1)
        rows, hits = self._state[BLOCK_ROWS] - run[RUN.rows], self._state[SUMS] - run[len(RUN)]
        return float(rows), float(hits)

    def close(self) -> BlockResult:
        """Return the result of the block, and begin the next."""
        rows, counts = float(self._rows), self._as_usual()
        self._rows, self._counts, self._expected = 0, {}, {}
        self._latest = (*self._latest, counts)[-POOLED:]
        moved = [(each, share, counts.get(each, 0) / rows) for each, share in self._shares.items()]
        moved.sort(key=lambda one: -abs(_angle(one[2]) - _angle(one[1])))
        own = next(each for each in moved if each[0] == self.name)
        away = abs(_angle(own[2]) - _angle(own[1]))
        is_near = away < self._bound and self._fits(counts, rows)
        if not is_near:
            self._blocks_away += 1
            for name, count in counts.items():
                self._away[name] = self._away.get(name, 0.0) + count
            if self._knows_change:
                self._aim(self._shown)
        half_way = abs(_angle(self._shown) - _angle(self._shares[self.name])) / 2
        if not is_near and away > half_way:
            self._latest = ()  # the change is still there: only later blocks speak of a return
        elif len(self._latest) == POOLED and not self._is_usual():
            self._aim(self._pooled_share())
        furthest = moved[0]
        if len(self._shares) > 2 and abs(_angle(furthest[2]) - _angle(furthest[1])) > 2 * away:
            own = furthest
        return BlockResult(
            is_back=is_near and self._is_usual() and self._speaks_against(),
            figures=self._figures(own[2], rows, own[0]),
            category=own[0] or None,
            moved=tuple(each for each in moved[:MAX_MOVED_CATEGORIES] if each[0]),
            is_near=is_near,
        )

    @property
    def _knows_change(self) -> bool:
        """Whether blocks have shown the change; with an hourly profile they show its errors too."""
        return self._blocks_away >= POOLED and self._profile is None

    @property
    def _shown(self) -> float:
        """The share that several blocks have shown; before that, the one told that is sure."""
        away = self._away
        return away.get(self.name, 0.0) / sum(away.values()) if self._knows_change else self._sure

    def _usual(self) -> Shares:
        """Return the shares of the reference, with a share of what it had not."""
        least = 0.5 / (self._learnt + 1)
        shares = {name: max(share, least) for name, share in self._shares.items()}
        rest = max(1 - sum(shares.values()), 0.0)
        if OTHER not in shares:
            shares[OTHER] = max(rest, least)
        total = sum(shares.values())
        return {name: share / total for name, share in shares.items()}

    def _fits(self, counts: Mapping[str, float], rows: float) -> bool:
        """Whether the shares of a block are those of the reference, by a chi-squared test.

        An hourly profile is estimated from few days: its errors would fail any such test.
        """
        if self._profile is not None:
            return True
        rare_rows, rare_expected, squares, cells = 0.0, 0.0, 0.0, 0
        for name, share in self._usual().items():
            expected = rows * share
            if expected < LEAST_EXPECTED:
                rare_rows += counts.get(name, 0)
                rare_expected += expected
                continue
            cells += 1
            squares += (counts.get(name, 0) - expected) ** 2 / expected
        if rare_expected > 0:
            cells += 1
            squares += (rare_rows - rare_expected) ** 2 / max(rare_expected, 1.0)
        freedom = max(cells - 1, 1)
        squares /= self._inflation * (1 + rows / self._learnt)
        return squares <= freedom + SURE * math.sqrt(2 * freedom) + SURE

    def _pooled_share(self) -> float:
        """Return the share of the category that was told in the latest blocks."""
        rows = sum(sum(counts.values()) for counts in self._latest)
        return sum(counts.get(self.name, 0.0) for counts in self._latest) / rows

    def _is_usual(self) -> bool:
        """Whether the share in the latest blocks is the usual one, as far as chance lets it be.

        A part of the change that was told would be taken for a return otherwise: it is told by few
        rows, which show more than there is.
        """
        rows = sum(sum(counts.values()) for counts in self._latest)
        usual = _angle(self._shares[self.name])
        away = _angle(self._pooled_share()) - usual
        error = math.sqrt(self._inflation * (1 / rows + 1 / self._learnt))
        return away * math.copysign(1.0, _angle(self._told) - usual) <= USUAL * error

    def _speaks_against(self) -> bool:
        """Whether the latest blocks speak against the change, told and seen since."""
        usual = self._usual()
        pooled: dict[str, float] = {}
        for counts in self._latest:
            for name, count in counts.items():
                pooled[name] = pooled.get(name, 0.0) + count
        if self._knows_change:
            rows = sum(self._away.values()) + len(usual)
            changed = {name: (self._away.get(name, 0.0) + 1) / rows for name in usual}
        else:
            sure = max(self._sure, 0.5 / (self._learnt + 1))
            rest = (1 - sure) / max(1 - usual[self.name], 1e-9)
            changed = {name: rest * share for name, share in usual.items()} | {self.name: sure}
        return _nats(pooled, usual, changed) >= APART * self._inflation


def _nats(counts: Mapping[str, float], usual: Shares, other: Shares) -> float:
    """Return the evidence for the usual shares against others, in nats."""
    return sum(
        count * (math.log(usual[name]) - math.log(max(other[name], 1e-9)))
        for name, count in counts.items()
        if name in usual
    )


def _angle(share: float) -> float:
    """Return the angle of a share: its standard deviation, 1 / sqrt(rows), is the same for all.

    The transform of Cohen's effect size h (1988).
    """
    return 2 * math.asin(math.sqrt(min(max(share, 0.0), 1.0)))


def _share(angle: float) -> float:
    return math.sin(min(max(angle / 2, 0.0), math.pi / 2)) ** 2


def _after(total: float, parts: Floats) -> float:
    """Add one by one: numpy's own sum adds in pairs, so that it depends on where values are cut."""
    return float(np.add.accumulate(np.concatenate(((total,), parts)))[-1])
