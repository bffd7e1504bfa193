"""Check whether a series with an open alert has returned to its first reference."""

from collections.abc import Sequence
from typing import Any

from streams.clock import Instants
from streams.series.recovery_measures import (
    MIN_BLOCK_ROWS,
    AbsenceMeasure,
    BlockMeasure,
    BlockResult,
    NumberMeasure,
    ShareMeasure,
)
from streams.series.watch import Detection
from streams.values import Scalar

BACK, LAST = 3, 4
AWAY_ROWS = BACK * MIN_BLOCK_ROWS


class RecoveryCheck:
    """Reads blocks of a series since its alarm.

    Parameters
    ----------
    measure
        What to read with.

    Attributes
    ----------
    rows
        Values read so far.
    aways
        Blocks that were away so far.
    """

    def __init__(self, measure: BlockMeasure) -> None:
        self.measure = measure
        self.rows = 0
        self.blocks_away = 0
        self._filled = 0
        self._backs: list[bool] = []

    @property
    def due(self) -> int:
        """Values until the block is full, at least."""
        return self.measure.block_rows - self._filled

    @property
    def is_back(self) -> bool:
        """Whether the series is back (Rule 3)."""
        return bool(self._backs) and self._backs[-1] and sum(self._backs) >= BACK

    def read(self, values: Sequence[Scalar], at_ms: Instants) -> BlockResult | None:
        """Read at most ``due`` values; return what the block says when it is full."""
        self.rows += len(values)
        self._filled += self.measure.read(values, at_ms)
        if self._filled < self.measure.block_rows:
            return None
        self._filled = 0
        reading = self.measure.close()
        self._backs = [*self._backs, reading.is_back][-LAST:]
        self.blocks_away += not reading.is_back
        return reading

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return {
            "measure": self.measure.snapshot(),
            "rows": self.rows,
            "aways": self.blocks_away,
            "filled": self._filled,
            "backs": self._backs,
        }

    @classmethod
    def restore(cls, tree: dict[str, Any]) -> "RecoveryCheck":
        """Return the gauge as it was."""
        gauge = cls(_MEASURES[tree["measure"]["kind"]](tree["measure"]))
        gauge.rows = tree["rows"]
        gauge.blocks_away = tree["aways"]
        gauge._filled = tree["filled"]
        gauge._backs = list(tree["backs"])
        return gauge


_MEASURES: dict[str, type[NumberMeasure | ShareMeasure | AbsenceMeasure]] = {
    "number": NumberMeasure,
    "share": ShareMeasure,
    "absence": AbsenceMeasure,
}


def recovery_check_of(change: Detection, value: Scalar) -> RecoveryCheck:
    """Return a gauge for a change.

    Parameters
    ----------
    change
        What raised the alert.
    value
        The value at which it was raised.

    Examples
    --------
    >>> from streams.change import Figures
    >>> figures = Figures(0.5, 0.2, effect=4.0, unit="odds_ratio", direction="up", rows=40)
    >>> reference = {"shares": {"web": 0.2, "shop": 0.8}}
    >>> change = Detection(
    ...     index=0, aspect="share", detector="cusum", figures=figures, category="web",
    ...     reference=reference,
    ... )
    >>> gauge = recovery_check_of(change, "web")
    >>> import numpy as np
    >>> at_ms = np.arange(200)
    >>> [gauge.read(["web", "shop"] * 100, at_ms).is_back for _ in range(3)], gauge.is_back
    ([False, False, False], False)
    >>> back = ["web", *["shop"] * 4] * 40
    >>> [gauge.read(back, at_ms).is_back for _ in range(3)], gauge.is_back
    ([True, True, True], True)
    """
    reference = change.reference or {}
    if change.aspect in {"level", "spread"} and "quantiles" in reference:
        return RecoveryCheck(NumberMeasure.of(change, reference))
    if change.aspect == "share" or (change.aspect == "missing" and change.detector != "rule"):
        return RecoveryCheck(ShareMeasure.of(change, reference))
    if change.aspect in {"level", "spread"}:
        return RecoveryCheck(NumberMeasure.of(change, _reference_of(change)))
    return RecoveryCheck(AbsenceMeasure.of(change, value, reference))


def _reference_of(change: Detection) -> dict[str, Any]:
    """Make up a reference from the change itself, for a series that was no number at first."""
    baseline = change.figures.baseline or 0.0
    away = abs((change.figures.value or 0.0) - baseline)
    unit = (away / change.figures.effect if change.figures.effect else away) or 1.0
    if change.aspect == "spread":
        baseline, unit = 0.0, change.figures.baseline or 1.0
    quantiles = {"0": baseline - 3 * unit, "0.5": baseline, "1": baseline + 3 * unit}
    return {"quantiles": quantiles, "mean": baseline, "sd": unit}
