"""Read the values of late labels when their predictions have reached a fixed age.

In the order of arrival, labels of one class that come later than those of the other are missing at
first, and whenever the traffic grows. Among predictions of one age they are not: the part of each
class that is known by then stays the same.

Rule 1. ``AGES`` are tried. Each learns from the first day; those chosen are watched, once they have
        read a complete reference, ``LEAST_ROWS`` of each class, and ``LEARNT_MS``.
Rule 2. Once a day, for each of ``PARTS``, the smallest steady age is chosen by which that part of
        the rarer class is known. It is kept until much less is known by it, or it is unsteady; then
        a longer one is chosen.
Rule 3. The budget of the series is divided among the different ages watched that day.
Rule 4. A change found at one age is one of all: every age learns anew.
Rule 5. Slots are read in the order in which they are due, and whole. So how the log is cut into
        records changes nothing.
"""

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from msgspec import field

from streams.change import Figures
from streams.clock import DAY_MS, HOUR_MS, NEVER_MS
from streams.codec import Machine
from streams.series.age_table import LEAST_ROWS, AgeTable, Lot, Slot
from streams.series.label_codes import LabelCodes
from streams.series.lane import Lane
from streams.series.watch import SeriesWatch
from streams.series.watch_spec import WatchSpec
from streams.values import Value

AGES = tuple(
    round(1.05 * age_ms)
    for age_ms in (
        60_000,
        600_000,
        HOUR_MS,
        6 * HOUR_MS,
        *(days * DAY_MS for days in (1, 3, 7, 14, 30, 60)),
    )
)
"""Milliseconds. A source that calls an answer right after seven days to the hour would fall astride
of seven days: ages are a twentieth longer."""
PARTS = (0.2, 0.5, 0.8, 0.95)
"""Parts of the rarer class known by an age: an early one for large changes, a late one for all."""
LESS = 0.1
"""Part that may be missing from one of ``PARTS`` before the age is given up."""
LEARNT_MS = 7 * DAY_MS
"""Milliseconds: a week, as labels may come on working days."""
MOST_TRAIL = 128
"""Entries of a trail: the beginning of a change is found to a sixty-fourth of the time read."""
OPPOSED = 0.5
"""Part of the opposite movement of right answers, expected where the errors alone have changed,
below which the labels come differently. First value tried, in simulations."""


class Passed(NamedTuple):
    """A slot that was read: its beginning, its values, those of the high class, predictions."""

    start_ms: int
    rows: int
    high: int
    predictions: int


class AgeLane(Machine):
    """One age: its table, and the lane that reads it."""

    table: AgeTable
    lane: Lane
    rows: int = 0
    high: int = 0
    since_ms: int = -1
    trail: list[Passed] = []

    def begin(self) -> None:
        """Learn anew (Rule 4)."""
        self.rows = self.high = 0
        self.since_ms, self.trail = -1, []

    def is_ready(self, now_ms: int) -> bool:
        """Whether it has learnt enough to be watched (Rule 1)."""
        rows = self.lane.watch.spec.reference_rows
        classes = min(self.high, self.rows - self.high)
        is_long = self.since_ms >= 0 and now_ms - self.since_ms >= LEARNT_MS
        return is_long and self.rows >= rows and classes >= LEAST_ROWS

    def note(self, lot: Lot, high: int, due_ms: int) -> None:
        """Take note of a slot that was read."""
        if self.since_ms < 0:
            self.since_ms = due_ms
        self.rows += len(lot.codes)
        self.high += high
        trail = self.trail
        trail.append(Passed(lot.start_ms, len(lot.codes), high, lot.predictions))
        if len(trail) > MOST_TRAIL:  # the older half, two by two
            half = len(trail) // 2 // 2 * 2
            pairs = zip(trail[:half:2], trail[1:half:2], strict=True)
            trail[:half] = [
                Passed(one.start_ms, one.rows + two.rows, one.high + two.high, one[3] + two[3])
                for one, two in pairs
            ]

    def run_of(self, rows: int) -> tuple[Sequence[Passed], Sequence[Passed]]:
        """Return the slots before the last ``rows`` values, and those of them."""
        at = len(self.trail)
        while at > 0 and rows > 0:
            at -= 1
            rows -= self.trail[at].rows
        return self.trail[:at], self.trail[at:]


class AgedLot(NamedTuple):
    """The values of one slot, and the age at which they are read."""

    age: AgeLane
    lot: Lot
    values: list[Value]
    is_watched: bool


class PredictionRun(Machine):
    """Predictions of one slot at every age, which no slot has counted yet.

    Attributes
    ----------
    from_ms, to_ms
        The instants of predictions that belong to it.
    predictions
        How many there are.
    """

    from_ms: int = 0
    to_ms: int = 0
    predictions: int = 0


