"""Counts of the latest predictions and their outcomes: what a range of rows is worth as data.

Rule 1. Counts are by the hour of the prediction, so that completeness compares like with like.
Rule 2. At most ``MOST_HOURS`` hours and ``MOST_CLASSES`` classes are kept: memory is bounded.
"""

import math

import orjson
from msgspec import field

from streams.clock import HOUR_MS
from streams.codec import Machine
from streams.values import Answer

MOST_HOURS = 336
"""Hours, two weeks: an onset further back leaves rows that are mostly of the time before it."""
MOST_CLASSES = 20
"""Classes counted by name; the others share one. As many as in `metrics`."""
OTHER = "(other)"
CELLS_AN_OCTAVE = 6
DELAY_CELLS = 120
"""Cells of delays from a second up to 12 days, each a ninth longer than the one before."""


class HourCounts(Machine):
    """The predictions of one hour."""

    predictions: int = 0
    fallbacks: int = 0
    labelled: int = 0
    classes: dict[str, int] = {}


class TallyCounts(HourCounts):
    """The predictions from an instant on.

    Attributes
    ----------
    from_ms
        The instant: the beginning of an hour.
    """

    from_ms: int = 0

    @property
    def completeness(self) -> float | None:
        """Share of the answers of the model that have an outcome."""
        answered = self.predictions - self.fallbacks
        return min(1.0, self.labelled / answered) if answered else None


class Tally(Machine):
    """The counts of one model, by hour."""

    _hours: dict[int, HourCounts] = field(default_factory=dict)
    _delays: dict[int, int] = {}

    def on_prediction(self, at_ms: int, *, is_fallback: bool) -> None:
        """Count a prediction."""
        counts = self._hour(at_ms)
        counts.predictions += 1
        counts.fallbacks += is_fallback

    def on_outcome(self, truth: Answer, at_ms: int, delay_ms: int, *, is_class: bool) -> None:
        """Count the outcome of an answer that was given at an instant."""
        counts = self._hours.get(at_ms // HOUR_MS)
        if counts is None:
            return
        counts.labelled += 1
        cell = _delay_cell(delay_ms)
        self._delays[cell] = self._delays.get(cell, 0) + 1
        if not is_class:
            return
        name = orjson.dumps(truth).decode()
        if name not in counts.classes and len(counts.classes) >= MOST_CLASSES:
            name = OTHER
        counts.classes[name] = counts.classes.get(name, 0) + 1

    def since(self, from_ms: int) -> TallyCounts:
        """Return the counts of the predictions made since the hour of an instant."""
        hours = {hour: each for hour, each in self._hours.items() if hour >= from_ms // HOUR_MS}
        total = TallyCounts(from_ms=min(hours, default=from_ms // HOUR_MS) * HOUR_MS)
        for each in hours.values():
            total.predictions += each.predictions
            total.fallbacks += each.fallbacks
            total.labelled += each.labelled
            for name, count in each.classes.items():
                total.classes[name] = total.classes.get(name, 0) + count
        total.classes = dict(sorted(total.classes.items()))
        return total

    def delay_p90_s(self) -> float | None:
        """Return the seconds within which nine outcomes in ten were known; a ninth too long."""
        left = 0.9 * sum(self._delays.values())
        for cell in sorted(self._delays):
            left -= self._delays[cell]
            if left <= 0:
                return round(math.pow(2.0, (cell + 1) / CELLS_AN_OCTAVE), 1)
        return None

    def _hour(self, at_ms: int) -> HourCounts:
        hour = at_ms // HOUR_MS
        counts = self._hours.get(hour)
        if counts is None:
            counts = self._hours[hour] = HourCounts()
            if len(self._hours) > MOST_HOURS:
                del self._hours[min(self._hours)]
        return counts


def _delay_cell(delay_ms: int) -> int:
    cell = math.floor(CELLS_AN_OCTAVE * math.log2(max(delay_ms, 1_000) / 1_000))
    return min(cell, DELAY_CELLS - 1)
