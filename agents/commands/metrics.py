"""The figures of one model by the hour, day or week of its predictions."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aiokafka import ConsumerRecord
from rich.table import Table

from agents.errors import FileError, OperatorError
from agents.kafka.read import read_whole
from agents.settings import Settings
from schemas.cloudevents import event_type
from schemas.metric import Metric
from schemas.topics import model_partition
from schemas.wire import to_epoch_ms
from streams.performance.weeks import weeks_of

Span = Literal["hour", "day", "week"]
_REFERENCE, SERIES = (f'{{"type":"{event_type(name)}"'.encode() for name in ("reference", "series"))
_OF_SERIES = _REFERENCE, SERIES
"""The beginning of the records about series, which lie in the same topic."""
_SHARES = frozenset(("error", "precision", "recall"))
_BARS = "▁▂▃▄▅▆▇█"
CSV_COLUMNS = (
    "start", "kind", "model_version", "is_final", "n", "fallbacks", "unanswered", "labelled",
    "expired", "errors", "error", "accuracy", "precision", "recall", "f1", "specificity", "auc",
    "auc_bound", "brier", "log_loss", "ece", "mae", "rmse", "bias", "completeness.share",
    "nowcast.error", "without_labels.error", "without_labels.mae", "without_labels.missed_by",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricsQuery:
    """The cohorts that are wanted.

    Parameters
    ----------
    model_id
        The model.
    by
        The length of a cohort; a week is made of days.
    version
        One version; None for all together.
    since_ms
        The first instant of the first cohort, in epoch milliseconds.
    """

    model_id: str
    by: Span
    version: str | None = None
    since_ms: int = 0

    def wants(self, metric: Metric) -> bool:
        """Tell whether a record is of a wanted cohort."""
        return (
            metric.model_id == self.model_id
            and metric.kind == ("day" if self.by == "week" else self.by)
            and metric.model_version == self.version
            and to_epoch_ms(metric.start) >= self.since_ms
        )


async def find_metrics(
    settings: Settings, query: MetricsQuery, on_problem: Callable[[str], object]
) -> list[Metric]:
    """Return the last record of each cohort, the oldest first.

    Parameters
    ----------
    settings, query
        Which cluster, and which cohorts.
    on_problem
        Is given a sentence about records that are not ours.

    Raises
    ------
    OperatorError, BrokerUnreachableError
        When the topic or the broker is not there.
    """
    return metrics_of(await records_of(settings, query.model_id), query, on_problem)


async def records_of(settings: Settings, model_id: str) -> list[ConsumerRecord]:
    """Return the last record of each key of a model."""
    topics = settings.topics
    partition = model_partition(model_id, topics.partitions)
    prefix = f"{model_id}|".encode()
    last: dict[bytes, ConsumerRecord] = {}
    async for record in read_whole(settings, topics.name("metrics"), partition):
        if record.key is not None and record.key.startswith(prefix) and record.value:
            last[record.key] = record
    return list(last.values())


def metrics_of(
    records: Iterable[ConsumerRecord], query: MetricsQuery, on_problem: Callable[[str], object]
) -> list[Metric]:
    """Return the wanted cohorts of records that have a value; others than ours are skipped."""
    ours: list[Metric] = []
    others: list[ConsumerRecord] = []
    for record in records:
        try:
            ours += _metrics_in(record.value)
        except ValueError:
            others.append(record)
    if others:
        last = max(others, key=lambda record: record.offset)
        on_problem(
            f"Skipped {len(others):,} records of {last.topic}-{last.partition} that are no "
            f"figures, the last at offset {last.offset:,}. Find out what else writes to this "
            "topic; a record without a value, under the same key, deletes it."
        )
    return _wanted(ours, query)


def read_metrics(path: Path, query: MetricsQuery) -> list[Metric]:
    """Return the same from the file that `backtest --metrics` has written.

    Raises
    ------
    FileError
        When the file cannot be read.
    OperatorError
        When it holds something else.
    """
    ours: list[Metric] = []
    for number, line in enumerate(lines_of(path), 1):
        try:
            ours += _metrics_in(line)
        except ValueError as error:
            msg = f"{path}: record {number} is no record of metrics; write it with `backtest`"
            raise OperatorError(msg) from error
    return _wanted(ours, query)


def lines_of(path: Path) -> list[bytes]:
    """Return the lines of a file.

    Raises
    ------
    FileError
        When it cannot be read.
    """
    try:
        return path.read_bytes().splitlines()
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise FileError(msg) from error


def _metrics_in(value: bytes) -> list[Metric]:
    """Return the figures in a record; none where it is about a series."""
    return [] if value.startswith(_OF_SERIES) else [Metric.model_validate_json(value)]


def _wanted(metrics: Iterable[Metric], query: MetricsQuery) -> list[Metric]:
    # A later record restates an earlier one.
    found = {metric.start: metric for metric in metrics if query.wants(metric)}
    cohorts = [found[start] for start in sorted(found)]
    return weeks_of(cohorts) if query.by == "week" else cohorts


def as_table(metrics: Sequence[Metric], kind: Span) -> Table:
    """Return cohorts as a table, a line of bars below it."""
    is_regression = any(each.mae is not None for each in metrics)
    figures = ("mae", "rmse", "bias") if is_regression else ("error", "precision", "recall", "auc")
    has_nowcast = any(each.nowcast for each in metrics)
    has_estimate = any(each.without_labels for each in metrics)
    has_money = any(each.value for each in metrics)
    more = [*(["in the end"] if has_nowcast else []), *(["without labels"] if has_estimate else [])]
    more += ["gained"] if has_money else []
    name = figures[0]
    lines = [_caption(name, [getattr(each, name) for each in metrics], name)]
    lines.append(_caption("without labels", list(map(_estimated, metrics)), name))
    table = Table(caption="\n".join(filter(None, lines)), caption_justify="left")
    for title in (kind, "predictions", "labelled", *figures, *more, ""):
        table.add_column(title, justify="left" if title in {kind, ""} else "right")
    for each in metrics:
        shown = [figure(getattr(each, name), name) for name in figures]
        shown += _expected(each) if has_nowcast else []
        shown += [figure(_estimated(each), figures[0])] if has_estimate else []
        shown += _money(each) if has_money else []
        known = f"{each.labelled / each.n:.0%}" if each.n else ""
        table.add_row(
            _when(each.start, kind), f"{each.n:,}", known, *shown, "" if each.is_final else "open"
        )
    return table


def _expected(metric: Metric) -> list[str]:
    """Return the error that a cohort will have, with its interval while outcomes are open."""
    said = metric.nowcast
    if said is None:
        return [""]
    half = 50 * (said.high - said.low)
    return [f"{said.error:.1%}" + (f" ±{half:.1f}" if half >= 0.05 else "")]


def _estimated(metric: Metric) -> float | None:
    """Return the error of a cohort as it was told without labels."""
    told = metric.without_labels
    if told is None:
        return None
    return told.mae if told.error is None else told.error


def _money(metric: Metric) -> list[str]:
    """Return the money of a cohort, its open answers as they are to be expected."""
    value = metric.value
    if value is None:
        return [""]
    gained = value.counted if value.said is None else value.said
    return [f"{gained:,.0f} {value.currency}"]


def as_csv(metrics: Iterable[Metric]) -> str:
    """Return cohorts as CSV, a head first; an empty cell is not known."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows([_field(each, name) for name in CSV_COLUMNS] for each in metrics)
    return text.getvalue()


def _field(metric: Metric, name: str) -> object:
    """Return a field by its name; None where the object that has it is null."""
    found: object = metric
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def bars(values: Sequence[float | None]) -> str:
    """Return values as bars of eight heights; a gap where there is none.

    Examples
    --------
    >>> bars([0.1, None, 0.2, 0.45])
    '▁ ▃█'
    """
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    steps = len(_BARS) - 1
    return "".join(
        " " if value is None else _BARS[round(steps * (value - low) / ((high - low) or 1))]
        for value in values
    )


def _caption(title: str, values: Sequence[float | None], name: str) -> str:
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return ""
    ends = f"{figure(min(known), name)} to {figure(max(known), name)}"
    return f"{title}: {bars(values)} {ends}"


def figure(value: float | None, name: str) -> str:
    """Return a figure as it is shown: shares in per cent."""
    if value is None:
        return ""
    return f"{value:.1%}" if name in _SHARES else f"{value:.4g}"


def _when(start: str, kind: Span) -> str:
    return start[:10] if kind != "hour" else start[:16].replace("T", " ")
