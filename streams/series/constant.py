"""A series with one value."""

from collections.abc import Sequence

from streams.change import Figures, Finding
from streams.series.learnt_series import LearntSeries
from streams.values import Floats, Value, number_of


class ConstantSeries(LearntSeries, tag="constant"):
    """One value in the whole reference: the first other value is a fact."""

    _value: Value
    _rows: int

    @property
    def is_settled(self) -> bool:
        """Never: a short reference may lack values that are only rare."""
        return False

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

    def describe(self) -> dict[str, object]:
        """Return the reference for display."""
        return {"kind": "constant", "rows": self._rows, "value": self._value}
