"""What was known of predictions when they had reached one age: counts by slots of time, no pair.

Rule 1. A prediction counts in the slot of its instant. A label counts there if it came within the
        age; one that came within twice the age is evidence of how much the age misses.
Rule 2. A slot is read once, when its end has reached the age. Its rows could have come in any
        order, so one is drawn by a hash of the slot: the law of a series read pair by pair.
Rule 3. When its end has reached twice the age, a slot becomes evidence, and is forgotten. So memory
        depends on the age, not on the traffic.
Rule 4. Predictions count from the first label on that comes within twice the age: by an age that is
        far too short nothing is known, and it costs nothing.
Rule 5. An age is steady unless the part of the predictions known by it swings, between days or
        between hours of prediction, by more than `MAX_SWING` of itself and more than chance.
"""

import math
from collections.abc import Callable

import numpy as np
from msgspec import field

from streams.clock import DAY_MS, HOUR_MS, NEVER_MS
from streams.codec import Machine
from streams.series.drawn import drawn, mixed

SLOTS = 32
"""Slots of an age: it is read later by a thirty-second of itself at most, or by a day."""
SHORTEST_SLOT_MS = 60_000
"""Milliseconds: the values of a slot are read at once, and a reading has a fixed price."""
STEADY_DAYS = 7
"""Days of predictions before an age can be steady: a week shows labels that come on working
days."""
FADE = 1 / 60
"""Part of the sums of steadiness that a day takes away: they tell of two months."""
MAX_SWING = 0.05
"""Standard deviation of the known part, of itself, that is no swing; and the excess over chance is
measured to ``3 sqrt(2 / cells)``. First values tried, in simulations of ten delay laws."""
LEAST_ROWS = 30
"""Values of each class for a part of it to be known."""


class Slot(Machine):
    """Predictions of one slot, and their values by code: known within the age, or within twice."""

    predictions: int = 0
    known: dict[int, int] = {}
    later: dict[int, int] = {}
    is_read: bool = False


class Lot(Machine):
    """The values of a slot that is read.

    Parameters
    ----------
    start_ms, end_ms
        Its slot.
    codes
        The codes of its values, in the order drawn.
    fractions
        A number from 0 to 1 for each, drawn likewise.
    predictions
        Predictions of the slot, with or without a value.
    """

    start_ms: int
    end_ms: int
    codes: list[int]
    fractions: list[float]
    predictions: int


class Swing(Machine):
    """Sums over cells (days, or hours) of predictions ``n`` and those known ``m``."""

    n: float = 0.0
    m: float = 0.0
    nn: float = 0.0
    nm: float = 0.0
    mm: float = 0.0
    cells: float = 0.0

    def add(self, predictions: float, known: float) -> None:
        """Take in a cell."""
        if predictions:
            self.n += predictions
            self.m += known
            self.nn += predictions * predictions
            self.nm += predictions * known
            self.mm += known * known
            self.cells += 1.0

    def fade(self) -> None:
        """Let a day pass."""
        keep = 1 - FADE
        self.n, self.m, self.cells = self.n * keep, self.m * keep, self.cells * keep
        self.nn, self.nm, self.mm = self.nn * keep, self.nm * keep, self.mm * keep

    @property
    def is_steady(self) -> bool:
        """Whether the known part does not swing between the cells (Rule 5)."""
        if self.m <= 0 or self.cells <= 0:
            return False
        part = self.m / self.n
        total = self.mm - 2 * part * self.nm + part * part * self.nn
        chance = max(self.n * part * (1 - part), 1e-9)
        swing = math.sqrt(max(total - chance, 0.0) / self.nn) / part
        return swing <= MAX_SWING or total / chance <= 1 + 3 * math.sqrt(2 / self.cells)


