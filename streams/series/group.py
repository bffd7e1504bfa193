"""Series of one model whose values come in the same rows, read in one call of a kernel.

Most readings are of a few rows, with which nothing is due and of which nothing is to be told. There
the price is that of a call for each series; a group makes one for all of them.

Rule 1. A group decides nothing. A series of which a value is odd, or something is to be told, keeps
        the state that it had, leaves the group, and is read by its own watch. So reading with and
        without groups gives the same alerts and the same state.
Rule 2. A group reads no further than the first row with which something is due in one of its series
        (a stage of learning, a test of the hours): then all of them are read apart.
Rule 3. Series count the rows that their group has read when they are asked for (`settle`), and
        every ``HELD_ROWS``.
Rule 4. Meanwhile the state of their detectors is a row of the group's arrays.
"""

from collections.abc import Sequence
from itertools import chain, compress
from operator import not_
from typing import NamedTuple

import numpy as np

from streams.clock import NEVER_MS
from streams.detect import level_kernel
from streams.detect.compiled import Places, Singles
from streams.detect.group_kernel import ODD, SERIES, STATE, read_group
from streams.detect.level import NumericDetector
from streams.detect.odd import OddNumbers
from streams.detect.trail import new_trail
from streams.season.hour_profile import Timestamps
from streams.series.inputs import NUMBER, TYPES
from streams.series.monitored import MonitoredSeries
from streams.series.reading import OF_DOUBLES, Column, kinds_of, listed
from streams.series.watch import SeriesWatch
from streams.values import Floats, Scalar

HELD_ROWS = 128
"""Rows that a group has read and its series have not counted, at most: 8 bytes a value. A call for
each series costs a hundredth of it then."""
_FLOATS = {float}
_CACHED = 2_048
"""Numbers whose objects, of 24 bytes, fit into a cache beside the rest. By judgement."""


class _Member(NamedTuple):
    """A series of a group.

    Parameters
    ----------
    place
        That of its column.
    watch
        Its watch.
    kinds
        Types of its values.
    level, odd
        The detectors of it that are in the kernel, if any.
    """

    place: int
    watch: SeriesWatch
    kinds: frozenset[type]
    level: NumericDetector | None = None
    odd: OddNumbers | None = None

    def take_back(self) -> None:
        """Give the series the state of its detectors back."""
        if self.level is not None and self.odd is not None:
            self.level.take_back()
            self.odd.take_back()


class _Held(NamedTuple):
    """Rows that have been read, and are not counted by the series.

    Parameters
    ----------
    x
        The numbers as doubles, a row for each series.
    whole
        The numbers of a row of which some are no doubles.
    words
        The values of the other series.
    moments
        The instants.
    """

    x: Floats
    whole: dict[int, Sequence[Scalar]]
    words: list[Sequence[Scalar]]
    moments: Timestamps