class LabelRun(Machine):
    """Labels of predictions of one slot at every age, which no slot has counted yet.

    Attributes
    ----------
    from_ms, to_ms
        The instants of predictions that belong to it; none do where these are equal.
    counts
        The labels by code. All came within the shortest age.
    """

    from_ms: int = 0
    to_ms: int = 0
    counts: dict[int, int] = {}


class LateLabels(Machine):
    """The ages of one series.

    Parameters
    ----------
    ages
        Those tried, the shortest first.
    codes
        Its values as counted.
    run
        The predictions that came last.
    labels
        The labels of the latest slot that has any.
    watched_since_ms
        When an age was watched first; -1 before.
    """

    ages: list[AgeLane]
    codes: LabelCodes
    run: PredictionRun = field(default_factory=PredictionRun)
    labels: LabelRun = field(default_factory=LabelRun)
    watched_since_ms: int = -1
    _false_alarms: float = 0.0
    _heap: list[tuple[int, int, int]] = []
    _picks: dict[int, int] = {}
    _live: list[int] = []
    _day: int = -1

    @classmethod
    def of(
        cls, spec: WatchSpec, codes: LabelCodes, wait_s: float, false_alarms: float
    ) -> "LateLabels":
        """Return the ages of a series, up to the time that a prediction waits for its label."""
        ages = [
            AgeLane(AgeTable.of(age_ms), Lane(SeriesWatch(spec)))
            for age_ms in AGES
            if age_ms <= 1.05 * 1_000 * wait_s or age_ms == AGES[0]
        ]
        late = cls(ages, codes)
        late.set_budget(false_alarms)
        return late

    @property
    def due_ms(self) -> int:
        """The instant at which the next slot is due."""
        return self._heap[0][0] if self._heap else NEVER_MS

    @property
    def watched(self) -> list[AgeLane]:
        """The ages that are watched today."""
        return [self.ages[index] for index in self._live]

    def set_budget(self, false_alarms: float) -> None:
        """Divide a budget among the ages watched (Rule 3)."""
        self._false_alarms = false_alarms
        for age in self.ages:
            age.lane.watch.set_budget(false_alarms / max(len(self._live), 1))

    def respec(self, spec: WatchSpec) -> None:
        """Put the settings of the series in force."""
        for age in self.ages:
            age.lane.watch.spec = spec

    def begin_run(self, at_ms: int, now_ms: int) -> None:
        """Count a prediction that lies outside the run: another run begins with it.

        It has a slot at each age, but where that has been due: all that is due has been read.
        """
        self._count_runs()
        for index, age in enumerate(self.ages):
            table = age.table
            if at_ms < table.since_ms:
                continue
            number = at_ms // table.width_ms
            due_ms = table.due_ms(number)
            if due_ms > now_ms and number not in table.slots:
                table.slots[number] = Slot()
                heappush(self._heap, (due_ms, index, number))
        self.run = PredictionRun(*self._span(at_ms), 1)

    def on_label(self, at_ms: int, delay_ms: int, value: Value, now_ms: int) -> None:
        """Count the label of a prediction of an instant.

        A label counts at all ages, which is most of its price: those that come early, for the
        latest slot, are counted together.
        """
        code, run = self.codes.code(value), self.labels
        is_early = delay_ms <= self.ages[0].table.age_ms
        if is_early and run.from_ms <= at_ms < run.to_ms:
            counts = run.counts
            counts[code] = counts[code] + 1 if code in counts else 1
            return
        self._count_label(at_ms, delay_ms, code, now_ms)
        if is_early and at_ms >= run.to_ms:
            self._begin_labels(at_ms)

    def _count_label(self, at_ms: int, delay_ms: int, code: int, now_ms: int) -> None:
        is_high = code > self.codes.split
        for age in self.ages:
            table = age.table
            age_ms = table.age_ms
            if table.since_ms == NEVER_MS and delay_ms <= 2 * age_ms:
                self._count_runs()
                table.since_ms = now_ms
            if at_ms < table.since_ms:
                continue
            if delay_ms > 2 * age_ms:
                table.labelled[is_high] += 1
                continue
            number, slots = at_ms // table.width_ms, table.slots
            if number not in slots:
                continue
            slot = slots[number]
            counts = slot.later if delay_ms > age_ms or slot.is_read else slot.known
            if code in counts:
                counts[code] += 1
            else:
                counts[code] = 1

    def _begin_labels(self, at_ms: int) -> None:
        """Begin a run of labels with the slots of an instant."""
        self._count_labels()
        self.labels = LabelRun(*self._span(at_ms))

    def _span(self, at_ms: int) -> tuple[int, int]:
        """Return the instants between which all have the slots of this one, at every age."""
        from_ms, to_ms = 0, NEVER_MS
        for age in self.ages:
            table = age.table
            if at_ms < table.since_ms:
                to_ms = min(to_ms, table.since_ms)
                continue
            number = at_ms // table.width_ms
            from_ms = max(from_ms, table.since_ms, number * table.width_ms)
            to_ms = min(to_ms, (number + 1) * table.width_ms)
        return from_ms, to_ms

    def due(self, now_ms: int) -> Iterator[AgedLot]:
        """Yield the slots that are due, one at a time; each is read before the next is made."""
        self._count_runs()
        while self._heap and self._heap[0][0] <= now_ms:
            due_ms, index, number = heappop(self._heap)
            if due_ms // DAY_MS != self._day:
                self._day = due_ms // DAY_MS
                self._choose(due_ms)
            age = self.ages[index]
            if age.table.slots[number].is_read:
                age.table.close(number, self.codes.is_high)
                continue
            lot = age.table.read(number, index)
            heappush(self._heap, (age.table.due_ms(number, 2), index, number))
            if lot.codes:
                is_watched = index in self._live
                high = sum(map(self.codes.is_high, lot.codes))
                age.note(lot, high, due_ms)
                values = list(map(self.codes.value, lot.codes, lot.fractions))
                yield AgedLot(age, lot, values, is_watched)

    def begin(self, found: AgeLane, aspect: str) -> None:
        """Let every age learn anew after a change that one has found (Rule 4)."""
        for age in self.ages:
            age.begin()
            if age is not found:
                age.lane.watch.restart(aspect, is_back=False)
        self._live = []
        self._day = -1

    def comes_differently(self, age: AgeLane, figures: Figures) -> bool:
        """Tell whether the labels, and not only the errors, have changed since a change began.

        Where errors alone have changed, the right answers among all predictions have moved the
        other way, by the part of each class that is known.
        """
        before, since = age.run_of(figures.rows)
        if not before or not since:
            return False
        low_before, high_before = _shares(before)
        low_since, high_since = _shares(since)
        sign = -1 if figures.direction == "down" else 1
        high, low = sign * (high_since - high_before), sign * (low_since - low_before)
        table = age.table
        of_high = max(table.known_part(of_high=True), 1e-9)
        opposed = table.known_part(of_high=False) / of_high
        return high <= 0 or -low < OPPOSED * opposed * high

    def describe(self) -> dict[str, object]:
        """Return the ages that are watched, in seconds, and since when, for display."""
        return {
            "ages_s": [age.table.age_ms / 1_000 for age in self.watched],
            "watched_since_ms": self.watched_since_ms if self._live else None,
            "waits_for_late_labels": not self._live,
        }

    def _count_runs(self) -> None:
        """Count predictions and labels of the runs in their slots, and end these."""
        self._count_labels()
        at_ms, predictions = self.run.from_ms, self.run.predictions
        self.run = PredictionRun()
        if not predictions:
            return
        for age in self.ages:
            slot = age.table.slots.get(at_ms // age.table.width_ms)
            if slot is not None:
                slot.predictions += predictions

    def _count_labels(self) -> None:
        run, self.labels = self.labels, LabelRun()
        for age in self.ages if run.counts else ():
            table = age.table
            slot = table.slots.get(run.from_ms // table.width_ms)
            if slot is None or run.from_ms < table.since_ms:
                continue
            counts = slot.later if slot.is_read else slot.known
            for code, labels in run.counts.items():
                counts[code] = counts.get(code, 0) + labels

    def _choose(self, now_ms: int) -> None:
        """Choose the ages of the day (Rule 2)."""
        steady = [age.table.is_steady for age in self.ages]
        known = [age.table.is_known for age in self.ages]
        high = [age.table.known_part(of_high=True) for age in self.ages]
        for place, part in enumerate(PARTS):
            pick = self._picks.get(place, -1)
            if pick >= 0 and steady[pick] and not (known[pick] and high[pick] < part - LESS):
                continue
            longer = [
                index
                for index in range(pick + 1, len(self.ages))
                if steady[index]
                and known[index]
                and min(self.ages[index].table.known) >= LEAST_ROWS
                and high[index] >= part
            ]
            if longer:
                self._picks[place] = longer[0]
        live = sorted({pick for pick in self._picks.values() if steady[pick]})
        self._live = [index for index in live if self.ages[index].is_ready(now_ms)]
        if self._live and self.watched_since_ms < 0:
            self.watched_since_ms = now_ms
        self.set_budget(self._false_alarms)


def _shares(passed: Sequence[Passed]) -> tuple[float, float]:
    """Return the parts of the predictions with a value of the low, and of the high class."""
    predictions = max(sum(each.predictions for each in passed), 1)
    high = sum(each.high for each in passed)
    return (sum(each.rows for each in passed) - high) / predictions, high / predictions
