"""The shape of a change, from the detector to the alert.

A detector returns a `Finding`, a series a `Detection`, and the alert keeps the `Change`. A fault in
the arrival of events is a `Condition`. All of them carry one `Figures`.
"""

import math
from typing import Literal

from msgspec import Struct

from schemas.alert import AlertKind, Severity

Direction = Literal["up", "down"]
EffectUnit = Literal["sd", "odds_ratio", "ratio", "none"]
"""Reference standard deviations, a ratio of odds, a ratio of standard deviations or durations."""
Detector = Literal["page_hinkley", "adwin", "cusum", "rule"]
"""The detector that found a change; ``rule`` finds facts, without a threshold."""
Shares = tuple[tuple[str, float, float], ...]
"""Categories, each with its share in the reference and now."""


class Figures(Struct, frozen=True, gc=False, omit_defaults=True):
    """The size of a change.

    Parameters
    ----------
    value, baseline
        The figure now and in the reference: a mean, a standard deviation or a duration in the unit
        of the series, or a share between 0 and 1.
    effect, unit
        The size of the difference, 0 or more, in ``unit``.
    direction
        The side to which the figure moved.
    rows
        Estimated values of the series since the change began, 1 or more.
    score
        The effect in normal scores, where a number has it: standard deviations, or their ratio.
        One wild value hardly moves it. The check whether the series is back needs it.
    """

    value: float | None = None
    baseline: float | None = None
    effect: float | None = None
    unit: EffectUnit = "none"
    direction: Direction | None = None
    rows: int = 1
    score: float | None = None

    @property
    def strength(self) -> float:
        """The effect in standard deviations, so that units can be compared.

        The logarithm of an odds ratio, times the square root of 3 over pi, is the difference in
        standard deviations of a logistic variable (Chinn 2000).

        Examples
        --------
        >>> sd, odds = Figures(effect=0.5, unit="sd"), Figures(effect=2.5, unit="odds_ratio")
        >>> round(sd.strength, 2), round(odds.strength, 2), Figures().strength
        (0.5, 0.51, 0.0)
        """
        if self.effect is None or self.effect <= 0:
            return 0.0
        if self.unit == "odds_ratio":
            return abs(math.log(self.effect)) * math.sqrt(3) / math.pi
        return abs(math.log(self.effect)) if self.unit == "ratio" else self.effect

    @property
    def chance(self) -> float:
        """A standard error of the strength, were the figure that of ``rows`` independent values.

        Examples
        --------
        >>> Figures(effect=0.5, unit="sd", rows=25).chance
        0.2
        """
        if self.unit == "odds_ratio":
            share = self.value or 0.0
            variance = max(share * (1 - share), 1 / self.rows)
            return math.sqrt(3 / (self.rows * variance)) / math.pi
        return 1 / math.sqrt(2 * self.rows if self.unit == "ratio" else self.rows)


NO_FIGURES = Figures()


class Finding(Struct, frozen=True):
    """A change that a detector has found.

    Parameters
    ----------
    row
        Its place among the values that the detector was given, from 0.
    aspect
        A key of `streams.aspects.ASPECTS`.
    category_index
        The category, by its place among those that the detector watches.
    crept
        Movement of the series to the same side before the change began, in standard deviations of
        chance.
    moved
        Categories that have moved, ``category_index`` first: index, share before, share since.
    """

    row: int
    aspect: str
    detector: Detector
    figures: Figures = NO_FIGURES
    category_index: int | None = None
    crept: float = 0.0
    moved: tuple[tuple[int, float, float], ...] = ()


class Onset(Struct, frozen=True):
    """The estimated beginning of a change.

    Parameters
    ----------
    at_ms
        Its instant.
    is_of_outcomes
        Whether that is an instant of outcomes, and not of predictions.
    """

    at_ms: int
    is_of_outcomes: bool


class AtAge(Struct, frozen=True):
    """How a change was read, where labels come late.

    Parameters
    ----------
    age_ms
        The age of the predictions: labels known by then were read.
    onset_ms, until_ms
        The predictions since the change began; all of them have reached the age.
    comes_differently
        Whether the labels come otherwise than before, or more than the errors has changed.
    """

    age_ms: int
    onset_ms: int
    until_ms: int
    comes_differently: bool


class Change(Struct, frozen=True, omit_defaults=True):
    """A change of a series.

    Parameters
    ----------
    aspect
        A key of `streams.aspects.ASPECTS`.
    detector
        The detector that found it.
    figures
        Its size.
    category
        The category concerned, for a share or an unseen category.
    moved
        The categories whose shares have moved, the furthest first.
    left_out
        Values that the figures of a number leave out, as text: each has a share of its own.
    at_age
        The age at which late labels were read; None where they were read as they arrived.
    is_of_training
        Whether the reference was made of training data, not learnt of the traffic.
    """

    aspect: str
    detector: Detector
    figures: Figures = NO_FIGURES
    category: str | None = None
    moved: Shares = ()
    left_out: tuple[str, ...] = ()
    at_age: AtAge | None = None
    is_of_training: bool = False


class Condition(Struct, frozen=True, omit_defaults=True):
    """A fault in the arrival of a model's events, such as silence.

    Parameters
    ----------
    kind, series, aspect
        The subject, as in an alert. Series and aspect name it within its model.
    severity
        Its urgency while it lasts.
    says
        The sentence for people while it lasts; it follows "Model NAME: ". Aggregates, no values.
    over
        The sentence when it is over, likewise.
    figures
        Its size.
    segment
        The part of the traffic that it is about; None for all of it.
    """

    kind: AlertKind
    series: str
    aspect: str
    severity: Severity
    says: str
    over: str = ""
    figures: Figures = NO_FIGURES
    segment: dict[str, str] | None = None

    @property
    def change(self) -> Change:
        """The condition in the shape of a change."""
        return Change(aspect=self.aspect, detector="rule", figures=self.figures)
