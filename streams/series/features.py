"""The features of a model: which of them are monitored, and the columns of their values."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import compress, repeat
from operator import methodcaller
from typing import Any

import numpy as np

from schemas.feature_row import FeatureRow, Features, as_dict, doubles_of, names_of
from streams.clock import Instants
from streams.series.reading import Column
from streams.series.series_state import SeriesSetState
from streams.values import Floats, Scalar

MAX_SERIES = 1_000
"""Features of one model: twice the widest table that was measured (500), so that a model that
invents names costs a bounded amount of memory."""


_values_of = methodcaller("values")
_new_column: Callable[[Iterable[Any]], Column] = partial(tuple.__new__, Column)


class FeatureSeries:
    """The features, by name.

    Parameters
    ----------
    state
        The stored state of the series.
    ignored
        Features that are not monitored.

    Attributes
    ----------
    usual_names
        The features of a prediction of which none can be new, in their order; empty where none is
        known.
    """

    def __init__(self, state: SeriesSetState, ignored: Collection[str]) -> None:
        self._state = state
        self._ignored = frozenset(ignored)
        self.usual_names: tuple[str, ...] = ()
        named = state.feature_series.items()
        self._begun = {name for name, series in named if series in state.series}

    def ignore(self, ignored: Collection[str]) -> list[str]:
        """Ignore other features; return the series that end. Others are met again."""
        self._ignored = frozenset(ignored)
        known, ended = self._state.feature_series, []
        for name, series in list(known.items()):
            if name in self._ignored:
                known[name] = ""
                ended.append(series)
            elif not series:
                del known[name]
        return ended

    def note_beginning(self, series: str) -> None:
        """Take note of a series that begins."""
        self._begun.add(series.removeprefix("feature/"))

    def note_end(self, series: str) -> None:
        """Take note of a series that ends."""
        self._begun.discard(series.removeprefix("feature/"))
        self.usual_names = ()

    def begins(self, given: Features) -> bool:
        """Tell whether any of these values is the first of its feature."""
        features = as_dict(given)
        if features.keys() <= self._begun:
            self.usual_names = names_of(given)
            return False
        return any(
            value is not None and self._may_begin(name)
            for name, value in features.items()
            if name not in self._begun
        )

    def unmet(self, given: Features) -> list[str]:
        """Return the features that have a value here, and never had one before."""
        known, features = self._state.feature_series, as_dict(given)
        return [
            name
            for name, value in features.items()
            if value is not None and name not in known and self._may_begin(name)
        ]

    def columns(self, given: Sequence[Features], at_ms: Instants) -> list[Column]:
        """Return the columns of the monitored features; a feature without a value is missing."""
        known = self._state.feature_series
        by_name: Mapping[str, Any] | None = None
        rows: Sequence[Any] = given
        if FeatureRow in set(map(type, given)):
            by_name = self._columns_of_doubles(given)
            rows = rows if by_name is not None else [as_dict(each) for each in given]
        if by_name is None:
            shapes = set(map(tuple, rows))
            if len(shapes) == 1 and rows[0].keys() <= known.keys():
                # All rows name the same features in the same order, as nearly always: turned over
                # as a whole, 500 features take an eighth of the time of looking each of them up.
                names, values = shapes.pop(), zip(*map(_values_of, rows), strict=True)
                by_name = dict(zip(names, values, strict=True))
        if by_name is not None:
            asked = list(compress(known, known.values()))
            found = map(by_name.get, asked, repeat((None,) * len(given)))
            parts = zip(map(known.get, asked), repeat("feature"), found, repeat(at_ms))
            return list(map(_new_column, parts))  # a loop in C: a reading has but a few rows
        for features in rows:
            if not features.keys() <= known.keys():
                self._meet(features)
        return [
            Column(series, "feature", [features.get(name) for features in rows], at_ms)
            for name, series in known.items()
            if series
        ]

    def _columns_of_doubles(self, rows: Sequence[Features]) -> dict[str, Floats] | None:
        """Return the values of each feature; None where not all rows hold the same, as doubles."""
        names, parts = names_of(rows[0]), []
        for row in rows:
            given = names_of(row)
            is_same = given is names or given == names  # 500 names take 2 us to compare
            doubles = doubles_of(row) if is_same else None
            if doubles is None:
                return None
            parts.append(doubles)
        if not all(map(self._state.feature_series.__contains__, names)):
            return None
        table = np.frombuffer(b"".join(parts)).reshape(len(rows), len(names))
        return dict(zip(names, np.ascontiguousarray(table.T), strict=True))

    def _may_begin(self, name: str) -> bool:
        if name in self._state.feature_series:
            return bool(self._state.feature_series[name])
        return name not in self._ignored and len(self._state.feature_series) < MAX_SERIES

    def _meet(self, features: Mapping[str, Scalar]) -> None:
        known = self._state.feature_series
        for name in features:
            if name in known:
                continue
            if len(known) >= MAX_SERIES:
                self._state.unwatched_values += 1
            else:
                known[name] = "" if name in self._ignored else f"feature/{name}"
