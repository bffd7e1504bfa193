"""The monitored series of one model: their beginning, their part of the budget, their end.

Rule 1. Each prediction is one value of every feature, of the prediction and of the score; each pair
        is one value of the error and of the outcome.
Rule 2. A series begins at its first value; the budget is divided again among all when one begins.
Rule 3. Predictions with a fractional part make the model a regression; until then, numbers are
        classes. From there on the prediction, the error and the outcome are new series.
Rule 4. At most ``MAX_SERIES`` features are monitored; values of further ones are counted.
Rule 5. A series for which the spec brings a profile has nothing to learn at its beginning.
Rule 6. Another spec takes effect at once: the budget is divided again; a feature that is ignored
        ends; one that is read otherwise, and the answers of another task, begin again; a new
        profile replaces the learned reference. A series in the middle of learning keeps the
        number of rows it began with.
Rule 7. The alerts of a series that ends or begins again are over. Their numbering continues.
Rule 8. Errors and outcomes are read as they arrive while that is safe
        (`streams.series.label_delays`), else when their predictions have reached an age.
"""

import sys
from collections.abc import Iterator, Sequence, Set
from functools import cache
from operator import attrgetter
from typing import Any, Literal

import numpy as np
from msgspec.structs import replace

from schemas.feature_row import FeatureRow, Features
from schemas.model_spec import ModelSpec
from streams.alert.states import AlertState
from streams.alert.transition import Transition
from streams.aspects import SeriesRole
from streams.clock import Instants
from streams.detect.budget import CALIBRATION_SHARE, SEGMENTS_SHARE, shares
from streams.detect.outline import Outline
from streams.season.hour_profile import Timestamps
from streams.season.local_time import local_instants
from streams.series import attributions
from streams.series.features import FeatureSeries
from streams.series.group import SeriesGroup
from streams.series.joint import JOINT, TRIED_EVERY, Joint
from streams.series.label_delays import LabelDelays
from streams.series.late_series import LateSeries, ages_of
from streams.series.monitored import MonitoredSeries
from streams.series.offline import watch_of
from streams.series.quantities import QUANTITY_PAIRS, are_quantities, is_whole
from streams.series.reading import Column, EventOf, Reading, RowTransition, listed
from streams.series.series_state import PAIR_SERIES, Label, SeriesSetState
from streams.series.watch import SeriesWatch
from streams.series.watch_spec import WatchSpec
from streams.values import Answer, Floats, Scalar

REGRESSION_SERIES = ("prediction", "error", "outcome")
"""Series that are quantities, and no classes, once a model turns out to be a regression."""
SeriesKind = Literal["auto", "numeric", "categorical"]
ROWS_APART = 256
"""Rows that are read series by series after columns of other series have come in the same rows:
where answers fail now and then, a group would be made for a few rows. By judgement."""
_name_of = attrgetter("series")


