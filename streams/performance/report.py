"""A cohort as a record of ``metrics``."""

import math
from collections.abc import Mapping
from typing import Any

import orjson
from msgspec import Struct

from schemas.metric import CalibrationState, Completeness, Metric, WithoutLabels
from schemas.wire import to_rfc3339
from streams.performance.calibration import Calibration
from streams.performance.cohort import Cohort
from streams.performance.cohorts import Period
from streams.performance.estimate import Estimate
from streams.performance.figures import (
    BINS,
    Positive,
    auc_of,
    calibration_errors,
    confusion_cells,
    confusion_of,
    losses_of,
    rates_of,
    reliability_of,
    risk_counts,
    score_rows,
    spread_of,
)
from streams.performance.money import Prices
from streams.performance.nowcast import Outlook

COMPARED = 0.95
"""Completeness from which an estimate is compared with the realised figure: by then what is missing
moves the error by less than the chance of some hundred rows."""
NO_VERSION = ""
"""Version of the predictions that have none."""
NO_VERSION_NAME = "(none)"
"""The same in a record, where null means all versions."""


class RecordFacts(Struct, frozen=True, kw_only=True):
    """The fields of a record that are not figures of its cohort.

    Parameters
    ----------
    version
        The version of the cohort, empty where predictions have none; None for all of them.
    as_of_ms
        The log time of the record.
    positive, labels
        The labels of the model.
    outlook, prices
        The view of its open outcomes, and of their money where the spec has `cost`.
    bins, calibration, estimate
        Bins of the reliability curve; what scores mean; what they told at the end of the cohort.
    """

    metric_id: str
    supersedes: str | None
    model_id: str
    version: str | None
    spec_version: int
    as_of_ms: int
    is_final: bool
    positive: Positive
    labels: Mapping[str, int]
    outlook: Outlook
    prices: Prices | None = None
    bins: int = BINS
    calibration: Calibration | None = None
    estimate: Estimate | None = None


def metric_of(period: Period, cohort: Cohort, facts: RecordFacts) -> Metric:
    """Return the record of a cohort."""
    version = facts.version
    return Metric(
        metric_id=facts.metric_id,
        supersedes=facts.supersedes,
        model_id=facts.model_id,
        model_version=NO_VERSION_NAME if version == NO_VERSION else version,
        spec_version=facts.spec_version,
        kind=period.kind,
        start=to_rfc3339(period.start_ms),
        end=to_rfc3339(period.end_ms),
        as_of=to_rfc3339(facts.as_of_ms),
        is_final=facts.is_final,
        n=cohort.n,
        fallbacks=cohort.fallbacks,
        unanswered=cohort.unanswered,
        labelled=cohort.labelled,
        by_source=dict(sorted(cohort.sources.items())),
        expired=_expired(cohort) if facts.is_final else 0,
        delay_s=spread_of(cohort.all_delays(), 1_000),
        delay_of_errors_s=spread_of(cohort.delays_of_errors, 1_000),
        latency_ms=spread_of(cohort.latencies),
        **_of_classes(cohort, facts),
        **_of_scores(cohort, facts.positive, facts.bins),
        **_of_distances(cohort),
        **_of_open(period, cohort, facts),
    )


def _expired(cohort: Cohort) -> int:
    """Return the answers of the model whose outcome is awaited no longer."""
    return cohort.n - cohort.fallbacks - cohort.unanswered - cohort.labelled


def _of_classes(cohort: Cohort, facts: RecordFacts) -> dict[str, Any]:
    compared = cohort.labelled - cohort.distances - cohort.incomparable
    is_classes = compared > 0
    label = facts.positive.label
    confusion = confusion_of(cohort.scores) if is_classes else {}
    rates = rates_of(confusion, facts.positive)
    error = cohort.errors / compared if is_classes else None
    return {
        "errors": cohort.errors if is_classes else None,
        "error": error,
        "accuracy": None if error is None else 1 - error,
        "positive": None if label is None else orjson.loads(label),
        "confusion": confusion_cells(confusion, facts.labels),
        **rates._asdict(),
    }


def _of_scores(cohort: Cohort, positive: Positive, most: int) -> dict[str, Any]:
    rows = score_rows(cohort.scores, positive) if cohort.errors or not cohort.distances else []
    auc, bound = auc_of(rows) or (None, None)
    brier, log_loss = losses_of(cohort, positive) or (None, None)
    bins = reliability_of(rows, most) if rows else []
    ece, by_chance = calibration_errors(bins) or (None, None)
    return {
        "auc": auc,
        "auc_bound": 0.0 if bound is not None and cohort.is_exact else bound,
        "brier": brier,
        "log_loss": log_loss,
        "ece": ece,
        "ece_by_chance": by_chance,
        "reliability": bins,
    }


def _of_open(period: Period, cohort: Cohort, facts: RecordFacts) -> dict[str, Any]:
    counts = risk_counts(cohort.scores, facts.positive)
    view = facts.outlook.view(period.start_ms, period.end_ms, counts)
    value = None
    if facts.prices is not None:
        wrong = facts.outlook.wrong_open(period.start_ms, period.end_ms, counts)
        value = facts.prices.value_of(cohort, counts, wrong)
    return {
        **view._asdict(),
        "value": value,
        "calibration": _calibration(facts.calibration),
        "without_labels": _without_labels(facts.estimate, cohort, view.completeness),
    }


def _calibration(found: Calibration | None) -> CalibrationState | None:
    if found is None:
        return None
    return CalibrationState(map_version=found.version, labels=found.labels, scores=found.verdict)


def _without_labels(
    estimate: Estimate | None, cohort: Cohort, completeness: Completeness | None
) -> WithoutLabels | None:
    if estimate is None:
        return None
    missed_by = None
    if completeness is not None and completeness.share >= COMPARED:
        if estimate.error is not None and cohort.labelled:
            missed_by = round(cohort.errors / cohort.labelled - estimate.error, 6)
        if estimate.mae is not None and cohort.distances:
            missed_by = cohort.sums_of_distances[0] / cohort.distances - estimate.mae
    return WithoutLabels(
        map_version=estimate.map_version,
        n=estimate.n,
        error=estimate.error,
        auc=estimate.auc,
        f1=estimate.f1,
        mae=estimate.mae,
        missed_by=missed_by,
    )


def _of_distances(cohort: Cohort) -> dict[str, Any]:
    n = cohort.distances
    absolute, squared, signed = cohort.sums_of_distances
    return {
        "mae": absolute / n if n else None,
        "rmse": math.sqrt(max(squared, 0.0) / n) if n else None,
        "bias": signed / n if n else None,
    }
