"""Distributions of the monitored series: the reference of each, and its values hour by hour.

Rule 1. No record holds the value of a single row. The edges of a histogram are those of a grid; a
        mean, or a quantile, is of at least ``FEWEST_VALUES`` values, and a category has a name
        where the reference has it in at least a hundredth of its rows.
"""

from typing import Literal

from pydantic import Field

from schemas.metric import CohortKind
from schemas.wire import Wire

Role = Literal["feature", "score", "prediction", "error", "outcome", "attribution", "joint"]
FEWEST_VALUES = 10
"""Values from which a mean, a standard deviation and quantiles are published."""


class SeriesQuantiles(Wire):
    """Quantiles of a number: middles of cells of a grid, no values of rows."""

    p01: float = Field(description="1st percentile.")
    p05: float = Field(description="5th percentile.")
    p25: float = Field(description="25th percentile.")
    p50: float = Field(description="Median.")
    p75: float = Field(description="75th percentile.")
    p95: float = Field(description="95th percentile.")
    p99: float = Field(description="99th percentile.")


class Histogram(Wire):
    """A histogram of a reference."""

    edges: list[float] = Field(description="Rising edges of the bins: one more than bins.")
    shares: list[float] = Field(
        description="Share of the values below the first edge, in each bin, and from the last edge "
        "on: two more than bins. Values that are in `categories` are in none."
    )


class CategoryPart(Wire):
    """A category of a reference, or one number that fills many of its rows."""

    category: str = Field(description='The category, as JSON would show it; "(other)": the rest.')
    share: float = Field(description="Its share of the values.")


class Reference(Wire):
    """The distribution that the later values of one series are compared with."""

    type: Literal["tidegauge.reference.v1"] = "tidegauge.reference.v1"
    reference_id: str = Field(description="Model and number: records with the same id are equal.")
    supersedes: str | None = Field(description="The reference of the series before this one.")
    model_id: str = Field(description="The model.")
    spec_version: int = Field(description="Spec of the model that was in force.")
    series: str = Field(description="The series, named as in `alerts`.")
    role: Role = Field(description="Its part in the model.")
    source: Literal["learnt", "profile"] = Field(
        description="Learnt from live values, or made offline by `tidegauge profile`."
    )
    as_of: str = Field(description="Log time of the record.")
    start: str | None = Field(
        description="Log time at which the values that it was learnt from begin, to the hour or "
        "day of `metrics.every`; null: a profile."
    )
    rows: int = Field(description="Values that it was made from.")
    kind: Literal["numeric", "categorical", "constant", "names"] = Field(
        description="Numbers, categories, one value alone, or names of which none is common."
    )
    mean: float | None = Field(description="Mean of a number.")
    sd: float | None = Field(description="Its standard deviation.")
    quantiles: SeriesQuantiles | None = Field(description="Its quantiles.")
    histogram: Histogram | None = Field(description="Its histogram.")
    categories: list[CategoryPart] = Field(
        description="Categories that are common, the rest last; of a number the values that fill "
        "three tenths of the rows or more."
    )


class Drift(Wire):
    """How far the values of an hour or a day lie from a reference: figures, no alarms."""

    against: Literal["training", "learnt"] = Field(
        description="The reference: a profile from the spec, so that the distance is a skew "
        "between training and serving, or one learnt from live values."
    )
    psi: float = Field(description="Population stability index, on ten parts or the categories.")
    psi_by_chance: float = Field(description="Its mean where nothing has changed.")
    js: float = Field(description="Jensen-Shannon distance, base 2, 0 to 1.")
    wasserstein: float | None = Field(
        description="Wasserstein distance of a number, in standard deviations of the reference."
    )


class SeriesSummary(Wire):
    """The values of one series in an hour or a day of log time."""

    series: str = Field(description="The series.")
    role: Role = Field(description="Its part in the model.")
    reference_id: str | None = Field(description="Its reference; null while there is none.")
    rows: int = Field(description="Inputs, missing ones included.")
    missing: float = Field(description="Share of them without a value.")
    other_type: float = Field(description="Share of them with a value of another type.")
    mean: float | None = Field(description="Mean of a number.")
    sd: float | None = Field(description="Its standard deviation.")
    quantiles: SeriesQuantiles | None = Field(description="Its quantiles.")
    histogram: list[int] | None = Field(
        description="Values by the bins of the reference: in the order of its `shares`."
    )
    categories: list[int] = Field(
        description="Values by the categories of the reference, in their order, and one number "
        "more: all others. Of a number the others are in `histogram`."
    )
    drift: Drift | None = Field(
        description="Distances from the reference; null below 200 values, and without a reference."
    )


class Series(Wire):
    """The values of all series of one model in an hour or a day of log time."""

    type: Literal["tidegauge.series.v1"] = "tidegauge.series.v1"
    series_id: str = Field(description="Model and number: records with the same id are equal.")
    model_id: str = Field(description="The model.")
    spec_version: int = Field(description="Spec of the model that was in force.")
    kind: CohortKind = Field(description="Length of the time.")
    start: str = Field(description="First instant, UTC.")
    end: str = Field(description="Instant after its last.")
    as_of: str = Field(description="Log time of the record.")
    segment: dict[str, str] | None = Field(
        description="Dimension and value of the part of the traffic; null: all of it."
    )
    attribution_ndcg: float | None = Field(
        description="How well the order of features by their part in the answers agrees with that "
        "of the reference: normalised discounted cumulative gain, 0 to 1; null: not watched, or "
        "not known."
    )
    series: list[SeriesSummary] = Field(description="The series, in the order they began in.")
