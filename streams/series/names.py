"""A series of names, keys or free text."""

from collections.abc import Sequence

from streams.change import Finding
from streams.series.learnt_series import LearntSeries
from streams.values import Floats, Value


class NamesSeries(LearntSeries, tag="names"):
    """Names, keys, free text: no value is common enough to have a share worth watching."""

    _rows: int
    _distinct: int

    def run(
        self, values: Sequence[Value], x: Floats | None, expected: Floats | None
    ) -> Finding | None:
        """Find nothing."""

    def describe(self) -> dict[str, object]:
        """Return the reference for display."""
        return {"kind": "names", "rows": self._rows, "distinct": self._distinct}
