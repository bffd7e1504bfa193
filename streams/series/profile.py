"""Make the references of a model offline, from recorded events.

Rule 1. A series' reference is every value that it has in the record, in log order.
Rule 2. A series with fewer than ``FEWEST_VALUES`` has no reference: it will learn live.
"""

from collections.abc import Sequence

import numpy as np

from schemas.model_spec import ModelSpec, SeriesProfile
from streams.alert.transition import Transition
from streams.aspects import BEHIND, SeriesRole
from streams.clock import Instants
from streams.series.offline import profile
from streams.series.reading import Column, Reading, RowTransition
from streams.series.series_set import REGRESSION_SERIES, SeriesSet
from streams.series.watch_spec import FIRST_STAGES
from streams.values import Scalar

FEWEST_VALUES = FIRST_STAGES[0]
"""Values that are not missing: as many as a live series is watched from."""


class RecordingSeries(SeriesSet):
    """Series that keep their values and find nothing."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self._kept: dict[str, list[Scalar]] = {}
        self._at_ms: dict[str, list[Instants]] = {}

    def read(
        self, columns: Sequence[Column], reading: Reading
    ) -> list[tuple[SeriesRole, RowTransition]]:
        """Keep the columns, from the first value of each series on."""
        for column, start in zip(columns, self._meet(columns, reading.event_of), strict=True):
            if start is not None:
                self._kept.setdefault(column.series, []).extend(column.values[start:])
                self._at_ms.setdefault(column.series, []).append(self._local(column.at_ms[start:]))
        return []

    def become_regression(self, now_ms: int) -> list[Transition]:
        """Forget the values of the series that begin again."""
        for series in REGRESSION_SERIES:
            self._kept.pop(series, None)
            self._at_ms.pop(series, None)
        return super().become_regression(now_ms)

    def profiles(self) -> dict[str, SeriesProfile]:
        """Return the reference of every series that has enough values."""
        return {
            series: SeriesProfile.model_validate(
                profile(
                    self._watch_spec(series, self[series].role),
                    values,
                    at_ms=np.concatenate(self._at_ms[series]),
                )
            )
            for series, values in self._kept.items()
            if sum(value is not None for value in values) >= FEWEST_VALUES
            and self[series].role not in BEHIND
        }
