"""A model's spec: its owner's settings for the monitor. Every field is optional."""

import difflib
import reprlib
from typing import Annotated, Any, Literal, Self
from zoneinfo import available_timezones

import holidays
from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator

from schemas.error_model import ErrorModel
from schemas.wire import MAX_FEATURES, Id, Instant, Label, Name, Wire

MAX_SPEC_BYTES = 900_000
"""Bytes of a spec. One with a profile holds a learnt reference for each series; the topic takes
records of 1 MiB."""
LONGEST_S = 10 * 366 * 86_400.0
"""Seconds: ten years. Longer than the outcome of a loan takes; in milliseconds of log time it stays
far from the limit of an integer of 64 bits."""
SHORTEST_S = 0.001
"""Seconds: log time is in milliseconds."""
LEAST_BUDGET = 1e-6
"""False alarms in 10,000 predictions. Less divides among 1,000 series into parts that are rounded
to nothing."""
MOST_WAITING = 2**31 - 1
"""Predictions: a count of 32 bits."""
MOST_MONEY = 1e12
"""Money, an absolute error, or milliseconds: beyond it no sum says anything any more."""
Money = Annotated[float, Field(ge=-MOST_MONEY, le=MOST_MONEY)]
_MAX_DEPTH = 8
"""Levels of a reference for people; `tidegauge profile` writes three."""
_SHOWN_CHARACTERS = 80
"""Characters of a wrong value in a message."""
_bounded = reprlib.Repr()  # deep values end the recursion of `repr`
_bounded.maxstring = _bounded.maxother = _bounded.maxlong = 2 * _SHOWN_CHARACTERS


class SpecError(ValueError):
    """A mistake in a spec. The message names the field, the value and the remedy."""


class FeatureRules(Wire):
    """Settings of the model's features."""

    model_config = ConfigDict(extra="forbid")

    ignore: Annotated[tuple[Name, ...], Field(max_length=MAX_FEATURES)] = Field(
        default=(), description="Features that are not watched.", strict=False
    )
    categorical: Annotated[tuple[Name, ...], Field(max_length=MAX_FEATURES)] = Field(
        default=(), description="Features whose numbers are codes, not quantities.", strict=False
    )
    sources: Annotated[dict[Name, Name], Field(max_length=MAX_FEATURES)] = Field(
        default={},
        description="The system that a feature comes from: alerts of several models about features "
        "of one source are one incident.",
    )
    attributions: bool = Field(
        default=False,
        description="Whether the parts that features have in `explanation` are watched; an alert "
        "of the feature itself goes before.",
    )
    joint: bool = Field(
        default=False,
        description="Whether it is watched that features change together while each keeps its own "
        "distribution.",
    )


class OutcomeRules(Wire):
    """Limits of the wait for outcomes."""

    model_config = ConfigDict(extra="forbid")

    wait_s: Annotated[float, Field(ge=SHORTEST_S, le=LONGEST_S)] = Field(
        default=30 * 86_400.0,
        description="Seconds of log time a prediction waits for its outcome, and an outcome for "
        "its prediction.",
    )
    max_waiting: Annotated[int, Field(ge=1, le=MOST_WAITING)] = Field(
        default=1_000_000,
        description="Most predictions that may wait; beyond it the oldest one is dropped.",
    )
    corrections: Literal["first", "last"] = Field(
        default="first",
        description="Which outcome of a prediction counts. With `last`, another outcome that comes "
        "within `wait_s` of the first gives another labelled row, which restates the earlier one.",
    )


def _refuse_depth(value: Any) -> Any:
    """Return a value of JSON; deeper ones end the recursion of the encoders of the log.

    Raises
    ------
    ValueError
        When it has more than ``_MAX_DEPTH`` levels.
    """
    level = [value]
    for _ in range(_MAX_DEPTH):
        parts = [each.values() if isinstance(each, dict) else each for each in level]
        level = [x for part in parts for x in part if isinstance(x, dict | list)]
        if not level:
            return value
    msg = f"nests deeper than {_MAX_DEPTH} levels; write the profile with `tidegauge profile`"
    raise ValueError(msg)


class SeriesProfile(Wire):
    """The reference of one series, made offline by ``tidegauge profile``."""

    reference: Annotated[dict[str, Any], AfterValidator(_refuse_depth)] = Field(
        description="Its figures, for people."
    )
    state: str = Field(description="State of the series that has learnt it, in base64.")


