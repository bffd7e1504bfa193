"""The conditions of a model's events: one row each, with the alert that reports it.

Rule 1. A new condition is a row here, and the place in `streams.traffic.traffic` that raises it;
        what concerns specs and controls is raised by `streams.model.model`.
Rule 2. A sentence has aggregates only, never a value of one row: it goes to the log.
Rule 3. A sentence reads after "Model NAME: ". The summary of its alert ends it, and has at most
        200 characters with a name of 40. The advice stands last.
"""

from typing import Literal, NamedTuple

from msgspec import Struct
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
    "unjoined",
    "mismatch",
    "prediction_refused",
    "outcome_refused",
    "repeated",
    "reported",
    "unread",
    "left_out",
    "outcome_left_out",
    "new_features",
    "spec",
    "control",
    "quarantine",
    "topic_refused",
    "crowded",
    "calibration",
    "worker_clock",
]


class ConditionState(NamedTuple):
    """A condition with its present figures, and whether it lasts."""

    condition: Condition
    is_on: bool


class ConditionRow(Struct, frozen=True, kw_only=True):
    """One condition.

    Parameters
    ----------
    kind, series, aspect, severity
        Those of its alert. Series and aspect name the condition within a model.
    unit
        The unit of its effect.
    lasts
        The sentence while it lasts, with ``{value}``, ``{normal}`` and ``{rows}``, ``{hits}`` for
        the rows that the value is of, and ``{also}`` for a clause or names. Value and normal are
        durations where the unit is a ratio, and shares elsewhere.
    over
        The clause when it is over; the duration follows it.
    """

    kind: AlertKind
    series: str
    aspect: str
    severity: Severity
    unit: EffectUnit = "odds_ratio"
    lasts: str
    over: str