class SeriesSet:
    """The series of one model.

    Parameters
    ----------
    spec
        The model's spec.
    state
        The stored state; a new one when None.

    Attributes
    ----------
    features
        The features, and their columns.
    late
        The series that are read at ages (Rule 8).
    asks_attributions, asks_joint
        Whether the spec asks for these series, which are made of features.
    """

    reads_together = True
    """Whether series are read in groups: the result is the same (a test turns it off)."""

    def __init__(self, spec: ModelSpec, state: SeriesSetState | None = None) -> None:
        self._state = state or SeriesSetState(spec.task == "regression", spec.task is None)
        self._groups: dict[tuple[str, ...], SeriesGroup] = {}
        self._rows_apart = 0
        self._spec = spec
        self.features = FeatureSeries(self._state, spec.features.ignore)
        self.asks_attributions, self.asks_joint = spec.features.attributions, spec.features.joint
        self._minutes: dict[bytes, bytearray] = {}  # of the series that began together
        series = self._state.series
        for name, each in series.items():
            each.watch.spec = self._watch_spec(name, each.role)
            each.watch.share_minutes(self._minutes)
            if each.late is not None:
                each.late.respec(each.watch.spec)
        self.late = LateSeries(self)

    @property
    def state(self) -> SeriesSetState:
        """The stored state: for what is not to change a series."""
        for group in self._groups.values():
            group.settle()
        return self._state

    def __getitem__(self, series: str) -> MonitoredSeries:
        """Return a series that has begun."""
        self._read_apart()
        return self._state.series[series]

    def __contains__(self, series: object) -> bool:
        """Tell whether a series has begun."""
        return series in self._state.series

    def __iter__(self) -> Iterator[MonitoredSeries]:
        """Yield the series in the order in which they began."""
        self._read_apart()
        return iter(self._state.series.values())

    @property
    def names(self) -> Set[str]:
        """The names of the series that have begun."""
        return self._state.series.keys()

    @property
    def is_regression(self) -> bool:
        """Whether the error is a distance; a mismatch otherwise."""
        return self._state.is_regression

    def respec(self, spec: ModelSpec, now_ms: int) -> list[Transition]:
        """Put another spec in force; end the alerts of series that begin again, or end, with it."""
        self._read_apart()
        before, self._spec = self._spec, spec
        self.asks_attributions, self.asks_joint = spec.features.attributions, spec.features.joint
        ended: set[str] = set()
        for name in self.features.ignore(spec.features.ignore):
            ended |= self._drop(name)
        ended |= self._retask(before.task)
        ended |= self._respec_behind(before)
        # Sorted: the order in which series end is part of the state.
        for name in sorted(set(before.features.categorical) ^ set(spec.features.categorical)):
            ended |= self._drop(f"feature/{name}")
        for name, series in self._state.series.items():
            made = spec.reference.profile.get(name)
            if made is not None and made != before.reference.profile.get(name):
                series.watch = self._new_watch(name, series.role)
                ended.add(name)
            series.watch.spec = self._watch_spec(name, series.role)
            if spec.season != before.season:
                series.watch.forget_hours()
            if series.late is not None:
                series.late.respec(series.watch.spec)
        if self._state.series:
            self._divide_budget()
        return [each for name in sorted(ended) for each in self._end_alerts(name, now_ms)]

    def becomes_regression(self, answer: Answer) -> bool:
        """Tell whether this answer shows that the model is a regression (Rule 3)."""
        if not self._state.may_become_regression:
            return False
        return isinstance(answer, float) and not answer.is_integer()

    def shows_quantities(self, answer: Answer | None, truth: Answer) -> bool:
        """Tell whether the first pairs, ``QUANTITY_PAIRS``, are of quantities and no classes.

        Whole numbers are, where there are more than ten different ones, many answers are wrong, and
        the wrong ones lie near the truth: classes that are confused lie anywhere.
        """
        pairs = self._state.whole_pairs
        if self._state.may_become_regression and is_whole(answer) and is_whole(truth):
            pairs.append((float(answer), float(truth)))
        if len(pairs) < QUANTITY_PAIRS:
            return False
        self._state.whole_pairs = []
        return are_quantities(np.array(pairs))

    def become_regression(self, now_ms: int) -> list[Transition]:
        """Begin the prediction, the error and the outcome again, as quantities."""
        self._read_apart()
        self._state.is_regression, self._state.may_become_regression = True, False
        self._state.whole_pairs = []
        ended = {series for name in REGRESSION_SERIES for series in self._drop(name)}
        return [each for name in sorted(ended) for each in self._end_alerts(name, now_ms)]

    def begin_error(self, now_ms: int) -> list[Transition]:
        """Begin the error again: its values were of pairs that cannot match."""
        self._read_apart()
        self._drop("error")
        return self._end_alerts("error", now_ms)

    def compare(
        self, prediction: Answer | None, outcome: Answer
    ) -> tuple[bool | None, float | None]:
        """Return (is_error, error): the first for classes, the second for a regression.

        Both are None where the call of the model failed and there is no answer.
        """
        if prediction is None:
            return None, None
        if not self._state.is_regression:
            return prediction != outcome, None
        if isinstance(prediction, str) or isinstance(outcome, str):
            self._state.incomparable_outcomes += 1
            return None, None
        # Two doubles may lie further apart than a double can say.
        return None, min(abs(float(prediction) - float(outcome)), sys.float_info.max)

    def begins_with_prediction(
        self,
        answer: Scalar,
        score: Scalar,
        features: Features,
        parts: attributions.Parts | None,
    ) -> bool:
        """Tell whether a value is the first of its series: rows before it are judged without it."""
        if parts is not None and attributions.begin_with(parts, self._state.series.keys()):
            return True
        names = features.names if type(features) is FeatureRow else tuple(features)
        usual = self.features.usual_names
        if names is not usual and names != usual and self.features.begins(features):
            return True
        series = self._state.series
        if answer is not None and "prediction" not in series:
            return True
        return score is not None and "score" not in series

    def begins_with_joint(self, waiting: int) -> bool:
        """Tell whether the value of the features together is the first, after so many rows."""
        joint = self._state.joint
        return joint is not None and joint.left <= waiting and JOINT not in self._state.series

    def tries_joint(self, rows: int) -> bool:
        """Tell whether the relation of features is to begin before this row, if it can."""
        is_due = rows % TRIED_EVERY == 0 and rows > self._spec.reference.rows
        return is_due and self._state.joint is None

    @property
    def joint(self) -> Joint | None:
        """The relation of the features, where it is watched."""
        return self._state.joint

    def begin_joint(self) -> None:
        """Begin to learn the relation of the features, where their references are known."""
        outlines = (
            (name.removeprefix("feature/"), each.watch.outline)
            for name, each in self._state.series.items()
            if each.role == "feature"
        )
        known = ((name, outline) for name, outline in outlines if outline is not None)
        self._state.joint = Joint.of(known)

    def begins_with_pair(self, error: Scalar) -> bool:
        """Tell the same of the two series that have a value a pair."""
        series = self._state.series
        return "outcome" not in series or (error is not None and "error" not in series)

    def read(
        self, columns: Sequence[Column], reading: Reading
    ) -> list[tuple[SeriesRole, RowTransition]]:
        """Read columns; return the transitions of alerts, by column.

        Parameters
        ----------
        columns
            At most one of each series.
        reading
            The events of their rows, and the alert rules in force.
        """
        starts = self._meet(columns, reading.event_of)
        transitions: list[tuple[SeriesRole, RowTransition]] = []
        first, last = 0, len(columns)
        have_begun = starts == [0] * last
        while first < last:
            at_ms, end = columns[first].at_ms, first + 1
            while end < last and columns[end].at_ms is at_ms:  # all features share theirs
                end += 1
            local_ms = self._local(at_ms)
            timestamps = Timestamps.of(local_ms)
            part = columns[first:end]
            apart: Sequence[int] = range(end - first)
            if have_begun and self.reads_together:
                apart = self._read_together(part, timestamps)
            for place in apart:
                column, start = part[place], starts[first + place]
                if start is None:
                    continue
                series, values = self._state.series[column.series], listed(column.values)
                when = timestamps.at(slice(start, None)) if start else timestamps
                found = series.read(values[start:], local_ms[start:], when, start, reading)
                transitions += [(column.role, each) for each in found]
            first = end
        return transitions

    def _read_together(self, columns: Sequence[Column], moments: Timestamps) -> Sequence[int]:
        """Read columns of the same rows; return the places of those that are to be read apart."""
        names, rows = tuple(map(_name_of, columns)), len(columns[0].values)
        group = self._groups.get(names)
        if group is None and self._rows_apart > 0:
            self._rows_apart -= rows
            return range(len(columns))
        if group is None and any(not set(names).isdisjoint(held) for held in self._groups):
            self._read_apart()
            self._rows_apart = ROWS_APART
            return range(len(columns))
        if group is not None and group.is_stale:
            group.dissolve()
            group = None
        if group is None:
            series = [self._state.series[name] for name in names]
            group = self._groups[names] = SeriesGroup(series, columns)
        apart = group.read(columns, moments)
        if apart is None:
            group.dissolve()
            del self._groups[names]
            return range(len(columns))
        return list(apart)

    def _read_apart(self) -> None:
        """Let each series count what its group has read, and be read by itself: it may change."""
        for group in self._groups.values():
            group.dissolve()
        self._groups.clear()

    def _local(self, at_ms: Instants) -> Instants:
        """Return instants as the clocks of the spec's place show them."""
        season = self._spec.season
        if season.zone is None and season.holidays is None:
            return at_ms
        return local_instants(at_ms, season)

    def begin_again(self, now_ms: int, *, of_pairs: bool) -> list[Transition]:
        """Begin the series of predictions, or of pairs, again; return the ends of their alerts."""
        self._read_apart()
        ended: list[Transition] = []
        for name, series in self._state.series.items():
            if (series.role in PAIR_SERIES) != of_pairs:
                continue
            series.watch = self._new_watch(name, series.role)
            if series.late is None:  # else its alerts are of the ages, which no order changes
                ended += self._end_alerts(name, now_ms)
        self._divide_budget()
        return ended

    # Late labels (Rule 8)

    def turn(self, roles: Sequence[SeriesRole], now_ms: int) -> list[Transition]:
        """Turn the order in which these series are read; return the ends of their alerts."""
        self._read_apart()
        ended: list[Transition] = []
        for role in roles:
            if role not in self._state.series:
                self._begin(role, role)
                self._divide_budget()
            series, delays = self._state.series[role], self._state.delays[role]
            late = None
            if not delays.is_prompt:
                wait_s = self._spec.outcome.wait_s
                late = ages_of(series, delays, wait_s, is_quantity=self._state.is_regression)
            ended += series.turn(late, now_ms, self._spec.alerts)
        self.late = LateSeries(self)
        return ended

    def turned_by(self, label: Label, predictions: int) -> list[SeriesRole]:
        """Take in when a label came; return the series whose order of reading turns.

        Parameters
        ----------
        predictions
            Predictions of the model so far.
        """
        turned: list[SeriesRole] = []
        state = self._state
        known_ms, delays, is_quantity = label.known_ms, state.delays, state.is_regression
        delay_ms = max(known_ms - label.predicted_ms, 0)
        for role in PAIR_SERIES:
            value = label.error if role == "error" else label.outcome
            if value is None:
                continue
            if role not in delays:
                delays[role] = LabelDelays()
            if delays[role].add(value, delay_ms, known_ms, predictions, is_quantity=is_quantity):
                turned.append(role)
        return turned

    def is_prompt(self, series: str) -> bool:
        """Whether the values of a series are read as they arrive."""
        return all(each.name != series for each in self.late.series)

    def alert(self, series: str, aspect: str) -> AlertState | None:
        """Return the state of an alert of a series that has begun."""
        monitored = self._state.series.get(series)
        return None if monitored is None else monitored.alert(aspect)

    def outline(self, series: str) -> Outline | None:
        """Return the reference of a series: its profile, where the spec has one; else as learnt."""
        monitored = self._state.series[series]
        made = self._spec.reference.profile.get(series)
        if made is None:
            return monitored.watch.outline
        outline = watch_of(monitored.watch.spec, made.model_dump()).outline
        return None if outline is None else replace(outline, is_profile=True)

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return, for display, the references of each series, by name."""
        return {name: series.describe() for name, series in self.state.series.items()}

    def successor(self, spec: ModelSpec) -> "SeriesSet":
        """Return the series of the model after its removal: none, but their alerts' numbering."""
        self._read_apart()
        for name in list(self._state.series):
            self._drop(name)
        successor = SeriesSet(spec)
        successor.state.ended_alerts = self._state.ended_alerts
        return successor

    def _end_alerts(self, series: str, now_ms: int) -> list[Transition]:
        """End the alerts of a series that begins again, or is no longer monitored."""
        rules = self._spec.alerts
        monitored = self._state.series.get(series)
        if monitored is not None:
            aspects = [state.aspect for state in monitored.alerts()]
            return [
                each
                for aspect in aspects
                for each in monitored.end(aspect, "relearned", now_ms, rules)
            ]
        ended = self._state.ended_alerts.get(series, {})
        return [
            each
            for aspect in sorted(ended)
            for each in ended[aspect].end("relearned", now_ms, rules)
        ]

    def _retask(self, before: str | None) -> set[str]:
        """Begin the answers again where classes have become quantities, or the reverse."""
        task, was_regression = self._spec.task, self._state.is_regression
        if task is not None:
            self._state.is_regression = task == "regression"
        elif before == "regression":
            self._state.is_regression = False
        self._state.may_become_regression = task is None and not self._state.is_regression
        if self._state.is_regression == was_regression:
            return set()
        return {series for answer in REGRESSION_SERIES for series in self._drop(answer)}

    def _respec_behind(self, before: ModelSpec) -> set[str]:
        """End the series made of features that are asked for no longer, or of other features."""
        ended: set[str] = set()
        now, then = self._spec.features, before.features
        if not now.attributions:
            for name in attributions.begun(self._state.series.keys()):
                ended |= self._drop(attributions.series_of(name))
        is_other = (now.ignore, now.categorical) != (then.ignore, then.categorical)
        if is_other or not now.joint:
            self._state.joint = None
            ended |= self._drop(JOINT)
        return ended

    def _drop(self, name: str) -> set[str]:
        """Forget the references of a series; return its name, if it was monitored."""
        series = self._state.series.pop(name, None)
        if series is None:
            return set()
        if series.role == "feature":
            self.features.note_end(name)
        states = {state.aspect: state for state in series.alerts()}
        if states:
            self._state.ended_alerts[name] = states
        self._state.delays.pop(name, None)
        self.late = LateSeries(self)
        return {name}

    def _meet(self, columns: Sequence[Column], event_of: EventOf) -> list[int | None]:
        """Return from which row on each column is monitored; None where it has no value yet.

        Series begin in the order of the events, however many of these are read at once.
        """
        if self._state.series.keys() >= set(map(_name_of, columns)):
            return [0] * len(columns)
        self._read_apart()
        is_new = [column.series not in self._state.series for column in columns]
        starts = [
            _first_value(column.values) if new else 0
            for column, new in zip(columns, is_new, strict=True)
        ]
        begins = []
        for number, start in enumerate(starts):
            if is_new[number] and start is not None:
                event = event_of(columns[number].role, start)
                begins.append((event.offset, event.place, number))
        self._minutes = {}
        for _, _, number in sorted(begins):
            self._begin(columns[number].series, columns[number].role)
        if begins:
            self._divide_budget()
        return starts

    def _begin(self, name: str, role: SeriesRole) -> None:
        alerts = self._state.ended_alerts.pop(name, {})
        watch = self._new_watch(name, role)
        self._state.series[name] = MonitoredSeries(name, role, watch, alerts)
        if role == "feature":
            self.features.note_beginning(name)

    def _new_watch(self, series: str, role: SeriesRole) -> SeriesWatch:
        spec = self._watch_spec(series, role)
        made = self._spec.reference.profile.get(series)
        if made is not None:
            return watch_of(spec, made.model_dump())
        watch = SeriesWatch(spec)
        watch.share_minutes(self._minutes)
        return watch

    def _watch_spec(self, series: str, role: SeriesRole) -> WatchSpec:
        return _watch_spec(role, self._kind(series, role), self._spec.reference.rows)

    def _kind(self, series: str, role: SeriesRole) -> SeriesKind:
        match role:
            case "feature":
                coded = series.removeprefix("feature/") in self._spec.features.categorical
                return "categorical" if coded else "auto"
            case "score" | "attribution" | "joint":
                return "numeric"
            case _:
                return "numeric" if self._state.is_regression else "categorical"

    def _divide_budget(self) -> None:
        series = self._state.series.values()
        spec = self._spec
        error_part = 1.0 if spec.segments is None else 1 - SEGMENTS_SHARE
        if spec.calibration is not None:
            error_part -= CALIBRATION_SHARE
        roles = [each.role for each in series]
        budgets = shares(spec.alert_budget, roles, error_part)
        for each, budget in zip(series, budgets, strict=True):
            each.watch.set_budget(budget)
            if each.late is not None:
                each.late.set_budget(budget)


def _first_value(values: Sequence[Scalar] | Floats) -> int | None:
    return next((row for row, value in enumerate(values) if value is not None), None)


@cache
def _watch_spec(role: SeriesRole, kind: SeriesKind, reference_rows: int) -> WatchSpec:
    """Return one spec for all the series that are monitored alike."""
    return WatchSpec(role=role, kind=kind, reference_rows=reference_rows)