class ReferenceRules(Wire):
    """Settings of the reference that the model is compared with."""

    model_config = ConfigDict(extra="forbid")

    rows: Annotated[int, Field(ge=200, le=100_000)] = Field(
        default=2_000, description="Rows of a complete reference."
    )
    profile: dict[str, SeriesProfile] = Field(
        default={},
        description="References made offline, by series: these do not learn. In a YAML file, the "
        "path of the file that `tidegauge profile` wrote.",
    )
    error_model: ErrorModel | None = Field(
        default=None,
        description="How large the errors of a regression are, made offline by `tidegauge profile "
        "--estimate`: its error without labels, in `metrics`. The path of a profile names it too.",
    )


class InputsRules(Wire):
    """Limits of the wait for inputs, where they come in records of their own."""

    model_config = ConfigDict(extra="forbid")

    wait_s: Annotated[float, Field(ge=0, le=LONGEST_S)] = Field(
        default=600.0,
        description="Seconds of log time a prediction waits for its inputs, and inputs for their "
        "prediction; it then goes on without features.",
    )


class AlertRules(Wire):
    """When the model's alerts fire, and how often they are repeated."""

    model_config = ConfigDict(extra="forbid")

    renotify_s: Annotated[float, Field(ge=SHORTEST_S, le=LONGEST_S)] = Field(
        default=86_400.0,
        description="Seconds of log time after which an open alert is published again.",
    )
    hold: Annotated[int, Field(ge=0, le=100)] = Field(
        default=0,
        description="Checks after a change that must confirm it before the alert fires; 0: it "
        "fires at once.",
    )


class MetricRules(Wire):
    """The figures of the model by the time of its predictions."""

    model_config = ConfigDict(extra="forbid")

    every: Literal["day", "hour"] = Field(
        default="day", description="Length of a cohort; `hour` has days as well."
    )
    cohorts: bool = Field(
        default=True,
        description="Whether predictions are counted by cohort; false: only references of series "
        "and summaries of their values are published, for a seventh of the time.",
    )


class Excluded(Wire):
    """A period whose rows are nothing to learn from."""

    model_config = ConfigDict(extra="forbid")

    start: Instant = Field(description="Predictions from this instant on.")
    end: Instant = Field(description="Predictions before this instant.")
    because: Name = Field(description="Reason.")


class RetrainRules(Wire):
    """When retraining is asked for, and with which rows."""

    model_config = ConfigDict(extra="forbid")

    every_s: Annotated[float, Field(ge=SHORTEST_S, le=LONGEST_S)] | None = Field(
        default=None,
        description="Seconds of log time after which it is asked for without a cause; null: never.",
    )
    on: Annotated[tuple[Name, ...], Field(max_length=MAX_FEATURES)] = Field(
        default=("error", "outcome"),
        description="Alerts that call for it, by series, as `feature/income`, or by kind.",
        strict=False,
    )
    min_labelled: Annotated[int, Field(ge=1, le=MOST_WAITING)] = Field(
        default=200,
        description="Labelled rows since the onset that a command waits for: in 200 rows an error "
        "of 10 % is known to 2 points.",
    )
    cooldown_s: Annotated[float, Field(ge=0, le=LONGEST_S)] = Field(
        default=86_400.0, description="Seconds of log time from the end of a command to the next."
    )
    valid_s: Annotated[float, Field(ge=SHORTEST_S, le=LONGEST_S)] = Field(
        default=7 * 86_400.0, description="Seconds of log time that a command is valid."
    )
    rows: Annotated[int, Field(ge=1, le=MOST_WAITING)] | None = Field(
        default=None,
        description="Rows that a command by the clock names; null: those since the last command.",
    )
    exclude: Annotated[tuple[Excluded, ...], Field(max_length=100)] = Field(
        default=(), description="Periods to leave out.", strict=False
    )


class CalibrationRules(Wire):
    """Whether scores mean what they did, and what they tell without labels."""

    model_config = ConfigDict(extra="forbid")

    bins: Annotated[int, Field(ge=2, le=10)] = Field(
        default=10, description="Bins of equal mass of the reliability curve."
    )


