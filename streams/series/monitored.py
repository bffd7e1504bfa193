"""A monitored series: its watch, the alerts about it, and the checks of its recovery.

Rule 1. A series without an open alert costs nothing beside its watch.
Rule 2. When a series is back, the watch learns a new reference from the next value on: the values
        since the alarm are not its normal.
Rule 3. How values are cut into reads changes nothing: no read goes beyond the value at which a
        check may find the series back.
Rule 4. When the hourly profile of a series becomes known, an alert before that may have been the
        profile: it is over, and the series learns a new reference.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from schemas.alert import Because
from schemas.model_spec import AlertRules
from streams.alert.states import AlertState
from streams.alert.transition import OperatorNote, Transition
from streams.aspects import ASPECTS, SeriesRole
from streams.clock import Instants
from streams.codec import Machine
from streams.season.hour_profile import Timestamps
from streams.series.detection import Detection
from streams.series.recovery import AWAY_ROWS, RecoveryCheck, recovery_check_of
from streams.series.recovery_measures import BlockResult
from streams.series.watch import SeriesWatch
from streams.values import Scalar

_SETTLING_BLOCKS = 2
"""Blocks until the first that lies wholly after a further change: the present one, and the next."""


class Column(NamedTuple):
    """Values of one series, in log order.

    Parameters
    ----------
    series, role
        The series.
    values
        Its values; None is missing.
    at_ms
        Their instants.
    """

    series: str
    role: SeriesRole
    values: Sequence[Scalar]
    at_ms: Instants


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
    timestamps: Timestamps
    first_row: int
    seen: int
    role: SeriesRole
    reading: Reading

    @property
    def rules(self) -> AlertRules:
        """The alert rules in force."""
        return self.reading.rules

    def part(self, start: int, end: int) -> tuple[Sequence[Scalar], Timestamps]:
        """Return some of the values with their timestamps."""
        return self.values[start:end], self.timestamps.at(slice(start, end))

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


class _Recovery(Machine):
    """The check of an alert, and the blocks until its figures are those of a further change."""

    check: RecoveryCheck
    onset_rows: int
    settling_blocks: int = 0


class MonitoredSeries(Machine):
    """One series of a model.

    Parameters
    ----------
    name, role
        The series.
    watch
        The watch that finds its changes.
    """

    name: str
    role: SeriesRole
    watch: SeriesWatch
    _alerts: dict[str, AlertState] = {}
    _recoveries: dict[str, _Recovery] = {}

    def read(
        self,
        values: Sequence[Scalar],
        at_ms: Instants,
        timestamps: Timestamps,
        first_row: int,
        reading: Reading,
    ) -> list[RowTransition]:
        """Read values; return the transitions of alerts, in the order of rows.

        Parameters
        ----------
        values, at_ms, timestamps
            The values and their instants, in log order.
        first_row
            The row of the first value in its column.
        reading
            The reading.
        """
        watch, seen = self.watch, self.watch.seen
        if not self._recoveries and len(values) <= AWAY_ROWS:  # nearly always
            detections = watch.read(values, timestamps)
            if not detections:
                return []
            stretch = Stretch(values, at_ms, timestamps, first_row, seen, self.role, reading)
            return self._follow(stretch, 0, len(values), detections)
        stretch = Stretch(values, at_ms, timestamps, first_row, seen, self.role, reading)
        transitions: list[RowTransition] = []
        at = 0
        while at < len(values):
            end = min(at + self._rows_until_return(), len(values))  # Rule 3
            detections = watch.read(*stretch.part(at, end))
            transitions += self._follow(stretch, at, end, detections)
            at = end
        return transitions

    def alert(self, aspect: str) -> AlertState | None:
        """Return the state of an alert, if it has ever been raised."""
        return self._alerts.get(aspect)

    def alerts(self) -> Iterator[AlertState]:
        """Yield the states of all alerts, by aspect."""
        for aspect in sorted(self._alerts):
            yield self._alerts[aspect]

    def end(
        self,
        aspect: str,
        because: Because,
        now_ms: int,
        rules: AlertRules,
        note: OperatorNote | None = None,
    ) -> list[Transition]:
        """End an alert, whatever its figures."""
        self._recoveries.pop(aspect, None)
        return self._alerts[aspect].end(because, now_ms, rules, note)

    def _rows_until_return(self) -> int:
        """Return the values within which no check can find the series back."""
        due = min((each.check.due for each in self._recoveries.values()), default=AWAY_ROWS)
        return min(due, AWAY_ROWS)  # a check may open in this read

    def _follow(
        self, stretch: Stretch, start: int, end: int, detections: Sequence[Detection]
    ) -> list[RowTransition]:
        """Apply the detections of the watch to the alerts, and let the checks read the values."""
        transitions: list[RowTransition] = []
        at = start
        profile_row = self.watch.profile_since - stretch.seen
        if not start <= profile_row < end:
            profile_row = end
        for detection in detections:
            row = start + detection.index
            if at <= profile_row <= row:
                transitions += self._on_profile(stretch, at, profile_row)
                at, profile_row = profile_row, end
            transitions += self._advance_checks(stretch, at, row + 1)
            at = row + 1
            transitions += stretch.at(row, self._on_detection(stretch, detection, row))
        if profile_row < end:
            transitions += self._on_profile(stretch, at, profile_row)
            at = profile_row
        return transitions + self._advance_checks(stretch, at, end)

    def _on_profile(self, stretch: Stretch, at: int, row: int) -> list[RowTransition]:
        """End the alerts that may have been the hourly profile (Rule 4)."""
        transitions = self._advance_checks(stretch, at, row)
        ended = [
            transition
            for aspect in sorted(self._recoveries)
            if ASPECTS[aspect].is_drift
            for transition in self.end(aspect, "relearned", stretch.now_ms(row), stretch.rules)
        ]
        return transitions + stretch.at(row, ended)

    def _advance_checks(self, stretch: Stretch, start: int, end: int) -> list[RowTransition]:
        """Let every check read values; where one finds the series back, it begins to learn."""
        transitions: list[RowTransition] = []
        for aspect in sorted(self._recoveries):
            at = start
            while at < end and aspect in self._recoveries:
                recovery = self._recoveries[aspect]
                stop = min(at + recovery.check.due, end)
                result = recovery.check.read(stretch.values[at:stop], stretch.at_ms[at:stop])
                at = stop
                if result is None:
                    continue
                now_ms = stretch.now_ms(at - 1)
                found = self._on_block(aspect, recovery, result, now_ms, stretch.rules)
                transitions += stretch.at(at - 1, found)
                if self._alerts[aspect].state == "quiet":
                    del self._recoveries[aspect]
                    self.watch.restart(aspect)
        return transitions

    def _on_detection(self, stretch: Stretch, detection: Detection, row: int) -> list[Transition]:
        aspect = alert_aspect(self.role, detection.aspect)
        value, rules = stretch.values[row], stretch.rules
        recovery = self._recoveries.get(aspect)
        if recovery is not None:
            recovery.settling_blocks = _SETTLING_BLOCKS
            recovery.check.measure.add_change(detection, value)
            return []
        check = recovery_check_of(detection, value)
        recovery = _Recovery(check, detection.figures.rows)
        if detection.is_first_missing:
            recovery.settling_blocks = 1  # whether it is one value or the column, this block shows
        self._recoveries[aspect] = recovery
        state = self._alerts.setdefault(aspect, AlertState(self.name, self.role, aspect))
        state.change = detection.change
        return state.on("held change" if rules.hold else "change", stretch.now_ms(row), rules)

    def _on_block(
        self, aspect: str, recovery: _Recovery, result: BlockResult, now_ms: int, rules: AlertRules
    ) -> list[Transition]:
        state, check = self._alerts[aspect], recovery.check
        is_settled = recovery.settling_blocks == 1
        recovery.settling_blocks = max(recovery.settling_blocks - 1, 0)
        if state.change is not None:
            state.change = result.onto(state.change, recovery.onset_rows + check.rows)
        if check.is_back:
            return state.on_back(now_ms, rules)
        state.back_since_ms = None
        if result.is_back:
            return []
        if state.state == "pending" and check.blocks_away >= rules.hold:
            return state.on("held", now_ms, rules)
        return state.on_away(now_ms, rules, is_settled=is_settled)


def alert_aspect(role: SeriesRole, aspect: str) -> str:
    """Return the aspect of the alert: a classifier's share of wrong rows is the error's level."""
    return "level" if role == "error" and aspect == "share" else aspect