CONDITIONS: dict[ConditionKind, ConditionRow] = {
    "fallback": ConditionRow(
        kind="service",
        series="answers",
        aspect="fallback",
        severity="warning",
        lasts="{value} of the last {rows} answers came from a fallback, normally {normal}. "
        "Check the model service",
        over="the share of fallback answers is back to normal",
    ),
    "error": ConditionRow(
        kind="service",
        series="answers",
        aspect="error",
        severity="critical",
        lasts="{value} of the last {rows} predictions failed with status error, normally "
        "{normal}. Check the model service",
        over="the share of failed predictions is back to normal",
    ),
    "version": ConditionRow(
        kind="service",
        series="versions",
        aspect="unseen",
        severity="info",
        unit="none",
        lasts="a model version answers for the first time. If no deployment was planned, find out "
        "who deployed it",
        over="the model version is no longer new",
    ),
    "prediction_clock": ConditionRow(
        kind="service",
        series="predictions",
        aspect="clock",
        severity="warning",
        lasts="{value} of the last {rows} predictions are dated more than 1 min in the future, "
        "normally {normal}. Check the clock of their producer",
        over="the timestamps of predictions are right again",
    ),
    "outcome_clock": ConditionRow(
        kind="service",
        series="outcomes",
        aspect="clock",
        severity="warning",
        lasts="{value} of the last {rows} outcomes are dated more than 1 min in the future, "
        "normally {normal}. Check the clock of their producer",
        over="the timestamps of outcomes are right again",
    ),
    "prediction_silence": ConditionRow(
        kind="silence",
        series="predictions",
        aspect="silence",
        severity="critical",
        unit="ratio",
        lasts="no predictions for {value}, normally at most {normal} at this hour{also}. "
        "Check the prediction service",
        over="predictions arrive again",
    ),
    "outcome_silence": ConditionRow(
        kind="labels",
        series="outcomes",
        aspect="silence",
        severity="warning",
        unit="ratio",
        lasts="no outcomes for {value}, normally at most {normal} at this hour; predictions still "
        "arrive. Check the source of outcomes",
        over="outcomes arrive again",
    ),
    "late": ConditionRow(
        kind="labels",
        series="outcomes",
        aspect="late",
        severity="warning",
        unit="ratio",
        lasts="10 % of the last day's outcomes took longer than {value} after their prediction, "
        "normally at most {normal}. Check the source of outcomes",
        over="outcomes arrive as fast as normal again",
    ),
    "missing": ConditionRow(
        kind="labels",
        series="outcomes",
        aspect="missing",
        severity="warning",
        lasts="{value} of {rows} predictions got no outcome in time, normally at most {normal}. "
        "Check the source of outcomes",
        over="predictions get their outcomes in time again",
    ),
    "orphan": ConditionRow(
        kind="labels",
        series="outcomes",
        aspect="orphan",
        severity="warning",
        lasts="{value} of {rows} outcomes have no prediction, normally at most {normal}. Check "
        "that ids match and all predictions are published",
        over="outcomes find their predictions again",
    ),
    "conflicting": ConditionRow(
        kind="labels",
        series="outcomes",
        aspect="conflicting",
        severity="warning",
        lasts="{hits} of the last {rows} outcomes contradict an earlier one and are passed over, "
        "normally {normal}. Check their source or set outcome.corrections",
        over="the share of conflicting outcomes is back to normal",
    ),
    "unjoined": ConditionRow(
        kind="labels",
        series="outcomes",
        aspect="unjoined",
        severity="warning",
        unit="none",
        lasts="{hits} of the last {rows} outcomes found their prediction: {also}",
        over="outcomes find their predictions again",
    ),
    "mismatch": ConditionRow(
        kind="labels",
        series="outcomes",
        aspect="mismatch",
        severity="warning",
        unit="none",
        lasts="{value} of {rows} outcomes cannot equal an answer ({also}). The error is not judged "
        "meanwhile",
        over="outcomes can equal their answers again",
    ),
    "prediction_refused": ConditionRow(
        kind="service",
        series="predictions",
        aspect="refused",
        severity="critical",
        lasts="{value} of the last {rows} predictions were refused, normally {normal}. Read the "
        "dead letters and check the last deployment of their producer",
        over="the share of refused predictions is back to normal",
    ),
    "outcome_refused": ConditionRow(
        kind="labels",
        series="outcomes",
        aspect="refused",
        severity="warning",
        lasts="{value} of the last {rows} outcomes were refused, normally {normal}. Read the "
        "dead letters and check the last deployment of their producer",
        over="the share of refused outcomes is back to normal",
    ),
    "repeated": ConditionRow(
        kind="service",
        series="predictions",
        aspect="repeated",
        severity="warning",
        lasts="{value} of the last {rows} predictions have the id of an earlier one, normally "
        "{normal}. They are left out: make ids unique",
        over="predictions have ids of their own again",
    ),
    "reported": ConditionRow(
        kind="service",
        series="reports",
        aspect="reported",
        severity="warning",
        lasts="people reported {value} of the last {rows} predictions, normally {normal}. Read "
        "their reasons: `./tidegauge tail reports`",
        over="people report as few predictions as normal again",
    ),
    "unread": ConditionRow(
        kind="service",
        series="predictions",
        aspect="unread",
        severity="info",
        unit="none",
        lasts="{rows} predictions have no features, but fields that nothing reads: {also}. Check "
        "their names",
        over="predictions carry no fields that nothing reads",
    ),
    "left_out": ConditionRow(
        kind="service",
        series="predictions",
        aspect="left_out",
        severity="info",
        unit="none",
        lasts="{rows} predictions had unreadable fields left out: {also}. Check their producer",
        over="the fields of predictions can be read again",
    ),
    "outcome_left_out": ConditionRow(
        kind="service",
        series="outcomes",
        aspect="left_out",
        severity="info",
        unit="none",
        lasts="{rows} outcomes had unreadable fields left out: {also}. Check their producer",
        over="the fields of outcomes can be read again",
    ),
    "new_features": ConditionRow(
        kind="service",
        series="features",
        aspect="new",
        severity="info",
        unit="none",
        lasts="predictions have new features: {also}. If no deployment was planned, ask who "
        "changed them",
        over="the features are no longer new",
    ),
    "spec": ConditionRow(
        kind="service",
        series="specs",
        aspect="unusable",
        severity="warning",
        unit="none",
        lasts="the latest spec cannot be used, the one before it stays in force. Make its profile "
        "again with this version and apply it",
        over="a later spec is in force",
    ),
    "control": ConditionRow(
        kind="service",
        series="controls",
        aspect="unusable",
        severity="warning",
        unit="none",
        lasts="the latest command about an alert could not be applied and had no effect. Repeat "
        "it, and report it if that fails too",
        over="a later command was applied",
    ),
    "quarantine": ConditionRow(
        kind="service",
        series="model",
        aspect="quarantine",
        severity="critical",
        unit="none",
        lasts="not monitored since {also}: that event made it fail. Its events are held; upgrade, "
        "then run `./tidegauge models release`",
        over="it was released and is monitored again",
    ),
    "topic_refused": ConditionRow(
        kind="service",
        series="topic",
        aspect="refused",
        severity="critical",
        lasts="{value} of the last {rows} records were refused. Check the last deployment of their "
        "producer; `./tidegauge tail dead_letters` has the reasons",
        over="most records are accepted again",
    ),
    "crowded": ConditionRow(
        kind="service",
        series="models",
        aspect="crowded",
        severity="critical",
        unit="none",
        lasts="max_models ids are known, and events of further models are not taken. Find out who "
        "makes up ids, or raise TIDEGAUGE_MAX_MODELS",
        over="events of further models are taken again",
    ),
    "calibration": ConditionRow(
        kind="calibration",
        series="score",
        aspect="calibration",
        severity="warning",
        lasts="scores are {also}: {value} of the last {rows} answers came true, {normal} by their "
        "usual meaning. Check the features; recalibrate, or retrain",
        over="scores mean what they did",
    ),
    "worker_clock": ConditionRow(
        kind="service",
        series="workers",
        aspect="clock",
        severity="critical",
        unit="none",
        lasts="the clock of one is wrong: silences are not reported, waiting predictions do not "
        "expire. Its log has the difference; set it right (NTP)",
        over="the clock is right again",
    ),
}