class CostRules(Wire):
    """The money that an answer gains or loses, once its outcome is known."""

    model_config = ConfigDict(extra="forbid")

    matrix: dict[str, dict[str, Money]] | None = Field(
        default=None,
        description="Money gained by an answer, by outcome and then by prediction; negative: lost. "
        "Classes are named as in `scores`.",
    )
    per_error: Annotated[float, Field(ge=0, le=MOST_MONEY)] | None = Field(
        default=None,
        description="Money lost by a wrong answer; by a unit of the error, for a regression.",
    )
    field: Literal["value"] | None = Field(
        default=None, description="`value`: the money is in that field of each outcome."
    )
    currency: Annotated[str, Field(min_length=1, max_length=8)] = Field(
        default="EUR", description="Its name in records and sentences."
    )

    @model_validator(mode="after")
    def _is_one_way(self) -> Self:
        """Refuse none, or several, of the three ways to tell the money.

        Raises
        ------
        ValueError
            Likewise where a matrix lacks a pair of its classes.
        """
        given = [name for name in _WAYS if getattr(self, name) is not None]
        if len(given) != 1:
            msg = f"give one of {', '.join(_WAYS)}; {len(given)} are given"
            raise ValueError(msg)
        answers = {name for row in (self.matrix or {}).values() for name in row}
        for outcome, row in (self.matrix or {}).items():
            if missing := sorted(answers - row.keys()):
                msg = f"matrix: outcome {outcome!r} has no money for prediction {missing[0]!r}"
                raise ValueError(msg)
        return self


_WAYS = ("matrix", "per_error", "field")


class SegmentRules(Wire):
    """The parts of the traffic in which errors are watched."""

    model_config = ConfigDict(extra="forbid")

    dimensions: Annotated[tuple[Name, ...], Field(max_length=16)] = Field(
        default=(),
        description="Keys of `segment`; none: those of the first labelled prediction.",
        strict=False,
    )
    features: Annotated[tuple[Name, ...], Field(max_length=8)] = Field(
        default=(), description="Features: by value, numbers by eight ranges.", strict=False
    )
    values: Annotated[int, Field(ge=1, le=200)] = Field(
        default=200, description="Values of a dimension that are told apart, at most."
    )
    ring: Annotated[int, Field(ge=2_000, le=50_000)] = Field(
        default=5_000,
        description="Latest labelled rows that are held, in 2 bytes and one for each dimension.",
    )
    drift: bool = Field(
        default=False,
        description="Whether `metrics` have the distributions of the 20 largest values of "
        "`segment`, a day each.",
    )


class SkewRules(Wire):
    """Comparison of the features in predictions with those in `inputs` of the same ids."""

    model_config = ConfigDict(extra="forbid")

    tolerance: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=1e-6,
        description="Largest difference of two numbers that is none, as a part of the larger.",
    )


class ChallengeRules(Wire):
    """How challengers are compared with the champion."""

    model_config = ConfigDict(extra="forbid")

    alpha: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.05, description="Probability of a wrong decision, at most, while they are alike."
    )
    margin: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.005, description="Difference of error rates that does not matter."
    )
    money: bool = Field(
        default=True, description="Whether money decides, where `cost` tells it of any answer."
    )
    min_pairs: Annotated[int, Field(ge=1, le=MOST_WAITING)] = Field(
        default=500, description="Pairs before which nothing is decided."
    )
    max_days: Annotated[int, Field(ge=1, le=3_660)] = Field(
        default=60, description="Days after which an undecided comparison ends."
    )
    cohort_s: Annotated[float, Field(ge=1, le=LONGEST_S)] = Field(
        default=86_400.0, description="Seconds of predictions that begin to count together."
    )
    mature_s: Annotated[float, Field(ge=0, le=LONGEST_S)] | None = Field(
        default=None,
        description="Age of a cohort, in seconds, from which it counts: labels of right and of "
        "wrong answers must be there by then; null: `outcome.wait_s`.",
    )


class ReviewRules(Wire):
    """Which predictions people are asked about."""

    model_config = ConfigDict(extra="forbid")

    risk_above: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.3, description="Probability of an error, by the score, from which all are asked."
    )
    error_above: Annotated[float, Field(gt=0, le=MOST_MONEY)] | None = Field(
        default=None,
        description="Absolute error of a regression, as `reference.error_model` makes it expect, "
        "from which all are asked; null: of a regression only costly answers and a share.",
    )
    cost_above: Annotated[float, Field(gt=0, le=MOST_MONEY)] | None = Field(
        default=None,
        description="Expected cost of an answer, in the currency of `cost`, from which all are "
        "asked: the probability of an error times the money between the right answer and the "
        "dearest mistake; null: money does not matter.",
    )
    sample: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.02, description="Share of the others, drawn at random."
    )
    per_day: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=200, description="Cases a day that people can answer."
    )
    due_s: Annotated[float, Field(ge=SHORTEST_S, le=LONGEST_S)] = Field(
        default=86_400.0, description="Seconds of log time in which a case waits for an answer."
    )
    every_s: Annotated[float, Field(ge=1, le=LONGEST_S)] = Field(
        default=7 * 86_400.0, description="Seconds of the periods whose error is said."
    )
    double: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.05, description="Share of the cases that two people answer."
    )
    agree_within: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.05,
        description="Distance within which two verdicts about a quantity agree, as a share of the "
        "larger.",
    )
    show_features: bool = Field(default=False, description="Whether reviewers see the features.")
    salt: Annotated[str, Field(max_length=64)] = Field(
        default="", description="Changes which cases are drawn."
    )