class AgeTable(Machine):
    """The slots of one age.

    Attributes
    ----------
    age_ms, width_ms
        The age, and the width of a slot.
    since_ms
        The instant from which predictions count (Rule 4).
    slots
        Its slots, by number.
    known, labelled
        Values of each class (low, high) known within the age, and known by now.
    """

    age_ms: int
    width_ms: int
    since_ms: int = NEVER_MS
    slots: dict[int, Slot] = {}
    known: list[int] = field(default_factory=lambda: [0, 0])
    labelled: list[int] = field(default_factory=lambda: [0, 0])
    _days: Swing = field(default_factory=Swing)
    _hours: Swing = field(default_factory=Swing)
    _day: int = -1
    _hour: int = -1
    _of_day: list[int] = field(default_factory=lambda: [0, 0])
    _of_hour: list[int] = field(default_factory=lambda: [0, 0])
    _days_seen: int = 0

    @classmethod
    def of(cls, age_ms: int) -> "AgeTable":
        """Return the empty table of an age.

        Slots are of an hour at most, so that hours stay apart, or of whole days.
        """
        width_ms = max(age_ms // SLOTS, SHORTEST_SLOT_MS)
        if width_ms > HOUR_MS:
            width_ms = DAY_MS if age_ms >= 5 * DAY_MS else HOUR_MS
        return cls(age_ms, width_ms)

    @property
    def has_hours(self) -> bool:
        """Whether a slot belongs to one hour."""
        return self.width_ms <= HOUR_MS

    def due_ms(self, number: int, ages: int = 1) -> int:
        """Return the instant at which the end of a slot has reached so many ages."""
        return (number + 1) * self.width_ms + ages * self.age_ms

    def read(self, number: int, salt: int) -> Lot:
        """Read a slot (Rule 2)."""
        slot = self.slots[number]
        slot.is_read = True
        codes = [code for code in sorted(slot.known) for _ in range(slot.known[code])]
        start_ms = number * self.width_ms
        end_ms = start_ms + self.width_ms
        self._cover(start_ms, slot.predictions, len(codes))
        if len(codes) <= 1:
            return Lot(start_ms, end_ms, codes, [0.5] * len(codes), slot.predictions)
        numbers = drawn(number, salt, len(codes))
        order = np.argsort(numbers, kind="stable")
        fractions = (mixed(numbers) >> np.uint64(11)) * 2.0**-53
        return Lot(
            start_ms,
            end_ms,
            [codes[place] for place in order],
            fractions.tolist(),
            slot.predictions,
        )

    def close(self, number: int, is_high: Callable[[int], bool]) -> None:
        """Take a slot for evidence, and forget it (Rule 3)."""
        slot = self.slots.pop(number)
        for counts, totals in (
            (slot.known, (self.known, self.labelled)),
            (slot.later, (self.labelled,)),
        ):
            for code, rows in counts.items():
                for total in totals:
                    total[is_high(code)] += rows

    @property
    def is_known(self) -> bool:
        """Whether enough of each class is known to tell parts."""
        return min(self.labelled) >= LEAST_ROWS

    def known_part(self, *, of_high: bool) -> float:
        """Return the part of the values of a class that is known within the age."""
        return self.known[of_high] / max(self.labelled[of_high], 1)

    @property
    def is_steady(self) -> bool:
        """Whether the part of the predictions known within the age is steady (Rule 5)."""
        if self._days_seen < STEADY_DAYS:
            return False
        return self._days.is_steady and (not self.has_hours or self._hours.is_steady)

    def _cover(self, at_ms: int, predictions: int, known: int) -> None:
        day, hour = at_ms // DAY_MS, at_ms // HOUR_MS
        if hour != self._hour:
            self._hours.add(*self._of_hour)
            self._of_hour, self._hour = [0, 0], hour
        if day != self._day:
            if self._day >= 0:
                self._days.fade()
                self._hours.fade()
                self._days.add(*self._of_day)
                self._days_seen += 1
            self._of_day, self._day = [0, 0], day
        for cell in (self._of_hour, self._of_day):
            cell[0] += predictions
            cell[1] += known