_KINDS: dict[tuple[str, str], ConditionKind] = {
    (row.series, row.aspect): kind for kind, row in CONDITIONS.items()
}


def condition_kind(series: str, aspect: str) -> ConditionKind | None:
    """Return the condition that has this series and aspect; None for those of a series' alert."""
    return _KINDS.get((series, aspect))


def condition_of(kind: ConditionKind, figures: Figures | None = None, also: str = "") -> Condition:
    """Return a condition with its figures and its sentences.

    Parameters
    ----------
    figures
        Value and baseline in seconds, or as shares; None for a version, a spec or a control, which
        have none.
    also
        A clause that follows the figures of a silence of predictions; names of fields; the place
        and the type of a failure.

    Examples
    --------
    >>> condition_of("fallback", Figures(0.34, 0.005, effect=103.0, rows=120)).says
    '34.0 % of the last 120 answers came from a fallback, normally 0.5 %. Check the model service'
    """
    row = CONDITIONS[kind]
    if figures is None:
        return Condition(row.kind, row.series, row.aspect, row.severity, row.lasts, row.over)
    text = _duration if row.unit == "ratio" else _percent
    says = row.lasts.format(
        value=text(figures.value or 0.0),
        normal=text(figures.baseline or 0.0),
        rows=f"{figures.rows:,}",
        hits=f"{round((figures.value or 0.0) * figures.rows):,}",
        also=also,
    )
    kept = replace(figures, unit=row.unit, direction="up", rows=max(figures.rows, 1))
    return Condition(row.kind, row.series, row.aspect, row.severity, says, row.over, kept)


def _duration(seconds: float) -> str:
    return duration_text(1_000 * seconds)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
