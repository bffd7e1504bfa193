"""Series without a distribution: one constant value, or a different name in each row."""

from collections.abc import Sequence
from typing import Any

from streams.change import Figures, Finding
from streams.values import Floats, Value, number_of


class ConstantSeries:
    """One value, always: any other is news."""

    kind = "constant"

    watched: tuple[Value | None, ...] = ()

    is_settled = False  # a short reference may lack what is only rare
    is_steady = is_calm = True

    def __init__(self, value: Value, rows: int) -> None:
        self._value = value
        self._rows = rows

    def run(
        self, values: Sequence[Value], x: Floats | None, expected: Floats | None
    ) -> Finding | None:
        """Read values until one differs."""
        if values.count(self._value) == len(values):
            return None
        row = next(row for row, value in enumerate(values) if value != self._value)
        return Finding(
            row=row,
            aspect="constant",
            detector="rule",
            figures=Figures(value=number_of(values[row]), baseline=number_of(self._value)),
        )

    def set_budget(self, false_alarms: float) -> None:
        """Do nothing: a fact has no threshold."""

    def category(self, level: int) -> str | None:
        """Return nothing: no finding of it names a level."""

    def describe(self) -> dict[str, object]:
        """Return the reference for display."""
        return {"kind": self.kind, "rows": self._rows, "value": self._value}

    def snapshot(self) -> dict[str, Any]:
        """Return the state as a tree for :func:`streams.codec.pack`."""
        return self.describe()

    @classmethod
    def restore(cls, tree: dict[str, Any]) -> "ConstantSeries":
        """Return the series as it was."""
        return cls(tree["value"], tree["rows"])


class NamesSeries:
    """Names, keys, free text: no value is common enough to have a share worth watching."""

    kind = "names"

    watched: tuple[Value | None, ...] = ()

    is_settled = is_steady = is_calm = True

    def __init__(self, rows: int, distinct: int) -> None:
        self._rows = rows
        self._distinct = distinct

    def run(
        self, values: Sequence[Value], x: Floats | None, expected: Floats | None
    ) -> Finding | None:
        """Find nothing."""

    def set_budget(self, false_alarms: float) -> None:
        """Do nothing: there is no threshold."""

    def category(self, level: int) -> str | None:
        """Return nothing: there are no findings."""

    def describe(self) -> dict[str, object]:
        """Return the reference for display."""
        return {"kind": self.kind, "rows": self._rows, "distinct": self._distinct}

    def snapshot(self) -> dict[str, Any]:
        """Return the state as a tree for :func:`streams.codec.pack`."""
        return self.describe()

    @classmethod
    def restore(cls, tree: dict[str, Any]) -> "NamesSeries":
        """Return the series as it was."""
        return cls(tree["rows"], tree["distinct"])