class FallbackRules(Wire):
    """When a fallback should answer in place of the model."""

    model_config = ConfigDict(extra="forbid")

    auto: bool = Field(
        default=False, description="Whether programs obey at once; false: a person decides."
    )
    ttl_s: Annotated[float, Field(ge=1, le=LONGEST_S)] = Field(
        default=900.0, description="Seconds that the command holds unless it is renewed."
    )
    probe: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.01, description="Share of the predictions still asked of the model meanwhile."
    )
    hold_s: Annotated[float, Field(ge=0, le=LONGEST_S)] = Field(
        default=300.0, description="Seconds that it lasts at least."
    )
    error_above: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description="Error rate: above it, with its lower bound of 95 %, the model is not asked.",
    )
    latency_ms_above: Annotated[float, Field(gt=0, le=MOST_MONEY)] | None = Field(
        default=None, description="Latency: where more than 1 % of the answers take longer."
    )


def _known_zone(name: str) -> str:
    """Return the name of a time zone.

    Raises
    ------
    ValueError
        When there is no such zone.
    """
    if name not in available_timezones():
        near = difflib.get_close_matches(name, available_timezones(), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        msg = f"is no time zone of the IANA database, such as Europe/Paris{hint}"
        raise ValueError(msg)
    return name


def _known_holidays(name: str) -> str:
    """Return the code of a country, or of a part of one, whose public holidays are known.

    Raises
    ------
    ValueError
        When they are not.
    """
    code, _, part = name.partition("-")
    parts = holidays.list_supported_countries(include_aliases=False).get(code)
    if parts is None or (part and part not in parts):
        msg = "is no country with known holidays, as FR, or a part of one, as DE-BY"
        raise ValueError(msg)
    return name


class SeasonRules(Wire):
    """The place whose clocks and holidays the hours of the model follow."""

    model_config = ConfigDict(extra="forbid")

    zone: Annotated[Name, AfterValidator(_known_zone)] | None = Field(
        default=None, description="Time zone, as Europe/Paris; null: UTC."
    )
    holidays: Annotated[Name, AfterValidator(_known_holidays)] | None = Field(
        default=None,
        description="Country, or part of one, whose public holidays are as Sundays: FR, DE-BY.",
    )


class ModelSpec(Wire):
    """The settings of one model."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model_id: Id | None = Field(
        default=None,
        description="The model; null: every model, in a file for backtest or profile only.",
    )
    owner: Name | None = Field(
        default=None, description="Person or team responsible for the model."
    )
    task: Literal["binary", "multiclass", "regression"] | None = Field(
        default=None, description="Null: inferred from the predictions."
    )
    positive: Label | None = Field(
        default=None,
        description="Label that the score speaks of; null: `1` of 0 and 1, `true` of booleans, "
        "else the answer given.",
    )
    upstream: Annotated[tuple[Id, ...], Field(max_length=16)] = Field(
        default=(), description="Models whose answers are inputs of this one.", strict=False
    )
    alert_budget: Annotated[float, Field(ge=LEAST_BUDGET, le=1_000)] = Field(
        default=0.2, description="False alarms the owner accepts in 10,000 predictions."
    )
    features: FeatureRules = Field(
        default=FeatureRules(), description="Which features are watched, and how."
    )
    reference: ReferenceRules = Field(
        default=ReferenceRules(), description="The reference that the model is compared with."
    )
    season: SeasonRules = Field(
        default=SeasonRules(), description="Clocks and holidays of the model's days and weeks."
    )
    outcome: OutcomeRules = Field(default=OutcomeRules(), description="The wait for outcomes.")
    inputs: InputsRules = Field(
        default=InputsRules(), description="The wait for inputs that come apart."
    )
    alerts: AlertRules = Field(default=AlertRules(), description="Firing and repetition of alerts.")
    metrics: MetricRules | None = Field(
        default=None, description="Figures by hour or day, on `metrics`; null: none."
    )
    retrain: RetrainRules | None = Field(
        default=None,
        description="The policy of retraining; null: its defaults, without counts of the rows.",
    )
    segments: SegmentRules | None = Field(
        default=None, description="Parts of the traffic whose errors are watched; null: none."
    )
    skew: SkewRules | None = Field(
        default=None,
        description="Whether predictions with features are compared with the `inputs` of their "
        "ids; null: such inputs are passed over.",
    )
    cost: CostRules | None = Field(
        default=None, description="Money of an answer, for figures and alerts; null: not told."
    )

    calibration: CalibrationRules | None = Field(
        default=None,
        description="A watch on what scores mean, and figures without labels; null: none.",
    )

    @model_validator(mode="after")
    def _has_figures(self) -> Self:
        """Refuse fields that need the figures where these are off.

        Raises
        ------
        ValueError
            When one is given without ``metrics``.
        """
        asked = {
            "cost": self.cost is not None,
            "calibration": self.calibration is not None,
            "reference.error_model": self.reference.error_model is not None,
        }
        if self.segments is not None and self.segments.drift and self.metrics is None:
            msg = "segments.drift is part of figures that are off: add `metrics: {every: day}`"
            raise ValueError(msg)
        for name, is_asked in asked.items():
            if is_asked and not self.asks_cohorts:
                remedy = "add `metrics: {every: day}`"
                if self.metrics is not None:
                    remedy = "remove `metrics.cohorts: false`"
                msg = f"{name} is made of the figures of cohorts, which are off: {remedy}"
                raise ValueError(msg)
        return self

    @property
    def asks_cohorts(self) -> bool:
        """Whether predictions are counted by cohort."""
        return self.metrics is not None and self.metrics.cohorts

    @model_validator(mode="after")
    def _can_be_reviewed(self) -> Self:
        """Refuse reviews whose cases cannot be chosen.

        Raises
        ------
        ValueError
            When an error model, or costs known beforehand, are needed and not given.
        """
        if self.review is None:
            return self
        if self.review.error_above is not None and self.reference.error_model is None:
            msg = (
                "review.error_above needs an error model, and none is given: add "
                "`reference.profile` with a profile of `tidegauge profile --estimate`"
            )
            raise ValueError(msg)
        if self.review.cost_above is not None and (self.cost is None or self.cost.field):
            msg = (
                "review.cost_above needs money that is known before the outcome: add `cost` with "
                "`matrix` or `per_error`"
            )
            raise ValueError(msg)
        return self

    challenge: ChallengeRules | None = Field(
        default=None, description="How challengers are compared; null: they are passed over."
    )
    review: ReviewRules | None = Field(
        default=None, description="Which predictions people are asked about; null: none."
    )
    fallback: FallbackRules | None = Field(
        default=None, description="When a fallback should answer; null: never commanded."
    )


def parse_spec(data: object) -> ModelSpec:
    """Read a spec from decoded YAML or JSON.

    Raises
    ------
    SpecError
        Names each wrong field, its value, and the remedy.
    """
    try:
        return ModelSpec.model_validate(data)
    except ValidationError as error:
        raise SpecError("\n".join(_explain(e["loc"], e) for e in error.errors())) from None


def _explain(location: tuple[int | str, ...], error: object) -> str:
    detail = error if isinstance(error, dict) else {}
    field = ".".join(str(part) for part in location) or "the spec"
    if detail.get("type") == "extra_forbidden":
        near = difflib.get_close_matches(str(location[-1]), _known_fields(location), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{field}: unknown field{hint}"
    value = _bounded.repr(detail.get("input"))
    shown = value if len(value) <= _SHOWN_CHARACTERS else f"{value[:_SHOWN_CHARACTERS]}..."
    return f"{field}: {detail.get('msg')}, got {shown}"


def _known_fields(location: tuple[int | str, ...]) -> list[str]:
    parents: dict[str, type[Wire]] = {
        "features": FeatureRules,
        "outcome": OutcomeRules,
        "inputs": InputsRules,
        "reference": ReferenceRules,
        "alerts": AlertRules,
        "metrics": MetricRules,
        "retrain": RetrainRules,
        "review": ReviewRules,
        "challenge": ChallengeRules,
        "fallback": FallbackRules,
        "season": SeasonRules,
        "cost": CostRules,
        "segments": SegmentRules,
        "skew": SkewRules,
        "calibration": CalibrationRules,
    }
    owner: type[Wire] = parents.get(str(location[0]), ModelSpec) if len(location) > 1 else ModelSpec
    return list(owner.model_fields)
