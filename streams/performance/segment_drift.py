"""The distributions of the largest parts of a model's traffic, a day each.

Rule 1. A day's parts are the ``MOST_SEGMENTS`` values of `segment` with the most rows on the day
        before; on the first day, in the hours before the first references are taken.
Rule 2. Values are counted by the frame of the whole model's series: its reference is the reference
        of each part. Features, the answer and the score are counted.
Rule 3. Counts are sums of integers: how values are cut into readings changes nothing.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from streams.codec import Machine
from streams.performance.dimension import MOST_CHARACTERS
from streams.performance.frame import Frame
from streams.performance.grid import Tally
from streams.values import Scalar

MOST_SEGMENTS = 20
"""Parts of the traffic with figures of their own: more are read by nobody, and each costs as much
as a reading of a twentieth of the rows."""
MOST_VALUES = 200
"""Values of a dimension whose rows are counted to find the largest ones."""
MOST_DIMENSIONS = 16

RowSegment = Mapping[str, str] | None
"""`segment` of a prediction."""


class Part(NamedTuple):
    """One value of one dimension."""

    dimension: str
    value: str


class SegmentTallies(Machine):
    """The counts of the parts.

    Attributes
    ----------
    rows
        Rows of this day by dimension and value.
    parts, tallies
        The parts of this day, and the values of each by series.
    """

    rows: dict[str, dict[str, int]] = {}
    parts: list[Part] = []
    tallies: list[dict[str, Tally]] = []

    def count_rows(self, segments: Sequence[RowSegment]) -> None:
        """Count predictions by their parts."""
        for segment in segments:
            for dimension, value in (segment or {}).items():
                values = self.rows.get(dimension)
                if values is None:
                    if len(self.rows) >= MOST_DIMENSIONS:
                        continue
                    values = self.rows[dimension] = {}
                is_full = len(values) >= MOST_VALUES or len(value) > MOST_CHARACTERS
                if value in values or not is_full:
                    values[value] = values.get(value, 0) + 1

    def members(self, segments: Sequence[RowSegment]) -> list[list[int]]:
        """Return, for each part of the day, the places of its rows."""
        members: list[list[int]] = [[] for _ in self.parts]
        places = {part: members[number] for number, part in enumerate(self.parts)}
        if not places:
            return members
        for place, segment in enumerate(segments):
            for named in (segment or {}).items():
                found = places.get(Part(*named))
                if found is not None:
                    found.append(place)
        return members

    def count(
        self, series: str, frame: Frame, values: Sequence[Scalar], members: list[list[int]]
    ) -> None:
        """Count the values of one series, whose rows are those of ``members``."""
        for tallies, places in zip(self.tallies, members, strict=True):
            if places:
                tally = tallies.setdefault(series, Tally())
                frame.count([values[place] for place in places], tally)

    def forget_values(self, series: str) -> None:
        """Forget the values of a series: they were counted by another reference."""
        for tallies in self.tallies:
            if series in tallies:
                tallies[series].forget_values()

    def choose(self) -> None:
        """Take the largest parts; they are counted from here on."""
        found = [
            (-rows, Part(dimension, value))
            for dimension, values in self.rows.items()
            for value, rows in values.items()
        ]
        self.parts = [part for _, part in sorted(found)[:MOST_SEGMENTS]]
        self.tallies = [{} for _ in self.parts]

    def begin_day(self) -> None:
        """Count another day, by the largest parts of the one that is over."""
        self.choose()
        self.rows = {}
