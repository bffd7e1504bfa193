"""References and counted values as records of ``metrics``."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct, field

from schemas.series import CategoryPart, Drift, Histogram, Reference, SeriesSummary
from schemas.wire import to_rfc3339
from streams.aspects import SeriesRole
from streams.codec import Machine
from streams.performance.frame import Frame
from streams.performance.grid import Tally
from streams.values import OTHER, Scalar, finite_or_none, text_of


class SeriesTally(Machine):
    """One series: its frame, and the values counted by it.

    Attributes
    ----------
    role
        Its part in the model.
    since_ms
        Log time from which its values may be part of its reference.
    frame, reference_id, digest, is_profile
        Its reference; the name of the record about it, and a checksum of it; whether it is a
        profile.
    hour, day
        The values of the present hour, and of the day before it.
    """

    role: SeriesRole
    since_ms: int
    frame: Frame | None = None
    reference_id: str | None = None
    digest: int = 0
    is_profile: bool = False
    hour: Tally = field(default_factory=Tally)
    day: Tally = field(default_factory=Tally)

    def count(self, values: Sequence[Scalar]) -> None:
        """Count values in the present hour."""
        if self.frame is not None:
            self.frame.count(values, self.hour)
            return
        self.hour.rows += len(values)
        self.hour.missing += values.count(None)


class ReferenceFacts(Struct, frozen=True, kw_only=True):
    """The fields of a reference's record that are not its distribution.

    Parameters
    ----------
    as_of_ms
        The log time of the record.
    """

    reference_id: str
    supersedes: str | None
    model_id: str
    spec_version: int
    series: str
    as_of_ms: int


def reference_of(tally: SeriesTally, frame: Frame, facts: ReferenceFacts) -> Reference:
    """Return the record of a series' reference."""
    bins = frame.bins()
    edges = [] if frame.grid is None else frame.grid.edges[bins].tolist()
    histogram = Histogram(edges=edges, shares=frame.binned(frame.cells, bins)) if bins else None
    is_profile = tally.is_profile
    return Reference(
        reference_id=facts.reference_id,
        supersedes=facts.supersedes,
        model_id=facts.model_id,
        spec_version=facts.spec_version,
        series=facts.series,
        role=tally.role,
        source="profile" if is_profile else "learnt",
        as_of=to_rfc3339(facts.as_of_ms),
        start=None if is_profile else to_rfc3339(tally.since_ms),
        rows=frame.rows,
        kind=frame.kind,
        mean=None if frame.mean is None else finite_or_none(frame.mean),
        sd=None if frame.sd is None else finite_or_none(frame.sd),
        quantiles=frame.quantiles(),
        histogram=histogram,
        categories=_categories(frame),
    )


def _categories(frame: Frame) -> list[CategoryPart]:
    named = [
        CategoryPart(category=text_of(value), share=share)
        for value, share in zip(frame.common, frame.shares, strict=False)
    ]
    rest = frame.shares[-1]
    return [*named, CategoryPart(category=OTHER, share=rest)] if rest else named


def summary_of(name: str, series: SeriesTally, tally: Tally) -> SeriesSummary:
    """Return the values that a series had in some time, of which there is at least one row."""
    frame = series.frame
    mean = sd = quantiles = histogram = drift = None
    categories: list[int] = []
    if frame is not None:
        mean, sd = frame.moments(tally)
        quantiles = frame.quantiles(tally)
        if frame.grid is not None:
            histogram = [int(n) for n in frame.binned(tally.cells, frame.bins())]
        categories = list(tally.common) or [0] * len(frame.shares)
        found = frame.distances(tally)
        against: Literal["training", "learnt"] = "training" if series.is_profile else "learnt"
        drift = None if found is None else Drift(against=against, **found._asdict())
    return SeriesSummary(
        series=name,
        role=series.role,
        reference_id=series.reference_id,
        rows=tally.rows,
        missing=tally.missing / tally.rows,
        other_type=tally.other_type / tally.rows,
        mean=mean,
        sd=sd,
        quantiles=quantiles,
        histogram=histogram,
        categories=categories,
        drift=drift,
    )


def ndcg_of(summaries: Sequence[SeriesSummary], series: Mapping[str, SeriesTally]) -> float | None:
    """Return how well features are in the order of their usual parts in the answers.

    The gain of a feature is its part in the reference (Jarvelin and Kekalainen 2002); None with
    fewer than two features whose parts are known.
    """
    parts = [
        (each.mean, frame.mean)
        for each in summaries
        if each.role == "attribution" and each.mean is not None
        if (frame := series[each.series].frame) is not None and frame.mean is not None
    ]
    best = _gain(sorted((usual for _, usual in parts), reverse=True))
    if len(parts) < 2 or best <= 0:
        return None
    return _gain([usual for _, usual in sorted(parts, key=lambda part: (-part[0], part[1]))]) / best


def _gain(parts: Sequence[float]) -> float:
    return sum(part / math.log2(rank + 1) for rank, part in enumerate(parts, 1))
