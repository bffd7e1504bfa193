"""The figures of one model by the hour or day of its predictions."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiokafka import ConsumerRecord
from rich.table import Table

from agents.errors import FileError, OperatorError
from agents.kafka.read import read_whole
from agents.settings import Settings
from schemas.cloudevents import event_type
from schemas.metric import CohortKind, Metric
from schemas.topics import model_partition
from schemas.wire import to_epoch_ms

_OF_SERIES = tuple(f'{{"type":"{event_type(name)}"'.encode() for name in ("reference", "series"))
"""The beginning of the records about series, which lie in the same topic."""
_BARS = "▁▂▃▄▅▆▇█"
CSV_COLUMNS = (
    "start", "kind", "model_version", "is_final", "n", "labelled", "errors", "error", "precision",
    "recall", "f1", "auc", "brier", "log_loss", "ece", "mae", "rmse", "bias",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricsQuery:
    """The cohorts that are wanted.

    Parameters
    ----------
    model_id
        The model.
    kind
        The length of a cohort.
    version
        One version; None for all together.
    since_ms
        The first instant of the first cohort, in epoch milliseconds.
    """

    model_id: str
    kind: CohortKind
    version: str | None = None
    since_ms: int = 0

    def wants(self, metric: Metric) -> bool:
        """Tell whether a record is of a wanted cohort."""
        return (
            metric.model_id == self.model_id
            and metric.kind == self.kind
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
    topics = settings.topics
    partition = model_partition(query.model_id, topics.partitions)
    prefix = f"{query.model_id}|".encode()
    last: dict[bytes, ConsumerRecord] = {}
    async for record in read_whole(settings, topics.name("metrics"), partition):
        if record.key is not None and record.key.startswith(prefix) and record.value:
            last[record.key] = record
    return metrics_of(last.values(), query, on_problem)


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
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise FileError(msg) from error
    ours: list[Metric] = []
    for number, line in enumerate(lines, 1):
        try:
            ours += _metrics_in(line)
        except ValueError as error:
            msg = f"{path}: record {number} is no record of metrics; write it with `backtest`"
            raise OperatorError(msg) from error
    return _wanted(ours, query)


def _metrics_in(value: bytes) -> list[Metric]:
    """Return the figures in a record; none where it is about a series."""
    return [] if value.startswith(_OF_SERIES) else [Metric.model_validate_json(value)]


def _wanted(metrics: Iterable[Metric], query: MetricsQuery) -> list[Metric]:
    # A later record restates an earlier one.
    found = {metric.start: metric for metric in metrics if query.wants(metric)}
    return [found[start] for start in sorted(found)]


def as_table(metrics: Sequence[Metric], kind: CohortKind) -> Table:
    """Return cohorts as a table, a line of bars below it."""
    is_regression = any(each.mae is not None for each in metrics)
    figures = ("mae", "rmse", "bias") if is_regression else ("error", "precision", "recall", "auc")
    has_nowcast = any(each.nowcast for each in metrics)
    has_money = any(each.value for each in metrics)
    more = [*(["in the end"] if has_nowcast else []), *(["gained"] if has_money else [])]
    table = Table(caption=_caption(metrics, figures[0]), caption_justify="left")
    for title in (kind, "predictions", "labelled", *figures, *more, ""):
        table.add_column(title, justify="left" if title in {kind, ""} else "right")
    for each in metrics:
        shown = [_figure(getattr(each, name), name) for name in figures]
        shown += _expected(each) if has_nowcast else []
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
    writer.writerows([getattr(each, name) for name in CSV_COLUMNS] for each in metrics)
    return text.getvalue()


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


def _caption(metrics: Sequence[Metric], name: str) -> str:
    values = [getattr(each, name) for each in metrics]
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return ""
    ends = f"{_figure(min(known), name)} to {_figure(max(known), name)}"
    return f"{name}: {bars(values)} {ends}"


def _figure(value: float | None, name: str) -> str:
    if value is None:
        return ""
    return f"{value:.1%}" if name in {"error", "precision", "recall"} else f"{value:.4g}"


def _when(start: str, kind: CohortKind) -> str:
    return start[:10] if kind == "day" else start[:16].replace("T", " ")
