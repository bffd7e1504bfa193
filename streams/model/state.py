"""The stored state of one model."""

from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Raw, Struct, field

from schemas.model_spec import ModelSpec
from streams.action.state import ActionState
from streams.alert.record import AlertWriter
from streams.alert.states import ConditionAlerts
from streams.alert.storm import Storm
from streams.codec import Machine, decode
from streams.join.events import JoinState
from streams.join.label_match import LabelMatch
from streams.model.loads import Loads
from streams.model.publication import RowIndexes
from streams.model.quarantine import Quarantine
from streams.model.spec import SpecInForce, SpecState
from streams.performance.distributions import DistributionsState
from streams.performance.ledger import LedgerState
from streams.performance.segments import SegmentsState
from streams.performance.waits import (
    NO_ERROR_MODEL,
    what_figures_wait_for,
    what_segments_wait_for,
)
from streams.series.joint import what_waits
from streams.series.late_labels import LateLabels
from streams.series.series_state import SeriesSetState
from streams.traffic.skew import Skew
from streams.traffic.traffic import TrafficMonitor


class ModelCounts(Machine):
    """Counts of a model beside those of its join; ``left_out`` is by field."""

    repeated_events: int = 0
    refused_specs: int = 0
    controls: int = 0
    refused_controls: int = 0
    predictions: int = 0
    labelled: int = 0
    lost_events: int = 0
    verdicts: int = 0
    reports: int = 0
    variants: int = 0
    turned_away: int = 0
    left_out: dict[str, int] = {}

    def on_left_out(self, fields: Iterable[str]) -> None:
        """Count an event of which ingest left out these fields, or a part of them."""
        for name in fields:
            self.left_out[name] = self.left_out.get(name, 0) + 1


class ModelState(Machine):
    """The stored state of a model.

    Parameters
    ----------
    spec
        The spec of the log, where it has given one.
    join, series, traffic
        The state of its parts.
    counts
        Its counts.
    condition_alerts, writer, indexes
        Its alerts about the arrival of events, its open alerts, its rows in time and log.
    labels
        Whether its outcomes can match its answers.
    high_water
        The position of the last event of each source.
    now_ms, behind_ms
        Its clock, and how much later than that the last event was appended.
    version
        The version that answered last.
    ledger, distributions
        Its figures and its series' distributions, where a spec has asked for them.
    segments
        The segments of its traffic, likewise.
    skew
        The comparisons of features with their log, likewise.
    quarantine
        Its quarantine, where it is in one.
    is_away
        Whether it is put away: it holds its counts, its marks and its spec alone.
    storm
        The alerts that fired together.
    actions
        Its open commands, and its policies.
    loads
        The values of rows that come in loads.
    """

    spec: SpecState
    join: JoinState
    series: SeriesSetState
    traffic: TrafficMonitor
    writer: AlertWriter
    indexes: RowIndexes
    counts: ModelCounts
    condition_alerts: ConditionAlerts
    labels: LabelMatch
    high_water: dict[str, int] = {}
    now_ms: int = 0
    behind_ms: int = 0
    version: str | None = None
    ledger: LedgerState | None = None
    distributions: DistributionsState | None = None
    segments: SegmentsState | None = None
    skew: Skew | None = None
    quarantine: Quarantine | None = None
    is_away: bool = False
    storm: Storm = field(default_factory=Storm)
    actions: ActionState = field(default_factory=ActionState)
    loads: Loads = field(default_factory=Loads)


class _SeriesOnly(Struct):
    """The part of `ModelState` with the series."""

    series: SeriesSetState


def late_labels_of_snapshot(snapshot: bytes) -> dict[str, LateLabels]:
    """Return the series that were read at ages when a snapshot was taken."""
    series = decode(snapshot, _SeriesOnly).series.series
    return {name: each.late for name, each in series.items() if each.late is not None}


class _FeatureNames(Struct):
    """The names of the features, the rest unread."""

    feature_series: dict[str, str] = {}


class _FeaturesOnly(Struct):
    """The part of `ModelState` with the names of its features."""

    series: _FeatureNames


def features_of_snapshot(snapshot: bytes) -> set[str]:
    """Return the features that had come when a snapshot was taken."""
    return set(decode(snapshot, _FeaturesOnly).series.feature_series)


class _SpecOnly(Struct):
    """The part of `ModelState` with the spec that was in force."""

    spec: SpecState


class _FiguresOnly(Struct):
    """The part of `ModelState` with the figures, and its clock."""

    series: SeriesSetState
    ledger: LedgerState | None = None
    segments: SegmentsState | None = None
    now_ms: int = 0


def figures_of_snapshot(snapshot: bytes, spec: ModelSpec) -> list[str]:
    """Return sentences about what figures waited for when a snapshot was taken.

    Parameters
    ----------
    spec
        The spec that was in force.
    """
    state = decode(snapshot, _FiguresOnly)
    lines: list[str] = []
    if state.ledger is not None and spec.asks_cohorts:
        wait_ms = round(1_000 * spec.outcome.wait_s)
        lines += what_figures_wait_for(state.ledger, state.now_ms, wait_ms)
        if state.series.is_regression and spec.reference.error_model is None:
            lines.append(NO_ERROR_MODEL)
    if spec.features.joint:
        lines += what_waits(state.series.joint)
    if state.segments is not None and spec.segments is not None:
        error = state.series.series.get("error")
        lines.append(
            what_segments_wait_for(
                state.segments,
                is_late=error is not None and error.late is not None,
                has_features=bool(spec.segments.features),
            )
        )
    return lines


class _QuarantineOnly(Struct):
    """The part of `ModelState` with its quarantine."""

    quarantine: Quarantine | None = None


class _SeriesNames(Struct):
    """The names of the series, the rest unread."""

    series: dict[str, Raw] = {}


class _SummaryOnly(Struct):
    """The part of `ModelState` that names what a model is doing."""

    spec: SpecState
    counts: ModelCounts
    series: _SeriesNames
    quarantine: Quarantine | None = None
    is_away: bool = False
    now_ms: int = 0


class ModelSummary(NamedTuple):
    """A model as of a snapshot.

    Parameters
    ----------
    spec_version
        Version of its spec in force; 0 is the defaults.
    predictions, labelled
        Events of its services so far.
    series
        Series that are monitored: none after a removal.
    now_ms
        Its clock, epoch milliseconds.
    is_quarantined, is_away
        Whether it is in quarantine, or put away.
    """

    spec_version: int
    predictions: int
    labelled: int
    series: int
    now_ms: int
    is_quarantined: bool
    is_away: bool


def summary_of_snapshot(snapshot: bytes) -> ModelSummary:
    """Return a summary of a model, without reading its series.

    Raises
    ------
    StateVersionError
        When another version wrote it.
    """
    found = decode(snapshot, _SummaryOnly)
    return ModelSummary(
        spec_version=0 if found.spec.given is None else found.spec.taken,
        predictions=found.counts.predictions,
        labelled=found.counts.labelled,
        series=len(found.series.series),
        now_ms=found.now_ms,
        is_quarantined=found.quarantine is not None,
        is_away=found.is_away,
    )


def spec_of_snapshot(snapshot: bytes) -> SpecInForce:
    """Return the spec that was in force when a snapshot was taken, where the log had given one.

    Raises
    ------
    SpecError
        When this version cannot read it.
    """
    return SpecInForce(ModelSpec(), decode(snapshot, _SpecOnly).spec)


def quarantine_of_snapshot(snapshot: bytes) -> Quarantine | None:
    """Return the quarantine that the model was in when a snapshot was taken, if any."""
    return decode(snapshot, _QuarantineOnly).quarantine
