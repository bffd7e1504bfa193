"""What each fact about a model's events is called, and how it is said.

Rule 1. A sentence has figures of many rows, never what a row says.
"""

from typing import Literal, NamedTuple

from msgspec.structs import replace

from schemas.alert import AlertKind, Severity
from streams.change import Condition, EffectUnit, Figures
from streams.clock import duration_text

ConditionKind = Literal[
    "fallback",
    "error",
    "version",
    "prediction_clock",
    "outcome_clock",
    "prediction_silence",
    "outcome_silence",
    "late",
    "missing",
    "orphan",
    "conflicting",
    "prediction_refused",
    "outcome_refused",
]


class ConditionWording(NamedTuple):
    """How a fact is named, and said: while it is so, and when it is over."""

    kind: AlertKind
    series: str
    aspect: str
    severity: Severity
    effect_unit: EffectUnit
    says: str
    over: str


CONDITIONS: dict[ConditionKind, ConditionWording] = {
    "fallback": ConditionWording(
        "service",
        "answers",
        "fallback",
        "warning",
        "odds_ratio",
        "{value:.1%} of its last {rows:,} answers come from a fallback, usually {baseline:.1%}",
        "its answers come from the model again, and no more from a fallback than usual",
    ),
    "error": ConditionWording(
        "service",
        "answers",
        "error",
        "critical",
        "odds_ratio",
        "{value:.1%} of its last {rows:,} predictions have the status error, usually "
        "{baseline:.1%}",
        "its predictions have the status error no more than usual",
    ),
    "version": ConditionWording(
        "service",
        "versions",
        "unseen",
        "info",
        "none",
        "a version answers that has never answered before",
        "the version that was new has answered for some time",
    ),
    "prediction_clock": ConditionWording(
        "service",
        "predictions",
        "clock",
        "warning",
        "odds_ratio",
        "{value:.1%} of its last {rows:,} predictions say that they were made more than a minute "
        "after they came: the clock of their producer is ahead",
        "the clock of what sends predictions is right again",
    ),
    "outcome_clock": ConditionWording(
        "service",
        "outcomes",
        "clock",
        "warning",
        "odds_ratio",
        "{value:.1%} of its last {rows:,} outcomes say that they were observed more than a minute "
        "after they came: the clock of their producer is ahead",
        "the clock of what sends outcomes is right again",
    ),
    "prediction_silence": ConditionWording(
        "silence",
        "predictions",
        "silence",
        "critical",
        "ratio",
        "no predictions for {elapsed}, at this hour of the week usually {usual} at most; {also}",
        "predictions come again",
    ),
    "outcome_silence": ConditionWording(
        "labels",
        "outcomes",
        "silence",
        "warning",
        "ratio",
        "no outcomes for {elapsed}, at this hour of the week usually {usual} at most, while "
        "predictions go on: what sends outcomes is down",
        "outcomes come again",
    ),
    "late": ConditionWording(
        "labels",
        "outcomes",
        "late",
        "warning",
        "ratio",
        "a tenth of the last day's outcomes came more than {elapsed} after their prediction, "
        "on no day before more than {usual}",
        "outcomes come as soon as they used to",
    ),
    "missing": ConditionWording(
        "labels",
        "outcomes",
        "missing",
        "warning",
        "odds_ratio",
        "{value:.1%} of {rows:,} predictions had no outcome in the time that they wait for one, "
        "on no day before more than {baseline:.1%}",
        "predictions get their outcomes again",
    ),
    "orphan": ConditionWording(
        "labels",
        "outcomes",
        "orphan",
        "warning",
        "odds_ratio",
        "{value:.1%} of {rows:,} outcomes are of predictions that never came, on no day before "
        "more than {baseline:.1%}",
        "outcomes are of known predictions again",
    ),
    "conflicting": ConditionWording(
        "labels",
        "outcomes",
        "conflicting",
        "warning",
        "odds_ratio",
        "{value:.1%} of its last {rows:,} outcomes contradict an earlier one of the same "
        "prediction, usually {baseline:.1%}",
        "outcomes contradict each other no more than usual",
    ),
    "prediction_refused": ConditionWording(
        "service",
        "predictions",
        "refused",
        "critical",
        "odds_ratio",
        "{value:.1%} of the last {rows:,} predictions that were sent for it are refused, usually "
        "{baseline:.1%}: what sends them has changed; the dead letters say what is wrong",
        "predictions are refused no more than usual",
    ),
    "outcome_refused": ConditionWording(
        "labels",
        "outcomes",
        "refused",
        "warning",
        "odds_ratio",
        "{value:.1%} of the last {rows:,} outcomes that were sent for it are refused, usually "
        "{baseline:.1%}: what sends them has changed; the dead letters say what is wrong",
        "outcomes are refused no more than usual",
    ),
}


def condition_of(fact: ConditionKind, figures: Figures | None = None, also: str = "") -> Condition:
    """Say a fact.

    Parameters
    ----------
    figures
        None where there are none: a version is new, or it is not.
    also
        Of a silence of predictions: what else is known.

    Examples
    --------
    >>> condition_of("fallback", Figures(0.34, 0.005, effect=103.0, rows=120)).says
    '34.0% of its last 120 answers come from a fallback, usually 0.5%'
    """
    kind, series, aspect, severity, effect_unit, says, over = CONDITIONS[fact]
    if figures is None:
        return Condition(kind, series, aspect, severity, says, over)
    value, baseline, rows = figures.value or 0.0, figures.baseline or 0.0, figures.rows
    said = says.format(
        value=value,
        baseline=baseline,
        rows=rows,
        also=also,
        elapsed=duration_text(1_000 * value),
        usual=duration_text(1_000 * baseline),
    )
    return Condition(
        kind,
        series,
        aspect,
        severity,
        said,
        over,
        replace(figures, unit=effect_unit, direction="up", rows=max(rows, 1)),
    )
