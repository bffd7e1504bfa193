"""Check whether a series with an open alert has returned to its first reference.

Rule 1. Only series with an open alert are checked: the others cost nothing.
Rule 2. A series is back when the latest block of values and ``BACK`` of the last ``LAST`` are.
Rule 3. A series is never back within the ``AWAY_ROWS`` values that begin with the one that raised
        the alert: so many can be read at once, before it must be known whether it relearns.
Rule 4. Where the change has become twice as large, or an error has doubled, the check ends its
        block there: what follows is held against the larger change.
"""

from collections.abc import Sequence
from typing import Any

from streams.aspects import ASPECTS
from streams.change import Change
from streams.clock import Instants
from streams.codec import Machine
from streams.series.absence_measure import AbsenceMeasure
from streams.series.detection import Detection
from streams.series.number_measure import NumberMeasure
from streams.series.recovery_measures import MIN_BLOCK_ROWS, BlockResult
from streams.series.share_measure import ShareMeasure
from streams.values import Scalar

BACK, LAST = 3, 4
"""Blocks (docs/wire.md, Alerts). One of four may be away by chance."""
AWAY_ROWS = BACK * MIN_BLOCK_ROWS
"""Values."""
BlockMeasure = NumberMeasure | ShareMeasure | AbsenceMeasure


class RecoveryCheck(Machine):
    """Read blocks of a series since its alarm.

    Attributes
    ----------
    measure
        Measures the blocks.
    rows
        Values read so far.
    blocks_away
        Blocks that were away so far.
    """

    measure: BlockMeasure
    rows: int = 0
    blocks_away: int = 0
    _backs: tuple[bool, ...] = ()
    _is_worse: bool = False

    @property
    def due(self) -> int:
        """Values until the block is full, at least."""
        return self.measure.block_rows - self.measure.filled

    @property
    def is_back(self) -> bool:
        """Whether the series is back (Rule 2)."""
        return bool(self._backs) and self._backs[-1] and sum(self._backs) >= BACK

    def first_worse(self, values: Sequence[Scalar], at_ms: Instants) -> int | None:
        """Return the first value at which the change has become much larger (Rule 4)."""
        measure = self.measure
        if isinstance(measure, AbsenceMeasure):
            return None
        return measure.first_worse(values, at_ms)

    def read(self, values: Sequence[Scalar], at_ms: Instants) -> BlockResult | None:
        """Read at most ``due`` values; return the result of the block when it is full.

        No value but the last may be one that `first_worse` finds.
        """
        self.rows += len(values)
        self._is_worse = self.measure.read(values, at_ms) is not None
        if self.due > 0:
            return None
        result = self.measure.close()
        self._backs = (*self._backs, result.is_back)[-LAST:]
        self.blocks_away += not result.is_near
        return result

    def take_worse(self, change: Change, told: Change) -> Change | None:
        """Return the change as it is since it became larger, where the last value shows it.

        Returns None where it is not much larger than the one that was ``told``.
        """
        measure = self.measure
        if not self._is_worse or isinstance(measure, AbsenceMeasure):
            return None
        self._is_worse = False
        worse = measure.worse()
        if worse is None:
            return None
        made = worse.onto(change, worse.figures.rows)
        if not measure.is_much(made.figures, told.figures):
            measure.forget_runs()
            return None
        self.tell(made)
        return worse.onto(change, self.rows)

    def as_from_first(self, change: Change) -> Change:
        """Return a change against another reference as one against the first."""
        measure = self.measure
        if isinstance(measure, AbsenceMeasure):
            return change
        return measure.as_from_first(change)

    def is_clearly_away(self, change: Change) -> bool:
        """Whether a change against the first reference cannot be a part of a return."""
        measure = self.measure
        return not isinstance(measure, AbsenceMeasure) and measure.is_clearly_away(change)

    def seek(self, value: Scalar) -> None:
        """Seek this value as well, where values that should not come are sought."""
        if isinstance(self.measure, AbsenceMeasure):
            self.measure.seek(value)

    def tell(self, change: Change) -> None:
        """Hold values against this change from here on."""
        if not isinstance(self.measure, AbsenceMeasure):
            self.measure.tell(change)
            self._backs = ()


def recovery_check_of(change: Detection, value: Scalar, false_alarms: float) -> RecoveryCheck:
    """Return the check for a change.

    Parameters
    ----------
    change
        The change that raised the alert.
    value
        The value at which it was raised.
    false_alarms
        Per 10,000 values: those of a larger change that is none.

    Examples
    --------
    >>> import numpy as np
    >>> from streams.change import Figures
    >>> figures = Figures(0.5, 0.2, effect=4.0, unit="odds_ratio", direction="up", rows=40)
    >>> reference = {"shares": {"web": 0.2, "shop": 0.8}}
    >>> change = Detection(
    ...     index=0, aspect="share", detector="cusum", figures=figures, category="web",
    ...     reference=reference,
    ... )
    >>> check = recovery_check_of(change, "web", 0.01)
    >>> def reads(values):
    ...     due = check.due
    ...     return check.read((values * due)[:due], np.arange(due)).is_back
    >>> [reads(["web", "shop"]) for _ in range(4)], check.is_back
    ([False, False, False, False], False)
    >>> [reads(["web", *["shop"] * 4]) for _ in range(4)][1:], check.is_back
    ([True, True, True], True)
    """
    return RecoveryCheck(_measure_of(change, value, change.reference or {}, false_alarms))


def _measure_of(
    change: Detection, value: Scalar, reference: dict[str, Any], false_alarms: float
) -> BlockMeasure:
    recovery = "absence" if change.detector == "rule" else ASPECTS[change.aspect].recovery
    if recovery == "shares":
        return ShareMeasure.of(change, reference, false_alarms)
    if recovery == "numbers":
        has_numbers = "quantiles" in reference
        known = reference if has_numbers else _reference_of(change)
        return NumberMeasure.of(change, known, false_alarms)
    return AbsenceMeasure.of(change, value, reference)


def _reference_of(change: Detection) -> dict[str, Any]:
    """Return a reference made from the change alone, for a series that was no number at first."""
    baseline = change.figures.baseline or 0.0
    away = abs((change.figures.value or 0.0) - baseline)
    unit = (away / change.figures.effect if change.figures.effect else away) or 1.0
    if change.aspect == "spread":
        baseline, unit = 0.0, change.figures.baseline or 1.0
    quantiles = {"0": baseline - 3 * unit, "0.5": baseline, "1": baseline + 3 * unit}
    return {"quantiles": quantiles, "mean": baseline, "sd": unit}
