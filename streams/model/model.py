"""Everything known about one model: its events joined, its series monitored, its alerts raised.

Rule 1. A model is monitored from its first event, without any configuration.
Rule 2. An event is taken once: a position at or below the mark of its source is a repetition.
Rule 3. How the log is cut into records changes nothing but the evidence, and how many are applied
        at once changes nothing: `streams.model.pending` is the only way to the series and their
        alerts.
Rule 4. A spec is in force from its place in the log on, and changes nothing before it.
Rule 5. A removal frees the references and all that waits. The counts stay, and so do the marks of
        Rule 2: no id is given twice, and no event is taken again.
Rule 6. Specs and controls come from people: they take effect at their place, and do not move the
        model's clock, which its services' timestamps make. A backlog of last year keeps its time.
        So do inputs that were refused: their clocks are not read.
Rule 7. A tick advances the model's clock by the time since its last event was appended. Time in
        which no worker ran is no silence, and a backlog keeps its time.
Rule 8. A tick without a consequence leaves no mark. One with a consequence is part of the model's
        time.
Rule 9. A spec or control that cannot be used changes nothing but its count and the alert about
        it: the spec before it stays in force. The next one that can be used ends the alert.
Rule 10. An event is heard in one order: the clock, then traffic, then the join, then the series.
Rule 11. Nothing is returned for publication while values wait: an event whose values fail when they
        are read has published nothing (`streams.model.quarantine`).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from schemas.event import EventKind
from streams.alert.record import fingerprint_of
from streams.change import Figures
from streams.clock import NEVER_MS
from streams.emission import Arrival, Emission, Place
from streams.ingest.tolerance import LEFT_OUT
from streams.model.commands import ModelCommands
from streams.model.quarantine import QUARANTINE, Kept, Quarantine, ToStore
from streams.traffic.conditions import ConditionState, condition_of

OUT_OF_BAND = frozenset[EventKind](("spec", "control", "report", "refused", "topic", "clock"))
"""Kinds of events that move no clock: not from the model's services, or unreadable."""
UNCOUNTED = frozenset[EventKind](("refused", "topic", "clock"))
"""Kinds of events that tell about inputs, and are none."""


