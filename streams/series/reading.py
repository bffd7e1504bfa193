"""Values that are read at once: columns, the events of their rows, and a stretch of one series."""

from array import array
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from schemas.model_spec import AlertRules
from streams.alert.transition import Transition
from streams.aspects import SeriesRole
from streams.clock import Instants
from streams.season.hour_profile import Timestamps
from streams.values import Scalar


class Column(NamedTuple):
    """Values of one series, in log order.

    Parameters
    ----------
    series, role
        The series.
    values
        Its values; None is missing. Doubles may stand in an array, which is read sooner.
    at_ms
        Their instants.
    """

    series: str
    role: SeriesRole
    values: Sequence[Scalar]
    at_ms: Instants


OF_DOUBLES = frozenset((array, np.ndarray))
"""Columns of which every value is a double."""


def listed(values: Any) -> Sequence[Scalar]:
    """Return the values of a column one by one."""
    found: Sequence[Scalar] = values.tolist() if type(values) in OF_DOUBLES else values
    return found


def kinds_of(values: Any) -> set[type]:
    """Return the types of the values of a column."""
    return {float} if type(values) in OF_DOUBLES else set(map(type, values))


class Origin(Protocol):
    """The event that a value came with."""

    @property
    def offset(self) -> int:
        """The offset of its record in ``events``."""

    @property
    def place(self) -> int:
        """Its place there."""

    @property
    def now_ms(self) -> int:
        """The model's log time at it."""


EventOf = Callable[[SeriesRole, int], Origin]
"""Gives the event of a row of a column."""


class Reading(NamedTuple):
    """One reading of many series: the events of its rows, and the alert rules in force."""

    event_of: EventOf
    rules: AlertRules


class Stretch(NamedTuple):
    """Values of one series that are being read.

    Parameters
    ----------
    values
        The values.
    at_ms, timestamps
        Their instants; series of one model share the timestamps.
    first_row
        The row of the first value in its column.
    seen
        Values of the series before the first.
    role
        The role of the series.
    reading
        The reading.
    """

    values: Sequence[Scalar]
    at_ms: Instants
    timestamps: Timestamps | None
    first_row: int
    seen: int
    role: SeriesRole
    reading: Reading

    @property
    def rules(self) -> AlertRules:
        """The alert rules in force."""
        return self.reading.rules

    def part(self, start: int, end: int) -> tuple[Sequence[Scalar], Timestamps | None]:
        """Return some of the values with their timestamps."""
        when = self.timestamps and self.timestamps.at(slice(start, end))
        return self.values[start:end], when

    def now_ms(self, row: int) -> int:
        """Return the model's log time at a value."""
        return self.reading.event_of(self.role, self.first_row + row).now_ms

    def at(self, row: int, transitions: Sequence[Transition]) -> list["RowTransition"]:
        """Return transitions as those at a value."""
        series_seen = self.seen + row + 1
        return [
            RowTransition(self.first_row + row, each._replace(series_seen=series_seen))
            for each in transitions
        ]


class RowTransition(NamedTuple):
    """A transition, and the row of the column at which it happens."""

    row: int
    transition: Transition
