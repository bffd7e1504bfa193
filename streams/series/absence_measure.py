"""Measure by blocks of values whether values that should not come still do.

Rule 1. A fact is over when a block has none of the values that raised it.
"""

from collections.abc import Sequence
from typing import Any

from streams.change import Figures
from streams.clock import Instants
from streams.codec import Machine
from streams.series.detection import Detection
from streams.series.inputs import Family, family_of, other_type_of
from streams.series.recovery_measures import BlockResult
from streams.values import Scalar, text_of

ABSENCE_ROWS = 500
"""Values. None among 500 bounds the share at 0.6 % with a confidence of 95 % (rule of three)."""


class AbsenceMeasure(Machine, tag="absence"):
    """Values that should not come: a block is back when it has none of them.

    Attributes
    ----------
    block_rows
        Values in a block.
    """

    aspect: str
    block_rows: int
    _limit: int
    """Length of a run that is stuck, in values."""
    _sought: tuple[Scalar, ...]
    """The values that raised the alert; for a series that was constant, its value."""
    _other: Family = "any"
    """The type that raised the alert, where that did."""
    _known: tuple[str, ...] = ()
    """All categories of the reference, where the others are sought; else none."""
    _rows: int = 0
    _hits: int = 0
    _last: Scalar = None
    _run: int = 0

    @classmethod
    def of(cls, change: Detection, value: Scalar, reference: dict[str, Any]) -> "AbsenceMeasure":
        """Choose the values sought by the value that raised the alert.

        Of categories outside the reference they are all that are not among its ``known`` ones.
        """
        return cls(
            change.aspect,
            max(ABSENCE_ROWS, 2 * change.figures.rows),
            change.figures.rows,
            (reference.get("value") if change.aspect == "constant" else value,),
            other_type_of(change.category or "") if change.aspect == "type" else "any",
            _known=reference.get("known", ()) if change.aspect == "unseen" else (),
        )

    def seek(self, value: Scalar) -> None:
        """Seek this unseen category as well."""
        if self.aspect == "unseen":
            self._sought = (*self._sought, value)

    @property
    def filled(self) -> int:
        """Values in the block."""
        return self._rows

    def read(self, values: Sequence[Scalar], at_ms: Instants) -> None:
        """Take values and their instants into account."""
        self._hits += sum(map(self._is_hit, values))
        self._rows += len(values)

    def _is_hit(self, value: Scalar) -> bool:
        match self.aspect:
            case "unseen" if self._known:
                return value is not None and text_of(value) not in self._known
            case "unseen":
                return value in self._sought
            case "constant":
                return value is not None and value not in self._sought
            case "type":
                return value is not None and family_of(value) == self._other
            case "text":
                return isinstance(value, str)
            case _:
                self._run = self._run + 1 if value == self._last else 1
                self._last = value
                return value is not None and self._run >= self._limit

    def close(self) -> BlockResult:
        """Return the result of the block, and begin the next."""
        rows, hits = self._rows, self._hits
        self._rows = self._hits = 0
        is_share = self.aspect in {"unseen", "type"}
        return BlockResult(
            is_back=hits == 0,
            figures=Figures(
                value=hits / rows if is_share else None,
                baseline=0.0 if is_share else None,
                direction="up" if is_share else None,
            ),
        )
