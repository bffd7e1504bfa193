"""A learnt series of any kind.

Rule 1. Whatever its kind, a series reads a list of values and returns at most one finding; after
        it the series relearns.
"""

from collections.abc import Mapping, Sequence

from streams.change import Finding
from streams.codec import Machine
from streams.detect.level import NumericDetector
from streams.detect.outline import Outline
from streams.detect.share import ShareDetector
from streams.values import Floats, Value

Detectors = tuple[NumericDetector | ShareDetector, ...]


class LearntSeries(Machine):
    """A learnt series: its reference, and the detectors that compare values with it."""

    @property
    def detectors(self) -> Detectors:
        """The statistical detectors of the series."""
        return ()

    @property
    def is_settled(self) -> bool:
        """Whether even a short reference shows the series as it is."""
        return all(detector.is_settled for detector in self.detectors)

    @property
    def is_steady(self) -> bool:
        """Whether the reference shows no slow motion."""
        return all(detector.is_steady for detector in self.detectors)

    @property
    def is_calm(self) -> bool:
        """Whether no statistic is near an alarm."""
        return all(detector.is_calm for detector in self.detectors)

    @property
    def watched(self) -> tuple[Value | None, ...]:
        """The categories watched by their shares, None for the rest, in order."""
        return ()

    @property
    def left_out(self) -> tuple[Value, ...]:
        """The values that the mean and the spread of a number leave out."""
        return ()

    @property
    def clumps(self) -> dict[str, float]:
        """The inflations above 1 of its detectors, by name."""
        return {}

    def widen(self, clumps: Mapping[str, float]) -> None:
        """Take the inflations of its detectors for these at least; `set_budget` follows."""

    def set_budget(self, false_alarms: float) -> None:
        """Set the thresholds, for equal parts of so many false alarms per 10,000 values."""
        detectors = self.detectors
        for detector in detectors:
            detector.set_budget(false_alarms / len(detectors))

    def renew(self) -> None:
        """Forget all values read since the reference was made."""
        for detector in self.detectors:
            detector.renew()

    def run(
        self, values: Sequence[Value], x: Floats | None, expected: Floats | None
    ) -> Finding | None:
        """Read values until one reveals a change.

        Parameters
        ----------
        values
            At least one.
        x
            The values as doubles; None where one is text.
        expected
            The part of the hour of each row in the share of each of ``watched``: a row for each
            value, a column for each category.
        """
        raise NotImplementedError

    def category(self, index: int) -> str | None:
        """Return the category that a finding names by its place, as text."""
        return None

    def outline(self) -> Outline:
        """Return the distribution of the reference."""
        raise NotImplementedError

    def describe(self) -> dict[str, object]:
        """Return the reference for display, as JSON carries it."""
        raise NotImplementedError
