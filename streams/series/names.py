"""A series of names, keys or free text."""

from collections.abc import Sequence

from msgspec.structs import replace

from streams.change import Finding
from streams.detect.outline import Outline
from streams.detect.risen import RisenCategory
from streams.series.learnt_series import LearntSeries
from streams.values import Floats, Value, text_of


class NamesSeries(LearntSeries, tag="names"):
    """Names, keys, free text: only a value that becomes common is a finding."""

    _rows: int
    _distinct: int
    _risen: RisenCategory

    @classmethod
    def learn(cls, values: Sequence[Value], false_alarms: float) -> "NamesSeries":
        """Learn values of which none is common.

        ``false_alarms`` is per 10,000 values.
        """
        risen = RisenCategory.learn(values, (), is_closed=False)
        series = cls(len(values), len(set(values)), risen)
        series.set_budget(false_alarms)
        return series

    def set_budget(self, false_alarms: float) -> None:
        """Set the threshold."""
        self._risen.set_budget(false_alarms)

    def renew(self) -> None:
        """Forget all values read since the reference was made."""
        self._risen.renew()

    def run(
        self, values: Sequence[Value], x: Floats | None, expected: Floats | None
    ) -> Finding | None:
        """Read values until one of them has become common."""
        found = self._risen.run(values, ())
        return found and replace(found, category_index=0)

    def category(self, index: int) -> str | None:
        """Return the value that has become common, as text."""
        return text_of(self._risen.name)

    def outline(self) -> Outline:
        """Return that no value has a share of its own."""
        return Outline("names", self._rows)

    def describe(self) -> dict[str, object]:
        """Return the reference for display."""
        return {"kind": "names", "rows": self._rows, "distinct": self._distinct}