class SeriesGroup:
    """Series of one model that are read together.

    Parameters
    ----------
    series
        The series.
    columns
        Values of each: their types tell which series can be read by the kernel.

    Attributes
    ----------
    is_stale
        Whether series that are read apart can be read together again: it is to be made anew.
    """

    def __init__(self, series: Sequence[MonitoredSeries], columns: Sequence[Column]) -> None:
        self._series = series
        self._numbers: list[_Member] = []
        self._words: list[_Member] = []
        self._apart: list[int] = []
        for place, (each, column) in enumerate(zip(series, columns, strict=True)):
            self._join(place, each, kinds_of(column.values))
        self._arrays = _Arrays(self._numbers)
        self._held: list[_Held] = []
        self._rows = 0
        self._room = self._due = 0
        self.is_stale = False
        self._look_ahead()

    def _join(self, place: int, series: MonitoredSeries, kinds: set[type]) -> None:
        """Take a series in, if its values can be read together with others."""
        watch = series.watch
        family = watch.family_read_together if series.is_at_rest else None
        if family is None or not kinds <= TYPES[family]:
            self._apart.append(place)
        elif kinds <= NUMBER and watch.is_read_by_kernel:
            self._numbers.append(_Member(place, watch, NUMBER, watch.level, watch.odd))
        elif watch.level is None:
            self._words.append(_Member(place, watch, TYPES[family]))
        else:
            self._apart.append(place)

    def read(self, columns: Sequence[Column], moments: Timestamps) -> list[int] | None:
        """Read rows; return the places of the series that are to be read apart.

        None for all of them: nothing has been read, and the group is to be dissolved.
        """
        rows = len(columns[0].values)
        if not 0 < rows <= self._room or moments.latest >= self._due:
            return None
        if odd := [each for each in self._words if not _is_own(each, columns)]:
            self._leave(odd)
        try:
            x, are_doubles = self._table_of(columns, rows)
        except OverflowError:  # an integer beyond a double: its watch refuses it
            return None
        if self._numbers and (found := self._arrays.read(x)):
            self._leave([self._numbers[row] for row in found])
            x = np.delete(x, found, axis=0)
        words = [listed(columns[each.place].values) for each in self._words]
        passes = list(map(_passes_over, self._words, words))
        if not all(passes):
            self._leave(list(compress(self._words, map(not_, passes))))
            words = list(compress(words, passes))
        whole = {}
        if not are_doubles:
            numbers = [columns[each.place].values for each in self._numbers]
            whole = {row: each for row, each in enumerate(numbers) if kinds_of(each) != _FLOATS}
        self._held.append(_Held(x, whole, words, moments))
        self._rows += rows
        self._room -= rows
        if self._rows >= HELD_ROWS:
            self.settle()
            self.is_stale = any(self._may_join(place) for place in self._apart)
        return self._apart

    def _table_of(self, columns: Sequence[Column], rows: int) -> tuple[Floats, bool]:
        """Return the numbers as doubles, and whether all are; a series of which one is none leaves.

        Columns are checked and turned a few at a time, while their objects are in the cache.
        """
        step = max(_CACHED // rows, 1)
        while True:
            numbers = [columns[each.place].values for each in self._numbers]
            x, kinds = np.empty((len(numbers), rows)), set[type]()
            for first in range(0, len(numbers), step):
                some = numbers[first : first + step]
                # The numbers of an array are doubles: none is looked at.
                boxed = [values for values in some if type(values) not in OF_DOUBLES]
                kinds.update(map(type, chain.from_iterable(boxed)))
                if not kinds <= NUMBER:
                    break
                x[first : first + step] = some
            else:
                return x, kinds <= _FLOATS
            self._leave([each for each in self._numbers if not _is_own(each, columns)])

    def settle(self) -> None:
        """Let the series count the rows that have been read."""
        held, rows = self._held, self._rows
        if not rows:
            return
        self._held, self._rows = [], 0
        moments, x = held[0].moments, held[0].x
        if len(held) > 1:
            moments = Timestamps(np.concatenate([each.moments.minutes for each in held]))
            x = np.concatenate([each.x for each in held], axis=1)
        whole = set(chain.from_iterable(each.whole for each in held))
        for row, member in enumerate(self._numbers):
            values: Sequence[Scalar] = ()
            if row in whole:
                parts = [each.whole.get(row) or each.x[row].tolist() for each in held]
                values = list(chain.from_iterable(parts))
            elif member.watch.keeps_values:
                values = x[row].tolist()
            last = values[-1] if values else float(x[row, -1])
            member.watch.keep(rows, values, x[row], moments)
            member.watch.go_on(self._arrays.run_of(row), last)
        for row, member in enumerate(self._words):
            values = list(chain.from_iterable(each.words[row] for each in held))
            member.watch.keep(rows, values, None, moments)
        self._look_ahead()

    def dissolve(self) -> None:
        """Let the series count all rows, and give them their state back."""
        self.settle()
        for member in self._numbers:
            member.take_back()

    def _leave(self, members: Sequence[_Member]) -> None:
        """Give some of the series their state back: they are read apart from now on."""
        self.settle()
        for member in members:
            member.take_back()
            self._apart.append(member.place)
        self._apart.sort()
        gone = {member.place for member in members}
        kept = [row for row, each in enumerate(self._numbers) if each.place not in gone]
        self._arrays.keep(kept)
        self._numbers = [self._numbers[row] for row in kept]
        self._words = [each for each in self._words if each.place not in gone]

    def _may_join(self, place: int) -> bool:
        series = self._series[place]
        return series.is_at_rest and series.watch.family_read_together is not None

    def _look_ahead(self) -> None:
        """Find how far may be read (Rule 2)."""
        members = [*self._numbers, *self._words]
        self._room = min((each.watch.quiet_rows for each in members), default=HELD_ROWS)
        self._due = min((each.watch.test_due for each in members), default=NEVER_MS)


class _Arrays:
    """The state of the numbers of a group, a row for each series (Rule 4)."""

    def __init__(self, members: Sequence[_Member]) -> None:
        sizes = [(0, 0) if each.level is None else each.level.sizes for each in members]
        window = STATE + max((size for size, _ in sizes), default=0)
        columns = window + max((size for _, size in sizes), default=0)
        self._places: Places = np.arange(len(members))
        self._states: Floats = np.zeros((len(members), columns))
        trail = _TRAIL if window > STATE else 0  # series that only learn need no room
        self._trails: Singles = np.zeros((len(members), trail), dtype=np.float32)
        for row, member in enumerate(members):
            state = self._states[row]
            state[SERIES.limit], state[SERIES.run], state[SERIES.last] = member.watch.run
            if member.level is not None and member.odd is not None:
                member.odd.move_to(state[ODD:STATE])
                state[SERIES.window] = window
                state[SERIES.delta], state[SERIES.clock] = member.level.adwin_test
                member.level.move_to(state[STATE:window], self._trails[row], state[window:])

    def read(self, x: Floats) -> list[int]:
        """Read a row of values for each series; return the rows in which something is to tell."""
        found = read_group(x, self._places, self._states, self._trails)
        odd = self._states[self._places, SERIES.is_odd] if found else ()
        return np.flatnonzero(odd).tolist()

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows alone."""
        self._places = self._places[np.array(rows, dtype=np.intp)]

    def run_of(self, row: int) -> int:
        """Return the length of the run of equal values that a series is in."""
        return int(self._states[self._places[row], SERIES.run])


_TRAIL = len(new_trail(level_kernel.TRAIL))


def _passes_over(member: _Member, values: Sequence[Scalar]) -> bool:
    return member.watch.passes_over(values)


def _is_own(member: _Member, columns: Sequence[Column]) -> bool:
    """Whether all values of a series are of its own types."""
    return member.kinds >= kinds_of(columns[member.place].values)
