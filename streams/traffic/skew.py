"""Training-serving skew, row by row: the features a model was asked with against those of a log.

A service publishes predictions with their features; another system publishes what it holds for the
same ids as `inputs`. Where they differ, the model is asked with other values than it learns from.

Rule 1. A feature that both name is compared: numbers by a relative tolerance, all else by equality.
        A missing value against a value differs; a number against text or a boolean does too.
Rule 2. The normal share of differences is none. An episode begins and ends as of any rare share
        (`streams.traffic.event_rate`); its rows are the compared ones.
Rule 3. A sentence names the id of a row, never a value.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from streams.change import Condition, Figures
from streams.codec import Machine
from streams.traffic.conditions import ConditionState
from streams.traffic.event_rate import EventRate
from streams.values import Scalar, printable

MOST_FEATURES = 1_000
"""Features that are compared: as many as are monitored."""
BUDGET_SHARE = 0.05
"""Part of the model's budget that all comparisons would have together, without a share of it: rows
that are equal by construction have no chance differences to spend it on. By judgement."""
RENEWED_EVERY = 100
"""Compared rows after which an open condition has its present figures."""
_NAME, _ID = 30, 20
"""Characters of a feature and of an id in a sentence."""


class ComparedFeature(Machine):
    """One feature.

    Attributes
    ----------
    rows
        Compared rows.
    differences
        Their share that differs.
    """

    rows: int
    differences: EventRate


class Compared(NamedTuple):
    """The features of one prediction, and those of the log for its id."""

    prediction_id: str
    served: Mapping[str, Scalar]
    logged: Mapping[str, Scalar]


class Skew(Machine):
    """The comparisons of one model."""

    rows: int = 0
    features: dict[str, ComparedFeature] = {}

    def on_row(
        self, compared: Compared, tolerance: float, alert_budget: float
    ) -> list[ConditionState]:
        """Compare a row; return the conditions that begin or end with it.

        Parameters
        ----------
        tolerance
            The largest difference of two numbers, as a part of the larger.
        alert_budget
            False alarms per 10,000 predictions, for the whole model.
        """
        self.rows += 1
        states: list[ConditionState] = []
        for name in sorted(compared.served.keys() & compared.logged.keys()):
            feature = self._feature(name, alert_budget)
            if feature is None:
                continue
            feature.rows += 1
            rate = feature.differences
            was_on, row = rate.is_on, feature.rows
            if differ(compared.served[name], compared.logged[name], tolerance):
                rate.on_hit(row)
            elif rate.due_row is not None and row >= rate.due_row:
                rate.advance(row)
            is_renewed = rate.is_on and row % RENEWED_EVERY == 0
            if rate.is_on != was_on or is_renewed:
                condition = _condition(name, rate, compared.prediction_id)
                states.append(ConditionState(condition, rate.is_on))
        return states

    def accept(self, series: str) -> None:
        """Take the present share of differences of a feature as normal."""
        feature = self.features.get(series.removeprefix("skew/"))
        if feature is not None and feature.differences.is_on:
            feature.differences.relearn()

    def ended(self) -> list[ConditionState]:
        """Return the open conditions as over: rows are compared no longer."""
        return [
            ConditionState(_condition(name, each.differences, ""), is_on=False)
            for name, each in self.features.items()
            if each.differences.is_on
        ]

    def _feature(self, name: str, alert_budget: float) -> ComparedFeature | None:
        found = self.features.get(name)
        if found is None and len(self.features) < MOST_FEATURES:
            false_alarms = BUDGET_SHARE * alert_budget
            found = ComparedFeature(0, EventRate.of_none(false_alarms))
            self.features[name] = found
        return found


def differ(served: Scalar, logged: Scalar, tolerance: float) -> bool:
    """Tell whether two values of a feature differ (Rule 1).

    Examples
    --------
    >>> differ(3, 3.0, 0.0), differ(1.0, 1.0001, 1e-3), differ(None, None, 0.0)
    (False, False, False)
    >>> differ(None, 0, 1e-6), differ(True, 1, 1e-6), differ("1", 1, 1e-6)
    (True, True, True)
    """
    are_numbers = type(served) in (int, float) and type(logged) in (int, float)
    if are_numbers and isinstance(served, int | float) and isinstance(logged, int | float):
        return not math.isclose(served, logged, rel_tol=tolerance)
    return type(served) is not type(logged) or served != logged


def _condition(name: str, rate: EventRate, prediction_id: str) -> Condition:
    feature, example = _cut(name, _NAME), _cut(prediction_id, _ID)
    return Condition(
        kind="skew",
        series=f"skew/{name}",
        aspect="mismatch",
        severity="warning",
        says=f"{100 * rate.share:.1f} % of {rate.rows:,} values of feature {feature} differ from "
        f"the feature log, as of prediction {example}. Compare both",
        over=f"the values of feature {feature} agree with the feature log again",
        figures=Figures(rate.share, 0.0, rate.odds_ratio, "odds_ratio", "up", max(rate.rows, 1)),
    )


def _cut(name: str, most: int) -> str:
    shown = printable(name)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
