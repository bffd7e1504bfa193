"""The shape of a change, from the detector to the alert."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

# River's ADWIN without `river.drift`, which loads scipy: a second of CPU at every start.
from schemas.alert import AlertKind, Severity
from streams.season.hour_profile import HourProfile

Shares = tuple[tuple[str, float, float], ...]
"""Categories, each with its share in the reference and now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A change, at ``row`` of the values just given to a detector."""

    row: int
    aspect: str
    detector: str
    direction: Literal["up", "down"] | None = None
    level: int | None = None
    value: float | None = None
    baseline: float | None = None
    effect: float | None = None
    effect_unit: str = "none"
    rows: int = 1
    is_final: bool = True
    """Whether the series must be learnt anew after it."""
    crept: float = 0.0
    """How far the series had moved this way before the change began, in deviations of chance."""
    moved: tuple[tuple[int, float, float], ...] = ()
    """Levels that have moved, ``level`` the first: each with its share before and since."""


def strength(effect: float | None, unit: str) -> float:
    """Return the size of an effect in standard deviations, so that units can be compared.

    Examples
    --------
    >>> [round(strength(*each), 2) for each in ((0.5, "sd"), (2.5, "odds_ratio"), (None, "none"))]
    [0.5, 0.51, 0.0]
    """
    if effect is None or effect <= 0:
        return 0.0
    if unit == "odds_ratio":
        return abs(math.log(effect)) * math.sqrt(3) / math.pi
    return abs(math.log(effect)) if unit == "ratio" else effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of a series, with its evidence.

    Parameters
    ----------
    index
        Position, in the values given to this ``update()``, at which it was raised.
    aspect
        What changed: level, spread, share, missing, unseen, stuck, constant or type.
    category
        The category concerned, for a share or an unseen category.
    detector
        page_hinkley, adwin, cusum, or rule for what is a fact and not a guess.
    value, baseline
        The figure now and in the reference: a mean or standard deviation in the series' own unit,
        or a share between 0 and 1.
    effect, effect_unit
        The size: reference standard deviations ("sd"), "odds_ratio", or "ratio" of two deviations.
    direction
        up or down.
    rows
        Estimated inputs of this series since the change began.
    moved
        The categories whose shares have moved, the furthest first: name, share before and now.
    rhythm
        What the hour adds to the series, where that is known and what has changed is its values.
    original
        The first reference of the series, as `describe` tells it, as it was then.
    """

    index: int
    aspect: str
    category: str | None
    detector: str
    value: float | None
    baseline: float | None
    effect: float | None
    effect_unit: str
    direction: Literal["up", "down"] | None
    rows: int
    moved: Shares = ()
    rhythm: HourProfile | None = field(default=None, compare=False, repr=False)
    original: dict[str, Any] | None = field(default=None, repr=False)


class Condition(NamedTuple):
    """Something about a model that is no change of a series, such as silence.

    Parameters
    ----------
    kind, series, aspect
        What it is about, as in an alert. Series and aspect name it within its model.
    severity
        How urgent it is while it lasts.
    detector
        What saw it.
    says
        What has happened, for people: it follows "Model NAME: ". Figures, never values.
    over
        What has become of it when it is over, likewise.
    value, baseline, effect, effect_unit, direction, rows
        As in an alert.
    """

    kind: AlertKind
    series: str
    aspect: str
    severity: Severity
    says: str
    over: str = ""
    detector: str = "rule"
    value: float | None = None
    baseline: float | None = None
    effect: float | None = None
    effect_unit: str = "none"
    direction: Literal["up", "down"] | None = None
    rows: int = 1

    def change(self) -> Change:
        """Return its figures as those of a change."""
        return Change(
            index=0,
            aspect=self.aspect,
            category=None,
            detector=self.detector,
            value=self.value,
            baseline=self.baseline,
            effect=self.effect,
            effect_unit=self.effect_unit,
            direction=self.direction,
            rows=self.rows,
        )


STATISTICAL = ("level", "spread", "share")
