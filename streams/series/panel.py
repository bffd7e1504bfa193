"""The watched series of one model: which there are, what each may cost, what changes.

Rule 1. Each prediction is one value of every feature, of the prediction and of the score; each pair
        is one value of the error and of the outcome.
Rule 2. A series begins at its first value; the budget is divided anew among all when one begins.
Rule 3. Predictions with a fractional part make the model a regression; until then, numbers are
        classes. From there on the prediction, the error and the outcome are new series.
Rule 4. At most ``MAX_SERIES`` features are watched; what comes later is counted.
Rule 5. A series for which the spec brings a profile has nothing to learn at its beginning.
Rule 6. Another spec takes effect at once: the budget is divided anew; a feature that is ignored
        ends; one that is read otherwise, and the answers of another task, begin anew; a new profile
        replaces what was learnt. Rows to learn from are those of the spec a learning began under.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple, Protocol

from schemas.model_spec import ModelSpec
from streams.alert.lifecycle import AlertStates, Stretch
from streams.alert.transition import Transition
from streams.aspects import SeriesRole
from streams.clock import Instants
from streams.codec import decode, encode
from streams.detect.budget import shares
from streams.season.hour_profile import Timestamps
from streams.series.offline import watch_of
from streams.series.recovery import AWAY_ROWS
from streams.series.watch import SeriesWatch
from streams.series.watch_spec import WatchSpec
from streams.values import Answer, Scalar

MAX_SERIES = 1_000
REGRESSION_SERIES = ("prediction", "error", "outcome")
"""What is a quantity, and no class, once a model turns out to be a regression."""
SeriesKind = Literal["auto", "numeric", "categorical"]


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


class Column(NamedTuple):
    """Values of one series, in log order, and the instants that they belong to."""

    series: str
    role: SeriesRole
    values: Sequence[Scalar]
    at_ms: Instants


class SeriesSet:
    """The series of one model.

    Parameters
    ----------
    spec
        What the model's owner asks for.

    Attributes
    ----------
    is_regression
        Whether the error is a distance; a mismatch otherwise.
    unwatched_values
        Values of features beyond Rule 4.
    incomparable_outcomes
        Pairs of a regression of which one half is text.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.is_regression = spec.task == "regression"
        self.unwatched_values = 0
        self.incomparable_outcomes = 0
        self._may_become_regression = spec.task is None
        self._spec = spec
        self._ignored = frozenset(spec.features.ignore)
        self._watches: dict[str, SeriesWatch] = {}
        self._roles: dict[str, SeriesRole] = {}
        self._feature_series: dict[str, str] = {}
        self._begun: set[str] = set()
        self._usual_names: tuple[str, ...] = ()
        self._minutes: dict[bytes, bytearray] = {}  # of the series that began together

    def respec(self, spec: ModelSpec) -> set[str]:
        """Go on under another spec; return the series that begin anew, or end, with it."""
        before, self._spec = self._spec, spec
        self._ignored = frozenset(spec.features.ignore)
        ended = self._ignore() | self._retask(before.task)
        for name in set(before.features.categorical) ^ set(spec.features.categorical):
            ended |= self._drop(f"feature/{name}")
        for series, role in self._roles.items():
            made = spec.reference.profile.get(series)
            if made is not None and made != before.reference.profile.get(series):
                self._watches[series] = self._new_watch(series, role)
                ended.add(series)
            self._watches[series].spec = self._watch_spec(series, role)
        if self._watches:
            self._divide_budget()
        return ended

    def becomes_regression(self, answer: Answer) -> bool:
        """Tell whether this answer shows that the model is a regression (Rule 3)."""
        if not self._may_become_regression:
            return False
        return isinstance(answer, float) and not answer.is_integer()

    def become_regression(self) -> None:
        """Begin the prediction, the error and the outcome anew, as quantities."""
        self.is_regression, self._may_become_regression = True, False
        for series in REGRESSION_SERIES:
            self._drop(series)

    def compare(self, prediction: Answer, outcome: Answer) -> tuple[bool | None, float | None]:
        """Return (is_error, error): the first for classes, the second for a regression."""
        if not self.is_regression:
            return prediction != outcome, None
        if isinstance(prediction, str) or isinstance(outcome, str):
            self.incomparable_outcomes += 1
            return None, None
        # Two doubles may lie further apart than a double can say.
        return None, min(abs(float(prediction) - float(outcome)), sys.float_info.max)

    def begins_with_prediction(
        self, answer: Answer, score: Scalar, features: Mapping[str, Scalar]
    ) -> bool:
        """Tell whether a value is the first of its series: rows before it are judged without it."""
        if tuple(features) != self._usual_names and self.begins_feature(features):
            return True
        watches = self._watches
        return "prediction" not in watches or (score is not None and "score" not in watches)

    def begins_with_pair(self, error: Scalar, outcome: Answer) -> bool:
        """Tell the same of the two series that have a value a pair."""
        watches = self._watches
        return "outcome" not in watches or (error is not None and "error" not in watches)

    def begins_feature(self, features: Mapping[str, Scalar]) -> bool:
        """Tell whether any of these values is the first of its feature."""
        if features.keys() <= self._begun:
            self._usual_names = tuple(features)
            return False
        return any(
            value is not None and self._may_begin(name)
            for name, value in features.items()
            if name not in self._begun
        )

    def feature_columns(
        self, rows: Sequence[Mapping[str, Scalar]], at_ms: Instants
    ) -> list[Column]:
        """Return the columns of the watched features; what a row does not have is missing."""
        known = self._feature_series
        shapes = set(map(tuple, rows))
        if len(shapes) == 1 and rows[0].keys() <= known.keys():
            # All rows name the same features in the same order, as nearly always: turned over as a
            # whole, values of 500 features take an eighth of the time of looking each of them up.
            names, values = shapes.pop(), zip(*map(_values_of, rows), strict=True)
            by_name = dict(zip(names, values, strict=True))
            nothing = (None,) * len(rows)
            return [
                Column(series, "feature", by_name.get(name, nothing), at_ms)
                for name, series in known.items()
                if series
            ]
        for features in rows:
            if not features.keys() <= known.keys():
                self._meet_features(features)
        return [
            Column(series, "feature", [features.get(name) for features in rows], at_ms)
            for name, series in known.items()
            if series
        ]

    def update(
        self, columns: Sequence[Column], lives: AlertStates, event_of: EventOf
    ) -> list[Transition]:
        """Take columns into account; return what has become of alerts.

        Parameters
        ----------
        columns
            At most one of each series.
        lives
            The model's alerts.
        event_of
            Gives the event of a row of a column.
        """
        starts = self._meet(columns, event_of)
        steps: list[Transition] = []
        at_ms: Instants | None = None
        for column, start in zip(columns, starts, strict=True):
            if start is None:
                continue
            series, values = column.series, column.values
            if column.at_ms is not at_ms:  # all features share theirs
                at_ms = column.at_ms
                moments = Timestamps.of(at_ms)
                is_long = len(at_ms) > AWAY_ROWS
            if start or is_long or lives.is_gauged(series):
                steps += lives.read(self._stretch(column, start, event_of))
                continue
            watch = self._watches[series]
            if changes := watch.read(values, moments):
                seen = watch.seen - len(values)
                steps += lives.follow(self._stretch(column, start, event_of), changes, seen)
        return steps

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return, for display, what is known of each series, by name."""
        return {series: watch.describe() for series, watch in self._watches.items()}

    def watch(self, series: str) -> SeriesWatch | None:
        """Return what watches a series, if it has begun."""
        return self._watches.get(series)

    def snapshot(self) -> dict[str, Any]:
        """Return the state."""
        return {
            "is_regression": self.is_regression,
            "may_become_regression": self._may_become_regression,
            "unwatched_values": self.unwatched_values,
            "incomparable_outcomes": self.incomparable_outcomes,
            # A list: a feature may have any name, and a tree of state has names of its own.
            "feature_series": list(self._feature_series.items()),
            "series": {
                series: {"role": self._roles[series], "watch": encode(watch)}
                for series, watch in self._watches.items()
            },
        }

    @classmethod
    def restore(cls, spec: ModelSpec, state: dict[str, Any]) -> "SeriesSet":
        """Return the panel as it was."""
        panel = cls(spec)
        panel.is_regression = state["is_regression"]
        panel._may_become_regression = state["may_become_regression"]
        panel.unwatched_values = state["unwatched_values"]
        panel.incomparable_outcomes = state["incomparable_outcomes"]
        panel._feature_series = dict(state["feature_series"])
        logs: dict[bytes, bytearray] = {}
        for series, kept in state["series"].items():
            role = kept["role"]
            panel._roles[series] = role
            panel._watches[series] = watch = decode(kept["watch"], SeriesWatch)
            watch.spec = panel._watch_spec(series, role)
            watch.share_minutes(logs)
        panel._begun = {
            name for name, series in panel._feature_series.items() if series in panel._watches
        }
        return panel

    def _ignore(self) -> set[str]:
        """End the features that are ignored now; meet those anew that are not any more."""
        ended: set[str] = set()
        for name, series in list(self._feature_series.items()):
            if name in self._ignored:
                self._feature_series[name] = ""
                ended |= self._drop(series)
            elif not series:
                del self._feature_series[name]
        return ended

    def _retask(self, before: str | None) -> set[str]:
        """Begin the answers anew where they were classes and are quantities now, or the reverse."""
        task, was_regression = self._spec.task, self.is_regression
        if task is not None:
            self.is_regression = task == "regression"
        elif before == "regression":
            self.is_regression = False
        self._may_become_regression = task is None and not self.is_regression
        if self.is_regression == was_regression:
            return set()
        return {series for answer in REGRESSION_SERIES for series in self._drop(answer)}

    def _drop(self, series: str) -> set[str]:
        """Forget what is known of a series; return it, if it was watched."""
        if self._roles.pop(series, None) == "feature":
            self._begun.discard(series.removeprefix("feature/"))
            self._usual_names = ()
        return {series} if self._watches.pop(series, None) is not None else set()

    def _may_begin(self, name: str) -> bool:
        if name in self._feature_series:
            return bool(self._feature_series[name])
        return name not in self._ignored and len(self._feature_series) < MAX_SERIES

    def _meet_features(self, features: Mapping[str, Scalar]) -> None:
        for name in features:
            if name in self._feature_series:
                continue
            if len(self._feature_series) >= MAX_SERIES:
                self.unwatched_values += 1
            else:
                self._feature_series[name] = "" if name in self._ignored else f"feature/{name}"

    def _meet(self, columns: Sequence[Column], event_of: EventOf) -> list[int | None]:
        """Return from which row on each column is watched; None where it has no value yet.

        Series begin in the order of the events, however many of these are read at once.
        """
        is_new = [column.series not in self._watches for column in columns]
        if not any(is_new):
            return [0] * len(columns)
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

    def _begin(self, series: str, role: SeriesRole) -> None:
        self._watches[series] = self._new_watch(series, role)
        self._roles[series] = role
        if role == "feature":
            self._begun.add(series.removeprefix("feature/"))

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
            case "score":
                return "numeric"
            case _:
                return "numeric" if self.is_regression else "categorical"

    def _divide_budget(self) -> None:
        roles = [self._roles[series] for series in self._watches]
        budgets = shares(self._spec.alert_budget, roles)
        for watch, budget in zip(self._watches.values(), budgets, strict=True):
            watch.set_budget(budget)

    def _stretch(self, column: Column, start: int, event_of: EventOf) -> Stretch:
        def now_of(row: int) -> int:
            return event_of(column.role, row).now_ms

        return Stretch(
            self._watches[column.series],
            column.series,
            column.role,
            column.values[start:] if start else column.values,
            column.at_ms[start:] if start else column.at_ms,
            start,
            now_of,
        )


def _first_value(values: Sequence[Scalar]) -> int | None:
    return next((row for row, value in enumerate(values) if value is not None), None)


def _values_of(features: Mapping[str, Scalar]) -> Iterable[Scalar]:
    return features.values()


@cache
def _watch_spec(role: SeriesRole, kind: SeriesKind, reference_rows: int) -> WatchSpec:
    """Return one spec for all the series that are watched alike."""
    return WatchSpec(role=role, kind=kind, reference_rows=reference_rows)
