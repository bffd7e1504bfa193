"""A series with one value."""

from collections.abc import Sequence

from streams.change import Figures, Finding
from streams.detect.outline import Outline
from streams.detect.rare import RareEvents
from streams.series.learnt_series import LearntSeries
from streams.values import Floats, Value, number_of


class ConstantSeries(LearntSeries, tag="constant"):
    """One value in the whole reference: several others soon after each other are a fact."""

    _value: Value
    _rows: int
    _others: RareEvents
    _false_alarms: float

    @classmethod
    def of(cls, value: Value, rows: int, false_alarms: float) -> "ConstantSeries":
        """Return the series of a value that so many rows have had."""
        return cls(value, rows, RareEvents(rows), false_alarms)

    @property
    def is_settled(self) -> bool:
        """Never: a short reference may lack values that are only rare."""
        return False

    def run(
        self, values: Sequence[Value], x: Floats | None, expected: Floats | None
    ) -> Finding | None:
        """Read values until so many differ that it is no chance."""
        if values.count(self._value) == len(values):
            self._others.take_rows(len(values))
            return None
        for row, value in enumerate(values):
            if value == self._value:
                self._others.take_rows(1)
            elif self._others.take_hit(self._false_alarms):
                figures = Figures(
                    value=number_of(value),
                    baseline=number_of(self._value),
                    rows=self._others.rows,
                )
                return Finding(row=row, aspect="constant", detector="rule", figures=figures)
        return None

    def set_budget(self, false_alarms: float) -> None:
        """Set the false alarms per 10,000 values."""
        self._false_alarms = false_alarms

    def renew(self) -> None:
        """Forget all values read since the reference was made."""
        self._others = RareEvents(self._rows)

    def outline(self) -> Outline:
        """Return its one value."""
        return Outline("constant", self._rows, (self._value,), (1.0,))

    def describe(self) -> dict[str, object]:
        """Return the reference for display."""
        return {"kind": "constant", "rows": self._rows, "value": self._value}
