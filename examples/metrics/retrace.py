r"""Read `labelled` and `metrics` into Arrow tables, and retrace a day's figures from its rows.

    ./tidegauge backtest --predictions p.jsonl.gz --outcomes o.jsonl.gz --out alerts.jsonl \
      --labelled labelled.jsonl --metrics metrics.jsonl --spec spec.yaml
    .venv/bin/python -m examples.metrics.retrace car_loan labelled.jsonl metrics.jsonl

Tables of Arrow are those of pandas (`table.to_pandas()`), polars (`polars.from_arrow(table)`) and
DuckDB as well. It needs pyarrow: .venv/bin/pip install pyarrow
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.compute as pc

from agents.commands.metrics import MetricsQuery, read_metrics
from schemas.labelled import Labelled
from schemas.metric import Metric

FIGURES = ("labelled", "error", "recall", "brier")


def labelled_table(lines: Iterable[bytes]) -> pa.Table:
    """Return labelled rows as a table; a corrected row replaces the one that it restates."""
    rows = [Labelled.model_validate_json(line) for line in lines]
    restated = {row.restates for row in rows}
    return pa.Table.from_pylist(
        [
            {
                "row": row.row,
                "day": row.prediction.predicted_at // 86_400_000,
                "version": row.prediction.model_version,
                "status": row.prediction.status,
                "answer": row.prediction.prediction,
                "score": row.prediction.score,
                "truth": row.outcome.outcome,
                "is_error": row.is_error,
                "delay_s": row.delay_s,
            }
            for row in rows
            if row.row not in restated
        ]
    )


def metrics_table(metrics: Iterable[Metric]) -> pa.Table:
    """Return the last figures of each day as a table, the oldest first.

    Nested figures are columns of their own: `nowcast.error`, `value.said`.
    """
    records = [each.model_dump(mode="json") for each in metrics]
    return pa.Table.from_pylist(records).flatten().sort_by("start")


def retraced(labelled: pa.Table) -> pa.Table:
    """Return error, recall and Brier score of each day, from its rows alone."""
    ours = labelled.filter(pc.equal(labelled["status"], "ok"))  # a fallback is no answer of it
    truth, none = ours["truth"], pa.scalar(None, pa.float64())
    is_hit = pc.cast(pc.equal(ours["answer"], 1), pa.float64())
    square = pc.power(pc.subtract(ours["score"], truth), 2.0)
    ours = (
        ours.append_column("square", square)
        .append_column("hit", pc.if_else(pc.equal(truth, 1), is_hit, none))
        .set_column(ours.schema.get_field_index("is_error"), "wrong", _numbers(ours["is_error"]))
    )
    means = [(name, "mean") for name in ("wrong", "hit", "square")]
    by_day = ours.group_by("day").aggregate([("row", "count"), *means]).sort_by("day")
    columns = (by_day[name] for name in ("row_count", "wrong_mean", "hit_mean", "square_mean"))
    return pa.table(dict(zip(FIGURES, columns, strict=True)))


def _numbers(flags: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(flags, pa.float64())


def main(model_id: str, labelled: Path, metrics: Path) -> None:
    """Print the figures of a model beside the same ones by hand, and their greatest difference."""
    told = metrics_table(read_metrics(metrics, MetricsQuery(model_id=model_id, by="day")))
    with labelled.open("rb") as lines:
        hand = retraced(labelled_table(lines))
    off = 0.0
    for name in FIGURES:
        pairs = zip(told[name].to_pylist(), hand[name].to_pylist(), strict=True)
        for start, (said, ours) in zip(told["start"].to_pylist(), pairs, strict=True):
            click.echo(f"{start} {name}: {said}, by hand {ours}")
            off = max(off, abs(said - ours) if said is not None and ours is not None else 0.0)
    click.echo(f"Greatest difference over {len(told):,} days: {off:.1e}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