class ModelMonitor(ModelCommands):
    """One model: the door of its events and ticks, and its quarantine.

    It is made of a spec, see `ModelParts`.
    """

    def ingest(self, arrivals: Sequence[Arrival]) -> list[Emission]:
        """Take in events of the model, in log order; return the emissions so far, in event order.

        Their values wait until `evaluate`, or until too many do; so do their emissions (Rule 11).
        """
        if self._quarantine is not None:
            return self._ingest_quarantined(arrivals)
        marks = self._high_water
        for arrival in arrivals:
            source, position, kind = arrival.source, arrival.position, arrival.kind
            if position <= marks.get(source, -1):
                self.counts.repeated_events += 1
                continue
            marks[source] = position
            if LEFT_OUT in arrival.event:
                self.counts.on_left_out(arrival.event[LEFT_OUT])
            # In a backlog, dozens share a millisecond.
            if arrival.logged_at > self._now_ms and kind not in OUT_OF_BAND:
                self._pass_time(arrival)
            if kind == "prediction":
                self._on_prediction(arrival)
            elif kind == "outcome":
                self._on_outcome(arrival)
            else:
                self._on_out_of_band(arrival)
        return self._taken()

    def evaluate(self) -> list[Emission]:
        """Read the values that wait; return the emissions, in event order."""
        self._pending.settled()
        self._on_read()
        return self._publication.taken()

    def tick_due_ms(self, tick_ms: int) -> int:
        """Return the instant from which a tick has a consequence for the model.

        Parameters
        ----------
        tick_ms
            A tick. Where it has none, the result may be too early, though later than the tick.
        """
        if self._quarantine is not None:
            return NEVER_MS
        due_ms = self.traffic.tick_due_ms(tick_ms - self._behind_ms)
        alerts = self._condition_alerts
        if self.traffic.is_silence_reported:
            due_ms = min(due_ms, alerts.renewal_due_ms("predictions", "silence", self._rules()))
        if self._ledger is not None:
            due_ms = min(due_ms, self._ledger.due_ms)
        if self._distributions is not None:
            due_ms = min(due_ms, self._distributions.due_ms)
        due_ms = min(due_ms, self._pending.as_read.late.tick_due_ms, self._pending.loads.due_ms)
        due_ms = min(due_ms, self._deputy.due_ms, self._reviewer.due_ms)
        due_ms = min(due_ms, self._challenger.due_ms)
        halves_ms = self.join.halves.first_due_ms()
        return min(due_ms, alerts.settling_due_ms(), halves_ms) + self._behind_ms

    def forget_due_ms(self, forget_ms: int) -> int:
        """Return the instant from which a tick puts the model away.

        Then it has had no event for ``forget_ms``, and what it waited for has expired.
        """
        last_ms = self.traffic.last_ms
        if self._quarantine is not None or not last_ms:
            return NEVER_MS
        spec = self.in_force.spec
        wait_ms = math.ceil(1_000 * (spec.outcome.wait_s + spec.inputs.wait_s))
        return last_ms + max(forget_ms, wait_ms + 1) + self._behind_ms

    def on_tick(self, at: Place, tick_ms: int, forget_ms: int = NEVER_MS) -> list[Emission]:
        """Take in a tick that has a consequence (Rule 7); return the emissions.

        Parameters
        ----------
        at, tick_ms
            The tick.
        forget_ms
            Milliseconds without an event after which the model is put away.
        """
        self._now_ms = max(self._now_ms, tick_ms - self._behind_ms)
        conditions = self.traffic.advance(self._now_ms, counts=self.join.counts, is_tick=True)
        self._on_conditions(conditions, at)
        self._settle_conditions(at)
        self._read_late(at)
        if self._now_ms >= self._pending.loads.due_ms:
            self._end_loads(at)
        self._go_on_without_inputs(at)
        self.join.advance(self._now_ms)
        self._act_by_time(at)
        self._publish_metrics(at)
        if tick_ms >= self.forget_due_ms(forget_ms):
            self._forget(self._row(at, self._now_ms))
            self._is_away = True
        return self._taken()

    def closing(self, at: Place) -> list[Emission]:
        """Return what the end of a recording brings: loads are over, figures of open cohorts."""
        self._end_loads(at)
        if self._ledger is not None:
            records = self._ledger.closing(self._now_ms)
            self._publication.add_metrics(records, self._row(at, self._now_ms))
        if self._distributions is not None:
            self._pending.settled()
            of_series = self._distributions.closing(self._now_ms)
            self._publication.add_metrics(of_series, self._row(at, self._now_ms))
        return self._publication.taken()

    @property
    def taken(self) -> int:
        """Events of the log taken in, each once."""
        joined = self.join.counts
        seen = joined.predictions + joined.duplicate_predictions + joined.outcomes
        halves = self.join.halves
        seen += len(halves.halves) + halves.counts.removed_halves + halves.counts.inputs
        counts = self.counts
        refused = counts.refused_specs + counts.refused_controls
        unapplied = self.join.held_events + counts.lost_events + counts.turned_away
        people = counts.controls + counts.verdicts + counts.reports + counts.variants
        return seen + self.in_force.records + people + refused + unapplied

    def to_store(self) -> ToStore:
        """Return what is stored of the model as it is now; after `evaluate`."""
        return ToStore(self.join.unstored(), self.snapshot())

    def kept(self) -> Kept:
        """Return what `revived` needs for a copy of the model as it is now; after `evaluate`."""
        return Kept(self.snapshot(), self.join.kept())

    def revived(self, kept: Kept) -> "ModelMonitor":
        """Return a copy of the model as it was kept."""
        model = ModelMonitor.restore(
            self.model_id,
            self.in_force.first,
            self._labelled_topic,
            self.partition,
            snapshot=kept.snapshot,
            chunks=kept.chunks.lines_of,
        )
        model.join.still_owes(kept.chunks)
        return model

    @property
    def is_quarantined(self) -> bool:
        """Whether it is in quarantine."""
        return self._quarantine is not None

    def quarantine(self, quarantine: Quarantine) -> None:
        """Stay as it is until it is released; no value waits."""
        self._quarantine = quarantine
        self._is_away = False  # it holds events

    def tell_quarantine(
        self, quarantine: Quarantine, at: Arrival | Place, at_ms: int, *, is_on: bool
    ) -> list[Emission]:
        """Publish that a quarantine begins, or ends, at an event; the clock does not move."""
        also = f"offset {quarantine.offset:,} ({quarantine.failure})"
        condition = condition_of("quarantine", Figures(rows=1), also)
        self._tell(ConditionState(condition, is_on), at, at_ms)
        return self._taken()

    def turn_away(self, arrivals: Sequence[Arrival], *, is_crowded: bool) -> list[Emission]:
        """Count events of models that are not known, for which there is no place or no use."""
        for arrival in self.unseen(arrivals):
            self._high_water[arrival.source] = arrival.position
            self.counts.turned_away += arrival.kind not in UNCOUNTED
            self._is_away = False
            if is_crowded:
                self._tell_crowd(arrival, is_on=True)
        return self._taken()

    def unseen(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """Return the events that are not repetitions of earlier ones (Rule 2)."""
        marks = self._high_water
        return [each for each in arrivals if each.position > marks.get(each.source, -1)]

    def _tell_crowd(self, arrival: Arrival, *, is_on: bool) -> None:
        state = ConditionState(condition_of("crowded", Figures(rows=1)), is_on)
        self._tell(state, arrival, arrival.logged_at)

    def refuse(self, arrival: Arrival) -> None:
        """Pass over an event that the model cannot take, though it is quarantined."""
        self._high_water[arrival.source] = arrival.position
        if arrival.kind == "spec":
            self.counts.refused_specs += 1
        elif arrival.kind == "control":
            self.counts.refused_controls += 1
        else:
            self.counts.lost_events += 1

    def _ingest_quarantined(self, arrivals: Sequence[Arrival]) -> list[Emission]:
        """Hold events, but for commands about the quarantine and a removal."""
        emissions: list[Emission] = []
        for place, arrival in enumerate(arrivals):
            if self._quarantine is None:
                return emissions + self.ingest(arrivals[place:])
            if arrival.position <= self._high_water.get(arrival.source, -1):
                self.counts.repeated_events += 1
                continue
            self._high_water[arrival.source] = arrival.position
            if arrival.kind == "control" and self._is_about_quarantine(arrival):
                emissions += self._on_quarantine_control(arrival, self._quarantine)
            elif arrival.kind == "spec" and arrival.event["spec"] is None:
                self._quarantine = None
                self.counts.lost_events += len(self.join.release())
                self._on_spec(arrival)
            elif arrival.kind not in UNCOUNTED:
                self.counts.lost_events += self.join.hold(arrival)
        return emissions + self._taken()

    def _is_about_quarantine(self, control: Arrival) -> bool:
        return bool(control.event["fingerprint"] == fingerprint_of(self.model_id, *QUARANTINE))

    def _on_quarantine_control(self, control: Arrival, quarantine: Quarantine) -> list[Emission]:
        """Release the model, or apply another command to the alert about its quarantine."""
        verb = control.event["verb"]
        if verb == "accept":  # it would stay as it is, and nobody would know
            self.counts.controls += 1
        elif verb != "release":
            self._on_control(control)
        else:
            self.counts.controls += 1
            self._quarantine = None
            told = self.tell_quarantine(quarantine, control, control.logged_at, is_on=False)
            marks, self._high_water = self._high_water, {}  # the held events are marked already
            emissions = self.ingest(self.join.release())
            self._high_water = marks
            return told + emissions
        return []


class Restored(NamedTuple):
    """A model as it was after the record at ``offset``."""

    model: ModelMonitor
    offset: int
