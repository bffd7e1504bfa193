"""A monitored series: its watch, the alerts about it, and the checks of its recovery.

Rule 1. A series without an open alert costs nothing beside its watch.
Rule 2. When a series is back, the watch learns a new reference from the next value on: the values
        since the alarm are not its normal.
Rule 3. How values are cut into reads changes nothing: no read goes beyond the value at which a
        check may find the series back.
Rule 4. When the hourly profile of a series becomes known, an alert before that may have been the
        profile: it is over, and the series learns a new reference.
Rule 5. While labels come late, the values of a pair are read at ages
        (`streams.series.late_labels`): as they arrive they raise faults of data quality alone.
        Where the order in which they are read changes, an alert about a drift is over.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from msgspec.structs import replace

from schemas.alert import Because
from schemas.model_spec import AlertRules
from streams.alert.states import AlertState
from streams.alert.transition import OperatorNote, Transition
from streams.aspects import ASPECTS, SeriesRole
from streams.change import AtAge
from streams.clock import Instants
from streams.codec import Machine
from streams.season.hour_profile import Timestamps
from streams.series.absence_measure import AbsenceMeasure
from streams.series.detection import Detection
from streams.series.lane import Recovery
from streams.series.late_labels import AgedLot, LateLabels
from streams.series.reading import Reading, RowTransition, Stretch
from streams.series.recovery import AWAY_ROWS, recovery_check_of
from streams.series.recovery_measures import BlockResult
from streams.series.watch import SeriesWatch
from streams.values import Scalar


class MonitoredSeries(Machine):
    """One series of a model.

    Parameters
    ----------
    name, role
        The series.
    watch
        The watch that finds its changes.
    late
        The ages at which its values are read, while labels come late (Rule 5).
    """

    name: str
    role: SeriesRole
    watch: SeriesWatch
    _alerts: dict[str, AlertState] = {}
    _recoveries: dict[str, Recovery] = {}
    late: LateLabels | None = None

    def read(
        self,
        values: Sequence[Scalar],
        at_ms: Instants,
        timestamps: Timestamps | None,
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
        stretch: Stretch | None = None
        transitions: list[RowTransition] = []
        at, rows = 0, len(values)
        if not self._recoveries and rows <= AWAY_ROWS:  # nearly always
            at, detections = watch.read_until_change(values, timestamps)
            if at == rows and not detections:
                return []
            stretch = Stretch(values, at_ms, timestamps, first_row, seen, self.role, reading)
            transitions += self._follow(stretch, 0, at, detections)
        stretch = stretch or Stretch(values, at_ms, timestamps, first_row, seen, self.role, reading)
        while at < rows:
            end = self._until_worse(stretch, at, min(at + self._rows_until_return(), rows))
            read, detections = watch.read_until_change(*stretch.part(at, end))  # Rule 3
            transitions += self._follow(stretch, at, at + read, detections)
            at += read
        return transitions

    @property
    def is_at_rest(self) -> bool:
        """Whether only its watch reads its values: no check whether it is back."""
        return not self._recoveries

    def read_late(self, now_ms: int, reading: Reading) -> list[RowTransition]:
        """Read the values of predictions that have reached their ages (Rule 5)."""
        transitions: list[RowTransition] = []
        if self.late is not None:
            for aged in self.late.due(now_ms):
                lane = aged.age.lane
                reader = _AgeReader(
                    self.name, self.role, lane.watch, self._alerts, lane.recoveries, self.late, aged
                )
                transitions += reader.read_lot(reading)
        return transitions

    def turn(self, late: LateLabels | None, now_ms: int, rules: AlertRules) -> list[Transition]:
        """Read values at ages from now on, or as they arrive; end the alerts about drifts."""
        if self.late is not None and self.late.watched_since_ms >= 0:
            self.watch.restart("level", is_back=False)  # its reference is of values out of order
        aspects = [each for each in sorted(self._alerts) if ASPECTS[each].is_drift]
        ended = [
            each for aspect in aspects for each in self.end(aspect, "relearned", now_ms, rules)
        ]
        self.late = late
        return ended

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
        if self.late is not None:
            for age in self.late.ages:
                age.lane.recoveries.pop(aspect, None)
        return self._alerts[aspect].end(because, now_ms, rules, note)

    def describe(self) -> dict[str, object]:
        """Return its references for display; with late labels, the ages at which they are read."""
        late = {} if self.late is None else {"late_labels": self.late.describe()}
        return {**self.watch.describe(), **late}

    def _until_worse(self, stretch: Stretch, at: int, end: int) -> int:
        """Return the end of the values up to the first at which a check finds the series worse."""
        for recovery in self._recoveries.values():
            worse = recovery.check.first_worse(stretch.values[at:end], stretch.at_ms[at:end])
            if worse is not None:
                end = at + worse + 1
        return end

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
                at, result = self._read_check(recovery, stretch, at, end)
                found = self._on_read(aspect, recovery, result, stretch, at - 1)
                transitions += stretch.at(at - 1, found)
                if self._alerts[aspect].state == "quiet":
                    del self._recoveries[aspect]
                    is_last = not any(ASPECTS[each].is_drift for each in self._recoveries)
                    moments = stretch.timestamps and stretch.timestamps.at(slice(0, at))
                    self.watch.restart(aspect, is_back=is_last, moments=moments)
        return transitions

    def _read_check(
        self, recovery: Recovery, stretch: Stretch, at: int, end: int
    ) -> tuple[int, BlockResult | None]:
        """Let a check read to the end of its block, or to the value that is worse; return where."""
        stop = min(at + recovery.check.due, end)
        worse = recovery.check.first_worse(stretch.values[at:stop], stretch.at_ms[at:stop])
        stop = stop if worse is None else at + worse + 1
        return stop, recovery.check.read(stretch.values[at:stop], stretch.at_ms[at:stop])

    def _on_detection(self, stretch: Stretch, detection: Detection, row: int) -> list[Transition]:
        if self._is_mute(detection.aspect):
            return []
        aspect = alert_aspect(self.role, detection.aspect)
        value, rules = stretch.values[row], stretch.rules
        recovery = self._recoveries.get(aspect)
        if recovery is not None:
            return self._on_further(recovery, detection, stretch, row)
        check = recovery_check_of(detection, value, self.watch.false_alarms)
        recovery = Recovery(check, detection.figures.rows)
        self._recoveries[aspect] = recovery
        state = self._alerts.setdefault(aspect, AlertState(self.name, self.role, aspect))
        state.change = detection.change
        return state.on("held change" if rules.hold else "change", stretch.now_ms(row), rules)

    def _on_further(
        self, recovery: Recovery, detection: Detection, stretch: Stretch, row: int
    ) -> list[Transition]:
        """Tell a further change of an open alert, unless it may be the return."""
        state, check = self._alerts[alert_aspect(self.role, detection.aspect)], recovery.check
        if isinstance(check.measure, AbsenceMeasure) or detection.detector == "rule":
            check.seek(stretch.values[row])
            return []
        change = check.as_from_first(detection.change)
        if not check.is_clearly_away(change):
            return []
        check.tell(change)
        state.change = replace(change, figures=replace(change.figures, rows=recovery.rows))
        return state.on_news(stretch.now_ms(row), stretch.rules)

    def _is_mute(self, aspect: str) -> bool:
        """Whether a change of this aspect is not told: late labels out of order (Rule 5)."""
        return self.late is not None and ASPECTS[aspect].is_drift

    def _on_read(
        self,
        aspect: str,
        recovery: Recovery,
        result: BlockResult | None,
        stretch: Stretch,
        row: int,
    ) -> list[Transition]:
        """Take in that a check has read values up to this row, and the block it may have closed."""
        state, now_ms = self._alerts[aspect], stretch.now_ms(row)
        told = state.published or state.change
        worse = told and recovery.check.take_worse(state.change or told, told)
        if worse is None:
            if result is None:
                return []
            return self._on_block(state, recovery, result, now_ms, stretch.rules)
        state.change = replace(worse, figures=replace(worse.figures, rows=recovery.rows))
        self.watch.relearn(aspect)
        return state.on_news(now_ms, stretch.rules)

    def _on_block(
        self,
        state: AlertState,
        recovery: Recovery,
        result: BlockResult,
        now_ms: int,
        rules: AlertRules,
    ) -> list[Transition]:
        check = recovery.check
        if state.change is not None:
            state.change = result.onto(state.change, recovery.rows)
        if check.is_back:
            return state.on_back(now_ms, rules)
        state.back_since_ms = None
        if result.is_near:
            recovery.differs = False
            return []
        if state.state == "pending" and check.blocks_away >= rules.hold:
            return state.on("held", now_ms, rules)
        differed, recovery.differs = recovery.differs, state.differs
        return state.on_away(now_ms, rules, is_settled=differed)


class _AgeReader(MonitoredSeries):
    """The series as read at one age: the lane of the age, and the alerts of the series."""

    aged: AgedLot | None = None

    def read_lot(self, reading: Reading) -> list[RowTransition]:
        """Read the values of a slot; after a change every age learns anew."""
        if self.aged is None:
            return []
        lot, values = self.aged.lot, self.aged.values
        at_ms = np.full(len(values), lot.start_ms, dtype=np.int64)
        has_hours = self.aged.age.table.has_hours
        return self.read(values, at_ms, Timestamps.of(at_ms) if has_hours else None, 0, reading)

    def _on_detection(self, stretch: Stretch, detection: Detection, row: int) -> list[Transition]:
        aspect = alert_aspect(self.role, detection.aspect)
        if self._is_mute(detection.aspect) or self.late is None or self.aged is None:
            return []
        age, lot = self.aged.age, self.aged.lot
        _, since = age.run_of(detection.figures.rows)
        differs = self.late.comes_differently(age, detection.figures)
        onset_ms = since[0].start_ms if since else lot.start_ms
        at_age = AtAge(age.table.age_ms, onset_ms, lot.end_ms, differs)
        found = super()._on_detection(stretch, replace(detection, at_age=at_age), row)
        self.late.begin(age, aspect)
        return found

    def _is_mute(self, aspect: str) -> bool:
        if self.aged is None or not self.aged.is_watched or not ASPECTS[aspect].is_drift:
            return True
        state = self._alerts.get(alert_aspect(self.role, aspect))
        is_open = state is not None and state.state != "quiet"
        return is_open and alert_aspect(self.role, aspect) not in self._recoveries


def alert_aspect(role: SeriesRole, aspect: str) -> str:
    """Return the aspect of the alert: a classifier's share of wrong rows is the error's level."""
    return "level" if role == "error" and aspect == "share" else aspect
