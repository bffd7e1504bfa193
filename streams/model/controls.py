"""Apply the controls of people to alerts: acknowledge, accept, mute, unmute."""

import math
from typing import NamedTuple

from schemas.instants import LAST_INSTANT_MS
from schemas.model_spec import AlertRules
from streams.alert.record import AlertWriter
from streams.alert.states import AlertState, ConditionAlerts, Event
from streams.alert.transition import OperatorNote, Transition
from streams.emission import Arrival
from streams.series.series_set import SeriesSet


class Moment(NamedTuple):
    """The model's log time, and the alert rules in force then."""

    now_ms: int
    rules: AlertRules


def apply_control(
    control: Arrival,
    open_alerts: AlertWriter,
    series: SeriesSet,
    conditions: ConditionAlerts,
    at: Moment,
) -> list[Transition]:
    """Apply a control; return the transitions of its alert: none, where that is not open.

    Parameters
    ----------
    control
        The control.
    open_alerts, series, conditions
        The alerts of its model, by fingerprint, and their states.
    at
        When it takes effect.
    """
    event = control.event
    if event["fingerprint"] not in open_alerts:
        return []
    alert = open_alerts[event["fingerprint"]]
    state = conditions.get(alert.series, alert.aspect) or series.alert(alert.series, alert.aspect)
    if state is None or not state.is_open:
        return []
    note = OperatorNote(event["by"], event["at"], event.get("because"))
    happened: Event = "muted"
    match event["verb"]:
        case "ack":
            if note.because is None and state.acknowledged is not None:
                note = note._replace(because=state.acknowledged.because)
            state.acknowledged, happened = note, "acknowledged"
        case "accept":
            return _accept(state, series, note, at)
        case "mute":
            state.muted_until_ms = _muted_until_ms(control, at.now_ms)
        case "unmute":
            state.muted_until_ms = None
        case _:  # a mark is for the counts of `streams.alert.marks`
            return []
    return state.on(happened, at.now_ms, at.rules)


def _accept(
    state: AlertState, series: SeriesSet, note: OperatorNote, at: Moment
) -> list[Transition]:
    """End an alert: the present behaviour of its series is its reference from here on."""
    if state.condition is not None or state.series not in series:
        return state.end("accepted", at.now_ms, at.rules, note)
    monitored = series[state.series]
    transitions = monitored.end(state.aspect, "accepted", at.now_ms, at.rules, note)
    monitored.watch.accept()
    return transitions


def _muted_until_ms(mute: Arrival, now_ms: int) -> int:
    """Return the log time up to which a mute holds; without a duration, the last instant."""
    for_s: float | None = mute.event.get("for_s")
    begins_ms = max(now_ms, mute.logged_at)
    return LAST_INSTANT_MS if for_s is None else begins_ms + math.ceil(1_000 * for_s)
