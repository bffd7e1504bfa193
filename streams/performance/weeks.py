"""Weeks of a model: sums of the records of its days.

Rule 1. A week is made by the reader of records: it is in no topic.
Rule 2. A figure that is no sum of days, as an area, a calibration error or a quantile, is None.
Rule 3. A mean of days is weighted by the rows that it is of. The interval of a week's nowcast is
        as wide as if its days missed in the same direction.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import orjson

from schemas.metric import Completeness, ConfusionCell, Metric, Nowcast, Value
from schemas.wire import to_epoch_ms, to_rfc3339
from streams.clock import DAY_MS
from streams.performance.figures import Positive, rates_of

WEEK_MS = 7 * DAY_MS
_MONDAY_MS = 4 * DAY_MS
"""1970-01-05, the first Monday of the epoch: weeks are those of ISO 8601, UTC."""
_COUNTS = ("n", "fallbacks", "unanswered", "labelled", "expired")
_NO_SUMS = (
    "auc", "auc_bound", "ece", "ece_by_chance", "delay_s", "delay_of_errors_s", "latency_ms",
    "calibration", "without_labels",
)  # fmt: skip


def week_start(at_ms: int) -> int:
    """Return the Monday, 00:00 UTC, of the week of an instant.

    Examples
    --------
    >>> to_rfc3339(week_start(to_epoch_ms("2026-01-01T09:30:00Z")))
    '2025-12-29T00:00:00.000Z'
    """
    return (at_ms - _MONDAY_MS) // WEEK_MS * WEEK_MS + _MONDAY_MS


def weeks_of(days: Iterable[Metric]) -> list[Metric]:
    """Return the weeks of days of one model and version, which come in the order of time."""
    by_week = groupby(days, lambda day: week_start(to_epoch_ms(day.start)))
    return [_week(start_ms, list(of_week)) for start_ms, of_week in by_week]


def _week(start_ms: int, days: Sequence[Metric]) -> Metric:
    last = days[-1]
    counts = {name: sum(getattr(day, name) for day in days) for name in _COUNTS}
    sources: Counter[str] = Counter()
    for day in days:
        sources.update(day.by_source)
    return last.model_copy(
        update={
            **counts,
            **dict.fromkeys(_NO_SUMS),
            "kind": "week",
            "start": to_rfc3339(start_ms),
            "end": to_rfc3339(start_ms + WEEK_MS),
            "supersedes": None,
            "as_of": max(day.as_of for day in days),
            "is_final": all(day.is_final for day in days),
            "by_source": dict(sorted(sources.items())),
            "reliability": [],
            **_of_classes(days),
            **_means(days),
            "completeness": _completeness(days),
            "nowcast": _nowcast(days),
            "value": _value(days),
        }
    )


def _of_classes(days: Sequence[Metric]) -> dict[str, Any]:
    confusion: Counter[tuple[str, str]] = Counter()
    named: dict[tuple[str, str], ConfusionCell] = {}
    for prediction, outcome, n in (cell for day in days for cell in day.confusion):
        pair = _json(prediction), _json(outcome)
        named.setdefault(pair, (prediction, outcome, 0))
        confusion[pair] += n
    errors = [day.errors for day in days if day.errors is not None]
    total = sum(confusion.values())
    labels = sorted({label for pair in confusion for label in pair})
    numbers = {label: number for number, label in enumerate(labels)}
    label = days[-1].positive
    positive = Positive(None, -1)
    if label is not None:
        positive = Positive(_json(label), numbers.get(_json(label), -1))
    cells = {(numbers[p], numbers[o]): n for (p, o), n in confusion.items()}
    error = sum(errors) / total if total else None
    ordered = sorted(confusion.items(), key=lambda each: (-each[1], each[0]))
    return {
        "errors": sum(errors) if errors else None,
        "error": error,
        "accuracy": None if error is None else 1 - error,
        "confusion": [(*named[pair][:2], n) for pair, n in ordered],
        **rates_of(cells, positive)._asdict(),
    }


def _json(label: object) -> str:
    return orjson.dumps(label).decode()


def _means(days: Sequence[Metric]) -> dict[str, float | None]:
    made: dict[str, float | None] = {}
    for name in ("mae", "bias"):
        made[name] = _mean((getattr(day, name), day.labelled) for day in days)
    squared = _mean((None if day.rmse is None else day.rmse**2, day.labelled) for day in days)
    made["rmse"] = None if squared is None else math.sqrt(squared)
    for name in ("brier", "log_loss"):
        scored = ((getattr(day, name), sum(each.n for each in day.reliability)) for day in days)
        made[name] = _mean(scored)
    return made


def _mean(parts: Iterable[tuple[float | None, int]]) -> float | None:
    """Return the mean of those that are known, by their rows."""
    known = [(figure, rows) for figure, rows in parts if figure is not None and rows]
    rows = sum(rows for _, rows in known)
    return sum(figure * rows for figure, rows in known) / rows if rows else None


def _completeness(days: Sequence[Metric]) -> Completeness | None:
    """Return how many outcomes are here, where all days tell it."""
    known = [day.completeness for day in days if day.completeness is not None]
    due = sum(each.due for each in known)
    if len(known) < len(days) or not due:
        return None
    parts = {
        name: sum(getattr(each, name) * each.due for each in known) / due
        for name in ("share", "of_right", "of_errors")
    }
    return Completeness(**parts, due=due)


def _nowcast(days: Sequence[Metric]) -> Nowcast | None:
    """Return the error to be expected, where all days with answers tell it."""
    answered = [(day, day.n - day.fallbacks - day.unanswered) for day in days]
    told = [(day.nowcast, n) for day, n in answered if n]
    total = sum(n for _, n in told)
    known = [(each, n) for each, n in told if each is not None]
    if not known or len(known) < len(told):
        return None
    return Nowcast(
        **{
            name: sum(getattr(each, name) * n for each, n in known) / total
            for name in Nowcast.model_fields
        }
    )


def _value(days: Sequence[Metric]) -> Value | None:
    known = [day.value for day in days if day.value is not None]
    if not known or len({each.currency for each in known}) > 1:
        return None

    def total(name: str) -> float | None:
        figures = [getattr(each, name) for each in known]
        return None if None in figures else sum(figures)

    return Value(
        currency=known[-1].currency,
        counted=sum(each.counted for each in known),
        unpriced=sum(each.unpriced for each in known),
        said=total("said"),
        expected=total("expected"),
    )
